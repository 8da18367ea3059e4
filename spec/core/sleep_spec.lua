-- eddy.sleep: the simplest wait.

local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

describe("eddy.sleep #virtual", function()
  it("returns after the delay", function()
    eddy.sleep(2.5)
    assert.equal(2.5, eddy.time())
  end)

  it("returns its other arguments, nils too", function()
    assert.same({ "a", nil, 3, nil, n = 4 }, table.pack(eddy.sleep(1, "a", nil, 3, nil)))
    assert.same({ false, n = 1 }, table.pack(eddy.sleep(0, false)))
  end)

  it("returns nothing when there is nothing to return", function()
    assert.equal(0, select("#", eddy.sleep(1)))
    assert.equal(0, select("#", eddy.sleep(0)))
  end)

  it("lets all that is ready run before sleep(0) returns", function()
    local log = {}
    eddy.create_task(function() table.insert(log, "task") end)
    eddy.get_running_loop():call_soon(table.insert, log, "callback")
    assert.same({}, log)
    eddy.sleep(0)
    assert.same({ "task", "callback" }, log)
  end)

  for name, delay in pairs { ["0"] = 0, ["-0.0"] = -0.0, ["a negative one"] = -5, ["-inf"] = -math.huge } do
    it("suspends for exactly one turn when the delay is " .. name, function()
      local turns = 0
      local counter = eddy.create_task(function()
        while true do
          turns = turns + 1
          eddy.sleep(0)
        end
      end)
      for turn = 1, 5 do
        eddy.sleep(delay)
        assert.equal(turn, turns)
      end
      assert.equal(0, eddy.time())
      counter:cancel()
    end)
  end

  it("wakes sleepers in the order of their deadlines", function()
    local log, tasks = {}, {}
    for _, delay in ipairs { 3, 1, 2, 0.5, 2.5 } do
      table.insert(tasks, eddy.create_task(function()
        eddy.sleep(delay)
        table.insert(log, delay)
      end))
    end
    eddy.wait(tasks)
    assert.same({ 0.5, 1, 2, 2.5, 3 }, log)
  end)

  it("sleeps for ever for math.huge, until it is cancelled", function()
    local task = eddy.create_task(eddy.sleep, math.huge)
    eddy.sleep(1e9)
    assert.is_false(task:done())
    task:cancel()
    eddy.sleep(0)
    assert.is_true(task:cancelled())
  end)

  it("takes a delay of more than 292 years for for ever", function()
    local task = eddy.create_task(eddy.sleep, 1e300)
    eddy.sleep(1e9)
    assert.is_false(task:done())
    task:cancel()
  end)

  it("rounds the shortest delay up, so that it never returns early", function()
    eddy.sleep(1e-12)
    assert.equal(1e-9, eddy.time())
  end)

  it("accepts an integer and a float alike", function()
    eddy.sleep(1)
    eddy.sleep(1.0)
    assert.equal(2, eddy.time())
  end)

  it("raises CancelledError when the task is cancelled, at once", function()
    local woken_at
    local task = eddy.create_task(function()
      local _, err = pcall(eddy.sleep, 100)
      woken_at = eddy.time()
      error(err, 0)
    end)
    eddy.sleep(1)
    task:cancel("enough")
    local err = calls.raised_as(eddy.CancelledError, eddy.await, task)
    assert.equal("enough", err.message)
    assert.equal(1, woken_at)
  end)

  it("goes on sleeping for the full time after a cancelled sleep", function()
    local task = eddy.create_task(function()
      pcall(eddy.sleep, 5)
      eddy.sleep(10)
      return eddy.time()
    end)
    eddy.sleep(1)
    task:cancel()
    assert.equal(11, eddy.await(task))
  end)

  it("says in the task's text that it waits", function()
    local task = eddy.create_task(function() eddy.sleep(1) end):set_name("dreamer")
    eddy.sleep(0)
    assert.matches("^<Task 'dreamer' pending, waiting in sleep at .*sleep_spec.lua:%d+>$", tostring(task))
    eddy.await(task)
  end)

  it("refuses NaN", function()
    assert.has_error(function() eddy.sleep(0 / 0) end, "bad argument #1 to 'sleep' (NaN is not a time)")
  end)

  it("refuses what is no number", function()
    local sleep = eddy.sleep
    local function message(...)
      local _, err = pcall(function(...) return (sleep(...)) end, ...)
      return err:match("bad argument.*")
    end
    assert.equal("bad argument #1 to 'sleep' (number expected, got string)", message("1"))
    assert.equal("bad argument #1 to 'sleep' (number expected, got no value)", message())
    assert.equal("bad argument #1 to 'sleep' (number expected, got nil)", message(nil, 1))
    assert.equal("bad argument #1 to 'sleep' (number expected, got table)", message({}))
  end)
end)

describe("eddy.sleep #plain", function()
  it("removes its timer when it is cancelled: nothing is left to wait for", function()
    local runner <close> = eddy.Runner { clock = "virtual" }
    local loop = runner:get_loop()
    local ok, err = pcall(runner.run, runner, function()
      local task = eddy.create_task(eddy.sleep, 3600)
      eddy.sleep(1)
      task:cancel()
      loop:create_future():await()   -- a timer would make time jump before this is known to be hopeless
    end)
    assert.is_false(ok)
    assert.is_true(eddy.is_error(err, eddy.DeadlockError))
    assert.equal(1, loop:time())
  end)

  it("wakes ten thousand that sleep for the same time in the order in which they lay down", function()
    local order = {}
    testing.virtual_clock(function()
      local tasks = {}
      for i = 1, 10000 do
        tasks[i] = eddy.create_task(function()
          eddy.sleep(1)
          order[#order + 1] = i
        end)
      end
      eddy.wait(tasks)
    end)
    assert.equal(10000, #order)
    for i, n in ipairs(order) do assert(i == n, "out of order") end
  end)

  it("never returns early on the real clock", function()
    eddy.run(function()
      for _ = 1, 5 do
        local start = eddy.time()
        eddy.sleep(0.003)
        assert.is_true(eddy.time() - start >= 0.003)
      end
    end)
  end)

  it("needs a running task", function()
    local err = calls.raised_as(eddy.RuntimeError, eddy.sleep, 1)
    assert.equal("RuntimeError: 'sleep' needs a running task; start one with eddy.run(f)", tostring(err))
  end)
end)
