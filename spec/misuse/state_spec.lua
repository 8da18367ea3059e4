-- Right arguments at the wrong time: what is done, started, finished, or waits for itself.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

require("eddy.busted").timeout = 2

local RuntimeError, InvalidStateError = eddy.RuntimeError, eddy.InvalidStateError

local function new_future() return eddy.get_running_loop():create_future() end

-- A spec: the call raises an error of the class whose text has these parts; `prepare` makes what is given to it.
local function refuses(source, class, parts, prepare)
  it("refuses " .. source, function()
    misuse.assert_error(misuse.try(source, prepare and prepare()), class, table.unpack(parts))
  end)
end

-- --- Futures and tasks ------------------------------------------------------------------------------------------

describe("a future that is done", function()
  local kinds = {
    { "settled", function(future) future:set_result(1) end },
    { "failed", function(future)
      future:set_exception("boom")
      future:exception()
    end },
    { "cancelled", function(future) future:cancel() end },
  }
  for _, kind in ipairs(kinds) do
    local name, settle = table.unpack(kind)
    local function given()
      local done = new_future()
      settle(done)
      return { done = done }
    end
    describe("(" .. name .. ")", function()
      refuses("done:set_result(2)", InvalidStateError, { "'set_result'", "done already" }, given)
      refuses("done:set_result()", InvalidStateError, { "'set_result'", "done already" }, given)
      refuses("done:set_exception('boom')", InvalidStateError, { "'set_exception'", "done already" }, given)
    end)
  end
end)

describe("what is not done", function()
  refuses("future:result()", InvalidStateError, { "'result'", "not" })
  refuses("future:exception()", InvalidStateError, { "'exception'", "not" })
  refuses("task:result()", InvalidStateError, { "'result'", "not" })
  refuses("task:exception()", InvalidStateError, { "'exception'", "not" })
  refuses("eddy.current_task():result()", InvalidStateError, { "'result'", "not" })
end)

describe("a task, which settles itself,", function()
  local function finished()
    local done = eddy.create_task(function() end)
    eddy.await(done)
    return { done = done }
  end
  refuses("task:set_result(1)", RuntimeError, { "Task", "'set_result'" })
  refuses("task:set_exception('boom')", RuntimeError, { "Task", "'set_exception'" })
  refuses("done:set_result(1)", RuntimeError, { "Task", "'set_result'" }, finished)
  refuses("done:set_exception('boom')", RuntimeError, { "Task", "'set_exception'" }, finished)
  refuses("eddy.current_task():set_result(1)", RuntimeError, { "Task", "'set_result'" })
end)

describe("a task that would wait for itself", function()
  local function me() return { me = eddy.current_task() } end
  for _, call in ipairs {
    { "eddy.await(me)", "await" }, { "me:await()", "await" }, { "eddy.shield(me)", "shield" },
    { "eddy.gather(me)", "gather" }, { "eddy.gather({ me })", "gather" },
    { "eddy.gather({ me }, { return_exceptions = true })", "gather" }, { "eddy.wait({ me })", "wait" },
    { "eddy.wait({ me }, { timeout = 1 })", "wait" }, { "eddy.wait_for(me)", "wait_for" },
    { "eddy.wait_for(me, 1)", "wait_for" }, { "eddy.wait_for(me, 0)", "wait_for" },
    { "eddy.wait_for(me, math.huge)", "wait_for" }, { "eddy.as_completed({ me })()", "as_completed" },
    { "eddy.timeout(1, eddy.await, me)", "await" }, { "eddy.async(eddy.await)(me):await()", "await" },
  } do
    it("is refused: " .. call[1], function()
      misuse.assert_error(misuse.try(call[1], me()), RuntimeError, "cannot await itself", "'" .. call[2] .. "'")
    end)
  end
  for _, call in ipairs {   -- those that make a task of the function start nothing
    { "eddy.gather(noop, me)", "gather" }, { "eddy.gather({ noop, coro, me })", "gather" },
    { "eddy.wait({ noop, me })", "wait" }, { "eddy.wait({ coro, noop, me })", "wait" },
  } do
    it("is refused before a task is made: " .. call[1], function()
      misuse.assert_error(misuse.try(call[1], me()), RuntimeError, "cannot await itself", "'" .. call[2] .. "'")
    end)
  end
end)

-- --- Coroutines and generators ------------------------------------------------------------------------------------

