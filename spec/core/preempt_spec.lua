-- The option `preempt`: tasks that compute for long give way by themselves. `preempt = 0`: every 100 instructions.

local eddy = require "eddy"
local inner_busted = require "spec.support.inner_busted"

local function compute(n)
  local sum = 0
  for i = 1, n or 20000 do sum = sum + i % 7 end
  return sum
end

-- Runs f in a loop that preempts; returns what f returns.
local function run(f, options)
  local runner <close> = eddy.Runner(options or { preempt = 0 })
  return runner:run(f)
end

-- How often another task gets a turn while f() runs in a task of its own; and what f returns.
local function turns_while(f)
  local task = eddy.create_task(f)
  local turns = 0
  while not task:done() do
    turns = turns + 1
    eddy.sleep(0)
  end
  return turns, eddy.await(task)
end

describe("A loop that preempts #plain", function()
  local function nest(n, f)
    if n == 0 then return f() end
    return eddy.coroutine.wrap(nest)(n - 1, f)
  end

  local computations = {
    ["a task that computes"] = compute,
    ["an async function"] = function() return eddy.await(eddy.async(compute)()) end,
    ["a coroutine"] = function() return eddy.coroutine.wrap(compute)() end,
    ["a coroutine in a coroutine"] = function() return nest(2, compute) end,
    ["a coroutine deep inside others"] = function() return nest(40, compute) end,
    ["a generator"] = function()
      local each = eddy.generator(function(yield) yield(compute()) end)
      local result
      for sum in each() do result = sum end
      return result
    end,
    ["a pcall, a metamethod, an iterator, a <close> handler"] = function()
      local sums = {}
      local object = setmetatable({}, { __index = function() return compute() end,
        __close = function() sums[3] = compute() end })
      sums[1] = select(2, pcall(compute))
      for sum in function() if not sums[2] then return compute() end end do sums[2] = sum end
      do local _ <close> = object end
      assert(sums[1] == sums[2] and sums[2] == sums[3])
      return object.sum
    end,
    ["a coroutine that was made outside"] = false,
  }
  local outside = eddy.coroutine.wrap(compute)
  computations["a coroutine that was made outside"] = function() return outside() end

  for name, f in pairs(computations) do
    it("lets others run meanwhile: " .. name, function()
      local turns, sum = run(function() return turns_while(f) end)
      assert.is_true(turns > 100, "only " .. turns .. " turns")
      assert.equal(compute(), sum)
    end)
  end

  it("does so after the time that was given", function()
    local turns = run(function()
      return turns_while(function()
        local stop = os.clock() + 0.1
        while os.clock() < stop do end
      end)
    end, { preempt = 0.01 })
    assert.is_true(turns >= 3 and turns < 100, turns .. " turns")
  end)

  it("lets timers and sockets have their turn", function()
    run(function()
      local over = false
      local busy = eddy.create_task(function() while not over do end end)
      local a, b = eddy.stream_pair()
      a:write("over\n")
      assert.equal("over", b:read())
      eddy.sleep(0.01)
      a:close()
      b:close()
      over = true
      eddy.await(busy)
    end, { preempt = 0.001 })
  end)
end)

