-- Child processes: what they are started with, their streams, their end.

local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

local exec, shell = eddy.create_subprocess_exec, eddy.create_subprocess_shell

local raised = calls.raised

local function state_of(pid)   -- "S", "Z" for a zombie; nil: there is none
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text:match "%) (%a)"
end

describe("A process", function()
  it("is started with its arguments, as they are", function()
    local arguments = { "%s|", "a b", "", "$HOME", "'\"\\", 5, 0.5 }
    assert.equal("a b||$HOME|'\"\\|5|0.5|", (eddy.exec("printf", arguments)))
    assert.equal("\n", (eddy.exec "echo"))
  end)

  it("tells how it ended", function()
    for _, case in ipairs { { "exit 0", 0 }, { "exit 3", 3 }, { "exit 255", 255 }, { "kill -TERM $$", -15 },
      { "kill -KILL $$", -9 }, { "kill -PIPE $$", -13 } } do
      local process = shell(case[1])
      assert.is_nil(process.returncode)
      assert.equal(case[2], process:wait())
      assert.equal(case[2], process.returncode)
      assert.equal(case[2], process:wait())
    end
  end)

  it("has a number, and a text that tells its state", function()
    local process = exec("sleep", { 100 })
    assert.equal("S", (state_of(process.pid) or ""):gsub("R", "S"))
    assert.equal(("<Process %d 'sleep' running>"):format(process.pid), tostring(process))
    process:terminate()
    process:wait()
    assert.equal(("<Process %d 'sleep' ended by SIGTERM>"):format(process.pid), tostring(process))
    process = shell "exit 4"
    process:wait()
    assert.matches("^<Process %d+ 'exit 4' ended with 4>$", tostring(process))
    assert.is_nil(process.stdin)
    assert.is_nil(process.nothing)
  end)

  it("is waited for by several", function()
    local process = exec("sleep", { 0.02 })
    assert.same({ 0, 0, 0, n = 3 }, eddy.gather(function() return process:wait() end,
      function() return process:wait() end, function() return process:wait() end))
  end)

  it("lives on when who waits for it is cancelled", function()
    local process = exec("sleep", { 100 })
    assert.is_false((eddy.move_on_after(0.01, process.wait, process)))
    assert.is_nil(process.returncode)
    assert.is_not_nil(state_of(process.pid))
    process:kill()
    assert.equal(-9, process:wait())
  end)

  it("leaves no zombie", function()
    local process = shell "exit 0"
    process:wait()
    assert.is_nil(state_of(process.pid))
  end)

  it("runs as many at once as are wanted", function()
    local codes = eddy.map(function(i) return shell("exit " .. i % 7):wait() end,
      (function() local list = {} for i = 1, 300 do list[i] = i end return list end)(), { concurrency = 50 })
    for i = 1, 300 do assert.equal(i % 7, codes[i]) end
  end)
end)

