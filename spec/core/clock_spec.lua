-- Real and virtual time, eddy.time, and the seed that shuffles what is ready.

local eddy = require "eddy"
local testing = require "eddy.testing"

describe("the virtual clock #plain", function()
  it("starts at 0", function()
    assert.equal(0, testing.virtual_clock(eddy.time))
    assert.equal(0, eddy.new_event_loop { clock = "virtual" }:time())
  end)

  it("jumps to the next timer when nothing else can run", function()
    local times = testing.virtual_clock(function()
      local seen = {}
      for _, delay in ipairs { 0.25, 3600, 86400 * 365 } do
        eddy.sleep(delay)
        seen[#seen + 1] = eddy.time()
      end
      return seen
    end)
    assert.same({ 0.25, 3600.25, 86400 * 365 + 3600.25 }, times)
  end)

  it("stands still while something is ready", function()
    testing.virtual_clock(function()
      local late = eddy.create_task(eddy.sleep, 1e-9)
      for _ = 1, 1000 do eddy.sleep(0) end
      assert.equal(0, eddy.time())
      assert.is_false(late:done())
    end)
  end)

  it("stands still while a task computes", function()
    testing.virtual_clock(function()
      local sum = 0
      for i = 1, 1000000 do sum = sum + i end
      assert.equal(500000500000, sum)
      assert.equal(0, eddy.time())
    end)
  end)

  it("does not drift: deadlines are whole nanoseconds", function()
    testing.virtual_clock(function()
      for _ = 1, 1000 do eddy.sleep(0.1) end
      assert.equal(100, eddy.time())
    end)
  end)

  it("lets equal deadlines fire in the order in which they were made", function()
    local log = {}
    testing.virtual_clock(function()
      local loop = eddy.get_running_loop()
      eddy.create_task(function() eddy.sleep(3) table.insert(log, "third") end)
      loop:call_later(3, table.insert, log, "first")
      loop:call_at(3, table.insert, log, "second")
      eddy.sleep(0)
      loop:call_later(3, table.insert, log, "fourth")
      eddy.sleep(3)
      table.insert(log, "last")
    end)
    assert.same({ "first", "second", "third", "fourth", "last" }, log)
  end)

  it("goes on where it was in the next run on the same loop", function()
    local runner <close> = eddy.Runner { clock = "virtual" }
    runner:run(eddy.sleep, 5)
    assert.equal(5, runner:get_loop():time())
    assert.equal(7, runner:run(function()
      eddy.sleep(2)
      return eddy.time()
    end))
  end)

  it("ends the same way each time", function()
    local function story()
      local log = {}
      testing.virtual_clock(function()
        local tasks = {}
        for i = 1, 20 do
          tasks[i] = eddy.create_task(function()
            for step = 1, 5 do
              eddy.sleep((i * 7 + step * 3) % 11 / 10)
              log[#log + 1] = ("%d.%d at %.9f"):format(i, step, eddy.time())
            end
          end)
        end
        eddy.wait(tasks)
      end)
      return table.concat(log, "\n")
    end
    assert.equal(story(), story())
  end)

  it("belongs to its loop alone", function()
    local runner <close> = eddy.Runner { clock = "virtual" }
    runner:run(eddy.sleep, 1000)
    assert.equal(0, testing.virtual_clock(eddy.time))
  end)

  it("is one of two clocks", function()
    assert.has_error(function() eddy.new_event_loop { clock = "vrtual" } end,
      "bad argument #1 to 'new_event_loop' (option 'clock': unknown value 'vrtual')")
    assert.has_error(function() eddy.Runner { clock = true } end,
      "bad argument #1 to 'Runner' (option 'clock': string expected, got boolean)")
    eddy.new_event_loop { clock = "real" }:close()
  end)
end)

describe("eddy.time #plain", function()
  it("is monotonic, also without a loop", function()
    local before = eddy.time()
    assert.equal("float", math.type(before))
    for _ = 1, 100 do
      local now = eddy.time()
      assert.is_true(now >= before)
      before = now
    end
  end)

  it("is the running loop's time", function()
    testing.virtual_clock(function()
      eddy.sleep(12)
      assert.equal(12, eddy.time())
      assert.equal(12, eddy.get_running_loop():time())
    end)
  end)

  it("goes on while a task computes on the real clock", function()
    eddy.run(function()
      local start = eddy.time()
      repeat until eddy.time() > start
      assert.is_true(eddy.get_running_loop():time() > start)
    end)
  end)

  it("is the same clock in and out of a loop", function()
    local before = eddy.time()
    local inside = eddy.run(eddy.time)
    assert.is_true(before <= inside and inside <= eddy.time())
  end)
end)

describe("a seed #plain", function()
  -- The order in which ten tasks make their three steps.
  local function order(seed)
    local log = {}
    testing.virtual_clock({ seed = seed }, function()
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = eddy.create_task(function()
          for _ = 1, 3 do
            log[#log + 1] = i
            eddy.sleep(0)
          end
        end)
      end
      eddy.wait(tasks)
    end)
    return log
  end

  it("gives the same order each time", function()
    for seed = 1, 10 do assert.same(order(seed), order(seed)) end
  end)

  it("gives another order than none, where tasks run in the order in which they were made", function()
    local plain = order()
    for i = 1, 30 do assert.equal((i - 1) % 10 + 1, plain[i]) end
    for seed = 1, 10 do assert.not_same(plain, order(seed)) end
  end)

  it("gives other seeds other orders", function()
    local seen, different = {}, 0
    for seed = 1, 20 do
      local text = table.concat(order(seed), " ")
      if not seen[text] then different = different + 1 end
      seen[text] = true
    end
    assert.is_true(different >= 19, "only " .. different)
  end)

  it("shuffles each turn anew", function()
    local log = order(7)
    local turns = { table.concat(log, " ", 1, 10), table.concat(log, " ", 11, 20), table.concat(log, " ", 21, 30) }
    assert.is_false(turns[1] == turns[2] and turns[2] == turns[3])
  end)

  it("lets every ready task make one step a turn", function()
    for seed = 1, 10 do
      local log = order(seed)
      for turn = 0, 2 do
        local seen = {}
        for i = 1, 10 do seen[log[turn * 10 + i]] = true end
        assert.equal(10, #seen)
      end
    end
  end)

  it("leaves callbacks in their order", function()
    local log = {}
    testing.virtual_clock({ seed = 3 }, function()
      for i = 1, 20 do
        eddy.create_task(function() end)
        eddy.get_running_loop():call_soon(table.insert, log, i)
      end
      eddy.sleep(0)
      eddy.sleep(0)
    end)
    for i = 1, 20 do assert.equal(i, log[i]) end
  end)

  it("shuffles those that one event wakes", function()
    local function woken(seed)
      local log = {}
      testing.virtual_clock({ seed = seed }, function()
        local future, tasks = eddy.get_running_loop():create_future(), {}
        for i = 1, 10 do
          tasks[i] = eddy.create_task(function()
            future:await()
            log[#log + 1] = i
          end)
        end
        eddy.sleep(1)
        future:set_result()
        eddy.wait(tasks)
      end)
      return log
    end
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, woken())
    assert.not_same(woken(), woken(5))
    assert.same(woken(5), woken(5))
  end)

  it("is an integer", function()
    assert.has_error(function() eddy.Runner { seed = "x" } end,
      "bad argument #1 to 'Runner' (option 'seed': integer expected, got string)")
    assert.has_error(function() eddy.Runner { seed = 1.5 } end,
      "bad argument #1 to 'Runner' (option 'seed': an integer is expected)")
  end)
end)
