-- The loop: one turn, call_soon, run and stop and close, the exception handler, current_task and all_tasks.

local eddy = require "eddy"
local calls = require "spec.support.calls"
local output_of = require("spec.support.chunk").output_of

local bad_argument = calls.bad_argument

-- The RuntimeError that f(...) raises, as text.
local function misuse(f, ...) return calls.raised_as(eddy.RuntimeError, f, ...).message end

describe("loop:call_soon #virtual", function()
  it("calls in the next turn, first come first served", function()
    local loop, log = eddy.get_running_loop(), {}
    for i = 1, 5 do loop:call_soon(table.insert, log, i) end
    assert.same({}, log)
    eddy.sleep(0)
    assert.same({ 1, 2, 3, 4, 5 }, log)
  end)

  it("shares one queue with tasks", function()
    local loop, log = eddy.get_running_loop(), {}
    loop:call_soon(table.insert, log, "callback")
    eddy.create_task(table.insert, log, "task")
    loop:call_soon(table.insert, log, "another callback")
    eddy.sleep(0)
    assert.same({ "callback", "task", "another callback" }, log)
  end)

  it("leaves what a callback adds for the turn after", function()
    local loop, log = eddy.get_running_loop(), {}
    loop:call_soon(function()
      table.insert(log, "first")
      loop:call_soon(table.insert, log, "added")
    end)
    loop:call_soon(table.insert, log, "second")
    eddy.sleep(0)
    assert.same({ "first", "second" }, log)
    eddy.sleep(0)
    assert.same({ "first", "second", "added" }, log)
  end)

  it("passes its arguments on, nils too", function()
    local got
    eddy.get_running_loop():call_soon(function(...) got = table.pack(...) end, nil, 1, nil)
    eddy.sleep(0)
    assert.same({ nil, 1, nil, n = 3 }, got)
  end)

  it("passes a thousand arguments on", function()
    local numbers, count, last = {}, nil, nil
    for i = 1, 1000 do numbers[i] = i end
    eddy.get_running_loop():call_soon(function(...)
      count = select("#", ...)
      last = select(count, ...)
    end, table.unpack(numbers))
    eddy.sleep(0)
    assert.equal(1000, count)
    assert.equal(1000, last)
  end)

  it("returns a Handle that takes it back", function()
    local loop, log = eddy.get_running_loop(), {}
    local handle = loop:call_soon(table.insert, log, "taken back")
    loop:call_soon(table.insert, log, "other")
    handle:cancel()
    eddy.sleep(0)
    assert.is_true(handle:cancelled())
    assert.same({ "other" }, log)
  end)

  it("is no place to wait in, and the error says what is", function()
    local loop, err = eddy.get_running_loop(), nil
    loop:call_soon(function() err = select(2, pcall(eddy.sleep, 1)) end)
    eddy.sleep(0)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    assert.matches("'sleep'.*callback.*create_task", err.message)
  end)

  it("knows the running loop inside, and no task", function()
    local loop, inside, task = eddy.get_running_loop(), nil, "unset"
    loop:call_soon(function() inside, task = eddy.get_running_loop(), eddy.current_task() end)
    eddy.sleep(0)
    assert.equal(loop, inside)
    assert.is_nil(task)
  end)

  it("lets a callback start a task", function()
    local loop, result = eddy.get_running_loop(), nil
    loop:call_soon(function()
      eddy.create_task(function() result = eddy.sleep(1, "done") end)
    end)
    eddy.sleep(2)
    assert.equal("done", result)
  end)

  it("names what is wrong", function()
    local loop = eddy.get_running_loop()
    assert.equal("bad argument #1 to 'call_soon' (function expected, got no value)",
      bad_argument(function() loop:call_soon() end))
    assert.equal("bad argument #1 to 'call_soon' (function expected, got string)",
      bad_argument(function() loop:call_soon("print") end))
    assert.matches("bad argument #1 to 'call_soon' %(Loop expected, got table%)",
      bad_argument(function() loop.call_soon({}, print) end))
  end)
end)

describe("a turn of the loop", function()
  it("does not let tasks that always give way starve timers", function()
    local due = false
    eddy.get_running_loop():call_later(0.002, function() due = true end)
    local turns = 0
    while not due do
      turns = turns + 1
      eddy.sleep(0)
    end
    assert.is_true(turns > 0)
  end)

  it("does not let callbacks that add callbacks starve tasks", function()
    local loop, go_on = eddy.get_running_loop(), true
    local function again() if go_on then loop:call_soon(again) end end
    again()
    for _ = 1, 1000 do eddy.sleep(0) end
    assert.equal("awake", eddy.sleep(0.002, "awake"))
    go_on = false
    eddy.sleep(0)
  end)

  it("lets each ready task make one step", function()
    local counts, tasks = { 0, 0, 0 }, {}
    for i = 1, 3 do
      tasks[i] = eddy.create_task(function()
        while true do
          counts[i] = counts[i] + 1
          eddy.sleep(0)
        end
      end)
    end
    for turn = 1, 100 do
      eddy.sleep(0)
      assert.same({ turn, turn, turn }, counts)
    end
    for _, task in ipairs(tasks) do task:cancel() end
  end)
end)

