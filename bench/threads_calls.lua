-- threads_calls.lua - How many trivial calls a second go to another thread and back: one by one, and 64 at a time?
local eddy = require "eddy"

local function echo(i) return i end

local function many(n, in_flight)
  local left = n
  local function caller()
    while left > 0 do
      left = left - 1
      eddy.to_thread(echo, left)
    end
  end
  local callers = {}
  for i = 1, in_flight do callers[i] = caller end
  eddy.gather(callers)
end

eddy.run(function()
  many(1000, 64)                                 -- starts the threads
  for _, q in ipairs { { "64", 100000, 64 }, { "one", 20000, 1 } } do
    local name <const>, n <const>, in_flight <const> = table.unpack(q)
    local start = eddy.time()
    many(n, in_flight)
    print(("threads_calls.%s\teddy\t%.0f\tcalls/s"):format(name, n / (eddy.time() - start)))
  end
end)
