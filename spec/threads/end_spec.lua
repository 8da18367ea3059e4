-- The end of a process, a state or a run while threads are at work.

local eddy = require "eddy"

require("eddy.busted").timeout = 60

local lua, root = os.getenv "EDDY_LUA" or "lua5.4", os.getenv "EDDY_ROOT" or "."

-- Runs a script in a Lua of its own. Returns its output, its exit status and how long it took.
local function run(source, ...)
  local path = os.tmpname()
  finally(function() os.remove(path) end)
  local file = assert(io.open(path, "w"))
  file:write("package.path = " .. ("%q"):format(package.path) .. "; package.cpath = "
    .. ("%q"):format(package.cpath) .. "\nlocal eddy = require 'eddy'\n", source)
  file:close()
  local before = eddy.time()
  local env = eddy.environ()
  if env.ASAN_OPTIONS then -- it crashes when it looks at a thread that goes on with variables of a module
    env.ASAN_OPTIONS = env.ASAN_OPTIONS:gsub("detect_leaks=1", "detect_leaks=0")
  end
  local options = { cwd = root, env = source:find("os.execute", 1, true) and env or nil }
  local out, err, code = eddy.exec(lua, { path, ... }, options)
  return out .. err, code, eddy.time() - before
end

-- Under sanitizers everything is slower.
local LIMIT <const> = (os.getenv "EDDY" or ""):find("tsan", 1, true) and 15 or 2.5

describe("a state that is closed while threads are at work", function()
  it("leaks nothing of calls that compute and wait", function()
    local output, code = run [[
      local loop = eddy.new_event_loop()
      local pool = eddy.ThreadPool { workers = 3 }
      loop:run_until_complete(function()
        pool:submit(function() while true do pcall(function() while true do end end) end end)
        pool:submit(function() require("eddy").sleep(1000) end)
        eddy.thread(function() while true do end end)
        loop:run_in_executor(nil, function() while true do end end)
        eddy.sleep(0.02)
      end)
      io.write("over ")
      os.exit(0, true)
    ]]
    assert.matches("over", output, 1, true)
    assert.equal(0, code, output)
  end)

  it("ends within two seconds, with calls that compute, wait, and never come back", function()
    local output, code, seconds = run [[
      local loop = eddy.new_event_loop()
      local pool = eddy.ThreadPool { workers = 3 }
      local t = {}
      local function start()
        t[1] = pool:submit(function() while true do pcall(function() while true do end end) end end)
        t[2] = pool:submit(function() require("eddy").sleep(1000) end)
        t[3] = pool:submit(function() os.execute("exec sleep 4 >/dev/null 2>&1") end)
        t[4] = eddy.thread(function() while true do end end)
        t[5] = loop:run_in_executor(nil, function() while true do end end)
        eddy.sleep(0.05)
      end
      loop:run_until_complete(start)
      io.write("over ")
      os.exit(0, true)          -- closes the state, with the loop still open
    ]]
    assert.matches("over", output, 1, true)
    assert.equal(0, code)
    assert.is_true(seconds < LIMIT, seconds)
  end)

  it("leaks nothing of what finalizers send while the first value is packed", function()
    local output, code = run [[
      local sent = 0
      local function leave()
        setmetatable({}, { __gc = function()
          sent = sent + 1
          eddy.Channel(1):try_send { 1, 2, "x" }
          if sent < 20 then leave() end
        end })
      end
      local channel = eddy.Channel(1)
      collectgarbage()
      collectgarbage "stop"
      leave()
      eddy.run(function()
        collectgarbage("incremental", 1, 1000, 1) -- whenever something is made
        collectgarbage "restart"
        channel:try_send { 1, 2, 3 }
        while sent < 20 do collectgarbage() end
      end)
      io.write("sent ", sent)
    ]]
    assert.same({ "sent 20", 0 }, { output, code })
  end)

  it("ends when it is collected, loop, pool and channel in any order", function()
    local output, code = run [[
      for i = 1, 5 do
        local ch = eddy.Channel()
        local pool = eddy.ThreadPool { workers = 2 }
        eddy.run(function()
          for _ = 1, 4 do pool:submit(function(c) c:recv() end, ch) end
          eddy.thread(function(c) for _ in c do end end, ch)
          eddy.sleep(0.002)
        end)
        ch, pool = nil, nil
        if i % 2 == 0 then collectgarbage() end
      end
      io.write("over")
    ]]
    assert.equal("over", output)
    assert.equal(0, code)
  end)
end)

