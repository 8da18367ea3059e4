local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

local raised, at_end = calls.raised, calls.closing

local function is_runtime_error(err) return eddy.is_error(err, eddy.RuntimeError) end

-- A Runner with a virtual clock.
local function virtual(options)
  options = options or {}
  options.clock = "virtual"
  return eddy.Runner(options)
end

describe("eddy.run #plain", function()
  it("gives main its arguments and returns its results", function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(eddy.run(function(...)
      eddy.sleep(0)
      return ...
    end, 1, nil, 3)))
  end)

  it("raises main's error, the same value", function()
    local err = { code = 7 }
    assert.equal(err, (raised(eddy.run, function() error(err) end)))
    assert.equal("text", raised(eddy.run, error, "text"))
    assert.equal(nil, raised(eddy.run, error, nil))
  end)

  it("ends tasks that wait for each other, beside others", function()
    local ended, runner = 0, virtual()
    local function await(other)
      local _ <close> = at_end(function() ended = ended + 1 end)
      eddy.await(other())
    end
    runner:run(function()
      local a, b
      a = eddy.create_task(await, function() return b end)
      b = eddy.create_task(await, function() return a end)
      eddy.create_task(eddy.sleep, 60)
      eddy.sleep(0)
    end)
    runner:close()
    assert.equal(2, ended)
  end)

  it("takes a Coroutine, an async function and an object with __await", function()
    assert.equal("coroutine", eddy.run(eddy.async(eddy.sleep)(0, "coroutine")))
    assert.equal("function", eddy.run(eddy.async(eddy.sleep), 0, "function"))
    assert.equal("object", eddy.run(setmetatable({}, { __await = function() return eddy.sleep(0, "object") end })))
  end)

  it("raises a bad argument for anything else", function()
    assert.matches("bad argument #1 to 'run' %(awaitable expected, got no value", raised(function() eddy.run() end))
    assert.matches("bad argument #1 to 'run' %(awaitable expected, got number", raised(function() eddy.run(1) end))
  end)

  it("calls the task of main as the Runner is called", function()
    local runner <close> = eddy.Runner { name = "worker" }
    local function name() return eddy.current_task():get_name() end
    assert.equal("worker", runner:run(name))
    assert.equal("worker", runner:run(name))
    assert.equal("<Runner 'worker' open>", tostring(runner))
    assert.equal("<Loop 'worker' idle>", tostring(runner:get_loop()))
  end)

  it("calls the task of main 'main'", function()
    assert.equal("main", eddy.run(function() return eddy.current_task():get_name() end))
  end)

  it("has a new loop each time, which is closed at the end", function()
    local a, b = eddy.run(eddy.get_running_loop), eddy.run(eddy.get_running_loop)
    assert.are_not.equal(a, b)
    assert.is_true(a:is_closed() and b:is_closed())
    assert.is_true(is_runtime_error(raised(eddy.get_running_loop)))
  end)

  it("closes the loop when main has failed, too", function()
    local loop
    raised(eddy.run, function()
      loop = eddy.get_running_loop()
      error "boom"
    end)
    assert.is_true(loop:is_closed())
  end)

  it("raises RuntimeError inside a running loop, and the loop goes on", function()
    local inner = false
    local err, after = eddy.run(function()
      local err = raised(eddy.run, function() inner = true end)
      return err, eddy.sleep(0, "after")
    end)
    assert.is_true(is_runtime_error(err))
    assert.matches("'run' cannot be called from a running loop", tostring(err))
    assert.equal("after", after)
    assert.is_false(inner)
  end)

  it("raises RuntimeError inside a callback of a running loop", function()
    local err
    eddy.run(function()
      eddy.get_running_loop():call_soon(function() err = raised(eddy.run, function() end) end)
      eddy.sleep(0)
    end)
    assert.is_true(is_runtime_error(err))
  end)

  it("raises CancelledError when main was cancelled", function()
    local err = raised(eddy.run, function()
      eddy.current_task():cancel("by myself")
      eddy.sleep(0)
    end)
    assert.is_true(eddy.is_error(err, eddy.CancelledError))
    assert.equal("by myself", err.message)
  end)

  it("works again after a run that failed", function()
    raised(eddy.run, error, "boom")
    assert.equal("fine", eddy.run(eddy.sleep, 0, "fine"))
  end)

  it("works in a plain coroutine outside of a loop", function()
    local co = coroutine.wrap(function() return eddy.run(eddy.sleep, 0, "fine") end)
    assert.equal("fine", co())
  end)
end)

