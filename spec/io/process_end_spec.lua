-- How child processes end: signals, scopes, cancellation, collection, the end of the run; communicate and exec.

local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

local exec, shell = eddy.create_subprocess_exec, eddy.create_subprocess_shell

local raised = calls.raised

local function is_there(pid) return os.execute(("kill -0 %d 2>/dev/null"):format(pid)) == true end

-- Waits until a process that is not our child has ended; its parent, whoever that is by now, has reaped it.
local function await_end(pid)
  for _ = 1, 1000 do
    local file = io.open(("/proc/%d/stat"):format(pid))
    if not file then return end
    local state = file:read("a"):match "%) (%a)"
    file:close()
    if state == "Z" then return end
    eddy.sleep(0.005)
  end
  error(pid .. " is still there")
end

local function await_zombie(pid)
  os.execute("while [ $(cut -d' ' -f3 /proc/" .. pid .. "/stat) != Z ]; do :; done")
end

describe("A signal to a process", function()
  it("has a name or a number", function()
    for signal, code in pairs { SIGUSR1 = -10, SIGINT = -2, [12] = -12 } do
      local process = exec("sleep", { 100 })
      process:send_signal(signal)
      assert.equal(code, process:wait())
    end
    local process = exec("sleep", { 100 })
    process:terminate()
    assert.equal(-15, process:wait())
    process = exec("sleep", { 100 })
    process:kill()
    assert.equal(-9, process:wait())
  end)

  it("may stop it and let it go on", function()
    local process = exec("cat", nil, { stdin = "pipe", stdout = "pipe" })
    process:send_signal "SIGSTOP"
    process.stdin:write "x\n"
    assert.is_false((eddy.move_on_after(0.01, process.stdout.read, process.stdout)))
    process:send_signal "SIGCONT"
    assert.equal("x", process.stdout:read())
    process.stdin:close()
    assert.equal(0, process:wait())
  end)

  it("is refused after its end, and never reaches another", function()
    local process = shell "exit 0"
    process:wait()
    for _, name in ipairs { "terminate", "kill" } do
      local err = raised(process[name], process)
      assert.is_true(eddy.is_error(err, eddy.OSError))
      assert.same({ "ESRCH", "kill" }, { err.code, err.syscall })
    end
    assert.equal("ESRCH", raised(process.send_signal, process, "SIGTERM").code)
  end)

  it("is refused as soon as it has ended, whether or not that was noticed", function()
    local process = shell "exit 7"
    await_zombie(process.pid)
    assert.is_nil(process.returncode)
    assert.equal("ESRCH", raised(process.kill, process).code)
    assert.equal(7, process.returncode)
    assert.equal(7, process:wait())
  end)

  it("goes to its whole group, if it leads one", function()
    local process = shell("sleep 100 & echo $!; wait", { stdout = "pipe", group = true })
    local grandchild = process.stdout:read "n"
    process:terminate()
    assert.equal(-15, process:wait())
    await_end(grandchild)
    process.stdout:close()
  end)
end)

describe("The scope of a process", function()
  it("kills it, waits for that and closes its streams", function()
    local outer, pid
    do
      local process <close> = exec("cat", nil, { stdin = "pipe", stdout = "pipe" })
      outer, pid = process, process.pid
    end
    assert.equal(-9, outer.returncode)
    assert.is_false(is_there(pid))
    assert.is_true(outer.stdin:is_closing())
    assert.is_true(outer.stdout:is_closing())
  end)

  it("leaves one alone that has ended", function()
    local outer
    do
      local process <close> = shell "exit 3"
      outer = process
      process:wait()
    end
    assert.equal(3, outer.returncode)
  end)

  it("ends it when the task is cancelled", function()
    local pid
    local task = eddy.create_task(function()
      local process <close> = exec("sleep", { 100 })
      pid = process.pid
      eddy.sleep(100)
    end)
    eddy.sleep(0)
    task:cancel()
    pcall(eddy.await, task)
    assert.is_false(is_there(pid))
  end)

  it("works where nobody can wait", function()
    local pid
    eddy.get_running_loop():call_soon(function()
      local process <close> = exec("sleep", { 100 })
      pid = process.pid
    end)
    eddy.sleep(0.001)
    assert.is_false(is_there(pid))
  end)
end)

describe("A process that nobody holds", function()
  it("goes on, and is reaped when it ends", function()
    local pids = {}
    for i = 1, 20 do pids[i] = exec("sleep", { 0.02 }).pid end
    collectgarbage()
    collectgarbage()
    assert.is_true(is_there(pids[1]))
    while #eddy._handles() > 0 do eddy.sleep(0.005) end
    for _, pid in ipairs(pids) do assert.is_false(is_there(pid)) end
  end)

  it("may be closed with its streams in any state", function()
    for _ = 1, 10 do
      local process = shell("cat; echo x; exit 0", { stdin = "pipe", stdout = "pipe", stderr = "pipe" })
      process.stdin:write(("x"):rep(100000))
      eddy.sleep(0)
    end
    collectgarbage()
    collectgarbage()
    while #eddy._handles() > 0 do eddy.sleep(0.005) end
  end)
end)

