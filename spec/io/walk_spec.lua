local eddy = require "eddy"
local calls = require "spec.support.calls"
local support = require "spec.support.files"
local fs = eddy.fs

-- In memory, where that can be: a disk takes milliseconds to remove a directory.
local base = os.rename("/dev/shm", "/dev/shm") and "/dev/shm" or "/tmp"

-- A folder that the test removes.
local function folder() return support.folder(finally, base) end

local function tree()
  local dir = folder()
  for _, name in ipairs { "a/x/deep", "a/y", "b", "c" } do fs.mkdir(dir .. "/" .. name, { parents = true }) end
  for _, name in ipairs { "1", "a/2", "a/x/3", "a/x/deep/4", "b/5" } do fs.write_file(dir .. "/" .. name, name) end
  fs.symlink("a", dir .. "/link")
  fs.symlink("1", dir .. "/c/link")
  return dir
end

-- "dir: dirs | files" for each step, sorted within a step.
local function steps(dir, options, edit)
  local list = {}
  for path, dirs, files in fs.walk(dir, options) do
    table.sort(dirs)
    table.sort(files)
    list[#list + 1] = ("%s: %s | %s"):format(path:sub(#dir + 1), table.concat(dirs, " "), table.concat(files, " "))
    if edit then edit(dirs, path) end
  end
  return list
end

local count_open = support.count_open

-- A chain of so many directories, each with a file, deeper than a path can be long.
local function chain(dir, depth)
  local script = [[
import os, sys
os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
    open('file', 'w').close()
    os.mkdir('directory')
    os.chdir('directory')
]]
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(script)
  f:close()
  assert(os.execute(("python3 %s %s %d"):format(path, dir, depth)))
  os.remove(path)
end

describe("eddy.fs.walk", function()
  it("goes through a tree from the top down", function()
    assert.same({
      ": a b c link | 1",
      "/a: x y | 2",
      "/a/x: deep | 3",
      "/a/x/deep:  | 4",
      "/a/y:  | ",
      "/b:  | 5",
      "/c:  | link",
    }, steps(tree()))
  end)

  it("goes where the loop's body lets it go", function()
    local dir = tree()
    assert.same({ ": a b c link | 1", "/b:  | 5", "/a: x y | 2" }, steps(dir, nil, function(dirs, path)
      if path == dir then
        dirs[1], dirs[2], dirs[3], dirs[4] = "b", "a", nil, nil
      else
        for i = #dirs, 1, -1 do dirs[i] = nil end
      end
    end))
    assert.same({ ": a b c link | 1" }, steps(dir, nil, function(dirs)
      for i = #dirs, 1, -1 do dirs[i] = nil end
      dirs[1], dirs[2] = true, "none"
    end))
    assert.error_matches(function()
      steps(dir, nil, function(dirs) dirs[1] = "../" end)
    end, "EXDEV")
  end)

  it("follows links if it is told to, but not for ever", function()
    local dir = tree()
    local with = steps(dir, { follow = true })
    assert.equal("/link: x y | 2", with[8])
    fs.symlink("..", dir .. "/b/up")
    local n = 0
    for _ in fs.walk(dir, { follow = true }) do n = n + 1 end
    assert.is_true(n > 100)
  end)

  it("takes the path as it is given", function()
    local dir = tree()
    local first = fs.walk(dir .. "/")
    assert.equal(dir .. "/", (first()))
    assert.equal(dir .. "/" .. "a", (function()
      for path in first do
        if path == dir .. "/a" then return path end
      end
    end)())
    first:close()
    assert.is_nil(first())
  end)

  it("raises for the top, passes over what has gone, tells of what cannot be read", function()
    local dir = tree()
    local _, err = pcall(fs.walk, dir .. "/none")
    assert.same({ "ENOENT", "open", dir .. "/none" }, { err.code, err.syscall, err.path })
    _, err = pcall(fs.walk, dir .. "/1")
    assert.equal("ENOTDIR", err.code)
    assert.same({ ": a b c link | 1", "/b:  | 5", "/c:  | link" }, steps(dir, nil, function(_, path)
      if path == dir then fs.remove(dir .. "/a", { recursive = true }) end
    end))
    assert.error_matches(function() fs.walk(dir, { on_error = 1 }) end, "on_error.*function expected")
    assert.error_matches(function() fs.walk(dir, { folow = true }) end, "unknown option 'folow'")
    fs.mkdir(dir .. "/long")
    local errors = {}
    local function note(e)
      eddy.sleep(0)
      errors[#errors + 1] = e.code .. " " .. e.path:sub(-3)
    end
    local function too_long(dirs, path)
      for i = #dirs, 1, -1 do dirs[i] = nil end
      if path == dir then dirs[1], dirs[2] = ("n"):rep(300), "b" end
    end
    assert.same({ ": b c long | 1 link", "/b:  | 5" }, steps(dir, { on_error = note }, too_long))
    assert.same({ "ENAMETOOLONG nnn" }, errors)
    assert.same({}, steps(dir .. "/none", { on_error = note }))
    assert.equal("ENOENT one", errors[2])
    assert.error_matches(function() steps(dir, nil, too_long) end, "ENAMETOOLONG")
  end)

  it("keeps no descriptor, however it ends", function()
    if not fs.exists("/proc/self/fd") then pending("no /proc here") end
    local dir = tree()
    collectgarbage()
    local before = count_open()
    for _ in fs.walk(dir) do break end -- luacheck: ignore
    pcall(function() for _ in fs.walk(dir) do error("x") end end)
    for _ in fs.walk(dir) do end -- luacheck: ignore
    local walk = fs.walk(dir)
    walk()
    walk = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    for turns = 0, 20 do
      local task = eddy.create_task(function() for _ in fs.walk(dir) do eddy.sleep(0) end end)
      for _ = 1, turns do eddy.sleep(turns > 10 and 0.0002 or 0) end
      task:cancel()
      pcall(task.await, task)
    end
    for _ = 1, 1000 do
      if count_open() == before then break end
      eddy.sleep(0.001)
    end
    assert.equal(before, count_open())
  end)

  it("loses no directory when a step is cancelled", function()
    local dir = tree()
    local walk, list = fs.walk(dir), {}
    while true do
      local path
      local task = eddy.create_task(function() path = walk() end)
      if #list % 2 == 0 then
        eddy.sleep(0)
        task:cancel()
      end
      if pcall(task.await, task) then
        if not path then break end
        list[#list + 1] = path
      else
        path = walk()
        if not path then break end
        list[#list + 1] = path
      end
    end
    assert.equal(7, #list)
  end)

  it("is one task's at a time", function()
    local walk = fs.walk(tree())
    local first = eddy.create_task(function() return walk() end)
    eddy.sleep(0)
    local ok, err = pcall(walk)
    if not ok then assert.is_true(eddy.is_error(err, eddy.RuntimeError)) end
    first:await()
    walk:close()
  end)

  it("goes deeper than a path can be long", function()
    local dir = folder()
    chain(dir, 1500)
    local n, deepest = 0, ""
    for path, _, files in fs.walk(dir) do
      n = n + #files
      deepest = path
    end
    assert.equal(1500, n)
    assert.equal(#dir + 1500 * 10, #deepest)
  end)
end)

describe("eddy.fs.remove with recursive", function()
  it("removes trees deeper than a path can be long", function()
    local dir = folder()
    fs.mkdir(dir .. "/top")
    chain(dir .. "/top", 3000)
    local before = fs.exists("/proc/self/fd") and count_open()
    fs.remove(dir .. "/top", { recursive = true })
    assert.is_false(fs.exists(dir .. "/top"))
    if before then assert.equal(before, count_open()) end
  end)

  it("removes wide trees, with branches on all levels", function()
    local dir = folder()
    for i = 1, 60 do
      local path = dir .. "/top"
      for level = 1, i do path = path .. "/" .. level end
      fs.mkdir(path, { parents = true })
      for j = 1, 30 do fs.write_file(path .. "/file" .. j, "") end
    end
    for i = 1, 2500 do fs.write_file(dir .. "/top/1/f" .. i, "") end
    fs.remove(dir .. "/top/", { recursive = true })
    assert.is_false(fs.exists(dir .. "/top"))
  end)

  it("refuses the folder it stands in, and the root", function()
    for path, code in pairs { ["."] = "EINVAL", ["./"] = "EINVAL", [".."] = "EINVAL", ["/tmp/.."] = "EINVAL",
      ["/"] = "EBUSY", ["//"] = "EBUSY", [""] = "ENOENT" } do
      local err = calls.raised(fs.remove, path, { recursive = true })
      assert.equal(code, err.code, path)
    end
  end)

  it("does not follow a link with a slash behind it", function()
    local dir = folder()
    fs.mkdir(dir .. "/keep")
    fs.write_file(dir .. "/keep/f", "")
    fs.symlink("keep", dir .. "/link")
    pcall(fs.remove, dir .. "/link/", { recursive = true })
    assert.is_true(fs.exists(dir .. "/keep/f"))
  end)

  it("stops when it is cancelled", function()
    local dir = folder()
    fs.mkdir(dir .. "/top")
    chain(dir .. "/top", 2000)
    local task = eddy.create_task(fs.remove, dir .. "/top", { recursive = true })
    eddy.sleep(0.001)
    task:cancel()
    pcall(task.await, task)
  end)

  it("removes the top where it has found it, though its path leads elsewhere by then", function()
    local dir = folder()
    fs.mkdir(dir .. "/a/top", { parents = true })
    fs.mkdir(dir .. "/other/top", { parents = true })   -- empty
    for i = 1, 20000 do assert(io.open(dir .. "/a/top/f" .. i, "w")):close() end
    fs.utime(dir .. "/a/top", 1, 1)
    local task = eddy.create_task(fs.remove, dir .. "/a/top", { recursive = true })
    while fs.stat(dir .. "/a/top").mtime == 1 do eddy.sleep(0) end   -- the first file is gone
    assert(os.rename(dir .. "/a", dir .. "/away"))
    fs.symlink("other", dir .. "/a")
    assert.is_false(task:done())
    task:await()
    assert.is_true(fs.exists(dir .. "/other/top"))
    assert.is_false(fs.exists(dir .. "/away/top"))
  end)

  it("never follows a link that is put in the way of it", function()
    if not os.execute("python3 -c '' 2>/dev/null") then pending("no python3 here") end
    local dir = folder()
    fs.mkdir(dir .. "/keep/sub", { parents = true })
    for i = 1, 20 do
      fs.write_file(dir .. "/keep/f" .. i, "")
      fs.write_file(dir .. "/keep/sub/f" .. i, "")
    end
    local script = dir .. "/swap.py"
    fs.write_file(script, [[
import os, sys, time
os.chdir(sys.argv[1])
end = time.time() + float(sys.argv[2])
while time.time() < end:
    for name in ('d1', 'd2', 'd3', 'd1/e', 'd2/e'):
        try: os.rename('top/' + name, 'away'); os.symlink(sys.argv[1] + '/keep', 'top/' + name)
        except OSError: pass
        try: os.unlink('top/' + name)
        except OSError: pass
        try: os.rename('away', 'top/' + name)
        except OSError: os.system('rm -rf away')
]])
    local swapper = assert(io.popen(("python3 %s %s 1.5"):format(script, dir)))
    local rounds, until_ = 0, eddy.time() + 1.4
    while eddy.time() < until_ do
      for _, d in ipairs { "d1/e/g", "d2/e/g", "d3" } do pcall(fs.mkdir, dir .. "/top/" .. d, { parents = true }) end
      for i = 1, 5 do pcall(fs.write_file, dir .. "/top/d1/e/x" .. i, "") end
      eddy.gather(function()
        pcall(function() for _ in fs.walk(dir .. "/top") do end end) -- luacheck: ignore
      end, function()
        pcall(fs.remove, dir .. "/top", { recursive = true })
      end)
      rounds = rounds + 1
    end
    swapper:close()
    assert.is_true(rounds > 3)
    local n = 0
    for _, _, files in fs.walk(dir .. "/keep") do n = n + #files end
    assert.is_true(n >= 40, ("%d of 40 files are left"):format(n))
  end)
end)
