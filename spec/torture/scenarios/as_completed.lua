local stage = ...
local eddy = require "eddy"

-- as_completed: in the order of ends; out of time; left early.
return function()
  local function after(delay, value) return function() return eddy.sleep(delay, value) end end
  local seen = {}
  for task in eddy.as_completed { after(0.003, "c"), after(0.001, "a"), eddy.create_task(after(0.002, "b")) } do
    seen[#seen + 1] = task:await()
  end
  stage.equal("a b c", table.concat(seen, " "), "the order")

  local slow = eddy.create_task(eddy.sleep, 5)
  stage.raises(eddy.TimeoutError, function()
    for task in eddy.as_completed({ slow, after(0.001) }, { timeout = 0.01 }) do task:await() end
  end)
  local function first(...)
    for task in eddy.as_completed { ... } do
      if task then return task:await() end
    end
  end
  stage.equal("first", first(slow, after(0.001, "first")), "before the slow one")
  slow:cancel()
  eddy.wait { slow }
end
