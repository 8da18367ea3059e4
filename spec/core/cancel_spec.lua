-- How a request to stop reaches a task: cancel, cancelling, uncancel; timeout scopes, move_on_after, eddy.pcall.

local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

local raised, bad_argument, closing = calls.raised_as, calls.bad_argument, calls.closing

-- A task that runs f and has come to its first wait.
local started = calls.started

local function cancelling() return eddy.current_task():cancelling() end

describe("task:cancel #virtual", function()
  it("returns true, and counts, while the task lives", function()
    local task = started(eddy.sleep, 1)
    assert.equal(0, task:cancelling())
    assert.is_true(task:cancel())
    assert.equal(1, task:cancelling())
    assert.is_false(task:cancelled())   -- not before the body has ended with it
    assert.is_false(task:done())
    eddy.sleep(0)
    assert.is_true(task:cancelled())
    assert.is_true(task:done())
  end)

  it("returns false when the task is done, and does not count", function()
    local done, failed, cancelled = started(function() return 1 end), started(error, "e"), started(eddy.sleep, 1)
    cancelled:cancel()
    eddy.sleep(0)
    for _, task in ipairs { done, failed, cancelled } do
      local before = task:cancelling()
      assert.is_false(task:cancel())
      assert.equal(before, task:cancelling())
    end
    assert.equal(1, done:result())
    assert.matches("e$", failed:exception())
  end)

  it("before the first step: the body never runs", function()
    local ran = false
    local task = eddy.create_task(function() ran = true end)
    assert.is_true(task:cancel("too early"))
    assert.is_false(task:done())
    eddy.sleep(0)
    assert.is_true(task:cancelled())
    assert.is_false(ran)
    assert.equal("too early", raised(eddy.CancelledError, task.result, task).message)
  end)

  it("raises CancelledError at the wait, with its message of any type", function()
    for _, message in ipairs { "text", 42, false, { "table" } } do
      local task = started(function() return raised(eddy.CancelledError, eddy.sleep, 1) end)
      task:cancel(message)
      assert.equal(message, eddy.await(task).message)
    end
  end)

  it("without a message raises one that has none", function()
    local task = started(eddy.sleep, 1)
    task:cancel()
    local err = raised(eddy.CancelledError, eddy.await, task)
    assert.is_nil(err.message)
    assert.equal("CancelledError", tostring(err))
  end)

  it("gives whoever awaits the task the same error", function()
    local seen
    local task = started(function()
      seen = raised(eddy.CancelledError, eddy.sleep, 1)
      error(seen, 0)
    end)
    task:cancel("m")
    local err = raised(eddy.CancelledError, eddy.await, task)
    assert.is_true(rawequal(seen, err))
    assert.is_true(rawequal(err, raised(eddy.CancelledError, task.result, task)))
    assert.is_true(rawequal(err, raised(eddy.CancelledError, task.exception, task)))
  end)

  it("twice before it is delivered arrives as one CancelledError, but counts 2", function()
    local errors = 0
    local task = started(function()
      for _ = 1, 3 do
        if not pcall(eddy.sleep, 1) then errors = errors + 1 end
      end
      return cancelling()
    end)
    task:cancel()
    task:cancel()
    assert.equal(2, eddy.await(task))
    assert.equal(1, errors)
  end)

  it("twice before it is delivered: the first message arrives if the task was waiting", function()
    local task = started(eddy.sleep, 1)
    task:cancel("first")
    task:cancel("second")
    assert.equal("first", raised(eddy.CancelledError, eddy.await, task).message)
  end)

  it("twice before it is delivered: the last message arrives if the task was not waiting", function()
    local new = eddy.create_task(function() end)
    new:cancel("first")
    new:cancel("last")
    assert.equal("last", raised(eddy.CancelledError, eddy.await, new).message)

    local running = eddy.create_task(function()
      eddy.current_task():cancel("first")
      eddy.current_task():cancel("last")
      eddy.sleep(1)
    end)
    assert.equal("last", raised(eddy.CancelledError, eddy.await, running).message)

    local ready = started(eddy.sleep, 0)
    ready:cancel("first")
    ready:cancel("last")
    assert.equal("last", raised(eddy.CancelledError, eddy.await, ready).message)
  end)

  it("is edge-triggered: a body that swallows it goes on, can wait again, and its result stands", function()
    local task = started(function()
      raised(eddy.CancelledError, eddy.sleep, 10)
      eddy.sleep(1)
      eddy.sleep(1)
      return "survived", cancelling()
    end)
    task:cancel()
    local result, count = eddy.await(task)
    assert.equal("survived", result)
    assert.equal(1, count)   -- stays until uncancel
    assert.equal(2, eddy.time())
    assert.is_false(task:cancelled())
    assert.equal(1, task:cancelling())
  end)

  it("from inside takes effect at the next suspension", function()
    local log = {}
    local task = eddy.create_task(function()
      assert.is_true(eddy.current_task():cancel("self"))
      table.insert(log, "still running")
      local err = raised(eddy.CancelledError, eddy.sleep, 1)
      table.insert(log, err.message)
      error(err, 0)
    end)
    raised(eddy.CancelledError, eddy.await, task)
    assert.same({ "still running", "self" }, log)
    assert.equal(0, eddy.time())
  end)

  it("from inside is not delivered by what does not suspend", function()
    local future = eddy.get_running_loop():create_future()
    future:set_result("done")
    local task = eddy.create_task(function()
      eddy.current_task():cancel()
      local result = eddy.await(future)
      raised(eddy.CancelledError, eddy.sleep, 0)
      return result
    end)
    assert.equal("done", eddy.await(task))
  end)

  it("from inside: if the body returns first, the task ends cancelled and the value is lost", function()
    local task = eddy.create_task(function()
      eddy.current_task():cancel("self")
      return "lost"
    end)
    assert.equal("self", raised(eddy.CancelledError, eddy.await, task).message)
    assert.is_true(task:cancelled())
  end)

  it("from inside: if the body raises first, the task has failed", function()
    local task = eddy.create_task(function()
      eddy.current_task():cancel()
      error("boom", 0)
    end)
    assert.same({ false, "boom" }, { pcall(eddy.await, task) })
    assert.is_false(task:cancelled())
  end)

  it("passes on to the task that is awaited, and keeps waiting for it", function()
    local inner = started(function()
      raised(eddy.CancelledError, eddy.sleep, 10)
      eddy.sleep(2)
      error(eddy.CancelledError("inner's own"))
    end)
    local outer = started(eddy.await, inner)
    outer:cancel("stop")
    assert.equal(1, inner:cancelling())
    eddy.sleep(1)
    assert.is_false(outer:done())
    eddy.sleep(2)
    assert.is_true(inner:cancelled())
    assert.is_true(outer:cancelled())
    assert.equal("inner's own", raised(eddy.CancelledError, eddy.await, outer).message)
  end)

  it("may be refused by the task that is awaited: then the one that waits gets its result", function()
    local inner = started(function()
      pcall(eddy.sleep, 10)
      return "refused"
    end)
    local outer = started(function() return eddy.await(inner), cancelling() end)
    outer:cancel()
    assert.same({ "refused", 1 }, { eddy.await(outer) })
  end)

  it("reaches through a chain of awaits of any length", function()
    local log = {}
    local task = eddy.create_task(function()
      local _ <close> = closing(function(err) table.insert(log, err.message) end)
      eddy.sleep(100)
    end)
    local tasks = { task }
    for i = 1, 1000 do
      local inner = task
      task = eddy.create_task(function() return eddy.await(inner) end)
      tasks[i + 1] = task
    end
    eddy.sleep(1)
    task:cancel("far")
    raised(eddy.CancelledError, eddy.await, task)
    assert.same({ "far" }, log)
    for _, each in ipairs(tasks) do assert.equal(1, each:cancelling()) end
  end)

  it("that comes on two ways at once counts twice and arrives once", function()
    local errors = 0
    local inner = started(function()
      for _ = 1, 2 do
        if not pcall(eddy.sleep, 1) then errors = errors + 1 end
      end
      return cancelling()
    end)
    local a, b = eddy.create_task(inner.await, inner), eddy.create_task(inner.await, inner)
    local outer = eddy.create_task(eddy.gather, a, b)
    eddy.sleep(0.5)
    outer:cancel()
    assert.equal(2, eddy.await(inner))
    assert.equal(1, errors)
    pcall(eddy.await, outer)
  end)

  it("of a task and of what it waits for, in one request, is not lost", function()
    local future = eddy.get_running_loop():create_future()
    local task = started(eddy.wait, { future })   -- which would return if the future alone were cancelled
    local outer = started(eddy.gather, task, future)
    outer:cancel()
    raised(eddy.CancelledError, eddy.await, outer)
    assert.is_true(future:cancelled())
    assert.is_true(task:cancelled())
  end)

  for size = 2, 4 do
    it(("of tasks that await each other in a ring of %d ends them"):format(size), function()
      local tasks, closed = {}, 0
      for i = 1, size do
        tasks[i] = eddy.create_task(function()
          local _ <close> = closing(function() closed = closed + 1 end)
          eddy.await(tasks[i % size + 1])
        end)
      end
      eddy.sleep(1)
      tasks[1]:cancel("break the ring")
      eddy.sleep(1)
      assert.equal(size, closed)
      for _, task in ipairs(tasks) do assert.is_true(task:cancelled()) end
    end)
  end

  it("of a task that waits for a ring ends the ring too, whoever else it reaches", function()
    local ring = {}
    for i = 1, 3 do ring[i] = eddy.create_task(function() eddy.await(ring[i % 3 + 1]) end) end
    local sleeper = eddy.create_task(eddy.sleep, 50)
    local waiter = started(eddy.await, ring[1])
    local outer = started(eddy.gather, { sleeper, waiter, ring[3] }, { return_exceptions = true })
    outer:cancel()
    raised(eddy.CancelledError, eddy.await, outer)
    assert.equal(0, eddy.time())
    for _, task in ipairs(ring) do assert.is_true(task:cancelled()) end
    assert.is_true(waiter:cancelled())
  end)

  it("ends two rings, and what hangs on both of them", function()
    local a, b, c, d
    a = eddy.create_task(function() eddy.await(b) end)
    b = eddy.create_task(function() eddy.await(a) end)
    c = eddy.create_task(function() eddy.gather(d, a) end)
    d = eddy.create_task(function() eddy.await(c) end)
    local outer = started(eddy.gather, a, d)
    eddy.sleep(1)
    outer:cancel()
    raised(eddy.CancelledError, eddy.await, outer)
    for _, task in ipairs { a, b, c, d } do assert.is_true(task:cancelled()) end
  end)

  it("interrupts cleanup code when it comes a second time", function()
    local log = {}
    local task = started(function()
      local _ <close> = closing(function(err)
        table.insert(log, err.message)
        table.insert(log, raised(eddy.CancelledError, eddy.sleep, 5).message)
        table.insert(log, cancelling())
      end)
      eddy.sleep(10)
    end)
    task:cancel("first")
    eddy.sleep(1)
    task:cancel("second")
    raised(eddy.CancelledError, eddy.await, task)
    assert.same({ "first", "second", 2 }, log)
    assert.equal(1, eddy.time())
  end)

  it("is replaced by another error that cleanup raises: the task has failed", function()
    local task = started(function()
      local _ <close> = closing(function() error("cleanup failed", 0) end)
      eddy.sleep(10)
    end)
    task:cancel()
    assert.same({ false, "cleanup failed" }, { pcall(eddy.await, task) })
    assert.is_false(task:cancelled())
    assert.equal("cleanup failed", task:exception())
  end)

  it("wins over a future that was settled in the same turn", function()
    local future = eddy.get_running_loop():create_future()
    local task = started(future.await, future)
    future:set_result("too late")
    task:cancel()
    raised(eddy.CancelledError, eddy.await, task)
    assert.equal("too late", future:result())
  end)

  it("wins over a future that was settled in the same turn, in wait_for too", function()
    local future = eddy.get_running_loop():create_future()
    local task = started(eddy.wait_for, future, 10)
    future:set_result("too late")
    task:cancel()
    raised(eddy.CancelledError, eddy.await, task)
    assert.equal("too late", future:result())
  end)

  it("wins over a future that fails in the same turn", function()
    local future = eddy.get_running_loop():create_future()
    local task = started(future.await, future)
    future:set_exception("boom")
    task:cancel()
    raised(eddy.CancelledError, eddy.await, task)
    assert.equal("boom", future:exception())
  end)

  it("wins over a timer that falls due in the same turn", function()
    local task
    eddy.get_running_loop():call_later(1, function() task:cancel() end)
    task = started(eddy.sleep, 1, "slept")
    raised(eddy.CancelledError, eddy.await, task)
    assert.equal(1, eddy.time())
  end)

  it("of the task that is awaited does not count for the one that awaits: that tells the two apart", function()
    local inner = started(eddy.sleep, 10)
    local outer = started(function()
      local err = raised(eddy.CancelledError, eddy.await, inner)
      return err.message, cancelling()
    end)
    inner:cancel("inner only")
    assert.same({ "inner only", 0 }, { eddy.await(outer) })
  end)

  it("of both in one turn arrives once", function()
    local inner = started(eddy.sleep, 10)
    local outer = started(function()
      raised(eddy.CancelledError, eddy.await, inner)
      eddy.sleep(1)
      return "went on"
    end)
    inner:cancel()
    outer:cancel()
    assert.equal("went on", eddy.await(outer))
  end)

  it("of a future, then of the task that awaits it, in one turn arrives once", function()
    local future = eddy.get_running_loop():create_future()
    local task = started(function()
      local err = raised(eddy.CancelledError, eddy.await, future)
      return err.message, eddy.sleep(1, "went on")
    end)
    future:cancel("future")
    task:cancel("task")
    assert.same({ "future", "went on" }, { eddy.await(task) })
  end)

  it("from inside is delivered after a shield whose inner task was cancelled in the same turn as the outer", function()
    local inner = started(eddy.sleep, 10)
    local outer = started(function()
      raised(eddy.CancelledError, eddy.shield, inner)
      eddy.current_task():cancel("self")
      return raised(eddy.CancelledError, eddy.sleep, 1).message
    end)
    inner:cancel()
    outer:cancel()
    assert.equal("self", eddy.await(outer))
  end)

  for name, wait in pairs {
    await = function(f) f:await() end,
    ["await of a task"] = function() eddy.await(eddy.create_task(eddy.sleep, 5)) end,
    gather = function(f) eddy.gather(f, eddy.sleep) end,
    wait = function(f) eddy.wait { f } end,
    wait_for = function(f) eddy.wait_for(f, 5) end,
    shield = function(f) eddy.shield(f) end,
    as_completed = function(f) for _ in eddy.as_completed { f } do end end,
    ["sleep(0)"] = function() eddy.sleep(0) end,
  } do
    it("from inside is delivered by " .. name .. ", once", function()
      local future = eddy.get_running_loop():create_future()
      local task = eddy.create_task(function()
        eddy.current_task():cancel("self")
        local message = raised(eddy.CancelledError, wait, future).message
        return message, eddy.sleep(1, "went on")
      end)
      assert.same({ "self", "went on" }, { eddy.await(task) })
      assert.equal(1, eddy.time())
    end)
  end

  it("reaches a task that gives way with sleep(0)", function()
    local task = started(function()
      while true do eddy.sleep(0) end
    end)
    eddy.sleep(0)
    task:cancel()
    eddy.sleep(0)
    assert.is_true(task:cancelled())
  end)

  it("may come from a callback", function()
    local task = started(eddy.sleep, 10)
    eddy.get_running_loop():call_later(1, task.cancel, task, "from a callback")
    assert.equal("from a callback", raised(eddy.CancelledError, eddy.await, task).message)
    assert.equal(1, eddy.time())
  end)

  it("may come from a <close> handler of the task itself", function()
    local task = started(function()
      local _ <close> = closing(function() eddy.current_task():cancel("late") end)
      eddy.sleep(1)
      return "lost"
    end)
    assert.equal("late", raised(eddy.CancelledError, eddy.await, task).message)
  end)

  it("names what it is no method of", function()
    local cancel = eddy.current_task().cancel
    assert.matches("bad argument #1 to 'cancel' %(Future expected, got table%)",
      bad_argument(function() cancel({}) end))
  end)
end)

