local eddy = require "eddy"
local files = require "spec.support.files"
local fs = eddy.fs

-- A folder that the test removes.
local function folder() return files.folder(finally) end

-- The events of the watch until one is of `name`, as a set of "name what".
local function events_until(watch, name)
  local seen = {}
  for n, what in watch do
    seen[n .. " " .. what] = true
    if n == name then return seen end
  end
  error("the watch has ended")
end

describe("eddy.fs.watch", function()
  it("tells what changes in a directory", function()
    local dir = folder()
    local watch <close> = fs.watch(dir)
    fs.write_file(dir .. "/f", "x")
    local seen = events_until(watch, "f")
    fs.write_file(dir .. "/end", "")
    for event in pairs(events_until(watch, "end")) do seen[event] = true end
    assert.is_true(seen["f rename"] and seen["f change"])
    fs.rename(dir .. "/f", dir .. "/g")
    fs.chmod(dir .. "/end", 0)
    seen = events_until(watch, "g")
    assert.is_true(seen["f rename"] and seen["g rename"])
  end)

  it("loses nothing that happens between two steps", function()
    local dir = folder()
    local watch <close> = fs.watch(dir)
    local missing = {}
    for i = 1, 500 do
      fs.write_file(dir .. "/" .. i, "")
      missing[tostring(i)] = true
    end
    for name in watch do
      missing[name] = nil
      if next(missing) == nil then break end
    end
  end)

  it("tells once of what happens again and again", function()
    local dir = folder()
    fs.write_file(dir .. "/f", "")
    local watch <close> = fs.watch(dir)
    for i = 1, 50 do
      fs.write_file(dir .. "/f", ("x"):rep(i))
      fs.write_file(dir .. "/g", ("x"):rep(i))
    end
    fs.write_file(dir .. "/end", "")
    eddy.sleep(0.05)
    local n = 0
    for name in watch do
      n = n + 1
      if name == "end" then break end
    end
    assert.is_true(n <= 6, n .. " events")
  end)

  it("watches a file", function()
    local path = folder() .. "/f"
    fs.write_file(path, "")
    local watch <close> = fs.watch(path)
    fs.write_file(path, "x", { append = true })
    assert.same({ "f", "change" }, { watch() })
  end)

  it("ends when it is closed, and the loop's end closes it", function()
    local dir = folder()
    local watch = fs.watch(dir)
    local waiting = eddy.create_task(function() return "end", watch() end)
    eddy.sleep(0)
    watch:close()
    assert.same({ "end" }, { waiting:await() })
    assert.is_nil(watch())
    watch:close()
    assert.matches("^<Watch .*, closed>$", tostring(watch))
    fs.write_file(dir .. "/f", "")
    local inner
    local function open()
      local iterator, a, b, closing = fs.watch(dir)
      inner = iterator
      return iterator, a, b, closing
    end
    eddy.create_task(fs.write_file, dir .. "/g", "")
    for _ in open() do break end -- luacheck: ignore
    assert.matches("closed", tostring(inner))
  end)

  it("gives each event to one task, and passes on what a cancelled one was woken for", function()
    local dir = folder()
    local watch <close> = fs.watch(dir)
    local seen, tasks = {}, {}
    for i = 1, 3 do
      tasks[i] = eddy.create_task(function() for name in watch do seen[name] = (seen[name] or 0) + 1 end end)
    end
    eddy.sleep(0)
    for i = 1, 20 do
      fs.mkdir(dir .. "/" .. i)
      if i == 10 then tasks[1]:cancel() end
    end
    fs.mkdir(dir .. "/end")
    while not seen["end"] do eddy.sleep(0.001) end
    for i = 1, 20 do assert.equal(1, seen[tostring(i)]) end
    for i = 1, 3 do tasks[i]:cancel() end
    eddy.wait(tasks)
  end)

  it("loses no event when a step is cancelled in the turn in which it comes", function()
    local dir = folder()
    local watch <close> = fs.watch(dir)
    for i = 1, 20 do
      local task = eddy.create_task(function() return watch() end)
      eddy.sleep(0)
      fs.mkdir(dir .. "/" .. i)
      task:cancel()
      local ok, name = pcall(task.await, task)
      if not ok then name = watch() end
      assert.equal(tostring(i), name)
    end
  end)

  it("can be many", function()
    local dir = folder()
    local watches, told = {}, 0
    for i = 1, 200 do
      fs.mkdir(dir .. "/" .. i)
      watches[i] = fs.watch(dir .. "/" .. i)
    end
    watches[201] = fs.watch(dir .. "/7") -- the same one twice
    local group = eddy.TaskGroup()
    do
      local tasks <close> = group
      for i = 1, 201 do
        tasks:create_task(function()
          assert.equal("f", (watches[i]()))
          told = told + 1
          watches[i]:close()
        end)
      end
      eddy.sleep(0)
      for i = 1, 200 do fs.write_file(dir .. "/" .. i .. "/f", "") end
    end
    assert.equal(201, told)
  end)

  it("raises for what is not there", function()
    local _, err = pcall(fs.watch, "/no/such")
    assert.same({ "ENOENT", "watch", "/no/such" }, { err.code, err.syscall, err.path })
  end)

  it("needs a loop #plain", function()
    assert.error_matches(function() fs.watch("/") end, "'watch' needs a running loop")
  end)

  it("is kept by the task that waits #plain", function()
    local told
    eddy.run(function()
      local dir = fs.mkdtemp("/tmp/eddy-watch-XXXXXX")
      local task = eddy.create_task(function()
        return (fs.watch(dir))()
      end)
      for _ = 1, 3 do
        eddy.sleep(0)
        collectgarbage()
      end
      fs.write_file(dir .. "/f", "")
      told = task:await()
      fs.remove(dir, { recursive = true })
    end)
    assert.equal("f", told)
  end)
end)
