-- Barrier: tasks wait until so many of them are there.

local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

local turn = testing.checkpoint

-- Starts n tasks that wait once and return their index, or the class of their error.
local function arrive(barrier, n)
  local tasks = {}
  for i = 1, n do
    tasks[i] = eddy.create_task(function()
      local ok, result = pcall(barrier.wait, barrier)
      if ok then return result end
      return eddy.is_error(result, eddy.BrokenBarrierError) and "broken"
        or eddy.is_error(result, eddy.CancelledError) and "cancelled" or result
    end)
  end
  return tasks
end

local function results(tasks)
  local list = eddy.gather(tasks)
  list.n = nil
  return list
end

describe("eddy.Barrier", function()
  it("lets all go when the last one has come, each with an index of its own", function()
    local barrier = eddy.Barrier(4)
    local tasks = arrive(barrier, 3)
    turn(3)
    assert.equal(3, barrier.n_waiting)
    for _, task in ipairs(tasks) do assert.is_false(task:done()) end
    assert.equal(3, barrier:wait())
    assert.same({ 0, 1, 2 }, results(tasks))
    assert.equal(0, barrier.n_waiting)
  end)

  it("does not suspend the last one", function()
    local barrier, ran = eddy.Barrier(2), false
    local tasks = arrive(barrier, 1)
    turn()
    local other = eddy.create_task(function() ran = true end)
    barrier:wait()
    assert.is_false(ran)
    results(tasks)
    eddy.await(other)
  end)

  it("is passed at once when it is for one", function()
    local barrier = eddy.Barrier(1)
    for _ = 1, 3 do assert.equal(0, barrier:wait()) end
  end)

  it("serves round after round, first come, first served", function()
    local barrier = eddy.Barrier(3)
    local tasks = arrive(barrier, 7)
    turn(5)
    assert.equal(1, barrier.n_waiting)
    assert.same({ 0, 1, 2, 0, 1, 2 }, results({ table.unpack(tasks, 1, 6) }))
    arrive(barrier, 2)
    assert.equal(0, eddy.await(tasks[7]))
    turn()
  end)

  it("makes newcomers wait while it drains", function()
    local barrier = eddy.Barrier(2)
    local tasks = arrive(barrier, 1)
    turn()
    barrier:wait()
    assert.equal("<Barrier draining, waiters:0/2>", tostring(barrier))
    local log = {}
    local late = eddy.create_task(function()
      log[1] = barrier:wait()
    end)
    turn(2)
    assert.same({ 0 }, results(tasks))
    assert.equal("<Barrier filling, waiters:1/2>", tostring(barrier))
    assert.same({}, log)
    assert.equal(1, barrier:wait())
    eddy.await(late)
    assert.same({ 0 }, log)
  end)

  it("lets a cancelled waiter leave, and is not broken by it", function()
    local barrier = eddy.Barrier(3)
    local tasks = arrive(barrier, 2)
    turn()
    tasks[1]:cancel()
    turn()
    assert.equal("cancelled", eddy.await(tasks[1]))
    assert.equal(1, barrier.n_waiting)
    assert.is_false(barrier.broken)
    local more = arrive(barrier, 2)
    assert.equal(0, eddy.await(tasks[2]))    -- indices stay unique
    assert.same({ 1, 2 }, results(more))
  end)

  it("cancels one that was let go and cancelled in one turn; the others go", function()
    local barrier = eddy.Barrier(3)
    local tasks = arrive(barrier, 2)
    turn()
    barrier:wait()
    tasks[1]:cancel()
    assert.same({ "cancelled", 1 }, results(tasks))
    local again = arrive(barrier, 3)
    assert.same({ 0, 1, 2 }, results(again))
  end)

  it("breaks for those who wait when it is reset, and is as new then", function()
    local barrier = eddy.Barrier(3)
    local tasks = arrive(barrier, 2)
    turn()
    barrier:reset()
    assert.is_false(barrier.broken)
    local newcomers = arrive(barrier, 3)
    assert.same({ "broken", "broken" }, results(tasks))
    assert.same({ 0, 1, 2 }, results(newcomers))
  end)

  it("breaks by abort for all, until it is reset", function()
    local barrier = eddy.Barrier(3)
    local tasks = arrive(barrier, 2)
    turn()
    barrier:abort()
    assert.is_true(barrier.broken)
    assert.same({ "broken", "broken" }, results(tasks))
    local err = calls.raised_as(eddy.BrokenBarrierError, barrier.wait, barrier)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    barrier:reset()
    assert.is_false(barrier.broken)
    assert.same({ 0, 1, 2 }, results(arrive(barrier, 3)))
  end)

  it("breaks by abort also for those before the door", function()
    local barrier = eddy.Barrier(2)
    local tasks = arrive(barrier, 3)
    turn()      -- two have met; the third waits until they have left
    barrier:abort()
    assert.same({ 1, "broken" }, { eddy.await(tasks[2]), eddy.await(tasks[3]) })
  end)

  it("may be reset at any time when nobody waits", function()
    local barrier = eddy.Barrier(2)
    barrier:reset()
    assert.equal("<Barrier filling, waiters:0/2>", tostring(barrier))
    assert.same({ 0, 1 }, results(arrive(barrier, 2)))
  end)

  it("has its numbers as fields", function()
    local barrier = eddy.Barrier(5)
    assert.same({ 5, 0, false }, { barrier.parties, barrier.n_waiting, barrier.broken })
    assert.is_nil(barrier.nothing)
    assert.is_nil(barrier[1])
  end)

  it("shows its state", function()
    local barrier = eddy.Barrier(5)
    local tasks = arrive(barrier, 2)
    turn()
    assert.equal("<Barrier filling, waiters:2/5>", tostring(barrier))
    assert.matches("running", tostring(eddy.current_task()))
    barrier:reset()
    assert.equal("<Barrier resetting, waiters:0/5>", tostring(barrier))
    results(tasks)
    barrier:abort()
    assert.equal("<Barrier broken>", tostring(barrier))
  end)

  it("names the argument that is wrong", function()
    assert.error_matches(function() eddy.Barrier(0) end, "bad argument #1 to 'Barrier' %(.*at least 1")
    assert.error_matches(function() eddy.Barrier() end,
      "bad argument #1 to 'Barrier' %(integer expected, got no value%)")
    assert.error_matches(function() eddy.Barrier(1.5) end, "bad argument #1 to 'Barrier'")
  end)

  it("refuses tasks of a second loop, and forgets those of a closed one #plain", function()
    local barrier = eddy.Barrier(2)
    local first = eddy.new_event_loop()
    first:create_task(barrier.wait, barrier)
    first:run_until_complete(function() turn() end)
    assert.error_matches(function() eddy.run(barrier.wait, barrier) end, "another loop")
    first:close()
    eddy.run(function()
      assert.same({ 0, 1 }, results(arrive(barrier, 2)))
    end)
  end)
end)