describe("CancelledError #virtual", function()
  it("raised by a body on its own marks the task cancelled", function()
    local task = started(function() error(eddy.CancelledError("own")) end)
    assert.is_true(task:cancelled())
    assert.equal(0, task:cancelling())
    assert.equal("own", raised(eddy.CancelledError, task.result, task).message)
  end)

  it("of a class below it marks the task cancelled too", function()
    local MyCancel = eddy.CancelledError:extend("MyCancel")
    local task = started(function() error(MyCancel("own")) end)
    assert.is_true(task:cancelled())
    raised(MyCancel, eddy.await, task)
  end)

  it("is caught by Lua's pcall: the code has taken the cancellation then", function()
    local task = started(function()
      pcall(eddy.sleep, 10)
      return "taken"
    end)
    task:cancel()
    assert.equal("taken", eddy.await(task))
  end)

  it("raised again after it was caught ends the task cancelled", function()
    local task = started(function()
      local ok, err = pcall(eddy.sleep, 10)
      if not ok then error(err, 0) end
    end)
    task:cancel("m")
    assert.equal("m", raised(eddy.CancelledError, eddy.await, task).message)
    assert.is_true(task:cancelled())
  end)
end)

describe("task:uncancel #virtual", function()
  it("takes one back and returns how many are left, at least 0", function()
    local task = started(function()
      pcall(eddy.sleep, 10)
      local me = eddy.current_task()
      return me:cancelling(), me:uncancel(), me:uncancel(), me:uncancel(), me:cancelling()
    end)
    task:cancel()
    task:cancel()
    assert.same({ 2, 1, 0, 0, 0 }, { eddy.await(task) })
  end)

  it("drops a cancellation that was not delivered yet, at 0", function()
    local task = eddy.create_task(function()
      local me = eddy.current_task()
      me:cancel()
      me:cancel()
      me:uncancel()
      me:uncancel()
      return eddy.sleep(1, "not cancelled")
    end)
    assert.equal("not cancelled", eddy.await(task))
  end)

  it("drops nothing while the count is above 0", function()
    local task = eddy.create_task(function()
      local me = eddy.current_task()
      me:cancel()
      me:cancel()
      me:uncancel()
      eddy.sleep(1)
    end)
    raised(eddy.CancelledError, eddy.await, task)
    assert.equal(1, task:cancelling())
  end)

  it("before the first step lets the body run", function()
    local task = eddy.create_task(function() return "ran" end)
    task:cancel()
    task:uncancel()
    assert.equal("ran", eddy.await(task))
  end)

  it("from outside does not call back what the wait was told already", function()
    local task = started(eddy.sleep, 10)
    task:cancel()
    assert.equal(0, task:uncancel())
    raised(eddy.CancelledError, eddy.await, task)
  end)
end)

