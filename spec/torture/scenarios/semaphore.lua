local stage = ...
local eddy = require "eddy"

-- Semaphore, BoundedSemaphore: never more than that inside; permits come back.
return function()
  local semaphore, inside, most = eddy.Semaphore(2), 0, 0
  local function work(i)
    local _ <close> = semaphore:hold()
    local _ <close> = setmetatable({}, { __close = function() inside = inside - 1 end })
    inside = inside + 1
    most = math.max(most, inside)
    return eddy.sleep(0.001, i)
  end
  local tasks = {}
  for i = 1, 5 do tasks[i] = eddy.create_task(work, i) end
  eddy.sleep(0)
  tasks[4]:cancel()
  for i = 1, 5 do
    if i == 4 then stage.raises(eddy.CancelledError, eddy.await, tasks[i])
    else stage.equal(i, eddy.await(tasks[i]), "a worker")
    end
  end
  stage.check(most <= 2 and inside == 0, "two at most")
  semaphore:acquire()
  semaphore:acquire()
  stage.check(semaphore:locked(), "both permits are there again")
  semaphore:release()
  semaphore:release()
  local bounded = eddy.BoundedSemaphore(1)
  bounded:acquire()
  bounded:release()
  stage.raises(eddy.RuntimeError, bounded.release, bounded)
end
