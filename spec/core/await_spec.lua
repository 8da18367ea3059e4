-- eddy.await and wait_for; and waiting from any depth of Lua calls.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised, bad_argument, closing = calls.raised_as, calls.bad_argument, calls.closing

local started = calls.started

local function awaitable(f) return setmetatable({}, { __await = f }) end

describe("eddy.await #virtual", function()
  it("waits for a Task, a Future, a Coroutine, an object with __await", function()
    local future = eddy.get_running_loop():create_future()
    eddy.get_running_loop():call_later(1, future.set_result, future, "future")
    assert.equal("task", eddy.await(eddy.create_task(eddy.sleep, 1, "task")))
    assert.equal("future", eddy.await(future))
    assert.equal("coroutine", eddy.await(eddy.async(eddy.sleep)(1, "coroutine")))
    assert.equal("object", eddy.await(awaitable(function() return eddy.sleep(1, "object") end)))
  end)

  it("returns all results, nils too", function()
    local function results() return nil, 2, nil end
    for _, aw in ipairs { eddy.create_task(results), eddy.async(results)(), awaitable(results) } do
      assert.same({ nil, 2, nil, n = 3 }, table.pack(eddy.await(aw)))
    end
    assert.equal(0, select("#", eddy.await(eddy.async(function() end)())))
    assert.equal(0, select("#", eddy.await(awaitable(function() end))))
  end)

  it("returns any other value as it is, with what follows it", function()
    local object = {}
    assert.same({ 1, nil, object, n = 3 }, table.pack(eddy.await(1, nil, object)))
    assert.same({ nil, n = 1 }, table.pack(eddy.await(nil)))
    assert.same({ n = 0 }, table.pack(eddy.await()))
    assert.same({ false, "x", n = 2 }, table.pack(eddy.await(false, "x")))
    assert.same({ print, 1, n = 2 }, table.pack(eddy.await(print, 1)))
    assert.same({ object }, { eddy.await(object) })
  end)

  it("may stand around a call that has waited: await(eddy.sleep(1))", function()
    assert.same({ "a", "b" }, { eddy.await(eddy.sleep(1, "a", "b")) })
    assert.equal(1, eddy.time())
  end)

  it("takes what follows an awaitable for nothing", function()
    assert.same({ "r", n = 1 }, table.pack(eddy.await(eddy.create_task(eddy.sleep, 1, "r"), "ignored")))
  end)

  it("of an async function that was not called is a mistake, and the error says so", function()
    assert.matches("bad argument #1 to 'await' %(.*call the async function",
      bad_argument(function() eddy.await(eddy.async(print)) end))
  end)

  it("does not suspend for what is done", function()
    local task = started(function() return "done" end)
    local ran = false
    eddy.get_running_loop():call_soon(function() ran = true end)
    assert.equal("done", eddy.await(task))
    assert.equal("done", task:await())
    assert.is_false(ran)
  end)

  it("goes on in the turn after the one in which the future was settled", function()
    local future, log, loop = eddy.get_running_loop():create_future(), {}, eddy.get_running_loop()
    started(function() future:await() table.insert(log, "woken") end)
    loop:call_soon(function()
      future:set_result()
      table.insert(log, "settled")
    end)
    loop:call_soon(table.insert, log, "beside")
    eddy.sleep(0)
    assert.same({ "settled", "beside" }, log)
    eddy.sleep(0)
    assert.same({ "settled", "beside", "woken" }, log)
  end)
end)