describe("cleanup of a cancelled task #virtual", function()
  it("may wait in <close> handlers, innermost first", function()
    local log = {}
    local task = started(function()
      local _ <close> = closing(function() eddy.sleep(1) table.insert(log, "outer at " .. eddy.time()) end)
      local _ <close> = closing(function() eddy.sleep(2) table.insert(log, "inner at " .. eddy.time()) end)
      eddy.sleep(100)
    end)
    task:cancel()
    raised(eddy.CancelledError, eddy.await, task)
    assert.same({ "inner at 2.0", "outer at 3.0" }, log)
    assert.is_true(task:cancelled())
  end)

  it("may await other tasks", function()
    local helper = started(eddy.sleep, 3, "helped")
    local result
    local task = started(function()
      local _ <close> = closing(function() result = eddy.await(helper) end)
      eddy.sleep(100)
    end)
    task:cancel()
    raised(eddy.CancelledError, eddy.await, task)
    assert.equal("helped", result)
  end)

  it("sees the CancelledError", function()
    local seen
    local task = started(function()
      local _ <close> = closing(function(err) seen = err end)
      eddy.sleep(100)
    end)
    task:cancel("why")
    local err = raised(eddy.CancelledError, eddy.await, task)
    assert.is_true(rawequal(err, seen))
  end)
end)

