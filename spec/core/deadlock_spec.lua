local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

local raised = calls.raised

local function future() return eddy.get_running_loop():create_future() end

-- Waits for what nobody will ever settle.
local function wait_for_ever() return eddy.await(future()) end

local function deadlock_of(main, options)
  local runner = eddy.Runner(options)
  local err = raised(runner.run, runner, main)
  assert.is_true(eddy.is_error(err, eddy.DeadlockError), tostring(err))
  runner:close()
  return err
end

local function line_of(f) return debug.getinfo(f, "S").linedefined end

describe("A deadlock #plain", function()
  it("raises DeadlockError from run", function()
    local err = raised(eddy.run, wait_for_ever)
    assert.is_true(eddy.is_error(err, eddy.DeadlockError))
    assert.is_string(err.message)
  end)

  it("raises DeadlockError on a virtual clock, too", function()
    deadlock_of(wait_for_ever, { clock = "virtual" })
  end)

  it("raises DeadlockError from run_until_complete", function()
    local loop <close> = eddy.new_event_loop()
    local err = raised(loop.run_until_complete, loop, loop:create_future())
    assert.is_true(eddy.is_error(err, eddy.DeadlockError))
  end)

  it("lists every task, what it waits in and where", function()
    local function worker() eddy.await(future()) end
    local function main()
      eddy.create_task(worker):set_name("worker")
      eddy.gather(eddy.create_task(worker))
    end
    local text = tostring(deadlock_of(main))
    local here = "spec/core/deadlock_spec.lua:"
    assert.matches("<Task 'main' pending, waiting in gather at [^\n]*" .. here .. line_of(main) + 2 .. ">", text)
    assert.matches("<Task 'worker' pending, waiting in await at [^\n]*" .. here .. line_of(worker) .. ">", text)
    assert.matches("<Task 'Task%-3' pending, waiting in await at [^\n]*" .. here .. line_of(worker) .. ">", text)
  end)

  it("names every kind of wait", function()
    local kinds = {
      await = function(f) eddy.await(f) end,
      gather = function(f) eddy.gather(f) end,
      wait = function(f) eddy.wait { f } end,
      as_completed = function(f) eddy.as_completed({ f })() end,
      shield = function(f) eddy.shield(f) end,
      map = function(f) eddy.map(function() eddy.await(f) end, { 1 }) end,
      TaskGroup = function(f) eddy.TaskGroup(function(tg) tg:create_task(eddy.await, f) end) end,
      ["TaskGroup:start"] = function(f) eddy.TaskGroup(function(tg) tg:start(function() eddy.await(f) end) end) end,
      sleep = function() eddy.sleep(math.huge) end,
    }
    local text = tostring(deadlock_of(function()
      for kind, wait in pairs(kinds) do eddy.create_task(wait, future()):set_name("in " .. kind) end
      wait_for_ever()
    end))
    for kind in pairs(kinds) do
      local line = ("<Task 'in %s' pending, waiting in %s at [^\n]*deadlock_spec.lua:%%d+>"):format(kind, kind)
      assert.matches(line, text)
    end
  end)

  it("is no deadlock while a timer is pending", function()
    local runner <close> = eddy.Runner { clock = "virtual" }
    assert.equal("settled", runner:run(function()
      local f = future()
      eddy.get_running_loop():call_later(1e6, f.set_result, f, "settled")
      return eddy.await(f)
    end))
  end)

  it("is one again when the timer was cancelled", function()
    deadlock_of(function()
      local handle = eddy.get_running_loop():call_later(1e6, print)
      eddy.get_running_loop():call_soon(handle.cancel, handle)
      wait_for_ever()
    end)
  end)

  it("is one when tasks await each other in a circle", function()
    local text = tostring(deadlock_of(function()
      local a, b
      a = eddy.create_task(function() return eddy.await(b) end):set_name("a")
      b = eddy.create_task(function() return eddy.await(a) end):set_name("b")
      return eddy.await(a)
    end))
    assert.matches("'a'", text)
    assert.matches("'b'", text)
  end)

  it("is listed in part when there are very many", function()
    local err = deadlock_of(function()
      for _ = 1, 1000 do eddy.create_task(wait_for_ever) end
      wait_for_ever()
    end)
    local _, lines = err.message:gsub("\n", "\n")
    assert.is_true(lines > 50 and lines < 200)
    assert.matches("%.%.%.$", err.message)
  end)

  it("ends as always: all are cancelled and unwind, then the loop is closed", function()
    local log, loop = {}, nil
    local function waiter(name)
      return function()
        local _ <close> = setmetatable({}, { __close = function(_, err)
          eddy.sleep(0)
          log[#log + 1] = name .. " " .. tostring(eddy.is_error(err, eddy.CancelledError))
        end })
        wait_for_ever()
      end
    end
    local err = raised(eddy.run, function()
      loop = eddy.get_running_loop()
      eddy.create_task(waiter "child")
      waiter "main" ()
    end)
    assert.is_true(eddy.is_error(err, eddy.DeadlockError))
    assert.same({ "child true", "main true" }, (table.sort(log) or log))
    assert.is_true(loop:is_closed())
  end)

  it("leaves a Runner usable", function()
    local runner <close> = eddy.Runner()
    local err = raised(runner.run, runner, wait_for_ever)
    assert.is_true(eddy.is_error(err, eddy.DeadlockError))
    assert.equal("fine", runner:run(eddy.sleep, 0, "fine"))
  end)

  it("can be ended by what the host does between two runs", function()
    local runner <close> = eddy.Runner()
    local f = runner:get_loop():create_future()
    local task
    raised(runner.run, runner, function()
      task = eddy.create_task(eddy.await, f)
      eddy.await(task)
    end)
    f:set_result("late")
    assert.equal("late", runner:run(function() return eddy.await(task) end))
  end)

  it("that comes again while all unwind is reported, and the loop is closed", function()
    local folder = support.folder {}
    finally(function() support.remove(folder) end)
    local out, err, status = support.plain(folder, [[
      warn "@on"
      local eddy = require "eddy"
      local loop
      local ok, err = pcall(eddy.run, function()
        loop = eddy.get_running_loop()
        pcall(function() loop:create_future():await() end)
        loop:create_future():await()
      end)
      print(eddy.is_error(err, eddy.DeadlockError), loop:is_closed())]])
    assert.same({ "true\ttrue\n", 0 }, { out, status })
    assert.matches("<Task 'main' pending, waiting in await at [^\n]*app.lua:7>", err)
  end)
end)
