local stage = ...
local eddy = require "eddy"

-- async functions: awaited, as tasks, by hand, thrown away, objects with __await.
return function()
  local add = eddy.async(function(a, b)
    eddy.sleep(0)
    return a + b
  end)
  stage.equal(3, eddy.await(add(1, 2)), "awaited")
  stage.equal(7, add(3, 4):await(), "awaited by method")
  stage.equal(11, eddy.create_task(add(5, 6)):await(), "as a task")
  local by_hand = add(1, 1)
  local going = by_hand:send()
  stage.check(going, "it is under way")
  local left, sum = by_hand:send()
  stage.check(not left and sum == 2, "it has ended")
  local stopped = add(1, 1)
  stopped:send()
  stopped:close()
  local failing = eddy.async(function() error("boom", 0) end)
  stage.raises("boom", eddy.await, failing())
  local object = setmetatable({}, { __await = function() return eddy.sleep(0.001, "object") end })
  stage.equal("object", eddy.await(object), "__await")
  local results = eddy.gather(add(1, 2), add(3, 4), object)
  stage.equal("3 7 object", table.concat(results, " "), "gathered")
end
