-- threads_fib.lua - How much faster are two threads than one, for fib(32) eight times?
local eddy = require "eddy"

local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end

-- Seconds that four of them take here.
local function four()
  local start = eddy.time()
  for _ = 1, 4 do fib(32) end
  return eddy.time() - start
end

eddy.run(function()
  local pool <close> = eddy.ThreadPool { workers = 2 }
  local function eight(n)
    local tasks = {}
    for i = 1, 8 do tasks[i] = pool:submit(fib, n) end
    eddy.gather(tasks)
  end
  eight(1)                                       -- starts the threads
  local in_line = four()                         -- and four afterwards: a machine that gets busier counts on both sides
  local start = eddy.time()
  eight(32)
  local at_once = eddy.time() - start
  in_line = in_line + four()
  print(("threads_fib\teddy\t%.2f\ttimes"):format(in_line / at_once))
end)