describe("loop:run_until_complete #plain", function()
  local loop

  before_each(function() loop = eddy.new_event_loop { clock = "virtual" } end)
  after_each(function() loop:close() end)

  it("returns all results, nils too", function()
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(loop:run_until_complete(function() return 1, nil, 3, nil end)))
  end)

  it("takes a task, a future, a Coroutine and an object with __await", function()
    assert.equal("task", loop:run_until_complete(loop:create_task(eddy.sleep, 1, "task")))
    local future = loop:create_future()
    loop:call_later(1, future.set_result, future, "future")
    assert.equal("future", loop:run_until_complete(future))
    assert.equal("coroutine", loop:run_until_complete(eddy.async(eddy.sleep)(1, "coroutine")))
    local object = setmetatable({}, { __await = function() return eddy.sleep(1, "object") end })
    assert.equal("object", loop:run_until_complete(object))
  end)

  it("raises the error of what it ran, the same value", function()
    local boom = { "boom" }
    local err = calls.raised(loop.run_until_complete, loop, function() error(boom) end)
    assert.equal(boom, err)
  end)

  it("leaves other tasks where they are, for the next run", function()
    local log = {}
    loop:create_task(function()
      for i = 1, 4 do
        eddy.sleep(1)
        log[i] = i
      end
    end)
    loop:run_until_complete(function() eddy.sleep(2.5) end)
    assert.same({ 1, 2 }, log)
    loop:run_until_complete(function() eddy.sleep(2) end)
    assert.same({ 1, 2, 3, 4 }, log)
  end)

  -- As in asyncio, where the loop stops in the turn after the one in which the future has settled.
  it("runs what was ready when the future settled, once more", function()
    local log = {}
    loop:run_until_complete(function()
      eddy.current_task():add_done_callback(function() table.insert(log, "done callback") end)
      loop:call_soon(table.insert, log, "callback")
      loop:create_task(function()
        table.insert(log, "first step")
        eddy.sleep(0)
        table.insert(log, "second step")
      end)
    end)
    assert.same({ "callback", "first step", "done callback" }, log)
  end)

  it("raises when the loop is stopped first", function()
    local task = loop:create_task(eddy.sleep, 10, "later")
    loop:call_later(1, loop.stop, loop)
    assert.equal("'run_until_complete': the loop was stopped before the future completed",
      misuse(loop.run_until_complete, loop, task))
    assert.equal(1, loop:time())
    assert.equal("later", loop:run_until_complete(task))
  end)

  it("refuses the future of another loop", function()
    local other <close> = eddy.new_event_loop()
    local future = other:create_future()
    assert.equal("'run_until_complete': the future belongs to another loop",
      misuse(loop.run_until_complete, loop, future))
  end)

  it("refuses to run inside a running loop", function()
    local other <close> = eddy.new_event_loop()
    loop:run_until_complete(function()
      assert.equal("'run_until_complete': this loop is running already",
        misuse(loop.run_until_complete, loop, eddy.sleep))
      assert.equal("'run_until_complete' cannot be called from a running loop",
        misuse(other.run_until_complete, other, function() end))
      assert.equal("'run' cannot be called from a running loop", misuse(eddy.run, function() end))
    end)
  end)

  it("names what is wrong", function()
    assert.matches("bad argument #1 to 'run_until_complete' %(awaitable expected, got number",
      bad_argument(function() loop:run_until_complete(5) end))
    assert.matches("bad argument #1 to 'run_until_complete' %(awaitable expected, got no value",
      bad_argument(function() loop:run_until_complete() end))
  end)
end)

