-- Event: a flag that tasks can wait for.

local eddy = require "eddy"
local testing = require "eddy.testing"

local turn = testing.checkpoint

local function waiter(event, log, name)
  return eddy.create_task(function()
    local result = event:wait()
    log[#log + 1] = { name, result }
  end)
end

describe("eddy.Event", function()
  it("is not set when it is new, and remembers what was said last", function()
    local event = eddy.Event()
    assert.is_false(event:is_set())
    event:set()
    event:set()
    assert.is_true(event:is_set())
    event:clear()
    assert.is_false(event:is_set())
  end)

  it("is waited for without suspending when it is set", function()
    local event, ran = eddy.Event(), false
    event:set()
    local task = eddy.create_task(function() ran = true end)
    assert.is_true(event:wait())
    assert.is_false(ran)
    eddy.await(task)
  end)

  it("wakes all who wait, in the order in which they came", function()
    local event, log = eddy.Event(), {}
    local tasks = {}
    for i = 1, 3 do tasks[i] = waiter(event, log, i) end
    turn(3)
    assert.same({}, log)
    event:set()
    eddy.gather(tasks)
    assert.same({ { 1, true }, { 2, true }, { 3, true } }, log)
  end)

  it("wakes all who wait even if it is cleared at once", function()
    local event, log = eddy.Event(), {}
    local tasks = { waiter(event, log, 1), waiter(event, log, 2) }
    turn()
    event:set()
    event:clear()
    eddy.gather(tasks)
    assert.equal(2, #log)
  end)

  it("makes those wait who come after it was cleared", function()
    local event, log = eddy.Event(), {}
    event:set()
    event:clear()
    local task = waiter(event, log, 1)
    turn(3)
    assert.same({}, log)
    event:set()
    eddy.await(task)
  end)

  it("forgets a waiter that is cancelled", function()
    local event, log = eddy.Event(), {}
    local first, second = waiter(event, log, 1), waiter(event, log, 2)
    turn()
    first:cancel()
    assert.equal("<Event unset, waiters:1>", tostring(event))
    event:set()
    assert.has_error(function() eddy.await(first) end)
    eddy.await(second)
    assert.same({ { 2, true } }, log)
  end)

  it("cancels a waiter that was woken and cancelled in one turn", function()
    local event, log = eddy.Event(), {}
    local task = waiter(event, log, 1)
    turn()
    event:set()
    task:cancel()
    turn()
    assert.is_true(task:cancelled())
    assert.same({}, log)
  end)

  it("is set from a callback", function()
    local event = eddy.Event()
    eddy.get_running_loop():call_soon(event.set, event)
    assert.is_true(event:wait())
  end)

  it("shows its state", function()
    local event = eddy.Event()
    assert.equal("<Event unset>", tostring(event))
    event:set()
    assert.equal("<Event set>", tostring(event))
  end)

  it("names the argument that is wrong", function()
    assert.error_matches(function() eddy.Event().set(1) end, "bad argument #1 to 'set' %(Event expected, got number%)")
  end)

  it("is waited for in a task only, and in one loop at a time #plain", function()
    local event = eddy.Event()
    assert.error_matches(function() event:wait() end, "'wait' needs a running task")
    local first = eddy.new_event_loop()
    local task = first:create_task(event.wait, event)
    first:run_until_complete(function() turn() end)
    assert.error_matches(function() eddy.run(event.wait, event) end, "another loop")
    event:set()
    assert.is_true(first:run_until_complete(task))
    first:close()
    assert.is_true(event:wait())   -- does not wait
  end)
end)
