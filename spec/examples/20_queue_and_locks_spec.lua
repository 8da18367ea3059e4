-- Program 20 of those that every asyncio tutorial teaches, on virtual time.

local program = require "spec.support.program"

describe("examples/asyncio #plain", function()
  it("20: carries items through a queue, and shows the race that a lock ends", function()
    local outcome = program.run("examples/asyncio/20_queue_and_locks.lua")
    assert.is_nil(outcome.error)
    assert.same({
      "items worth 3110", "without a lock: 10", "with a lock: 100", "two at a time: 50",
      "ready, steady", "and off they go\t3",
    }, outcome.lines)
    local times = {}
    for i, time in ipairs(outcome.times) do times[i] = math.floor(time * 100 + 0.5) / 100 end
    assert.same({ 1.5, 1.6, 2.6, 3.1, 3.1, 4.1 }, times)
  end)
end)