describe("a Coroutine that was awaited", function()
  local function awaited()
    local used = eddy.async(function() end)()
    eddy.await(used)
    return { used = used }
  end
  local function in_a_task()
    local used = eddy.async(function() end)()
    eddy.await(eddy.create_task(used))
    return { used = used }
  end
  local function closed()
    local used = eddy.async(function() end)()
    used:close()
    return { used = used }
  end
  local function stepped()
    local used = eddy.async(function() coroutine.yield() end)()
    used:send()
    return { used = used }
  end
  for _, state in ipairs { { "awaited", awaited }, { "given to a task", in_a_task }, { "closed", closed },
    { "stepped", stepped } } do
    local name, given = table.unpack(state)
    describe("(" .. name .. ")", function()
      local text = name == "closed" and "the Coroutine was closed" or "the Coroutine was awaited or started before"
      for _, call in ipairs {
        { "eddy.await(used)", "await" }, { "used:await()", "await" }, { "eddy.create_task(used)", "create_task" },
        { "eddy.gather(used)", "gather" }, { "eddy.gather(noop, used)", "gather" },
        { "eddy.gather({ noop, used })", "gather" }, { "eddy.wait({ used })", "wait" },
        { "eddy.wait({ noop, used })", "wait" }, { "eddy.as_completed({ used })", "as_completed" },
        { "eddy.wait_for(used)", "wait_for" }, { "eddy.wait_for(used, 1)", "wait_for" },
        { "eddy.wait_for(used, 0)", "wait_for" }, { "eddy.shield(used)", "shield" },
        { "loop:create_task(used)", "create_task" }, { "group:create_task(used)", "create_task" },
      } do
        refuses(call[1], RuntimeError, { text, "'" .. call[2] .. "'" }, given)
      end
    end)
  end
  refuses("used:send()", RuntimeError, { "'send'", "runs in a task" }, awaited)
  refuses("used:send()", RuntimeError, { "'send'", "has ended" }, closed)
  refuses("used:close()", RuntimeError, { "'close'", "runs in a task" }, in_a_task)
end)

describe("a Coroutine", function()
  refuses("coro()", RuntimeError, { "a Coroutine is not called", "await" })
  refuses("coro(1, 2)", RuntimeError, { "a Coroutine is not called", "create_task" })
  refuses("coro:send(1)", RuntimeError, { "'send'", "nothing can be sent" })
  refuses("coro:send(nil, nil)", RuntimeError, { "'send'", "nothing can be sent" })
  refuses("for _ in coro do break end", RuntimeError, { "a Coroutine is not called" })

  it("that runs refuses send and close", function()
    local coro, send, close
    coro = eddy.async(function()
      send = misuse.try("coro:send()", { coro = coro })
      close = misuse.try("coro:close()", { coro = coro })
    end)()
    eddy.await(coro)
    misuse.assert_error(send, RuntimeError, "'send'", "runs in a task")
    misuse.assert_error(close, RuntimeError, "'close'", "runs in a task")
  end)

  it("that is stepped refuses to be stepped or closed from inside #plain", function()
    local coro
    local calls = {}
    coro = eddy.async(function()
      for i, source in ipairs { "coro:send()", "coro:close()" } do
        calls[i] = misuse.prepare(source, { coro = coro })
        calls[i].run()
      end
    end)()
    coro:send()
    misuse.assert_error(calls[1].finish(), RuntimeError, "'send'", "running")
    misuse.assert_error(calls[2].finish(), RuntimeError, "'close'", "running")
  end)
end)

describe("an async function that was not called", function()
  for _, source in ipairs { "eddy.await(async)", "eddy.await(async, 1)" } do
    it("is refused by " .. source, function()
      misuse.assert_bad_argument(misuse.try(source), 1, "await", "a Coroutine is expected: call the async function")
    end)
  end
end)

