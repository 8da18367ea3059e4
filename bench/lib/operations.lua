-- operations.lua - does one kind of operation so many times, and nothing else; bench/instructions counts them.
-- usage: eddy operations.lua spawn|switch|await|timer N
local eddy = require "eddy"

local operations = {}

function operations.spawn(n)                      -- a task is created and awaited
  local function task(i) return i end
  for i = 1, n do eddy.create_task(task, i):await() end
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
