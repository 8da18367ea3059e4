local stage = ...
local eddy = require "eddy"

-- task:cancel: messages, <close> handlers that wait, a task that refuses, one that has not begun, chains, uncancel.
return function()
  local task = stage.start(function()
    local _ <close> = stage.hold(0.001)
    local _ <close> = stage.hold(0)
    eddy.sleep(5)
  end)
  task:cancel({ "reason" })
  local err = stage.raises(eddy.CancelledError, eddy.await, task)
  if not stage.cancelled() then stage.equal("reason", err.message and err.message[1], "message") end

  local stubborn = stage.start(function()
    local _, why = pcall(eddy.sleep, 5)
    if not stage.is(why, eddy.CancelledError) then error(why, 0) end
    eddy.current_task():uncancel()
    return eddy.sleep(0.001, "here")
  end)
  stubborn:cancel()
  local answer = eddy.await(stubborn)
  stage.equal("here", answer, "one that goes on")

  local unborn = eddy.create_task(function() stage.check(false, "it has begun") end)
  unborn:cancel()
  stage.raises(eddy.CancelledError, eddy.await, unborn)

  local inner = eddy.create_task(eddy.sleep, 5)
  local middle = eddy.create_task(eddy.await, inner)
  local outer = eddy.create_task(eddy.gather, middle, inner)
  eddy.sleep(0)
  eddy.sleep(0)
  outer:cancel()
  stage.raises(eddy.CancelledError, eddy.await, outer)
  stage.check(inner:done() and middle:done(), "it went through")
end
