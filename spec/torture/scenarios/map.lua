local stage = ...
local eddy = require "eddy"

-- map: in order, so many at a time; the first error ends the others.
return function()
  local inside, most = 0, 0
  local results = eddy.map(function(x)
    local _ <close> = setmetatable({}, { __close = function() inside = inside - 1 end })
    inside = inside + 1
    most = math.max(most, inside)
    eddy.sleep(0.001)
    return x * 2
  end, { 1, 2, 3, 4, 5 }, { concurrency = 2 })
  stage.equal("2 4 6 8 10", table.concat(results, " "), "results")
  stage.equal(2, most, "at a time")
  stage.raises("boom", eddy.map, function(x)
    local _ <close> = stage.hold(0)
    eddy.sleep(0)
    if x == 2 then error("boom", 0) end
    eddy.sleep(5)
  end, { 1, 2, 3 })
end