describe("a call that has waited already", function()
  for _, call in ipairs {
    { "eddy.gather(eddy.sleep(0))", 1, "gather" }, { "eddy.gather(eddy.sleep(0), eddy.sleep(0))", 1, "gather" },
    { "eddy.create_task(eddy.sleep(0))", 1, "create_task" },
    { "eddy.create_task(eddy.sleep(0, 'x'))", 1, "create_task" },
    { "eddy.wait_for(eddy.sleep(0), 1)", 1, "wait_for" },
    { "eddy.wait_for(eddy.gather(noop, noop), 5)", 1, "wait_for" },
    { "eddy.shield(eddy.sleep(0, 1))", 1, "shield" }, { "eddy.wait({ eddy.sleep(0, 1) })", 1, "wait" },
    { "eddy.as_completed({ eddy.sleep(0, 1) })", 1, "as_completed" },
  } do
    it("is no argument: " .. call[1], function()
      local outcome = misuse.try(call[1])
      misuse.assert_bad_argument(outcome, call[2], call[3], "awaitable expected")
      assert.matches("has waited already", outcome.error)
    end)
  end
end)

describe("a generator", function()
  it("refuses to be stepped or closed from inside", function()
    local generator
    local outcomes = {}
    generator = eddy.generator(function(yield)
      local function step(source) return misuse.try(source, { generator = generator }) end
      outcomes.call, outcomes.next = step "generator()", step "generator:next()"
      outcomes.aclose = step "generator:aclose()"
      yield(1)
    end)()
    generator()
    generator:aclose()
    misuse.assert_error(outcomes.call, RuntimeError, "generator is running already")
    misuse.assert_error(outcomes.next, RuntimeError, "generator is running already", "'next'")
    misuse.assert_error(outcomes.aclose, RuntimeError, "running generator cannot be closed", "'aclose'")
  end)

  it("refuses a step while another task waits in it", function()
    local generator = eddy.generator(function(yield)
      eddy.sleep(0.001)
      yield(1)
    end)()
    local task = eddy.create_task(generator)
    eddy.sleep(0)
    local next_outcome = misuse.try("generator:next()", { generator = generator })
    local close_outcome = misuse.try("generator:aclose()", { generator = generator })
    misuse.assert_error(next_outcome, RuntimeError, "generator is running already", "'next'")
    misuse.assert_error(close_outcome, RuntimeError, "running generator cannot be closed", "'aclose'")
    assert.equal(1, task:await())
    generator:aclose()
  end)

  it("refuses a yield of somebody else", function()
    local theirs
    local generator = eddy.generator(function(yield)
      theirs = yield
      yield(1)
    end)()
    generator()
    misuse.assert_error(misuse.try("theirs(1)", { theirs = theirs }), RuntimeError, "'yield' outside of the generator")
    local other = eddy.generator(function() theirs(2) end)()
    misuse.assert_error(misuse.try("other()", { other = other }), RuntimeError, "'yield' outside of the generator")
    generator:aclose()
  end)

  it("refuses a yield while it is being closed", function()
    local generator = eddy.generator(function(yield)
      local _ <close> = setmetatable({}, { __close = function() yield(2) end })
      yield(1)
    end)()
    generator()
    misuse.assert_error(misuse.try("generator:aclose()", { generator = generator }), RuntimeError, "generator yielded")
    generator:aclose()
  end)

  it("that was not called is no iterator", function()   -- it would make a new generator each time, for ever
    local f = eddy.generator(function(yield) yield(1) end)
    local source = "local n = 0 for _ in f do n = n + 1 if n == 3 then break end end"
    local outcome = misuse.try(source, { f = f })
    assert.is_true(outcome.raised)
    assert.matches("generator", tostring(outcome.error))
  end)
end)

describe("eddy.coroutine", function()
  refuses("eddy.coroutine.yield(1)", RuntimeError, { "'yield' outside of a coroutine" })

  it("refuses to close what runs", function()
    local outcome = misuse.try "eddy.coroutine.close((coroutine.running()))"
    misuse.assert_lua_error(outcome, "cannot close a running coroutine")
  end)

  it("refuses to step what has ended", function()
    local ended = eddy.coroutine.wrap(function() end)
    ended()
    misuse.assert_lua_error(misuse.try("ended()", { ended = ended }), "cannot resume dead coroutine")
  end)

  it("refuses to resume the coroutine of a task", function()
    local thread
    local task = eddy.create_task(function()
      thread = coroutine.running()
      eddy.sleep(0.001)
    end)
    eddy.sleep(0)
    local results = misuse.try("eddy.coroutine.resume(thread)", { thread = thread }).results
    assert.is_false(results[1])
    assert.truthy(results[2])
    eddy.await(task)
  end)
end)

-- --- Scopes and groups ----------------------------------------------------------------------------------------------

