-- Futures: a result that comes later, done callbacks, errors that nobody looks at.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised = calls.raised_as

local function new_future() return eddy.get_running_loop():create_future() end

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("a Future #virtual", function()
  it("is pending until it is settled", function()
    local future = new_future()
    assert.is_false(future:done())
    assert.is_false(future:cancelled())
    future:set_result(1)
    assert.is_true(future:done())
    assert.is_false(future:cancelled())
  end)

  it("holds several results, nils too", function()
    local future = new_future()
    future:set_result(nil, 2, nil, false, nil)
    assert.same({ nil, 2, nil, false, nil, n = 5 }, table.pack(future:result()))
    assert.same({ nil, 2, nil, false, nil, n = 5 }, table.pack(future:await()))
    assert.is_nil(future:exception())
  end)

  it("holds no result as none, not as nil", function()
    local none, one = new_future(), new_future()
    none:set_result()
    one:set_result(nil)
    assert.equal(0, select("#", none:result()))
    assert.equal(1, select("#", one:result()))
    assert.equal(0, select("#", eddy.await(none)))
    assert.equal(1, select("#", eddy.await(one)))
  end)

  it("holds a thousand results", function()
    local numbers, future = {}, new_future()
    for i = 1, 1000 do numbers[i] = i end
    future:set_result(table.unpack(numbers))
    assert.same(numbers, { future:result() })
    assert.same(numbers, { future:await() })
  end)

  it("raises any value as its error, the same one each time", function()
    for _, value in ipairs { "text", 42, false, {}, print, eddy.Error("e") } do
      local future = new_future()
      future:set_exception(value)
      assert.equal(value, future:exception())
      for _ = 1, 2 do
        assert.same({ false, value }, { pcall(future.result, future) })
        assert.same({ false, value }, { pcall(future.await, future) })
      end
    end
  end)

  it("may fail with nil", function()
    local future = new_future()
    future:set_exception(nil)
    assert.is_true(future:done())
    assert.is_nil(future:exception())
    assert.same({ false, nil, n = 2 }, table.pack(pcall(future.await, future)))
  end)

  it("has no result and no exception before it is done", function()
    local future = new_future()
    assert.equal("InvalidStateError: 'result': the result is not there yet",
      tostring(raised(eddy.InvalidStateError, future.result, future)))
    assert.equal("InvalidStateError: 'exception': the exception is not there yet",
      tostring(raised(eddy.InvalidStateError, future.exception, future)))
  end)

  it("settles once: a second result or exception is an InvalidStateError", function()
    local done, failed, cancelled = new_future(), new_future(), new_future()
    done:set_result("first")
    failed:set_exception("first")
    cancelled:cancel()
    for _, future in ipairs { done, failed, cancelled } do
      raised(eddy.InvalidStateError, future.set_result, future, "second")
      raised(eddy.InvalidStateError, future.set_exception, future, "second")
    end
    assert.equal("first", done:result())
    assert.equal("first", failed:exception())
    assert.is_true(cancelled:cancelled())
  end)

  it("that is cancelled raises CancelledError for its result and its exception", function()
    local future = new_future()
    assert.is_true(future:cancel("enough"))
    assert.is_true(future:done())
    assert.is_true(future:cancelled())
    assert.equal("enough", raised(eddy.CancelledError, future.result, future).message)
    assert.equal("enough", raised(eddy.CancelledError, future.exception, future).message)
    assert.equal("enough", raised(eddy.CancelledError, future.await, future).message)
  end)

  it("keeps a message of any type, or none", function()
    local message = {}
    local with, without = new_future(), new_future()
    with:cancel(message)
    without:cancel()
    assert.equal(message, raised(eddy.CancelledError, with.result, with).message)
    assert.is_nil(raised(eddy.CancelledError, without.result, without).message)
  end)

  it("cannot be cancelled when it is done", function()
    local done, failed, cancelled = new_future(), new_future(), new_future()
    done:set_result(1)
    failed:set_exception("e")
    cancelled:cancel("first")
    assert.is_false(done:cancel())
    assert.is_false(failed:cancel())
    assert.is_false(cancelled:cancel("second"))
    assert.equal(1, done:result())
    assert.equal("e", failed:exception())
    assert.equal("first", raised(eddy.CancelledError, cancelled.result, cancelled).message)
  end)

  it("wakes all who await it, in the order in which they came", function()
    local future, log = new_future(), {}
    for i = 1, 3 do
      eddy.create_task(function() table.insert(log, i .. future:await()) end)
    end
    eddy.sleep(1)
    future:set_result("x")
    assert.same({}, log)
    eddy.sleep(0)
    assert.same({ "1x", "2x", "3x" }, log)
  end)

  it("does not suspend who awaits it when it is done", function()
    local done, failed, cancelled, ran = new_future(), new_future(), new_future(), false
    done:set_result("r")
    failed:set_exception("e")
    cancelled:cancel()
    eddy.get_running_loop():call_soon(function() ran = true end)
    assert.equal("r", eddy.await(done))
    assert.equal("e", select(2, pcall(eddy.await, failed)))
    raised(eddy.CancelledError, eddy.await, cancelled)
    assert.is_false(ran)
  end)

  it("is cancelled with the task that awaits it", function()
    local future = new_future()
    local task = eddy.create_task(future.await, future)
    eddy.sleep(0)
    task:cancel("both")
    assert.is_true(future:cancelled())
    eddy.sleep(0)
    assert.is_true(task:cancelled())
    assert.equal("both", raised(eddy.CancelledError, future.result, future).message)
  end)

  it("that is cancelled by another raises CancelledError in who awaits it", function()
    local future = new_future()
    local task = eddy.create_task(function()
      local err = raised(eddy.CancelledError, eddy.await, future)
      return err.message, eddy.current_task():cancelling()
    end)
    eddy.sleep(0)
    future:cancel("by another")
    assert.same({ "by another", 0 }, { eddy.await(task) })
  end)

  it("knows its loop", function()
    assert.equal(eddy.get_running_loop(), new_future():get_loop())
  end)

  it("shows its state in its text", function()
    local future, failed, cancelled = new_future(), new_future(), new_future()
    assert.equal("<Future pending>", tostring(future))
    future:set_result(1)
    failed:set_exception("boom")
    cancelled:cancel()
    assert.equal("<Future finished>", tostring(future))
    assert.equal("<Future failed: boom>", tostring(failed))
    assert.equal("<Future cancelled>", tostring(cancelled))
    failed:exception()
  end)

  it("names what is wrong", function()
    local future = new_future()
    local function expect(message, f)
      local err = calls.raised(f)
      assert.equal(message, tostring(err):match("bad argument.*"))
    end
    expect("bad argument #1 to 'set_exception' (value expected)", function() future:set_exception() end)
    expect("bad argument #1 to 'add_done_callback' (function expected, got nil)",
      function() future:add_done_callback(nil) end)
    expect("bad argument #1 to 'remove_done_callback' (function expected, got no value)",
      function() future:remove_done_callback() end)
    for _, name in ipairs { "done", "cancelled", "result", "exception", "set_result", "set_exception", "cancel",
      "add_done_callback", "remove_done_callback", "get_loop", "await" } do
      local method = future[name]
      expect(("bad argument #1 to '" .. name .. "' (Future expected, got table)"), function() method({}) end)
      expect(("bad argument #1 to '" .. name .. "' (Future expected, got no value)"), function() method() end)
    end
  end)

  it("takes no other object for a future", function()
    local future = new_future()
    assert.has_error(function() future.done(io.stdout) end, "bad argument #1 to 'done' (Future expected, got FILE*)")
    local forged = setmetatable({}, { __name = "Future", __index = future })
    assert.has_error(function() future.done(forged) end, "bad argument #1 to 'done' (Future expected, got Future)")
    assert.equal("string", type(getmetatable(future)))   -- nothing to forge with
  end)
end)

