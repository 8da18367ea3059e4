-- Signals as something to wait for. Signals come from a shell, whose parent we are, and have arrived when it has ended.

local eddy = require "eddy"
local support = require "spec.command.support"

local function kill(...)
  for _, name in ipairs { ... } do io.popen("kill -" .. name .. " $PPID"):close() end
end

local function settle()   -- libuv has told what has come
  for _ = 1, 3 do eddy.sleep(0.002) end
end

local function disposition(number)   -- of this process, as the kernel tells it: "ignored", "caught" or "default"
  local status = assert(io.open("/proc/self/status")):read("a")
  local function has(field)
    local mask = tonumber(status:match(field .. ":%s*(%x+)"), 16)
    return mask >> (number - 1) & 1 == 1
  end
  return has "SigIgn" and "ignored" or has "SigCgt" and "caught" or "default"
end

local USR1, USR2 = 10, 12

describe("eddy.signals", function()
  it("yields the names of signals in the order in which they come", function()
    local seen = {}
    local task = eddy.create_task(function()
      for name in eddy.signals("SIGUSR1", "SIGUSR2", "SIGHUP") do
        seen[#seen + 1] = name
        if name == "SIGHUP" then break end
      end
    end)
    eddy.sleep(0)
    kill("USR2", "USR1", "USR2", "HUP")
    task:await()
    assert.same({ "SIGUSR2", "SIGUSR1", "SIGUSR2", "SIGHUP" }, seen)
  end)

  it("keeps what comes before the first step and between two steps", function()
    local signals <close> = eddy.signals("SIGUSR1", "SIGUSR2")
    kill("USR1", "USR2")
    settle()
    assert.equal("SIGUSR1", signals())
    assert.equal("SIGUSR2", signals:next())
    assert.is_nil(signals:next_nowait())
  end)

  it("gives a signal once, also if a finalizer takes it while its name is made", function()
    local names, taken = { "VTALRM", "XFSZ" }, {}
    local signals <close> = eddy.signals("SIG" .. names[1], "SIG" .. names[2])
    kill(names[1], names[2])
    settle()
    local mode = collectgarbage "generational"
    finally(function() collectgarbage(mode) end)
    collectgarbage()                    -- no string has the name now: to make it takes memory
    collectgarbage "stop"
    setmetatable({}, { __gc = function() table.insert(taken, 1, signals:next_nowait()) end })
    collectgarbage "restart"            -- from here on whatever takes memory collects
    local second = signals:next_nowait()
    assert.is_nil(signals:next_nowait())
    taken[#taken + 1] = second
    for i, name in ipairs(names) do assert.equal("SIG" .. name, taken[i]) end
    assert.equal(2, #taken)
  end)

  it("gives every signal to every iterator", function()
    local one <close> = eddy.signals("SIGUSR1")
    local two <close> = eddy.signals("SIGUSR1", "SIGUSR2")
    kill("USR1")
    assert.same({ "SIGUSR1", "SIGUSR1" }, { one(), two() })
  end)

  it("gives the signal back when the loop is left, by break, by an error, by a cancellation", function()
    assert.equal("default", disposition(USR1))
    local function listen(how)
      local task = eddy.create_task(function()
        for _ in eddy.signals("SIGUSR1") do
          if how == "error" then error "stop" else break end
        end
      end)
      eddy.sleep(0)
      assert.equal("caught", disposition(USR1))
      if how == "cancel" then task:cancel() else kill("USR1") end
      pcall(eddy.await, task)
      assert.equal("default", disposition(USR1))
    end
    listen "break"
    listen "error"
    listen "cancel"
  end)

  it("is as before also where the signal was ignored", function()
    local out = support.sh [[trap "" USR1; "$EDDY" -e '
      local function ignored()
        local mask = io.open("/proc/self/status"):read("a"):match("SigIgn:%s*(%x+)")
        return tonumber(mask, 16) >> 9 & 1 == 1
      end
      local signals = eddy.signals("SIGUSR1")
      print(ignored())
      local other = eddy.signals("SIGUSR1")
      signals:close()
      print(ignored())
      other:close()
      print(ignored())']]
    assert.equal("false\nfalse\ntrue\n", out)
  end)

  it("listens once to a signal that is named twice", function()
    local signals <close> = eddy.signals("SIGUSR1", "SIGUSR1")
    assert.equal("<Signals SIGUSR1>", tostring(signals))
    kill("USR1")
    assert.equal("SIGUSR1", signals())
    settle()
    assert.is_nil(signals:next_nowait())
  end)

  it("ends for those who wait when it is closed", function()
    local signals = eddy.signals("SIGUSR1")
    local task = eddy.create_task(function() return "end", signals() end)
    eddy.sleep(0)
    signals:close()
    signals:close()
    assert.same({ "end" }, { task:await() })
    assert.is_nil(signals())
    assert.equal("<Signals closed>", tostring(signals))
  end)

  it("loses no signal to a task that is cancelled after it was woken", function()
    local first, second
    local function cancel_first()
      local signals <close> = eddy.signals("SIGUSR1")
      if signals() then first:cancel() end
    end
    eddy.TaskGroup(function(group)   -- some of them are told before the first, and run between its wake and its step
      for _ = 1, 8 do group:create_task(cancel_first) end
      eddy.sleep(0)
      local signals = eddy.signals("SIGUSR1")
      first, second = eddy.create_task(signals.next, signals), eddy.create_task(signals.next, signals)
      for _ = 1, 8 do group:create_task(cancel_first) end
      eddy.sleep(0)
      kill("USR1")
      eddy.wait({ first, second }, { return_when = "FIRST_COMPLETED" })
      if first:cancelled() then assert.equal("SIGUSR1", (second:await())) end
      signals:close()
    end)
    pcall(eddy.await, second)
  end)

  it("reaches the loops of all threads", function()
    local own <close> = eddy.signals("SIGUSR1")
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = eddy.create_task(eddy.to_thread, function()
        local signals <close> = require("eddy").signals("SIGUSR1")
        return signals()
      end)
    end
    local sender = eddy.create_task(function()   -- until all of them listen
      while true do
        kill("USR1")
        eddy.sleep(0.01)
      end
    end)
    assert.same({ "SIGUSR1", "SIGUSR1", "SIGUSR1", n = 3 }, eddy.gather(tasks))
    sender:cancel()
    pcall(eddy.await, sender)
    assert.equal("SIGUSR1", own())
  end)

  it("bears a storm", function()
    local signals <close> = eddy.signals("SIGUSR1", "SIGUSR2")
    local shell = io.popen("i=0; while [ $i -lt 100000 ]; do kill -USR1 $PPID; i=$((i+1)); done; kill -USR2 $PPID", "w")
    local n = 0
    while signals() == "SIGUSR1" do n = n + 1 end
    shell:close()
    assert.is_true(n >= 1)
  end)

  it("bears a storm that nobody looks at, and forgets no kind of signal", function()
    local signals <close> = eddy.signals("SIGUSR1", "SIGUSR2")
    local shell = io.popen("i=0; while [ $i -lt 2000 ]; do kill -USR1 $PPID; i=$((i+1)); done; kill -USR2 $PPID", "w")
    shell:close()
    settle()
    local n, name = 0
    repeat
      name = signals()
      n = n + 1
    until name == "SIGUSR2"
    assert.is_true(n > 1 and n <= 257)
  end)

  it("checks its arguments", function()
    local function message(...) return select(2, pcall(eddy.signals, ...)) end
    assert.matches("bad argument #1 to 'signals' %(name of a signal expected, got no value%)", message())
    assert.matches("bad argument #2 to 'signals' %(unknown signal 'TERM'%)", message("SIGINT", "TERM"))
    assert.matches("bad argument #1 to 'signals' %(SIGKILL cannot be handled%)", message("SIGKILL"))
    assert.matches("bad argument #1 to 'signals' %(SIGSEGV cannot be handled%)", message("SIGSEGV"))
    assert.matches("no number of a signal", message(1000))
    assert.matches("unknown signal", message("SIGTERM\0"))
    assert.equal("default", disposition(USR1))
  end)

  it("warns of one that was forgotten, and gives the signal back", function()
    local out, err = support.eddy { "-e", [[
      do local _ = eddy.signals("SIGUSR1") end
      collectgarbage() collectgarbage()
      print(#eddy._handles())
      eddy.sleep(0.01)
      print(#eddy._handles())]] }
    assert.equal("1\n0\n", out)
    assert.matches("ResourceWarning: unclosed signals SIGUSR1 opened at", err)
  end)
end)

describe("eddy.select over signals", function()
  it("returns the index and the name", function()
    local signals <close> = eddy.signals("SIGUSR1", "SIGUSR2")
    local queue = eddy.Queue()
    eddy.create_task(kill, "USR2")
    assert.same({ 2, "SIGUSR2" }, { eddy.select { queue, signals, 5 } })
    assert.same({ 3 }, { eddy.select { queue, signals, 0.001 } })
  end)

  it("takes nothing from those that come second", function()
    local one <close> = eddy.signals("SIGUSR1")
    local two <close> = eddy.signals("SIGUSR1")
    kill("USR1")
    assert.same({ 1, "SIGUSR1" }, { eddy.select { one, two } })
    assert.equal("SIGUSR1", two())
  end)
end)

describe("loop:add_signal_handler", function()
  it("calls the function with its arguments for each signal, until it is removed", function()
    local loop, calls = eddy.get_running_loop(), {}
    loop:add_signal_handler("SIGUSR1", function(...) calls[#calls + 1] = table.pack(...) end, "a", nil, "b")
    kill("USR1")
    settle()
    kill("USR1")
    settle()
    assert.same({ table.pack("a", nil, "b"), table.pack("a", nil, "b") }, calls)
    assert.is_true(loop:remove_signal_handler("SIGUSR1"))
    assert.is_false(loop:remove_signal_handler("SIGUSR1"))
    assert.equal("default", disposition(USR1))
  end)

  it("replaces the handler that is there, and keeps the signal meanwhile", function()
    local loop, event = eddy.get_running_loop(), eddy.Event()
    loop:add_signal_handler("SIGUSR1", error, "the first one was called")
    loop:add_signal_handler("SIGUSR1", event.set, event)
    kill("USR1")
    event:wait()
    assert.is_true(loop:remove_signal_handler("SIGUSR1"))
  end)

  it("may remove itself, and add itself again, from inside", function()
    local loop, n, event = eddy.get_running_loop(), 0, eddy.Event()
    local function handler()
      n = n + 1
      assert.is_true(loop:remove_signal_handler("SIGUSR1"))
      if n < 3 then loop:add_signal_handler("SIGUSR1", handler) end
      event:set()
    end
    loop:add_signal_handler("SIGUSR1", handler)
    for i = 1, 3 do
      event:clear()
      kill("USR1")
      event:wait()
      assert.equal(i, n)
    end
    assert.equal("default", disposition(USR1))
  end)

  it("gives errors to the exception handler and goes on", function()
    local loop, told, event = eddy.get_running_loop(), {}, eddy.Event()
    local before = loop:get_exception_handler()
    loop:set_exception_handler(function(_, context)
      told[#told + 1] = context.exception
      event:set()
    end)
    finally(function() loop:set_exception_handler(before) end)
    loop:add_signal_handler("SIGUSR1", error, "first")
    for _ = 1, 2 do
      event:clear()
      kill("USR1")
      event:wait()
    end
    loop:remove_signal_handler("SIGUSR1")
    assert.same({ "first", "first" }, told)
  end)

  it("stands beside iterators", function()
    local loop, event = eddy.get_running_loop(), eddy.Event()
    local signals = eddy.signals("SIGUSR2")
    loop:add_signal_handler("SIGUSR2", event.set, event)
    kill("USR2")
    event:wait()
    assert.equal("SIGUSR2", signals())
    loop:remove_signal_handler("SIGUSR2")
    kill("USR2")
    assert.equal("SIGUSR2", signals())
    signals:close()
    assert.equal("default", disposition(USR2))
  end)

  it("checks its arguments", function()
    local loop = eddy.get_running_loop()
    assert.error_matches(function() loop:add_signal_handler("SIGUSR1") end, "function expected")
    assert.error_matches(function() loop:add_signal_handler("SIGSTOP", print) end, "SIGSTOP cannot be handled")
    assert.error_matches(function() loop:add_signal_handler(nil, print) end, "bad argument #1")
    assert.error_matches(function() loop:remove_signal_handler("x") end, "unknown signal 'x'")
    assert.equal("default", disposition(USR1))
  end)

  it("is gone with its loop #plain", function()
    local loop = eddy.new_event_loop()
    loop:add_signal_handler("SIGUSR1", print)
    assert.equal("caught", disposition(USR1))
    loop:close()
    assert.equal("default", disposition(USR1))
  end)

  it("serves several loops #plain", function()
    local calls = {}
    local one <close> = eddy.new_event_loop()
    local two <close> = eddy.new_event_loop()
    for i, loop in ipairs { one, two } do
      loop:add_signal_handler("SIGUSR1", function()
        calls[#calls + 1] = i
        loop:stop()
      end)
    end
    kill("USR1")
    one:run_forever()
    two:run_forever()
    assert.same({ 1, 2 }, calls)
    one:close()
    assert.equal("caught", disposition(USR1))
    two:close()
    assert.equal("default", disposition(USR1))
  end)
end)

describe("A SIGINT handler of one's own", function()
  local function run(code)
    local out, err, status = support.eddy { "-e", [[
      local function interrupt() io.popen('kill -INT $PPID'):close() end
      local function caught()
        local mask = io.open("/proc/self/status"):read("a"):match("SigCgt:%s*(%x+)")
        return tonumber(mask, 16) >> 1 & 1 == 1
      end
    ]] .. code }
    return out, err, status
  end

  it("replaces run's", function()
    local out, err, status = run [[
      eddy.create_task(function() interrupt() end)
      for name in eddy.signals("SIGINT") do print(name) break end]]
    assert.same({ "SIGINT\n", "", 0 }, { out, err, status })
  end)

  it("gives it back to run", function()
    local out, _, status = run [[
      eddy.create_task(interrupt)
      for name in eddy.signals("SIGINT") do print(name) break end
      interrupt()
      print(pcall(eddy.sleep, 60))
      print(caught())]]
    assert.matches("^SIGINT\nfalse\tCancelledError", out)
    assert.equal(0, status)
  end)

  it("lives through the end of a run and leaves the disposition of before", function()
    local out, err, status = run [[
      print(pcall(eddy.run, function()
        local loop = eddy.get_running_loop()
        loop:add_signal_handler("SIGINT", function() print "handled" end)
        eddy.create_task(function()
          pcall(eddy.sleep, 60)
          interrupt()          -- while the tasks left are awaited
          eddy.sleep(0.01)
          print "cleaned up"
        end)
        interrupt()
        eddy.sleep(0.01)
      end))
      print(caught())]]
    assert.same({ "handled\nhandled\ncleaned up\ntrue\ntrue\n", "", 0 }, { out, err, status })
  end)

  it("leaves a SIGINT that was ignored ignored", function()
    local out = support.sh [[trap "" INT; "$EDDY" -e '
      eddy.run(function()
        eddy.get_running_loop():add_signal_handler("SIGINT", print, "handled")
        io.popen("kill -INT $PPID"):close()
        eddy.sleep(0.01)
      end)
      io.popen("kill -INT $PPID"):close()
      eddy.sleep(0.01)
      print "still here"']]
    assert.equal("handled\nstill here\n", out)
  end)
end)
