local stage = ...
local eddy = require "eddy"

-- shield: its result; what waits in it is cancelled, and the inner task goes on.
return function()
  local inner = eddy.create_task(eddy.sleep, 0.002, "inner")
  local outer = eddy.create_task(function() return eddy.shield(inner) end)
  eddy.sleep(0.001)
  outer:cancel()
  stage.raises(eddy.CancelledError, eddy.await, outer)
  stage.equal("inner", eddy.shield(inner), "its result")
  stage.equal("again", eddy.shield(function() return eddy.sleep(0.001, "again") end), "of a function")
end
