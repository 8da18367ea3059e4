local eddy = require "eddy"
local fs = eddy.fs
local calls = require "spec.support.calls"
local files = require "spec.support.files"

local names = files.names

-- A folder that the test removes.
local function folder() return files.folder(finally) end

local function code(f, ...) return calls.raised_as(eddy.OSError, f, ...).code end

describe("eddy.fs.read_file", function()
  it("reads all of it", function()
    local path = folder() .. "/f"
    for _, size in ipairs { 0, 1, 16383, 16384, 16385, 100000, 3000000 } do
      local data = ("x"):rep(size)
      fs.write_file(path, data)
      assert.is_true(fs.read_file(path) == data)
    end
    fs.write_file(path, "a\0b")
    assert.equal("a\0b", fs.read_file(path))
  end)

  it("reads files that do not know their size", function()
    if not fs.exists("/proc/self/status") then pending("no /proc here") end
    assert.matches("Name:", fs.read_file("/proc/self/status"))
    assert.equal("", fs.read_file("/dev/null"))
  end)

  it("reads a FIFO to its end", function()
    local path = folder() .. "/fifo"
    assert(os.execute("mkfifo " .. path))
    local writer = io.popen(("(printf one; sleep 0.05; printf two) > %s"):format(path), "w")
    assert.equal("onetwo", fs.read_file(path))
    writer:close()
  end)

  it("reads 20,000 small files, many at once", function()
    local dir = folder()
    for i = 1, 200 do fs.write_file(dir .. "/" .. i, "content " .. i) end
    local list = {}
    for i = 1, 20000 do list[i] = i % 200 + 1 end
    local results = eddy.map(function(i) return fs.read_file(dir .. "/" .. i) end, list, { concurrency = 64 })
    for i = 1, 20000 do assert(results[i] == "content " .. list[i]) end
  end)

  it("raises OSError with the path", function()
    local dir = folder()
    local _, err = pcall(fs.read_file, dir .. "/none")
    assert.same({ "ENOENT", "open", dir .. "/none" }, { err.code, err.syscall, err.path })
    assert.equal("EISDIR", code(fs.read_file, dir))
  end)

  it("can be cancelled at any time", function()
    local path = folder() .. "/f"
    fs.write_file(path, ("x"):rep(1000000))
    local tasks = {}
    for i = 1, 50 do tasks[i] = eddy.create_task(fs.read_file, path) end
    eddy.sleep(0)
    for i = 1, 50 do tasks[i]:cancel() if i % 10 == 0 then eddy.sleep(0.001) end end
    for i = 1, 50 do pcall(tasks[i].await, tasks[i]) end
  end)
end)

describe("eddy.fs.write_file", function()
  it("creates, replaces and appends", function()
    local path = folder() .. "/f"
    fs.write_file(path, "long content")
    fs.write_file(path, "short")
    fs.write_file(path, " more", { append = true })
    assert.equal("short more", fs.read_file(path))
    fs.write_file(path, 12)
    assert.equal("12", fs.read_file(path))
  end)

  it("replaces at once with atomic, and keeps the mode", function()
    local dir = folder()
    local path = dir .. "/f"
    fs.write_file(path, "old", { mode = tonumber("600", 8) })
    assert.equal(tonumber("600", 8), fs.stat(path).mode)
    local ino = fs.stat(path).ino
    fs.write_file(path, "new", { atomic = true })
    assert.equal("new", fs.read_file(path))
    assert.equal(tonumber("600", 8), fs.stat(path).mode)
    assert.not_equal(ino, fs.stat(path).ino)
    fs.write_file(dir .. "/g", "new", { atomic = true, mode = tonumber("640", 8) })
    assert.equal(tonumber("640", 8), fs.stat(dir .. "/g").mode)
    assert.same({ "f:file", "g:file" }, names(dir))
  end)

  it("replaces what a link stands for, not the link", function()
    local dir = folder()
    fs.write_file(dir .. "/f", "old")
    assert(os.execute(("ln -s f %s/link"):format(dir)))
    fs.write_file(dir .. "/link", "new", { atomic = true })
    assert.equal("link", fs.lstat(dir .. "/link").type)
    assert.equal("new", fs.read_file(dir .. "/f"))
  end)

  it("leaves nothing behind when it fails", function()
    local dir = folder()
    fs.mkdir(dir .. "/d")
    assert.equal("ENOENT", code(fs.write_file, dir .. "/none/f", "x", { atomic = true }))
    assert.equal("EISDIR", code(fs.write_file, dir .. "/d", "x", { atomic = true }))
    assert.equal("EISDIR", code(fs.write_file, dir .. "/d", "x"))
    assert.same({ "d:directory" }, names(dir))
  end)

  it("keeps the data alive, whatever happens to the task", function()
    local dir = folder()
    for i = 1, 20 do
      local task = eddy.create_task(function() fs.write_file(dir .. "/" .. i, ("x"):rep(100000) .. i) end)
      eddy.sleep(0)
      task:cancel()
      pcall(task.await, task)
      task = nil -- luacheck: ignore
      collectgarbage()
    end
  end)

  it("checks its arguments", function()
    assert.error_matches(function() fs.write_file("x") end, "bad argument #2")
    assert.error_matches(function() fs.write_file("x", {}) end, "bad argument #2")
    local _, err = pcall(fs.write_file, "x", nil)
    assert.equal("bad argument #2 to 'write_file' (string expected, got nil)", err)
    assert.error_matches(function() fs.write_file("x\0", "") end, "zero byte")
    assert.error_matches(function() fs.write_file("x", "", { atomc = true }) end, "unknown option 'atomc'")
    assert.error_matches(function() fs.write_file("x", "", { atomic = 1 }) end, "boolean expected")
    assert.error_matches(function() fs.write_file("x", "", { mode = 65536 }) end, "out of range")
    assert.error_matches(function() fs.write_file("x", "", { atomic = true, append = true }) end, "exclude")
  end)
end)

