-- What SIGINT does. The scripts run in processes of their own and send it to themselves.

local support = require "spec.command.support"

describe("SIGINT #plain", function()
  local folder
  setup(function() folder = support.folder {} end)
  teardown(function() support.remove(folder) end)

  -- Runs a script, to which `interrupt()` sends SIGINT, and `interrupt_later()` soon, wherever it is then. Returns its
  -- output, what it wrote on stderr, its exit status.
  local function run(code)
    return support.plain(folder, [[
      io.stdout:setvbuf "no"
      local eddy = require "eddy"
      -- not os.execute, which ignores SIGINT itself meanwhile
      local function interrupt() io.popen("kill -INT $PPID"):close() end
      local function interrupt_later()
        local pipe = io.popen("read line; kill -INT $PPID", "w")
        pipe:write("now\n")
        pipe:flush()
        return pipe
      end
      local function shown(...)
        local texts = table.pack(...)
        for i = 1, texts.n do texts[i] = tostring(texts[i]) end
        return table.concat(texts, " ")
      end
    ]] .. code)
  end

  -- The same of the body of a main function; the script prints last what run raises, or returns.
  local function run_main(body)
    return run("print(shown(select(2, pcall(eddy.run, function()\n" .. body .. "\nend))))")
  end

  it("cancels main, and run raises Interrupted", function()
    local out, _, status = run [[
      local ok, err = pcall(eddy.run, function()
        local _ <close> = setmetatable({}, { __close = function(_, err)
          eddy.sleep(0)
          print("main", eddy.is_error(err, eddy.CancelledError))
        end })
        eddy.get_running_loop():call_soon(interrupt)
        eddy.sleep(60)
      end)
      print(ok, eddy.is_error(err, eddy.Interrupted))]]
    assert.same({ "main\ttrue\nfalse\ttrue\n", 0 }, { out, status })
  end)

  it("wakes a loop that waits in the kernel", function()
    local out = run_main [[
      interrupt_later()
      eddy.sleep(60)]]
    assert.equal("Interrupted\n", out)
  end)

  it("cancels what main waits for, with asyncio's meaning", function()
    local out = run_main [[
      local inner = eddy.create_task(function()
        local _ <close> = setmetatable({}, { __close = function() print "inner" end })
        eddy.sleep(60)
      end)
      eddy.get_running_loop():call_soon(interrupt)
      eddy.await(inner)]]
    assert.equal("inner\nInterrupted\n", out)
  end)

  it("that main takes lets run return normally", function()
    local out, _, status = run [[
      print(shown(eddy.run(function()
        eddy.get_running_loop():call_soon(interrupt)
        local ok, err = pcall(eddy.sleep, 60)
        eddy.sleep(0)
        return "returned", ok, eddy.is_error(err, eddy.CancelledError)
      end)))]]
    assert.same({ "returned false true\n", 0 }, { out, status })
  end)

  it("lets another error of main through", function()
    local out = run [[
      print(pcall(eddy.run, function()
        eddy.get_running_loop():call_soon(interrupt)
        pcall(eddy.sleep, 60)
        error("boom", 0)
      end))]]
    assert.equal("false\tboom\n", out)
  end)

  it("interrupts code that never waits", function()
    local out = run_main [[
      interrupt_later()
      while true do end]]
    assert.equal("Interrupted\n", out)
  end)

  it("interrupts a callback that never ends", function()
    local out = run_main [[
      eddy.get_running_loop():call_soon(function()
        interrupt_later()
        while true do end
      end)
      eddy.sleep(60)]]
    assert.equal("Interrupted\n", out)
  end)

  it("interrupts another task than main that never waits", function()
    local out = run_main [[
      eddy.create_task(function()
        interrupt_later()
        while true do end
      end)
      eddy.sleep(60)]]
    assert.equal("Interrupted\n", out)
  end)

  it("interrupts code in one of eddy's coroutines that never waits", function()
    local out = run_main [[
      eddy.coroutine.wrap(function()
        interrupt_later()
        interrupt_later()
        while true do end
      end)()]]
    assert.equal("Interrupted\n", out)
  end)

  it("a second time raises at once, and main is cancelled then", function()
    local out = run_main [[
      local _ <close> = setmetatable({}, { __close = function() print "main ends" end })
      eddy.get_running_loop():call_soon(interrupt)
      print("first", pcall(eddy.sleep, 60))
      eddy.get_running_loop():call_soon(interrupt)
      eddy.sleep(60)
      print "not here"]]
    assert.equal("first\tfalse\tCancelledError\nmain ends\nInterrupted\n", out)
  end)

  it("a second time raises out of code that computes, through what took the first", function()
    local out = run_main [[
      eddy.get_running_loop():call_soon(interrupt)
      pcall(eddy.sleep, 60)
      interrupt_later()
      while true do end]]
    assert.equal("Interrupted\n", out)
  end)

  it("that computing code catches is over: the run goes on, and ends normally", function()
    local out = run [[
      print(eddy.run(function()
        interrupt_later()
        local ok, err = pcall(function() while true do end end)
        print(ok, shown(err))
        eddy.sleep(0.01)
        return "done"
      end))]]
    assert.equal("false\tInterrupted\ndone\n", out)
  end)

  it("that another task than main catches is over, too", function()
    local out = run [[
      print(eddy.run(function()
        eddy.create_task(function()
          interrupt_later()
          print(pcall(function() while true do end end))
        end):await()
        return "done"
      end))]]
    assert.equal("false\tInterrupted\ndone\n", out)
  end)

  it("that a pcall far out catches ends nothing; the error itself does", function()
    local out = run_main [[
      interrupt_later()
      local ok, err = pcall(function() while true do end end)
      error(err, 0)]]
    assert.equal("Interrupted\n", out)
  end)

  it("ends the run when another task than main has not caught it, also after cleaning up", function()
    local out = run_main [[
      eddy.create_task(function()
        local _ <close> = setmetatable({}, { __close = function() eddy.sleep(0.01) print "cleaned up" end })
        interrupt_later()
        while true do end
      end)
      eddy.sleep(60)]]
    assert.equal("cleaned up\nInterrupted\n", out)
  end)

  it("that was caught counts: the next one is the second", function()
    local out = run_main [[
      interrupt_later()
      print(pcall(function() while true do end end))
      eddy.get_running_loop():call_soon(interrupt)
      eddy.sleep(60)]]
    assert.equal("false\tInterrupted\nInterrupted\n", out)
  end)

  it("cancels the tasks left as always", function()
    local out = run_main [[
      eddy.create_task(function()
        local _ <close> = setmetatable({}, { __close = function() eddy.sleep(0) print "cleaned up" end })
        eddy.sleep(60)
      end)
      eddy.get_running_loop():call_soon(interrupt)
      eddy.sleep(60)]]
    assert.equal("cleaned up\nInterrupted\n", out)
  end)

  it("at the end of the loop leaves tasks that will not end", function()
    local out, err = run_main [[
      eddy.create_task(function()
        pcall(eddy.sleep, 60)
        eddy.get_running_loop():call_soon(interrupt)
        eddy.sleep(60)
        print "not here"
      end)
      eddy.sleep(0)
      return "main's result"]]
    assert.same({ "Interrupted\n", "" }, { out, err })
  end)

  it("interrupts one run of a Runner, and the next one is as before", function()
    local out = run [[
      local runner <close> = eddy.Runner()
      local function main()
        eddy.get_running_loop():call_soon(interrupt)
        eddy.sleep(60)
      end
      print(select(2, pcall(runner.run, runner, main)))
      print(select(2, pcall(runner.run, runner, main)))
      print(runner:run(eddy.sleep, 0, "fine"))]]
    assert.equal("Interrupted\nInterrupted\nfine\n", out)
  end)

  it("interrupts run_forever", function()
    local out = run [[
      local loop <close> = eddy.new_event_loop()
      loop:call_soon(interrupt)
      print(select(2, pcall(loop.run_forever, loop)))]]
    assert.equal("Interrupted\n", out)
  end)

  it("that nobody catches is an error of the script", function()
    local out, err, status = run [[
      eddy.run(function()
        eddy.get_running_loop():call_soon(interrupt)
        eddy.sleep(60)
      end)
      print "not here"]]
    assert.same({ "", 1 }, { out, status })
    assert.matches("Interrupted", err)
  end)

  it("is the process's own again after run", function()
    local out, _, status = run [[
      eddy.run(eddy.sleep, 0)
      print "before"
      interrupt()   -- ends the process, or raises in the script if the interpreter wants that
      for _ = 1, 1e6 do end
      print "not here"]]
    assert.equal("before\n", out)
    assert.are_not.equal(0, status)
  end)
end)