describe("an object with __await #virtual", function()
  it("gets itself, in the task that awaits it, and may wait", function()
    local got
    local object = awaitable(function(...)
      eddy.sleep(1)
      got = table.pack(..., eddy.current_task())
    end)
    eddy.await(object, "not passed on")
    assert.equal(2, got.n)
    assert.is_true(rawequal(object, got[1]))
    assert.equal(eddy.current_task(), got[2])
  end)

  it("raises its error", function()
    assert.same({ false, "boom" }, { pcall(eddy.await, awaitable(function() error("boom", 0) end)) })
  end)

  it("may be awaited again and again", function()
    local count = 0
    local object = awaitable(function()
      count = count + 1
      return eddy.sleep(1, count)
    end)
    assert.same({ 1, 2, 3 }, { eddy.await(object), eddy.await(object), (eddy.await(object)) })
  end)

  it("is asked by identity of its metatable alone, not through __index", function()
    local object = setmetatable({}, setmetatable({}, { __index = { __await = error } }))
    assert.equal(object, eddy.await(object))
  end)

  it("may be callable instead of a function", function()
    local object = awaitable(setmetatable({}, { __call = function() return eddy.sleep(1, "called") end }))
    assert.equal("called", eddy.await(object))
  end)

  it("may return another awaitable, which is not awaited", function()
    local task = eddy.create_task(eddy.sleep, 5)
    assert.equal(task, eddy.await(awaitable(function() return task end)))
    assert.is_false(task:done())
    task:cancel()
  end)

  it("is an awaitable for gather, wait_for, create_task and shield", function()
    local object = awaitable(function() return eddy.sleep(1, "object") end)
    assert.same({ "object", n = 1 }, eddy.gather(object))
    assert.equal("object", eddy.wait_for(object, 5))
    assert.equal("object", eddy.await(eddy.create_task(object)))
    assert.equal("object", eddy.shield(object))
  end)
end)

