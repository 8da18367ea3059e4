-- eddy.ProcessPool: calls in other processes.

local eddy = require "eddy"

require("eddy.busted").timeout = 60

local function raises(class, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.is_true(eddy.is_error(err, class), tostring(err))
  return err
end

describe("a ProcessPool", function()
  it("carries out calls in processes of their own", function()
    local pool <close> = eddy.ProcessPool { workers = 2 }
    local function pid()
      local file <close> = assert(io.open("/proc/self/stat"))
      return file:read "n"
    end
    local own = pid()
    local task = pool:submit(pid)
    assert.is_true(task:await() ~= own)
    assert.same({ 3, nil, { x = 1 } }, { pool:submit(function(a, b) return a + b, nil, { x = 1 } end, 1, 2):await() })
    assert.equal(7, eddy.run_in_executor(pool, function() return 7 end))
    assert.equal(8, eddy.get_running_loop():run_in_executor(pool, function() return 8 end):await())
    assert.equal("<ProcessPool workers=2>", tostring(pool))
  end)

  it("maps a list, in order", function()
    local pool <close> = eddy.ProcessPool { workers = 2 }
    local list = {}
    for i = 1, 20 do list[i] = i end
    local results = pool:map(function(n) return n * n end, list, { chunk = 3 })
    assert.equal(20, results.n)
    for i = 1, 20 do assert.equal(i * i, results[i]) end
  end)

  it("raises what a call raises, and keeps the worker", function()
    local pool <close> = eddy.ProcessPool { workers = 1 }
    eddy.run_in_executor(pool, function() _G.mark = "here" end)
    local ok, err = pcall(eddy.run_in_executor, pool, function() error({ code = 7 }) end)
    assert.same({ false, { code = 7 } }, { ok, err })
    raises(eddy.TimeoutError, eddy.run_in_executor, pool, function() error(eddy.TimeoutError("late")) end)
    ok, err = pcall(eddy.run_in_executor, pool, function() return io.stdout end)
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("result 1", 1, true), err)
    assert.equal("here", eddy.run_in_executor(pool, function() return _G.mark end))
  end)

  it("replaces a worker that has died; only its call fails", function()
    local pool <close> = eddy.ProcessPool { workers = 2 }
    local other = pool:submit(function() eddy.sleep(0.05) return "fine" end)
    local err = raises(eddy.BrokenWorkerError, eddy.run_in_executor, pool, function() os.exit(3) end)
    assert.is_truthy(err.message:find("status 3", 1, true), err.message)
    assert.equal("fine", other:await())
    err = raises(eddy.BrokenWorkerError, eddy.run_in_executor, pool, function()
      os.execute("kill -9 $PPID")
      while true do end
    end)
    assert.is_truthy(err.message:find("signal 9", 1, true), err.message)
    assert.equal("still", eddy.run_in_executor(pool, function() return "still" end))
  end)

  it("stops a call that is cancelled", function()
    local pool <close> = eddy.ProcessPool { workers = 1 }
    eddy.run_in_executor(pool, function() _G.mark = "here" end)
    local waiting = pool:submit(function() eddy.sleep(1000) end)
    eddy.sleep(0.05)
    waiting:cancel()
    raises(eddy.CancelledError, waiting.await, waiting)
    assert.equal("here", eddy.run_in_executor(pool, function() return _G.mark end))
    local busy = pool:submit(function() while true do end end)
    eddy.sleep(0.05)
    busy:cancel()
    raises(eddy.CancelledError, busy.await, busy)
    assert.equal(1, eddy.run_in_executor(pool, function() return 1 end))
  end)

  it("calls init once in each worker", function()
    local pool <close> = eddy.ProcessPool { workers = 1, init = function() _G.count = (_G.count or 0) + 1 end }
    assert.equal(1, eddy.run_in_executor(pool, function() return _G.count end))
    assert.equal(1, eddy.run_in_executor(pool, function() return _G.count end))
    local bad <close> = eddy.ProcessPool { workers = 1, init = function() error("no such thing", 0) end }
    local err = raises(eddy.BrokenWorkerError, eddy.run_in_executor, bad, print)
    assert.is_truthy(err.message:find("no such thing", 1, true))
  end)

  it("can be told how to start a worker", function()
    local pool <close> = eddy.ProcessPool { workers = 1, command = { os.getenv "EDDY_LUA" or "lua5.4", "-e" } }
    assert.equal(1, eddy.run_in_executor(pool, function() return 1 end))
    local missing <close> = eddy.ProcessPool { workers = 1, command = { "/no/such/program" } }
    raises(eddy.OSError, eddy.run_in_executor, missing, print)
  end)

  it("waits in close for what was submitted, and takes no more", function()
    local pool = eddy.ProcessPool { workers = 1 }
    local task = pool:submit(function() eddy.sleep(0.02) return "done" end)
    pool:close()
    assert.equal("done", task:result())
    raises(eddy.RuntimeError, pool.submit, pool, print)
    pool:close()
  end)

  it("stops its calls when its scope ends by an error", function()
    local task
    pcall(function()
      local pool <close> = eddy.ProcessPool { workers = 1 }
      task = pool:submit(function() while true do end end)
      eddy.sleep(0.05)
      error("out")
    end)
    assert.is_true(task:cancelled())
  end)

  it("keeps a worker whose results cannot be unpacked here, or whose call is cancelled at once", function()
    local pool <close> = eddy.ProcessPool { workers = 1 }
    eddy.run_in_executor(pool, function() _G.mark = "here" end)
    local ok, err = pcall(eddy.run_in_executor, pool, function()
      package.preload.only_there = function() return { f = function() end } end
      return require "only_there"
    end)
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("only_there", 1, true), err)
    assert.equal("here", eddy.run_in_executor(pool, function() return _G.mark end))
    local task = pool:submit(eddy.sleep, 100)
    eddy.sleep(0)
    task:cancel()
    raises(eddy.CancelledError, task.await, task)
    assert.equal("here", eddy.run_in_executor(pool, function() return _G.mark end))
  end)

  it("cancels a call while init goes on", function()
    local pool <close> = eddy.ProcessPool { workers = 1, init = function() eddy.sleep(100) end }
    local task = pool:submit(print)
    while not next(pool._workers) do eddy.sleep(0.001) end
    eddy.sleep(0.01)
    task:cancel()
    raises(eddy.CancelledError, task.await, task)
    assert.is_true(task:cancelled())
  end)

  it("checks its options and arguments", function()
    assert.has_error(function() eddy.ProcessPool { worker = 1 } end)
    assert.has_error(function() eddy.ProcessPool { workers = 0 } end)
    assert.has_error(function() eddy.ProcessPool { workers = "2" } end)
    local pool <close> = eddy.ProcessPool { workers = 1 }
    assert.has_error(function() pool:submit() end)
    assert.has_error(function() pool:submit(function() return io.stdout end, io.stdout) end)
    assert.has_error(function() pool.submit({}, print) end)
    assert.has_error(function() pool:map(print, 5) end)
  end)
end)
