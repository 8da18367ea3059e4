-- threads.lua - How many calls go to other threads, how much faster are two of them, how many messages go between them?
-- one: each waits for the one before. 64: so many are under way. fib: fib(32) eight times on two threads, over in line.
-- channel: small tables from one thread to another.
local eddy = require "eddy"

local N <const>, ALONE <const>, MESSAGES <const> = 100000, 20000, 300000

local function echo(i) return i end

local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end

local function measured(name, unit, count, f)
  local start = eddy.time()
  f()
  print(("threads.%s\teddy\t%.0f\t%s"):format(name, count / (eddy.time() - start), unit))
end

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
  measured("64", "calls/s", N, function() many(N, 64) end)
  measured("one", "calls/s", ALONE, function() many(ALONE, 1) end)

  local pool <close> = eddy.ThreadPool { workers = 2 }
  local function eight(n)
    local tasks = {}
    for i = 1, 8 do tasks[i] = pool:submit(fib, n) end
    eddy.gather(tasks)
  end
  eight(1)
  local start = eddy.time()
  for _ = 1, 8 do fib(32) end
  local in_line = eddy.time() - start
  start = eddy.time()
  eight(32)
  print(("threads.fib\teddy\t%.2f\ttimes/s"):format(in_line / (eddy.time() - start)))

  measured("channel", "messages/s", MESSAGES, function()
    local channel = eddy.Channel(1024)
    local sender = eddy.thread(function(ch, n)
      for i = 1, n do ch:send({ i, "text" }) end
      ch:close()
    end, channel, MESSAGES)
    local receiver = eddy.thread(function(ch) for _ in ch do end end, channel)
    eddy.gather(sender, receiver)
  end)
end)
