-- Condition: waiting for news about what a lock protects.

local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

local turn = testing.checkpoint

local function waiter(condition, log, name)
  return eddy.create_task(function()
    local _ <close> = condition:hold()
    condition:wait()
    assert.is_true(condition:locked())
    log[#log + 1] = name
  end)
end

local function outcome(task)
  local ok, err = pcall(eddy.await, task)
  return ok and "ended" or eddy.is_error(err, eddy.CancelledError) and "cancelled" or err
end

local function notify(condition, n)
  local _ <close> = condition:hold()
  condition:notify(n)
end

describe("eddy.Condition", function()
  it("wakes the one who has waited longest", function()
    local condition, log = eddy.Condition(), {}
    local tasks = {}
    for i = 1, 3 do tasks[i] = waiter(condition, log, i) end
    turn(2)
    for i = 1, 3 do
      notify(condition)
      turn(3)
      assert.equal(i, #log)
    end
    assert.same({ 1, 2, 3 }, log)
    eddy.gather(tasks)
  end)

  it("wakes as many as it is told to, or all", function()
    local condition, log = eddy.Condition(), {}
    local tasks = {}
    for i = 1, 6 do tasks[i] = waiter(condition, log, i) end
    turn(2)
    notify(condition, 2)
    turn(4)
    assert.same({ 1, 2 }, log)
    notify(condition, 0)
    turn(4)
    assert.same({ 1, 2 }, log)
    condition:with(condition.notify_all, condition)
    eddy.gather(tasks)
    assert.same({ 1, 2, 3, 4, 5, 6 }, log)
  end)

  it("does not remember a notification that nobody was there for", function()
    local condition, log = eddy.Condition(), {}
    notify(condition)
    local task = waiter(condition, log, 1)
    turn(4)
    assert.same({}, log)
    notify(condition)
    eddy.await(task)
  end)

  it("releases the lock while it waits, and has it again when it returns", function()
    local condition, log = eddy.Condition(), {}
    local task = waiter(condition, log, "waiter")
    turn(2)
    assert.is_false(condition:locked())
    condition:acquire()
    condition:notify()
    turn(3)
    assert.same({}, log)       -- the lock is ours
    condition:release()
    eddy.await(task)
    assert.same({ "waiter" }, log)
  end)

  it("raises when its lock is not held", function()
    local condition = eddy.Condition()
    for _, name in ipairs { "wait", "notify", "notify_all" } do
      calls.raised_as(eddy.RuntimeError, condition[name], condition)
    end
    calls.raised_as(eddy.RuntimeError, condition.wait_for, condition, function() return true end)
  end)

  it("shares a lock with others", function()
    local lock = eddy.Lock()
    local full, empty = eddy.Condition(lock), eddy.Condition(lock)
    lock:acquire()
    assert.is_true(full:locked())
    full:notify()
    empty:notify_all()
    empty:release()
    assert.is_false(lock:locked())
  end)

  it("has the lock again before a cancellation leaves wait", function()
    local condition, held = eddy.Condition(), nil
    local task = eddy.create_task(function()
      condition:acquire()
      local ok, err = pcall(condition.wait, condition)
      held = condition:locked()
      condition:release()
      if not ok then error(err, 0) end
    end)
    turn()
    condition:acquire()
    task:cancel()
    turn(3)
    assert.is_nil(held)
    condition:release()
    assert.equal("cancelled", outcome(task))
    assert.is_true(held)
    assert.is_false(condition:locked())
  end)

  it("is patient with repeated cancellations, and raises the last one", function()
    local condition = eddy.Condition()
    local got, held
    local task = eddy.create_task(function()
      condition:acquire()
      local _, err = pcall(condition.wait, condition)
      got, held = err, condition:locked()
      condition:release()
    end)
    turn()
    condition:acquire()
    for i = 1, 3 do
      task:cancel("number " .. i)
      turn()
    end
    assert.is_nil(got)
    condition:release()
    eddy.await(task)
    assert.is_true(eddy.is_error(got, eddy.CancelledError))
    assert.equal("number 3", got.message)
    assert.is_true(held)
    assert.equal(3, task:cancelling())
  end)

  it("keeps its place in the line for the lock when it is cancelled there", function()
    local condition, log = eddy.Condition(), {}
    local task = eddy.create_task(function()
      condition:acquire()
      pcall(condition.wait, condition)
      log[#log + 1] = "waiter"
      condition:release()
    end)
    turn()
    condition:acquire()
    task:cancel()
    turn()
    local other = eddy.create_task(function()
      condition:acquire()
      log[#log + 1] = "other"
      condition:release()
    end)
    turn()
    task:cancel()
    turn()
    condition:release()
    eddy.await(other)
    assert.same({ "waiter", "other" }, log)
  end)

  it("passes a notification on when the one who got it is cancelled before it runs", function()
    local condition, log = eddy.Condition(), {}
    local first, second = waiter(condition, log, 1), waiter(condition, log, 2)
    turn(2)
    notify(condition)
    first:cancel()
    assert.equal("cancelled", outcome(first))
    eddy.await(second)
    assert.same({ 2 }, log)
  end)

  it("passes a notification on when the one who got it is cancelled in the line for the lock", function()
    local condition, log = eddy.Condition(), {}
    local first, second = waiter(condition, log, 1), waiter(condition, log, 2)
    turn(2)
    condition:acquire()
    condition:notify()
    turn(2)
    first:cancel()
    turn(2)
    condition:release()
    assert.equal("cancelled", outcome(first))
    eddy.await(second)
    assert.same({ 2 }, log)
  end)

  it("notifies the next when the first has been cancelled before", function()
    local condition, log = eddy.Condition(), {}
    local first, second = waiter(condition, log, 1), waiter(condition, log, 2)
    turn(2)
    condition:acquire()
    first:cancel()
    condition:notify()
    condition:release()
    assert.equal("cancelled", outcome(first))
    eddy.await(second)
    assert.same({ 2 }, log)
  end)

  it("leaves the others asleep when one is cancelled that nobody has notified", function()
    local condition, log = eddy.Condition(), {}
    local first, second = waiter(condition, log, 1), waiter(condition, log, 2)
    turn(2)
    first:cancel()
    assert.equal("cancelled", outcome(first))
    turn(3)
    assert.same({}, log)
    assert.equal("<Condition unlocked, waiters:1>", tostring(condition))
    notify(condition)
    eddy.await(second)
  end)

  it("runs out of time with the lock in its hand #virtual", function()
    local condition = eddy.Condition()
    local start = eddy.time()
    condition:acquire()
    calls.raised_as(eddy.TimeoutError, eddy.timeout, 5, condition.wait, condition)
    assert.is_true(condition:locked())
    assert.is_true(math.abs(eddy.time() - start - 5) < 1e-6)
    condition:release()
  end)

  it("shows its state", function()
    local condition, log = eddy.Condition(), {}
    assert.equal("<Condition unlocked>", tostring(condition))
    local task = waiter(condition, log, 1)
    turn()
    assert.equal("<Condition unlocked, waiters:1>", tostring(condition))
    assert.matches("waiting in Condition:wait", tostring(task))
    condition:acquire()
    assert.equal("<Condition locked, waiters:1>", tostring(condition))
    condition:notify()
    condition:release()
    eddy.await(task)
  end)

  it("names the argument that is wrong", function()
    assert.error_matches(function() eddy.Condition({}) end,
      "bad argument #1 to 'Condition' %(Lock expected, got table%)")
    assert.error_matches(function() eddy.Condition(eddy.Semaphore()) end, "Lock expected, got Semaphore")
    local condition = eddy.Condition()
    condition:acquire()
    assert.error_matches(function() condition:notify("all") end,
      "bad argument #1 to 'notify' %(integer expected, got string")
    assert.error_matches(function() condition:wait_for(true) end, "bad argument #1 to 'wait_for' %(function expected")
    assert.is_true(condition:locked())
  end)
end)

describe("condition:wait_for", function()
  it("does not wait when the predicate is true, and returns what it returns", function()
    local condition, ran = eddy.Condition(), false
    local task = eddy.create_task(function() ran = true end)
    condition:acquire()
    assert.same({ "yes", nil, 3, n = 3 }, table.pack(condition:wait_for(function() return "yes", nil, 3 end)))
    assert.is_false(ran)
    eddy.await(task)
  end)

  it("asks again after every notification, with the lock held", function()
    local condition, value, asked, held = eddy.Condition(), 0, 0, true
    local task = eddy.create_task(function()
      condition:acquire()
      local result = condition:wait_for(function()
        asked = asked + 1
        held = held and condition:locked()
        return value >= 3 and value
      end)
      condition:release()
      return result
    end)
    turn()
    for i = 1, 3 do
      condition:acquire()
      value = i
      condition:notify()
      condition:release()
      turn(2)
    end
    assert.equal(3, eddy.await(task))
    assert.equal(4, asked)
    assert.is_true(held)
  end)

  it("lets the predicate wait", function()
    local condition = eddy.Condition()
    condition:acquire()
    assert.equal("late", condition:wait_for(function() return eddy.sleep(0, "late") end))
    condition:release()
  end)

  it("passes on what the predicate raises, with the lock held", function()
    local condition, reason = eddy.Condition(), {}
    condition:acquire()
    local err = calls.raised(condition.wait_for, condition, function() error(reason) end)
    assert.equal(reason, err)
    assert.is_true(condition:locked())
  end)
end)

describe("a Condition and loops #plain", function()
  it("is waited for in one loop at a time, and keeps the lock where it refuses", function()
    local condition = eddy.Condition()
    local first = eddy.new_event_loop()
    local task = first:create_task(condition.with, condition, condition.wait, condition)
    first:run_until_complete(function() turn() end)
    eddy.run(function()
      condition:acquire()
      assert.error_matches(function() condition:wait() end, "another loop")
      assert.is_true(condition:locked())
      condition:notify()
      condition:release()
    end)
    assert.is_true(first:run_until_complete(task))
    first:close()
  end)
end)