describe("eddy.wait_for #virtual", function()
  it("returns all results in time, nils too", function()
    assert.same({ nil, 2, nil, n = 3 }, table.pack(eddy.wait_for(eddy.create_task(eddy.sleep, 1, nil, 2, nil), 5)))
    assert.equal(1, eddy.time())
  end)

  it("takes a function and its arguments, a Coroutine, an object, a future", function()
    assert.same({ "f", nil, n = 2 }, table.pack(eddy.wait_for(eddy.sleep, 5, 1, "f", nil)))
    assert.equal("af", eddy.wait_for(eddy.async(eddy.sleep), 5, 1, "af"))
    assert.equal("c", eddy.wait_for(eddy.async(eddy.sleep)(1, "c"), 5))
    assert.equal("o", eddy.wait_for(awaitable(function() return eddy.sleep(1, "o") end), 5))
    local future = eddy.get_running_loop():create_future()
    future:set_result("r")
    assert.equal("r", eddy.wait_for(future, 5))
  end)

  it("without a timeout is await", function()
    assert.equal("r", eddy.wait_for(eddy.create_task(eddy.sleep, 1e6, "r"), nil))
    assert.equal("r", eddy.wait_for(eddy.create_task(eddy.sleep, 1e6, "r"), math.huge))
    assert.equal("r", eddy.wait_for(eddy.create_task(eddy.sleep, 1e6, "r")))
  end)

  it("cancels and raises TimeoutError when time runs out", function()
    local task = eddy.create_task(eddy.sleep, 10)
    local err = raised(eddy.TimeoutError, eddy.wait_for, task, 3)
    assert.equal(3, eddy.time())
    assert.is_true(task:cancelled())
    assert.equal("TimeoutError", tostring(err))
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("cancels a plain future, too", function()
    local future = eddy.get_running_loop():create_future()
    raised(eddy.TimeoutError, eddy.wait_for, future, 1)
    assert.is_true(future:cancelled())
  end)

  it("awaits a Coroutine and calls a function in the calling task", function()
    local me = eddy.current_task()
    assert.equal(me, eddy.wait_for(eddy.async(eddy.current_task)(), 1))
    assert.equal(me, eddy.wait_for(eddy.current_task, 1))
  end)

  it("waits for the cleanup of what it cancels, so it may take longer", function()
    local task = eddy.create_task(function()
      local _ <close> = closing(function() eddy.sleep(2) end)
      eddy.sleep(100)
    end)
    raised(eddy.TimeoutError, eddy.wait_for, task, 1)
    assert.equal(3, eddy.time())
    assert.is_true(task:cancelled())
  end)

  it("returns the value if what it cancels takes it and returns one", function()
    local task = eddy.create_task(function()
      pcall(eddy.sleep, 100)
      return "kept"
    end)
    assert.equal("kept", eddy.wait_for(task, 1))
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("raises the error if what it cancels raises another", function()
    local task = eddy.create_task(function()
      pcall(eddy.sleep, 100)
      error("instead", 0)
    end)
    assert.same({ false, "instead" }, { pcall(eddy.wait_for, task, 1) })
  end)

  it("raises the error of what it waits for", function()
    local boom = {}
    assert.same({ false, boom }, { pcall(eddy.wait_for, eddy.create_task(error, boom), 1) })
    assert.same({ false, boom }, { pcall(eddy.wait_for, error, 1, boom) })
  end)

  it("with no time at all returns the result of what is done", function()
    local done, failed = started(function() return "r", nil end), started(error, "e", 0)
    local suspended = false
    eddy.get_running_loop():call_soon(function() suspended = true end)
    for _, timeout in ipairs { 0, -1, -math.huge } do
      assert.same({ "r", nil, n = 2 }, table.pack(eddy.wait_for(done, timeout)))
      assert.same({ false, "e" }, { pcall(eddy.wait_for, failed, timeout) })
    end
    assert.is_false(suspended)
  end)

  it("with no time at all never starts what has not started", function()
    local ran = false
    local function run() ran = true end
    local task = eddy.create_task(run)
    raised(eddy.TimeoutError, eddy.wait_for, task, 0)
    raised(eddy.TimeoutError, eddy.wait_for, run, 0)
    raised(eddy.TimeoutError, eddy.wait_for, eddy.async(run)(), -1)
    raised(eddy.TimeoutError, eddy.wait_for, awaitable(run), 0)
    assert.is_true(task:cancelled())
    assert.is_false(ran)
  end)

  it("with no time at all cancels what runs, and waits for its end", function()
    local task = started(function()
      local _ <close> = closing(function() eddy.sleep(2) end)
      eddy.sleep(100)
    end)
    raised(eddy.TimeoutError, eddy.wait_for, task, 0)
    assert.equal(2, eddy.time())
    assert.is_true(task:cancelled())
    local future = eddy.get_running_loop():create_future()
    raised(eddy.TimeoutError, eddy.wait_for, future, 0)
    assert.is_true(future:cancelled())
  end)

  it("with no time at all returns the value of what takes the cancellation", function()
    local task = started(function()
      pcall(eddy.sleep, 100)
      return "kept"
    end)
    assert.equal("kept", eddy.wait_for(task, 0))
  end)

  it("passes a cancellation on to what it waits for", function()
    local inner = eddy.create_task(eddy.sleep, 100)
    local outer = started(eddy.wait_for, inner, 50)
    outer:cancel("outside")
    assert.equal("outside", raised(eddy.CancelledError, eddy.await, outer).message)
    assert.is_true(inner:cancelled())
    assert.equal(1, outer:cancelling())
  end)

  it("that is cancelled with no time at all is cancelled, not out of time", function()
    local inner = started(function()
      local _ <close> = closing(function() eddy.sleep(5) end)
      eddy.sleep(100)
    end)
    local outer = started(eddy.wait_for, inner, 0)
    eddy.sleep(1)
    outer:cancel("outside")
    raised(eddy.CancelledError, eddy.await, outer)
    assert.is_true(outer:cancelled())
  end)

  it("raises CancelledError when the inner task was cancelled by others", function()
    local inner = eddy.create_task(eddy.sleep, 100)
    local outer = started(function()
      local err = raised(eddy.CancelledError, eddy.wait_for, inner, 50)
      return err.message, eddy.current_task():cancelling()
    end)
    inner:cancel("inner")
    assert.same({ "inner", 0 }, { eddy.await(outer) })
  end)

  it("can be nested; the shorter time counts", function()
    raised(eddy.TimeoutError, eddy.wait_for, eddy.wait_for, 2, eddy.sleep, 9, 100)
    assert.equal(2, eddy.time())
    raised(eddy.TimeoutError, eddy.wait_for, eddy.wait_for, 9, eddy.sleep, 2, 100)
    assert.equal(4, eddy.time())
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("leaves no timer behind that fires later", function()
    for _ = 1, 10 do eddy.wait_for(eddy.sleep, 5, 1) end
    eddy.sleep(100)
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("names what is wrong, and starts nothing then", function()
    local ran = false
    local function f() ran = true end
    assert.equal("bad argument #2 to 'wait_for' (NaN is not a time)",
      bad_argument(function() eddy.wait_for(f, 0 / 0) end))
    assert.equal("bad argument #2 to 'wait_for' (number expected, got string)",
      bad_argument(function() eddy.wait_for(f, "5") end))
    assert.matches("bad argument #1 to 'wait_for' %(awaitable expected, got table: .*waited already",
      bad_argument(function() eddy.wait_for({}, 5) end))
    assert.matches("bad argument #1 to 'wait_for' %(awaitable expected, got nil",
      bad_argument(function() eddy.wait_for(nil, 5) end))
    assert.matches("bad argument #1 to 'wait_for' %(awaitable expected, got no value",
      bad_argument(function() eddy.wait_for() end))
    eddy.sleep(1)
    assert.is_false(ran)
  end)
end)

describe("waiting #virtual", function()
  it("works through pcall and xpcall to any depth", function()
    local function nest(n)
      if n == 0 then return eddy.sleep(1, "bottom") end
      if n % 2 == 0 then return select(2, pcall(nest, n - 1)) end
      return select(2, xpcall(nest, debug.traceback, n - 1))
    end
    assert.equal("bottom", nest(50))
  end)

  it("works through pcall when an error comes after it", function()
    assert.same({ false, "late" }, { pcall(function()
      eddy.sleep(1)
      error("late", 0)
    end) })
    assert.same({ false, "handled late" }, { xpcall(function()
      eddy.sleep(1)
      error("late", 0)
    end, function(err) return "handled " .. err end) })
  end)

  local function slow(value) return function() return eddy.sleep(1, value) end end
  local function with(name, value) return setmetatable({}, { [name] = slow(value) }) end
  local metamethods = {
    __index = function(o) return o.field end,
    __call = function(o) return o() end,
    __add = function(o) return o + 1 end, __sub = function(o) return 1 - o end, __mul = function(o) return o * 1 end,
    __div = function(o) return o / 1 end, __mod = function(o) return o % 1 end, __pow = function(o) return o ^ 1 end,
    __unm = function(o) return -o end, __idiv = function(o) return o // 1 end,
    __band = function(o) return o & 1 end, __bor = function(o) return o | 1 end, __bxor = function(o) return o ~ 1 end,
    __shl = function(o) return o << 1 end, __shr = function(o) return o >> 1 end, __bnot = function(o) return ~o end,
    __concat = function(o) return "a" .. o end, __len = function(o) return #o end,
  }
  for name, use in pairs(metamethods) do
    it("works in " .. name, function()
      assert.equal("result", use(with(name, "result")))
      assert.equal(1, eddy.time())
    end)
  end

  it("works in __eq, __lt and __le", function()
    local mt = { __eq = slow(true), __lt = slow(true), __le = slow(false) }
    local a, b = setmetatable({}, mt), setmetatable({}, mt)
    assert.is_true(a == b)
    assert.is_true(a < b)
    assert.is_false(a <= b)
    assert.equal(3, eddy.time())
  end)

  it("works in __newindex", function()
    local got
    local object = setmetatable({}, { __newindex = function(_, key, value) got = eddy.sleep(1, key .. value) end })
    object.key = "value"
    assert.equal("keyvalue", got)
  end)

  it("works in the middle of a longer expression", function()
    local mt = { __concat = function(a, b)
      eddy.sleep(1)
      return (type(a) == "table" and "o" or a) .. (type(b) == "table" and "o" or b)
    end }
    local o = setmetatable({}, mt)
    assert.equal("aobo", "a" .. o .. "b" .. o)
  end)

  it("works in __pairs and in the iterator of for", function()
    local object = setmetatable({}, { __pairs = function()
      eddy.sleep(1)
      return function(_, i)
        i = (i or 0) + 1
        eddy.sleep(1)
        if i <= 3 then return i end
      end
    end })
    local sum = 0
    for i in pairs(object) do sum = sum + i + eddy.sleep(1, 0) end
    assert.equal(6, sum)
    assert.equal(8, eddy.time())
  end)

  it("works in the closing value of for, also on break", function()
    local closed_at
    local count = 0
    for _ in function() return eddy.sleep(1, true) end, nil, nil, closing(function()
      eddy.sleep(5)
      closed_at = eddy.time()
    end) do
      count = count + 1
      if count == 2 then break end
    end
    assert.equal(7, closed_at)
  end)

  it("works in __close at the end of a block, and results are kept", function()
    local function f()
      local _ <close> = closing(function() eddy.sleep(1) end)
      local _ <close> = closing(function() eddy.sleep(1) end)
      return 1, nil, 3
    end
    assert.same({ 1, nil, 3, n = 3 }, table.pack(f()))
    assert.equal(2, eddy.time())
  end)

  it("works in __close while an error unwinds, which goes on afterwards", function()
    local log = {}
    local boom = {}
    local ok, err = pcall(function()
      local _ <close> = closing(function(e) eddy.sleep(1) table.insert(log, rawequal(e, boom)) end)
      local _ <close> = closing(function(e) eddy.sleep(1) table.insert(log, rawequal(e, boom)) end)
      error(boom)
    end)
    assert.is_false(ok)
    assert.equal(boom, err)
    assert.same({ true, true }, log)
    assert.equal(2, eddy.time())
  end)

  it("works in __close while an error leaves the task", function()
    local task = eddy.create_task(function()
      local _ <close> = closing(function() eddy.sleep(3) end)
      error("boom", 0)
    end)
    assert.same({ false, "boom" }, { pcall(eddy.await, task) })
    assert.equal(3, eddy.time())
  end)

  it("works in __close that raises another error after its wait", function()
    local ok, err = pcall(function()
      local _ <close> = closing(function()
        eddy.sleep(1)
        error("second", 0)
      end)
      error("first", 0)
    end)
    assert.same({ false, "second" }, { ok, err })
  end)

  it("works in __close of a tail of calls with goto and break", function()
    for i = 1, 3 do
      local _ <close> = closing(function() eddy.sleep(1) end)
      if i == 2 then goto continue end
      if i == 3 then break end
      ::continue::
    end
    assert.equal(3, eddy.time())
  end)

  it("works in a loaded chunk and in dofile", function()
    local chunk = assert(load("local eddy = ... ; return eddy.sleep(1, 'loaded')"))
    assert.equal("loaded", chunk(eddy))
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("require 'eddy'.sleep(1) return 'done'")
    file:close()
    local result = dofile(path)
    os.remove(path)
    assert.equal("done", result)
    assert.equal(2, eddy.time())
  end)

  it("works in select, table.unpack's arguments and vararg functions", function()
    local function pass(...) return eddy.sleep(1, ...) end
    assert.equal(3, select("#", pass(nil, nil, nil)))
    assert.same({ 1, 2, 3 }, { pass(table.unpack { 1, 2, 3 }) })
  end)

  it("works below ten thousand Lua calls", function()
    local function deep(n)
      if n == 0 then return eddy.sleep(1, "deep") end
      return (deep(n - 1))
    end
    assert.equal("deep", deep(10000))
  end)
end)

describe("waiting where nothing can be suspended #virtual", function()
  -- What f(wait) raises when it calls wait in such a place.
  local function message(f)
    local seen
    pcall(f, function()
      local _, err = xpcall(eddy.sleep, function(err) return err end, 1)
      seen = seen or err
      error(err, 0)
    end)
    assert.is_true(eddy.is_error(seen, eddy.RuntimeError), tostring(seen))
    return seen.message
  end

  -- The same, without a pcall between the wait and the place.
  local function direct(f)
    local err = calls.raised_as(eddy.RuntimeError, f, function() eddy.sleep(1) return true end)
    return err.message
  end

  it("names sort, whose comparator waits", function()
    assert.matches("^'sleep' cannot wait here: .*sort'", direct(function(wait) table.sort({ 1, 2, 3 }, wait) end))
  end)

  it("names gsub, whose callback waits", function()
    assert.matches("^'sleep' cannot wait here: .*gsub'", direct(function(wait) return (("x"):gsub(".", wait)) end))
  end)

  it("names tostring, whose __tostring waits", function()
    assert.matches("^'sleep' cannot wait here: .*'tostring'", direct(function(wait)
      return (tostring(setmetatable({}, { __tostring = wait })))
    end))
  end)

  it("names require, whose module waits", function()
    package.preload["spec.core.waiting"] = function() eddy.sleep(1) end
    finally(function() package.preload["spec.core.waiting"] = nil end)
    assert.matches("^'sleep' cannot wait here: .*'require'",
      direct(function() return (require "spec.core.waiting") end))
  end)

  it("names load, whose reader waits", function()
    local seen
    local chunk = load(function() seen = select(2, pcall(eddy.sleep, 1)) end)
    assert.is_not_nil(chunk)
    assert.is_true(eddy.is_error(seen, eddy.RuntimeError))
  end)

  it("names the culprit, not a pcall between it and the wait", function()
    assert.matches("sort'", message(function(wait) table.sort({ 1, 2, 3 }, wait) end))
    assert.matches("gsub'", message(function(wait) return (("x"):gsub(".", wait)) end))
  end)

  it("is an error in a message handler", function()
    local seen
    xpcall(error, function() seen = select(2, pcall(eddy.sleep, 1)) end)
    assert.is_true(eddy.is_error(seen, eddy.RuntimeError))
    assert.matches("^'sleep' cannot wait here", seen.message)
  end)

  it("is an error in a finalizer", function()
    local seen
    setmetatable({}, { __gc = function() seen = select(2, pcall(eddy.sleep, 1)) end })
    collectgarbage()
    collectgarbage()
    assert.is_true(eddy.is_error(seen, eddy.RuntimeError))
    assert.matches("'sleep' cannot wait", seen.message)
  end)

  it("is an error in a hook", function()
    local seen
    debug.sethook(function()
      debug.sethook()
      seen = select(2, pcall(eddy.sleep, 1))
    end, "", 1)
    local _ = seen
    assert.is_true(eddy.is_error(seen, eddy.RuntimeError))
  end)

  it("is an error in a <close> handler that coroutine.close runs", function()
    local seen
    local co = coroutine.create(function()
      local _ <close> = closing(function() seen = select(2, pcall(eddy.sleep, 1)) end)
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)
    assert.is_true(eddy.is_error(seen, eddy.RuntimeError))
  end)

  it("leaves the task as it was", function()
    direct(function(wait) table.sort({ 3, 2, 1 }, wait) end)
    assert.equal("fine", eddy.sleep(1, "fine"))
  end)

  it("is no error if nothing has to wait", function()
    local done = eddy.get_running_loop():create_future()
    done:set_result(true)
    local list = { 2, 1 }
    table.sort(list, function(a, b) return eddy.await(done) and a < b end)
    assert.same({ 1, 2 }, list)
  end)

  for _, name in ipairs { "await", "gather", "wait", "wait_for", "shield" } do
    it("names " .. name .. " when it is that which waits", function()
      local task = eddy.create_task(eddy.sleep, 1)
      local argument = name == "wait" and { task } or task
      local ok, err = pcall(table.sort, { 1, 2, 3 }, function()
        if name == "wait_for" then return eddy.wait_for(argument, 1) end
        return eddy[name](argument)
      end)
      assert.is_false(ok)
      assert.is_true(eddy.is_error(err, eddy.RuntimeError), tostring(err))
      assert.matches("^'" .. name .. "' cannot wait here: .*sort'", err.message)
      assert.is_false(task:done())
      eddy.await(task)
    end)
  end
end)

describe("waiting outside of a task #plain", function()
  it("raises an error that names the function and what to do", function()
    local task
    local loop <close> = eddy.new_event_loop()
    task = loop:create_task(eddy.sleep, 0)
    local function expect(name, ...)
      assert.equal(("'%s' needs a running task; start one with eddy.run(f)"):format(name),
        raised(eddy.RuntimeError, eddy[name], ...).message)
    end
    expect("sleep", 1)
    expect("await", task)
    expect("gather", task)
    expect("wait", { task })
    expect("wait_for", task, 1)
    expect("shield", task)
    loop:run_until_complete(task)
  end)
end)
