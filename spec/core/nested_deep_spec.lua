-- Coroutines that resume each other, one inside the other, further than the C stack reaches.

local eddy = require "eddy"
local calls = require "spec.support.calls"
local co = eddy.coroutine

-- Calls bottom(...) n coroutines further in, each made by wrap or by create and resume.
local function by_wrap(n, bottom, ...)
  if n == 0 then return bottom(...) end
  return co.wrap(by_wrap)(n - 1, bottom, ...)
end

local function by_resume(n, bottom, ...)
  if n == 0 then return bottom(...) end
  local results = table.pack(co.resume(co.create(by_resume), n - 1, bottom, ...))
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

local function closing(f) return setmetatable({}, { __close = f }) end

-- Which of `n` nested coroutines to look at, from outside: a list of all of them, outermost first.
local function collecting(list, n, bottom)
  list[#list + 1] = co.running()
  if n == 0 then return bottom() end
  return co.wrap(collecting)(list, n - 1, bottom)
end

for name, nest in pairs { wrap = by_wrap, resume = by_resume } do
  describe(("nested by %s, depth"):format(name), function()
    for _, depth in ipairs { 1, 14, 15, 16, 17, 18, 60, 150, 250, 2000 } do
      it(depth .. " passes arguments in and results out", function()
        assert.same({ 1, nil, "x", n = 3 }, table.pack(nest(depth, function(...) return ... end, 1, nil, "x")))
      end)

      it(depth .. " can wait at the deepest level, again and again #virtual", function()
        local start = eddy.time()
        nest(depth, function() for _ = 1, 3 do eddy.sleep(1) end end)
        assert.equal(3, eddy.time() - start)
      end)

      it(depth .. " passes an error out, the same value", function()
        local value = {}
        local err = calls.raised(nest, depth, function() eddy.sleep(0) error(value) end)
        assert.equal(value, err)
      end)

      it(depth .. " is unwound by a cancellation, whose clean-up may wait #virtual", function()
        local closed = {}
        local task = eddy.create_task(nest, depth, function()
          local _ <close> = closing(function() eddy.sleep(1) closed[#closed + 1] = eddy.time() end)
          eddy.sleep(1000)
        end)
        eddy.sleep(1)
        task:cancel("enough")
        local err = calls.raised(eddy.await, task)
        assert.equal("enough", err.message)
        assert.same({ 2 }, closed)
      end)
    end
  end)
end

describe("deeply nested coroutines", function()
  it("hand values up level by level, waiting at the bottom", function()
    local function count(n)
      return co.wrap(function()
        if n > 0 then
          for v in count(n - 1) do co.yield(v) end
        else
          for i = 1, 5 do eddy.sleep(0) co.yield(i) end
        end
      end)
    end
    for _, depth in ipairs { 10, 17, 40, 200 } do
      local sum = 0
      for v in count(depth) do sum = sum + v end
      assert.equal(15, sum)
    end
  end)

  it("are generators too", function()
    local closed = 0
    local count
    count = eddy.generator(function(yield, n)
      local _ <close> = closing(function() eddy.sleep(0) closed = closed + 1 end)
      if n > 0 then
        for v in count(n - 1) do yield(v) end
      else
        for i = 1, 5 do eddy.sleep(0) yield(i) end
      end
    end)
    local seen = {}
    for v in count(150) do
      seen[#seen + 1] = v
      if v == 3 then break end
    end
    assert.same({ 1, 2, 3 }, seen)
    assert.equal(151, closed)
  end)

  it("may all be closed in the middle, from outside, and unwind", function()
    local closed = 0
    local function open(n)
      local _ <close> = closing(function() eddy.sleep(0) closed = closed + 1 end)
      if n > 0 then
        local inner = co.create(open)
        local _ <close> = closing(function() co.close(inner) end)
        co.resume(inner, n - 1)
        co.yield()
      else
        co.yield()
      end
    end
    local outer = co.create(open)
    assert.is_true(co.resume(outer, 60))
    assert.is_true(co.close(outer))
    assert.equal(61, closed)
  end)

  it("tell their status as Lua's do", function()
    local function look(list, n)
      list[#list + 1] = co.running()
      if n > 0 then return select(2, co.resume(co.create(look), list, n - 1)) end
      local texts = {}
      for i, c in ipairs(list) do
        local ok, why = co.resume(c)
        assert(not ok and why == "cannot resume non-suspended coroutine", why)
        if i < #list then assert.error_matches(function() co.close(c) end, "cannot close a normal coroutine") end
        texts[i] = co.status(c)
      end
      return texts
    end
    local texts = co.wrap(look)({}, 40)
    assert.equal(41, #texts)
    for i = 1, 40 do assert.equal("normal", texts[i]) end
    assert.equal("running", texts[41])
  end)

  it("nested without end are an error that can be caught", function()
    local function nest() return co.wrap(nest)() end
    for _ = 1, 2 do
      local err = calls.raised(nest)
      assert.matches("C stack overflow", err, 1, true)
    end
    assert.equal(7, by_wrap(20, function() eddy.sleep(0) return 7 end))
  end)

  it("of several tasks wait at the same time #virtual", function()
    local results = eddy.map(function(i)
      return by_wrap(20 + i, function() eddy.sleep(11 - i) return i end)
    end, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, n = 10 }, results)
    assert.equal(10, eddy.time())
  end)

  it("work where the task cannot wait: in a comparison of table.sort", function()
    local list = { 3, 1, 2 }
    by_wrap(40, function()
      table.sort(list, function(a, b) return co.wrap(function() return a < b end)() end)
    end)
    assert.same({ 1, 2, 3 }, list)
  end)

  it("are as deep as Lua's own outside of tasks #plain", function()
    assert.equal("there", by_wrap(180, function() return "there" end))
    assert.error_matches(function() by_wrap(250, print) end, "C stack overflow")
  end)

  it("can be resumed in a task that were begun outside #plain", function()
    local c = co.wrap(function()
      co.yield(1)
      eddy.sleep(0)
      co.yield(2)
    end)
    assert.equal(1, c())
    assert.equal(2, eddy.run(function() return c() end))
  end)
end)

describe("a script that meddles with deeply nested coroutines", function()
  local function waiting(depth, seconds)
    local list = {}
    local task = eddy.create_task(collecting, list, depth, function() eddy.sleep(seconds or 1) return "slept" end)
    eddy.sleep(0)
    eddy.sleep(0)
    return list, task
  end

  for _, place in ipairs { 3, 17, 18, 30, 41 } do
    it(("closes number %d of them while they wait: those around it get an error #virtual"):format(place), function()
      local list, task = waiting(40)
      assert.is_true(coroutine.close(list[place]))
      local err = calls.raised(eddy.await, task)
      assert.matches("cannot resume dead coroutine", tostring(err), 1, true)
    end)

    it(("resumes number %d of them: it goes on waiting for its task #virtual"):format(place), function()
      for _, lib in ipairs { co, coroutine } do
        local list, task = waiting(40)
        local ok, why = lib.resume(list[place])
        if lib == co then
          assert.is_false(ok)
          assert.matches("belongs to another task", why, 1, true)
        end
        assert.equal("slept", eddy.await(task))
      end
    end)
  end

  it("closes one around the coroutine that runs: it runs on, and nobody takes its results", function()
    local ran
    local list = {}
    local ok, err = pcall(co.wrap(collecting), list, 40, function()
      assert.is_true(coroutine.close(list[30]))
      collectgarbage()
      collectgarbage()
      ran = true
    end)
    assert.is_false(ok)
    assert.is_true(ran)
    assert.matches("cannot resume dead coroutine", tostring(err), 1, true)
  end)
end)
