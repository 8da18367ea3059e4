-- stream:send_file, over every kind of stream.

local eddy = require "eddy"
local streams = require "spec.support.streams"

local paths = {}

-- A file with this text, which goes with the test. To be called before a pair is opened.
local function file(text)
  local path = os.tmpname()
  eddy.fs.write_file(path, text)
  paths[#paths + 1] = path
  return path
end

after_each(function()
  while #paths > 0 do os.remove(table.remove(paths)) end
end)

for kind in pairs(streams.kinds) do
  local LARGE = ("0123456789abcdef"):rep(streams.much(kind) // 64) -- four of them are more than the system takes

  describe(kind .. ": stream:send_file", function()
    -- The streams, and the path of a file with this text.
    local function open(text)
      local path = file(text)
      local near, far = streams.pair(finally, kind)
      return near, far, path
    end

    it("sends a file and returns how many bytes that were", function()
      local near, far, path = open "contents"
      assert.equal(8, far:send_file(path))
      far:close()
      assert.equal("contents", near:read("a"))
    end)

    it("sends a part of it, or what there is of that", function()
      local near, far, path = open "0123456789"
      assert.equal(4, far:send_file(path, 3, 4))
      assert.equal(2, far:send_file(path, 8, 100))
      assert.equal(0, far:send_file(path, 11))
      assert.equal(0, far:send_file(path, 0, 0))
      assert.equal(3, far:send_file(path, 7, nil))
      far:close()
      assert.equal("345689789", near:read("a"))
    end)

    it("comes behind what was written before, and before what is written after", function()
      local near, far, path = open(LARGE)
      local task = eddy.create_task(function()
        far:set_write_buffer_limits(64 << 20)
        far:write("head", LARGE)
        far:send_file(path)
        far:write("tail"):close()
      end)
      assert.is_true(near:read("a") == "head" .. LARGE .. LARGE .. "tail")
      task:await()
    end)

    it("lets others run while the reader is slow", function()
      local near, far, path = open(LARGE)
      local task = streams.started(far.send_file, far, path)
      eddy.sleep(0.01)
      assert.is_true(near:read_exactly(#LARGE) == LARGE)
      assert.equal(#LARGE, task:await())
    end)

    it("refuses what others write meanwhile, and a second file", function()
      local near, far, path = open(LARGE:rep(4))
      local task = streams.started(far.send_file, far, path)
      near:read(0) -- it has begun
      for _, call in ipairs { far.write, far.shutdown, function(s) return s:send_file(path) end } do
        local _, err = pcall(call, far)
        assert.is_true(eddy.is_error(err, eddy.RuntimeError))
        assert.matches("another task is sending a file", err.message)
      end
      assert.equal(4 * #LARGE, #near:read_exactly(4 * #LARGE))
      task:await()
      far:write("x"):close()
      assert.equal("x", near:read("a"))
    end)

    it("is cancelled where it is, and the stream can be written to", function()
      local near, far, path = open(LARGE:rep(4))
      local task = streams.started(far.send_file, far, path)
      near:read(0)
      task:cancel()
      assert.error(function() task:await() end)
      assert.is_true(task:cancelled())
      local closing = eddy.create_task(function() far:write("end"):close() end)
      local got = near:read("a")
      assert.equal("end", got:sub(-3))
      assert.is_true(#got < 4 * #LARGE)
      assert.is_true(LARGE:rep(4):sub(1, #got - 3) == got:sub(1, -4))
      closing:await()
    end)

    it("closes the file when it is cancelled or fails, not when it is collected", function()
      for _, how in ipairs { "cancel", "abort", "close" } do
        local near, far, path = open(LARGE:rep(4))
        collectgarbage("stop")
        local task = streams.started(far.send_file, far, path)
        near:read(0)
        if how == "cancel" then task:cancel() else far[how](far) end
        pcall(task.await, task)
        local is_open = os.execute(("ls -l /proc/$PPID/fd | grep -q %s"):format(path))
        collectgarbage("restart")
        assert.is_nil(is_open, how)
      end
    end)

    it("is cancelled while the file is opened", function()
      local near, far, path = open "contents"
      local task = streams.started(far.send_file, far, path)
      task:cancel()
      assert.error(function() task:await() end)
      far:write("x"):close()
      assert.equal("x", near:read("a"))
    end)

    it("ends where a file ends that has become shorter", function()
      local near, far, path = open(LARGE:rep(4))
      local task = streams.started(far.send_file, far, path)
      near:read(0)
      eddy.fs.write_file(path, "short")
      local got = eddy.create_task(near.read, near, "a")
      local sent = task:await()
      far:close()
      assert.is_true(sent < 4 * #LARGE)
      assert.equal(sent, #got:await())
    end)

    it("raises when the stream is closed under it", function()
      for _, how in ipairs { "close", "abort" } do
        local near, far, path = open(LARGE:rep(4))
        local task = streams.started(far.send_file, far, path)
        near:read(0)
        far[how](far)
        local _, err = pcall(task.await, task)
        assert.is_true(eddy.is_error(err, eddy.RuntimeError), tostring(err))
        assert.matches("'send_file' on a closed stream", err.message)
      end
    end)

    it("raises what the system says when the reader goes away", function()
      local near, far, path = open(LARGE:rep(4))
      local task = streams.started(far.send_file, far, path)
      near:read(0)
      near:abort()
      local _, err = pcall(task.await, task)
      assert.is_true(eddy.is_error(err, eddy.OSError), tostring(err))
      assert.equal("send", err.syscall)
      assert.error_matches(function() far:write("x") end, err.code)
      assert.error_matches(function() far:send_file(path) end, err.code)
    end)

    it("raises what the system says of the file, and the stream goes on", function()
      local near, far, path = open ""
      local _, err = pcall(far.send_file, far, path .. "/no")
      assert.same({ "ENOTDIR", path .. "/no" }, { err.code, err.path })
      _, err = pcall(far.send_file, far, "/")
      assert.equal("EISDIR", err.code)
      _, err = pcall(far.send_file, far, "/dev/zero")
      assert.equal("EINVAL", err.code)
      far:write("x"):close()
      assert.equal("x", near:read("a"))
    end)

    it("raises on a closed stream, and after shutdown", function()
      local _, far, path = open ""
      far:shutdown()
      assert.error_matches(function() far:send_file(path) end, "'send_file' ")
      far:close()
      assert.error_matches(function() far:send_file(path) end, "'send_file' on a closed stream")
    end)

    it("checks its arguments", function()
      local _, far = open ""
      assert.error_matches(function() far:send_file() end, "bad argument #1 to 'send_file' %(string expected")
      assert.error_matches(function() far:send_file("a\0b") end, "zero byte")
      assert.error_matches(function() far:send_file("/x", -1) end, "bad argument #2 to 'send_file'")
      assert.error_matches(function() far:send_file("/x", 0, -1) end, "bad argument #3 to 'send_file'")
      assert.error_matches(function() far:send_file("/x", 0.5) end, "bad argument #2 to 'send_file'")
      assert.error_matches(function() far:send_file("/x", "0") end, "bad argument #2 to 'send_file'")
    end)
  end)
end
