-- eddy.coroutine: Lua's coroutine library through which waiting passes.

local eddy = require "eddy"
local calls = require "spec.support.calls"
local output_of = require("spec.support.chunk").output_of

local raised, closing = calls.raised_as, calls.closing

local co = eddy.coroutine

-- --- Programs that do not wait: with either library they must do the same ------------------------------------

-- Each is called with a library (and a function to note values with); what it notes and returns is compared.
local programs = {
  { "resume returns true and what was yielded", function(lib)
    local c = lib.create(function(a, b) lib.yield(b, a) end)
    return lib.resume(c, 1, 2)
  end },
  { "resume passes arguments in as results of yield", function(lib)
    local c = lib.create(function(...) return select("#", ...), lib.yield(...) end)
    return lib.resume(c, nil, 1, nil), lib.resume(c, "x", nil), lib.resume(c)
  end },
  { "no values at all", function(lib)
    local c = lib.create(function(...) return select("#", ...), select("#", lib.yield()) end)
    return select("#", lib.resume(c)), lib.resume(c)
  end },
  { "nil at the end of yields and results is kept", function(lib)
    local c = lib.create(function() lib.yield(1, nil, nil) return nil, nil end)
    return select("#", lib.resume(c)), select("#", lib.resume(c)), select("#", lib.resume(c))
  end },
  { "the status of each moment", function(lib, note)
    local outer, inner
    inner = lib.create(function() note(lib.status(outer), lib.status(inner)) lib.yield() end)
    outer = lib.create(function()
      note(lib.status(outer))
      lib.resume(inner)
      note(lib.status(inner))
    end)
    note(lib.status(outer))
    lib.resume(outer)
    return lib.status(outer), lib.status(inner)
  end },
  { "one that has ended cannot be resumed", function(lib)
    local c = lib.create(function() end)
    lib.resume(c)
    return lib.status(c), lib.resume(c)
  end },
  { "one that has failed cannot be resumed", function(lib)
    local c = lib.create(error)
    lib.resume(c, "boom")
    return lib.status(c), lib.resume(c)
  end },
  { "one cannot resume itself", function(lib)
    local c
    c = lib.create(function() return lib.resume(c) end)
    return lib.resume(c)
  end },
  { "one cannot resume the one that has resumed it", function(lib)
    local outer, inner
    inner = lib.create(function() return lib.resume(outer) end)
    outer = lib.create(function() return lib.resume(inner) end)
    return lib.resume(outer)
  end },
  { "a wrapped one cannot call itself", function(lib)
    local f
    f = lib.wrap(function() return pcall(f) end)
    return f()
  end },
  { "resume returns false and the error value", function(lib)
    local value = { 1 }
    local ok, err = lib.resume(lib.create(error), value)
    return ok, rawequal(err, value), lib.resume(lib.create(error), 42), lib.resume(lib.create(error), "text", 0)
  end },
  { "an error that is nil", function(lib)
    return select("#", lib.resume(lib.create(error), nil)), lib.resume(lib.create(error), nil)
  end },
  { "a runtime error has its place", function(lib)
    return lib.resume(lib.create(function(t) return t.x end))
  end },
  { "wrap raises error values as they are", function(lib)
    local value = {}
    local ok, err = pcall(lib.wrap(error), value)
    return ok, rawequal(err, value), pcall(lib.wrap(error), 42), pcall(lib.wrap(error), nil)
  end },
  { "wrap of a dead one raises where it is called", function(lib)
    local f = lib.wrap(function() end)
    f()
    return pcall(function() return (f()) end)
  end },
  { "wrap passes values both ways", function(lib)
    local f = lib.wrap(function(a) local b = lib.yield(a + 1) local c = lib.yield(b + 1) return c + 1, nil end)
    return f(1), f(10), select("#", f(100))
  end },
  { "a for loop over a wrapped one", function(lib, note)
    for i, square in lib.wrap(function() for i = 1, 3 do lib.yield(i, i * i) end end) do note(i, square) end
  end },
  { "permutations, recursively", function(lib, note)
    local function permute(a, n)
      if n <= 1 then return lib.yield(table.concat(a)) end
      for i = 1, n do
        a[n], a[i] = a[i], a[n]
        permute(a, n - 1)
        a[n], a[i] = a[i], a[n]
      end
    end
    for p in lib.wrap(function() permute({ "a", "b", "c" }, 3) end) do note(p) end
  end },
  { "a tree walked by nested generators", function(lib, note)
    local function walk(tree)
      return lib.wrap(function()
        if not tree then return end
        for v in walk(tree[1]) do lib.yield(v) end
        lib.yield(tree[2])
        for v in walk(tree[3]) do lib.yield(v) end
      end)
    end
    for v in walk { { nil, 1, { nil, 2 } }, 3, { { nil, 4 }, 5 } } do note(v) end
  end },
  { "producer, filter, consumer", function(lib, note)
    local producer = lib.create(function() for i = 1, 3 do lib.yield(i) end end)
    local filter = lib.create(function()
      while true do
        local _, v = lib.resume(producer)
        if not v then return end
        lib.yield(v * 10)
      end
    end)
    while true do
      local _, v = lib.resume(filter)
      if not v then return lib.status(producer), lib.status(filter) end
      note(v)
    end
  end },
  { "the same generator, sieve of primes", function(lib, note)
    local function filter(p, g)
      return lib.wrap(function() for n in g do if n % p ~= 0 then lib.yield(n) end end end)
    end
    local g = lib.wrap(function() for n = 2, 30 do lib.yield(n) end end)
    while true do
      local n = g()
      if n == nil then break end
      note(n)
      g = filter(n, g)
    end
  end },
  { "yield inside pcall and an error after it", function(lib)
    local c = lib.create(function() return pcall(function() error(lib.yield("in pcall"), 0) end) end)
    return lib.resume(c), lib.resume(c, "sent")
  end },
  { "yield inside xpcall with a handler", function(lib)
    local c = lib.create(function()
      return xpcall(function() error(lib.yield(1), 0) end, function(e) return "handled " .. e end)
    end)
    return lib.resume(c), lib.resume(c, "x")
  end },
  { "yield inside metamethods", function(lib)
    local function y(_, x) return lib.yield(x) end
    local t = setmetatable({}, { __index = y, __call = y, __unm = function() return lib.yield("unm") end,
      __eq = function() return lib.yield("eq") end, __concat = y, __len = function() return lib.yield("len") end })
    local c = lib.create(function() return t.field, t("arg"), -t, t == setmetatable({}, getmetatable(t)), #t end)
    return lib.resume(c), lib.resume(c, 1), lib.resume(c, 2), lib.resume(c, 3), lib.resume(c, 4), lib.resume(c, 5)
  end },
  { "yield inside __newindex and __close", function(lib, note)
    local c = lib.create(function()
      local t = setmetatable({}, { __newindex = function(_, k, v) lib.yield(k, v) end })
      t.a = 1
      do
        local _ <close> = setmetatable({}, { __close = function() note("closing", lib.yield("close")) end })
      end
      return "end"
    end)
    return lib.resume(c), lib.resume(c), lib.resume(c, "sent")
  end },
  { "yield as the iterator of a for", function(lib, note)
    local c = lib.create(function() for a, b in lib.yield do note(a, b) end return "end" end)
    return select("#", lib.resume(c)), lib.resume(c, 1, 2), lib.resume(c, 3), lib.resume(c)
  end },
  { "yield across a C call is an error", function(lib)
    return lib.resume(lib.create(function() table.sort({ 3, 2, 1 }, function() lib.yield() end) end))
  end },
  { "coroutines that run inside of a C call", function(lib, note)
    local t = { 3, 1, 2 }
    table.sort(t, function(a, b) return lib.wrap(function() lib.yield(a < b) end)() end)
    note(table.unpack(t))
    return (("abc"):gsub(".", function(c) return lib.wrap(function(x) lib.yield(x:upper()) end)(c) end))
  end },
  { "<close> variables are closed when it ends", function(lib, note)
    return lib.resume(lib.create(function()
      local _ <close> = closing(function(e) note("first", e) end)
      local _ <close> = closing(function(e) note("second", e) end)
      return "end"
    end))
  end },
  { "<close> variables are closed when a wrapped one fails", function(lib, note)
    local value = {}
    local ok, err = pcall(lib.wrap(function()
      local _ <close> = closing(function(e) note("first", rawequal(e, value)) end)
      local _ <close> = closing(function(e) note("second", rawequal(e, value)) end)
      error(value)
    end))
    return ok, rawequal(err, value)
  end },
  { "an error in a <close> handler", function(lib)
    local value = {}
    local ok, err = pcall(lib.wrap(function()
      local _ <close> = closing(function() error(value) end)
      error("in body", 0)
    end))
    return ok, rawequal(err, value)
  end },
  { "close before its first step", function(lib)
    local c = lib.create(function() end)
    return lib.close(c), lib.status(c), lib.resume(c)
  end },
  { "close closes variables, innermost first", function(lib, note)
    local c = lib.create(function()
      local _ <close> = closing(function() note "outer" end)
      local _ <close> = closing(function() note "inner" end)
      lib.yield()
    end)
    lib.resume(c)
    return lib.close(c), lib.status(c), lib.close(c)
  end },
  { "close returns the error of a handler", function(lib)
    local value = {}
    local c = lib.create(function()
      local _ <close> = closing(function() error(value) end)
      lib.yield()
    end)
    lib.resume(c)
    local ok, err = lib.close(c)
    return ok, rawequal(err, value), lib.status(c), lib.close(c)
  end },
  { "close of a failed one returns its error, once", function(lib)
    local c = lib.create(error)
    lib.resume(c, "boom", 0)
    return lib.close(c), lib.close(c)
  end },
  { "a running or normal one cannot be closed", function(lib)
    local c
    c = lib.create(function()
      local _, running = pcall(lib.close, c)
      local _, normal = lib.resume(lib.create(function() return pcall(lib.close, c) end))
      return running, normal
    end)
    return lib.resume(c)
  end },
  { "isyieldable and running", function(lib)
    local c
    c = lib.create(function()
      local me, is_main = lib.running()
      return me == c, is_main, lib.isyieldable(), lib.isyieldable(me)
    end)
    return lib.isyieldable(c), lib.resume(c)
  end },
  { "many values", function(lib)
    local c = lib.create(function(...)
      return select("#", lib.yield(select("#", ...), table.unpack({}, 1, 200)))
    end)
    return select("#", lib.resume(c, table.unpack({}, 1, 200))), lib.resume(c, table.unpack({}, 1, 250))
  end },
  { "many coroutines at once", function(lib)
    local list, sum = {}, 0
    for i = 1, 1000 do list[i] = lib.wrap(function() for j = 1, 3 do lib.yield(i * j) end end) end
    for _ = 1, 3 do
      for i = 1, #list do sum = sum + list[i]() end
    end
    return sum
  end },
  { "many steps", function(lib)
    local f = lib.wrap(function() for i = 1, 10000 do lib.yield(i) end end)
    local sum = 0
    for i in f do sum = sum + i end
    return sum
  end },
  { "nested thirty deep", function(lib)
    local function nest(n)
      if n == 0 then return lib.yield("bottom") end
      local c = lib.create(nest)
      local _, v = lib.resume(c, n - 1)
      v = lib.yield(v)
      local _, w = lib.resume(c, v)
      return w
    end
    local c = lib.create(nest)
    return lib.resume(c, 30), lib.resume(c, "up")
  end },
  { "nested without end is an error, and not the end", function(lib)
    local function nest() return lib.wrap(nest)() end
    local ok, err = pcall(nest)
    return ok, tostring(err):match("C stack overflow"), lib.resume(lib.create(function() return "fine" end))
  end },
  { "arguments that are none", function(lib, note)
    for _, name in ipairs { "create", "wrap", "resume", "close", "status" } do
      local ok, err = pcall(lib[name], 7)
      note(ok, (tostring(err):match("bad argument #1")))
      note((pcall(lib[name])))
    end
  end },
  { "coroutines of the other library", function(lib)
    local other = lib == co and coroutine or co
    local c = other.create(function(a) local b = other.yield(a + 1) local d = lib.yield(b + 1) return d + 1 end)
    return lib.resume(c, 1), other.resume(c, 2), lib.resume(c, 3), lib.status(c)
  end },
  { "collected in the middle", function(lib)
    local weak = setmetatable({}, { __mode = "k" })
    do
      local c = lib.create(function() lib.yield() end)
      lib.resume(c)
      weak[c] = true
    end
    collectgarbage()
    collectgarbage()
    return next(weak)
  end },
  { "debug.traceback and getinfo look into it", function(lib)
    local function inner() lib.yield() end
    local c = lib.create(function() inner() end)
    lib.resume(c)
    return (debug.traceback(c):match("nested_spec.lua:%d+: in [^\n]*")), debug.getinfo(c, 1, "l").currentline
  end },
}

local function run_program(f, lib)
  local log = {}
  local function note(...)
    local texts = table.pack(...)
    for i = 1, texts.n do texts[i] = tostring(texts[i]) end
    log[#log + 1] = table.concat(texts, ",")
  end
  note(f(lib, note))
  return log
end

describe("eddy.coroutine does as Lua's:", function()
  for _, program in ipairs(programs) do
    local name, f = program[1], program[2]
    it(name .. ", in a task", function()
      assert.same(run_program(f, coroutine), run_program(f, co))
    end)
    it(name .. ", outside of tasks #plain", function()
      assert.same(run_program(f, coroutine), run_program(f, co))
    end)
    it(name .. ", in a coroutine of a task", function()
      local function inside(lib) return lib.wrap(function() return run_program(f, lib) end)() end
      assert.same(inside(coroutine), inside(co))
    end)
  end

  it("all of its functions are there", function()
    for name in pairs(coroutine) do assert.equal("function", type(co[name]), name) end
  end)

  it("threads are Lua's own threads", function()
    assert.equal("thread", type(co.create(print)))
  end)
end)

describe("eddy.coroutine keeps #virtual", function()
  it("the error that wrap raises as it is, where Lua's puts a place before a text", function()
    assert.same({ false, "boom" }, { pcall(co.wrap(error), "boom", 0) })
  end)

  it("a stack overflow inside an error of the coroutine", function()
    collectgarbage() -- with such a stack finalizers take long, see corners_spec
    collectgarbage()
    local function forever() return 1 + forever() end
    local ok, err = co.resume(co.create(forever))
    assert.is_false(ok)
    assert.matches("stack overflow", tostring(err))
    assert.equal("fine", eddy.sleep(1, "fine"))
  end)

  it("no <close> variables open when resume returns an error, where Lua's leaves them to close", function()
    local log = {}
    local c = co.create(function()
      local _ <close> = closing(function(err) eddy.sleep(1) log[#log + 1] = err end)
      error("boom", 0)
    end)
    assert.same({ false, "boom" }, { co.resume(c) })
    assert.same({ "boom" }, log)
  end)

  it("a yield in the task itself from being lost: it raises", function()
    assert.matches("'yield' outside of a coroutine", raised(eddy.RuntimeError, co.yield, 1).message)
    assert.equal("fine", eddy.sleep(1, "fine"))
  end)

  it("what is yielded apart from what is waited for", function()
    local f = co.wrap(function()
      for i = 1, 3 do
        eddy.sleep(1)
        co.yield(i, eddy.time())
        eddy.sleep(1)
      end
    end)
    local log = {}
    for i, time in f do log[#log + 1] = i .. " at " .. time end
    assert.same({ "1 at 1.0", "2 at 3.0", "3 at 5.0" }, log)
    assert.equal(6, eddy.time())
  end)
end)

-- --- Waiting ------------------------------------------------------------------------------------------------

describe("waiting in a coroutine of eddy.coroutine #virtual", function()
  -- Calls f(...) in n coroutines, one inside the other; by resume or by wrap.
  local function nested(n, f, ...)
    if n == 0 then return f(...) end
    if n % 2 == 0 then return co.wrap(nested)(n - 1, f, ...) end
    local results = table.pack(co.resume(co.create(nested), n - 1, f, ...))
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end

  for depth = 1, 5 do
    it("passes values through " .. depth .. " of them", function()
      assert.same({ "a", nil, "b", nil, n = 4 }, table.pack(nested(depth, eddy.sleep, 3, "a", nil, "b", nil)))
      assert.equal(3, eddy.time())
    end)

    it("goes on after several waits at each of " .. depth .. " levels", function()
      local log = {}
      local function level(n)
        eddy.sleep(1)
        log[#log + 1] = "down " .. n
        if n > 1 then co.wrap(level)(n - 1) end
        eddy.sleep(1)
        log[#log + 1] = "up " .. n
      end
      level(depth)
      assert.equal(2 * depth, eddy.time())
      local expected = {}
      for n = depth, 1, -1 do expected[#expected + 1] = "down " .. n end
      for n = 1, depth do expected[#expected + 1] = "up " .. n end
      assert.same(expected, log)
    end)

    it("takes errors out through " .. depth .. " of them, the same value", function()
      for _, value in ipairs { "boom", 42, false, {} } do
        local err = calls.raised(nested, depth, function() eddy.sleep(1) error(value, 0) end)
        assert.is_true(rawequal(value, err), tostring(err))
      end
      assert.same({ false, nil, n = 2 }, table.pack(pcall(nested, depth, function() eddy.sleep(1) error(nil) end)))
    end)

    it("takes a cancellation to the innermost of " .. depth, function()
      local log = {}
      local function level(n)
        local _ <close> = closing(function(err)
          eddy.sleep(1)
          log[#log + 1] = n .. " " .. tostring(err)
        end)
        if n == 1 then eddy.sleep(100) else co.wrap(level)(n - 1) end
      end
      local task = eddy.create_task(level, depth)
      eddy.sleep(1)
      task:cancel("stop")
      assert.equal("stop", raised(eddy.CancelledError, eddy.await, task).message)
      assert.is_true(task:cancelled())
      assert.equal(1 + depth, eddy.time())
      local expected = {}
      for n = 1, depth do expected[n] = n .. " CancelledError: stop" end
      assert.same(expected, log)
    end)

    it("can take a cancellation in the innermost of " .. depth .. " and go on", function()
      local task = eddy.create_task(nested, depth, function()
        local ok, err = pcall(eddy.sleep, 100)
        return ok, err.message, eddy.sleep(1, "went on")
      end)
      eddy.sleep(1)
      task:cancel("stop")
      assert.same({ false, "stop", "went on" }, { eddy.await(task) })
    end)
  end

  it("works through pcall, metamethods and iterators of for", function()
    local object = setmetatable({}, {
      __index = function(_, key) return eddy.sleep(1, key) end,
      __call = function(_, x) return eddy.sleep(1, x) end,
      __add = function(_, x) return eddy.sleep(1, x) end,
      __eq = function() return eddy.sleep(1, true) end,
      __lt = function() return eddy.sleep(1, true) end,
      __close = function() eddy.sleep(1) end,
    })
    local results = table.pack(co.wrap(function()
      local held <close> = object
      local sum = 0
      for i in function(_, i) return eddy.sleep(1, (i or 0) < 3 and (i or 0) + 1 or nil) end do sum = sum + i end
      return sum, held.key, held("call"), held + 1, held == setmetatable({}, getmetatable(held)), held < held,
        pcall(eddy.sleep, 1, "pcall")
    end)())
    assert.same({ 6, "key", "call", 1, true, true, true, "pcall", n = 8 }, results)
    assert.equal(4 + 6 + 1, eddy.time())
  end)

  it("lets other tasks run meanwhile", function()
    local log = {}
    local function worker(name, every)
      return co.wrap(function()
        for i = 1, 2 do
          eddy.sleep(every)
          log[#log + 1] = name .. i
        end
      end)
    end
    eddy.gather(worker("a", 2), worker("b", 3))
    assert.same({ "a1", "b1", "a2", "b2" }, log)
    assert.equal(6, eddy.time())
  end)

  it("belongs to the task that resumes it: several may step one, in turn", function()
    local f = co.wrap(function()
      while true do
        local me = eddy.current_task()
        eddy.sleep(1)
        assert.equal(me, eddy.current_task())
        co.yield(me)
      end
    end)
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = eddy.create_task(f)
      assert.equal(tasks[i], eddy.await(tasks[i]))
    end
  end)

  it("is refused when another task resumes it, and the one that waits is not disturbed", function()
    local c = co.create(function() return eddy.sleep(2, "slept") end)
    local task = eddy.create_task(co.resume, c)
    eddy.sleep(1)
    assert.same({ false, "cannot resume a coroutine that waits: it belongs to another task" }, { co.resume(c) })
    assert.same({ true, "slept" }, { eddy.await(task) })
    assert.equal("dead", co.status(c))
  end)

  it("is refused when another task calls it, and the one that waits is not disturbed", function()
    local f = co.wrap(function() return eddy.sleep(2, "slept") end)
    local task = eddy.create_task(f)
    eddy.sleep(1)
    local err = calls.raised(f)
    assert.matches("cannot resume a coroutine that waits: it belongs to another task", tostring(err))
    assert.equal("slept", eddy.await(task))
  end)

  it("is refused when another task closes it, and the one that waits is not disturbed", function()
    local closed = 0
    local c = co.create(function()
      local _ <close> = closing(function() closed = closed + 1 end)
      return eddy.sleep(2, "slept")
    end)
    local task = eddy.create_task(co.resume, c)
    eddy.sleep(1)
    local _, text, more = pcall(co.close, c)
    assert.matches("waits", tostring(more or text))
    assert.equal(0, closed)
    assert.same({ true, "slept" }, { eddy.await(task) })
    assert.equal(1, closed)
  end)

  it("works for gather, groups, timeouts, locks and queues as well", function()
    local lock, queue = eddy.Lock(), eddy.Queue(1)
    local results = table.pack(co.wrap(function()
      local list = eddy.gather(function() return eddy.sleep(2, "g1") end, function() return eddy.sleep(1, "g2") end)
      local sum = 0
      eddy.TaskGroup(function(group)
        group:create_task(function()
          for i = 1, 3 do queue:put(i) end
          queue:shutdown()
        end)
        for item in queue:items() do sum = sum + item end
      end)
      return list[1], list[2], sum, eddy.move_on_after(1, eddy.sleep, 5), (lock:with(eddy.sleep, 1, "locked"))
    end)())
    assert.same({ "g1", "g2", 6, false, "locked", n = 5 }, results)
    assert.is_false(lock:locked())
  end)

  it("knows its time limit: a scope around it, and a scope in it", function()
    raised(eddy.TimeoutError, eddy.timeout, 1, co.wrap(function() eddy.sleep(5) end))
    assert.equal(1, eddy.time())
    assert.is_false(co.wrap(function() return (eddy.move_on_after(1, eddy.sleep, 5)) end)())
    assert.equal(2, eddy.time())
  end)

  it("awaits Coroutines and tasks inside", function()
    local inner = eddy.async(function(x) return eddy.sleep(1, x) end)
    local task = eddy.create_task(eddy.sleep, 2, "task")
    assert.same({ "coroutine", "task" },
      { co.wrap(function() return eddy.await(inner("coroutine")), eddy.await(task) end)() })
  end)

  it("shows in the task's text and in the traceback of an error", function()
    local task = eddy.create_task(co.wrap(function()
      eddy.sleep(1)
      error("deep inside")
    end))
    eddy.sleep(0.5)
    assert.matches("waiting in sleep at [^\n]*nested_spec.lua:%d+", tostring(task))
    eddy.wait { task }
    task:exception()
    assert.matches("nested_spec.lua:%d+: deep inside", task:traceback())
    local _, count = task:traceback():gsub("nested_spec.lua:%d+: in ", "")
    assert.is_true(count >= 1, task:traceback())
  end)

  it("may be abandoned: the coroutine is collected, and nothing is left", function()
    local weak = setmetatable({}, { __mode = "k" })
    do
      local c = co.create(function() eddy.sleep(1) co.yield() end)
      co.resume(c)
      weak[c] = true
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)
end)

describe("eddy.coroutine.close #virtual", function()
  it("lets <close> handlers wait, innermost first", function()
    local log = {}
    local c = co.create(function()
      local _ <close> = closing(function() eddy.sleep(1) log[#log + 1] = "outer at " .. eddy.time() end)
      local _ <close> = closing(function() eddy.sleep(1) log[#log + 1] = "inner at " .. eddy.time() end)
      co.yield()
      log[#log + 1] = "unreached"
    end)
    co.resume(c)
    assert.same({ true, n = 1 }, table.pack(co.close(c)))
    assert.same({ "inner at 1.0", "outer at 2.0" }, log)
    assert.equal("dead", co.status(c))
    assert.is_true(co.close(c))
  end)

  it("returns the error that a waiting handler raises", function()
    local value = {}
    local c = co.create(function()
      local _ <close> = closing(function() eddy.sleep(1) error(value) end)
      co.yield()
    end)
    co.resume(c)
    local ok, err = co.close(c)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end)

  it("ends one that yields although it is being closed", function()
    local c = co.create(function()
      local _ <close> = closing(function() co.yield("from the handler") end)
      co.yield()
    end)
    co.resume(c)
    co.close(c)
    assert.equal("dead", co.status(c))
  end)

  it("is told of a cancellation that comes while a handler waits", function()
    local c = co.create(function()
      local _ <close> = closing(function() eddy.sleep(100) end)
      co.yield()
    end)
    co.resume(c)
    local task = eddy.create_task(co.close, c)
    eddy.sleep(1)
    task:cancel("stop")
    local ok, err = eddy.await(task)
    assert.is_false(ok)
    assert.equal("stop", err.message)
    assert.equal("dead", co.status(c))
  end)

  it("of Lua's own coroutine that stands at a yield works as well", function()
    local closed = false
    local c = coroutine.create(function()
      local _ <close> = closing(function() closed = true end)
      coroutine.yield()
    end)
    coroutine.resume(c)
    assert.is_true(co.close(c))
    assert.is_true(closed)
    assert.equal("dead", co.status(c))
  end)
end)

describe("a coroutine that Lua's own functions resume #virtual", function()
  it("cannot wait: the error names the way out", function()
    local c = co.create(function() eddy.sleep(1) end)
    local ok, err = coroutine.resume(c)
    assert.is_false(ok)
    assert.matches("^'sleep' cannot wait in a coroutine", err.message)
    assert.matches("eddy.coroutine", err.message, 1, true)
    assert.matches("install", err.message, 1, true)
  end)

  it("cannot wait in one of eddy's inside of it either", function()
    local ok, err = coroutine.resume(coroutine.create(function() return co.wrap(eddy.sleep)(1) end))
    assert.is_false(ok)
    assert.matches("cannot wait in a coroutine", tostring(err))
  end)

  it("may wait again when eddy's functions resume it", function()
    local c = coroutine.create(function()
      coroutine.yield(pcall(eddy.sleep, 1))
      return eddy.sleep(1, "slept")
    end)
    local _, could = coroutine.resume(c)
    assert.is_false(could)
    assert.same({ true, "slept" }, { co.resume(c) })
  end)

  it("when its own was closed under it, a task resumes none of another task either", function()
    local closed, theirs, ours
    local other = eddy.create_task(function()
      theirs = co.create(function() return co.resume(co.create(function() return eddy.sleep(5, "slept") end)) end)
      return co.resume(theirs)
    end)
    local task = eddy.create_task(function()
      closed = co.create(function() eddy.sleep(1) end)
      co.resume(closed)
      ours = { co.resume(theirs) }
    end)
    eddy.sleep(0)
    coroutine.close(closed)
    eddy.await(task)
    assert.same({ false, "cannot resume a coroutine that waits: it belongs to another task" }, ours)
    assert.same({ true, true, "slept" }, { eddy.await(other) })
  end)

  it("may try to resume one that waits, and yield a value of its own then", function()
    local waiting
    local task = eddy.create_task(function()
      waiting = coroutine.running()
      eddy.sleep(1)
    end)
    eddy.sleep(0)
    local c = co.create(function()
      coroutine.resume(waiting)
      return co.yield "own"
    end)
    assert.same({ true, "own" }, { co.resume(c) })
    assert.same({ true, "end" }, { co.resume(c, "end") })
    eddy.await(task)
  end)

  it("when it waits by eddy's functions, cannot be resumed by Lua's", function()
    local c = co.create(function() return eddy.sleep(2, "slept") end)
    local task = eddy.create_task(co.resume, c)
    eddy.sleep(1)
    coroutine.resume(c)   -- nobody has woken it: it goes on waiting
    assert.same({ true, "slept" }, { eddy.await(task) })
  end)
end)

describe("eddy.coroutine.install #plain", function()
  it("makes it the global, and what require gives", function()
    assert.equal("true\ttrue\nfalse\n1\t2\n", output_of [[
      local eddy = require "eddy"
      local before = coroutine
      eddy.coroutine.install()
      print(coroutine == eddy.coroutine, require "coroutine" == eddy.coroutine)
      print(before == coroutine)
      eddy.run(function()
        local f = coroutine.wrap(function()
          for i = 1, 2 do
            eddy.sleep(0)
            coroutine.yield(i)
          end
        end)
        print(f(), f())
      end)
    ]])
  end)

  it("is not called by require: the library leaves globals alone", function()
    assert.equal("true\n", output_of [[
      local before = coroutine
      local eddy = require "eddy"
      print(coroutine == before and coroutine ~= eddy.coroutine)
    ]])
  end)
end)
