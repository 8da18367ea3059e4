-- Async functions and their Coroutine objects; waiting inside of Lua's own coroutines.

local eddy = require "eddy"
local calls = require "spec.support.calls"
local output_of = require("spec.support.chunk").output_of

local raised, bad_argument, closing = calls.raised_as, calls.bad_argument, calls.closing

describe("eddy.async #virtual", function()
  it("makes a function that runs nothing when it is called", function()
    local ran = false
    local f = eddy.async(function() ran = true end)
    assert.equal("function", type(f))
    local coro = f()
    eddy.sleep(1)
    assert.is_false(ran)
    eddy.await(coro)
    assert.is_true(ran)
  end)

  it("keeps arguments and results, nils too", function()
    local f = eddy.async(function(...) return select("#", ...), eddy.sleep(1, ...) end)
    assert.same({ 4, nil, 2, nil, nil, n = 5 }, table.pack(eddy.await(f(nil, 2, nil, nil))))
    assert.same({ 0, n = 1 }, table.pack(eddy.await(f())))
  end)

  it("makes a new Coroutine at each call", function()
    local f = eddy.async(function(x) return x end)
    local a, b = f(1), f(2)
    assert.not_equal(a, b)
    assert.same({ 2, 1 }, { eddy.await(b), eddy.await(a) })
  end)

  it("of an async function is that function", function()
    local f = eddy.async(function() return "once" end)
    assert.equal(f, eddy.async(f))
  end)

  it("wraps C functions and callable objects", function()
    assert.equal("slept", eddy.await(eddy.async(eddy.sleep)(1, "slept")))
    local object = setmetatable({}, { __call = function(_, x) return eddy.sleep(1, x) end })
    assert.equal("called", eddy.await(eddy.async(object)("called")))
  end)

  it("is recognised, and so is a Coroutine", function()
    local f = eddy.async(function() end)
    local coro = f()
    assert.is_true(eddy.iscoroutinefunction(f))
    assert.is_false(eddy.iscoroutinefunction(print))
    assert.is_false(eddy.iscoroutinefunction(coro))
    assert.is_true(eddy.iscoroutine(coro))
    assert.is_false(eddy.iscoroutine(f))
    assert.is_false(eddy.iscoroutine(coroutine.create(print)))
    coro:close()
  end)

  it("names what is wrong", function()
    local function message(...)
      local arguments = table.pack(...)
      return bad_argument(function() eddy.async(table.unpack(arguments, 1, arguments.n)) end)
    end
    assert.equal("bad argument #1 to 'async' (function expected, got nil)", message(nil))
    assert.equal("bad argument #1 to 'async' (function expected, got no value)", message())
    assert.equal("bad argument #1 to 'async' (function expected, got table)", message({}))
  end)
end)

