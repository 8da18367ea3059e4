local eddy = require "eddy"
local calls = require "spec.support.calls"

-- A path that does not exist, in a folder that the test removes.
local function scratch(content)
  local dir = os.tmpname()
  os.remove(dir)
  eddy.fs.mkdir(dir)
  finally(function() eddy.fs.remove(dir, { recursive = true }) end)
  local path = dir .. "/file"
  if content then eddy.fs.write_file(path, content) end
  return path, dir
end

local started = calls.started

describe("eddy.open", function()
  it("opens with Lua's modes", function()
    local path = scratch("one\ntwo\n")
    local f <close> = eddy.open(path)
    assert.equal("one", f:read())
    local a <close> = eddy.open(path, "ab")
    a:write("three\n"):flush()
    assert.same({ "two", "three", nil }, { f:read("l", "l", "l") })
    local w <close> = eddy.open(path, "w+")
    assert.equal(0, w:stat().size)
    w:write("xyz")
    assert.equal(1, w:seek("set", 1))
    assert.equal("yz", w:read("a"))
    local r <close> = eddy.open(path, "r+b")
    r:write("X")
    assert.equal("yz", r:read("a"))
  end)

  it("creates files for w and a, not for r", function()
    local path = scratch()
    local _, err = pcall(eddy.open, path)
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.same({ "ENOENT", "open", path }, { err.code, err.syscall, err.path })
    eddy.open(path, "a"):close()
    assert.is_true(eddy.fs.exists(path))
  end)

  it("refuses directories and what may not be read", function()
    local _, dir = scratch()
    local _, err = pcall(eddy.open, dir)
    assert.equal("EISDIR", err.code)
  end)

  it("checks its arguments", function()
    for _, mode in ipairs { "", "x", "rw", "r++", "b", "rbx", "+r" } do
      assert.error_matches(function() eddy.open("x", mode) end, "bad argument #2 to 'open' %(invalid mode%)")
    end
    assert.error_matches(function() eddy.open("a\0b") end, "zero byte")
    assert.error_matches(function() eddy.open() end, "string expected, got no value")
  end)

  it("leaves no descriptor open when it is cancelled at any time", function()
    local path = scratch("x")
    local function count()
      local n = 0
      for _ in eddy.fs.scandir("/proc/self/fd") do n = n + 1 end
      return n
    end
    if not eddy.fs.exists("/proc/self/fd") then pending("no /proc here") end
    local before = count()
    for turns = 0, 30 do
      local file
      local task = eddy.create_task(function() file = eddy.open(path) end)
      for _ = 1, turns do eddy.sleep(turns > 10 and 0.0002 or 0) end
      task:cancel()
      pcall(task.await, task)
      if file then file:close() end
    end
    eddy.sleep(0.02)
    assert.equal(before, count())
  end)
end)

