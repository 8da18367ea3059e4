local eddy = require "eddy"
local fs = eddy.fs
local calls = require "spec.support.calls"
local ending = require "spec.support.ending"
local files = require "spec.support.files"

local names = files.names

-- A folder that the test removes.
local function folder() return files.folder(finally) end

local function failure(f, ...) return calls.raised_as(eddy.OSError, f, ...) end

local function octal(text) return tonumber(text, 8) end

local pipe = io.popen("id -u")
local root = pipe:read("n") == 0
pipe:close()

describe("eddy.fs.rename", function()
  it("moves, and replaces what is there", function()
    local dir = folder()
    fs.write_file(dir .. "/a", "a")
    fs.write_file(dir .. "/b", "b")
    fs.rename(dir .. "/a", dir .. "/b")
    assert.same({ "b:file" }, names(dir))
    assert.equal("a", fs.read_file(dir .. "/b"))
  end)

  it("raises with both paths", function()
    local err = failure(fs.rename, "/no/such", "/no/other")
    assert.same({ "ENOENT", "rename", "/no/such", "/no/other" }, { err.code, err.syscall, err.path, err.other_path })
  end)
end)

describe("eddy.fs.link and symlink", function()
  it("make names for one file", function()
    local dir = folder()
    fs.write_file(dir .. "/a", "a")
    fs.link(dir .. "/a", dir .. "/b")
    assert.equal(2, fs.stat(dir .. "/b").nlink)
    fs.symlink("a", dir .. "/c")
    fs.symlink(dir, dir .. "/d", { type = "directory" })
    assert.equal("a", fs.readlink(dir .. "/c"))
    assert.equal("a", fs.read_file(dir .. "/d/c"))
    assert.equal(fs.realpath(dir) .. "/a", fs.realpath(dir .. "/d/d/c"))
    assert.equal("EEXIST", failure(fs.link, dir .. "/a", dir .. "/b").code)
    assert.equal("EEXIST", failure(fs.symlink, "a", dir .. "/b").code)
    assert.equal("EINVAL", failure(fs.readlink, dir .. "/a").code)
    assert.equal("ENOENT", failure(fs.realpath, dir .. "/none").code)
    assert.error_matches(function() fs.symlink("a", "b", { type = "x" }) end, "bad argument #3 to 'symlink'")
  end)
end)