describe("eddy.timeout #virtual", function()
  it("raises TimeoutError at the end of the scope when time has run out", function()
    local err = raised(eddy.TimeoutError, function()
      local _ <close> = eddy.timeout(5)
      eddy.sleep(10)
    end)
    assert.equal(5, eddy.time())
    assert.is_true(eddy.is_error(err.cause, eddy.CancelledError))
    assert.equal(0, cancelling())
  end)

  it("does nothing when the body ends in time", function()
    local scope
    local function body()
      local t <close> = eddy.timeout(5)
      scope = t
      return eddy.sleep(3, "in time")
    end
    assert.equal("in time", body())
    assert.is_false(scope:expired())
    eddy.sleep(10)
    assert.equal(0, cancelling())
  end)

  it("runs a function, with arguments and results", function()
    local function body(...) return eddy.sleep(1, ...) end
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(eddy.timeout(5, body, 1, nil, 3, nil)))
    raised(eddy.TimeoutError, eddy.timeout, 5, eddy.sleep, 10)
    assert.equal(6, eddy.time())
    assert.equal(0, cancelling())
  end)

  it("runs an async function, too", function()
    local f = eddy.async(function(...) return eddy.sleep(1, ...) end)
    assert.same({ "a", "b" }, { eddy.timeout(5, f, "a", "b") })
    assert.same({ "a", "b" }, { eddy.timeout_at(eddy.time() + 5, f, "a", "b") })
    assert.same({ true, "a", "b" }, { eddy.move_on_after(5, f, "a", "b") })
    raised(eddy.TimeoutError, eddy.timeout, 0.5, f)
  end)

  it("with nil has no deadline", function()
    assert.equal("slept", eddy.timeout(nil, eddy.sleep, 1e6, "slept"))
    local scope = eddy.timeout(nil)
    assert.is_nil(scope:when())
    assert.equal("slept", eddy.timeout(math.huge, eddy.sleep, 1e6, "slept"))
  end)

  it("lets a CancelledError through that is not its own", function()
    local task = started(function() eddy.timeout(5, eddy.sleep, 10) end)
    eddy.sleep(1)
    task:cancel("from outside")
    assert.equal("from outside", raised(eddy.CancelledError, eddy.await, task).message)
    assert.equal(1, task:cancelling())
  end)

  it("lets a CancelledError through that the body has raised itself", function()
    local err = raised(eddy.CancelledError, eddy.timeout, 5, function() error(eddy.CancelledError("own")) end)
    assert.equal("own", err.message)
  end)

  it("loses to a cancellation in the same turn: CancelledError, and the count stays 1", function()
    local task = eddy.create_task(function() eddy.timeout(5, eddy.sleep, 10) end)
    eddy.get_running_loop():call_later(5, task.cancel, task)
    raised(eddy.CancelledError, eddy.await, task)
    assert.equal(1, task:cancelling())
  end)

  it("loses to a cancellation in the same turn that comes first", function()
    local task = eddy.create_task(function() eddy.timeout(5, eddy.sleep, 10) end)
    eddy.get_running_loop():call_at(5, task.cancel, task)
    raised(eddy.CancelledError, eddy.await, task)
    assert.equal(1, task:cancelling())
  end)

  it("lets another error through that the body raises after the deadline", function()
    local scope
    local ok, err = pcall(function()
      local t <close> = eddy.timeout(5)
      scope = t
      pcall(eddy.sleep, 10)
      error("something else", 0)
    end)
    assert.is_false(ok)
    assert.equal("something else", err)
    assert.is_true(scope:expired())
    assert.equal(0, cancelling())
  end)

  it("raises nothing when the body swallows the cancellation, but has expired", function()
    local scope
    do
      local t <close> = eddy.timeout(5)
      scope = t
      raised(eddy.CancelledError, eddy.sleep, 10)
      assert.is_true(t:expired())
      assert.equal(1, cancelling())
      eddy.sleep(1)
    end
    assert.is_true(scope:expired())
    assert.equal(0, cancelling())
    assert.equal(6, eddy.time())
  end)

  it("of 0 lets a body succeed that never suspends", function()
    assert.equal("done", eddy.timeout(0, function() return "done" end))
    assert.equal("done", eddy.timeout(-1, function() return "done" end))
    eddy.sleep(1)
    assert.equal(0, cancelling())
  end)

  it("of 0 fires at the first suspension, even sleep(0)", function()
    raised(eddy.TimeoutError, eddy.timeout, 0, eddy.sleep, 0)
    raised(eddy.TimeoutError, eddy.timeout, -5, eddy.sleep, 0)
    raised(eddy.TimeoutError, eddy.timeout_at, eddy.time() - 1, eddy.sleep, 0)
    assert.equal(0, eddy.time())
    assert.equal(0, cancelling())
  end)

  it("nested with equal deadlines gives one TimeoutError and leaves no count behind", function()
    local inner_ended = "unset"
    raised(eddy.TimeoutError, function()
      local _ <close> = eddy.timeout(5)
      local ok, err = pcall(function()
        local _ <close> = eddy.timeout(5)
        eddy.sleep(10)
      end)
      inner_ended = eddy.is_error(err, eddy.TimeoutError)
      if not ok then error(err, 0) end
    end)
    assert.is_false(inner_ended)   -- the inner one sees that it is not the only one
    assert.equal(0, cancelling())
    eddy.sleep(1)
  end)

  it("nested: the inner deadline raises in the inner scope only", function()
    local ended = eddy.timeout(10, function()
      raised(eddy.TimeoutError, eddy.timeout, 5, eddy.sleep, 100)
      return eddy.sleep(1, "outer goes on")
    end)
    assert.equal("outer goes on", ended)
    assert.equal(6, eddy.time())
  end)

  it("nested: the outer deadline passes through the inner scope", function()
    local inner
    raised(eddy.TimeoutError, eddy.timeout, 5, function()
      local t <close> = eddy.timeout(10)
      inner = t
      eddy.sleep(100)
    end)
    assert.is_false(inner:expired())
    assert.equal(5, eddy.time())
    assert.equal(0, cancelling())
  end)

  it("inside a task that was cancelled before works all the same", function()
    local task = started(function()
      raised(eddy.CancelledError, eddy.sleep, 10)
      raised(eddy.TimeoutError, eddy.timeout, 1, eddy.sleep, 10)
      return cancelling()
    end)
    task:cancel()
    assert.equal(1, eddy.await(task))
  end)

  it("waits for the cleanup of the body, so it may take longer", function()
    raised(eddy.TimeoutError, eddy.timeout, 5, function()
      local _ <close> = closing(function() eddy.sleep(3) end)
      eddy.sleep(100)
    end)
    assert.equal(8, eddy.time())
  end)

  it("cancels what the body awaits", function()
    local inner = started(eddy.sleep, 100)
    raised(eddy.TimeoutError, eddy.timeout, 5, eddy.await, inner)
    assert.is_true(inner:cancelled())
  end)

  it("works through pcall in the body only if that lets CancelledError through", function()
    raised(eddy.TimeoutError, eddy.timeout, 1, function()
      eddy.pcall(eddy.sleep, 10)
      error("unreached")
    end)
    assert.equal("swallowed", eddy.timeout(1, function()
      pcall(eddy.sleep, 10)
      return "swallowed"
    end))
  end)

  it("knows its deadline", function()
    eddy.sleep(10)
    local t = eddy.timeout(5)
    assert.equal(15, t:when())
    t:reschedule(nil)
  end)

  it("may be rescheduled while it is active", function()
    raised(eddy.TimeoutError, function()
      local t <close> = eddy.timeout(1)
      t:reschedule(eddy.time() + 7)
      assert.equal(7, t:when())
      eddy.sleep(100)
    end)
    assert.equal(7, eddy.time())
  end)

  it("rescheduled to nil has no deadline", function()
    local t <close> = eddy.timeout(1)
    t:reschedule(nil)
    assert.is_nil(t:when())
    eddy.sleep(100)
    assert.is_false(t:expired())
  end)

  it("rescheduled to the past fires at the next suspension", function()
    eddy.sleep(10)
    raised(eddy.TimeoutError, function()
      local t <close> = eddy.timeout(100)
      t:reschedule(3)
      eddy.sleep(0)
    end)
    assert.equal(10, eddy.time())
  end)

  it("cannot be rescheduled when it has expired or ended", function()
    local expired, ended
    raised(eddy.TimeoutError, function()
      local t <close> = eddy.timeout(1)
      expired = t
      local err = raised(eddy.CancelledError, eddy.sleep, 10)
      assert.matches("expiring", raised(eddy.RuntimeError, t.reschedule, t, 100).message)
      error(err, 0)
    end)
    assert.matches("expired", raised(eddy.RuntimeError, expired.reschedule, expired, 100).message)
    do
      local t <close> = eddy.timeout(1)
      ended = t
    end
    assert.matches("finished", raised(eddy.RuntimeError, ended.reschedule, ended, 100).message)
  end)

  it("shows its state in its text", function()
    local scope
    do
      local t <close> = eddy.timeout(5)
      scope = t
      assert.equal("<Timeout active, when=5.0>", tostring(t))
    end
    assert.equal("<Timeout finished>", tostring(scope))
    assert.equal("<Timeout active>", tostring(eddy.timeout(nil)))
  end)

  it("names what is wrong", function()
    local t <close> = eddy.timeout(nil)
    assert.equal("bad argument #1 to 'timeout' (NaN is not a time)", bad_argument(function() eddy.timeout(0 / 0) end))
    assert.equal("bad argument #1 to 'timeout' (number expected, got string)",
      bad_argument(function() eddy.timeout("5") end))
    assert.equal("bad argument #2 to 'timeout' (function expected, got number)",
      bad_argument(function() eddy.timeout(5, 6) end))
    assert.equal("bad argument #1 to 'timeout_at' (number expected, got table)",
      bad_argument(function() eddy.timeout_at({}) end))
    assert.equal("bad argument #2 to 'timeout_at' (function expected, got string)",
      bad_argument(function() eddy.timeout_at(5, "f") end))
    assert.equal("bad argument #1 to 'reschedule' (NaN is not a time)",
      bad_argument(function() t:reschedule(0 / 0) end))
    assert.equal("bad argument #1 to 'reschedule' (number expected, got boolean)",
      bad_argument(function() t:reschedule(true) end))
  end)

  it("that is forgotten without <close> runs out all the same, whatever the collector does", function()
    local task = eddy.create_task(function()
      eddy.timeout(5)
      collectgarbage()
      eddy.sleep(10)
    end)
    raised(eddy.CancelledError, task.await, task)
    assert.equal(5, eddy.time())
  end)

  it("that is forgotten ends with its task", function()
    local scope
    local task = eddy.create_task(function()
      scope = eddy.timeout(5)
      local inner = eddy.timeout(3)
      return inner
    end)
    local inner = task:await()
    eddy.sleep(10)
    assert.is_false(scope:expired() or inner:expired())
    assert.equal("RuntimeError: 'reschedule': the timeout is closed, as its task has ended",
      tostring(raised(eddy.RuntimeError, scope.reschedule, scope, 7)))
  end)

  it("that is forgotten is warned of when its task ends", function()
    local _, err, status = support.eddy { "-e", "eddy.create_task(eddy.timeout, 5):set_name 'worker' eddy.sleep(0)" }
    assert.same({ "Lua warning: RuntimeWarning: task 'worker' has ended in a timeout that was never closed; "
      .. "write: local t <close> = eddy.timeout(seconds)\n", 0 }, { err, status })
  end)

  it("may be closed in any order", function()
    local outer, inner = eddy.timeout(5), eddy.timeout(3)
    debug.getmetatable(outer).__close(outer)
    debug.getmetatable(outer).__close(outer)
    raised(eddy.TimeoutError, function()
      local _ <close> = inner
      eddy.sleep(10)
    end)
    assert.equal(3, eddy.time())
    assert.is_true(inner:expired())
    assert.is_false(outer:expired())
  end)