describe("eddy.fs.stat", function()
  it("tells type, size, mode and times", function()
    local dir = folder()
    local before = os.time()
    fs.write_file(dir .. "/f", "12345")
    local stat = fs.stat(dir .. "/f")
    assert.same({ "file", 5 }, { stat.type, stat.size })
    assert.is_true(math.abs(stat.mtime - before) < 10)
    assert.equal("float", math.type(stat.mtime))
    assert.equal("directory", fs.stat(dir).type)
    assert.equal("char", fs.stat("/dev/null").type)
  end)

  it("follows links, lstat does not", function()
    local dir = folder()
    assert(os.execute(("ln -s %s %s/link"):format(dir, dir)))
    assert.equal("directory", fs.stat(dir .. "/link").type)
    assert.equal("link", fs.lstat(dir .. "/link").type)
  end)

  it("raises OSError", function()
    local _, err = pcall(fs.stat, "/no/such")
    assert.same({ "ENOENT", "stat", "/no/such" }, { err.code, err.syscall, err.path })
    assert.equal("ENOENT", code(fs.lstat, "/no/such"))
    assert.equal("ENOENT", code(fs.stat, ""))
  end)
end)

describe("eddy.fs.exists", function()
  it("is false for what is not there, also below a file", function()
    local dir = folder()
    fs.write_file(dir .. "/f", "")
    assert.is_true(fs.exists(dir .. "/f"))
    assert.is_false(fs.exists(dir .. "/g"))
    assert.is_false(fs.exists(dir .. "/f/g"))
    assert.equal("ENAMETOOLONG", code(fs.exists, ("x"):rep(5000)))
  end)
end)

describe("eddy.fs.scandir", function()
  it("iterates names with their types", function()
    local dir = folder()
    fs.write_file(dir .. "/f", "")
    fs.mkdir(dir .. "/d")
    assert(os.execute(("cd %s; ln -s none l; mkfifo p"):format(dir)))
    assert.same({ "d:directory", "f:file", "l:link", "p:fifo" }, names(dir))
    assert.same({}, names(dir .. "/d"))
  end)

  it("may be left early, or never begun", function()
    for name in fs.scandir("/") do
      if name ~= "" then break end
    end
    fs.scandir("/")
    local iterator = fs.scandir("/dev/..")
    while iterator() do end -- luacheck: ignore
    assert.is_nil(iterator())
  end)

  it("raises OSError", function()
    local dir = folder()
    fs.write_file(dir .. "/f", "")
    assert.equal("ENOENT", code(fs.scandir, dir .. "/g"))
    assert.equal("ENOTDIR", code(fs.scandir, dir .. "/f"))
  end)
end)

describe("eddy.fs.mkdir", function()
  it("makes one directory, or all that are missing", function()
    local dir = folder()
    fs.mkdir(dir .. "/a", { mode = tonumber("700", 8) })
    assert.equal(tonumber("700", 8), fs.stat(dir .. "/a").mode)
    assert.equal("EEXIST", code(fs.mkdir, dir .. "/a"))
    assert.equal("ENOENT", code(fs.mkdir, dir .. "/b/c"))
    fs.mkdir(dir .. "/b//c/d/", { parents = true })
    fs.mkdir(dir .. "/b/c/d", { parents = true })
    assert.equal("directory", fs.stat(dir .. "/b/c/d").type)
    fs.write_file(dir .. "/f", "")
    assert.equal("EEXIST", code(fs.mkdir, dir .. "/f", { parents = true }))
    assert.equal("ENOTDIR", code(fs.mkdir, dir .. "/f/g", { parents = true }))
    assert.equal("ENOENT", code(fs.mkdir, "", { parents = true }))
  end)
end)

