-- eddy bench/lib/growth.lua: what one operation takes at ten times the size, over what it takes at the usual one.
-- Processor time, the least of five runs each; docs/internals/performance.md has the figures.
local eddy = require "eddy"

local function spawn(n)
  for _ = 1, 400000 // n do
    local tasks = {}
    for i = 1, n do tasks[i] = eddy.create_task(function() end) end
    eddy.gather(tasks)
  end
end

local function switch(n)
  local group <close> = eddy.TaskGroup()
  for _ = 1, n do
    group:create_task(function()
      for _ = 1, 1000000 // n do eddy.sleep(0) end
    end)
  end
end

local function cancel(n)
  for _ = 1, 200000 // n do
    local tasks = {}
    for i = 1, n do tasks[i] = eddy.create_task(eddy.sleep, 100) end
    eddy.sleep(0)
    for i = 1, n do tasks[i]:cancel() end
    eddy.wait(tasks)
  end
end

local function await(n)
  local loop, rounds, tasks = eddy.get_running_loop(), {}, {}
  for r = 1, 400000 // n do
    rounds[r] = {}
    for i = 1, n do rounds[r][i] = loop:create_future() end
  end
  for i = 1, n do
    tasks[i] = eddy.create_task(function()
      for _, futures in ipairs(rounds) do futures[i]:await() end
    end)
  end
  eddy.sleep(0)
  for _, futures in ipairs(rounds) do
    for i = 1, n do futures[i]:set_result(i) end
    eddy.sleep(0)
  end
  eddy.gather(tasks)
end

local function queues(n)
  local group <close> = eddy.TaskGroup()
  local rounds = 400000 // n
  for _ = 1, n do
    local there, back = eddy.Queue(1), eddy.Queue(1)
    group:create_task(function()
      for i = 1, rounds do
        there:put(i)
        back:get()
      end
    end)
    group:create_task(function()
      for _ = 1, rounds do back:put(there:get()) end
    end)
  end
end

local function sleepers(n)
  for _ = 1, 1000000 // n do
    local tasks = {}
    for i = 1, n do
      tasks[i] = eddy.create_task(function() eddy.sleep(math.random() * 0.2) end)
    end
    eddy.gather(tasks)
  end
end

local function time(f, n)
  local best = math.huge
  for _ = 1, 5 do
    collectgarbage()
    local start = os.clock()
    f(n)
    best = math.min(best, os.clock() - start)
  end
  return best
end

eddy.run(function()
  for _, case in ipairs {
    { "switch", switch, 1000 }, { "await", await, 1000 }, { "queue", queues, 100 }, { "sleep", sleepers, 100000 },
    { "cancel", cancel, 10000 }, { "spawn", spawn, 10000 },
  } do
    local what, f, n = table.unpack(case)
    print(("%-8s %7d, %8d: %.2f"):format(what, n, n * 10, time(f, n * 10) / time(f, n)))
  end
end)