describe("loop:run_forever #plain", function()
  local loop, log

  before_each(function()
    loop = eddy.new_event_loop { clock = "virtual" }
    log = {}
  end)
  after_each(function() loop:close() end)

  it("ends with the turn in which stop is called", function()
    loop:call_soon(function()
      table.insert(log, "stop")
      loop:stop()
      loop:call_soon(table.insert, log, "next turn")
    end)
    loop:call_soon(table.insert, log, "same turn")
    loop:run_forever()
    assert.same({ "stop", "same turn" }, log)
    loop:stop()
    loop:run_forever()
    assert.same({ "stop", "same turn", "next turn" }, log)
  end)

  it("makes one turn when stop was called before", function()
    loop:call_soon(table.insert, log, "ready")
    loop:call_later(1, table.insert, log, "later")
    loop:stop()
    loop:run_forever()
    assert.same({ "ready" }, log)
  end)

  it("goes on until a task stops it", function()
    loop:create_task(function()
      eddy.sleep(5)
      loop:stop()
    end)
    loop:run_forever()
    assert.equal(5, loop:time())
  end)

  it("can run again after a stop", function()
    for _ = 1, 3 do
      loop:call_later(1, loop.stop, loop)
      loop:run_forever()
    end
    assert.equal(3, loop:time())
  end)

  it("refuses to run twice at once", function()
    loop:call_soon(function()
      log[1] = misuse(loop.run_forever, loop)
      loop:stop()
    end)
    loop:run_forever()
    assert.same({ "'run_forever': this loop is running already" }, log)
  end)
end)

describe("a loop's states #plain", function()
  it("is running only while it runs", function()
    local loop <close> = eddy.new_event_loop()
    assert.is_false(loop:is_running())
    assert.is_true(loop:run_until_complete(function() return loop:is_running() end))
    assert.is_false(loop:is_running())
  end)

  it("is closed once, twice is fine", function()
    local loop = eddy.new_event_loop()
    assert.is_false(loop:is_closed())
    loop:close()
    loop:close()
    assert.is_true(loop:is_closed())
    assert.is_false(loop:is_running())
  end)

  it("refuses everything when it is closed", function()
    local loop = eddy.new_event_loop()
    loop:close()
    for _, name in ipairs { "time", "call_soon", "call_later", "call_at", "create_future", "create_task", "run_forever",
      "run_until_complete", "stop", "get_debug", "set_exception_handler", "call_exception_handler" } do
      local ok, err = pcall(loop[name], loop, print, print)
      assert.is_false(ok, name)
      assert.equal("RuntimeError: '" .. name .. "': the loop is closed", tostring(err))
    end
  end)

  it("cannot be closed while it runs", function()
    local loop <close> = eddy.new_event_loop()
    loop:run_until_complete(function()
      assert.equal("'close': a running loop cannot be closed", misuse(loop.close, loop))
    end)
  end)

  it("closes as a <close> variable", function()
    local kept
    do
      local loop <close> = eddy.new_event_loop()
      kept = loop
    end
    assert.is_true(kept:is_closed())
  end)

  it("lets its tasks unwind when it is closed", function()
    local loop, log = eddy.new_event_loop { clock = "virtual" }, {}
    local task = loop:create_task(function()
      local _ <close> = setmetatable({}, { __close = function()
        eddy.sleep(1)
        table.insert(log, "closed")
      end })
      eddy.sleep(100)
    end)
    loop:run_until_complete(function() eddy.sleep(1) end)
    loop:close()
    assert.same({ "closed" }, log)
    assert.is_true(task:cancelled())
  end)

  it("drops callbacks that are still queued when it is closed", function()
    local loop, ran = eddy.new_event_loop(), false
    local handle = loop:call_soon(function() ran = true end)
    loop:call_later(0, function() ran = true end)
    loop:close()
    handle:cancel()
    assert.is_false(ran)
  end)

  it("shows them in its text", function()
    local loop = eddy.new_event_loop { clock = "virtual", debug = true }
    assert.equal("<Loop idle, virtual clock, debug>", tostring(loop))
    loop:set_debug(false)
    assert.equal("<Loop running, virtual clock>", loop:run_until_complete(function() return tostring(loop) end))
    loop:close()
    assert.equal("<Loop closed>", tostring(loop))
  end)

  it("is in debug mode when it was asked for", function()
    local loop <close> = eddy.new_event_loop { debug = true }
    assert.is_true(loop:get_debug())
    loop:set_debug(false)
    assert.is_false(loop:get_debug())
    assert.equal("bad argument #1 to 'set_debug' (boolean expected, got number)",
      bad_argument(function() loop:set_debug(1) end))
  end)

  it("takes options that are known, of the right kind", function()
    assert.has_error(function() eddy.new_event_loop { klock = "virtual" } end,
      "bad argument #1 to 'new_event_loop' (unknown option 'klock')")
    assert.has_error(function() eddy.new_event_loop { debug = 1 } end,
      "bad argument #1 to 'new_event_loop' (option 'debug': boolean expected, got number)")
    assert.has_error(function() eddy.new_event_loop(5) end,
      "bad argument #1 to 'new_event_loop' (table expected, got number)")
    assert.has_error(function() eddy.new_event_loop { exception_handler = "print" } end,
      "bad argument #1 to 'new_event_loop' (option 'exception_handler': function expected, got string)")
    assert.has_error(function() eddy.new_event_loop { shutdown_timeout = 0 / 0 } end,
      "bad argument #1 to 'new_event_loop' (option 'shutdown_timeout': NaN is not a time)")
  end)

  it("can be made and closed a thousand times", function()
    for _ = 1, 1000 do
      local loop <close> = eddy.new_event_loop { clock = "virtual" }
      loop:run_until_complete(function() eddy.sleep(1) end)
    end
  end)

  it("may be forgotten without being closed", function()
    for _ = 1, 20 do eddy.new_event_loop():call_later(1, print) end
    collectgarbage()
    collectgarbage()
    assert.equal(1, eddy.run(function() return 1 end))
  end)
end)

