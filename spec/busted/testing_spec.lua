local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

describe("eddy.testing.virtual_clock #plain", function()
  it("runs a function on virtual time and returns its results", function()
    local real = eddy.time()
    local time, name = testing.virtual_clock(function(name)
      eddy.sleep(3600)
      return eddy.get_running_loop():time(), name
    end, "argument")
    assert.same({ 3600, "argument" }, { time, name })
    assert.is_true(eddy.time() - real < 60)
  end)

  it("shuffles in the same way for the same seed", function()
    local function order(seed)
      return testing.virtual_clock({ seed = seed }, function()
        local seen = {}
        eddy.gather(eddy.map(function(i)
          return eddy.create_task(function() seen[#seen + 1] = i end)
        end, { 1, 2, 3, 4, 5, 6, 7, 8 }, { concurrency = 1 }))
        return table.concat(seen, " ")
      end)
    end
    assert.equal(order(1), order(1))
    local orders = {}
    for seed = 1, 20 do orders[order(seed)] = true end
    assert.is_true(next(orders, (next(orders))) ~= nil, "20 seeds, one order")
  end)

  it("raises what the function raises", function()
    local value = {}
    local err = calls.raised(testing.virtual_clock, function() error(value) end)
    assert.equal(value, err)
  end)
end)

describe("eddy.testing #virtual", function()
  it("advance lets all run that falls due", function()
    local seen = {}
    local tasks = {}
    for _, delay in ipairs { 1, 2, 5, 6 } do
      tasks[#tasks + 1] = eddy.create_task(function()
        eddy.sleep(delay)
        seen[#seen + 1] = delay
      end)
    end
    testing.checkpoint()
    testing.advance(5)
    assert.same({ 1, 2, 5 }, seen)
    assert.equal(5, eddy.get_running_loop():time())
    eddy.gather(tasks)
  end)

  it("checkpoint lets the others make so many steps", function()
    local steps = 0
    local task = eddy.create_task(function()
      while true do
        steps = steps + 1
        eddy.sleep(0)
      end
    end)
    testing.checkpoint(3)
    task:cancel()
    assert.equal(3, steps)
  end)

  it("assert_no_leaks names what is left", function()
    local task = eddy.create_task(eddy.sleep, 60):set_name("straggler")
    local ok, err = pcall(testing.assert_no_leaks)
    task:cancel()
    assert.is_false(ok)
    assert.matches("left behind: 1 .*'straggler' pending, waiting in sleep", err)
  end)

  it("assert_no_leaks minds what a function leaves, and returns its results", function()
    local task = eddy.create_task(eddy.sleep, 60)
    assert.equal("done", testing.assert_no_leaks(function(...) return eddy.sleep(1, ...) end, "done"))
    assert.has_error(function()
      testing.assert_no_leaks(eddy.create_task, eddy.sleep, 90)
    end)
    for _, other in ipairs(eddy.all_tasks()) do
      if other ~= eddy.current_task() then other:cancel() end
    end
    assert.is_false(task:done())
    testing.checkpoint()
    testing.assert_no_leaks()
  end)
end)

describe("eddy.testing.ledger #plain", function()
  local names = { "loops", "tasks", "ready", "timers", "generators", "handles", "requests", "anchors", "slots" }

  it("counts what a state holds, and is even again at the end", function()
    local before = testing.ledger()
    local runner = eddy.Runner { clock = "virtual" }
    local during = runner:run(function()
      local loop = eddy.get_running_loop()
      eddy.create_task(eddy.sleep, 5)
      loop:call_later(7, print)
      eddy.generator(function(yield) yield(1) yield(2) end)():next()
      loop:call_soon(print, "never")
      eddy.current_task():add_done_callback(function() end)
      eddy.create_task(eddy.sleep, 0)
      local ledger = testing.ledger()
      eddy.sleep(0)
      ledger.timers = testing.ledger().timers
      return ledger
    end)
    runner:close()
    for name, n in pairs { loops = 1, tasks = 3, timers = 2, generators = 1, ready = 3, anchors = 3 } do
      assert.equal(n, during[name] - before[name], name)
    end
    assert.is_true(during.slots - before.slots >= 3)
    assert.is_true(during.bytes > 1000)
    local after = testing.ledger()
    for _, name in ipairs(names) do assert.equal(before[name], after[name], name) end
  end)

  it("knows of errors that nobody has looked at, until they are collected", function()
    local reports = 0
    eddy.Runner { exception_handler = function() reports = reports + 1 end }:run(function()
      local before = testing.ledger().unretrieved
      eddy.create_task(error, "boom")
      eddy.sleep(0)
      eddy.sleep(0)
      assert.equal(before + 1, testing.ledger().unretrieved + reports)
      collectgarbage()
      assert.equal(before, testing.ledger().unretrieved)
    end)
    assert.equal(1, reports)
  end)
end)
