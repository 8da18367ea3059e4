-- Stopping a call in another thread.

local eddy = require "eddy"
local calls = require "spec.support.calls"

require("eddy.busted").timeout = 60

local raises = calls.raised_as

-- Starts f(channel, ...) in a thread and cancels it when it has sent something. Returns what the await raised, how
-- long that took and the channel.
local function cancel_when_begun(f, ...)
  local channel = eddy.Channel(16)
  local task = eddy.create_task(eddy.to_thread, f, channel, ...)
  channel:recv()
  local before = eddy.time()
  task:cancel("enough")
  local err = calls.raised(eddy.await, task)
  return err, eddy.time() - before, channel
end

local function assert_cancelled(err)
  assert.is_true(eddy.is_error(err, eddy.CancelledError))
  assert.equal("enough", err.message)
end

describe("a call in a thread that is cancelled", function()
  it("ends at its next instructions", function()
    local err, seconds = cancel_when_begun(function(ch)
      ch:send("begun")
      while true do end
    end)
    assert_cancelled(err)
    assert.is_true(seconds < 1)
  end)

  it("ends through pcall and xpcall", function()
    local err = cancel_when_begun(function(ch)
      ch:send("begun")
      while true do
        pcall(function() xpcall(function() while true do end end, tostring) end)
      end
    end)
    assert_cancelled(err)
  end)

  it("ends through coroutines that catch it", function()
    local err = cancel_when_begun(function(ch)
      ch:send("begun")
      while true do
        coroutine.resume(coroutine.create(function() for _ = 1, 1e5 do end end))
      end
    end)
    assert_cancelled(err)
  end)

  it("runs its <close> handlers before the caller goes on", function()
    local err, _, channel = cancel_when_begun(function(ch)
      local _ <close> = setmetatable({}, { __close = function(_, e)
        for _ = 1, 1e5 do end
        ch:send(eddy.is_error(e, eddy.CancelledError) and "closed" or "?")
      end })
      ch:send("begun")
      while true do end
    end)
    assert_cancelled(err)
    assert.equal("closed", channel:try_recv())
  end)

  it("ends where it waits, and may wait while it unwinds", function()
    local err, _, channel = cancel_when_begun(function(ch)
      local _ <close> = setmetatable({}, { __close = function()
        eddy.sleep(0.002)
        ch:send("closed")
      end })
      ch:send("begun")
      eddy.sleep(1000)
    end)
    assert_cancelled(err)
    assert.equal("closed", channel:try_recv())
  end)

  it("ends in all tasks that it waits for", function()
    local err, _, channel = cancel_when_begun(function(ch)
      eddy.gather(function()
        local _ <close> = setmetatable({}, { __close = function() ch:send("first") end })
        eddy.sleep(1000)
      end, function()
        local _ <close> = setmetatable({}, { __close = function() ch:send("second") end })
        ch:send("begun")
        while true do end
      end)
    end)
    assert_cancelled(err)
    local seen = { channel:try_recv(), channel:try_recv() }
    table.sort(seen)
    assert.same({ "first", "second" }, seen)
  end)

  it("is not waited for in a C function that never looks", function()
    local err, seconds = cancel_when_begun(function(ch)
      ch:send("begun")
      os.execute("sleep 0.6")
      return "dropped"
    end)
    assert_cancelled(err)
    assert.is_true(seconds < 0.5)
    assert.equal(1, eddy.to_thread(function() return 1 end))
  end)

  it("is not waited for in a C function when time is virtual #virtual", function()
    local loop = eddy.get_running_loop()
    local before, began = loop:time(), os.time()
    local err = cancel_when_begun(function(ch)
      ch:send("begun")
      os.execute "exec sleep 4 >/dev/null 2>&1 </dev/null"
    end)
    assert_cancelled(err)
    assert.is_true(os.time() - began < 4)
    assert.is_true(loop:time() - before < 1)
    local pool <close> = eddy.ThreadPool { workers = 1 }
    before = loop:time()
    assert.equal(1, eddy.run_in_executor(pool, function() eddy.sleep(0.02) return 1 end))
    assert.equal(before, loop:time())              -- nobody is told to stop any more: it stands still
    eddy.to_thread(function() end)
  end)

  it("has its time to unwind although a call before it in its thread was stopped, too", function()
    local pool <close> = eddy.ThreadPool { workers = 1 }
    local channel = eddy.Channel(4)
    local function compute(ch)
      local _ <close> = setmetatable({}, { __close = function()
        local n = 0
        for _ = 1, 2e6 do n = n + 1 end
        ch:send "unwound"
      end })
      ch:send "begun"
      while true do end
    end
    local first = pool:submit(compute, channel)
    local second = pool:submit(compute, channel)
    channel:recv()
    first:cancel()
    for _, expected in ipairs { "unwound", "begun" } do assert.equal(expected, channel:recv()) end
    eddy.sleep(1.3)                                -- the loop of the thread does not turn meanwhile
    second:cancel()
    eddy.wait { first, second }
    assert.equal("unwound", (channel:try_recv()))
  end)

  it("raises the error that it raises meanwhile", function()
    local err = cancel_when_begun(function(ch)
      local _ <close> = setmetatable({}, { __close = function() error("cannot close", 0) end })
      ch:send("begun")
      while true do end
    end)
    assert.equal("cannot close", err)
  end)

  it("never begins when it still waits for a worker", function()
    local pool <close> = eddy.ThreadPool { workers = 1 }
    local gate, channel = eddy.Channel(), eddy.Channel(1)
    local first = pool:submit(function(g) g:recv() end, gate)
    local second = pool:submit(function(ch) ch:send("ran") end, channel)
    local third = eddy.create_task(eddy.run_in_executor, pool, function(ch) ch:send("ran") end, channel)
    eddy.sleep(0)
    second:cancel()
    third:cancel()
    eddy.wait { second, third }
    gate:send(true)
    first:await()
    pool:submit(function() end):await()
    assert.same({ true, true }, { second:cancelled(), third:cancelled() })
    assert.is_nil(channel:try_recv())
  end)

  it("is stopped by a timeout", function()
    raises(eddy.TimeoutError, function()
      eddy.wait_for(function() eddy.to_thread(function() while true do end end) end, 0.01)
    end)
    assert.equal(1, eddy.to_thread(function() return 1 end))
  end)

  it("leaves the worker as it was, at whatever instruction it was stopped", function()
    local pool <close> = eddy.ThreadPool { workers = 1 }
    local function work(n)
      local list = {}
      for i = 1, n do
        local _ <close> = setmetatable({}, { __close = function() list[#list] = nil end })
        list[#list + 1] = ("x"):rep(i % 50)
        local ok = pcall(function()
          return coroutine.wrap(function() return table.concat(list, ",", 1, #list) end)()
        end)
        assert(ok)
      end
      return n
    end
    local rng = 12345
    for _ = 1, tonumber(os.getenv("EDDY_DEEP_STOPS")) or 15 do
      rng = (rng * 1103515245 + 12345) % 2147483648
      local task = pool:submit(work, 1e7)
      eddy.sleep(rng % 1000 / 1e6)
      task:cancel()
      eddy.wait { task }
      assert.is_true(task:cancelled())
    end
    assert.equal(10, pool:submit(work, 10):await())
  end)
end)

-- A call that waits in a pool with one worker, whose <close> handler is f(channel). Cancels it, and returns the pool,
-- the task, the channel.
local function cancel_into(f)
  local pool, channel = eddy.ThreadPool { workers = 1 }, eddy.Channel(4)
  local task = pool:submit(function(handler, ch)
    local _ <close> = setmetatable({}, { __close = function() handler(ch) end })
    ch:send("begun")
    eddy.sleep(1000)
  end, f, channel)
  channel:recv()
  eddy.sleep(0)                                  -- the task waits for its call now
  task:cancel("enough")
  return pool, task, channel
end

local function assert_stopped(seconds, f)
  local pool <close>, task = cancel_into(f)
  local before = eddy.time()
  local err = calls.raised(eddy.wait_for, task, 20)
  assert_cancelled(err)
  local took = eddy.time() - before
  assert.is_true(took > 0.9 * seconds and took < seconds + 4, took)
  assert.equal(1, pool:submit(function() return 1 end):await())
end

describe("a cancelled call that goes on", function()
  it("is stopped again in a <close> handler that computes for a second", function()
    assert_stopped(1, function() while true do end end)
  end)

  it("is stopped again in a handler that catches all errors", function()
    assert_stopped(1, function() while true do pcall(function() while true do end end) end end)
  end)

  it("is stopped again in a task of its, and in a coroutine", function()
    assert_stopped(1, function()
      eddy.gather(function()
        coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()
      end)
    end)
  end)

  it("is stopped again in and between the waits of a handler that takes five seconds", function()
    eddy.gather(function()
      assert_stopped(5, function() while true do pcall(eddy.sleep, 0.001) end end)
    end, function()
      assert_stopped(5, function() eddy.sleep(1000) end)
    end, function()
      assert_stopped(5, function()
        eddy.gather(function() pcall(eddy.sleep, 1000) end, function() eddy.sleep(1000) end)
      end)
    end)
  end)

  it("is left to wait in a handler for more than a second", function()
    local pool, task, channel = cancel_into(function(ch)
      eddy.sleep(1.2)
      ch:send("closed")
    end)
    finally(function() pool:close() end)
    assert_cancelled(select(2, pcall(task.await, task)))
    assert.equal("closed", channel:try_recv())
  end)

  it("is cancelled once more in a wait when its task is", function()
    local pool <close>, task, channel = cancel_into(function(ch)
      ch:send("waits")
      eddy.sleep(1000)
    end)
    assert.equal("waits", channel:recv())
    task:cancel()
    assert.is_true(eddy.is_error(select(2, pcall(task.await, task)), eddy.CancelledError))
    assert.equal(1, eddy.wait_for(pool:submit(function() return 1 end), 20))
  end)

  it("is not waited for in a C function of a handler", function()
    local pool, task = cancel_into(function() os.execute("sleep 2.5") end)
    finally(function() pool:close() end)
    local before = eddy.time()
    assert_cancelled(select(2, pcall(task.await, task)))
    assert.is_true(eddy.time() - before < 2.4)
  end)
end)

describe("cancelling inside a thread", function()
  it("is the thread's own affair", function()
    assert.equal("caught", eddy.to_thread(function()
      local task = eddy.create_task(eddy.sleep, 10)
      eddy.sleep(0)
      task:cancel()
      local ok, err = pcall(eddy.await, task)
      return not ok and eddy.is_error(err, eddy.CancelledError) and "caught"
    end))
  end)

  it("arrives as CancelledError when the call cancels itself", function()
    local ok, err = pcall(eddy.to_thread, function()
      eddy.current_task():cancel("by itself")
      eddy.sleep(0)
    end)
    assert.is_false(ok)
    assert.is_true(eddy.is_error(err, eddy.CancelledError))
    assert.equal("by itself", err.message)
    assert.equal(1, eddy.to_thread(function() eddy.sleep(0) return 1 end))
  end)
end)
