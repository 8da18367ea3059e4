local eddy = require "eddy"
local calls = require "spec.support.calls"
local fs = eddy.fs

-- FIFOs, devices: what may keep a reader waiting for ever, and must keep no thread and no end of a run.

-- The path of a new FIFO, in a folder that the test removes.
local function fifo()
  local dir = fs.mkdtemp("/tmp/eddy-fifo-XXXXXX")
  finally(function() fs.remove(dir, { recursive = true }) end)
  assert(os.execute("mkfifo " .. dir .. "/p"))
  return dir .. "/p"
end

local started = calls.started

-- The other end, in another process.
local function shell(text, ...)
  local process = assert(io.popen(text:format(...), "r"))
  return process
end

describe("a FIFO", function()
  it("is read as it comes, to its end", function()
    local path = fifo()
    local writer = shell("(printf 'one\\ntw'; sleep 0.05; printf 'o\\nthree') > %s", path)
    local f <close> = eddy.open(path)
    assert.same({ "one", "two", "three" }, { f:read("l"), f:read("l"), f:read("a") })
    assert.is_nil(f:read("l"))
    writer:close()
  end)

  it("waits for its first writer, and meanwhile can be cancelled", function()
    local path = fifo()
    local f <close> = eddy.open(path)
    local reader = started(f.read, f, "l")
    eddy.sleep(0.01)
    reader:cancel()
    assert.is_false((pcall(reader.await, reader)))
    reader = started(f.read, f, "l")
    local late = started(f.read, f, "L")
    eddy.sleep(0.01)
    assert.is_false(reader:done())
    local w = eddy.open(path, "w")
    w:write("hello\nand"):flush()
    assert.equal("hello", reader:await())
    w:write(" more\n"):close()
    assert.equal("and more\n", late:await())
    assert.equal("", f:read("a"))
  end)

  it("waits for a reader before it is opened to write, and meanwhile can be cancelled", function()
    local path = fifo()
    local opening = started(eddy.open, path, "w")
    eddy.sleep(0.03)
    assert.is_false(opening:done())
    opening:cancel()
    assert.is_false((pcall(opening.await, opening)))
    opening = started(eddy.open, path, "a")
    local r = eddy.open(path)
    local w = opening:await()
    local data = ("0123456789"):rep(50000)
    local all = started(r.read, r, "a")
    w:write("x", data):write("tail")
    w:close()
    assert.is_true(all:await() == "x" .. data .. "tail")
    r:close()
  end)

  it("gives the data that was written when its writer is cancelled", function()
    local path = fifo()
    local r = eddy.open(path)
    local w = eddy.open(path, "w")
    local writing = started(w.write, w, ("x"):rep(300000))
    eddy.sleep(0.01)
    assert.is_false(writing:done())
    writing:cancel()
    pcall(writing.await, writing)
    local reading = started(r.read, r, "a")
    w:close()
    local data = reading:await()
    assert.is_true(#data > 0 and #data < 300000)
    r:close()
  end)

  it("tells a writer that the reader has gone", function()
    local path = fifo()
    local r = eddy.open(path)
    local w = eddy.open(path, "w")
    r:close()
    w:write("x")
    local _, err = pcall(w.flush, w)
    assert.same({ "EPIPE", "write", path }, { err.code, err.syscall, err.path })
    pcall(w.close, w)
    assert.matches("closed", tostring(w))
  end)

  it("can be opened for both", function()
    local path = fifo()
    local f <close> = eddy.open(path, "r+")
    f:write("ping\n"):flush()
    assert.equal("ping", f:read("l"))
    local _, err = pcall(f.seek, f, "set", 0)
    assert.equal("ESPIPE", err.code)
  end)

  it("is closed under those who wait for it, and they are told", function()
    local path = fifo()
    local f = eddy.open(path, "r+")
    local first, second = started(f.read, f, "l"), started(f.read, f, "a")
    eddy.sleep(0.005)
    f:close()
    for _, task in ipairs { first, second } do
      local _, err = pcall(task.await, task)
      assert.is_true(eddy.is_error(err, eddy.RuntimeError))
      assert.matches("'read' on a closed file", err.message)
    end
    assert.error_matches(function() f:close() end, "'close' on a closed file")
    for turns = 0, 4 do
      f = eddy.open(path, "r+")
      first = eddy.create_task(f.read, f, "l")
      second = eddy.create_task(f.close, f)
      for _ = 1, turns do eddy.sleep(0) end
      first:cancel()
      pcall(first.await, first)
      second:await()
      assert.matches("closed", tostring(f))
    end
  end)

  it("is read and written whole", function()
    local path = fifo()
    local reading = started(fs.read_file, path)
    local data = ("abc"):rep(100000)
    fs.write_file(path, data)
    assert.is_true(reading:await() == data)
    local writing = started(fs.write_file, path, "late")
    eddy.sleep(0.02)
    assert.equal("late", fs.read_file(path))
    writing:await()
  end)

  it("keeps no thread from others", function()
    local path = fifo()
    local tasks = {}
    for i = 1, 12 do tasks[i] = started(i % 2 == 0 and fs.read_file or eddy.open, path, i % 2 == 1 and "w" or nil) end
    for i = 1, 3 do tasks[i]:cancel() end
    assert.is_true(eddy.timeout(2, fs.exists, "/"))
    for i = 1, 12 do tasks[i]:cancel() end
    eddy.wait(tasks)
    for i = 1, 12 do
      if not tasks[i]:cancelled() and tasks[i]:exception() == nil and i % 2 == 1 then tasks[i]:result():close() end
    end
  end)

  it("keeps no run from its end #plain", function()
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    local start = os.time()
    for _, f in ipairs {
      function() fs.read_file(path) end,
      function() fs.write_file(path, "x") end,
      function() eddy.open(path, "w") end,
      function()
        local file <close> = eddy.open(path)
        file:read("a")
      end,
      function()
        local r <close> = eddy.open(path, "r+")
        r:write(("x"):rep(1000000))
      end,
    } do
      eddy.run(function()
        eddy.create_task(f)
        eddy.sleep(0.03)
      end)
    end
    os.remove(path)
    assert.is_true(os.time() - start < 5)
  end)

  it("is closed in the background when the close of what nobody reads is cancelled", function()
    local path = fifo()
    local r = eddy.open(path)
    local w = eddy.open(path, "w")
    pcall(eddy.timeout, 0.01, w.write, w, ("x"):rep(200000))
    w:write("end")
    assert.is_false((pcall(eddy.timeout, 0.01, w.close, w)))
    assert.matches("closed", tostring(w))
    local data = r:read("a")
    assert.equal("end", data:sub(-3))
    r:close()
  end)
end)

describe("a device", function()
  it("is read and written", function()
    for _, path in ipairs { "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom" } do
      if not fs.exists(path) then pending("no " .. path) end
    end
    assert.equal("", fs.read_file("/dev/null"))
    fs.write_file("/dev/null", "x")
    local zero <close> = eddy.open("/dev/zero")
    assert.equal(("\0"):rep(200000), zero:read(200000))
    local random <close> = eddy.open("/dev/urandom")
    assert.equal(100000, #random:read(100000))
    local _, err = pcall(fs.write_file, "/dev/full", "x")
    assert.same({ "ENOSPC", "write", "/dev/full" }, { err.code, err.syscall, err.path })
  end)
end)

describe("what cannot be opened", function()
  it("says why", function()
    local long = "/tmp/" .. ("x"):rep(4096)
    for _, case in ipairs {
      { "EISDIR", "/tmp" }, { "ENOENT", "/no/such" }, { "ENOENT", "" }, { "ENAMETOOLONG", long },
      { "ENOTDIR", "/dev/null/x" },
    } do
      for _, f in ipairs { eddy.open, eddy.lines, fs.read_file } do
        local _, err = pcall(f, case[2])
        assert.same({ case[1], "open", case[2] }, { err.code, err.syscall, err.path })
      end
      local _, err = pcall(fs.write_file, case[2], "x")
      assert.equal(case[1], err.code)
    end
    local _, err = pcall(fs.stat, long)
    assert.equal("ENAMETOOLONG", err.code)
  end)
end)
