local stage = ...
local eddy = require "eddy"

-- Timeout scopes: as a <close> variable, with a function, one inside the other, moved, at a time; move_on_after.
return function()
  local loop = eddy.get_running_loop()
  stage.raises(eddy.TimeoutError, function()
    local scope <close> = eddy.timeout(0.001)
    local _ <close> = stage.hold(0.001)
    stage.check(scope:when() ~= nil and not scope:expired(), "not yet")
    eddy.sleep(1)
  end)
  stage.equal("done", eddy.timeout(1, function() return eddy.sleep(0.001, "done") end), "in time")
  stage.raises(eddy.TimeoutError, eddy.timeout_at, loop:time() + 0.001, eddy.sleep, 1)
  do
    local outer <close> = eddy.timeout(1)
    stage.raises(eddy.TimeoutError, eddy.timeout, 0.001, function()
      local _ <close> = eddy.timeout(0.5)
      eddy.sleep(2)
    end)
    stage.check(not outer:expired(), "the outer one has time")
    outer:reschedule(loop:time() + 2)
    outer:reschedule(nil)
    eddy.sleep(3)
  end
  stage.check(not eddy.move_on_after(0.001, eddy.sleep, 1), "moved on")
  local in_time, value = eddy.move_on_after(1, eddy.sleep, 0.001, "value")
  stage.check(in_time and value == "value", "no need to move on")
  stage.equal(0, eddy.current_task():cancelling(), "requests left")
end
