local stage = ...
local eddy = require "eddy"

-- Generators: to the end, left early, closed, sent to, collected, left open at the end of the loop.
return function()
  local count = eddy.generator(function(yield, n)
    local _ <close> = stage.hold(0)
    for i = 1, n do
      eddy.sleep(0.001)
      yield(i)
    end
  end)
  local sum = 0
  for value in count(4) do sum = sum + value end
  local function first_of(n)
    for value in count(n) do
      if value == 2 then return value end
    end
  end
  stage.equal(12, sum + first_of(9), "sum")

  local adder = eddy.generator(function(yield)
    local total = 0
    while true do total = total + (yield(total) or 0) end
  end)()
  adder:next()
  adder:asend(3)
  stage.equal(7, adder:asend(4), "what was sent")
  adder:aclose()
  local failing = eddy.generator(function(yield)
    yield(1)
    error("boom", 0)
  end)()
  failing:next()
  stage.raises("boom", failing.next, failing)
  local dropped = count(3)
  dropped:next()
  dropped = nil   -- luacheck: ignore
  collectgarbage()
  eddy.sleep(0.001)
  local open = count(3)
  open:next()
end