end)

describe("eddy.timeout_at #virtual", function()
  it("takes a time of the loop's clock", function()
    eddy.sleep(10)
    raised(eddy.TimeoutError, eddy.timeout_at, 12, eddy.sleep, 100)
    assert.equal(12, eddy.time())
    raised(eddy.TimeoutError, function()
      local t <close> = eddy.timeout_at(13)
      assert.equal(13, t:when())
      eddy.sleep(100)
    end)
    assert.equal(13, eddy.time())
  end)
end)

describe("eddy.timeout #plain", function()
  it("must run in a task", function()
    for _, name in ipairs { "timeout", "timeout_at", "move_on_after" } do
      assert.equal(("'%s' needs a running task; start one with eddy.run(f)"):format(name),
        raised(eddy.RuntimeError, eddy[name], 5, print).message)
    end
    local loop, message = eddy.new_event_loop(), nil
    loop:call_soon(function()
      message = raised(eddy.RuntimeError, eddy.timeout, 5).message
      loop:stop()
    end)
    loop:run_forever()
    loop:close()
    assert.matches("'timeout' needs a running task; a callback", message)
  end)

  it("of a loop that is gone can be touched", function()
    local scope
    eddy.run(function() scope = eddy.timeout(5) end)
    assert.is_false(scope:expired())
    raised(eddy.RuntimeError, scope.reschedule, scope, 7)
    scope = nil
    collectgarbage()
    assert.is_nil(scope)
  end)
end)

