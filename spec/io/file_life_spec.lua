local eddy = require "eddy"
local calls = require "spec.support.calls"
local files = require "spec.support.files"
local fs = eddy.fs

require("eddy.busted").timeout = 30

-- Files, walks, watches and copies that are closed, cancelled or collected at any moment of what they do.

-- A folder that the test removes.
local function folder() return files.folder(finally) end

local count_open = files.count_open

local function settle(before)
  for _ = 1, 2000 do
    collectgarbage()
    if count_open() <= before then return end
    eddy.sleep(0.001)
  end
  assert.equal(before, count_open())
end

-- What takes a while. Each is called with a folder in which there is a large file `f`, a tree `t` and a FIFO `p`.
local actions = {
  open = function(dir) eddy.open(dir .. "/f"):close() end,
  read = function(dir)
    local f <close> = eddy.open(dir .. "/f")
    f:seek("set", 10)
    while f:read(100000) do end -- luacheck: ignore
    f:seek("set")
    assert(#f:read("a") == 3000000)
  end,
  lines = function(dir)
    for line in eddy.lines(dir .. "/f") do assert(#line <= 99) end
  end,
  write = function(dir)
    local f <close> = eddy.open(dir .. "/w", "w")
    for _ = 1, 20 do f:write(("x"):rep(30000)) end
    f:write(("y"):rep(1000000)):sync()
    f:truncate(5):seek("end")
  end,
  ["r+"] = function(dir)
    local f <close> = eddy.open(dir .. "/f", "r+")
    for _ = 1, 10 do
      f:read(70000)
      f:write("z"):flush()
    end
  end,
  ["read_file"] = function(dir) assert(#fs.read_file(dir .. "/f") == 3000000) end,
  ["write_file"] = function(dir) fs.write_file(dir .. "/w", ("x"):rep(1000000)) end,
  ["atomic"] = function(dir) fs.write_file(dir .. "/w", ("x"):rep(1000000), { atomic = true }) end,
  copy = function(dir) fs.copy(dir .. "/f", dir .. "/c") end,
  walk = function(dir) for _ in fs.walk(dir .. "/t") do end end, -- luacheck: ignore
  scandir = function(dir) for _ in fs.scandir(dir .. "/t") do end end, -- luacheck: ignore
  stat = function(dir) return fs.stat(dir), fs.exists(dir), fs.realpath(dir), fs.statfs(dir) end,
  mkstemp = function(dir)
    local f, path = fs.mkstemp(dir .. "/XXXXXX")
    f:close()
    fs.remove(path)
  end,
  remove = function(dir)
    local top = dir .. "/r" .. math.random(1 << 30) -- the thread of one that was cancelled may go on for a moment
    fs.mkdir(top .. "/a/b/c", { parents = true })
    fs.remove(top, { recursive = true })
  end,
  fifo = function(dir)
    local r <close> = eddy.open(dir .. "/p")
    local w <close> = eddy.open(dir .. "/p", "w")
    w:write(("f"):rep(60000)):flush()
    assert(#r:read(60000) == 60000)
  end,
  watch = function(dir)
    local name = "n" .. math.random(1 << 30)
    for changed in fs.watch(dir) do
      if changed == "gone" then break end
      fs.write_file(dir .. "/" .. name, "")
      fs.remove(dir .. "/" .. name)
      if changed == name then break end
    end
  end,
}

local function prepare()
  local dir = folder()
  local lines = {}
  for i = 1, 60000 do lines[i] = ("x"):rep(49) end
  fs.write_file(dir .. "/f", table.concat(lines, "\n") .. "\n")
  for i = 1, 20 do fs.mkdir(dir .. "/t/" .. i .. "/sub", { parents = true }) end
  assert(os.execute("mkfifo " .. dir .. "/p"))
  return dir
end

local names = {}
for name in pairs(actions) do names[#names + 1] = name end
table.sort(names)

describe("cancelled at any moment", function()
  for _, name in ipairs(names) do
    it(name .. " leaves nothing open", function()
      local dir = prepare()
      eddy.pcall(eddy.timeout, 0.05, actions[name], dir)
      local before
      collectgarbage()
      settle(count_open())
      before = count_open()
      for i = 1, 40 do
        local task = eddy.create_task(actions[name], dir)
        if name == "watch" then eddy.create_task(fs.write_file, dir .. "/x", "") end
        if i <= 12 then
          for _ = 1, i do eddy.sleep(0) end
        else
          eddy.sleep(i * 0.0001)
        end
        task:cancel()
        local ok, err = pcall(task.await, task)
        if not ok and not task:cancelled() then error(err, 0) end
      end
      settle(before)
    end)
  end
end)

describe("the end of a run #plain", function()
  for _, name in ipairs(names) do
    it("comes in the midst of " .. name, function()
      local dir = os.tmpname()
      os.remove(dir)
      assert(os.execute(("mkdir -p %s/t/1/sub %s/t/2 && mkfifo %s/p"):format(dir, dir, dir)))
      local f <close> = assert(io.open(dir .. "/f", "w"))
      f:write((("x"):rep(49) .. "\n"):rep(60000))
      f:close()
      for turns = 0, 12, 3 do
        eddy.run(function()
          eddy.create_task(actions[name], dir)
          eddy.create_task(actions[name], dir)
          for _ = 1, turns do eddy.sleep(turns > 6 and 0.0005 or 0) end
        end)
      end
      os.execute("rm -rf " .. dir)
    end)
  end
end)

describe("the collector", function()
  it("may come at any moment", function()
    local dir = prepare()
    local stop = false
    local collector = eddy.create_task(function()
      while not stop do
        collectgarbage()
        eddy.sleep(0.0002)
      end
    end)
    for _, name in ipairs(names) do
      local task = eddy.create_task(actions[name], dir)
      if name == "watch" then
        eddy.create_task(function()
          while not task:done() do
            fs.write_file(dir .. "/gone", "")
            eddy.sleep(0.001)
          end
        end)
      end
      eddy.await(task)
      collectgarbage()
    end
    stop = true
    collector:await()
  end)

  it("closes what nobody has, with a warning", function()
    local dir = prepare()
    local before = count_open()
    warn("@off")
    do
      local f = eddy.open(dir .. "/w", "w")
      f:write("kept")
      f = nil -- luacheck: ignore
      fs.watch(dir)
      local i = eddy.lines(dir .. "/f")
      i()
      i = nil -- luacheck: ignore
    end
    for _ = 1, 3 do
      collectgarbage()
      eddy.sleep(0)
    end
    warn("@on")
    assert.equal("kept", fs.read_file(dir .. "/w"))
    assert.is_true(count_open() <= before + 2)    -- libuv keeps what watching needs
  end)

  it("called by hand takes no file from those who wait for it", function()
    local dir = prepare()
    local f <close> = eddy.open(dir .. "/p", "r+")
    local reading = eddy.create_task(f.read, f, "l")
    local second = eddy.create_task(f.read, f, "l")
    eddy.sleep(0)
    local gc = debug.getmetatable(f).__gc
    gc(f)
    gc(f)
    reading:cancel()
    eddy.wait { reading }
    second:cancel()
    eddy.wait { second }
    f:write("line\n"):flush()
    assert.equal("line", f:read("l"))
  end)
end)

describe("the turns of a file", function()
  it("end for one who gave way when the file is closed where nobody can wait", function()
    local dir = prepare()
    local f = eddy.open(dir .. "/f")
    local reader = eddy.create_task(function()
      while f:read(100000) do end
    end)
    for _ = 1, 3 do eddy.sleep(0) end
    local _ = ("x"):gsub("x", function() local _ <close> = f end)
    local err = calls.raised(reader.await, reader)
    assert.equal("RuntimeError: 'read' on a closed file (" .. dir .. "/f)", tostring(err))
  end)

  it("go on when one who waits is cancelled, in whatever turn", function()
    local dir = prepare()
    for turns = 0, 8 do
      local f <close> = eddy.open(dir .. "/f")
      local tasks = {}
      for i = 1, 5 do tasks[i] = eddy.create_task(f.read, f, i % 2 == 0 and 700000 or "l") end
      for _ = 1, turns do eddy.sleep(0) end
      tasks[1]:cancel()
      tasks[3]:cancel()
      eddy.wait(tasks)
      for _, i in ipairs { 2, 4, 5 } do assert.is_string(tasks[i]:result()) end
    end
  end)

  it("go on when the coroutine of one who waits is closed", function()
    local dir = prepare()
    local f <close> = eddy.open(dir .. "/p", "r+")
    local co
    local lost = eddy.create_task(function()
      co = eddy.coroutine.create(function() f:read("l") end)
      eddy.coroutine.resume(co)
    end)
    eddy.sleep(0)
    local second = eddy.create_task(f.write, f, "data\n")
    eddy.sleep(0)
    lost:cancel()
    eddy.wait { lost }
    second:await()
    f:flush()
    assert.equal("data", f:read("l"))
  end)

  it("give way to others while much is read", function()
    local dir = prepare()
    local turns, stop = 0, false
    local others = eddy.create_task(function()
      while not stop do
        turns = turns + 1
        eddy.sleep(0)
      end
    end)
    for _ = 1, 20 do
      local f <close> = eddy.open(dir .. "/f")
      while f:read(65536) do end -- luacheck: ignore
    end
    stop = true
    others:await()
    assert.is_true(turns >= 60, turns .. " turns")
  end)

  it("are told of a file that is cut off while it is read", function()
    local dir = prepare()
    local f <close> = eddy.open(dir .. "/f")
    assert.equal(49, #f:read("l"))
    fs.truncate(dir .. "/f", 100000)
    local rest = f:read("a")
    assert.is_true(#rest < 3000000)
    assert.equal("", f:read("a"))
    assert.is_nil(f:read("l"))
  end)
end)