describe("file:read", function()
  it("understands Lua's formats", function()
    local path = scratch("12 0x1F\nline\nrest\nof it")
    local f <close> = eddy.open(path)
    assert.same({ 12, 31, "\n" }, { f:read("n", "n", "L") })
    assert.equal("line\n", f:read("L"))
    assert.equal("", f:read(0))
    assert.equal("re", f:read(2))
    assert.equal("st\nof it", f:read("a"))
    assert.equal("", f:read("a"))
    assert.is_nil(f:read("l"))
    assert.is_nil(f:read(0))
    assert.is_nil(f:read(1))
  end)

  it("reads as Lua's own does, whatever the sizes", function()
    local lines = {}
    for i = 1, 5000 do lines[i] = ("x"):rep(i % 97) .. i end
    local path = scratch(table.concat(lines, "\n"))
    local mine <close> = eddy.open(path)
    local theirs <close> = assert(io.open(path))
    for i = 1, 400 do
      local format = ({ "l", "L", i * 7, 0, 70000 })[i % 5 + 1]
      assert.equal(theirs:read(format), mine:read(format))
      if i % 50 == 0 then
        theirs:seek("cur", -1000)
        mine:seek("cur", -1000)
        assert.equal(theirs:seek(), mine:seek())
      end
    end
  end)

  it("reads a count in full, across buffers", function()
    local path = scratch(("0123456789"):rep(30000))
    local f <close> = eddy.open(path)
    assert.equal(200000, #f:read(200000))
    assert.equal(100000, #f:read(200000))
    assert.is_nil(f:read(200000))
  end)

  it("sees what was added after the end", function()
    local path = scratch("one")
    local f <close> = eddy.open(path)
    assert.equal("one", f:read("a"))
    eddy.fs.write_file(path, "two", { append = true })
    assert.equal("two", f:read("a"))
  end)

  it("reads exactly, and until a separator", function()
    local path = scratch("abcdef;rest")
    local f <close> = eddy.open(path)
    assert.equal("abc", f:read_exactly(3))
    assert.equal("def;", f:read_until { ";", "\n" })
    local _, err = pcall(f.read_exactly, f, 10)
    assert.same({ "rest", 10 }, { err.partial, err.expected })
  end)

  it("serves tasks one after the other, and mixes nothing", function()
    local path = scratch(("a"):rep(100000) .. "\n" .. ("b"):rep(100000) .. "\n" .. ("c"):rep(100000))
    local f <close> = eddy.open(path)
    local read = function() return f:read("l") end
    local lines = eddy.gather(read, read, read, read)
    assert.same({ 100000, 100000, 100000 }, { #lines[1], #lines[2], #lines[3] })
    assert.equal("a", lines[1]:sub(1, 1))
    assert.equal("c", lines[3]:sub(-1))
    assert.is_nil(lines[4])
  end)

  it("loses nothing when it is cancelled", function()
    local path = scratch(("x"):rep(300000) .. "\nnext\n")
    local f <close> = eddy.open(path)
    for turns = 0, 5 do
      local task = started(f.read, f, "a")
      for _ = 1, turns do eddy.sleep(0.0001) end
      task:cancel()
      local ok = pcall(task.await, task)
      if ok then f:seek("set", 0) end
    end
    assert.equal(300000, #f:read("l"))
    assert.equal("next", f:read("l"))
  end)

  it("raises what the system says", function()
    local path = scratch("x")
    local f <close> = eddy.open(path, "w")
    local _, err = pcall(f.read, f)
    assert.same({ "EBADF", "read", path }, { err.code, err.syscall, err.path })
  end)
end)

describe("file:write", function()
  it("takes what streams take, and is seen after flush", function()
    local path = scratch()
    local f <close> = eddy.open(path, "w")
    assert.equal(f, f:write("a", 1, { "b", 2.5 }, "", {}))
    assert.equal("", eddy.fs.read_file(path))
    assert.equal(f, f:flush())
    assert.equal("a1b2.5", eddy.fs.read_file(path))
  end)

  it("writes long strings and many short ones in their order", function()
    local path = scratch()
    local f = eddy.open(path, "w")
    local expected = {}
    for i = 1, 2000 do
      local piece = i % 500 == 0 and ("y"):rep(100000) or ("line " .. i .. "\n"):rep(5)
      expected[i] = piece
      f:write(piece)
    end
    f:close()
    assert.is_true(eddy.fs.read_file(path) == table.concat(expected))
  end)

  it("writes where reading has got to", function()
    local path = scratch("hello world")
    local f <close> = eddy.open(path, "r+")
    assert.equal("hello", f:read(5))
    f:write("_")
    assert.equal("world", f:read("a"))
    f:flush()
    assert.equal("hello_world", eddy.fs.read_file(path))
  end)

  it("keeps writes of several tasks apart", function()
    local path = scratch()
    local f <close> = eddy.open(path, "w")
    local tasks = {}
    for i = 1, 8 do
      local piece = tostring(i):rep(100000)
      tasks[i] = function() f:write(piece) end
    end
    eddy.gather(tasks)
    f:flush()
    assert.equal(("1"):rep(100000) .. ("2"):rep(100000), eddy.fs.read_file(path):sub(1, 200000))
  end)

  it("raises when the disk is full, and at the close again what is still not written", function()
    if not eddy.fs.exists("/dev/full") then pending("no /dev/full here") end
    local f = eddy.open("/dev/full", "w")
    f:write("x")
    local _, err = pcall(f.flush, f)
    assert.same({ "ENOSPC", "write" }, { err.code, err.syscall })
    _, err = pcall(f.close, f)
    assert.equal("ENOSPC", err.code)
    assert.matches("closed", tostring(f))
  end)

  it("checks its arguments", function()
    local f <close> = eddy.open(scratch(), "w")
    for _, bad in ipairs { true, print, { true } } do
      assert.error_matches(function() f:write("x", bad) end, "bad argument #2 to 'write'")
    end
    assert.error_matches(function() f.write(io.stdout, "x") end, "File expected")
  end)
end)

describe("a file", function()
  it("seeks, is truncated and synced", function()
    local path = scratch("0123456789")
    local f <close> = eddy.open(path, "r+")
    assert.equal(10, f:seek("end"))
    assert.equal(7, f:seek("cur", -3))
    assert.equal("7", f:read(1))
    assert.equal(8, f:seek())
    f:truncate()
    assert.equal(8, f:stat().size)
    f:truncate(3):sync()
    assert.equal(3, f:stat().size)
    assert.equal("file", f:stat().type)
    local _, err = pcall(f.seek, f, "set", -1)
    assert.equal("EINVAL", err.code)
    assert.error_matches(function() f:truncate(-1) end, "negative")
    assert.error_matches(function() f:seek("middle") end, "invalid option")
    assert.error_matches(function() f.seek(f, "middle") end, "bad argument #2 to 'seek' %(invalid option 'middle'%)")
    assert.error_matches(function() f:seek("set", 0.5) end, "bad argument #2 to 'seek'")
  end)

  it("raises once it is closed", function()
    local f = eddy.open((scratch("x")))
    assert.is_true(f:close())
    for _, name in ipairs { "read", "write", "lines", "seek", "flush", "sync", "truncate", "stat", "close" } do
      local _, err = pcall(f[name], f)
      assert.is_true(eddy.is_error(err, eddy.RuntimeError), name)
      assert.matches("on a closed file", err.message)
    end
    assert.matches("^<File .*, closed>$", tostring(f))
  end)

  it("is closed by the end of a scope, also twice", function()
    local f
    do
      local scope <close> = eddy.open(scratch("x"), "r")
      f = scope
    end
    assert.matches("closed", tostring(f))
    do local _ <close> = f end
  end)

  it("is closed after those who came before", function()
    local f = eddy.open((scratch(("x"):rep(500000) .. "\n")))
    local first, second = started(f.read, f), started(f.close, f)
    local third = started(f.read, f)
    assert.equal(500000, #first:await())
    second:await()
    assert.error_matches(function() third:await() end, "closed file")
  end)

  it("is closed in any case when the close is cancelled", function()
    local path = scratch()
    local f = eddy.open(path, "w")
    f:write("data")
    local task = started(f.close, f)
    task:cancel()
    pcall(task.await, task)
    while eddy.fs.read_file(path) ~= "data" do eddy.sleep(0.001) end
    assert.matches("closed", tostring(f))
  end)
end)

describe("eddy.lines", function()
  it("iterates over the lines and closes the file at the end", function()
    local path = scratch("a\nb\nc")
    local list = {}
    local iterator, _, _, file = eddy.lines(path)
    for line in iterator do list[#list + 1] = line end
    assert.same({ "a", "b", "c" }, list)
    assert.matches("closed", tostring(file))
    assert.error_matches(iterator, "closed file")
  end)

  it("closes the file on break and on an error", function()
    local path = scratch("a\nb\nc")
    local file
    local function open()
      local iterator, a, b, f = eddy.lines(path, "L")
      file = f
      return iterator, a, b, f
    end
    for line in open() do
      if line == "a\n" then break end
    end
    assert.matches("closed", tostring(file))
    pcall(function() for _ in open() do error("x") end end)
    assert.matches("closed", tostring(file))
  end)

  it("takes formats and checks them", function()
    local sum = 0
    for a, b in eddy.lines((scratch("1 2\n3 4")), "n", "n") do sum = sum + a * b end
    assert.equal(14, sum)
    assert.error_matches(function() eddy.lines("x", "z") end, "invalid format")
    local _, err = pcall(eddy.lines, "/no/such/file")
    assert.equal("ENOENT", err.code)
  end)
end)
