-- System calls that fail, one after the other: strace makes them. In a process of their own.

local eddy = require "eddy"
local fs = eddy.fs

require("eddy.busted").timeout = 60

local root = os.getenv("EDDY_ROOT") or "."
local command = os.getenv("EDDY") or root .. "/build/release/eddy"
local here = io.popen("strace -f -e trace=none true 2>&1")
here:read("a")
local can_trace = here:close() == true

-- Runs a script while the n-th `call` fails with `code`. Returns what it prints.
local function run(script, call, code, n)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  local pipe = assert(io.popen(
    ("ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o /dev/null -e trace=%s -e inject=%s:error=%s:when=%d '%s' %s 2>&1")
    :format(call, call, code, n, command, path)))
  local output = pipe:read("a")
  pipe:close()
  os.remove(path)
  return output
end

local function names(dir)
  local list = {}
  for name in fs.scandir(dir) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, " ")
end

-- How many such calls a script makes before it says "begin": they are not meant.
local SCRIPT = [[
local ok, err = pcall(function()
  %s
end)
io.stdout:write("result ", ok and "done" or tostring(err.code or err) .. " in " .. tostring(err.syscall), "\n")
]]

describe("an atomic write", function()
  for _, case in ipairs {
    { "fsync", "EIO" }, { "rename,renameat,renameat2", "ENOSPC" }, { "fchmod", "EPERM" }, { "openat", "EMFILE" },
    { "pwrite64,write", "EIO" }, { "fsync", "ENOSPC" }, { "close", "EIO" },
  } do
    it(("leaves old or new, and nothing else, when a %s gives %s"):format(case[1], case[2]), function()
      if not can_trace then pending("no strace here, or it may not trace") end
      local dir = fs.mkdtemp("/tmp/eddy-fault-XXXXXX")
      finally(function() fs.remove(dir, { recursive = true }) end)
      local script = SCRIPT:format(("eddy.fs.write_file('%s/f', 'new', { atomic = true })"):format(dir))
      local failures, unharmed = 0, 0
      for n = 1, 60 do
        fs.write_file(dir .. "/f", "old")
        local output = run(script, case[1], case[2], n)
        local result = output:match("result ([^\n]*)")
        local now = fs.read_file(dir .. "/f")
        assert.equal("f", names(dir))
        assert.is_true(now == "old" or now == "new", now)
        if result == "done" then
          assert.equal("new", now)
          unharmed = unharmed + 1
        elseif result then
          failures = failures + 1
        end
        if unharmed >= 3 and (failures > 0 or n > 40) then break end
      end
      assert.is_true(unharmed > 0)
    end)
  end
end)

describe("a read of a file", function()
  it("raises what the system says", function()
    if not can_trace then pending("no strace here, or it may not trace") end
    local script = SCRIPT:format [[
      local path = os.tmpname()
      eddy.fs.write_file(path, ("x"):rep(100000))
      local f <close> = eddy.open(path)
      os.remove(path)
      io.stdout:write("size ", #f:read("a"), "\n")]]
    local seen = {}
    for n = 1, 4 do
      local output = run(script, "preadv2", "EIO", n)
      assert.matches("size 100000", output)          -- a thread reads it, then
      output = run(script, "preadv2", "EOPNOTSUPP", n)
      assert.matches("size 100000", output)
      output = run(script, "openat2", "ENOSYS", n)
      assert.matches("size 100000", output)
    end
    for n = 1, 40 do
      local result = run(script:gsub("f:read", "f:seek('set') and f:read"), "fstat,newfstatat,statx", "EIO", n)
      seen[#seen + 1] = result:match("result ([^\n]*)")
    end
    assert.is_true(#seen > 0)
  end)
end)

-- --- When the process or the power goes -----------------------------------------------------------------------------

-- Writes a file again and again, and says so each time.
local AGAIN <const> = [[
for i = 1, 100 do
  eddy.fs.write_file("%s/f", (i .. "\n"):rep(20000), { atomic = true })
  io.stdout:write(i, "\n")
  io.stdout:flush()
end
]]

-- The command's output while strace does what the options say.
local function trace(options, script)
  local path = os.tmpname()
  fs.write_file(path, script)
  local line = "UV_THREADPOOL_SIZE=1 ASAN_OPTIONS=detect_leaks=0 strace -f -qq %s '%s' %s 2>/dev/null"
  local pipe = assert(io.popen(line:format(options, command, path)))
  local output = pipe:read("a")
  pipe:close()
  os.remove(path)
  return output
end

describe("an atomic write that is cut off", function()
  -- A file is fsynced before it gets its name, and the folder after that: what a power cut leaves is one of them.
  for _, before in ipairs { "none", "old" } do
    it("has its bytes on the disk before its name, then the name too; there was before: " .. before, function()
      if not can_trace then pending("no strace here, or it may not trace") end
      local dir = fs.mkdtemp("/tmp/eddy-order-XXXXXX")
      finally(function() fs.remove(dir, { recursive = true }) end)
      if before == "old" then fs.write_file(dir .. "/f", "old") end
      trace(("-y -s 0 -o '%s/trace' -e trace=openat,write,fsync,fdatasync,rename,renameat,renameat2"):format(dir),
        ("eddy.fs.write_file('%s/f', ('new'):rep(50000), { atomic = true })"):format(dir))
      local steps = {}
      for line in fs.read_file(dir .. "/trace"):gmatch "[^\n]+" do
        local call, rest = line:match "^%d+%s+(%l+)%d?%((.*)$"
        local what = rest and rest:find(dir, 1, true) and (rest:find "/%.eddy%-%x+%.tmp" and "new" or "folder")
        if what then steps[#steps + 1] = call .. " " .. what end
      end
      assert.same({ "openat new", "write new", "fsync new", "rename new", "openat folder", "fsync folder" }, steps)
    end)
  end

  -- Each thread counts by itself; the one that writes makes more such calls than the others do.
  for _, case in ipairs {
    { "openat", 60, 61 }, { "write", 60, 63 }, { "fsync", 1, 4 }, { "close", 60, 61 }, { "rename", 1, 2 },
  } do
    it("leaves old or new, whole, when the process is killed in its " .. case[1], function()
      if not can_trace then pending("no strace here, or it may not trace") end
      local dir = fs.mkdtemp("/tmp/eddy-kill-XXXXXX")
      finally(function() fs.remove(dir, { recursive = true }) end)
      for n = case[2], case[3] do
        fs.write_file(dir .. "/f", ("0\n"):rep(20000))
        local options = "-o /dev/null -e trace=%s -e inject=%s:signal=SIGKILL:when=%d"
        local output = trace(options:format(case[1], case[1], n), AGAIN:format(dir))
        local told = math.tointeger(output:match "(%d+)\n$" or 0)
        local data = fs.read_file(dir .. "/f")
        local found = math.tointeger(data:match "^(%d+)\n")
        assert.is_true(told < 100 and (told > 0 or n < 60), "it was not killed while it wrote")
        assert.is_true(found == told or found == told + 1, ("%s was told, %s is there"):format(told, found))
        assert.equal((found .. "\n"):rep(20000), data)
      end
    end)
  end
end)
