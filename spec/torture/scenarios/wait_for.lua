local stage = ...
local eddy = require "eddy"

-- wait_for: in time, out of time, a task, cleanup that waits.
return function()
  stage.equal("in time", eddy.wait_for(eddy.sleep, 0.003, 0.001, "in time"), "a function")
  local task = eddy.create_task(eddy.sleep, 0.001, "a task")
  stage.equal("a task", eddy.wait_for(task, 0.003), "a task")
  stage.raises(eddy.TimeoutError, eddy.wait_for, function()
    local _ <close> = stage.hold(0.001)
    eddy.sleep(5)
  end, 0.001)
  local late = eddy.create_task(eddy.sleep, 5)
  stage.raises(eddy.TimeoutError, eddy.wait_for, late, 0.001)
  stage.check(late:cancelled(), "a task that was late is cancelled")
  stage.raises("boom", eddy.wait_for, function() error("boom", 0) end, 1)
  eddy.wait_for(eddy.gather, 0.005, function() eddy.sleep(0.001) end, function() eddy.sleep(0.002) end)
end