describe("a timeout scope", function()
  local function expired()
    local ended
    pcall(function()
      local scope <close> = eddy.timeout(0)
      ended = scope
      eddy.sleep(1)
    end)
    return { ended = ended }
  end
  local function finished()
    local ended
    do
      local scope <close> = eddy.timeout(100)
      ended = scope
    end
    return { ended = ended }
  end
  it("refuses to be closed by another task", function()
    local outcome
    local scope <close> = eddy.timeout(1000)
    eddy.await(eddy.create_task(function()
      outcome = misuse.try("do local _ <close> = theirs end", { theirs = scope })
    end))
    misuse.assert_error(outcome, RuntimeError, "timeout", "closed by the task that opened it")
    assert.is_nil(tostring(scope):find "finished")
  end)

  for _, argument in ipairs { "", "nil", "1", "math.huge", "-1" } do
    refuses(("ended:reschedule(%s)"):format(argument), RuntimeError, { "'reschedule'", "expired" }, expired)
    refuses(("ended:reschedule(%s)"):format(argument), RuntimeError, { "'reschedule'", "finished" }, finished)
  end

  it("refuses a reschedule while it expires", function()
    local outcome
    pcall(function()
      local scope <close> = eddy.timeout(0)
      pcall(eddy.sleep, 1)
      outcome = misuse.try("expiring:reschedule(5)", { expiring = scope })
    end)
    misuse.assert_error(outcome, RuntimeError, "'reschedule'", "expiring")
  end)
end)

describe("a TaskGroup", function()
  local function finished()
    local ended
    eddy.TaskGroup(function(group) ended = group end)
    return { ended = ended }
  end
  local function scope_ended()
    local ended
    do
      local group <close> = eddy.TaskGroup()
      ended = group
    end
    return { ended = ended }
  end
  local function cancelled()
    local ended
    eddy.TaskGroup(function(group)
      ended = group
      group:cancel()
    end)
    return { ended = ended }
  end
  local function failed()
    local ended
    pcall(eddy.TaskGroup, function(group)
      ended = group
      error("boom", 0)
    end)
    return { ended = ended }
  end
  for _, state in ipairs { { "finished", finished }, { "out of scope", scope_ended }, { "cancelled", cancelled },
    { "failed", failed } } do
    local name, given = table.unpack(state)
    describe("(" .. name .. ")", function()
      refuses("ended:create_task(noop)", RuntimeError, { "'create_task'", "the TaskGroup is finished" }, given)
      refuses("ended:start(noop)", RuntimeError, { "'start'", "the TaskGroup is finished" }, given)
      it("refuses a Coroutine", function()
        local ended, coro = given().ended, eddy.async(function() end)()
        local outcome = misuse.try("ended:create_task(one)", { ended = ended, one = coro })
        misuse.assert_error(outcome, RuntimeError, "'create_task'", "the TaskGroup is finished")
        coro:close()
      end)
    end)
  end

  it("refuses children while it shuts down", function()
    local create, start
    eddy.TaskGroup(function(group)
      group:cancel()
      create = misuse.prepare("group:create_task(noop)", { group = group })
      start = misuse.prepare("group:start(noop)", { group = group })
      create.run()
      start.run()
    end)
    misuse.assert_error(create.finish(), RuntimeError, "'create_task'", "the TaskGroup is shutting down")
    misuse.assert_error(start.finish(), RuntimeError, "'start'", "the TaskGroup is shutting down")
  end)

  it("refuses a start whose function ends without a word", function()
    eddy.TaskGroup(function(group)
      local outcome = misuse.try("group:start(noop)", { group = group })
      misuse.assert_error(outcome, RuntimeError, "'start'", "without calling started()")
    end)
  end)

  it("refuses started() twice", function()
    local outcome
    eddy.TaskGroup(function(group)
      group:start(function(started)
        started()
        outcome = misuse.try("started()", { started = started })
      end)
    end)
    misuse.assert_error(outcome, RuntimeError, "started() was called twice")
  end)

  it("refuses to be closed by another task", function()
    local outcome
    eddy.TaskGroup(function(group)
      eddy.await(eddy.create_task(function()
        outcome = misuse.try("do local _ <close> = group end", { group = group })
      end))
    end)
    misuse.assert_error(outcome, RuntimeError, "TaskGroup", "closed by the task that opened it")
  end)
end)