describe("eddy.move_on_after #virtual", function()
  it("returns true and the results in time", function()
    assert.same({ true, 1, nil, n = 3 }, table.pack(eddy.move_on_after(5, eddy.sleep, 3, 1, nil)))
    assert.same({ true, n = 1 }, table.pack(eddy.move_on_after(5, eddy.sleep, 1)))
  end)

  it("returns false when time ran out, and leaves no count behind", function()
    assert.same({ false, n = 1 }, table.pack(eddy.move_on_after(5, eddy.sleep, 30, 1)))
    assert.equal(5, eddy.time())
    assert.equal(0, cancelling())
  end)

  it("raises what the function raises", function()
    local boom = {}
    assert.same({ false, boom }, { pcall(eddy.move_on_after, 5, error, boom) })
    assert.same({ false, nil, n = 2 }, table.pack(pcall(eddy.move_on_after, 5, error, nil)))
  end)

  it("lets a cancellation from outside through", function()
    local task = started(eddy.move_on_after, 5, eddy.sleep, 30)
    task:cancel("outside")
    assert.equal("outside", raised(eddy.CancelledError, eddy.await, task).message)
  end)

  it("of 0 or less moves on at the first suspension", function()
    assert.same({ true, "done" }, { eddy.move_on_after(0, function() return "done" end) })
    assert.is_false(eddy.move_on_after(0, eddy.sleep, 0))
    assert.is_false(eddy.move_on_after(-1, eddy.sleep, 0))
    assert.equal(0, cancelling())
  end)

  it("returns true and the results when the function takes the cancellation and goes on", function()
    assert.same({ true, "went on" }, { eddy.move_on_after(1, function()
      pcall(eddy.sleep, 10)
      return "went on"
    end) })
    assert.equal(0, cancelling())
  end)

  it("ends with the coroutine around it that Lua's coroutine.close closes", function()
    local thread = eddy.coroutine.create(function() eddy.move_on_after(1, eddy.coroutine.yield, "inside") end)
    assert.same({ true, "inside" }, { eddy.coroutine.resume(thread) })
    assert.is_true(coroutine.close(thread))
    eddy.sleep(2)
    assert.equal(0, cancelling())
  end)

  it("and the other scopes of a function end with a coroutine that another task closes", function()
    for _, scope in ipairs {
      function(f) eddy.move_on_after(1, f) end,
      function(f) eddy.timeout(1, f) end,
      function(f) eddy.wait_for(f, 1) end,
    } do
      local thread = eddy.coroutine.create(scope)
      assert.is_true((eddy.coroutine.resume(thread, eddy.coroutine.yield)))
      assert.is_true(eddy.create_task(coroutine.close, thread):await())
      eddy.sleep(2)
      assert.equal(0, cancelling())
    end
  end)

  it("names what is wrong", function()
    assert.equal("bad argument #1 to 'move_on_after' (NaN is not a time)",
      bad_argument(function() eddy.move_on_after(0 / 0, print) end))
    assert.equal("bad argument #2 to 'move_on_after' (function expected, got no value)",
      bad_argument(function() eddy.move_on_after(5) end))
  end)
end)

