-- eddy.ThreadPool.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local raises = calls.raised_as

describe("a ThreadPool", function()
  it("gives a Task for each call", function()
    local pool <close> = eddy.ThreadPool { workers = 2 }
    local tasks = {}
    for i = 1, 20 do tasks[i] = pool:submit(function(n) return n * n end, i) end
    local squares = eddy.gather(tasks)
    for i = 1, 20 do assert.equal(i * i, squares[i]) end
    assert.equal("<ThreadPool workers=2>", tostring(pool))
  end)

  it("begins calls in the order in which they were submitted", function()
    local pool <close> = eddy.ThreadPool { workers = 1 }
    local channel = eddy.Channel(100)
    local tasks = {}
    for i = 1, 20 do tasks[i] = pool:submit(function(ch, n) ch:send(n) end, channel, i) end
    eddy.gather(tasks)
    for i = 1, 20 do assert.equal(i, channel:try_recv()) end
  end)

  it("has a worker for each core unless it is told otherwise, and none before it is needed", function()
    local pipe = io.popen "nproc 2>/dev/null"
    local cores = pipe:read "n"
    pipe:close()
    local pool <close> = eddy.ThreadPool()
    local processes <close> = eddy.ProcessPool()
    local n = tonumber(tostring(pool):match "^<ThreadPool workers=(%d+)>$")
    assert.is_true(n >= 1)
    if cores then assert.equal(cores, n) end
    assert.equal(("<ProcessPool workers=%d>"):format(n), tostring(processes))
    assert.is_nil(next(processes._workers))
    local stat = io.open "/proc/self/status"
    if not stat then return end
    local function threads()
      local file <close> = io.open "/proc/self/status"
      return tonumber(file:read("a"):match "Threads:%s*(%d+)")
    end
    stat:close()
    local before = threads()
    local many <close> = eddy.ThreadPool { workers = 5 }
    assert.is_true(threads() <= before)
    many:submit(os.time):await()
    assert.is_true(threads() <= before + 1)
  end)

  it("makes as many workers as it needs, and keeps them", function()
    local pool <close> = eddy.ThreadPool { workers = 3 }
    local function state() return tostring(_G) end
    local first = pool:submit(state):await()
    assert.equal(first, pool:submit(state):await())
    local gate, begun = eddy.Channel(), eddy.Channel(10)
    local function hold(g, b)
      b:send(tostring(_G))
      g:recv()
    end
    local tasks = { pool:submit(hold, gate, begun), pool:submit(hold, gate, begun), pool:submit(hold, gate, begun) }
    local states = {}
    for _ = 1, 3 do states[begun:recv()] = true end
    for _ = 1, 3 do gate:send(true) end
    eddy.gather(tasks)
    local n = 0
    for _ in pairs(states) do n = n + 1 end
    assert.equal(3, n)
  end)

  it("calls init once in each worker", function()
    local step = 5
    local pool <close> = eddy.ThreadPool { workers = 1, init = function()
      eddy.sleep(0)
      _G.count = (_G.count or 0) + step
    end }
    assert.equal(5, pool:submit(function() return _G.count end):await())
    assert.equal(5, pool:submit(function() return _G.count end):await())
  end)

  it("is broken when init fails", function()
    local pool <close> = eddy.ThreadPool { workers = 1, init = function() error("no such thing", 0) end }
    local err = calls.raised_as(eddy.BrokenWorkerError, eddy.run_in_executor, pool, print)
    assert.is_truthy(err.message:find("no such thing", 1, true))
    raises(eddy.BrokenWorkerError, function() pool:submit(print) end)
  end)

  it("waits in submit while the queue is full", function()
    local pool <close> = eddy.ThreadPool { workers = 1, queue = 2 }
    local gate = eddy.Channel()
    local tasks = { pool:submit(function(g) g:recv() end, gate) }
    local submitted = 0
    local submitter = eddy.create_task(function()
      for i = 1, 6 do
        tasks[#tasks + 1] = pool:submit(function(n) return n end, i)
        submitted = submitted + 1
      end
    end)
    for _ = 1, 20 do eddy.sleep(0.001) end
    assert.is_true(submitted >= 2 and submitted <= 3)
    gate:send(true)
    submitter:await()
    assert.equal(6, eddy.gather(tasks)[7])
  end)

  it("takes its place in the line back when a waiting submit is cancelled", function()
    local pool <close> = eddy.ThreadPool { workers = 1, queue = 1 }
    local gate, begun = eddy.Channel(), eddy.Channel(1)
    local first = pool:submit(function(g, b) b:send(1) g:recv() end, gate, begun)
    begun:recv()
    local second = pool:submit(function() return 2 end)
    local third = eddy.create_task(pool.submit, pool, function() return 3 end)
    local fourth = eddy.create_task(pool.submit, pool, function() return 4 end)
    eddy.sleep(0)
    third:cancel()
    gate:send(true)
    assert.equal(4, fourth:await():await())
    eddy.gather(first, second)
    assert.is_true(third:cancelled())
  end)

  it("fails all who wait for room when it is closed or broken", function()
    local gate = eddy.Channel(7)
    local function fill(options)
      local pool = eddy.ThreadPool(options)
      local tasks = {}
      for i = 1, 7 do
        tasks[i] = eddy.create_task(eddy.run_in_executor, pool, function()
          gate:recv()
          return "done"
        end)
      end
      eddy.sleep(0)
      return pool, tasks
    end
    local function outcomes(tasks)
      local n = { done = 0, closed = 0, broken = 0 }
      for _, task in ipairs(tasks) do
        local ok, result = pcall(eddy.await, task)
        local key = ok and result or eddy.is_error(result, eddy.BrokenWorkerError) and "broken" or "closed"
        n[key] = n[key] + 1
      end
      return n
    end
    local pool, tasks = fill { workers = 1, queue = 1 }
    local closing = eddy.create_task(pool.close, pool)
    eddy.sleep(0)
    for _ = 1, 7 do gate:send(true) end            -- until now none of the calls could end
    closing:await()
    local n = outcomes(tasks)
    assert.equal(0, n.broken)
    assert.is_true(n.done >= 1 and n.done <= 2)
    pool, tasks = fill { workers = 1, queue = 1, init = function() eddy.sleep(0.01) error("no such thing", 0) end }
    assert.equal(7, outcomes(tasks).broken)
    pool:close()
  end)

  it("maps a list in chunks, in order", function()
    local pool <close> = eddy.ThreadPool { workers = 2 }
    local list, factor = {}, 3
    for i = 1, 100 do list[i] = i end
    for _, chunk in ipairs { 1, 7, 100, 1000 } do
      local results = pool:map(function(n) return n * factor end, list, { chunk = chunk })
      assert.equal(100, results.n)
      for i = 1, 100 do assert.equal(3 * i, results[i]) end
    end
    assert.equal(300, pool:map(function(n) return n * factor end, list)[100])
    assert.same({ n = 0 }, pool:map(print, {}))
    assert.has_error(function() pool:map(function(n) if n == 50 then error("fifty", 0) end end, list) end, "fifty")
  end)

  it("names what map cannot move as its caller knows it, where map was called", function()
    local function same(x) return x end
    local odd = coroutine.create(print)
    for _, make in ipairs { eddy.ThreadPool, eddy.ProcessPool } do
      local pool <close> = make { workers = 1 }
      local function refused(f, list, chunk)
        local line = debug.getinfo(1, "l").currentline + 1
        local ok, err = pcall(function() pool:map(f, list, { chunk = chunk }) end)
        assert.is_false(ok)
        return (err:gsub("^%S*pool_spec%.lua:" .. line .. ": ", "HERE "))
      end
      assert.equal("HERE map: item 1: coroutine cannot be moved", refused(same, { odd }))
      assert.equal("HERE map: item 4.a[1]: coroutine cannot be moved", refused(same, { 1, 2, 3, { a = { odd } } }, 3))
      assert.matches("^HERE map: upvalue 'odd' of function <[^>]+>: coroutine cannot be moved$",
        refused(function() return odd end, { 1 }))
      assert.equal("map: the result of item 3: coroutine cannot be moved",
        refused(function(n) return n == 3 and coroutine.create(print) end, { 1, 2, 3 }, 2))
    end
  end)

  it("shows no file of eddy's in the story of an error in map", function()
    for _, make in ipairs { eddy.ThreadPool, eddy.ProcessPool } do
      local task = eddy.create_task(function()
        local pool <close> = make { workers = 1 }
        pool:map(function(n) return n.x end, { 1 })
      end)
      assert.is_false((pcall(task.await, task)))
      local story = task:traceback()
      assert.is_truthy(story:find("the call by 'map' in another", 1, true), story)
      assert.matches("awaited by task '[^']*' at %S*pool_spec.lua:%d", story)
      assert.is_nil(story:find "eddy/[%w_]*pool%.lua", story)
    end
  end)

  it("waits in close for what was submitted, and takes no more", function()
    local pool = eddy.ThreadPool { workers = 1 }
    local task = pool:submit(function() eddy.sleep(0.01) return "done" end)
    pool:close()
    assert.is_true(task:done())
    assert.equal("done", task:result())
    raises(eddy.RuntimeError, function() pool:submit(print) end)
    raises(eddy.RuntimeError, function() pool:map(print, {}) end)
    raises(eddy.RuntimeError, function() eddy.run_in_executor(pool, print) end)
    pool:close()
  end)

  it("stops its calls when its scope ends by an error", function()
    local task
    local ok = pcall(function()
      local pool <close> = eddy.ThreadPool { workers = 1 }
      task = pool:submit(function() while true do end end)
      eddy.sleep(0.002)
      error("out")
    end)
    assert.is_false(ok)
    eddy.wait { task }
    assert.is_true(task:cancelled())
  end)

  it("serves one run after the other #plain", function()
    local pool = eddy.ThreadPool { workers = 1 }
    for i = 1, 3 do
      assert.equal(i, eddy.run(function() return pool:submit(function(n) return n end, i):await() end))
    end
    pool:close()
  end)

  it("serves a loop while another one that is not turned has calls of it #plain", function()
    local pool = eddy.ThreadPool { workers = 1, queue = 2 }
    local first, second = eddy.Runner(), eddy.Runner()
    local function call(n) return eddy.run_in_executor(pool, function(x) return x end, n) end
    first:run(function()
      local gate = eddy.Channel()
      local tasks = {}
      for i = 1, 5 do -- they wait for room: from now on this loop gets news
        tasks[i] = eddy.create_task(eddy.run_in_executor, pool, function(g) return g:recv() end, gate)
      end
      for i = 1, 5 do gate:send(i) end
      eddy.gather(tasks)
      eddy.sleep(0.02)
    end)
    local late
    first:run(function() late = eddy.create_task(call, 1) end) -- it begins in the last turn
    assert.equal(2, second:run(function() return eddy.wait_for(function() return call(2) end, 5) end))
    second:run(function() eddy.wait_for(function() pool:close() end, 5) end)
    assert.equal(1, first:run(function() return late:await() end))
    first:close()
    second:close()
  end)

  it("lets tasks that a call has left go on when one of them stops the loop", function()
    local channel = eddy.Channel(1)
    local pool <close> = eddy.ThreadPool { workers = 1 }
    pool:submit(function(ch)
      eddy.create_task(function()
        eddy.sleep(0.001)
        eddy.get_running_loop():stop()
        eddy.sleep(0.001)
        ch:send("later")
      end)
    end, channel):await()
    assert.equal("later", eddy.wait_for(function() return channel:recv() end, 10))
  end)

  it("starts programs with the signals of home", function()
    if not io.open("/proc/self/status") then return end
    local command = "exec grep SigBlk /proc/self/status"
    local function blocked(what)
      local pipe <close> = assert(io.popen(what))
      return pipe:read "a"
    end
    local here = blocked(command)
    local name = os.tmpname()
    assert.equal(here, eddy.to_thread(blocked, command))
    assert.equal(here, eddy.to_thread(function(f, c) return eddy.to_thread(f, c) end, blocked, command))
    assert.is_true(eddy.to_thread(os.execute, command .. " > " .. name))
    local file <close> = assert(io.open(name))
    assert.equal(here, file:read "a")
    os.remove(name)
    assert.has_error(function() eddy.to_thread(io.popen, {}) end)
  end)

  it("checks its options and arguments", function()
    assert.has_error(function() eddy.ThreadPool { worker = 1 } end,
      "bad argument #1 to 'ThreadPool' (unknown option 'worker')")
    assert.has_error(function() eddy.ThreadPool { workers = 0 } end)
    assert.has_error(function() eddy.ThreadPool { init = 5 } end,
      "bad argument #1 to 'ThreadPool' (option 'init': function expected, got number)")
    local file <close> = io.tmpfile()
    assert.has_error(function() eddy.ThreadPool { init = function() return file end } end)
    local pool <close> = eddy.ThreadPool {}
    assert.has_error(function() pool:submit() end, "bad argument #1 to 'submit' (function expected, got no value)")
    assert.has_error(function() pool:map(print) end)
    assert.has_error(function() pool:map(print, {}, { chunk = 0 }) end)
  end)
end)