describe("eddy.fs.remove", function()
  it("removes a file, a link, an empty directory", function()
    local dir = folder()
    fs.write_file(dir .. "/f", "")
    fs.mkdir(dir .. "/d")
    assert(os.execute(("ln -s d %s/l"):format(dir)))
    fs.remove(dir .. "/l")
    fs.remove(dir .. "/f")
    fs.remove(dir .. "/d")
    assert.same({}, names(dir))
    assert.equal("ENOENT", code(fs.remove, dir .. "/f"))
  end)

  it("does not remove a directory with something in it, unless it is told to", function()
    local dir = folder()
    fs.mkdir(dir .. "/d/e/f", { parents = true })
    fs.write_file(dir .. "/d/e/file", "")
    assert.equal("ENOTEMPTY", code(fs.remove, dir .. "/d"))
    fs.remove(dir .. "/d", { recursive = true })
    assert.same({}, names(dir))
    assert.equal("ENOENT", code(fs.remove, dir .. "/d", { recursive = true }))
  end)

  it("never follows links", function()
    local dir = folder()
    fs.mkdir(dir .. "/keep")
    fs.write_file(dir .. "/keep/f", "")
    fs.mkdir(dir .. "/d")
    assert(os.execute(("ln -s ../keep %s/d/link; ln -s keep %s/top"):format(dir, dir)))
    fs.remove(dir .. "/d", { recursive = true })
    fs.remove(dir .. "/top", { recursive = true })
    assert.same({ "keep:directory" }, names(dir))
    assert.same({ "f:file" }, names(dir .. "/keep"))
  end)
end)

describe("eddy.fs", function()
  it("checks its arguments", function()
    for _, name in ipairs { "read_file", "stat", "lstat", "exists", "scandir", "mkdir", "remove" } do
      assert.error_matches(function() fs[name]() end, "bad argument #1 .*string expected, got no value")
      assert.error_matches(function() fs[name]("a\0b") end, "zero byte")
      assert.error_matches(function() fs[name]({}) end, "string expected, got table")
    end
    assert.error_matches(function() fs.mkdir("x", { parent = true }) end, "unknown option 'parent'")
    assert.error_matches(function() fs.remove("x", { force = true }) end, "unknown option 'force'")
  end)

  it("waits for what it has started also on a virtual clock #virtual", function()
    assert.is_true(eddy.fs.exists("/"))
    assert.is_true(eddy.timeout(0.001, eddy.fs.exists, "/"))
  end)
end)

-- Once a folder is known to be near, small files are read and written in it on the loop.
describe("a file in a folder that is known", function()
  local function near(where)
    if not fs.exists(where) then pending("no " .. where) end
    local dir = files.folder(finally, where)
    fs.write_file(dir .. "/f", "first")
    assert.equal("first", fs.read_file(dir .. "/f"))
    return dir
  end

  for _, where in ipairs { "/tmp", "/dev/shm", "." } do
    it("is read and written as elsewhere, in " .. where, function()
      local dir = near(where)
      for _, size in ipairs { 0, 1, 4096, 65535, 65536, 65537, 200000 } do
        local data = ("x"):rep(size)
        fs.write_file(dir .. "/f", data)
        assert.is_true(fs.read_file(dir .. "/f") == data)
        fs.write_file(dir .. "/f", "more", { append = true })
        assert.is_true(fs.read_file(dir .. "/f") == data .. "more")
        local file <close> = eddy.open(dir .. "/f")
        assert.is_true(file:read("a") == data .. "more")
      end
      assert.equal("ENOENT", code(fs.read_file, dir .. "/none"))
      assert.equal("ENOENT", code(eddy.open, dir .. "/none"))
      fs.mkdir(dir .. "/d")
      assert.equal("EISDIR", code(fs.read_file, dir .. "/d"))
      assert.equal("EISDIR", code(eddy.open, dir .. "/d"))
      assert.equal("EISDIR", code(fs.write_file, dir .. "/d", "x"))
      fs.symlink("f", dir .. "/l")
      assert.equal(200004, #fs.read_file(dir .. "/l"))
      fs.symlink("/proc/self/status", dir .. "/p")
      if fs.exists("/proc/self/status") then assert.matches("Name:", fs.read_file(dir .. "/p")) end
    end)

    it("may be a FIFO all the same, in " .. where, function()
      local dir = near(where)
      assert(os.execute("mkfifo " .. dir .. "/p"))
      local reading = eddy.create_task(fs.read_file, dir .. "/p")
      fs.write_file(dir .. "/p", "through")
      assert.equal("through", reading:await())
      local opening = eddy.create_task(eddy.open, dir .. "/p")
      local w <close> = eddy.open(dir .. "/p", "w")
      local r <close> = opening:await()
      w:write("again\n"):flush()
      assert.equal("again", r:read("l"))
    end)

    it("starves nobody, and can be cancelled, in " .. where, function()
      local dir = near(where)
      local stop, turns = false, 0
      local others = eddy.create_task(function()
        while not stop do
          eddy.sleep(0)
          turns = turns + 1
        end
      end)
      for _ = 1, 1000 do fs.read_file(dir .. "/f") end
      stop = true
      others:await()
      assert.is_true(turns > 10)
      local tasks = {}
      for i = 1, 100 do
        tasks[i] = eddy.create_task(function()
          for _ = 1, 20 do
            fs.read_file(dir .. "/f")
            fs.write_file(dir .. "/" .. i, "x")
          end
        end)
      end
      eddy.sleep(0)
      for i = 1, 100, 2 do tasks[i]:cancel() end
      eddy.wait(tasks)
      for i = 2, 100, 2 do assert.equal("x", fs.read_file(dir .. "/" .. i)) end
    end)
  end
end)