describe("a Coroutine #virtual", function()
  local async = eddy.async

  it("runs in the task that awaits it, not in a new one", function()
    local me = eddy.current_task()
    local task, tasks = eddy.await(async(function()
      eddy.sleep(1)
      return eddy.current_task(), #eddy.all_tasks()
    end)())
    assert.equal(me, task)
    assert.equal(1, tasks)
  end)

  it("starts at once when it is awaited, without giving way", function()
    local log = {}
    eddy.get_running_loop():call_soon(table.insert, log, "callback")
    eddy.await(async(function() table.insert(log, "coroutine") end)())
    assert.same({ "coroutine" }, log)
  end)

  it("raises where it is awaited what its function raises", function()
    for _, value in ipairs { "boom", 42, false, {} } do
      local coro = async(function() eddy.sleep(1) error(value, 0) end)()
      assert.same({ false, value }, { pcall(eddy.await, coro) })
    end
    assert.same({ false, nil, n = 2 }, table.pack(pcall(eddy.await, async(error)(nil))))
  end)

  it("is awaited once: a second time is a RuntimeError", function()
    local coro = async(function() return 1 end)()
    eddy.await(coro)
    for _, again in ipairs { eddy.await, eddy.create_task, eddy.gather, eddy.shield, coro.await } do
      assert.matches("awaited or started before", raised(eddy.RuntimeError, again, coro).message)
    end
    raised(eddy.RuntimeError, eddy.wait_for, coro, 1)
    raised(eddy.RuntimeError, eddy.wait, { coro })
    raised(eddy.RuntimeError, coro.send, coro)
    assert.equal(1, #eddy.all_tasks())
  end)

  it("cannot be awaited by two tasks", function()
    local coro = async(eddy.sleep)(1, "result")
    local first, second = eddy.create_task(coro.await, coro), eddy.create_task(coro.await, coro)
    eddy.sleep(2)
    assert.equal("result", first:result())
    raised(eddy.RuntimeError, second.result, second)
  end)

  it("cannot await itself", function()
    local coro
    coro = async(function() return raised(eddy.RuntimeError, eddy.await, coro).message end)()
    assert.matches("awaited or started before", eddy.await(coro))
  end)

  it("has await as a method", function()
    assert.same({ 1, nil, n = 2 }, table.pack(async(eddy.sleep)(1, 1, nil):await()))
  end)

  it("may await others to any depth", function()
    local function nest(n)
      return async(function()
        if n == 0 then return eddy.sleep(1, "bottom") end
        return eddy.await(nest(n - 1)())
      end)
    end
    assert.equal("bottom", eddy.await(nest(100)()))
  end)

  it("that recurses without end raises an error, and the task goes on", function()
    local forever
    forever = async(function() return 1 + eddy.await(forever()) end)
    local err = calls.raised(eddy.await, forever())
    assert.matches("overflow", tostring(err))
    assert.equal("fine", eddy.sleep(1, "fine"))
  end)

  it("is cancelled with the task that awaits it", function()
    local seen
    local task = eddy.create_task(function()
      return eddy.await(async(function()
        local _ <close> = closing(function(err) seen = err end)
        eddy.sleep(100)
      end)())
    end)
    eddy.sleep(0)
    task:cancel("stop")
    eddy.sleep(0)
    assert.is_true(task:cancelled())
    assert.equal("stop", seen.message)
  end)

  it("may end in its first step when it is a task", function()
    local task = eddy.create_task(async(function() return "at once" end)())
    eddy.sleep(0)
    assert.equal("at once", task:result())
  end)

  it("shows the place of its function and its state", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local f = async(function() eddy.sleep(1) end)
    local coro = f()
    assert.matches("^<Coroutine of the function at .*coroutine_spec.lua:" .. line .. ", created>$", tostring(coro))
    eddy.await(coro)
    assert.matches(":" .. line .. ", started>$", tostring(coro))
    local closed = f()
    closed:close()
    assert.matches(", closed>$", tostring(closed))
  end)

  it("that send has run to its end is neither awaited nor said to be closed", function()
    for _, f in ipairs { async(function() end), async(error) } do
      local coro = f()
      pcall(coro.send, coro)
      coro:close()
      assert.matches(", ended>$", tostring(coro))
      assert.equal("'await': the Coroutine has ended: 'send' ran it",
        raised(eddy.RuntimeError, eddy.await, coro).message)
      assert.matches("has ended", raised(eddy.RuntimeError, coro.send, coro).message)
    end
  end)

  it("is not called: the error says so, and where its function is", function()
    local coro = async(function() end)()
    local message = raised(eddy.RuntimeError, coro).message
    assert.matches("not called", message)
    assert.matches("coroutine_spec.lua:%d+", message)
    coro:close()
  end)

  it("names what it is no method of", function()
    local coro = async(function() end)()
    for _, name in ipairs { "send", "close", "await" } do
      local method = coro[name]
      assert.equal("bad argument #1 to '" .. name .. "' (Coroutine expected, got table)",
        bad_argument(function() method({}) end))
      assert.equal("bad argument #1 to '" .. name .. "' (Coroutine expected, got Task)",
        bad_argument(function() method(eddy.current_task()) end))
    end
    coro:close()
  end)
end)

describe("coro:send #plain", function()
  local async = eddy.async

  it("steps it by hand, without a loop", function()
    local log = {}
    local coro = async(function()
      for i = 1, 2 do
        table.insert(log, i)
        eddy.sleep(0)
      end
      return "end", nil, 3, nil
    end)()
    assert.same({ true, n = 1 }, table.pack(coro:send()))
    assert.same({ true, n = 1 }, table.pack(coro:send()))
    assert.same({ false, "end", nil, 3, nil, n = 5 }, table.pack(coro:send()))
    assert.same({ 1, 2 }, log)
  end)

  it("passes values in and out", function()
    local coro = async(function(first)
      local a, b = coroutine.yield(first, "one")
      local c = coroutine.yield(a + b, nil, "two")
      return c
    end)("argument")
    assert.same({ true, "argument", "one" }, { coro:send() })
    assert.same({ true, 5, nil, "two" }, { coro:send(2, 3) })
    assert.same({ false, "last" }, { coro:send("last") })
  end)

  it("can send nothing to one that has not started", function()
    local coro = async(function() return "ran" end)()
    assert.matches("not started", raised(eddy.RuntimeError, coro.send, coro, "value").message)
    assert.same({ false, "ran" }, { coro:send(nil) })
  end)

  it("raises what the body raises, the same value", function()
    for _, value in ipairs { "boom", 42, false, {} } do
      local coro = async(function() eddy.sleep(0) error(value, 0) end)()
      coro:send()
      assert.same({ false, value }, { pcall(coro.send, coro) })
    end
    local coro = async(error)(nil)
    assert.same({ false, nil, n = 2 }, table.pack(pcall(coro.send, coro)))
  end)

  it("runs the <close> handlers of a body that raises, with its error", function()
    local seen
    local boom = {}
    local coro = async(function()
      local held <close> = closing(function(err) seen = err end)
      local other = { held }
      eddy.sleep(0)
      error(boom, #other)
    end)()
    coro:send()
    assert.same({ false, boom }, { pcall(coro.send, coro) })
    assert.is_true(rawequal(boom, seen), tostring(seen))
  end)

  it("cannot step one that has ended or failed", function()
    local done, failed = async(function() end)(), async(error)("boom")
    done:send()
    pcall(failed.send, failed)
    assert.matches("has ended", raised(eddy.RuntimeError, done.send, done).message)
    assert.matches("has ended", raised(eddy.RuntimeError, failed.send, failed).message)
    raised(eddy.RuntimeError, eddy.run, done)
  end)

  it("cannot step one from within itself", function()
    local coro
    coro = async(function() return raised(eddy.RuntimeError, coro.send, coro).message end)()
    assert.same({ false, "'send': the Coroutine is running" }, { coro:send() })
  end)

  it("steps through nested awaits of Coroutines", function()
    local inner = async(function(x)
      eddy.sleep(0)
      return x, coroutine.yield("inner yields")
    end)
    local coro = async(function()
      return "outer", eddy.await(inner(1))
    end)()
    assert.same({ true }, { coro:send() })
    assert.same({ true, "inner yields" }, { coro:send() })
    assert.same({ false, "outer", 1, "sent" }, { coro:send("sent") })
  end)

  it("steps through pcall, metamethods and iterators", function()
    local coro = async(function()
      local object = setmetatable({}, { __add = function() return coroutine.yield("add") end })
      local sum = object + 1
      local _, caught = pcall(function() error(coroutine.yield("pcall"), 0) end)
      return sum, caught
    end)()
    assert.same({ true, "add" }, { coro:send() })
    assert.same({ true, "pcall" }, { coro:send(1) })
    assert.same({ false, 1, "thrown" }, { coro:send("thrown") })
  end)

  it("cannot wait for what needs a loop: the error says so inside", function()
    local coro = async(function() return raised(eddy.RuntimeError, eddy.sleep, 1).message end)()
    local suspended, message = coro:send()
    assert.is_false(suspended)
    assert.matches("'sleep' needs a running task", message)
  end)

  it("cannot step one that a task runs, nor can a task run one that is stepped", function()
    local stepped = async(function() eddy.sleep(0) end)()
    stepped:send()
    eddy.run(function()
      raised(eddy.RuntimeError, eddy.await, stepped)
      raised(eddy.RuntimeError, eddy.create_task, stepped)
      local coro = async(eddy.sleep)(0)
      local task = eddy.create_task(coro)
      eddy.sleep(0)
      assert.matches("runs in a task", raised(eddy.RuntimeError, coro.send, coro).message)
      assert.matches("cancel the task", raised(eddy.RuntimeError, coro.close, coro).message)
      eddy.await(task)
    end)
    stepped:close()
  end)

  it("steps inside of a task as well", function()
    eddy.run(function()
      local coro = async(function() eddy.sleep(0) return "done" end)()
      assert.is_true((coro:send()))
      eddy.sleep(0)
      assert.same({ false, "done" }, { coro:send() })
    end)
  end)

  it("lets one be collected in the middle", function()
    local weak = setmetatable({}, { __mode = "k" })
    do
      local coro = async(function() eddy.sleep(0) end)()
      coro:send()
      weak[coro] = true
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)
end)

describe("coro:close #plain", function()
  local async = eddy.async

  it("ends one that has not started: it can never run", function()
    local ran = false
    local coro = async(function() ran = true end)()
    coro:close()
    raised(eddy.RuntimeError, coro.send, coro)
    assert.matches("closed before it was awaited", raised(eddy.RuntimeError, eddy.run, coro).message)
    assert.is_false(ran)
  end)

  it("ends one that is suspended: its <close> handlers run", function()
    local log = {}
    local coro = async(function()
      local _ <close> = closing(function(err) table.insert(log, err or "outer") end)
      local _ <close> = closing(function(err) table.insert(log, err or "inner") end)
      eddy.sleep(0)
      table.insert(log, "unreached")
    end)()
    coro:send()
    coro:close()
    assert.same({ "inner", "outer" }, log)
    raised(eddy.RuntimeError, coro.send, coro)
  end)

  it("twice is fine, also after its end", function()
    local coro, done = async(eddy.sleep)(0), async(function() end)()
    coro:close()
    coro:close()
    done:send()
    done:close()
  end)

  it("raises what a <close> handler raises", function()
    local coro = async(function()
      local _ <close> = closing(function() error("in close", 0) end)
      eddy.sleep(0)
    end)()
    coro:send()
    assert.same({ false, "in close" }, { pcall(coro.close, coro) })
    coro:close()
  end)

  it("cannot close one from within itself", function()
    local coro
    coro = async(function() return raised(eddy.RuntimeError, coro.close, coro).message end)()
    assert.same({ false, "'close': the Coroutine is running" }, { coro:send() })
  end)
end)

describe("a Coroutine that is never awaited #plain", function()
  it("is warned of without a line when its function is C's", function()
    assert.equal("Lua warning: RuntimeWarning: the Coroutine of the async function at [C] was never awaited\n",
      output_of "require 'eddy'.async(print)() collectgarbage() collectgarbage()")
  end)

  it("is warned of, with the file and line of its function, once", function()
    local output = output_of [[
      local eddy = require "eddy"
      local fetch = eddy.async(function()
        print "never"
      end)
      fetch()
      collectgarbage()
      collectgarbage()
    ]]
    assert.equal("Lua warning: RuntimeWarning: the Coroutine of the async function at chunk.lua:2 was never awaited\n",
      output)
  end)

  it("is warned of at the end of the program at the latest", function()
    local output = output_of [[
      local eddy = require "eddy"
      coro = eddy.async(function() end)()
    ]]
    assert.matches("Coroutine of the async function at chunk.lua:2 was never awaited\n$", output)
  end)

  it("is not warned of when it was awaited, started, stepped, closed, cancelled or out of time", function()
    local output = output_of [[
      local eddy = require "eddy"
      local f = eddy.async(function() eddy.sleep(0) end)
      eddy.run(function()
        eddy.await(f())
        eddy.create_task(f())
        eddy.create_task(f()):cancel()
        eddy.gather(f(), f())
        eddy.wait { f() }
        eddy.wait_for(f(), 1)
        pcall(eddy.wait_for, f(), 0)
        f():send()
        f():close()
      end)
      eddy.run(f())
      collectgarbage()
      collectgarbage()
    ]]
    assert.equal("", output)
  end)

  it("is not warned of when Lua's warnings are off", function()
    local output = output_of [[
      warn "@off"
      require "eddy".async(function() end)()
      collectgarbage()
    ]]
    assert.equal("", output)
  end)

  it("of a C function is warned of as well", function()
    local output = output_of [[
      local eddy = require "eddy"
      eddy.async(eddy.sleep)(1)
      collectgarbage()
    ]]
    assert.matches("Coroutine of the async function at .* was never awaited\n", output)
  end)
end)

describe("waiting inside of Lua's own coroutine #virtual", function()
  it("raises an error there that says so", function()
    local err
    local co = coroutine.create(function() err = raised(eddy.RuntimeError, eddy.sleep, 1) end)
    assert.is_true(coroutine.resume(co))
    assert.equal("dead", coroutine.status(co))
    assert.matches("^'sleep' cannot wait in a coroutine", err.message)
    assert.equal(0, eddy.time())
  end)

  it("comes out of resume and wrap as an error of the coroutine", function()
    local ok, err = coroutine.resume(coroutine.create(eddy.sleep), 1)
    assert.is_false(ok)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    raised(eddy.RuntimeError, coroutine.wrap(function() eddy.await(eddy.async(print)()) end))
  end)

  it("is named after the function that would wait", function()
    local future = eddy.get_running_loop():create_future()
    local function message(f, ...)
      local ok, err = coroutine.resume(coroutine.create(f), ...)
      assert.is_false(ok)
      assert.is_true(eddy.is_error(err, eddy.RuntimeError), tostring(err))
      return err.message
    end
    assert.matches("^'await' cannot wait in a coroutine", message(eddy.await, future))
    assert.matches("^'gather' cannot wait in a coroutine", message(eddy.gather, future))
    assert.matches("^'wait' cannot wait in a coroutine", message(eddy.wait, { future }))
    assert.matches("^'wait_for' cannot wait in a coroutine", message(eddy.wait_for, future, 1))
    assert.matches("^'shield' cannot wait in a coroutine", message(eddy.shield, future))
    assert.matches("^'timeout' cannot wait in a coroutine", message(eddy.timeout, 1, print))
    assert.matches("^'move_on_after' cannot wait in a coroutine", message(eddy.move_on_after, 1, print))
    future:cancel()
  end)

  it("is fine for what does not wait", function()
    local done = eddy.get_running_loop():create_future()
    done:set_result("there")
    local co = coroutine.wrap(function()
      coroutine.yield(eddy.await(done))
      coroutine.yield(eddy.create_task(eddy.sleep, 1, "made"))
      return eddy.current_task()
    end)
    assert.equal("there", co())
    assert.equal("made", eddy.await(co()))
    assert.equal(eddy.current_task(), co())
  end)

  it("leaves the task as it was: it can wait before, between and after", function()
    local co = coroutine.wrap(function()
      for i = 1, 3 do coroutine.yield(i) end
    end)
    local sum = 0
    for _ = 1, 3 do
      sum = sum + eddy.sleep(1, co())
    end
    assert.equal(6, sum)
    assert.equal(3, eddy.time())
  end)
end)
