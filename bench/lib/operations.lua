-- operations.lua - does one kind of operation so many times, and nothing else; bench/instructions counts them.
-- usage: eddy operations.lua OPERATION N
local eddy = require "eddy"

local operations = {}

function operations.spawn(n)                      -- a task is created and awaited
  local function task(i) return i end
  for i = 1, n do eddy.create_task(task, i):await() end
end

function operations.gather(n)                     -- the same, a thousand at a time
  local function task(i) return i end
  for _ = 1, n // 1000 do
    local tasks = {}
    for i = 1, 1000 do tasks[i] = eddy.create_task(task, i) end
    eddy.gather(tasks)
  end
end

function operations.group(n)                      -- the same in task groups
  local function task(i) return i end
  for _ = 1, n // 1000 do
    local group <close> = eddy.TaskGroup()
    for i = 1, 1000 do group:create_task(task, i) end
  end
end

function operations.switch(n)                     -- two tasks pass the processor to each other
  local function body()
    for _ = 1, n // 2 do eddy.sleep(0) end
  end
  eddy.gather(eddy.create_task(body), eddy.create_task(body))
end

function operations.await(n)                      -- a future is made, awaited, and settled by another task
  local loop, future = eddy.get_running_loop(), nil
  local waiter = eddy.create_task(function()
    for _ = 1, n do
      future = loop:create_future()
      future:await()
    end
  end)
  eddy.create_task(function()
    for _ = 1, n do
      future:set_result()
      eddy.sleep(0)
    end
  end)
  waiter:await()
end

function operations.settle(n)                     -- futures are awaited by a thousand tasks, and settled by one
  local loop, rounds = eddy.get_running_loop(), {}
  for round = 1, n // 1000 do
    rounds[round] = {}
    for i = 1, 1000 do rounds[round][i] = loop:create_future() end
  end
  local group <close> = eddy.TaskGroup()
  for i = 1, 1000 do
    group:create_task(function()
      for round = 1, n // 1000 do rounds[round][i]:await() end
    end)
  end
  eddy.sleep(0)
  for round = 1, n // 1000 do
    for i = 1, 1000 do rounds[round][i]:set_result(i) end
    eddy.sleep(0)
  end
end

function operations.queue(n)                      -- an item goes to another task and back
  local a, b = eddy.Queue(1), eddy.Queue(1)
  local echo = eddy.create_task(function()
    for _ = 1, n do b:put(a:get()) end
  end)
  for i = 1, n do a:put(i) b:get() end
  echo:await()
end

function operations.scope(n)                      -- a timeout around a wait that ends in time
  for _ = 1, n do eddy.timeout(10, eddy.sleep, 0) end
end

function operations.cancel(n)                     -- a sleeping task is cancelled and awaited
  for _ = 1, n // 1000 do
    local tasks = {}
    for i = 1, 1000 do tasks[i] = eddy.create_task(eddy.sleep, 10) end
    eddy.sleep(0)
    for i = 1, 1000 do tasks[i]:cancel() end
    eddy.wait(tasks)
  end
end

function operations.timer(n)                      -- one of 100 tasks sleeps for a while and wakes
  math.randomseed(1)
  local group <close> = eddy.TaskGroup()
  for _ = 1, 100 do
    group:create_task(function()
      for _ = 1, n // 100 do eddy.sleep(math.random()) end
    end)
  end
end

-- Virtual time: no waiting, and each run takes the same path.
eddy.Runner({ clock = "virtual" }):run(operations[arg[1]], tonumber(arg[2]))