describe("eddy.pcall #virtual", function()
  it("returns what pcall returns", function()
    assert.same({ true, 1, nil, 3, nil, n = 5 }, table.pack(eddy.pcall(eddy.sleep, 1, 1, nil, 3, nil)))
    assert.same({ true, n = 1 }, table.pack(eddy.pcall(function() end)))
    assert.same({ false, "boom", n = 2 }, table.pack(eddy.pcall(error, "boom", 0)))
    assert.same({ false, nil, n = 2 }, table.pack(eddy.pcall(error, nil)))
    assert.is_false((eddy.pcall(nil)))
  end)

  it("lets CancelledError through", function()
    local task = started(function()
      eddy.pcall(eddy.sleep, 10)
      return "unreached"
    end)
    task:cancel("m")
    assert.equal("m", raised(eddy.CancelledError, eddy.await, task).message)
  end)

  it("lets one through that was not delivered by a wait", function()
    raised(eddy.CancelledError, eddy.pcall, error, eddy.CancelledError("thrown"))
  end)

  it("catches TimeoutError", function()
    local ok, err = eddy.pcall(eddy.timeout, 1, eddy.sleep, 10)
    assert.is_false(ok)
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
  end)

  it("needs a function to call", function()
    assert.equal("bad argument #1 to 'pcall' (value expected)", bad_argument(function() eddy.pcall() end))
  end)
end)

describe("eddy.pcall #plain", function()
  it("works outside of a task", function()
    assert.same({ true, 3 }, { eddy.pcall(math.max, 1, 3) })
    assert.same({ false, "boom" }, { eddy.pcall(error, "boom", 0) })
  end)
end)