describe("as_completed", function()
  it("refuses a second task that waits for the next one", function()
    local future = new_future()
    local iterator = eddy.as_completed { future }
    local task = eddy.create_task(function() return iterator() end)
    eddy.sleep(0)
    misuse.assert_error(misuse.try("iterator()", { iterator = iterator }), RuntimeError, "as_completed", "another task")
    future:set_result(1)
    assert.equal(future, task:await())
  end)

  it("refuses to be used as an iterator itself", function()
    misuse.assert_bad_argument(misuse.try "for _ in eddy.as_completed do break end", 1, "as_completed",
      "table of awaitables expected, got nil")
  end)
end)

-- --- Callables and awaitables that are none -------------------------------------------------------------------------

describe("an object whose metamethod cannot be called", function()
  local function given()
    return {
      uncallable = setmetatable({}, { __call = 5 }),
      unawaitable = setmetatable({}, { __await = 5 }),
    }
  end
  for _, call in ipairs {
    { "loop:call_soon(uncallable)", 1, "call_soon", "function expected" },
    { "future:add_done_callback(uncallable)", 1, "add_done_callback", "function expected" },
    { "eddy.async(uncallable)", 1, "async", "function expected" },
    { "eddy.create_task(uncallable)", 1, "create_task", "" },
    { "eddy.create_task(unawaitable)", 1, "create_task", "awaitable expected" },
    { "eddy.gather(unawaitable)", 1, "gather", "awaitable expected" },
    { "eddy.wait({ unawaitable })", 1, "wait", "awaitable expected" },
    { "eddy.wait_for(unawaitable, 1)", 1, "wait_for", "awaitable expected" },
  } do
    it("is refused: " .. call[1], function()
      misuse.assert_bad_argument(misuse.try(call[1], given()), call[2], call[3], call[4])
    end)
  end
end)

describe("a list whose length is no integer", function()
  local function given() return { odd = setmetatable({}, { __len = function() return "many" end }) } end
  for _, source in ipairs { "eddy.gather(odd)", "eddy.wait(odd)", "eddy.as_completed(odd)", "eddy.map(noop, odd)" } do
    it("is refused by " .. source, function()
      misuse.assert_lua_error(misuse.try(source, given()), "object length is not an integer")
    end)
  end
end)

-- --- Names of asyncio -----------------------------------------------------------------------------------------------

describe("a name that eddy has not", function()
  for _, names in ipairs {
    { "ensure_future", "create_task" }, { "get_event_loop", "get_running_loop" }, { "set_event_loop", "Runner" },
    { "spawn", "create_task" }, { "open_nursery", "TaskGroup" }, { "fail_after", "timeout" },
  } do
    local name, instead = table.unpack(names)
    it(("is refused with the one to use: %s"):format(name), function()
      local outcome = misuse.try(("eddy.%s(noop)"):format(name))
      misuse.assert_error(outcome, RuntimeError, "'" .. name .. "'", "eddy." .. instead)
    end)
  end

  it("is nil else, as in any table", function()
    local outcome = misuse.try "eddy.no_such_function()"
    misuse.assert_lua_error(outcome, "attempt to call a nil value (field 'no_such_function')")
  end)
end)

-- --- Errors ---------------------------------------------------------------------------------------------------------

describe("an error class", function()
  local function bad(source, n, name, reason)
    it("refuses " .. source, function() misuse.assert_bad_argument(misuse.try(source), n, name, reason) end)
  end
  bad("eddy.Error.extend()", 1, "extend", "error class expected, got no value")
  bad("eddy.Error.extend({}, 'x')", 1, "extend", "error class expected, got table")
  bad("eddy.Error.extend(err, 'x')", 1, "extend", "error class expected, got TimeoutError")
  bad("eddy.Error.is(err)", 2, "is", "error class expected, got no value")
  bad("eddy.Error.is(err, {})", 2, "is", "error class expected, got table")
  bad("eddy.Error.is(1, 'Error')", 2, "is", "error class expected, got string")
  bad("eddy.is_error(err, 'TimeoutError')", 2, "is_error", "error class expected, got string")
  bad("eddy.ExceptionGroup.split(err, eddy.Error)", 1, "split", "ExceptionGroup expected, got TimeoutError")
  bad("eddy.ExceptionGroup.subgroup({}, eddy.Error)", 1, "subgroup", "ExceptionGroup expected, got table")
end)