describe("The end of eddy.run #plain", function()
  it("cancels the tasks left, in the order of their creation", function()
    local log = {}
    eddy.run(function()
      for i = 1, 3 do
        eddy.create_task(function()
          local _ <close> = at_end(function(err)
            log[#log + 1] = i .. " " .. tostring(eddy.is_error(err, eddy.CancelledError))
          end)
          eddy.sleep(i == 2 and 60 or math.huge)
        end)
      end
      eddy.sleep(0)
    end)
    assert.same({ "1 true", "2 true", "3 true" }, log)
  end)

  it("never starts the bodies of tasks that are made while tasks unwind", function()
    local ran, task = false, nil
    eddy.run(function()
      eddy.create_task(function()
        local _ <close> = at_end(function() task = eddy.create_task(function() ran = true end) end)
        eddy.sleep(math.huge)
      end)
      eddy.sleep(0)
    end)
    assert.is_false(ran)
    assert.is_true(task:cancelled())
  end)

  it("awaits their cleanup", function()
    local log = {}
    local runner = virtual()
    local loop = runner:get_loop()
    runner:run(function()
      eddy.create_task(function()
        local _ <close> = at_end(function()
          eddy.sleep(10)
          log[1] = loop:time()
        end)
        eddy.sleep(math.huge)
      end)
      eddy.sleep(1)
    end)
    assert.same({}, log)
    runner:close()
    assert.same({ 11 }, log)
  end)

  it("cancels each task once", function()
    local task
    eddy.run(function()
      task = eddy.create_task(function()
        pcall(eddy.sleep, math.huge)
        for _ = 1, 10 do eddy.sleep(0) end   -- a second cancellation would end this
        return "stubborn"
      end)
      eddy.sleep(0)
    end)
    assert.equal("stubborn", task:result())
    assert.equal(1, task:cancelling())
  end)

  it("cancels tasks made meanwhile, too", function()
    local child
    eddy.run(function()
      eddy.create_task(function()
        local _ <close> = at_end(function()
          eddy.sleep(0)
          child = eddy.create_task(eddy.sleep, math.huge)
          eddy.sleep(0)
        end)
        eddy.sleep(math.huge)
      end)
      eddy.sleep(0)
    end)
    assert.is_true(child:cancelled())
  end)

  it("cancels tasks left when main has failed, and raises main's error then", function()
    local cleaned = false
    assert.equal("boom", raised(eddy.run, function()
      eddy.create_task(function()
        local _ <close> = at_end(function()
          eddy.sleep(0)
          cleaned = true
        end)
        eddy.sleep(math.huge)
      end)
      eddy.sleep(0)
      error("boom", 0)
    end))
    assert.is_true(cleaned)
  end)

  it("reports the errors of tasks that were left", function()
    local reports = {}
    local runner = eddy.Runner { exception_handler = function(_, ctx) reports[#reports + 1] = ctx end }
    runner:run(function()
      eddy.create_task(function()
        pcall(eddy.sleep, math.huge)
        error("cleanup", 0)
      end):set_name("stubborn")
      eddy.sleep(0)
    end)
    runner:close()
    assert.equal(1, #reports)
    assert.equal("cleanup", reports[1].exception)
    assert.equal("stubborn", reports[1].task:get_name())
    assert.matches("while the loop was ending", reports[1].message)
  end)

  it("lets a task that was left await another one that was", function()
    local order = {}
    eddy.run(function()
      local inner = eddy.create_task(function()
        local _ <close> = at_end(function()
          eddy.sleep(0)
          order[#order + 1] = "inner"
        end)
        eddy.sleep(math.huge)
      end)
      eddy.create_task(function()
        local _ <close> = at_end(function() order[#order + 1] = "outer" end)
        eddy.await(inner)
      end)
      eddy.sleep(0)
    end)
    assert.same({ "inner", "outer" }, order)
  end)

  it("drops callbacks and timers that are left", function()
    local called = false
    eddy.run(function()
      eddy.get_running_loop():call_later(60, function() called = true end)
    end)
    assert.is_false(called)
  end)

  it("leaves done tasks as they are", function()
    local task
    eddy.run(function()
      task = eddy.create_task(eddy.sleep, 0, "result", 2)
      eddy.await(task)
    end)
    assert.same({ "result", 2 }, { task:result() })
    assert.is_nil(task:get_loop())
  end)
end)

describe("A task that goes on at the end of the loop #plain", function()
  local folder
  setup(function() folder = support.folder {} end)
  teardown(function() support.remove(folder) end)

  it("is cancelled again after shutdown_timeout", function()
    local times = {}
    local runner = virtual { shutdown_timeout = 3 }
    local loop = runner:get_loop()
    runner:run(function()
      eddy.create_task(function()
        for i = 1, 4 do
          pcall(eddy.sleep, math.huge)
          times[i] = loop:time()
        end
      end)
      eddy.sleep(1)
    end)
    runner:close()
    assert.same({ 1, 4, 7, 10 }, times)
  end)

  it("is not cancelled again without one", function()
    local ended
    local runner = virtual()
    local loop = runner:get_loop()
    runner:run(function()
      eddy.create_task(function()
        pcall(eddy.sleep, math.huge)
        eddy.sleep(4)
        ended = loop:time()
      end)
      eddy.sleep(1)
    end)
    runner:close()
    assert.equal(5, ended)
  end)

  it("is named in a warning after 5 seconds, with its place", function()
    local out, err, status = support.plain(folder, [[
      local eddy = require "eddy"
      warn "@on"
      local runner <close> = eddy.Runner { clock = "virtual" }
      runner:run(function()
        eddy.create_task(function()
          pcall(eddy.sleep, 60)
          eddy.sleep(4.5)   -- less than 5 s
          eddy.sleep(1)
        end):set_name("stubborn")
        eddy.sleep(0)
      end)]])
    assert.same({ "", 0 }, { out, status })
    assert.matches("^Lua warning: [^\n]*<Task 'stubborn' pending, waiting in sleep at [^\n]*app.lua:8>\n$", err)
  end)

  it("is not mentioned when it ends in time", function()
    assert.same({ "", "", 0 }, { support.plain(folder, [[
      local eddy = require "eddy"
      warn "@on"
      local runner <close> = eddy.Runner { clock = "virtual" }
      runner:run(function()
        eddy.create_task(function()
          pcall(eddy.sleep, 60)
          eddy.sleep(4.5)
        end)
        eddy.sleep(0)
      end)]]) })
  end)
end)

describe("eddy.Runner #plain", function()
  it("runs several mains on one loop", function()
    local runner <close> = eddy.Runner()
    local loop = runner:get_loop()
    assert.equal(loop, runner:run(eddy.get_running_loop))
    assert.equal(loop, runner:run(eddy.get_running_loop))
    assert.is_false(loop:is_closed())
    assert.is_false(loop:is_running())
  end)

  it("lets tasks go on in the next run", function()
    local runner <close> = virtual()
    local task = runner:run(function()
      local task = eddy.create_task(eddy.sleep, 10, "result")
      eddy.sleep(1)
      return task
    end)
    assert.is_false(task:done())
    assert.equal("result", runner:run(function() return eddy.await(task) end))
    assert.equal(10, runner:get_loop():time())
  end)

  it("runs a task of its loop", function()
    local runner <close> = eddy.Runner()
    local task = runner:run(function() return eddy.create_task(eddy.sleep, 0, "result") end)
    assert.equal("result", runner:run(task))
  end)

  it("raises RuntimeError for a task of another loop", function()
    local runner <close> = eddy.Runner()
    local other <close> = eddy.Runner()
    local task = runner:run(function() return eddy.create_task(eddy.sleep, 0) end)
    assert.is_true(is_runtime_error(raised(other.run, other, task)))
    runner:run(task)
  end)

  it("gives main its arguments and returns its results, or raises its error", function()
    local runner <close> = eddy.Runner()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(runner:run(eddy.sleep, 0, 1, nil, 3)))
    local err = {}
    assert.equal(err, (raised(runner.run, runner, error, err)))
    assert.equal("fine", runner:run(eddy.sleep, 0, "fine"))
  end)

  it("cancels the tasks left when it is closed, not before", function()
    local runner = eddy.Runner()
    local task = runner:run(function() return eddy.create_task(eddy.sleep, math.huge) end)
    runner:run(eddy.sleep, 0)
    assert.is_false(task:done())
    runner:close()
    assert.is_true(task:cancelled())
  end)

  it("closes its loop, also at the end of its scope", function()
    local loop
    do
      local runner <close> = eddy.Runner()
      loop = runner:get_loop()
    end
    assert.is_true(loop:is_closed())
  end)

  it("may be closed twice, and without a run", function()
    local runner = eddy.Runner()
    runner:close()
    runner:close()
    local other <close> = eddy.Runner()
    other:run(eddy.sleep, 0)
    other:close()
  end)

  it("refuses run and get_loop after close", function()
    local runner = eddy.Runner()
    runner:close()
    for _, name in ipairs { "run", "get_loop" } do
      local err = raised(runner[name], runner, function() end)
      assert.is_true(is_runtime_error(err))
      assert.matches("the Runner is closed", tostring(err))
    end
  end)

  it("refuses to run inside its own run, or inside another's", function()
    local runner <close> = eddy.Runner()
    local other <close> = eddy.Runner()
    runner:run(function()
      assert.is_true(is_runtime_error(raised(runner.run, runner, function() end)))
      assert.is_true(is_runtime_error(raised(other.run, other, function() end)))
    end)
    assert.equal("fine", other:run(eddy.sleep, 0, "fine"))
  end)

  it("refuses to be closed inside a run", function()
    local runner <close> = eddy.Runner()
    local other <close> = eddy.Runner()
    other:run(eddy.sleep, 0)
    runner:run(function()
      assert.is_true(is_runtime_error(raised(runner.close, runner)))
      assert.is_true(is_runtime_error(raised(other.close, other)))
    end)
    assert.equal("fine", runner:run(eddy.sleep, 0, "fine"))
    assert.equal("fine", other:run(eddy.sleep, 0, "fine"))
  end)

  it("is closed by its scope when a run raises", function()
    local loop
    raised(function()
      local runner <close> = eddy.Runner()
      loop = runner:get_loop()
      runner:run(error, "boom")
    end)
    assert.is_true(loop:is_closed())
  end)
end)

describe("The options of a Runner #plain", function()
  it("clock = 'virtual' starts time at 0 and lets it jump", function()
    local runner <close> = virtual()
    assert.equal(0, runner:get_loop():time())
    assert.equal(3600, runner:run(function()
      eddy.sleep(3600)
      return eddy.time()
    end))
  end)

  it("debug beats EDDY_DEBUG", function()
    local out = support.sh(([[EDDY_DEBUG=1 %s -e '
      local eddy = require "eddy"
      for _, options in ipairs { {}, { debug = false }, { debug = true } } do
        local runner <close> = eddy.Runner(options)
        print(runner:get_loop():get_debug())
      end']]):format(os.getenv "EDDY_LUA" or "lua5.4"))
    assert.equal("true\nfalse\ntrue\n", out)
    local runner <close> = eddy.Runner { debug = true }
    assert.is_true(runner:get_loop():get_debug())
  end)

  it("exception_handler is the loop's", function()
    local function handler() end
    local runner <close> = eddy.Runner { exception_handler = handler }
    assert.equal(handler, runner:get_loop():get_exception_handler())
  end)

  it("loop_factory makes the loop, once", function()
    local made = {}
    local runner <close> = eddy.Runner { loop_factory = function()
      made[#made + 1] = eddy.new_event_loop { clock = "virtual" }
      return made[#made]
    end }
    assert.equal(0, #made)
    runner:run(eddy.sleep, 60)
    runner:run(eddy.sleep, 60)
    assert.equal(1, #made)
    assert.equal(made[1], runner:get_loop())
    assert.equal(120, made[1]:time())
  end)

  it("seed shuffles the order of ready tasks, repeatably", function()
    local function order(seed)
      local runner <close> = eddy.Runner { seed = seed }
      return runner:run(function()
        local log = {}
        for i = 1, 20 do eddy.create_task(function() log[#log + 1] = i end) end
        eddy.sleep(0)
        return table.concat(log, " ")
      end)
    end
    local plain = order(nil)
    assert.equal(plain, order(nil))
    assert.equal(order(7), order(7))
    assert.are_not.equal(plain, order(7))
    assert.are_not.equal(order(8), order(7))
  end)

  it("are taken as they were when it was made", function()
    local options = { clock = "virtual" }
    local runner <close> = eddy.Runner(options)
    options.clock = nil
    assert.equal(0, runner:get_loop():time())
  end)

  it("are checked when it is made", function()
    local function complaint(options) return raised(function() eddy.Runner(options) end) end
    assert.matches("bad argument #1 to 'Runner' %(unknown option 'clok'%)", complaint { clok = "virtual" })
    assert.matches("unknown value 'vritual'", complaint { clock = "vritual" })
    assert.matches("'debug': boolean expected, got number", complaint { debug = 1 })
    assert.matches("'shutdown_timeout': number expected, got string", complaint { shutdown_timeout = "5" })
    assert.matches("'exception_handler': function expected", complaint { exception_handler = 1 })
    assert.matches("table expected, got string", complaint "virtual")
  end)
end)