describe("a run with threads", function()
  it("ends by Ctrl-C although a thread computes", function()
    local output, _, seconds = run [[
      local ok, err = pcall(eddy.run, function()
        eddy.create_task(function()
          eddy.sleep(0.1)
          eddy.exec("sh", { "-c", "kill -INT $PPID" })
        end)
        eddy.to_thread(function() while true do pcall(function() while true do end end) end end)
      end)
      io.write(tostring(err))
    ]]
    assert.matches("Interrupted", output, 1, true)
    assert.is_true(seconds < LIMIT, seconds)
  end)

end)

-- Runs a script as the command does, sends SIGINT so often when it has written a line, and waits for its end.
local function interrupt(source, times, ...)
  local command = os.getenv "EDDY" or root .. "/build/release/eddy"
  local process <close> = eddy.create_subprocess_exec(command, { "-e", source, ... },
    { cwd = root, stdin = "pipe", stdout = "pipe", stderr = "pipe" })
  assert.equal("begun", process.stdout:read "l")
  eddy.sleep(0.1)                                -- it is in its C function now
  local before = eddy.time()
  for _ = 1, times do
    process:send_signal "SIGINT"
    eddy.sleep(0.05)
  end
  local code = process:wait()
  return code, eddy.time() - before, process.stderr:read "a"
end

local BEGUN <const> = "io.write 'begun\\n' io.stdout:flush() "

describe("a thread in a C function", function()
  it("does not keep a second Ctrl-C from ending the command at once", function()
    for _, call in ipairs {
      "io.read 'l'",                             -- of a pipe in which nothing comes
      "os.execute 'exec sleep 5 >/dev/null 2>&1 </dev/null'",
      "pcall(function() while true do io.popen('exec sleep 5 2>/dev/null'):close() end end)",
    } do
      local source = "eddy.to_thread(function() " .. BEGUN .. call .. " end)"
      local code, seconds, err = interrupt(source, 2)
      assert.same({ 130, "eddy: Interrupted\n" }, { code, err })
      assert.is_true(seconds < LIMIT, call .. ": " .. seconds)
    end
  end)

  it("does not keep it from ending a pool and its clean-up, however many do not end", function()
    local code, seconds, err = interrupt([[
      local function stuck()
        local _ <close> = setmetatable({}, { __close = function() io.read "l" end })
        eddy.sleep(1000)
      end
      local pools = {}
      for i = 1, 10 do
        pools[i] = eddy.ThreadPool { workers = 1 }
        pools[i]:submit(stuck)
        eddy.thread(io.read, "l")
      end
      eddy.to_thread(function(f) ]] .. BEGUN .. "f() end, stuck)", 2)
    assert.equal(130, code)
    assert.is_nil(err:find("Sanitizer", 1, true), err)
    assert.is_true(seconds < 2 * LIMIT, seconds)   -- a second for all pools, not for each
  end)

  it("hides no Ctrl-C from the command while it runs a program", function()
    local code, seconds, err = interrupt("eddy.to_thread(function() " .. BEGUN .. [[
      os.execute "exec sleep 20 >/dev/null 2>&1 </dev/null"
    end)]], 1)
    assert.same({ 130, "eddy: Interrupted\n" }, { code, err })
    assert.is_true(seconds < 2 * LIMIT, seconds)
  end)
end)