describe("eddy.fs.copy", function()
  it("copies contents, and permissions to a new file as cp does", function()
    local dir = folder()
    for _, size in ipairs { 0, 1, 100000, 20000000 } do
      local data = ("0123456789abcdef"):rep(size // 16) .. ("x"):rep(size % 16)
      fs.write_file(dir .. "/a", data)
      fs.write_file(dir .. "/b", ("old"):rep(100))
      fs.copy(dir .. "/a", dir .. "/b")
      assert.is_true(fs.read_file(dir .. "/b") == data)
    end
    for i, mode in ipairs { "640", "400", "777", "666", "6755", "4711", "2770", "1644" } do
      local copy, other, kept = dir .. "/copy" .. i, dir .. "/cp" .. i, dir .. "/kept" .. i
      fs.chmod(dir .. "/a", octal(mode))
      fs.write_file(kept, "old")
      fs.chmod(kept, octal "604")
      fs.copy(dir .. "/a", copy)
      fs.copy(dir .. "/a", kept)
      eddy.exec("cp", { dir .. "/a", other })
      assert.equal(fs.stat(other).mode, fs.stat(copy).mode, mode)
      assert.equal(0, fs.stat(copy).mode & octal "7000")
      assert.equal(octal "604", fs.stat(kept).mode)   -- a file that is there keeps its own
    end
  end)

  it("copies files that do not know their size", function()
    if not fs.exists("/proc/version") then pending("no /proc here") end
    local dir = folder()
    fs.copy("/proc/version", dir .. "/v")
    assert.equal(fs.read_file("/proc/version"), fs.read_file(dir .. "/v"))
  end)

  it("does not copy a file onto itself, a directory, a FIFO, or over what must not be there", function()
    local dir = folder()
    fs.write_file(dir .. "/a", "content")
    fs.symlink("a", dir .. "/l")
    fs.mkdir(dir .. "/d")
    assert(os.execute("mkfifo " .. dir .. "/p"))
    assert.equal("EEXIST", failure(fs.copy, dir .. "/a", dir .. "/l").code)
    assert.equal("EEXIST", failure(fs.copy, dir .. "/a", dir .. "/a").code)
    assert.equal("content", fs.read_file(dir .. "/a"))
    assert.equal("EISDIR", failure(fs.copy, dir .. "/d", dir .. "/x").code)
    assert.equal("EINVAL", failure(fs.copy, dir .. "/p", dir .. "/x").code)
    assert.equal("EISDIR", failure(fs.copy, dir .. "/a", dir .. "/d").code)
    assert.equal("EEXIST", failure(fs.copy, dir .. "/a", dir .. "/l", { exclusive = true }).code)
    local err = failure(fs.copy, dir .. "/none", dir .. "/x")
    assert.same({ "ENOENT", dir .. "/none", dir .. "/x" }, { err.code, err.path, err.other_path })
    assert.same({ "a:file", "d:directory", "l:link", "p:fifo" }, names(dir))
  end)

  it("leaves no half of a copy when it is cancelled", function()
    local dir = folder()
    fs.write_file(dir .. "/a", "")
    fs.truncate(dir .. "/a", 1 << 30)
    for _ = 1, 5 do
      local task = eddy.create_task(fs.copy, dir .. "/a", dir .. "/b")
      eddy.sleep(0.002)
      task:cancel()
      local done = pcall(task.await, task)
      if done then fs.remove(dir .. "/b") end
    end
    for _ = 1, 2000 do
      if #names(dir) == 1 then break end
      eddy.sleep(0.005)
    end
    assert.same({ "a:file" }, names(dir))
  end)
end)

describe("eddy.fs.chmod, chown, utime, truncate", function()
  it("set what stat tells", function()
    local path = folder() .. "/f"
    fs.write_file(path, "0123456789")
    fs.chmod(path, octal "4751")
    assert.equal(octal "4751", fs.stat(path).mode)
    fs.utime(path, 1.5, -2.25)
    local stat = fs.stat(path)
    assert.same({ 1.5, -2.25 }, { stat.atime, stat.mtime })
    fs.utime(path, 1000000000.75)
    stat = fs.stat(path)
    assert.equal(1000000000.75, stat.atime)
    assert.is_true(math.abs(stat.mtime - os.time()) < 100)
    fs.truncate(path, 4)
    assert.equal("0123", fs.read_file(path))
    fs.truncate(path)
    assert.equal("", fs.read_file(path))
    fs.chown(path, stat.uid, nil)
    fs.chown(path)
    if root then
      fs.chown(path, 12345, 54321)
      stat = fs.stat(path)
      assert.same({ 12345, 54321 }, { stat.uid, stat.gid })
    end
  end)

  it("check their arguments", function()
    for _, bad in ipairs { -1, 4096, 0.5, 1 << 40, math.huge } do
      assert.error_matches(function() fs.chmod("x", bad) end, "bad argument #2 to 'chmod'")
    end
    assert.error_matches(function() fs.chown("x", -1) end, "bad argument #2 to 'chown'")
    assert.error_matches(function() fs.chown("x", 0, 1 << 32) end, "bad argument #3 to 'chown'")
    assert.error_matches(function() fs.utime("x", 0 / 0) end, "bad argument #2 to 'utime'")
    assert.error_matches(function() fs.utime("x", 0, math.huge) end, "bad argument #3 to 'utime'")
    assert.error_matches(function() fs.truncate("x", -1) end, "bad argument #2 to 'truncate'")
    assert.equal("ENOENT", failure(fs.chmod, "/no/such", 0).code)
    assert.equal("EISDIR", failure(fs.truncate, folder(), 0).code)
  end)
end)

describe("eddy.fs.access", function()
  it("tells what may be done", function()
    local dir = folder()
    fs.write_file(dir .. "/f", "")
    assert.is_true(fs.access(dir .. "/f"))
    assert.is_true(fs.access(dir .. "/f", "rw"))
    fs.chmod(dir .. "/f", octal "444")
    assert.is_false(fs.access(dir .. "/f", "x"))
    assert.is_false(fs.access(dir .. "/g"))
    assert.is_false(fs.access(dir .. "/f/g", "r"))
    assert.is_true(fs.access(dir, "rwx"))
    assert.equal("ENAMETOOLONG", failure(fs.access, ("x"):rep(5000)).code)
    assert.error_matches(function() fs.access("x", "q") end, "bad argument #2 to 'access'")
  end)
end)

describe("eddy.fs.rmdir", function()
  it("removes empty directories alone", function()
    local dir = folder()
    fs.mkdir(dir .. "/d/e", { parents = true })
    assert.equal("ENOTEMPTY", failure(fs.rmdir, dir .. "/d").code)
    fs.rmdir(dir .. "/d/e")
    fs.rmdir(dir .. "/d")
    fs.write_file(dir .. "/f", "")
    assert.equal("ENOTDIR", failure(fs.rmdir, dir .. "/f").code)
  end)
end)

describe("eddy.fs.mkdtemp and mkstemp", function()
  it("make what was not there", function()
    local dir = folder()
    local path = fs.mkdtemp(dir .. "/d-XXXXXX")
    assert.equal(dir .. "/d-", path:sub(1, -7))
    assert.same({ "directory", octal "700" }, { fs.stat(path).type, fs.stat(path).mode })
    local file, name = fs.mkstemp(dir .. "/f-XXXXXX")
    assert.equal(dir .. "/f-", name:sub(1, -7))
    file:write("hello")
    file:seek("set")
    assert.equal("hello", file:read("a"))
    file:close()
    assert.equal("hello", fs.read_file(name))
    assert.equal(octal "600", fs.stat(name).mode)
    assert.error_matches(function() fs.mkdtemp("abc") end, "bad argument #1 to 'mkdtemp'")
    assert.error_matches(function() fs.mkstemp("abcXXXXX") end, "bad argument #1 to 'mkstemp'")
    assert.equal("ENOENT", failure(fs.mkstemp, dir .. "/none/XXXXXX").code)
  end)

  it("leave nothing behind when they are cancelled", function()
    local dir = folder()
    for turns = 0, 20 do
      for _, f in ipairs { fs.mkdtemp, fs.mkstemp } do
        local taken
        local task = eddy.create_task(function() taken = table.pack(f(dir .. "/XXXXXX")) end)
        for _ = 1, turns do eddy.sleep(turns > 10 and 0.0002 or 0) end
        task:cancel()
        pcall(task.await, task)
        if taken and taken.n == 2 then taken[1]:close() end
        if taken then fs.remove(taken[taken.n]) end
      end
    end
    for _ = 1, 2000 do
      if #names(dir) == 0 then break end
      eddy.sleep(0.001)
    end
    assert.same({}, names(dir))
  end)
end)

describe("eddy.fs.statfs", function()
  it("tells how much room there is", function()
    local s = fs.statfs("/")
    assert.is_true(s.blocks > 0 and s.bsize > 0 and s.bavail <= s.blocks)
    assert.equal("ENOENT", failure(fs.statfs, "/no/such").code)
  end)
end)

describe("eddy.fs.write_file with atomic", function()
  it("keeps owner and mode, and takes names of any length", function()
    local dir = folder()
    local path = dir .. "/" .. ("n"):rep(255)
    fs.write_file(path, "old", { mode = octal "604" })
    if root then fs.chown(path, 12345, 54321) end
    fs.write_file(path, "new", { atomic = true })
    local stat = fs.stat(path)
    assert.same({ "new", octal "604" }, { fs.read_file(path), stat.mode })
    if root then assert.same({ 12345, 54321 }, { stat.uid, stat.gid }) end
    assert.equal(1, #names(dir))
  end)

  it("replaces no device, FIFO or directory", function()
    local dir = folder()
    assert(os.execute("mkfifo " .. dir .. "/p"))
    fs.mkdir(dir .. "/d")
    assert.equal("EINVAL", failure(fs.write_file, dir .. "/p", "x", { atomic = true }).code)
    assert.equal("EISDIR", failure(fs.write_file, dir .. "/d", "x", { atomic = true }).code)
    assert.equal("EINVAL", failure(fs.write_file, "/dev/null", "x", { atomic = true }).code)
    assert.same({ "d:directory", "p:fifo" }, names(dir))
  end)

  it("leaves the old or the new, and nothing else, when it is cancelled", function()
    local dir = folder()
    local old, new = ("o"):rep(3000000), ("n"):rep(30000000)
    fs.write_file(dir .. "/f", old)
    for i = 1, 8 do
      local task = eddy.create_task(fs.write_file, dir .. "/f", new, { atomic = true })
      eddy.sleep(i * 0.001)
      task:cancel()
      pcall(task.await, task)
      local now = fs.read_file(dir .. "/f")
      assert.is_true(now == old or now == new)
    end
    for _ = 1, 2000 do
      if #names(dir) == 1 then break end
      eddy.sleep(0.005)
    end
    assert.same({ "f:file" }, names(dir))
  end)

  it("leaves the old where there is no room", function()
    if not root then pending("only root may mount") end
    local dir, other = folder(), folder()
    fs.write_file(other .. "/big", ("x"):rep(3000000))
    if not os.execute(("mount -t tmpfs -o size=1m tmpfs %s 2>/dev/null"):format(dir)) then pending("no mount here") end
    ending(finally, function() os.execute("umount " .. dir) end)
    fs.write_file(dir .. "/f", "old")
    for _, size in ipairs { 2000000, 1100000, 5000000 } do
      local err = failure(fs.write_file, dir .. "/f", ("x"):rep(size), { atomic = true })
      assert.same({ "ENOSPC", "write", dir .. "/f" }, { err.code, err.syscall, err.path })
      assert.equal("old", fs.read_file(dir .. "/f"))
      assert.same({ "f:file" }, names(dir))
    end
    assert.equal("ENOSPC", failure(fs.copy, other .. "/big", dir .. "/copy").code)
    assert.equal("ENOSPC", failure(fs.write_file, dir .. "/g", ("x"):rep(2000000)).code)
    fs.remove(dir .. "/g")
    local f = eddy.open(dir .. "/g", "w")
    local ok, err = true, nil
    for _ = 1, 40 do
      if ok then ok, err = pcall(f.write, f, ("x"):rep(50000)) end
    end
    assert.equal("ENOSPC", err.code)
    pcall(f.close, f)
    fs.remove(dir .. "/g")
    assert(os.execute("mount -o remount,ro " .. dir))
    assert.equal("EROFS", failure(fs.write_file, dir .. "/f", "x").code)
    assert.equal("EROFS", failure(fs.write_file, dir .. "/f", "x", { atomic = true }).code)
    assert.equal("EROFS", failure(fs.mkdir, dir .. "/d").code)
    assert.equal("EROFS", failure(eddy.open, dir .. "/f", "a").code)
    assert.is_false(fs.access(dir .. "/f", "w"))
    assert.is_true(fs.access(dir .. "/f", "r"))
  end)
end)

describe("eddy.fs", function()
  it("cuts no path off that is too long", function()
    local dir = folder()
    fs.write_file(dir .. "/x", "")
    local name, path = dir .. "/" .. ("x"):rep(256), dir .. ("/."):rep(2048) .. "/x"
    assert.is_true(#path > 4096)
    for _, long in ipairs { name, path } do
      for _, f in ipairs { eddy.open, fs.read_file, fs.stat, fs.lstat, fs.scandir, fs.rmdir, fs.remove, fs.readlink,
        fs.truncate, fs.statfs, fs.watch, fs.access, fs.chown } do
        assert.equal("ENAMETOOLONG", failure(f, long).code)
      end
      assert.equal("ENAMETOOLONG", failure(fs.write_file, long, "data").code)
      assert.equal("ENAMETOOLONG", failure(fs.write_file, long, "data", { atomic = true }).code)
      assert.equal("ENAMETOOLONG", failure(fs.remove, long, { recursive = true }).code)
      assert.equal("ENAMETOOLONG", failure(fs.mkdir, long, { parents = true }).code)
      assert.equal("ENAMETOOLONG", failure(fs.copy, dir .. "/x", long).code)
      assert.equal("ENAMETOOLONG", failure(fs.rename, dir .. "/x", long).code)
      assert.equal("ENAMETOOLONG", failure(fs.mkdtemp, long .. "XXXXXX").code)
    end
    assert.same({ "x:file" }, names(dir))
  end)

  it("checks the paths of all functions", function()
    local of_two = { rename = "x", link = "x", symlink = "x", copy = "x", readlink = nil }
    for _, name in ipairs { "rename", "link", "symlink", "copy", "readlink", "realpath", "chmod", "chown", "utime",
      "access", "truncate", "statfs", "rmdir", "mkdtemp", "mkstemp", "walk", "watch" } do
      local f = fs[name]
      assert.error_matches(function() f() end, "bad argument #1 .*string expected, got no value", nil, name)
      assert.error_matches(function() f("a\0b") end, "zero byte", nil, name)
      if of_two[name] then
        assert.error_matches(function() f("x", "a\0b") end, "bad argument #2 .*zero byte")
        assert.error_matches(function() f("x", {}) end, "bad argument #2")
      end
    end
  end)
end)
