local stage = ...
local eddy = require "eddy"

-- Barrier: three meet, twice; a party that is cancelled breaks nothing for good; reset, abort.
return function()
  local barrier = eddy.Barrier(3)
  local function party() return barrier:wait() end
  for _ = 1, 2 do
    local a, b = eddy.create_task(party), eddy.create_task(party)
    eddy.sleep(0)
    local sum = barrier:wait() + a:await() + b:await()
    stage.equal(3 + 0, sum, "places")
  end
  local lonely = stage.start(party)
  lonely:cancel()
  stage.raises(eddy.CancelledError, eddy.await, lonely)
  stage.may_report "barrier was reset or aborted"
  local broken = stage.start(party)
  barrier:abort()
  stage.raises(eddy.BrokenBarrierError, eddy.await, broken)
  barrier:reset()
  stage.equal(0, barrier.n_waiting, "nobody waits")
end
