-- eddy.to_thread and loop:run_in_executor: a call in another thread.

local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

local raises = calls.raised_as

describe("eddy.to_thread", function()
  it("returns what the function returns in another thread", function()
    local results = table.pack(eddy.to_thread(function(a, b) return a + b, nil, "x", nil end, 1, 2))
    assert.same({ 3, nil, "x", nil, n = 4 }, results)
  end)

  it("hands over plain values as they are, few or many", function()
    local function same(...) return ... end
    local values = { 1, -0.0, 1 / 0, math.mininteger, nil, true, false, nil }
    for n = 0, 8 do
      local back = table.pack(eddy.to_thread(same, table.unpack(values, 1, n)))
      assert.equal(n, back.n)
      for i = 1, n do assert.equal(values[i], back[i]) end
      if n >= 2 then assert.equal("-0.0", tostring(back[2])) end
      if n >= 4 then assert.equal("integer", math.type(back[4])) end
    end
    local nan = eddy.to_thread(same, 0 / 0)
    assert.is_true(nan ~= nan)
    assert.equal("text", select(2, eddy.to_thread(same, 1, "text")))
  end)

  it("keeps calls apart that follow each other, however they end", function()
    local function work(i)
      if i % 5 == 0 then error("five " .. i, 0) end
      if i % 5 == 1 then eddy.sleep(10) end
      if i % 5 == 2 then return { i } end
      return i, i % 5 == 3
    end
    local function call(i)
      local task = eddy.create_task(eddy.to_thread, work, i)
      if i % 5 == 1 then
        eddy.sleep(0)
        task:cancel()
      end
      eddy.wait { task }
      local what = ({ [0] = function() assert.equal("five " .. i, task:exception()) end,
                      function() assert.is_true(task:cancelled()) end,
                      function() assert.same({ i }, task:result()) end })[i % 5]
      if what then what() else assert.same({ i, i % 5 == 3 }, { task:result() }) end
    end
    for i = 1, 40 do call(i) end
    local all = {}
    for i = 1, 80 do all[i] = function() call(i) end end
    eddy.gather(all)
  end)

  it("serves all copies of the module", function()
    local function same(i) return i end
    assert.equal(1, eddy.to_thread(same, 1))
    package.loaded.eddy = nil
    local again = require "eddy"
    package.loaded.eddy = eddy
    assert.equal(2, eddy.to_thread(same, 2))
    assert.equal(3, again.to_thread(same, 3))
  end)

  it("serves one loop after the other #plain", function()
    local pool = eddy.ThreadPool { workers = 1 }
    local function same(i) return i end
    for i = 1, 4 do
      assert.equal(i, eddy.run(eddy.to_thread, same, i))
      assert.equal(i, eddy.run(eddy.run_in_executor, pool, same, i))
    end
    pool:close()
  end)

  it("takes upvalues along, as copies", function()
    local counter = { n = 1 }
    local n = eddy.to_thread(function()
      counter.n = counter.n + 1
      return counter.n
    end)
    assert.same({ 2, 1 }, { n, counter.n })
  end)

  it("lets other tasks run meanwhile", function()
    local channel, ticks = eddy.Channel(1), 0
    local task = eddy.create_task(eddy.to_thread, function(ch) return ch:recv() end, channel)
    for _ = 1, 5 do
      eddy.sleep(0)
      ticks = ticks + 1
    end
    assert.is_false(task:done())
    channel:send("go")
    assert.equal("go", task:await())
    assert.equal(5, ticks)
  end)

  it("begins at once, though a task that is to run now computes for long", function()
    eddy.to_thread(function() end) -- from now on a thread is idle
    local path = os.tmpname()
    local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
    local function content()
      local file <close> = assert(io.open(path))
      return file:read "a"
    end
    local call = eddy.create_task(eddy.to_thread, function(name)
      local file <close> = assert(io.open(name, "w"))
      file:write "begun"
    end, path)
    local function compute()
      local limit = os.time() + 10
      repeat until content() == "begun" or os.time() > limit
      return content()
    end
    assert.equal("begun", eddy.gather(call, compute)[2])
  end)

  it("raises the error that the function raises, as the same kind of value", function()
    local ok, err = pcall(eddy.to_thread, function() error({ code = 7 }) end)
    assert.same({ false, { code = 7 } }, { ok, err })
    ok, err = pcall(eddy.to_thread, function() error(eddy.TimeoutError("late")) end)
    assert.is_false(ok)
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
    assert.equal("late", err.message)
    ok, err = pcall(eddy.to_thread, error, "text", 0)
    assert.same({ false, "text" }, { ok, err })
    ok, err = pcall(eddy.to_thread, error)
    assert.same({ false, nil }, { ok, err })
  end)

  it("tells where the error was raised, above the place that waited", function()
    local function deep() error("deep") end
    local function outer()
      local result = eddy.to_thread(function() return (deep()) end)
      return result
    end
    local task = eddy.create_task(outer)
    pcall(eddy.await, task)
    local story = task:traceback()
    local there, here = story:find("in upvalue 'deep'", 1, true), story:find("awaited by task", 1, true)
    assert.is_truthy(there and here and there < here, story)
    assert.is_truthy(story:find("the call by 'to_thread' in another thread", 1, true), story)
  end)

  it("runs the function in a task, which may wait", function()
    assert.equal(6, eddy.to_thread(function()
      local parts = eddy.gather(
        function() eddy.sleep(0.002) return 1 end,
        function() eddy.sleep(0.001) return 2 end,
        function() return 3 end)
      return parts[1] + parts[2] + parts[3]
    end))
  end)

  it("gives a function the globals of its thread", function()
    local pool <close> = eddy.ThreadPool { workers = 1 }
    local env, own = eddy.run_in_executor(pool, load [[
      thread_global = (thread_global or 0) + 1
      return _ENV == _G, thread_global
    ]])
    assert.same({ true, 1 }, { env, own })
    assert.equal(2, eddy.run_in_executor(pool, load "thread_global = thread_global + 1 return thread_global"))
    assert.is_nil(rawget(_G, "thread_global"))
  end)

  it("finds modules as this state does", function()
    local path, cpath = eddy.to_thread(function() return package.path, package.cpath end)
    assert.same({ package.path, package.cpath }, { path, cpath })
    assert.equal("table", eddy.to_thread(function() return type(require "eddy.testing") end))
  end)

  it("copies the context by name and value", function()
    local user = eddy.ContextVar("user")
    local other = eddy.ContextVar("other", "default")
    user:set({ name = "ada" })
    local name, missing = eddy.to_thread(function()
      return eddy.ContextVar("user"):get().name, eddy.ContextVar("other", "default"):get()
    end)
    assert.same({ "ada", "default" }, { name, missing })
    assert.equal("default", other:get())
    eddy.to_thread(function() eddy.ContextVar("user"):set("somebody else") end)
    assert.equal("ada", user:get().name)
    assert.equal("ada", eddy.to_thread(function() return eddy.ContextVar("user"):get().name end))
  end)

  it("names what cannot be moved, and moves nothing then", function()
    local file <close> = io.tmpfile()
    local ok, err = pcall(eddy.to_thread, function() return file end)
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("to_thread: ", 1, true), err)
    assert.is_truthy(tostring(err):find("upvalue 'file'", 1, true), err)
    ok, err = pcall(eddy.to_thread, print, { deep = { coroutine.create(print) } })
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("argument 1.deep[1]", 1, true), err)
  end)

  it("names results that cannot be moved", function()
    local err = calls.raised(eddy.to_thread, function() return 1, io.tmpfile() end)
    assert.is_truthy(tostring(err):find("result 2", 1, true), err)
    assert.equal(1, eddy.to_thread(function() return 1 end))
  end)

  it("gives the text of an error that cannot be moved", function()
    local err = calls.raised_as(eddy.RuntimeError, eddy.to_thread, function()
      error({ file = io.stdout, message = "lost" })
    end)
    assert.is_truthy(err.message:find("lost", 1, true), err.message)
  end)

  it("survives a call that runs out of memory", function()
    local ok, err = pcall(eddy.to_thread, function()
      return ("x"):rep(1 << 62)
    end)
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("large") or tostring(err):find("memory"), err)
    assert.equal(1, eddy.to_thread(function() return 1 end))
  end)

  it("raises DeadlockError for a call that waits for what can never come", function()
    local ok, err = pcall(eddy.to_thread, function()
      eddy.get_running_loop():create_future():await()
    end)
    assert.is_false(ok)
    assert.is_true(eddy.is_error(err, eddy.DeadlockError))
    assert.equal(1, eddy.to_thread(function() return 1 end))
  end)

  it("does not let a call end the process", function()
    local err = calls.raised(eddy.to_thread, os.exit, 3)
    assert.is_truthy(tostring(err):find("os.exit", 1, true))
  end)

  it("refuses what is no function, and to wait outside of a task", function()
    assert.has_error(function() eddy.to_thread(5) end, "bad argument #1 to 'to_thread' (function expected, got number)")
    local seen
    eddy.get_running_loop():call_soon(function() seen = select(2, pcall(eddy.to_thread, print)) end)
    eddy.sleep(0)
    eddy.sleep(0)
    assert.is_truthy(tostring(seen):find("'to_thread' needs a running task", 1, true))
  end)

  it("lets tasks of a call go on after it #slow", function()
    local channel = eddy.Channel(1)
    local worker = eddy.ThreadPool { workers = 1 }
    worker:submit(function(ch)
      eddy.create_task(function()
        eddy.sleep(0.01)
        ch:send("later")
      end)
    end, channel):await()
    assert.equal("later", channel:recv())
    assert.equal(2, worker:submit(function() return 2 end):await())
    worker:close()
  end)

  it("finds what has come before it waits for other threads #virtual", function()
    local loop, gate = eddy.get_running_loop(), eddy.Channel(1)
    local function busy(seconds)
      local till = os.clock() + seconds
      while os.clock() < till do end
    end
    local function started() eddy.to_thread(busy, 0.01) end
    eddy.gather(started, started)                -- two workers; and the loop has slept, so it is known to be awake now
    local second = loop:run_in_executor(nil, function(ch) return ch:recv() end, gate)
    local first = loop:run_in_executor(nil, function() return 1 end)
    eddy.sleep(0)
    busy(0.02)                                   -- the first result comes before this task waits for it
    assert.equal(1, first:await())
    gate:send(2)
    assert.equal(2, second:await())
  end)

  it("keeps virtual time still while it is under way #virtual", function()
    local loop = eddy.get_running_loop()
    local before = loop:time()
    assert.equal("done", eddy.wait_for(function()
      return eddy.to_thread(function() eddy.sleep(0.02) return "done" end)
    end, 0.001))
    assert.equal(before, loop:time())
  end)