describe("the running loop #plain", function()
  it("is what get_running_loop returns", function()
    local loop <close> = eddy.new_event_loop()
    assert.equal(loop, loop:run_until_complete(eddy.get_running_loop))
  end)

  it("does not exist outside", function()
    assert.equal("'get_running_loop' needs a running loop; start one with eddy.run(f)", misuse(eddy.get_running_loop))
    assert.equal("'all_tasks' needs a running loop; start one with eddy.run(f)", misuse(eddy.all_tasks))
    assert.equal("'create_task' needs a running loop; start one with eddy.run(f)", misuse(eddy.create_task, print))
    assert.is_nil(eddy.current_task())
  end)

  it("is another one in each run, and nothing of the one before is left", function()
    local first, second
    eddy.run(function()
      first = eddy.get_running_loop()
      eddy.create_task(eddy.sleep, 100)
    end)
    eddy.run(function()
      second = eddy.get_running_loop()
      assert.equal(1, #eddy.all_tasks())
    end)
    assert.is_true(first:is_closed())
    assert.not_equal(first, second)
  end)
end)

describe("eddy.all_tasks #virtual", function()
  it("lists those that have not ended, in the order of their creation", function()
    local main = eddy.current_task()
    local a = eddy.create_task(eddy.sleep, 3)
    local b = eddy.create_task(eddy.sleep, 1)
    local c = eddy.create_task(eddy.sleep, 2)
    assert.same({ main, a, b, c }, eddy.all_tasks())
    eddy.sleep(1.5)
    assert.same({ main, a, c }, eddy.all_tasks())
    a:cancel()
    assert.same({ main, a, c }, eddy.all_tasks())
    eddy.sleep(0)
    assert.same({ main, c }, eddy.all_tasks())
    eddy.await(c)
  end)

  it("takes a loop", function()
    assert.same(eddy.all_tasks(), eddy.all_tasks(eddy.get_running_loop()))
    local other = eddy.new_event_loop()
    local task = other:create_task(function() end)
    assert.same({ task }, eddy.all_tasks(other))
    assert.equal("bad argument #1 to 'all_tasks' (Loop expected, got table)",
      bad_argument(function() eddy.all_tasks {} end))
  end)
end)

describe("eddy.current_task #virtual", function()
  it("is the task that runs, also after it has waited", function()
    local seen = {}
    local function see() table.insert(seen, eddy.current_task()) end
    local a = eddy.create_task(function() see() eddy.sleep(1) see() end)
    local b = eddy.create_task(function() see() eddy.sleep(1) see() end)
    eddy.sleep(2)
    assert.same({ a, b, a, b }, seen)
  end)

  it("is the task that awaits while a Coroutine runs in it", function()
    assert.equal(eddy.current_task(), eddy.await(eddy.async(eddy.current_task)()))
  end)
end)

describe("the exception handler #virtual", function()
  local loop, reports

  before_each(function() reports = {} end)

  local function watch()
    loop = eddy.get_running_loop()
    loop:set_exception_handler(function(...) table.insert(reports, table.pack(...)) end)
  end

  it("gets the loop and a context, for a callback that raises", function()
    watch()
    local boom = { "boom" }
    local handle = loop:call_soon(function() error(boom) end)
    eddy.sleep(0)
    assert.equal(1, #reports)
    assert.equal(2, reports[1].n)
    assert.equal(loop, reports[1][1])
    local context = reports[1][2]
    assert.matches("^error in callback at .*loop_spec.lua:%d+$", context.message)
    assert.equal(boom, context.exception)
    assert.equal(handle, context.handle)
    assert.matches("loop_spec.lua", context.traceback)
  end)

  it("does not stop the callbacks after the one that raised", function()
    watch()
    local log = {}
    loop:call_soon(error, "first")
    loop:call_soon(table.insert, log, "second")
    loop:call_later(1, error, "third")
    loop:call_later(1, table.insert, log, "fourth")
    eddy.sleep(2)
    assert.same({ "second", "fourth" }, log)
    assert.equal(2, #reports)
  end)

  it("gets any value that was raised, nil too", function()
    watch()
    loop:call_soon(error, false)
    loop:call_soon(error, nil)
    loop:call_soon(error, 42)
    eddy.sleep(0)
    assert.equal(3, #reports)
    assert.is_false(reports[1][2].exception)
    assert.is_nil(reports[2][2].exception)
    assert.equal(42, reports[3][2].exception)
  end)

  it("gets what call_exception_handler is given", function()
    watch()
    local context = { message = "something odd", detail = 7 }
    loop:call_exception_handler(context)
    assert.equal(context, reports[1][2])
    assert.equal("bad argument #1 to 'call_exception_handler' (table expected, got string)",
      bad_argument(function() loop:call_exception_handler("odd") end))
  end)

  it("can be asked for and taken back", function()
    loop = eddy.get_running_loop()
    assert.is_nil(loop:get_exception_handler())
    loop:set_exception_handler(print)
    assert.equal(print, loop:get_exception_handler())
    loop:set_exception_handler(nil)
    assert.is_nil(loop:get_exception_handler())
    assert.equal("bad argument #1 to 'set_exception_handler' (function expected, got string)",
      bad_argument(function() loop:set_exception_handler("print") end))
  end)
end)

describe("the exception handler #plain", function()
  it("is an option of the loop as well", function()
    local got
    local loop <close> = eddy.new_event_loop { exception_handler = function(_, context) got = context.exception end }
    loop:call_soon(error, "boom")
    loop:run_until_complete(function() eddy.sleep(0) end)
    assert.equal("boom", got)
  end)

  it("writes to standard error by default, with the place and the traceback", function()
    local output = output_of [[
      local eddy = require "eddy"
      eddy.run(function()
        eddy.get_running_loop():call_soon(function()
          error("boom")
        end)
        eddy.sleep(0)
        print("goes on")
      end)
    ]]
    assert.matches("eddy: error in callback at [^\n]*:3\n", output)
    assert.matches(":4: boom\n", output)
    assert.matches("stack traceback:", output)
    assert.matches("goes on\n", output)
  end)

  it("that fails itself is reported, and the context goes to the default one", function()
    local output = output_of [[
      local eddy = require "eddy"
      eddy.run(function()
        local loop = eddy.get_running_loop()
        loop:set_exception_handler(function() error("the handler is broken", 0) end)
        loop:call_soon(error, "the real trouble", 0)
        eddy.sleep(0)
        loop:call_exception_handler { message = "told by hand" }
        print("goes on")
      end)
    ]]
    assert.matches("the handler is broken", output)
    assert.matches("the real trouble", output)
    assert.matches("told by hand", output)
    assert.matches("goes on\n", output)
  end)

  it("may raise any value", function()
    local output = output_of [[
      local eddy = require "eddy"
      eddy.run(function()
        local loop = eddy.get_running_loop()
        for _, value in ipairs { {}, 12, true, print } do
          loop:set_exception_handler(function() error(value) end)
          loop:call_exception_handler { message = "message " .. type(value) }
        end
        loop:set_exception_handler(function() error() end)
        loop:call_exception_handler { message = 5, exception = setmetatable({}, { __tostring = error }) }
        loop:call_exception_handler {}
        print("goes on")
      end)
    ]]
    for _, kind in ipairs { "table", "number", "boolean", "function" } do
      assert.matches("eddy: message " .. kind, output)
    end
    assert.matches("goes on\n", output)
  end)

  it("may be given any text as a traceback: the default one shows its lines", function()
    local output = output_of [[
      local eddy = require "eddy"
      eddy.run(function()
        local loop = eddy.get_running_loop()
        for i, text in ipairs { "", "\n", "first\n", "\tlast", "stack traceback:\n", "one\n\n\ttwo\n" } do
          loop:call_exception_handler { message = "message " .. i, traceback = text }
        end
      end)
    ]]
    local head = "stack traceback:\n"
    local expected = {}
    for i, lines in ipairs { "", "\n", "first\n", "\tlast\n", "", "one\n\n\ttwo\n" } do
      table.insert(expected, ("eddy: message %d\n"):format(i) .. head .. lines)
    end
    assert.equal(table.concat(expected), output)
  end)
end)
