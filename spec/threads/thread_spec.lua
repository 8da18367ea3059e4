-- eddy.thread: a thread of its own for one call.

local eddy = require "eddy"
local calls = require "spec.support.calls"

require("eddy.busted").timeout = 60

local raises = calls.raised_as

describe("eddy.thread", function()
  it("gives a Task with the results of the call", function()
    local task = eddy.thread(function(a) eddy.sleep(0.001) return a, "done" end, 5)
    assert.same({ 5, "done" }, { task:await() })
    assert.same({ 5, "done" }, { task:result() })
  end)

  it("runs any number of them side by side", function()
    local gate, begun, tasks = eddy.Channel(), eddy.Channel(20), {}
    for i = 1, 10 do
      tasks[i] = eddy.thread(function(g, b, n)
        b:send(n)
        return g:recv() * n
      end, gate, begun, i)
    end
    for _ = 1, 10 do begun:recv() end
    for _ = 1, 10 do gate:send(2) end
    local results = eddy.gather(tasks)
    for i = 1, 10 do assert.equal(2 * i, results[i]) end
  end)

  it("can be cancelled before it has begun and at any moment after", function()
    for i = 0, 20 do
      local task = eddy.thread(function() while true do end end)
      if i > 0 then eddy.sleep(i / 20000) end
      task:cancel()
      eddy.wait { task }
      assert.is_true(task:cancelled())
    end
  end)

  it("raises what the call raises", function()
    assert.has_error(function() eddy.thread(error, "boom", 0):await() end, "boom")
  end)

  it("needs a running loop #plain", function()
    raises(eddy.RuntimeError, function() eddy.thread(print) end)
  end)

  it("ends with its loop #plain", function()
    local before = eddy.time()
    eddy.run(function()
      for _ = 1, 4 do eddy.thread(function() while true do pcall(function() while true do end end) end end) end
      eddy.sleep(0.002)
    end)
    assert.is_true(eddy.time() - before < 5)
  end)

  it("is left behind in a C function that does not return #plain", function()
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    local _ <close> = assert(io.open(path, "r+"))   -- nothing comes in it; they read its end when it is closed
    local before = eddy.time()
    eddy.run(function()
      local begun = eddy.Channel()
      for _ = 1, 12 do
        eddy.thread(function()
          begun:send(true)
          io.open(path):read("l")
        end)
      end
      for _ = 1, 12 do begun:recv() end
    end)
    assert.is_true(eddy.time() - before < 8)   -- a second for all of them, not for each
  end)

  it("can be started and ended very often in the same memory", function()
    local function rss()
      local file = io.open("/proc/self/statm")
      if not file then return 0 end
      local pages = tonumber(file:read("a"):match("^%d+ (%d+)"))
      file:close()
      return pages * 4096
    end
    local rounds = tonumber(os.getenv("EDDY_DEEP_THREADS")) or 12
    local function round(n)
      local tasks = {}
      for i = 1, n do
        tasks[i] = eddy.thread(function(k)
          if k % 4 == 1 then error("one in four", 0) end
          while k % 4 == 2 do end
          return k
        end, i)
      end
      for i = 2, n, 4 do tasks[i]:cancel() end
      eddy.wait(tasks)
      for i = 1, n do pcall(tasks[i].result, tasks[i]) end
    end
    for _ = 1, rounds // 4 do round(8) end
    collectgarbage()
    local before = rss()
    for _ = 1, rounds do round(8) end
    collectgarbage()
    if not os.getenv "ASAN_OPTIONS" and not os.getenv "TSAN_OPTIONS" then
      assert.is_true(rss() - before < 16 << 20, "memory has grown by " .. rss() - before)
    end
  end)
end)
