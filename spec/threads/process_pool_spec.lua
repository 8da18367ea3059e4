-- eddy.ProcessPool: calls in other processes.

local eddy = require "eddy"
local calls = require "spec.support.calls"

require("eddy.busted").timeout = 60

local function raises(class, f, ...)
  local err = calls.raised(f, ...)
  assert.is_true(class == nil or eddy.is_error(err, class), tostring(err))
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

  it("tells the story of an error from the worker's traceback on", function()
    local pool <close> = eddy.ProcessPool { workers = 1 }
    local function fail() error("out of paper") end
    local function print_all() fail() end
    local task = eddy.create_task(function() eddy.run_in_executor(pool, print_all) end)
    raises(nil, task.await, task)
    local story = task:traceback()
    local there = story:find("stack traceback of the call by 'run_in_executor' in another process:", 1, true)
    local inner, outer = story:find("in upvalue 'fail'", 1, true), story:find("awaited by task", 1, true)
    assert.is_true(there and inner and outer and there < inner and inner < outer, story)
    assert.is_nil(story:find("process_worker", 1, true), story)
    task = pool:submit(print_all)
    raises(nil, task.await, task)
    assert.is_truthy(task:traceback():find("the call by 'submit' in another process:", 1, true))
  end)

  it("waits in submit while the queue is full", function()
    local pool <close> = eddy.ProcessPool { workers = 1, queue = 2 }
    local tasks, submitted = { pool:submit(function() eddy.sleep(1000) end) }, 0
    local submitter = eddy.create_task(function()
      for i = 1, 6 do
        tasks[#tasks + 1] = pool:submit(function(n) return n end, i)
        submitted = submitted + 1
      end
    end)
    for _ = 1, 20 do eddy.sleep(0.001) end
    assert.equal(2, submitted)
    eddy.get_running_loop():run_in_executor(pool, print):cancel() -- that one never waits
    tasks[1]:cancel()
    submitter:await()
    for i = 1, 6 do assert.equal(i, tasks[i + 1]:await()) end
  end)

  it("takes its place in the line back when a waiting submit is cancelled", function()
    local pool <close> = eddy.ProcessPool { workers = 1, queue = 1 }
    local first = pool:submit(function() eddy.sleep(1000) end)
    eddy.sleep(0)
    local second = pool:submit(os.time)
    local third = eddy.create_task(pool.submit, pool, function() return 3 end)
    local fourth = eddy.create_task(pool.submit, pool, function() return 4 end)
    eddy.sleep(0)
    third:cancel()
    second:cancel()                              -- before it has begun: its room is free
    assert.equal("Task", tostring(fourth:await()):match "%a+")
    first:cancel()
    assert.equal(4, fourth:result():await())
    assert.is_true(third:cancelled())
  end)

  it("fails all who wait for room when it is closed", function()
    local pool = eddy.ProcessPool { workers = 1, queue = 1 }
    local first = pool:submit(function() eddy.sleep(1000) end)
    eddy.sleep(0)
    pool:submit(os.time)
    local third = eddy.create_task(pool.submit, pool, os.time)
    local fourth = eddy.create_task(eddy.run_in_executor, pool, os.time)
    eddy.sleep(0)
    local closing = eddy.create_task(pool.close, pool)
    raises(eddy.RuntimeError, third.await, third)
    raises(eddy.RuntimeError, fourth.await, fourth)
    first:cancel()
    closing:await()
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
    err = raises(eddy.BrokenWorkerError, eddy.run_in_executor, pool, function()
      os.execute("kill -ABRT $PPID")
      while true do end
    end)
    assert.is_truthy(err.message:find("signal 6", 1, true), err.message)
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

  it("raises what a call that is cancelled raises on its way out", function()
    local pool <close> = eddy.ProcessPool { workers = 1 }
    local task = pool:submit(function()
      local _ <close> = setmetatable({}, { __close = function() error("cannot close", 0) end })
      eddy.sleep(1000)
    end)
    while not (next(pool._workers) and #pool._idle == 0) do eddy.sleep(0.001) end
    eddy.sleep(0.1)
    task:cancel()
    local ok, err = pcall(task.await, task)
    assert.same({ false, "cannot close" }, { ok, err })
  end)

  it("calls init once in each worker", function()
    local pool <close> = eddy.ProcessPool { workers = 1, init = function() _G.count = (_G.count or 0) + 1 end }
    assert.equal(1, eddy.run_in_executor(pool, function() return _G.count end))
    assert.equal(1, eddy.run_in_executor(pool, function() return _G.count end))
    local bad <close> = eddy.ProcessPool { workers = 1, init = function() error("no such thing", 0) end }
    local err = raises(eddy.BrokenWorkerError, eddy.run_in_executor, bad, os.time)
    assert.is_truthy(err.message:find("no such thing", 1, true))
  end)

  it("is broken for good when init fails, as a ThreadPool is", function()
    local name = os.tmpname()
    finally(function() os.remove(name) end)
    local function init()
      local file <close> = assert(io.open(name, "a"))
      file:write "x"
      eddy.sleep(0.01)
      error("no such thing", 0)
    end
    for _, make in ipairs { eddy.ThreadPool, eddy.ProcessPool } do
      local pool, tasks = make { workers = 1, init = init, queue = 1 }, {}
      for i = 1, 3 do tasks[i] = eddy.create_task(eddy.run_in_executor, pool, os.time) end
      for i = 1, 3 do
        assert.equal("'run_in_executor': init has failed: no such thing",
          raises(eddy.BrokenWorkerError, tasks[i].await, tasks[i]).message)
      end
      assert.equal("'submit': init has failed: no such thing",
        raises(eddy.BrokenWorkerError, pool.submit, pool, os.time).message)
      assert.equal("'map': init has failed: no such thing",
        raises(eddy.BrokenWorkerError, pool.map, pool, os.time, { 1 }).message)
      pool:close()
    end
    assert.equal("xx", eddy.fs.read_file(name))
    local dies <close> = eddy.ProcessPool { workers = 1, init = function() os.exit(3) end }
    for _ = 1, 2 do
      local err = raises(eddy.BrokenWorkerError, eddy.run_in_executor, dies, os.time)
      assert.is_truthy(err.message:find("init has failed: .*status 3"), err.message)
    end
  end)

  it("can be told how to start a worker", function()
    local pool <close> = eddy.ProcessPool { workers = 1, command = { os.getenv "EDDY_LUA" or "lua5.4", "-e" } }
    assert.equal(1, eddy.run_in_executor(pool, function() return 1 end))
    local missing <close> = eddy.ProcessPool { workers = 1, command = { "/no/such/program" } }
    raises(eddy.OSError, eddy.run_in_executor, missing, os.time)
  end)

  it("waits in close for what was submitted, and takes no more", function()
    local pool = eddy.ProcessPool { workers = 1 }
    local task = pool:submit(function() eddy.sleep(0.02) return "done" end)
    pool:close()
    assert.equal("done", task:result())
    raises(eddy.RuntimeError, pool.submit, pool, os.time)
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
    local task = pool:submit(os.time)
    while not next(pool._workers) do eddy.sleep(0.001) end
    eddy.sleep(0.01)
    task:cancel()
    raises(eddy.CancelledError, task.await, task)
    assert.is_true(task:cancelled())
  end)

  it("may be the default pool of a loop", function()
    local loop = eddy.get_running_loop()
    local pool <close> = eddy.ProcessPool { workers = 1, init = function() _G.mark = "mine" end }
    local function mark() return _G.mark end
    loop:set_default_executor(pool)
    assert.equal("mine", eddy.to_thread(mark))
    assert.equal("mine", eddy.run_in_executor(nil, mark))
    assert.equal("mine", loop:run_in_executor(nil, mark):await())
    assert.has_error(function() eddy.to_thread(print, io.stdout) end, "to_thread: argument 1: userdata cannot be moved")
    loop:shutdown_default_executor()
    raises(eddy.RuntimeError, eddy.to_thread, mark)
    raises(eddy.RuntimeError, eddy.run_in_executor, pool, mark)
    raises(eddy.RuntimeError, loop.run_in_executor, loop, pool, mark)
  end)

  it("checks its options and arguments", function()
    assert.has_error(function() eddy.ProcessPool { queue = 0 } end,
      "bad argument #1 to 'ProcessPool' (option 'queue': 0 is out of range)")
    assert.has_error(function() eddy.ProcessPool { worker = 1 } end)
    assert.has_error(function() eddy.ProcessPool { workers = 0 } end)
    assert.has_error(function() eddy.ProcessPool { workers = "2" } end)
    local pool <close> = eddy.ProcessPool { workers = 1 }
    assert.has_error(function() pool:submit() end)
    assert.has_error(function() pool:submit(function() return io.stdout end, io.stdout) end)
    assert.has_error(function() pool.submit({}, print) end)
    assert.has_error(function() pool.close() end, "calling 'close' on bad self (ProcessPool expected, got no value)")
    assert.has_error(function() pool.close({}) end, "calling 'close' on bad self (ProcessPool expected, got table)")
    local ok, err = pcall(function() pool:submit(print, coroutine.create(print)) end)
    assert.is_false(ok)
    assert.matches("process_pool_spec.lua:%d+: submit: argument 1: coroutine cannot be moved", err)
    assert.has_error(function() pool:map(print, {}, 5) end, "bad argument #3 to 'map' (table expected, got number)")
    assert.has_error(function() pool:map(print, {}, { chunk = 0 }) end,
      "bad argument #3 to 'map' (option 'chunk': 0 is out of range)")
    assert.has_error(function() pool:map(print, {}, { chunk = "1" }) end,
      "bad argument #3 to 'map' (option 'chunk': integer expected, got string)")
    assert.has_error(function() eddy.ProcessPool { command = {} } end,
      "bad argument #1 to 'ProcessPool' (option 'command': item 1: string expected, got nil)")
    assert.has_error(function() eddy.ProcessPool { command = { "lua", 5 } } end,
      "bad argument #1 to 'ProcessPool' (option 'command': item 2: string expected, got number)")
    assert.has_error(function() pool:map(print, 5) end)
    assert.has_error(function() eddy.run_in_executor(pool) end,
      "bad argument #2 to 'run_in_executor' (function expected, got no value)")
    assert.has_error(function() eddy.run_in_executor({}, print) end,
      "bad argument #1 to 'run_in_executor' (ThreadPool expected, got table)")
    assert.has_error(function() eddy.get_running_loop():set_default_executor(setmetatable({}, {})) end)
  end)
end)

local has_proc = io.open("/proc/self/stat") ~= nil

-- Runs a script that prints the process ids of a pool's workers as it begins, in a Lua and a process group of its own,
-- and calls f(process, line).
local function with_script(source, f)
  local lua, root = os.getenv "EDDY_LUA" or "lua5.4", os.getenv "EDDY_ROOT" or "."
  local name = os.tmpname()
  finally(function() os.remove(name) end)
  eddy.fs.write_file(name, ("package.path, package.cpath = %q, %q\nlocal eddy = require 'eddy'\n"):format(package.path,
    package.cpath) .. source)
  local process <close> = eddy.create_subprocess_exec(lua, { name },
    { cwd = root, stdout = "pipe", stderr = "pipe", group = true })
  return f(process, process.stdout:read "l")
end

-- Whether the process has ended: it may be nobody's child by now, and nobody waits for it.
local function is_gone(pid)
  local file <close> = io.open("/proc/" .. pid .. "/stat")
  return not file or file:read("a"):find("%) Z") ~= nil
end

local function wait_gone(line)
  for pid in line:gmatch "%d+" do
    while not is_gone(pid) do eddy.sleep(0.01) end
  end
end

local BEGIN <const> = [[
  local function pid()
    local file <close> = assert(io.open("/proc/self/stat"))
    return file:read "n"
  end
  local function begin(pool)
    local ids = pool:map(function(f)
      eddy.sleep(0.2)
      return f()
    end, { pid, pid }, { chunk = 1 })
    io.write(ids[1], " ", ids[2], "\n")
    io.stdout:flush()
  end
]]

describe("a ProcessPool without descriptors", function()
  it("raises, leaves nothing open, and goes on when there are some", function()
    local pool <close> = eddy.ProcessPool { workers = 1 }
    local before, spare = #eddy._handles(), {}
    repeat
      local file = io.open("/dev/null")
      spare[#spare + 1] = file
    until not file or #spare == 30000
    local full, counts = #spare < 30000, {}
    for left = 1, full and 4 or 0 do
      table.remove(spare):close()
      local err = raises(eddy.OSError, function() pool:submit(print):await() end)
      counts[left] = err.code .. " " .. #eddy._handles() - before
    end
    for _, file in ipairs(spare) do file:close() end
    if not full then pending("more descriptors than a test should take") end
    for left = 1, 4 do assert.equal("EMFILE 0", counts[left]) end
    assert.equal(1, pool:submit(function() return 1 end):await())
  end)
end)

describe("the workers of a ProcessPool", function()
  if not has_proc then return end

  it("end, and leave no descriptor, when it is collected", function()
    local function count()
      local n = 0
      for _ in eddy.fs.scandir "/proc/self/fd" do n = n + 1 end
      return n
    end
    do
      local first <close> = eddy.ProcessPool { workers = 1 } -- what is opened once, and kept, is there from now on
      first:submit(os.time):await()
    end
    local before, pids = count(), {}
    do
      local pool = eddy.ProcessPool { workers = 2 }
      eddy.gather(pool:submit(os.time), pool:submit(os.time))
      for worker in pairs(pool._workers) do pids[#pids + 1] = worker.process.pid end
    end
    eddy.sleep(0)
    collectgarbage()
    collectgarbage()
    wait_gone(table.concat(pids, " "))
    while count() > before do eddy.sleep(0.001) end
  end)

  it("end with a run that is interrupted, and say nothing", function()
    with_script(BEGIN .. [[
      local ok, err = pcall(eddy.run, function()
        local pool <close> = eddy.ProcessPool { workers = 2 }
        begin(pool)
        pool:submit(function() eddy.sleep(1000) end)
        pool:submit(function() while true do end end):await()
      end)
      io.write(tostring(err))
    ]], function(process, line)
      process:send_signal "SIGINT"               -- as the terminal does: to the whole group
      wait_gone(line)
      assert.equal("Interrupted", process.stdout:read("a"):match "^%a+")
      assert.equal("", process.stderr:read "a")
    end)
  end)

  it("are not hit by a SIGINT that comes while they start", function()
    local lua = os.getenv "EDDY_LUA" or "lua5.4"
    local command = { "/bin/sh", "-c", "kill -INT $$; exec " .. lua .. ' -e "$1"', "sh" }
    local pool <close> = eddy.ProcessPool { workers = 1, command = command }
    assert.equal(1, eddy.run_in_executor(pool, function() return 1 end))
    assert.equal("sh: 1", eddy.run_in_executor(pool, function() -- and what they start takes it
      local file <close> = io.popen("sh -c 'kill -INT $$; echo no'; echo sh: 1")
      return file:read "l"
    end))
  end)

  it("are warned of by their pool alone when nobody closes that", function()
    with_script([[
      warn "@on"
      eddy.run(function()
        local pool = eddy.ProcessPool { workers = 2 }
        pool:submit(os.time):await()
        print "done"
      end)
    ]], function(process)
      local warnings = process.stderr:read "a"
      assert.matches("^Lua warning: ResourceWarning: unclosed ProcessPool made at %S+:5\n$", warnings)
    end)
  end)

  it("end when the process of the pool is killed, whatever they do", function()
    with_script(BEGIN .. [[
      eddy.run(function()
        local pool = eddy.ProcessPool { workers = 2 }
        begin(pool)
        pool:submit(function() pcall(eddy.sleep, 1000) end)
        pool:submit(function() while true do end end):await()
      end)
    ]], function(process, line)
      eddy.sleep(0.1)
      process:kill()
      wait_gone(line)
    end)
  end)
end)
