local stage = ...
local eddy = require "eddy"

-- ContextVar: inherited by tasks and callbacks, set back, a context to run in.
return function()
  local var = eddy.ContextVar("var", 1)
  local token = var:set(2)
  local context = eddy.copy_context()
  local task = eddy.create_task(function()
    stage.equal(2, var:get(), "inherited")
    var:set(3)
    eddy.sleep(0)
    return var:get()
  end)
  local seen
  eddy.get_running_loop():call_soon(function() seen = var:get() end)
  local inside = context:run(function()
    var:set(5)
    eddy.sleep(0)
    return var:get()
  end)
  stage.equal(5, inside, "in the context")
  stage.equal(3, task:await(), "in the task")
  stage.equal(2, var:get(), "outside")
  eddy.sleep(0)
  if seen then stage.equal(2, seen, "in the callback") end
  var:reset(token)
  stage.equal(1, var:get(), "set back")
end
