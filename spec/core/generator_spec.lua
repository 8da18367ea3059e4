-- Generator functions: bodies that yield values to a for loop, and may wait between them.

local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

local raised, bad_argument, closing = calls.raised_as, calls.bad_argument, calls.closing

-- Counts to n, a second apart; `log` hears how each body has ended.
local function counter(log)
  return eddy.generator(function(yield, n)
    local _ <close> = closing(function(err) log[#log + 1] = tostring(err) end)
    for i = 1, n do
      eddy.sleep(1)
      yield(i, i * i)
    end
  end)
end

-- Takes one value and leaves the loop.
local function leave(g)
  for value in g() do if value then break end end
end

local CLOSED = "CancelledError: the generator was closed"

describe("eddy.generator #virtual", function()
  it("gives the values of its yields to the loop, and waits between them", function()
    local log, seen = {}, {}
    for i, square in counter(log)(3) do seen[#seen + 1] = ("%d %d at %g"):format(i, square, eddy.time()) end
    assert.same({ "1 1 at 1", "2 4 at 2", "3 9 at 3" }, seen)
    assert.same({ "nil" }, log)
  end)

  it("runs nothing when it is called", function()
    local ran = false
    local g = eddy.generator(function() ran = true end)()
    eddy.sleep(1)
    assert.is_false(ran)
    assert.is_nil(g())
    assert.is_true(ran)
  end)

  it("returns what a for loop wants: the Generator, nil, nil, and the Generator to be closed", function()
    local results = table.pack(eddy.generator(print)())
    assert.equal(4, results.n)
    assert.equal(results[1], results[4])
    assert.is_nil(results[2] or results[3])
  end)

  it("makes a new Generator at each call, each with its own arguments", function()
    local count = eddy.generator(function(yield, ...) yield(select("#", ...), ...) end)
    local a, b = count(1, nil), (count())
    assert.not_equal(a, b)
    local c = count(nil, nil, 3)
    assert.same({ 0, n = 1 }, table.pack(b()))
    assert.same({ 2, 1, nil, n = 3 }, table.pack(a()))
    assert.same({ 3, nil, nil, 3, n = 4 }, table.pack(c()))
    for _, g in ipairs { a, b, c } do g:aclose() end
  end)

  it("runs its body in the task that asks for the next value", function()
    local g = eddy.generator(function(yield)
      while true do
        eddy.sleep(1)
        yield(eddy.current_task())
      end
    end)()
    for _ = 1, 2 do
      local task = eddy.create_task(g)
      assert.equal(task, eddy.await(task))
    end
    assert.equal(eddy.current_task(), g())
    g:aclose()
  end)

  it("raises in the loop what its body raises, the same value", function()
    for _, value in ipairs { "boom", 42, false, {} } do
      local log = {}
      local g = eddy.generator(function(yield)
        local _ <close> = closing(function(err) log[#log + 1] = rawequal(err, value) end)
        yield(1)
        eddy.sleep(1)
        error(value, 0)
      end)
      local seen = 0
      local err = calls.raised(function() for _ in g() do seen = seen + 1 end end)
      assert.is_true(rawequal(value, err))
      assert.equal(1, seen)
      assert.same({ true }, log)
    end
    assert.same({ false, nil, n = 2 }, table.pack(pcall(eddy.generator(function() error(nil) end)())))
  end)

  it("has ended when its body has returned or failed: nil from then on", function()
    local ended, failed = eddy.generator(function() return "a result" end)(), eddy.generator(error)()
    assert.same({ nil, n = 1 }, table.pack(ended()))
    assert.is_false(pcall(failed))
    for _, g in ipairs { ended, failed } do
      assert.same({ nil, n = 1 }, table.pack(g()))
      assert.same({ nil, n = 1 }, table.pack(g:next()))
      g:aclose()
      assert.equal("<Generator closed>", tostring(g))
    end
  end)

  it("has `next` beside the call", function()
    local g = counter({})(2)
    assert.same({ 1, 1, 2, 4, nil }, { g:next(), select(2, 1, 1), g() })
    assert.is_nil(g:next())
  end)

  it("may yield from within pcall, metamethods, iterators and deeper functions", function()
    local g = eddy.generator(function(yield)
      pcall(yield, "pcall")
      local _ = setmetatable({}, { __index = function(_, key) yield(key) end }).index
      for x in function(_, x) yield("iterator") return not x or nil end do assert(x) end
      local function deep(n) if n == 0 then yield "deep" else return deep(n - 1), nil end end
      deep(50)
    end)
    local seen = {}
    for v in g() do seen[#seen + 1] = v end
    assert.same({ "pcall", "index", "iterator", "iterator", "deep" }, seen)
  end)

  it("yields any number of values; none are true, so that the loop goes on", function()
    local g = eddy.generator(function(yield)
      yield()
      yield(nil, 2, nil)
      yield(table.unpack({}, 1, 200))
      yield(false)
    end)()
    assert.same({ true, n = 1 }, table.pack(g()))
    assert.same({ nil, 2, nil, n = 3 }, table.pack(g()))
    assert.equal(200, select("#", g()))
    assert.same({ false, n = 1 }, table.pack(g()))
    assert.same({ nil, n = 1 }, table.pack(g()))
  end)

  it("yields very many values one after the other", function()
    local sum = 0
    for i in eddy.generator(function(yield) for i = 1, 20000 do yield(i) end end)() do sum = sum + i end
    assert.equal(200010000, sum)
  end)

  it("takes async functions, C functions and callable objects' functions as bodies", function()
    local seen = {}
    local body = eddy.async(function(yield) eddy.sleep(1) yield("async") end)
    for v in eddy.generator(body)() do seen[#seen + 1] = v end
    for v in eddy.generator(pcall)("C") do seen[#seen + 1] = v end
    assert.same({ "async", "C" }, seen)
  end)

  it("nests: a tree walked by generators in generators, which wait", function()
    local walk
    walk = eddy.generator(function(yield, tree)
      if not tree then return end
      for v in walk(tree[1]) do yield(v) end
      eddy.sleep(1)
      yield(tree[2])
      for v in walk(tree[3]) do yield(v) end
    end)
    local seen = {}
    for v in walk { { nil, 1, { nil, 2 } }, 3, { { nil, 4 }, 5 } } do seen[#seen + 1] = v end
    assert.same({ 1, 2, 3, 4, 5 }, seen)
    assert.equal(5, eddy.time())
  end)

  it("nests twenty deep", function()
    local nest
    nest = eddy.generator(function(yield, n)
      if n == 0 then yield(eddy.sleep(1, "bottom")) return end
      for v in nest(n - 1) do yield(v) end
    end)
    local g = nest(20)
    assert.equal("bottom", g())
    assert.is_nil(g())
  end)

  it("serves several tasks at once, each with its own", function()
    local log = {}
    local count = counter(log)
    local function consume(n, every)
      local sum = 0
      for i in count(n) do
        eddy.sleep(every)
        sum = sum + i
      end
      return sum
    end
    assert.same({ 6, 10, 1, n = 3 }, eddy.gather(
      function() return consume(3, 1) end,
      function() return consume(4, 0.1) end,
      function() return consume(1, 10) end))
    assert.equal(11, eddy.time())
    assert.same({ "nil", "nil", "nil" }, log)
  end)

  it("works inside of coroutines of eddy.coroutine, and runs them", function()
    local log, seen = {}, {}
    local g = eddy.generator(function(yield)
      for i in eddy.coroutine.wrap(function()
        for i = 1, 2 do
          eddy.sleep(1)
          eddy.coroutine.yield(i)
        end
      end) do yield(i) end
    end)
    eddy.coroutine.wrap(function() for i in g() do seen[#seen + 1] = i end end)()
    eddy.coroutine.wrap(function() for i in counter(log)(5) do if i == 2 then break end end end)()
    assert.same({ 1, 2 }, seen)
    assert.same({ CLOSED }, log)
  end)

  it("shows its state", function()
    local g
    g = eddy.generator(function(yield) yield(tostring(g)) end)()
    assert.equal("<Generator created>", tostring(g))
    assert.equal("<Generator running>", g())
    assert.equal("<Generator suspended>", tostring(g))
    g:aclose()
    assert.equal("<Generator closed>", tostring(g))
  end)

  it("names what is wrong", function()
    assert.equal("bad argument #1 to 'generator' (function expected, got nil)",
      bad_argument(function() eddy.generator(nil) end))
    assert.equal("bad argument #1 to 'generator' (function expected, got no value)",
      bad_argument(function() eddy.generator() end))
    local g = eddy.generator(print)()
    for _, name in ipairs { "next", "aclose" } do
      local method = g[name]
      assert.equal("bad argument #1 to '" .. name .. "' (Generator expected, got table)",
        bad_argument(function() method({}) end))
      assert.equal("bad argument #1 to '" .. name .. "' (Generator expected, got Task)",
        bad_argument(function() method(eddy.current_task()) end))
    end
  end)

  it("leads an error's traceback to the line in the body", function()
    local g = eddy.generator(function(yield)
      yield(1)
      eddy.sleep(1)
      error("in the body")
    end)
    local line = debug.getinfo(1, "l").currentline - 2
    local task = eddy.create_task(function() for _ in g() do eddy.sleep(1) end end)
    eddy.wait { task }
    assert.matches("in the body", task:exception())
    assert.matches("generator_spec.lua:" .. line .. ": in function <", task:traceback(), 1, true)
  end)
end)

describe("leaving the loop over a generator #virtual", function()
  -- Calls f(generator function, log) and returns the log.
  local function left_by(f)
    local log = {}
    f(counter(log), log)
    return log
  end

  it("by break unwinds the body", function()
    assert.same({ CLOSED }, left_by(function(count)
      for i in count(10) do if i == 2 then break end end
    end))
    assert.equal(2, eddy.time())
  end)

  it("by return unwinds it", function()
    assert.same({ CLOSED, "found 2" }, left_by(function(count, log)
      local function find(x) for i in count(10) do if i == x then return i end end end
      local found = find(2)
      log[#log + 1] = "found " .. found
    end))
  end)

  it("by goto unwinds it", function()
    assert.same({ CLOSED }, left_by(function(count)
      for i in count(10) do if i == 2 then goto out end end
      ::out::
    end))
  end)

  it("by an error unwinds it, and the error goes on", function()
    local boom = {}
    assert.same({ CLOSED, "caught" }, left_by(function(count, log)
      local ok, err = pcall(function() for i in count(10) do if i == 2 then error(boom) end end end)
      log[#log + 1] = not ok and rawequal(err, boom) and "caught"
    end))
  end)

  it("by a cancellation of the task unwinds it", function()
    assert.same({ CLOSED }, left_by(function(count)
      local task = eddy.create_task(function() for _ in count(10) do eddy.sleep(100) end end)
      eddy.sleep(50)
      task:cancel()
      raised(eddy.CancelledError, eddy.await, task)
      assert.is_true(task:cancelled())
    end))
  end)

  it("by a time limit unwinds it", function()
    assert.same({ CLOSED, "out of time" }, left_by(function(count, log)
      if not eddy.move_on_after(5, function() for _ in count(10) do eddy.sleep(100) end end) then
        log[#log + 1] = "out of time"
      end
    end))
    assert.equal(5, eddy.time())
  end)

  it("waits until the body has cleaned up, innermost first", function()
    local log = {}
    local function slow(name) return closing(function() eddy.sleep(1) log[#log + 1] = name .. eddy.time() end) end
    local g = eddy.generator(function(yield)
      local _ <close> = slow "outer at "
      local _ <close> = slow "inner at "
      yield(1)
    end)
    leave(g)
    assert.same({ "inner at 1.0", "outer at 2.0" }, log)
  end)

  it("unwinds generators inside of generators, innermost first", function()
    local log = {}
    local function named(name, inner)
      return eddy.generator(function(yield)
        local _ <close> = closing(function() eddy.sleep(1) log[#log + 1] = name end)
        if not inner then
          yield(1)
          yield(2)
        else
          for v in inner() do yield(v) end
        end
      end)
    end
    leave(named("a", named("b", named("c"))))
    assert.same({ "c", "b", "a" }, log)
  end)

  it("before the first value runs nothing", function()
    local log = {}
    do
      local g <close> = counter(log)(3)
      assert.equal("<Generator created>", tostring(g))
    end
    assert.same({}, log)
  end)

  it("raises what the cleanup raises", function()
    local boom = {}
    local g = eddy.generator(function(yield)
      local _ <close> = closing(function() eddy.sleep(1) error(boom) end)
      yield(1)
    end)
    local err = calls.raised(leave, g)
    assert.is_true(rawequal(boom, err))
  end)
end)

describe("aclose of a generator #virtual", function()
  it("unwinds the body; twice is fine", function()
    local log = {}
    local g = counter(log)(3)
    g()
    assert.equal(0, select("#", g:aclose()))
    g:aclose()
    assert.same({ CLOSED }, log)
    assert.is_nil(g())
  end)

  it("of one that was not begun, or has ended, is fine", function()
    local log = {}
    local fresh, ended = counter(log)(3), counter(log)(0)
    fresh:aclose()
    assert.is_nil(ended())
    ended:aclose()
    assert.is_nil(fresh())
    assert.same({ "nil" }, log)
  end)

  it("lets the body catch it and end in its own way", function()
    local g = eddy.generator(function(yield)
      local ok, err = pcall(yield, 1)
      assert(not ok and eddy.is_error(err, eddy.CancelledError))
      eddy.sleep(1)
    end)()
    g()
    g:aclose()
    assert.equal(1, eddy.time())
    assert.equal("<Generator closed>", tostring(g))
  end)

  it("raises when the body yields instead of ending, and can be called again", function()
    local g = eddy.generator(function(yield)
      pcall(yield, 1)
      yield(2)
    end)()
    g()
    assert.matches("yielded while it was being closed", raised(eddy.RuntimeError, g.aclose, g).message)
    assert.equal("<Generator suspended>", tostring(g))
    g:aclose()
    assert.equal("<Generator closed>", tostring(g))
  end)

  it("raises what the body raises instead", function()
    local boom = {}
    local g = eddy.generator(function(yield)
      pcall(yield, 1)
      error(boom)
    end)()
    g()
    local err = calls.raised(g.aclose, g)
    assert.is_true(rawequal(boom, err))
    assert.equal("<Generator closed>", tostring(g))
  end)

  it("lets a CancelledError through that is not its own", function()
    local g = eddy.generator(function(yield)
      pcall(yield, 1)
      error(eddy.CancelledError("somebody else's"))
    end)()
    g()
    assert.equal("somebody else's", raised(eddy.CancelledError, g.aclose, g).message)
  end)

  it("is cancelled as any wait, while the body cleans up", function()
    local seen
    local g = eddy.generator(function(yield)
      local _ <close> = closing(function()
        local ok, err = pcall(eddy.sleep, 100)
        seen = not ok and err.message
        error(err)
      end)
      yield(1)
    end)()
    g()
    local task = eddy.create_task(g.aclose, g)
    eddy.sleep(1)
    task:cancel("enough")
    assert.equal("enough", raised(eddy.CancelledError, eddy.await, task).message)
    assert.equal("enough", seen)
    assert.equal("<Generator closed>", tostring(g))
    assert.equal(1, eddy.time())
  end)
end)

describe("a generator whose body waits #virtual", function()
  it("is cancelled with the task that asks it, and has ended then", function()
    local log = {}
    local g = counter(log)(3)
    local task = eddy.create_task(g)
    eddy.sleep(0.5)
    task:cancel("stop")
    assert.equal("stop", raised(eddy.CancelledError, eddy.await, task).message)
    assert.same({ "CancelledError: stop" }, log)
    assert.equal("<Generator closed>", tostring(g))
    assert.is_nil(g())
  end)

  it("may catch that cancellation and yield all the same", function()
    local g = eddy.generator(function(yield)
      local ok = pcall(eddy.sleep, 100)
      yield(ok)
    end)()
    local task = eddy.create_task(g)
    eddy.sleep(1)
    task:cancel()
    assert.is_false(eddy.await(task))
    assert.equal(1, task:cancelling())
    g:aclose()
  end)

  it("is running: nobody else can step or close it", function()
    local g = counter({})(3)
    local task = eddy.create_task(g)
    eddy.sleep(0.5)
    assert.equal("<Generator running>", tostring(g))
    assert.matches("running already", raised(eddy.RuntimeError, g).message)
    assert.matches("running already", raised(eddy.RuntimeError, g.next, g).message)
    assert.matches("cannot be closed", raised(eddy.RuntimeError, g.aclose, g).message)
    assert.equal(1, eddy.await(task))
    assert.equal(2, g())
    g:aclose()
  end)

  it("is running while it cleans up, too", function()
    local g = eddy.generator(function(yield)
      local _ <close> = closing(function() eddy.sleep(1) end)
      yield(1)
    end)()
    g()
    local task = eddy.create_task(g.aclose, g)
    eddy.sleep(0.5)
    raised(eddy.RuntimeError, g)
    raised(eddy.RuntimeError, g.aclose, g)
    eddy.await(task)
    assert.is_nil(g())
  end)

  it("cannot step or close itself", function()
    local g
    g = eddy.generator(function(yield)
      yield(raised(eddy.RuntimeError, g).message)
      yield(raised(eddy.RuntimeError, g.aclose, g).message)
    end)()
    assert.matches("running already", g())
    assert.matches("cannot be closed", g())
    g:aclose()
  end)

  it("takes a time limit: a scope around a step ends that step and the generator", function()
    local log = {}
    local g = counter(log)(3)
    assert.is_false(eddy.move_on_after(0.5, g))
    assert.same({ "CancelledError" }, log)
    assert.is_nil(g())
  end)
end)

describe("the yield of a generator #virtual", function()
  it("is for its own body: elsewhere it raises", function()
    local kept
    local g = eddy.generator(function(yield)
      kept = yield
      yield(1)
    end)()
    g()
    local function outside(f, ...)
      assert.matches("'yield' outside of the generator", raised(eddy.RuntimeError, f, ...).message)
    end
    outside(kept, 2)
    outside(eddy.generator(function() kept(3) end)())
    outside(eddy.coroutine.wrap(kept), 4)
    outside(coroutine.wrap(kept), 5)
    outside(eddy.await, eddy.create_task(kept, 6))
    g:aclose()
    outside(kept, 7)
  end)

  it("is not for coroutines inside of the body", function()
    local g = eddy.generator(function(yield)
      eddy.coroutine.wrap(yield)(1)
    end)()
    assert.matches("outside of the generator", raised(eddy.RuntimeError, g).message)
  end)

  it("of the outer generator may be called from the loop in the inner one's consumer", function()
    local inner = eddy.generator(function(yield) yield(1) yield(2) end)
    local outer = eddy.generator(function(yield) for v in inner() do yield(v * 10) end end)
    local seen = {}
    for v in outer() do seen[#seen + 1] = v end
    assert.same({ 10, 20 }, seen)
  end)
end)

describe("a generator without a loop #plain", function()
  it("works as long as it does not wait, and closes", function()
    local log, seen = {}, {}
    local g = eddy.generator(function(yield)
      local _ <close> = closing(function(err) log[#log + 1] = tostring(err) end)
      for i = 1, 3 do yield(i) end
    end)
    for i in g() do
      seen[#seen + 1] = i
      if i == 2 then break end
    end
    assert.same({ 1, 2 }, seen)
    assert.same({ CLOSED }, log)
  end)

  it("says that waiting needs a task", function()
    assert.matches("needs a running task", raised(eddy.RuntimeError, counter({})(1)).message)
  end)
end)

describe("generators that were left open #plain", function()
  local function open(log, name)
    local g = eddy.generator(function(yield)
      local _ <close> = closing(function(err)
        eddy.sleep(1)
        log[#log + 1] = name .. ": " .. tostring(err)
      end)
      yield(1)
    end)()
    g()
    return g
  end

  it("are closed at the end of run, and their cleanup may wait", function()
    local log, g = {}, nil
    testing.virtual_clock(function()
      g = open(log, "left")
    end)
    assert.same({ "left: " .. CLOSED }, log)
    assert.equal("<Generator closed>", tostring(g))
    assert.is_nil(g())
  end)

  it("are all closed, those too that cleaning up leaves open", function()
    local log, kept = {}, {}
    testing.virtual_clock(function()
      for i = 1, 3 do kept[i] = open(log, "g" .. i) end
      local g = eddy.generator(function(yield)
        local _ <close> = closing(function() kept[#kept + 1] = open(log, "late") end)
        yield(1)
      end)()
      g()
      kept[#kept + 1] = g
    end)
    table.sort(log)
    assert.same({ "g1: " .. CLOSED, "g2: " .. CLOSED, "g3: " .. CLOSED, "late: " .. CLOSED }, log)
    for _, g in ipairs(kept) do assert.equal("<Generator closed>", tostring(g)) end
  end)

  it("are closed when the loop of a Runner is closed, not before", function()
    local log, g = {}, nil
    local runner = eddy.Runner { clock = "virtual" }
    runner:run(function() g = open(log, "left") end)
    assert.same({}, log)
    assert.equal("<Generator suspended>", tostring(g))
    runner:close()
    assert.same({ "left: " .. CLOSED }, log)
  end)

  it("tell the exception handler when their cleanup fails", function()
    local contexts, kept = {}, nil
    local runner = eddy.Runner { clock = "virtual", exception_handler = function(_, context)
      contexts[#contexts + 1] = context
    end }
    runner:run(function()
      kept = eddy.generator(function(yield)
        local _ <close> = closing(function() error("boom", 0) end)
        yield(1)
      end)()
      kept()
    end)
    runner:close()
    assert.equal(1, #contexts)
    assert.equal("boom", contexts[1].exception)
    assert.equal("<Generator closed>", tostring(kept))
  end)

  it("and not begun are nothing to close", function()
    local ran, kept = false, nil
    eddy.run(function() kept = eddy.generator(function() ran = true end)() end)
    assert.is_false(ran)
    assert.equal("<Generator created>", tostring(kept))
  end)
end)

describe("generators that are collected #virtual", function()
  local function collect()
    collectgarbage()
    collectgarbage()
  end

  it("at a yield are closed in a task of their own, where cleaning up may wait", function()
    local log = {}
    do
      local g = eddy.generator(function(yield)
        local _ <close> = closing(function(err)
          eddy.sleep(1)
          log[#log + 1] = ("%s in %s"):format(err, eddy.current_task() and "a task")
        end)
        yield(1)
      end)()
      g()
    end
    collect()
    assert.same({}, log)
    eddy.sleep(2)
    assert.same({ CLOSED .. " in a task" }, log)
    assert.equal(1, #eddy.all_tasks())
  end)

  it("are gone afterwards, with what they held", function()
    local weak = setmetatable({}, { __mode = "k" })
    do
      local held = {}
      local g = eddy.generator(function(yield, x) yield(x) end)(held)
      g()
      weak[g], weak[held] = true, true
    end
    collect()
    eddy.sleep(1)
    collect()
    assert.is_nil(next(weak))
  end)

  it("before their first step or after their end run nothing", function()
    local log = {}
    do
      counter(log)(3)
      for _ in counter(log)(0) do error "not reached" end
    end
    collect()
    eddy.sleep(1)
    assert.same({ "nil" }, log)
  end)
end)
