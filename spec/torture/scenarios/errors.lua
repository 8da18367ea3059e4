local stage = ...
local eddy = require "eddy"

-- Errors and their stories: tracebacks through awaits, lost errors, errors that are objects, the deepest of groups.
return function()
  local function deep() error("boom") end
  local outer = eddy.create_task(function() return eddy.await(eddy.create_task(deep)) end)
  stage.raises("boom", eddy.await, outer)
  local story = outer:traceback()
  stage.check(story:find("awaited by", 1, true) ~= nil or stage.cancelled(), "a chain of awaits")
  local text = tostring(outer) .. tostring(eddy.current_task()) .. eddy.current_task():traceback()
  stage.check(#text > 20, "texts")

  eddy.create_task(function() error("boom: lost", 0) end)
  eddy.sleep(0.001)
  collectgarbage()
  local future = eddy.get_running_loop():create_future()
  future:set_exception("boom: seen")
  stage.raises("boom", future.result, future)
  local object = { what = "boom" }
  local ok, err = pcall(eddy.await, eddy.create_task(function() error(object) end))
  stage.check(not ok, "an object as an error")
  if err ~= object then error(err, 0) end
  local group = stage.raises(eddy.ExceptionGroup, eddy.TaskGroup, function(outer_group)
    outer_group:create_task(function()
      eddy.TaskGroup(function(inner) inner:create_task(deep) end)
    end)
  end)
  stage.check(#tostring(group) > 0, "text of a group")
  stage.check(#eddy.current_task():get_stack() > 0, "a stack")
end
