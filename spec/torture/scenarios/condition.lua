local stage = ...
local eddy = require "eddy"

-- Condition and Event: notify, wait_for, a waiter that is cancelled.
return function()
  local condition, ready = eddy.Condition(), false
  local first = eddy.create_task(function()
    local _ <close> = condition:hold()
    condition:wait_for(function() return ready end)
    return "ready"
  end)
  local second = eddy.create_task(function()
    local _ <close> = condition:hold()
    condition:wait()
  end)
  eddy.sleep(0)
  eddy.sleep(0)
  second:cancel()
  do
    local _ <close> = condition:hold()
    condition:notify()
    ready = true
    condition:notify_all()
  end
  stage.equal("ready", eddy.await(first), "the first")
  stage.raises(eddy.CancelledError, eddy.await, second)
  stage.check(not condition:locked(), "free at last")

  local event = eddy.Event()
  local waiter = eddy.create_task(function() return event:wait() end)
  eddy.get_running_loop():call_later(0.001, function() event:set() end)
  event:wait()
  waiter:await()
  stage.check(event:is_set(), "set")
end