describe("A loop that preempts #plain,", function()
  it("delivers a cancellation at the next wait, not in the middle of a computation", function()
    local done, ok, err = run(function()
      local done
      local task = eddy.create_task(function()
        compute()
        done = true
        eddy.sleep(1)
      end)
      eddy.sleep(0)
      eddy.sleep(0)
      task:cancel("enough")
      return done, pcall(eddy.await, task)
    end)
    assert.is_nil(done)
    assert.is_false(ok)
    assert.equal("enough", err.message)
  end)

  it("leaves the debug hooks that a script sets alone", function()
    run(function()
      local lines = 0
      local turns = turns_while(function()
        debug.sethook(function() lines = lines + 1 end, "l")
        compute()
        assert(debug.gethook())
        debug.sethook()
      end)
      assert(lines > 20000)
      assert(turns < 10, turns)
      assert(turns_while(function()
        debug.sethook(print, "", 1000000)
        debug.sethook()
        eddy.sleep(0)
        compute()
      end) > 100)
    end)
  end)

  it("lets be what cannot be suspended: comparisons, finalizers, coroutines of Lua's own, closing by it", function()
    run(function()
      local sums = {}
      local turns = turns_while(function()
        local list = { 3, 1, 2 }
        table.sort(list, function(a, b) sums[1] = compute() return a < b end)
        setmetatable({}, { __gc = function() sums[2] = compute() end })
        collectgarbage()
        collectgarbage()
        local own = coroutine.create(function() sums[3] = compute() coroutine.yield() end)
        assert(coroutine.resume(own))
        local closed = coroutine.create(function()
          local _ <close> = setmetatable({}, { __close = function() sums[4] = compute() end })
          coroutine.yield()
        end)
        assert(coroutine.resume(closed))
        assert(coroutine.close(closed))
      end)
      assert(turns < 20, turns)
      for i = 1, 4 do assert(sums[i] == compute()) end
    end)
  end)

  it("leaves nothing behind on coroutines that a loop without it uses next", function()
    run(function() for _ = 1, 10 do eddy.create_task(compute) end end)
    local turns, hook = eddy.run(function()
      local n = turns_while(compute)
      compute()
      return n, debug.gethook()
    end)
    assert.equal(1, turns)
    assert.is_nil(hook)
  end)

  it("says where a task is that has given way", function()
    run(function()
      local task = eddy.create_task(compute):set_name "busy"
      eddy.sleep(0)
      eddy.sleep(0)
      assert.matches("^<Task 'busy' pending at spec/core/preempt_spec.lua:8>$", tostring(task))
      assert.equal(8, task:get_stack()[1].currentline)
      eddy.await(task)
    end)
  end)

  it("is off by default, and with math.huge", function()
    for _, options in ipairs { {}, { preempt = math.huge } } do
      assert.equal(1, (run(function() return turns_while(compute) end, options)))
    end
  end)

  it("keeps a deadline that passes while its task computes: it expires at the next wait", function()
    local ok, err = pcall(run, function()
      eddy.timeout(0.01, function()
        local stop = os.clock() + 0.03
        while os.clock() < stop do end
        eddy.sleep(0)
      end)
    end, { preempt = 0.001 })
    assert.is_false(ok)
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
  end)
end)

describe("A script that meddles with a task that has given way #plain:", function()
  local function given_way(f)
    local thread
    local task = eddy.create_task(function()
      thread = coroutine.running()
      return f()
    end)
    eddy.sleep(0)
    eddy.sleep(0)
    return task, thread
  end

  for name, lib in pairs { ["Lua's"] = coroutine, ["eddy's"] = eddy.coroutine } do
    it("resumed by " .. name .. " coroutine.resume it goes on as its own", function()
      run(function()
        local task, thread = given_way(compute)
        for _ = 1, 3 do lib.resume(thread) end
        assert.equal(compute(), eddy.await(task))
      end)
    end)
  end

  it("resumed by eddy's coroutine.resume it does not go on in the task that did it", function()
    run(function()
      local stop, ended_in
      local task, thread = given_way(function()
        while not stop do end
        ended_in = eddy.current_task()
      end)
      stop = true
      assert.is_false((eddy.coroutine.resume(thread)))
      eddy.await(task)
      assert.equal(task, ended_in)
    end)
  end)

  it("closed by Lua's coroutine.close it fails", function()
    run(function()
      local task, thread = given_way(compute)
      coroutine.close(thread)
      local ok, err = pcall(eddy.await, task)
      assert.is_false(ok)
      assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    end)
  end)

  it("cannot be closed by eddy's", function()
    run(function()
      local task, thread = given_way(compute)
      assert.error_matches(function() eddy.coroutine.close(thread) end, "belongs to another task")
      assert.equal(compute(), eddy.await(task))
    end)
  end)

  it("resumed just before its end it still ends in its own step", function()
    for n = 1, 60 do
      run(function()
        local task, thread = given_way(function() compute(n) return n end)
        if thread and coroutine.status(thread) == "suspended" then coroutine.resume(thread) end
        assert.equal(n, eddy.await(task))
      end)
    end
  end)
end)

describe("With preemption every 100 instructions #plain", function()
  for _, file in ipairs { "core/as_completed", "core/clock", "core/context", "core/generator", "core/runner" } do
    it("spec/" .. file .. "_spec.lua passes", function()
      local output, status = inner_busted.run(
        ("assert(loadfile('spec/%s_spec.lua', 't', _ENV))()"):format(file), "", "EDDY_TEST_PREEMPT=0")
      assert.equal(0, status, output)
      assert.matches("[1-9]%d* successes / 0 failures / 0 errors", output)
    end)
  end
end)
