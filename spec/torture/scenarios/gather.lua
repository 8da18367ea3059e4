local stage = ...
local eddy = require "eddy"

-- gather: results in order; errors in the list; the first error at once, and the others go on.
return function()
  local function after(delay, ...) return eddy.sleep(delay, ...) end
  local results = eddy.gather(function() return after(0.003, "a") end, function() return "b", "c" end,
    eddy.create_task(after, 0.001, "d"))
  stage.equal("a b d 3", ("%s %s %s %d"):format(results[1], results[2], results[3], results.n), "results")

  results = eddy.gather({
    function() error("boom", 0) end,
    function() return after(0.001, 7) end,
  }, { return_exceptions = true })
  stage.check(results.n == 2, "two results")
  if results[1].value ~= "boom" then error(results[1].value or results[1], 0) end
  if results[2] ~= 7 then error(results[2].value or results[2], 0) end

  local slow = eddy.create_task(after, 0.005, "slow")
  stage.raises("boom", eddy.gather, slow, function() error("boom", 0) end)
  stage.equal("slow", eddy.await(slow), "the other")
end
