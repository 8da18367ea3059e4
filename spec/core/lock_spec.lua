-- Lock: one task at a time, first come, first served.

local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

local turn, cancelled = testing.checkpoint, calls.cancelled

-- Starts a task that notes its name when it has the lock, and keeps it for a turn.
local function contender(lock, log, name)
  return eddy.create_task(function()
    lock:acquire()
    log[#log + 1] = name
    turn()
    lock:release()
  end)
end

describe("eddy.Lock", function()
  it("is taken without suspending when it is free", function()
    local lock, ran = eddy.Lock(), false
    local task = eddy.create_task(function() ran = true end)
    assert.is_false(lock:locked())
    assert.is_true(lock:acquire())
    assert.is_true(lock:locked())
    assert.is_false(ran)
    eddy.await(task)
  end)

  it("is given to those who wait in the order in which they came", function()
    local lock, log = eddy.Lock(), {}
    lock:acquire()
    local tasks = {}
    for i = 1, 5 do tasks[i] = contender(lock, log, i) end
    turn(3)
    assert.same({}, log)
    lock:release()
    eddy.gather(tasks)
    assert.same({ 1, 2, 3, 4, 5 }, log)
    assert.is_false(lock:locked())
  end)

  it("cannot be released when nobody holds it", function()
    local lock = eddy.Lock()
    calls.raised_as(eddy.RuntimeError, lock.release, lock)
    assert.is_false(lock:locked())
  end)

  it("may be released by another task than its holder, as it has no owner", function()
    local lock = eddy.Lock()
    lock:acquire()
    eddy.await(eddy.create_task(lock.release, lock))
    assert.is_false(lock:locked())
  end)

  it("is not taken by who comes while another one has been told that it is free", function()
    local lock, log = eddy.Lock(), {}
    lock:acquire()
    local waiter = contender(lock, log, "waiter")
    turn()
    lock:release()
    assert.is_false(lock:locked())    -- nobody has it yet
    lock:acquire()                    -- but it is promised, so this waits behind
    log[#log + 1] = "barger"
    assert.same({ "waiter", "barger" }, log)
    lock:release()
    eddy.await(waiter)
  end)

  it("cannot be released twice for one who was told", function()
    local lock, log = eddy.Lock(), {}
    lock:acquire()
    local waiter = contender(lock, log, "waiter")
    turn()
    lock:release()
    assert.has_error(function() lock:release() end)
    eddy.await(waiter)
    assert.same({ "waiter" }, log)
  end)

  it("is no affair any more of a waiter that was cancelled", function()
    local lock, log = eddy.Lock(), {}
    lock:acquire()
    local first, second = contender(lock, log, 1), contender(lock, log, 2)
    turn()
    first:cancel()
    lock:release()
    assert.is_true(cancelled(first))
    eddy.await(second)
    assert.same({ 2 }, log)
  end)

  it("goes on to the next when the one who was told is cancelled before it runs", function()
    local lock, log = eddy.Lock(), {}
    lock:acquire()
    local first, second = contender(lock, log, 1), contender(lock, log, 2)
    turn()
    lock:release()
    first:cancel()
    assert.is_true(cancelled(first))
    eddy.await(second)
    assert.same({ 2 }, log)
    assert.is_false(lock:locked())
  end)

  it("is free again when all who were told are cancelled before they run", function()
    local lock, log = eddy.Lock(), {}
    lock:acquire()
    local first, second = contender(lock, log, 1), contender(lock, log, 2)
    turn()
    lock:release()
    first:cancel()
    second:cancel()
    assert.is_true(cancelled(first))
    assert.is_true(cancelled(second))
    assert.is_false(lock:locked())
    assert.is_true(lock:acquire())
  end)

  it("is kept by a waiter that takes its cancellation back in the same turn", function()
    local lock, log = eddy.Lock(), {}
    lock:acquire()
    local waiter = contender(lock, log, 1)
    turn()
    lock:release()
    waiter:cancel()
    waiter:uncancel()
    eddy.await(waiter)
    assert.same({ 1 }, log)
  end)

  it("lets a wait run out of time #virtual", function()
    local lock = eddy.Lock()
    lock:acquire()
    calls.raised_as(eddy.TimeoutError, eddy.timeout, 5, lock.acquire, lock)
    lock:release()
    assert.is_true(lock:acquire())
  end)

  it("shows its state", function()
    local lock, log = eddy.Lock(), {}
    assert.equal("<Lock unlocked>", tostring(lock))
    lock:acquire()
    assert.equal("<Lock locked>", tostring(lock))
    local tasks = { contender(lock, log, 1), contender(lock, log, 2) }
    turn()
    assert.equal("<Lock locked, waiters:2>", tostring(lock))
    assert.matches("waiting in Lock:acquire", tostring(tasks[1]))
    lock:release()
    assert.equal("<Lock unlocked, waiters:2>", tostring(lock))
    eddy.gather(tasks)
    assert.equal("<Lock unlocked>", tostring(lock))
  end)

  it("names the argument that is wrong", function()
    assert.error_matches(function() eddy.Lock().acquire({}) end, "bad argument #1 to 'acquire' %(.*, got table%)")
    assert.error_matches(function() eddy.Lock():with(7) end,
      "bad argument #1 to 'with' %(function expected, got number%)")
  end)
end)

describe("lock:hold", function()
  it("holds the lock to the end of the scope", function()
    local lock = eddy.Lock()
    do
      local _ <close> = lock:hold()
      assert.is_true(lock:locked())
    end
    assert.is_false(lock:locked())
  end)

  it("releases on an error, on break and on return", function()
    local lock = eddy.Lock()
    local reason = {}
    local ok, err = pcall(function()
      local _ <close> = lock:hold()
      error(reason)
    end)
    assert.is_false(ok)
    assert.equal(reason, err)
    assert.is_false(lock:locked())
    for i = 1, 2 do
      local _ <close> = lock:hold()
      if i == 1 then break end
    end
    assert.is_false(lock:locked())
    assert.equal(7, (function()
      local _ <close> = lock:hold()
      return 7
    end)())
    assert.is_false(lock:locked())
  end)

  it("releases when the task is cancelled inside the scope", function()
    local lock = eddy.Lock()
    local task = eddy.create_task(function()
      local _ <close> = lock:hold()
      eddy.sleep(math.huge)
    end)
    turn()
    assert.is_true(lock:locked())
    task:cancel()
    assert.is_true(cancelled(task))
    assert.is_false(lock:locked())
  end)

  it("waits for its turn, and releases nothing when it is cancelled meanwhile", function()
    local lock = eddy.Lock()
    local _ <close> = lock:hold()
    local task = eddy.create_task(function()
      local _ <close> = lock:hold()
    end)
    turn()
    task:cancel()
    assert.is_true(cancelled(task))
    assert.is_true(lock:locked())
  end)

  it("is needed: a lock as such is no closing value", function()
    local ok, err = pcall(function()
      local _ <close> = eddy.Lock()
    end)
    assert.is_false(ok)
    assert.matches("non%-closable", err)
  end)
end)

describe("lock:with", function()
  it("calls the function with its arguments while it holds the lock, and returns its results", function()
    local lock = eddy.Lock()
    local function f(...)
      assert.is_true(lock:locked())
      eddy.sleep(0)
      return select("#", ...), nil, ..., nil
    end
    assert.same({ 3, nil, "a", nil, n = 4 }, table.pack(lock:with(f, "a", nil, "c")))
    assert.is_false(lock:locked())
  end)

  it("runs one at a time", function()
    local lock, inside, most = eddy.Lock(), 0, 0
    local function f(i)
      inside = inside + 1
      most = math.max(most, inside)
      turn(2)
      inside = inside - 1
      return i
    end
    local tasks = {}
    for i = 1, 4 do tasks[i] = eddy.create_task(lock.with, lock, f, i) end
    assert.same({ 1, 2, 3, 4, n = 4 }, eddy.gather(tasks))
    assert.equal(1, most)
  end)

  it("releases on an error, which it passes on as it is", function()
    local lock, reason = eddy.Lock(), {}
    local err = calls.raised(lock.with, lock, error, reason)
    assert.equal(reason, err)
    assert.is_false(lock:locked())
  end)

  it("releases when its function is cancelled", function()
    local lock = eddy.Lock()
    local task = eddy.create_task(lock.with, lock, eddy.sleep, math.huge)
    turn()
    assert.is_true(lock:locked())
    task:cancel()
    assert.is_true(cancelled(task))
    assert.is_false(lock:locked())
  end)

  it("does not call the function when the wait for the lock is cancelled", function()
    local lock, called = eddy.Lock(), false
    lock:acquire()
    local task = eddy.create_task(lock.with, lock, function() called = true end)
    turn()
    lock:release()
    task:cancel()
    assert.is_true(cancelled(task))
    assert.is_false(called)
    assert.is_false(lock:locked())
  end)

  it("runs an async function", function()
    local lock = eddy.Lock()
    assert.equal("done", lock:with(eddy.async(function() return eddy.sleep(0, "done") end)))
  end)
end)

describe("a Lock outside of tasks #plain", function()
  it("is taken when it is free; waiting for it needs a task", function()
    local lock = eddy.Lock()
    assert.is_true(lock:acquire())
    local err = calls.raised_as(eddy.RuntimeError, lock.acquire, lock)
    assert.matches("'acquire' needs a running task", tostring(err))
    lock:release()
    assert.equal(3, lock:with(function() return 3 end))
  end)

  it("serves one loop after the other", function()
    local lock = eddy.Lock()
    for _ = 1, 2 do
      eddy.run(function()
        local log = {}
        eddy.gather(contender(lock, log, 1), contender(lock, log, 2))
        assert.same({ 1, 2 }, log)
      end)
    end
  end)

  it("refuses to be waited for in a second loop while tasks of the first wait", function()
    local lock, log = eddy.Lock(), {}
    lock:acquire()
    local first = eddy.new_event_loop()
    local task = first:create_task(function()
      lock:acquire()
      log[#log + 1] = "first"
    end)
    first:run_until_complete(function() turn() end)
    local err = calls.raised_as(eddy.RuntimeError, eddy.run, lock.acquire, lock)
    assert.matches("another loop", tostring(err))
    lock:release()
    first:run_until_complete(task)
    assert.same({ "first" }, log)
    first:close()
  end)

  it("forgets tasks that were left behind by a loop that is closed", function()
    local lock = eddy.Lock()
    lock:acquire()
    local first = eddy.new_event_loop()
    for _ = 1, 2 do first:create_task(lock.acquire, lock) end
    first:run_until_complete(function() turn() end)
    lock:release()   -- the first of them is told, and never runs
    first:close()
    eddy.run(function()
      assert.is_true(lock:acquire())
      local log = {}
      local task = contender(lock, log, 1)
      turn()
      lock:release()
      eddy.await(task)
      assert.same({ 1 }, log)
    end)
  end)
end)

describe("a task whose coroutine a script closes while it waits", function()
  -- Starts a task that waits, closes its coroutine, and ends it. Returns the task.
  local function close_in(wait, ...)
    local co
    local task = eddy.create_task(function(...)
      co = coroutine.running()
      wait(...)
    end, ...)
    turn()
    coroutine.close(co)
    return task
  end

  local function fails(task)
    local ok, err = pcall(eddy.await, task)
    return not ok and eddy.is_error(err, eddy.RuntimeError)
  end

  it("leaves a lock to the others, told or not", function()
    local lock, log = eddy.Lock(), {}
    lock:acquire()
    local lost = close_in(lock.acquire, lock)
    lock:release()
    assert.is_true(fails(lost))
    local tasks = { contender(lock, log, 1), contender(lock, log, 2) }
    eddy.gather(tasks)
    assert.same({ 1, 2 }, log)
  end)

  it("leaves a lock to the others that it was told of and did not take any more", function()
    local lock, log, co = eddy.Lock(), {}, nil
    lock:acquire()
    local lost = eddy.create_task(function()
      co = coroutine.running()
      lock:acquire()
    end)
    turn()
    lock:release()
    coroutine.close(co)
    assert.is_true(fails(lost))
    eddy.await(contender(lock, log, 1))
    assert.same({ 1 }, log)
    assert.is_false(lock:locked())
  end)

  it("leaves a queue, a barrier, an event and a condition to the others", function()
    local queue, barrier, event, condition = eddy.Queue(), eddy.Barrier(2), eddy.Event(), eddy.Condition()
    local lost = {
      close_in(queue.get, queue), close_in(barrier.wait, barrier), close_in(event.wait, event),
      close_in(condition.with, condition, condition.wait, condition),
    }
    for _, task in ipairs(lost) do
      task:cancel()
      fails(task)
    end
    queue:put(1)
    assert.equal(1, queue:get())
    local other = eddy.create_task(barrier.wait, barrier)
    turn()
    assert.equal(1, barrier.n_waiting)
    barrier:wait()
    assert.equal(0, eddy.await(other))
    event:set()
    condition:acquire()
    condition:notify_all()
  end)

  it("may be the last who knew of it", function()
    local lost = {}
    for i, name in ipairs { "Lock", "Semaphore", "Event", "Condition", "Barrier", "Queue", "PriorityQueue" } do
      lost[i] = close_in(function()
        local object = eddy[name](name == "Barrier" and 2 or nil)
        if object.acquire then object:acquire() end
        local wait = name == "Condition" and object.wait or object.acquire or object.wait or object.get
        wait(object)
      end)
    end
    collectgarbage()
    collectgarbage()
    for _, task in ipairs(lost) do
      task:cancel()
      assert.is_true(fails(task))
    end
  end)
end)
