local stage = ...
local eddy = require "eddy"

-- Lock: in turn; a waiter that is cancelled; hold and with.
return function()
  local lock, inside = eddy.Lock(), 0
  local function work(name)
    local _ <close> = lock:hold()
    local _ <close> = setmetatable({}, { __close = function() inside = inside - 1 end })
    inside = inside + 1
    stage.equal(1, inside, "holders")
    eddy.sleep(0.001)
    return name
  end
  local tasks = {}
  for i = 1, 4 do tasks[i] = eddy.create_task(work, i) end
  eddy.sleep(0)
  tasks[2]:cancel()
  for i = 1, 4 do
    if i == 2 then stage.raises(eddy.CancelledError, eddy.await, tasks[i])
    else stage.equal(i, eddy.await(tasks[i]), "a worker")
    end
  end
  stage.equal("with", lock:with(function() return eddy.sleep(0.001, "with") end), "with")
  lock:acquire()
  lock:release()
  stage.check(not lock:locked(), "free at last")
end
