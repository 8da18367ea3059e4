-- Semaphore and BoundedSemaphore: so many tasks at a time, first come, first served.

local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

local turn, cancelled = testing.checkpoint, calls.cancelled

local function taker(semaphore, log, name)
  return eddy.create_task(function()
    semaphore:acquire()
    log[#log + 1] = name
  end)
end

describe("eddy.Semaphore", function()
  it("has one permit unless it is told otherwise", function()
    local semaphore = eddy.Semaphore()
    assert.is_false(semaphore:locked())
    assert.is_true(semaphore:acquire())
    assert.is_true(semaphore:locked())
    assert.is_true(eddy.Semaphore(0):locked())
  end)

  it("gives its permits without suspending while there are any", function()
    local semaphore, ran = eddy.Semaphore(3), false
    local task = eddy.create_task(function() ran = true end)
    for _ = 1, 3 do semaphore:acquire() end
    assert.is_false(ran)
    assert.is_true(semaphore:locked())
    eddy.await(task)
  end)

  it("lets at most so many tasks in at once", function()
    local semaphore, inside, most = eddy.Semaphore(3), 0, 0
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = eddy.create_task(function()
        local _ <close> = semaphore:hold()
        inside = inside + 1
        most = math.max(most, inside)
        turn(i % 3 + 1)
        inside = inside - 1
      end)
    end
    eddy.gather(tasks)
    assert.equal(3, most)
    assert.equal("<Semaphore unlocked, value:3>", tostring(semaphore))
  end)

  it("hands a permit to the first in line at the release", function()
    local semaphore, log = eddy.Semaphore(1), {}
    semaphore:acquire()
    local tasks = { taker(semaphore, log, 1), taker(semaphore, log, 2) }
    turn()
    semaphore:release()
    assert.is_true(semaphore:locked())     -- it is not free for anybody else
    local third = taker(semaphore, log, 3)
    turn()
    assert.same({ 1 }, log)
    semaphore:release()
    semaphore:release()
    eddy.gather(tasks)
    eddy.await(third)
    assert.same({ 1, 2, 3 }, log)
  end)

  it("is locked for newcomers as long as somebody who came before has not run", function()
    local semaphore, log = eddy.Semaphore(0), {}
    local first = taker(semaphore, log, 1)
    turn()
    semaphore:release()
    semaphore:release()                    -- one for the first, one is free
    assert.is_true(semaphore:locked())
    semaphore:acquire()
    log[#log + 1] = 2
    assert.same({ 1, 2 }, log)
    eddy.await(first)
  end)

  it("takes a permit back when its receiver is cancelled before it runs", function()
    local semaphore, log = eddy.Semaphore(0), {}
    local first, second = taker(semaphore, log, 1), taker(semaphore, log, 2)
    turn()
    semaphore:release()
    first:cancel()
    assert.is_true(cancelled(first))
    eddy.await(second)
    assert.same({ 2 }, log)
    assert.is_true(semaphore:locked())
    semaphore:release()
    assert.is_false(semaphore:locked())
  end)

  it("gives nothing to a waiter that was cancelled before the release", function()
    local semaphore, log = eddy.Semaphore(0), {}
    local first, second = taker(semaphore, log, 1), taker(semaphore, log, 2)
    turn()
    first:cancel()
    semaphore:release()
    assert.is_true(cancelled(first))
    eddy.await(second)
    assert.same({ 2 }, log)
  end)

  it("loses no permit when all who were told are cancelled", function()
    local semaphore, log = eddy.Semaphore(0), {}
    local tasks = {}
    for i = 1, 4 do tasks[i] = taker(semaphore, log, i) end
    turn()
    for _ = 1, 4 do semaphore:release() end
    for i = 1, 4 do tasks[i]:cancel() end
    turn(2)
    assert.equal("<Semaphore unlocked, value:4>", tostring(semaphore))
    assert.same({}, log)
  end)

  it("takes more releases than acquires", function()
    local semaphore = eddy.Semaphore(0)
    semaphore:release()
    semaphore:release()
    assert.equal("<Semaphore unlocked, value:2>", tostring(semaphore))
  end)

  it("has scopes that release on errors and cancellations", function()
    local semaphore = eddy.Semaphore(2)
    assert.has_error(function()
      local _ <close> = semaphore:hold()
      local _ <close> = semaphore:hold()
      error("in the middle")
    end)
    assert.has_error(function() semaphore:with(error, "in the middle") end)
    local task = eddy.create_task(semaphore.with, semaphore, eddy.sleep, math.huge)
    turn()
    task:cancel()
    assert.is_true(cancelled(task))
    assert.equal("<Semaphore unlocked, value:2>", tostring(semaphore))
    assert.same({ 1, 2, n = 2 }, table.pack(semaphore:with(function(...) return ... end, 1, 2)))
  end)

  it("shows its state", function()
    local semaphore, log = eddy.Semaphore(1), {}
    assert.equal("<Semaphore unlocked, value:1>", tostring(semaphore))
    semaphore:acquire()
    assert.equal("<Semaphore locked>", tostring(semaphore))
    local task = taker(semaphore, log, 1)
    turn()
    assert.equal("<Semaphore locked, waiters:1>", tostring(semaphore))
    assert.matches("waiting in Semaphore:acquire", tostring(task))
    semaphore:release()
    eddy.await(task)
  end)

  it("names the argument that is wrong", function()
    assert.error_matches(function() eddy.Semaphore(-1) end, "bad argument #1 to 'Semaphore' %(.*less than 0")
    assert.error_matches(function() eddy.Semaphore("2") end,
      "bad argument #1 to 'Semaphore' %(integer expected, got string")
    assert.error_matches(function() eddy.Semaphore(1.5) end, "bad argument #1 to 'Semaphore' %(number has no integer")
    assert.error_matches(function() eddy.BoundedSemaphore(-1) end, "bad argument #1 to 'BoundedSemaphore'")
  end)
end)

describe("eddy.BoundedSemaphore", function()
  it("refuses a release too many, and stays as it is", function()
    local semaphore = eddy.BoundedSemaphore(2)
    semaphore:acquire()
    semaphore:release()
    calls.raised_as(eddy.RuntimeError, semaphore.release, semaphore)
    assert.equal("<BoundedSemaphore unlocked, value:2>", tostring(semaphore))
  end)

  it("gets a permit back from who was cancelled after it was handed out", function()
    local semaphore, log = eddy.BoundedSemaphore(1), {}
    semaphore:acquire()
    local task = taker(semaphore, log, 1)
    turn()
    semaphore:release()
    task:cancel()
    assert.is_true(cancelled(task))
    assert.equal("<BoundedSemaphore unlocked, value:1>", tostring(semaphore))
  end)
end)

describe("a Semaphore and loops #plain", function()
  it("is used without a loop while it need not wait", function()
    local semaphore = eddy.Semaphore(1)
    assert.is_true(semaphore:acquire())
    assert.error_matches(function() semaphore:acquire() end, "'acquire' needs a running task")
    semaphore:release()
  end)

  it("gets back the permits of tasks that were left behind by a loop that is closed", function()
    local semaphore = eddy.Semaphore(0)
    local first = eddy.new_event_loop()
    for _ = 1, 3 do first:create_task(semaphore.acquire, semaphore) end
    first:run_until_complete(function() turn() end)
    semaphore:release()
    semaphore:release()   -- handed to two of them, which never run
    assert.error_matches(function() eddy.run(semaphore.acquire, semaphore) end, "another loop")
    first:close()
    eddy.run(function()
      semaphore:acquire()
      semaphore:acquire()
      assert.is_true(semaphore:locked())
    end)
  end)
end)