describe("The streams of a process", function()
  it("are pipes", function()
    local process = exec("cat", nil, { stdin = "pipe", stdout = "pipe" })
    process.stdin:write "one\n"
    assert.equal("one", process.stdout:read "l")
    process.stdin:write("two\n", "three"):close()
    assert.equal("two\nthree", process.stdout:read "a")
    assert.equal(0, process:wait())
    assert.is_nil(process.stderr)
    assert.equal("x", (eddy.exec("cat", { "/dev/stdin" }, { input = "x" })))
    assert.equal("fifo\n", (eddy.exec("stat", { "-Lc", "%F", "/dev/stdin" }, { input = "" })))
  end)

  it("are iterated over", function()
    local process, lines = shell("echo a; echo b; echo c", { stdout = "pipe" }), {}
    for line in process.stdout:lines() do lines[#lines + 1] = line end
    assert.same({ "a", "b", "c" }, lines)
    process:wait()
    assert.is_true(process.stdout:is_closing())   -- nothing more can come
  end)

  it("may be nothing at all", function()
    local process = shell("cat; echo lost; echo lost >&2", { stdin = "null", stdout = "null", stderr = "null" })
    assert.equal(0, process:wait())
  end)

  it("go to standard output together", function()
    assert.equal("a\nb\nc\n", (eddy.exec("sh", { "-c", "echo a; echo b >&2; echo c" }, { stderr = "stdout" })))
    local out, err = eddy.exec("sh", { "-c", "echo a; echo b >&2" })
    assert.same({ "a\n", "b\n" }, { out, err })
  end)

  it("are those of eddy by default", function()
    local out, err = support.eddy { "-e",
      [[print "before" io.stdout:flush() eddy.create_subprocess_shell("cat; echo err >&2"):wait()]] }
    assert.same({ "before\n", "err\n" }, { out, err })
    out = support.eddy({ "-e", [[eddy.create_subprocess_exec("cat"):wait()]] }, { stdin = "input" })
    assert.equal("input", out)
  end)

  it("may be files of io, streams and numbers", function()
    local file = io.tmpfile()
    file:write "first "
    assert.equal(0, shell("echo second", { stdout = file }):wait())
    file:seek "set"
    assert.equal("first second\n", file:read "a")
    file:seek "set"
    assert.equal("first second\n", (eddy.exec("cat", nil, { stdin = file })))
    local reader, writer = eddy.pipe()
    local process = shell("echo through a pipe", { stdout = writer, stderr = 2 })
    process:wait()
    writer:close()
    assert.equal("through a pipe\n", reader:read "a")
    reader:close()
    file:close()
  end)

  it("may change places", function()
    local out, err = support.eddy { "-e",
      [[eddy.create_subprocess_shell("echo out; echo err >&2", { stdout = 2, stderr = 1 }):wait()]] }
    assert.same({ "err\n", "out\n" }, { out, err })
  end)

  it("work where the standard files are closed", function()
    local folder = support.folder { ["app.lua"] = [[
      local eddy = require "eddy"
      local out, err, code = eddy.run(eddy.exec, "sh", { "-c", "cat; echo err >&2; exit 5" }, { input = "in" })
      local file = io.open(arg[1], "w")
      file:write(out, err, code)
      file:close()]] }
    finally(function() support.remove(folder) end)
    support.sh(([["$EDDY" %s/app.lua %s/result <&- >&- 2>&-]]):format(folder, folder))
    assert.equal("inerr\n5", io.open(folder .. "/result"):read "a")
  end)

  it("do not block a child that writes more than a pipe holds", function()
    local out, err, code = eddy.exec("sh", { "-c",
      "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; cat" }, { input = ("x"):rep(1000000) })
    assert.same({ 2000000, 1000000, 0 }, { #out, #err, code })
  end)

  it("do not miss a child that ends before it has read its input", function()
    assert.same({ "", "", 0 }, { eddy.exec("true", nil, { input = ("x"):rep(1000000) }) })
    local process = exec("true", nil, { stdin = "pipe" })
    process:wait()
    local err = raised(function()
      process.stdin:write "x"
      process.stdin:drain()
    end)
    assert.equal("EPIPE", err.code)
    process.stdin:abort()
  end)

  it("may be held by a grandchild, whose end nobody waits for", function()
    local process = shell("sleep 100 & echo $!", { stdout = "pipe" })
    local pid = process.stdout:read "l"
    assert.equal(0, process:wait())
    assert.is_false((eddy.move_on_after(0.01, process.stdout.read, process.stdout, "a")))
    os.execute("kill " .. pid)
    assert.equal("", process.stdout:read "a")
    process.stdout:close()
  end)
end)

describe("A child gets", function()
  it("no other descriptor than its three", function()
    local out = support.sh [[exec 7</dev/null 8</dev/null; "$EDDY" -e '
      local file = io.open("/dev/null")     -- of Lua, which is not close-on-exec either
      local reader, writer = eddy.pipe()
      print((eddy.exec("ls", { "/proc/self/fd" })))
      print((eddy.exec("ls", { "/proc/self/fd" }, { pass_fds = { 8 } })))']]
    assert.equal("0\n1\n2\n3\n\n0\n1\n2\n3\n8\n\n", out)   -- 3 is the folder
  end)

  it("descriptors that are passed under their numbers", function()
    local file = io.tmpfile()
    file:write "text"
    file:flush()
    file:seek "set"
    local process = exec("sleep", { 100 }, { pass_fds = { file } })
    local out = eddy.exec("ls", { "-l", ("/proc/%d/fd"):format(process.pid) })
    process:kill()
    process:wait()
    local passed = out:match " (%d+) %-> /[^\n]*deleted"
    assert.is_true(tonumber(passed) > 2, out)
    file:close()
  end)

  it("signals by default, none blocked; those that were ignored stay ignored", function()
    local script = [[
      local signals = eddy.signals("SIGTERM", "SIGUSR1")
      print((eddy.exec("cat", { "/proc/self/status" })))
      signals:close()]]
    local out = support.sh(([[trap "" HUP; "$EDDY" -e '%s']]):format(script))
    assert.matches("SigBlk:%s*0000000000000000", out)
    local ignored = tonumber(out:match "SigIgn:%s*(%x+)", 16)
    assert.equal(1, ignored & 0xffff)   -- HUP; not PIPE
    assert.matches("SigCgt:%s*0000000000000000", out)
  end)

  it("the environment, or another one", function()
    assert.equal(os.getenv "PATH" .. "\n", (eddy.exec("sh", { "-c", "echo $PATH" })))
    local env = { A = "1", B = 2, C = "x=y z", PATH = os.getenv "PATH" }
    local lines = {}
    for line in eddy.exec("env", nil, { env = env }):gmatch "[^\n]+" do lines[#lines + 1] = line end
    table.sort(lines)
    assert.same({ "A=1", "B=2", "C=x=y z", "PATH=" .. os.getenv "PATH" }, lines)
    assert.equal("", (eddy.exec("/usr/bin/env", nil, { env = {} })))
    env = eddy.environ()
    assert.equal(os.getenv "PATH", env.PATH)
    env.EXTRA = "more"
    assert.equal("more\n", (eddy.exec("sh", { "-c", "echo $EXTRA" }, { env = env })))
  end)

  it("is looked for in the PATH that it gets", function()
    local folder = support.folder { ["some-tool"] = "#!/bin/sh\necho found\n" }
    finally(function() support.remove(folder) end)
    assert.equal("ENOENT", raised(exec, "some-tool", nil, { env = { PATH = folder .. "x" } }).code)
    assert.equal("EACCES", raised(exec, "some-tool", nil, { env = { PATH = "/none:" .. folder .. ":/bin" } }).code)
    os.execute("chmod +x " .. folder .. "/some-tool")
    assert.equal("found\n", (eddy.exec("some-tool", nil, { env = { PATH = "/none:" .. folder } })))
    assert.equal("found\n", (eddy.exec("./some-tool", nil, { cwd = folder })))
    assert.equal("found\n", (eddy.exec("some-tool", nil, { cwd = folder, env = { PATH = ":/bin" } })))
  end)

  it("a working directory", function()
    assert.equal("/\n", (eddy.exec("pwd", nil, { cwd = "/" })))
  end)

  it("a user and a group", function()
    if eddy.exec("id", { "-u" }) == "0\n" then
      local out = eddy.exec("id", nil, { uid = 65534, gid = 65533, cwd = "/" })
      assert.matches("uid=65534.-gid=65533", out)
      assert.is_nil(out:find "groups=.*0%(root%)")
    else
      assert.equal("EPERM", raised(exec, "true", nil, { uid = 0 }).code)
    end
  end)

  it("a session of its own when it is detached, a group when that is asked for", function()
    local function ids(options) return (eddy.exec("ps", { "-o", "pid=,pgid=,sid=", "-p", options.pid })) end
    for _, option in ipairs { "detached", "group" } do
      local process = exec("sleep", { 100 }, { [option] = true })
      local pid, pgid, sid = ids { pid = process.pid }:match "(%d+)%s+(%d+)%s+(%d+)"
      assert.equal(tostring(process.pid), pid)
      assert.equal(pid, pgid)
      assert.equal(option == "detached", sid == pid)
      process:kill()
      process:wait()
    end
  end)
end)

describe("A process cannot be started", function()
  local function failure(code, syscall, path, ...)
    local err = raised(exec, ...)
    assert.is_true(eddy.is_error(err, eddy.OSError), tostring(err))
    assert.same({ code, syscall, path }, { err.code, err.syscall, err.path })
    assert.matches(code, tostring(err))
  end

  it("without a program that can be run", function()
    failure("ENOENT", "execve", "no-such-program", "no-such-program")
    failure("ENOENT", "execve", "/no/such/program", "/no/such/program")
    failure("ENOENT", "execve", "", "")
    failure("EACCES", "execve", "/etc/passwd", "/etc/passwd")
    failure("EACCES", "execve", "/", "/")
    failure("ENOTDIR", "execve", "/etc/passwd/x", "/etc/passwd/x")
  end)

  it("with more arguments than the system takes", function()
    failure("E2BIG", "execve", "true", "true", { ("x"):rep(200000) })
  end)

  it("in a folder that is not there", function()
    failure("ENOENT", "chdir", "/no/such/folder", "true", nil, { cwd = "/no/such/folder" })
    failure("ENOTDIR", "chdir", "/etc/passwd", "true", nil, { cwd = "/etc/passwd" })
  end)

  it("when there may be no more of them", function()
    local out = support.sh [[exec prlimit --nproc=0 "$EDDY" -e '
      local user = io.open("/proc/self/status"):read("a"):match("Uid:%s*(%d+)")
      local options, first = user == "0" and { uid = 65534 } or nil, nil
      if options then first = eddy.create_subprocess_exec("sleep", { 100 }, options) end   -- root has no limit
      local ok, err = pcall(eddy.create_subprocess_exec, "true", nil, options)
      print(ok, err.code)
      if first then first:kill() first:wait() end']]
    assert.equal("false\tEAGAIN\n", out)
  end)

  it("without descriptors, and then leaves none open", function()
    local out, err = support.sh [[ulimit -n 40; "$EDDY" -e '
      eddy.exec "true"
      local files = {}
      for i = 1, 100 do files[i] = io.open("/dev/null") if not files[i] then break end end
      while #files > 2 do
        for _ = 1, 3 do
          local ok, err = pcall(eddy.exec, "true", nil, { input = "x" })
          if not ok then print(err.code) end
        end
        for _ = 1, 2 do table.remove(files):close() end
        eddy.sleep(0)
      end
      print(eddy.exec("echo", { "at last" }))']]
    assert.matches("^EMFILE\nEMFILE\n", out)
    assert.matches("at last", out, 1, true)
    assert.equal("", err)
  end)

  it("and nothing is left of the try", function()
    local function children()
      local pid = tostring(io.open("/proc/self/stat"):read "n")
      local list = {}
      for id, name in (eddy.exec("ps", { "--ppid", pid, "-o", "pid=,comm=" })):gmatch("(%d+) (%S+)") do
        if name ~= "ps" and name ~= "timeout" then list[#list + 1] = id end
      end
      return list
    end
    local before = children()                      -- of other specs, perhaps
    for _ = 1, 20 do
      pcall(exec, "no-such-program", nil, { stdin = "pipe", stdout = "pipe", stderr = "pipe" })
    end
    eddy.sleep(0.001)
    eddy.sleep(0.001)
    assert.same({}, eddy._handles())
    local known = {}
    for _, id in ipairs(before) do known[id] = true end
    for _, id in ipairs(children()) do assert.is_true(known[id], id) end
  end)
end)
