local stage = ...
local eddy = require "eddy"

-- Queue: producers and consumers, full and empty, task_done and join, shutdown; LifoQueue.
return function()
  local queue, sum = eddy.Queue(2), 0
  local consumer = eddy.create_task(function()
    for value in queue:items() do
      sum = sum + value
      eddy.sleep(0)
      queue:task_done()
    end
  end)
  eddy.TaskGroup(function(group)
    for p = 1, 2 do
      group:create_task(function()
        for i = 1, 5 do queue:put(p * i) end
      end)
    end
  end)
  queue:join()
  queue:shutdown()
  consumer:await()
  stage.equal(45, sum, "sum")
  stage.raises(eddy.QueueShutDown, queue.put, queue, 1)

  local stack = eddy.LifoQueue()
  for i = 1, 40 do stack:put_nowait(i) end
  stage.equal(40, stack:get_nowait(), "the last first")
  local one = eddy.Queue(1)
  one:put("a")
  local put = eddy.create_task(function() one:put("b") end)
  local late = eddy.create_task(function() one:put("c") end)
  eddy.sleep(0)
  late:cancel()
  stage.equal("a", one:get(), "the first")
  put:await()
  stage.raises(eddy.CancelledError, eddy.await, late)
  stage.equal("b", one:get(), "the second")
  stage.raises(eddy.QueueEmpty, one.get_nowait, one)
  local get = eddy.create_task(function() return one:get() end)
  eddy.sleep(0)
  get:cancel()
  stage.raises(eddy.CancelledError, eddy.await, get)
  one:put_nowait("d")
  stage.raises(eddy.QueueFull, one.put_nowait, one, "e")
  stage.equal(1, one:qsize(), "size")
end