end)

describe("eddy.run_coroutine_threadsafe", function()
  it("schedules on a loop, and links cancelling both ways", function()
    local loop = eddy.get_running_loop()
    assert.equal(5, eddy.run_coroutine_threadsafe(eddy.async(function() return 5 end)(), loop):await())
    local inner
    local task = eddy.run_coroutine_threadsafe(function()
      inner = eddy.create_task(eddy.sleep, 1000)
      inner:await()
    end, loop)
    eddy.sleep(0)
    task:cancel()
    raises(eddy.CancelledError, task.await, task)
    assert.is_true(inner:cancelled())
    task = eddy.run_coroutine_threadsafe(function()
      inner = eddy.create_task(eddy.sleep, 1000)
      inner:await()
    end, loop)
    eddy.sleep(0)
    inner:cancel()
    raises(eddy.CancelledError, task.await, task)
  end)
end)

describe("the default executor", function()
  it("gives a Task by loop:run_in_executor", function()
    local loop = eddy.get_running_loop()
    local task = loop:run_in_executor(nil, function(a) return a * 2 end, 21)
    assert.is_false(task:done())
    assert.equal(42, task:await())
  end)

  it("waits by eddy.run_in_executor", function()
    assert.equal(42, eddy.run_in_executor(nil, function(a) return a * 2 end, 21))
  end)

  it("can be another pool", function()
    local pool <close> = eddy.ThreadPool { workers = 1, init = function() _G.mark = "mine" end }
    eddy.get_running_loop():set_default_executor(pool)
    assert.equal("mine", eddy.to_thread(function() return _G.mark end))
  end)

  it("takes no calls after shutdown_default_executor", function()
    local loop = eddy.get_running_loop()
    local task = loop:run_in_executor(nil, function() eddy.sleep(0.005) return 1 end)
    loop:shutdown_default_executor()
    assert.is_true(task:done())
    raises(eddy.RuntimeError, function() eddy.to_thread(print) end)
  end)

  it("has ended its calls after shutdown_default_executor, in whatever order tasks run #plain", function()
    for seed = 1, 30 do
      testing.virtual_clock({ seed = seed }, function()
        local loop = eddy.get_running_loop()
        local task = loop:run_in_executor(nil, function() return 1 end)
        eddy.sleep(0)
        local till = os.clock() + 0.003
        while os.clock() < till do end -- the result comes before this task looks for it
        loop:shutdown_default_executor()
        assert.is_true(task:done())
      end)
    end
  end)

  it("ends with the loop #plain", function()
    local runner = eddy.Runner()
    local started = runner:run(function()
      eddy.get_running_loop():run_in_executor(nil, function() while true do end end)
      return eddy.to_thread(function() return true end)
    end)
    local before = os.time()
    runner:close()
    assert.is_true(started)
    assert.is_true(os.time() - before < 2)
  end)
end)