describe("The end of a process", function()
  it("is noticed where the system has no descriptor for it", function()
    if not os.execute "command -v strace >/dev/null" then return pending "needs strace" end
    local out, err = support.sh [[ASAN_OPTIONS=detect_leaks=0 strace -f -o /dev/null -e trace=pidfd_open \
      -e inject=pidfd_open:error=ENOSYS "$EDDY" -e '
        local list = {}
        for i = 1, 60 do list[i] = i end
        local codes = eddy.map(function(i) return eddy.create_subprocess_shell("exit " .. i):wait() end, list,
          { concurrency = 20 })
        local sum = 0
        for i = 1, 60 do sum = sum + codes[i] end
        local process <close> = eddy.create_subprocess_exec("sleep", { 100 })
        process:terminate()
        print(sum, process:wait(), select(2, pcall(process.kill, process)).code)
        print(eddy.exec("sh", { "-c", "cat; exit 4" }, { input = "in" }))
        print(select(2, pcall(eddy.timeout, 0.05, eddy.exec, "sleep", { 100 })))']]
    assert.same({ "1830\t-15\tESRCH\nin\t\t4\nTimeoutError\n", "" }, { out, err })
  end)
end)

describe("Processes of several threads", function()
  it("do not get in each other's way", function()
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = eddy.create_task(eddy.to_thread, function(n)
        local run = require("eddy").exec
        for k = 1, 20 do
          local out, err, code = run("sh", { "-c", "cat; exit " .. n }, { input = n .. "/" .. k })
          if out ~= n .. "/" .. k or err ~= "" or code ~= n then return out, err, code end
        end
        return n
      end, i)
    end
    assert.same({ 1, 2, 3, 4, n = 4 }, eddy.gather(tasks))
  end)
end)

describe("The end of a run", function()
  it("kills the processes that are left, with a warning", function()
    local out, err = support.eddy { "-e", [[
      local pid
      eddy.run(function() pid = eddy.create_subprocess_exec("sleep", { 100 }).pid end)
      print((os.execute("kill -0 " .. pid .. " 2>/dev/null")))]] }
    assert.equal("nil\n", out)
    assert.matches("ResourceWarning: unclosed process %d+ 'sleep' opened at", err)
  end)

  it("leaves detached ones alone", function()
    local out, err = support.eddy { "-e", [[
      eddy.run(function() print(eddy.create_subprocess_exec("sleep", { 100 }, { detached = true }).pid) end)]] }
    assert.equal("", err)
    assert.is_true(is_there(tonumber(out)))
    os.execute("kill " .. out)
  end)

  it("leaves objects that can be asked #plain", function()
    local killed, ended, detached
    warn "@off"
    eddy.run(function()
      ended, killed = shell "exit 2", exec("sleep", { 100 })
      ended:wait()
      detached = exec("sleep", { 100 }, { detached = true })
    end)
    warn "@on"
    assert.same({ 2, -9 }, { ended.returncode, killed.returncode })
    assert.is_nil(detached.returncode)
    assert.equal("ESRCH", raised(killed.kill, killed).code)
    assert.is_true(eddy.is_error(raised(detached.kill, detached), eddy.RuntimeError))
    eddy.run(function()
      assert.equal(2, ended:wait())
      assert.is_true(eddy.is_error(raised(detached.wait, detached), eddy.RuntimeError))
    end)
    os.execute("kill " .. detached.pid)
    await_zombie(detached.pid)
    eddy.run(function() shell("exit 0"):wait() end)   -- reaps it
    assert.is_false(is_there(detached.pid))
  end)
end)

describe("process:communicate", function()
  it("feeds the input, drains both outputs, then waits", function()
    local process = shell("cat; echo err >&2; exit 3", { stdin = "pipe", stdout = "pipe", stderr = "pipe" })
    assert.same({ "input", "err\n" }, { process:communicate "input" })
    assert.equal(3, process.returncode)
  end)

  it("returns nil for what is no pipe, and needs none", function()
    local process = shell("echo x", { stdout = "pipe" })
    assert.same(table.pack("x\n", nil), table.pack(process:communicate()))
    process = shell("echo x", { stderr = "null", stdout = "null" })
    assert.same(table.pack(nil, nil), table.pack(process:communicate()))
    process = shell("echo x >&2", { stderr = "pipe" })
    assert.same(table.pack(nil, "x\n"), table.pack(process:communicate()))
  end)

  it("closes the input when there is none", function()
    local process = exec("cat", nil, { stdin = "pipe", stdout = "pipe" })
    assert.equal("", (process:communicate()))
  end)

  it("ignores a child that does not read", function()
    local process = shell("exec <&-; sleep 0.01; echo x", { stdin = "pipe", stdout = "pipe" })
    assert.equal("x\n", (process:communicate(("x"):rep(1000000))))
  end)

  it("raises where input has nowhere to go", function()
    local process <close> = exec("cat", nil, { stdin = "null" })
    assert.is_true(eddy.is_error(raised(process.communicate, process, "x"), eddy.RuntimeError))
    assert.matches("bad argument #1 to 'communicate' %(string expected, got table%)",
      raised(function() process:communicate {} end))
  end)

  it("can be cancelled, which kills nobody, and done again", function()
    local process <close> = exec("cat", nil, { stdin = "pipe", stdout = "pipe" })
    process.stdin:write "before "
    local task = eddy.create_task(function() process.stdout:read_exactly(100) end)
    eddy.sleep(0.01)
    task:cancel()
    pcall(eddy.await, task)
    assert.is_nil(process.returncode)
    assert.equal("before after", (process:communicate "after"))
  end)

  it("leaves nothing when it is cancelled at any moment", function()
    for turns = 0, 30, 3 do
      local process <close> = shell("cat; cat /dev/zero | head -c 200000; sleep 0.01",
        { stdin = "pipe", stdout = "pipe", stderr = "pipe" })
      local task = eddy.create_task(process.communicate, process, ("x"):rep(300000))
      for _ = 1, turns do eddy.sleep(0) end
      task:cancel()
      pcall(eddy.await, task)
      assert.is_true(task:done())
    end
  end)
end)

describe("eddy.exec", function()
  it("returns both outputs and the code, and raises for none of them", function()
    assert.same({ "out\n", "err\n", 3 }, { eddy.exec("sh", { "-c", "echo out; echo err >&2; exit 3" }) })
    assert.same({ "", "", -9 }, { eddy.exec("sh", { "-c", "kill -9 $$" }) })
    assert.equal("ENOENT", raised(eddy.exec, "no-such-program").code)
  end)

  it("gives the child nothing to read unless there is input", function()
    assert.equal("", (eddy.exec "cat"))
    assert.equal("input", (eddy.exec("cat", nil, { input = "input" })))
    local out = support.eddy({ "-e", [[io.write((eddy.exec("cat", nil, { stdin = "inherit" })))]] },
      { stdin = "inherited" })
    assert.equal("inherited", out)
  end)

  it("passes the other options on", function()
    assert.same({ "/\n", nil, 0, n = 3 },
      table.pack(eddy.exec("pwd", nil, { cwd = "/", stderr = "inherit" })))
  end)

  it("ends the child and what follows it when it is cancelled", function()
    local pids = os.tmpname()
    finally(function() os.remove(pids) end)
    local task = eddy.create_task(eddy.exec, "sh", { "-c", "sleep 100 & echo $! $$ >" .. pids .. "; sleep 100" })
    local grandchild, child
    repeat
      eddy.sleep(0.002)
      local file = io.open(pids)
      grandchild, child = file:read("n", "n")
      file:close()
    until child
    task:cancel()
    assert.is_true(eddy.is_error(raised(eddy.await, task), eddy.CancelledError))
    assert.is_false(is_there(child))
    await_end(grandchild)
  end)

  it("lets it clean up, and does not wait for ever", function()
    local file = os.tmpname()
    finally(function() os.remove(file) end)
    local ok, err = pcall(eddy.timeout, 0.05, eddy.exec, "sh",
      { "-c", "trap 'echo cleaned up >" .. file .. "; exit' TERM; while :; do sleep 0.01; done" })
    assert.is_false(ok)
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
    assert.equal("cleaned up\n", io.open(file):read "a")
    local before = eddy.time()
    ok = pcall(eddy.timeout, 0.02, eddy.exec, "sh", { "-c", "trap '' TERM; while :; do sleep 0.01; done" },
      { grace = 0.05 })
    assert.is_false(ok)
    assert.is_true(eddy.time() - before < 2)
  end)

  it("leaves nothing when it is cancelled at any moment, twice", function()
    for turns = 0, 30, 2 do
      local task = eddy.create_task(eddy.exec, "sh", { "-c", "cat; trap '' TERM; sleep 0.02" },
        { input = ("x"):rep(200000), grace = 0.05 })
      for _ = 1, turns do eddy.sleep(0) end
      task:cancel()
      eddy.sleep(0)
      if turns % 4 == 0 then task:cancel() end
      pcall(eddy.await, task)
    end
  end)

  it("checks its arguments at the caller", function()
    local function message(...)
      local arguments = table.pack(...)
      return (raised(function() return 1, eddy.exec(table.unpack(arguments, 1, arguments.n)) end))
    end
    assert.matches("bad argument #1 to 'exec' %(string expected, got nil%)", message())
    assert.matches("bad argument #1 to 'exec' %(string expected, got table%)", message {})
    assert.matches("bad argument #2 to 'exec' %(table expected, got string%)", message("ls", "-l"))
    assert.matches("bad argument #3 to 'exec' %(table expected, got number%)", message("ls", {}, 5))
    assert.matches("bad argument #3 to 'exec' %(unknown option 'timeout'%)", message("ls", {}, { timeout = 5 }))
    assert.matches("option 'input': string expected, got table", message("ls", {}, { input = {} }))
    assert.matches("option 'grace': number expected", message("ls", {}, { grace = "x" }))
    assert.matches("exclude each other", message("ls", {}, { input = "x", stdin = "null" }))
    assert.matches("^%S+process_end_spec.lua:%d+: bad argument", message {})
  end)
end)

describe("create_subprocess_exec refuses", function()
  local function refuses(n, reason, ...)
    local arguments = table.pack(...)
    local text = raised(function() return 1, exec(table.unpack(arguments, 1, arguments.n)) end)
    assert.equal("string", type(text), tostring(text))
    assert.truthy(text:find(("bad argument #%d to "):format(n), 1, true), text)
    assert.truthy(text:find(reason, 1, true), text)
  end

  it("wrong programs and arguments", function()
    refuses(1, "string expected, got no value")
    refuses(1, "string expected, got number", 5)
    refuses(1, "zero byte", "a\0b")
    refuses(2, "table expected, got string", "ls", "-l")
    refuses(2, "[2]: string expected, got table", "ls", { "-l", {} })
    refuses(2, "[1] contains a zero byte", "ls", { "a\0b" })
    assert.matches("bad argument #1 to 'create_subprocess_shell'", raised(function() return 1, shell {} end))
    assert.matches("bad argument #2 to 'create_subprocess_shell' %(unknown option 'x'%)",
      raised(function() return 1, shell("ls", { x = 1 }) end))
    assert.matches("bad argument #2 to 'create_subprocess_shell' %(option 'cwd'",
      raised(function() return 1, shell("ls", { cwd = 1 }) end))
  end)

  it("wrong options", function()
    refuses(3, "table expected", "ls", nil, 5)
    refuses(3, "unknown option 'std'", "ls", nil, { std = 5 })
    for _, name in ipairs { "stdin", "stdout", "stderr" } do
      refuses(3, ("option '%s': unknown value 'x'"):format(name), "ls", nil, { [name] = "x" })
      refuses(3, ("option '%s': descriptor expected, got boolean"):format(name), "ls", nil, { [name] = true })
      refuses(3, "not negative", "ls", nil, { [name] = -1 })
    end
    refuses(3, "option 'stdout': unknown value 'stdout'", "ls", nil, { stdout = "stdout" })
    refuses(3, "option 'cwd': string expected", "ls", nil, { cwd = 5 })
    refuses(3, "option 'cwd' contains a zero byte", "ls", nil, { cwd = "a\0b" })
    refuses(3, "option 'env': table expected", "ls", nil, { env = "A=1" })
    refuses(3, "a name is a string without '='", "ls", nil, { env = { ["A=B"] = "1" } })
    refuses(3, "a name is a string without '='", "ls", nil, { env = { "A" } })
    refuses(3, "the value of 'A' is no string", "ls", nil, { env = { A = true } })
    refuses(3, "option 'env' contains a zero byte", "ls", nil, { env = { A = "\0" } })
    refuses(3, "option 'uid'", "ls", nil, { uid = "root" })
    refuses(3, "option 'uid': -1 is out of range", "ls", nil, { uid = -1 })
    refuses(3, "option 'detached': boolean expected", "ls", nil, { detached = 1 })
    refuses(3, "option 'pass_fds': table expected", "ls", nil, { pass_fds = 5 })
    refuses(3, "option 'pass_fds': descriptor expected", "ls", nil, { pass_fds = { "x" } })
    local process = exec("true", nil, { stdin = "null" })
    process:wait()
    refuses(3, "descriptor expected, got Process", "ls", nil, { stdin = process })
  end)

  it("descriptors that are not open", function()
    assert.equal("EBADF", raised(exec, "true", nil, { stdout = 9999 }).code)
    assert.equal("EBADF", raised(exec, "true", nil, { pass_fds = { 9999 } }).code)
    local stream, other = eddy.pipe()
    stream:close()
    other:close()
    assert.is_true(eddy.is_error(raised(exec, "true", nil, { stdin = stream }), eddy.RuntimeError))
  end)

  it("to work without a loop #plain", function()
    assert.is_true(eddy.is_error(raised(exec, "true"), eddy.RuntimeError))
  end)
end)