describe("a Future's done callbacks #virtual", function()
  it("are never called inline, but in the next turn", function()
    local future, log = new_future(), {}
    future:add_done_callback(function() table.insert(log, "called") end)
    future:set_result(1)
    assert.same({}, log)
    eddy.sleep(0)
    assert.same({ "called" }, log)
  end)

  it("are not called inline either when the future is done already", function()
    local future, log = new_future(), {}
    future:set_result(1)
    future:add_done_callback(function() table.insert(log, "called") end)
    assert.same({}, log)
    eddy.sleep(0)
    assert.same({ "called" }, log)
  end)

  it("come in the order of registration, behind what was queued before", function()
    local future, log, loop = new_future(), {}, eddy.get_running_loop()
    for i = 1, 3 do future:add_done_callback(function() table.insert(log, i) end) end
    loop:call_soon(table.insert, log, "queued before")
    future:set_result()
    loop:call_soon(table.insert, log, "queued after")
    future:add_done_callback(function() table.insert(log, "added after") end)
    eddy.sleep(0)
    assert.same({ "queued before", 1, 2, 3, "queued after", "added after" }, log)
  end)

  it("and tasks that await are served in the order in which they came", function()
    local future, log = new_future(), {}
    future:add_done_callback(function() table.insert(log, "callback 1") end)
    eddy.create_task(function() future:await() table.insert(log, "task") end)
    eddy.sleep(0)
    future:add_done_callback(function() table.insert(log, "callback 2") end)
    future:set_result()
    eddy.sleep(0)
    assert.same({ "callback 1", "task", "callback 2" }, log)
  end)

  it("get the future, whatever its end was", function()
    local got = {}
    local done, failed, cancelled = new_future(), new_future(), new_future()
    for _, future in ipairs { done, failed, cancelled } do
      future:add_done_callback(function(...) table.insert(got, table.pack(...)) end)
    end
    done:set_result(1)
    failed:set_exception("e")
    cancelled:cancel()
    eddy.sleep(0)
    assert.same({ { done, n = 1 }, { failed, n = 1 }, { cancelled, n = 1 } }, got)
    failed:exception()
  end)

  it("are called as often as they were added", function()
    local future, count = new_future(), 0
    local function callback() count = count + 1 end
    for _ = 1, 3 do future:add_done_callback(callback) end
    future:set_result()
    eddy.sleep(0)
    assert.equal(3, count)
  end)

  it("can be removed, all of one function at once", function()
    local future, log = new_future(), {}
    local function removed() table.insert(log, "removed") end
    future:add_done_callback(removed)
    future:add_done_callback(function() table.insert(log, "kept") end)
    future:add_done_callback(removed)
    assert.equal(2, future:remove_done_callback(removed))
    assert.equal(0, future:remove_done_callback(removed))
    assert.equal(0, future:remove_done_callback(print))
    future:set_result()
    eddy.sleep(0)
    assert.same({ "kept" }, log)
  end)

  it("cannot be removed any more when they are queued", function()
    local future, log = new_future(), {}
    local function callback() table.insert(log, "called") end
    future:add_done_callback(callback)
    future:set_result()
    assert.equal(0, future:remove_done_callback(callback))
    eddy.sleep(0)
    assert.same({ "called" }, log)
  end)

  it("that raise go to the exception handler and do not stop the others", function()
    local future, log, reports = new_future(), {}, {}
    eddy.get_running_loop():set_exception_handler(function(_, context) table.insert(reports, context) end)
    future:add_done_callback(function() table.insert(log, 1) end)
    future:add_done_callback(function() error("boom", 0) end)
    future:add_done_callback(function() table.insert(log, 3) end)
    future:set_result()
    eddy.sleep(0)
    assert.same({ 1, 3 }, log)
    assert.equal(1, #reports)
    assert.equal("boom", reports[1].exception)
    assert.is_not_nil(reports[1].handle)
  end)

  it("may add further ones, which come a turn later", function()
    local future, log = new_future(), {}
    future:add_done_callback(function()
      table.insert(log, "first")
      future:add_done_callback(function() table.insert(log, "added") end)
    end)
    future:set_result()
    eddy.sleep(0)
    assert.same({ "first" }, log)
    eddy.sleep(0)
    assert.same({ "first", "added" }, log)
  end)

  it("keep the future alive until they have run", function()
    local log = {}
    do
      local future = new_future()
      future:add_done_callback(function(f) table.insert(log, f:result()) end)
      eddy.get_running_loop():call_later(1, future.set_result, future, "still there")
    end
    collect()
    eddy.sleep(1)
    eddy.sleep(0)
    assert.same({ "still there" }, log)
  end)
end)

describe("an error that nobody looks at #virtual", function()
  local reports

  before_each(function()
    reports = {}
    eddy.get_running_loop()
  end)

  local function watch()
    eddy.get_running_loop():set_exception_handler(function(_, context) table.insert(reports, context) end)
  end

  it("of a future is reported when the future is collected", function()
    watch()
    new_future():set_exception("lost")
    collect()
    eddy.sleep(0)
    assert.equal(1, #reports)
    assert.equal("lost", reports[1].exception)
    assert.equal("Future exception was never retrieved", reports[1].message)
    assert.matches("^<Future failed: lost>$", tostring(reports[1].future))
  end)

  it("of a task is reported when the task is collected, once", function()
    watch()
    eddy.create_task(error, "lost", 0)
    eddy.sleep(0)
    collect()
    eddy.sleep(0)
    collect()
    assert.equal(1, #reports)
    assert.equal("lost", reports[1].exception)
    assert.equal("Task exception was never retrieved", reports[1].message)
    assert.matches("failed: lost", tostring(reports[1].task))
  end)

  it("is not reported while somebody may still look", function()
    watch()
    local future = new_future()
    future:set_exception("later")
    collect()
    assert.equal(0, #reports)
    assert.equal("later", future:exception())
  end)

  for name, look in pairs {
    exception = function(future) return future:exception() end,
    result = function(future) return pcall(future.result, future) end,
    await = function(future) return pcall(future.await, future) end,
    ["eddy.await"] = function(future) return pcall(eddy.await, future) end,
  } do
    it("is not reported when it was looked at by " .. name, function()
      watch()
      look((function()
        local future = new_future()
        future:set_exception("seen")
        return future
      end)())
      collect()
      eddy.sleep(0)
      assert.same({}, reports)
    end)
  end

  it("is not reported when a task was awaiting it", function()
    watch()
    local future = new_future()
    local task = eddy.create_task(function() return pcall(future.await, future) end)
    eddy.sleep(0)
    future:set_exception("seen")
    future = nil
    eddy.await(task)
    collect()
    eddy.sleep(0)
    assert.is_nil(future)
    assert.same({}, reports)
  end)

  it("is reported although its text was looked at", function()
    watch()
    assert.matches("lost", tostring((function()
      local future = new_future()
      future:set_exception("lost")
      return future
    end)()))
    collect()
    eddy.sleep(0)
    assert.equal(1, #reports)
  end)

  it("is no error when the future was cancelled", function()
    watch()
    new_future():cancel()
    eddy.create_task(eddy.sleep, 1):cancel()
    eddy.sleep(0)
    collect()
    eddy.sleep(0)
    assert.same({}, reports)
  end)

  it("is reported by an idle loop without a collection of one's own", function()
    watch()
    eddy.create_task(error, "lost", 0)
    eddy.sleep(1)
    eddy.sleep(1)
    collect()   -- the loop collects at most once a second of real time
    assert.equal(1, #reports)
  end)
end)

describe("a Future of another loop #plain", function()
  it("cannot be awaited", function()
    local other <close> = eddy.new_event_loop()
    local future = other:create_future()
    eddy.run(function()
      assert.equal("RuntimeError: 'await': the future belongs to another loop",
        tostring(raised(eddy.RuntimeError, eddy.await, future)))
      assert.equal("RuntimeError: 'wait_for': the future belongs to another loop",
        tostring(raised(eddy.RuntimeError, eddy.wait_for, future, 1)))
    end)
  end)

  it("can be read when it is done", function()
    local other <close> = eddy.new_event_loop()
    local future = other:create_future()
    future:set_result("there")
    assert.equal("there", eddy.run(function() return eddy.await(future) end))
  end)

  it("forgets its loop when that is closed", function()
    local future, done
    eddy.run(function()
      future, done = new_future(), new_future()
      done:set_result("kept")
    end)
    assert.is_nil(future:get_loop())
    assert.equal("kept", done:result())
    raised(eddy.RuntimeError, future.add_done_callback, future, print)
    future:cancel()
    assert.is_true(future:cancelled())
  end)

  it("of a closed loop may be settled, cancelled, shown and collected", function()
    local futures = {}
    eddy.run(function() for i = 1, 3 do futures[i] = new_future() end end)
    eddy.run(function()
      futures[1]:set_result(1)
      futures[2]:cancel("late")
      raised(eddy.RuntimeError, eddy.await, futures[3])
    end)
    assert.equal("<Future finished>", tostring(futures[1]))
    assert.equal("<Future cancelled>", tostring(futures[2]))
    futures = nil
    collect()
    assert.is_nil(futures)
  end)

  it("can be awaited outside of a task when it is done, else that needs one", function()
    local loop <close> = eddy.new_event_loop()
    local future = loop:create_future()
    assert.equal("RuntimeError: 'await' needs a running task; start one with eddy.run(f)",
      tostring(raised(eddy.RuntimeError, eddy.await, future)))
    future:set_result(1, 2)
    assert.same({ 1, 2 }, { eddy.await(future) })
  end)
end)
