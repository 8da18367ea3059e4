-- Where things meet: cancellations, ends and errors in one turn, very long chains, collectors that collect at once.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised, now, at_end = calls.raised, calls.now, calls.closing

require("eddy.busted").timeout = 120   -- the long chains, under the sanitizers

local MANY = 100000

local function is_cancelled(err) return eddy.is_error(err, eddy.CancelledError) end

local function future() return eddy.get_running_loop():create_future() end

local function turns(n)
  for _ = 1, n do eddy.sleep(0) end
end

-- What pcall has returned; raises the error again. (The assert of busted would put it in a table.)
local function passed_on(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

-- Every kind of wait: waits until the future is settled, and returns its result.
local kinds = {
  ["await"] = function(f) return eddy.await(f) end,
  ["await of a task"] = function(f) return eddy.await(eddy.create_task(eddy.await, f)) end,
  ["await of a Coroutine"] = function(f) return eddy.await(eddy.async(eddy.await)(f)) end,
  ["await of an object"] = function(f)
    return eddy.await(setmetatable({}, { __await = function() return eddy.await(f) end }))
  end,
  ["gather"] = function(f) return eddy.gather(f)[1] end,
  ["gather of several"] = function(f) return eddy.gather(f, eddy.create_task(eddy.await, f), f)[2] end,
  ["wait"] = function(f) return eddy.wait({ f })[1]:result() end,
  ["wait with a timeout"] = function(f) return eddy.wait({ f }, { timeout = 1e6 })[1]:result() end,
  ["as_completed"] = function(f) return eddy.as_completed({ f })():result() end,
  ["as_completed with a timeout"] = function(f) return eddy.as_completed({ f }, { timeout = 1e6 })():result() end,
  ["shield"] = function(f) return eddy.shield(f) end,
  ["wait_for"] = function(f) return eddy.wait_for(f, 1e6) end,
  ["wait_for of a function"] = function(f) return eddy.wait_for(eddy.await, 1e6, f) end,
  ["timeout"] = function(f) return eddy.timeout(1e6, eddy.await, f) end,
  ["a scope of timeout"] = function(f)
    local _ <close> = eddy.timeout(1e6)
    return (eddy.await(f))
  end,
  ["move_on_after"] = function(f) return select(2, eddy.move_on_after(1e6, eddy.await, f)) end,
  ["map"] = function(f) return eddy.map(eddy.await, { f })[1] end,
  ["the body of a TaskGroup"] = function(f) return eddy.TaskGroup(function() return eddy.await(f) end) end,
  ["the end of a TaskGroup"] = function(f)
    local child
    eddy.TaskGroup(function(tg) child = tg:create_task(eddy.await, f) end)
    return child:result()
  end,
  ["the end of a TaskGroup's scope"] = function(f)
    local child
    do
      local tg <close> = eddy.TaskGroup()
      child = tg:create_task(eddy.await, f)
    end
    return child:result()
  end,
  ["TaskGroup:start"] = function(f)
    return eddy.TaskGroup(function(tg)
      return tg:start(function(started) started(eddy.await(f)) end)
    end)
  end,
  ["await in an iterator, a metamethod and a pcall"] = function(f)
    local object = setmetatable({}, { __index = function(_, key) return key == "value" and eddy.await(f) end })
    local function iterate(_, before)
      if before == nil then return passed_on(pcall(function() return object.value end)) end
    end
    local result
    for value in iterate do result = value end
    return result
  end,
  ["await in a __close"] = function(f)
    local value
    do
      local _ <close> = at_end(function() value = eddy.await(f) end)
    end
    return value
  end,
}

-- Makes a test for every kind of wait.
local function for_every_kind(title, test)
  for kind, wait in pairs(kinds) do
    it(title .. " in " .. kind, function() test(wait) end)
  end
end

describe("A cancellation before the first step #virtual", function()
  it("ends the task, whose body never runs, with the message", function()
    local ran = false
    local task = eddy.create_task(function() ran = true end)
    assert.is_true(task:cancel("early"))
    assert.is_false(task:done())
    assert.equal("early", raised(eddy.await, task).message)
    assert.is_true(task:cancelled())
    assert.is_false(ran)
  end)

  it("calls done callbacks and wakes those that wait", function()
    local task, called = eddy.create_task(print), nil
    task:add_done_callback(function(t) called = t:cancelled() end)
    task:cancel()
    eddy.wait { task }
    assert.is_true(called)
  end)

  it("reaches tasks of every kind of awaitable", function()
    local ran = 0
    local function run() ran = ran + 1 end
    local coro = eddy.async(run)()
    for _, aw in ipairs { run, coro, setmetatable({}, { __await = run }) } do
      local task = eddy.create_task(aw)
      task:cancel()
      eddy.wait { task }
      assert.is_true(task:cancelled())
    end
    assert.equal(0, ran)
    assert.is_true(eddy.is_error(raised(eddy.await, coro), eddy.RuntimeError))
  end)

  it("may be followed by another, and both count", function()
    local task = eddy.create_task(print)
    task:cancel "first"
    task:cancel "last"
    assert.equal("last", raised(eddy.await, task).message)
    assert.equal(2, task:cancelling())
  end)
end)

describe("Two cancellations in a turn #virtual", function()
  it("arrive as one, and both count", function()
    local caught = 0
    local task = eddy.create_task(function()
      for _ = 1, 3 do
        if not pcall(eddy.sleep, 1) then caught = caught + 1 end
      end
      return eddy.current_task():cancelling()
    end)
    eddy.sleep(0.5)
    task:cancel()
    task:cancel()
    assert.equal(2, eddy.await(task))
    assert.equal(1, caught)
  end)

  it("bring the first message to a task that waits", function()
    local task = eddy.create_task(eddy.sleep, 60)
    turns(1)
    task:cancel "first"
    task:cancel "last"
    assert.equal("first", raised(eddy.await, task).message)
  end)

  it("bring the last message to a task that is running", function()
    local task = eddy.create_task(function()
      eddy.current_task():cancel "first"
      eddy.current_task():cancel "last"
      eddy.sleep(60)
    end)
    assert.equal("last", raised(eddy.await, task).message)
  end)

  it("arrive as one at the innermost of a chain", function()
    local caught, counts = 0, {}
    local inner = eddy.create_task(function()
      for _ = 1, 3 do
        if not pcall(eddy.sleep, 1) then caught = caught + 1 end
      end
      return "refused"
    end)
    local outer = eddy.create_task(eddy.await, inner)
    eddy.sleep(0.5)
    outer:cancel()
    outer:cancel()
    assert.equal("refused", eddy.await(outer))
    counts[1], counts[2] = outer:cancelling(), inner:cancelling()
    assert.equal(1, caught)
    assert.same({ 2, 2 }, counts)
  end)
end)

describe("A cancellation during cleanup #virtual", function()
  it("interrupts a wait of the cleanup", function()
    local log = {}
    local task = eddy.create_task(function()
      local _ <close> = at_end(function()
        log[#log + 1] = is_cancelled(raised(eddy.sleep, 60)) and now()
        eddy.sleep(1)
        log[#log + 1] = now()
      end)
      eddy.sleep(60)
    end)
    eddy.sleep(1)
    task:cancel "first"
    eddy.sleep(1)
    task:cancel "second"
    assert.equal("first", raised(eddy.await, task).message)
    assert.same({ 2, 3 }, log)
    assert.equal(2, task:cancelling())
  end)

  it("leaves the cleanup as a new CancelledError if that does not take it", function()
    local finished = false
    local task = eddy.create_task(function()
      local _ <close> = at_end(function()
        eddy.sleep(60)
        finished = true
      end)
      eddy.sleep(60)
    end)
    eddy.sleep(1)
    task:cancel "first"
    eddy.sleep(1)
    task:cancel "second"
    assert.equal("second", raised(eddy.await, task).message)
    assert.is_false(finished)
  end)

  it("is replaced by an error that the cleanup raises, and the task has failed", function()
    local task = eddy.create_task(function()
      local _ <close> = at_end(function()
        eddy.sleep(1)
        error("cleanup", 0)
      end)
      eddy.sleep(60)
    end)
    eddy.sleep(1)
    task:cancel()
    assert.equal("cleanup", raised(eddy.await, task))
    assert.is_false(task:cancelled())
  end)

  it("reaches a timeout in the cleanup, which knows its own from it", function()
    local log = {}
    local task = eddy.create_task(function()
      local _ <close> = at_end(function()
        log[#log + 1] = tostring(raised(eddy.timeout, 1, eddy.sleep, 60)):match "^%a+"
        log[#log + 1] = tostring(raised(eddy.timeout, 10, eddy.sleep, 60)):match "^%a+"
      end)
      eddy.sleep(60)
    end)
    eddy.sleep(1)
    task:cancel()
    eddy.sleep(2)
    task:cancel()
    eddy.wait { task }
    assert.same({ "TimeoutError", "CancelledError" }, log)
    assert.equal(2, task:cancelling())
    assert.equal(3, now())
  end)
end)

describe("Cancelling a task that awaits one that refuses #virtual", function()
  local function stubborn(seconds)
    return eddy.create_task(function()
      pcall(eddy.sleep, 60)
      return eddy.sleep(seconds, "all the same")
    end)
  end

  it("gives it the result of the other, and it goes on", function()
    local inner = stubborn(5)
    local outer = eddy.create_task(function()
      local result = eddy.await(inner)
      eddy.sleep(1)
      return result
    end)
    eddy.sleep(1)
    outer:cancel()
    assert.equal("all the same", eddy.await(outer))
    assert.equal(7, now())
    assert.equal(1, outer:cancelling())
  end)

  it("raises CancelledError when the other has ended in that very turn", function()
    local inner = eddy.create_task(eddy.sleep, 1, "result")
    local outer
    inner:add_done_callback(function() outer:cancel() end)   -- called before outer goes on
    outer = eddy.create_task(eddy.await, inner)
    eddy.wait { outer }
    assert.is_true(outer:cancelled())
    assert.equal("result", inner:result())
  end)

  it("does not lose the request of a gather around it", function()
    local inner = stubborn(5)
    local outer = eddy.create_task(eddy.gather, inner, eddy.create_task(eddy.sleep, 60))
    eddy.sleep(1)
    outer:cancel()
    eddy.wait { outer }
    assert.is_true(outer:cancelled())
    assert.equal(6, now())
  end)
end)

describe("Tasks that await each other in a circle #virtual", function()
  it("can be cancelled", function()
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = eddy.create_task(function() return eddy.await(tasks[i % 3 + 1]) end)
    end
    turns(2)
    tasks[1]:cancel()
    local _, pending = eddy.wait(tasks, { timeout = 1 })
    assert.equal(0, #pending)
  end)

  it("can be cancelled when the circle goes through gather", function()
    local a, b
    a = eddy.create_task(function() return eddy.gather(b) end)
    b = eddy.create_task(function() return eddy.gather(a) end)
    turns(2)
    a:cancel()
    local _, pending = eddy.wait({ a, b }, { timeout = 1 })
    assert.equal(0, #pending)
  end)
end)

describe("A timeout and a cancellation in one turn #virtual", function()
  -- Runs body(seconds) in a task, `seconds` being its timeout, and cancels the task in the turn in which that expires.
  local orders = {
    ["from a timer that was started before"] = function(body)
      local task
      eddy.get_running_loop():call_later(1, function() task:cancel "from outside" end)
      task = eddy.create_task(body, 1)
      return task
    end,
    ["from a callback, after the time has run out"] = function(body)
      return eddy.create_task(function()
        local task = eddy.current_task()
        eddy.get_running_loop():call_soon(function() task:cancel "from outside" end)
        body(0)
      end)
    end,
    ["from a task, before the time has run out"] = function(body)
      local task = eddy.create_task(body, 0)
      eddy.create_task(task.cancel, task, "from outside")
      return task
    end,
  }

  for order, start in pairs(orders) do
    it("raise CancelledError, and one cancellation counts, " .. order, function()
      local expired
      local task = start(function(seconds)
        local scope <close> = eddy.timeout(seconds)
        local _ <close> = at_end(function() expired = scope:expired() end)
        eddy.sleep(60)
      end)
      eddy.wait { task }
      assert.is_true(task:cancelled(), tostring(task))
      assert.equal(1, task:cancelling())
      assert.is_true(expired)
    end)

    it("raise CancelledError out of wait_for, " .. order, function()
      local task = start(function(seconds)
        if seconds > 0 then return eddy.wait_for(eddy.sleep, seconds, 60) end
        return eddy.wait_for(eddy.create_task(eddy.sleep, 60), seconds)
      end)
      eddy.wait { task }
      assert.is_true(task:cancelled(), tostring(task))
      assert.equal(1, task:cancelling())
    end)

    it("raise CancelledError out of move_on_after, " .. order, function()
      local after = false
      local task = start(function(seconds)
        eddy.move_on_after(seconds, eddy.sleep, 60)
        after = true
      end)
      eddy.wait { task }
      assert.is_true(task:cancelled(), tostring(task))
      assert.is_false(after)
      assert.equal(1, task:cancelling())
    end)

    it("raise CancelledError out of a group in a timeout, " .. order, function()
      local child
      local task = start(function(seconds)
        eddy.timeout(seconds, eddy.TaskGroup, function(tg) child = tg:create_task(eddy.sleep, 60) end)
      end)
      eddy.wait { task }
      assert.is_true(task:cancelled(), tostring(task))
      assert.is_true(child:cancelled())
      assert.equal(1, task:cancelling())
    end)
  end

  it("leave nothing of the timeout when the cancellation came before and was taken", function()
    local task = eddy.create_task(function()
      local _ <close> = eddy.timeout(1)
      pcall(eddy.sleep, 60)
      return eddy.sleep(0, "taken")
    end)
    eddy.sleep(0.5)
    task:cancel()
    assert.equal("taken", eddy.await(task))
    assert.equal(1, task:cancelling())
  end)
end)

describe("Equal deadlines #virtual", function()
  it("of nested timeouts give one TimeoutError and leave no count", function()
    local inner_error
    local err = raised(eddy.timeout, 1, function()
      inner_error = raised(eddy.timeout, 1, function() eddy.sleep(60) end)
      error(inner_error, 0)
    end)
    assert.is_true(is_cancelled(inner_error))
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)

  it("of very many nested timeouts do as well", function()
    local function nest(n)
      if n == 0 then return eddy.sleep(60) end
      local _ <close> = eddy.timeout(1)
      nest(n - 1)
    end
    assert.is_true(eddy.is_error(raised(nest, 100), eddy.TimeoutError))
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)

  it("of a timeout and the sleep in it let the sleep end", function()
    -- the sleep was started later, so its turn comes later as well: the timeout has cancelled it by then
    assert.is_true(eddy.is_error(raised(eddy.timeout, 1, eddy.sleep, 1), eddy.TimeoutError))
    -- with the sleep first, it has ended before
    local sleeping = eddy.create_task(eddy.sleep, 1, "slept")
    turns(1)
    assert.equal("slept", eddy.await(sleeping))
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("of a timeout and a group inside leave no count, whichever is first", function()
    for _, child_first in ipairs { true, false } do
      local start = now()
      local function child() eddy.sleep(start + 1 - now()) error("boom", 0) end
      local err = raised(function()
        if child_first then
          eddy.TaskGroup(function(tg)
            tg:create_task(child)
            turns(1)
            eddy.timeout_at(start + 1, eddy.sleep, 60)
          end)
        else
          eddy.timeout_at(start + 1, eddy.TaskGroup, function(tg) tg:create_task(child) end)
        end
      end)
      local expected = child_first and eddy.ExceptionGroup or eddy.TimeoutError
      assert.is_true(eddy.is_error(err, expected), tostring(err))
      assert.equal(0, eddy.current_task():cancelling())
      eddy.sleep(1)   -- nothing is left of it
    end
  end)

  it("of the timeout around a group and a child that fails in cleanup leave the group's error", function()
    local failing = future()
    eddy.get_running_loop():call_later(1, failing.set_exception, failing, "boom")
    local err = raised(eddy.timeout, 1, eddy.TaskGroup, function(tg)
      tg:create_task(eddy.await, failing)
      tg:create_task(function() pcall(eddy.sleep, 60) error("late", 0) end)
    end)
    assert.equal("boom", failing:exception())
    assert.is_true(eddy.is_error(err, eddy.ExceptionGroup), tostring(err))
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)
end)

describe("A TaskGroup whose parent is cancelled while children fail #virtual", function()
  -- What a parent does: returns the error of its group, its count then and the error of its next wait.
  local function parent_of(body)
    return eddy.create_task(function()
      local ok, err = pcall(eddy.TaskGroup, body)
      local count = eddy.current_task():cancelling()
      local _, next_wait = pcall(eddy.sleep, 0)
      return ok, err, count, next_wait
    end)
  end

  it("in one turn, the failure first, raises the group, then CancelledError at the next wait", function()
    local f = future()
    local parent = parent_of(function(tg) tg:create_task(eddy.await, f) end)
    turns(2)
    f:set_exception "boom"
    eddy.create_task(function() parent:cancel() end)
    local _, err, count, next_wait = eddy.await(parent)
    assert.same({ "boom" }, err.errors)
    assert.equal(1, count)
    assert.is_true(is_cancelled(next_wait))
  end)

  it("in one turn, the cancellation first, cancels the child, whose failure is not seen", function()
    local f = future()
    local parent = parent_of(function(tg) tg:create_task(eddy.await, f) end)
    turns(2)
    parent:cancel()
    f:set_exception "boom"
    local _, err, count, next_wait = eddy.await(parent)
    assert.is_true(is_cancelled(err) or eddy.is_error(err, eddy.ExceptionGroup))
    assert.equal(1, count)
    assert.is_true(is_cancelled(err) or is_cancelled(next_wait))
    pcall(f.result, f)
  end)

  it("while they clean up raises the group, then CancelledError at the next wait", function()
    local parent = parent_of(function(tg)
      tg:create_task(function()
        eddy.sleep(0.5)
        error("boom", 0)
      end)
      tg:create_task(function()
        local _ <close> = at_end(function() eddy.sleep(2) end)
        eddy.sleep(60)
      end)
    end)
    eddy.sleep(1)
    parent:cancel()
    local _, err, count, next_wait = eddy.await(parent)
    assert.same({ "boom" }, err.errors)
    assert.equal(1, count)
    assert.is_true(is_cancelled(next_wait))
  end)

  it("and all of them fail in cleanup lists all errors", function()
    local parent = parent_of(function(tg)
      for i = 1, 3 do
        tg:create_task(function()
          pcall(eddy.sleep, 60)
          error(i, 0)
        end)
      end
      pcall(eddy.sleep, 60)
      error("body", 0)
    end)
    eddy.sleep(1)
    parent:cancel()
    local _, err, count, next_wait = eddy.await(parent)
    table.sort(err.errors, function(a, b) return tostring(a) < tostring(b) end)
    assert.same({ 1, 2, 3, "body" }, err.errors)
    assert.equal(1, count)
    assert.is_true(is_cancelled(next_wait))
  end)

  it("by a child of its own treats that as any cancellation from outside", function()
    local parent
    parent = eddy.create_task(eddy.TaskGroup, function(tg)
      tg:create_task(function()
        eddy.sleep(1)
        parent:cancel "by a child"
      end)
      tg:create_task(eddy.sleep, 60)
    end)
    assert.equal("by a child", raised(eddy.await, parent).message)
    assert.equal(1, parent:cancelling())
    assert.equal(1, now())
  end)

  it("does not drop that cancellation when the group was ended by cancel() before", function()
    local parent = parent_of(function(tg)
      tg:create_task(function()
        local _ <close> = at_end(function() eddy.sleep(5) end)
        eddy.sleep(60)
      end)
      eddy.get_running_loop():call_later(1, tg.cancel, tg)
    end)
    eddy.sleep(2)
    parent:cancel()
    local ok, err, count, next_wait = eddy.await(parent)
    assert.is_true(not ok and is_cancelled(err) or is_cancelled(next_wait))
    assert.equal(1, count)
    assert.equal(6, now())
  end)
end)

describe("A TaskGroup in the hands of another task #virtual", function()
  local function close(tg) local _ <close> = tg end

  it("cannot be closed there, and goes on", function()
    local err, result
    eddy.TaskGroup(function(tg)
      err = raised(eddy.await, eddy.create_task(close, tg))
      result = eddy.await(tg:create_task(eddy.sleep, 1, "fine"))
    end)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    assert.equal("fine", result)
  end)

  it("cannot be closed by a child of it", function()
    local errors = raised(eddy.TaskGroup, function(tg)
      tg:create_task(close, tg)
      eddy.sleep(60)
    end).errors
    assert.is_true(eddy.is_error(errors[1], eddy.RuntimeError))
  end)

  it("takes children from there", function()
    local child
    eddy.TaskGroup(function(tg)
      eddy.await(eddy.create_task(function() child = tg:create_task(eddy.sleep, 1, "fine") end))
    end)
    assert.equal("fine", child:result())
  end)

  it("refuses children when the task whose it was has ended", function()
    local tg = eddy.await(eddy.create_task(eddy.TaskGroup))
    local err = raised(tg.create_task, tg, print)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    tg:cancel()
  end)

  it("lets its children go on when nobody has closed it", function()
    local child = eddy.await(eddy.create_task(function()
      return eddy.TaskGroup():create_task(eddy.sleep, 2, "fine")
    end))
    collectgarbage()
    collectgarbage()
    assert.equal("fine", eddy.await(child))
  end)
end)

describe("A cancellation from a done callback #virtual", function()
  it("of the task itself comes too late", function()
    local task, asked = eddy.create_task(eddy.sleep, 1, "result"), nil
    task:add_done_callback(function(t) asked = t:cancel() end)
    assert.equal("result", eddy.await(task))
    turns(1)
    assert.is_false(asked)
    assert.is_false(task:cancelled())
  end)

  it("of another task ends that", function()
    local other = eddy.create_task(eddy.sleep, 60)
    local task = eddy.create_task(eddy.sleep, 1)
    task:add_done_callback(function() other:cancel "over" end)
    assert.equal("over", raised(eddy.await, other).message)
    assert.equal(1, now())
  end)

  it("of whoever awaits the task wins over the result", function()
    local f = future()
    local waiter
    f:add_done_callback(function() waiter:cancel() end)
    waiter = eddy.create_task(eddy.await, f)
    turns(1)
    f:set_result "result"
    eddy.wait { waiter }
    assert.is_true(waiter:cancelled())
  end)

  it("that a cancellation has called runs once", function()
    local called = 0
    local task = eddy.create_task(eddy.sleep, 60)
    task:add_done_callback(function(t)
      called = called + 1
      t:cancel()
    end)
    turns(1)
    task:cancel()
    turns(5)
    assert.equal(1, called)
    assert.equal(1, task:cancelling())
  end)
end)

describe("A task that cancels itself #virtual", function()
  it("is cancelled at its next wait", function()
    local reached = {}
    local task = eddy.create_task(function()
      assert.is_true(eddy.current_task():cancel "enough")
      reached[1] = true
      eddy.sleep(0)
      reached[2] = true
    end)
    assert.equal("enough", raised(eddy.await, task).message)
    assert.same({ true }, reached)
  end)

  it("is not cancelled by awaiting what is done", function()
    local f = future()
    f:set_result "done"
    local task = eddy.create_task(function()
      eddy.current_task():cancel()
      local result = eddy.await(f)
      eddy.current_task():uncancel()
      return eddy.sleep(0, result)
    end)
    assert.equal("done", eddy.await(task))
  end)

  it("and ends without another wait is cancelled, and its results are lost", function()
    local task = eddy.create_task(function()
      eddy.current_task():cancel "enough"
      return "result"
    end)
    eddy.wait { task }
    assert.is_true(task:cancelled())
    assert.equal("enough", raised(task.result, task).message)
  end)

  it("and fails without another wait has failed", function()
    local task = eddy.create_task(function()
      eddy.current_task():cancel()
      error("boom", 0)
    end)
    assert.equal("boom", raised(eddy.await, task))
  end)

  for_every_kind("is cancelled", function(wait)
    local f = future()
    local task = eddy.create_task(function()
      eddy.current_task():cancel "enough"
      return wait(f)
    end)
    eddy.wait({ task }, { timeout = 10 })
    assert.is_true(task:cancelled())
    assert.equal(0, now())
    assert.equal(1, task:cancelling())
    f:cancel()
    turns(2)
  end)
end)

describe("A wait #virtual", function()
  for_every_kind("returns the result of the future", function(wait)
    local f, value = future(), {}
    eddy.get_running_loop():call_later(1, f.set_result, f, value)
    assert.equal(value, (wait(f)))
    assert.equal(1, now())
    assert.equal(0, eddy.current_task():cancelling())
  end)

  for_every_kind("raises the error of the future", function(wait)
    local f = future()
    eddy.get_running_loop():call_later(1, f.set_exception, f, "boom")
    local err = raised(wait, f)
    assert.is_true(err == "boom" or eddy.is_error(err, eddy.ExceptionGroup) and err.errors[1] == "boom", tostring(err))
    assert.equal(0, eddy.current_task():cancelling())
    turns(3)
  end)

  for_every_kind("raises CancelledError, the waiter's count at 0, when others cancel the future", function(wait)
    local f = future()
    eddy.get_running_loop():call_later(1, f.cancel, f, "by others")
    local task = eddy.create_task(wait, f)
    eddy.wait { task }
    assert.is_true(task:cancelled())
    assert.equal(0, task:cancelling())
  end)

  for_every_kind("is cancelled when the future is settled and the waiter cancelled in one turn", function(wait)
    local f = future()
    local task = eddy.create_task(wait, f)
    turns(4)
    f:set_result "result"
    task:cancel "enough"
    eddy.wait({ task }, { timeout = 10 })
    assert.is_true(task:cancelled(), tostring(task))
    assert.equal("enough", raised(task.result, task).message)
    assert.equal(1, task:cancelling())
    assert.equal("result", f:result())
  end)

  for_every_kind("ends, cancelled once, when the future fails and the waiter is cancelled in one turn", function(wait)
    eddy.get_running_loop():set_exception_handler(function() end)   -- an error is lost here, as it should be
    local f = future()
    local task = eddy.create_task(wait, f)
    turns(4)
    f:set_exception "boom"
    task:cancel "enough"
    eddy.wait({ task }, { timeout = 10 })
    assert.equal(1, task:cancelling())
    -- the child of a group has failed before the cancellation comes to it, and errors win there
    assert.is_true(task:cancelled() or eddy.is_error(task:exception(), eddy.ExceptionGroup), tostring(task))
    assert.equal("boom", f:exception())
  end)

  for_every_kind("is cancelled once when the waiter is cancelled and the future settled in one turn", function(wait)
    local f = future()
    local task = eddy.create_task(function()
      local err = raised(wait, f)
      turns(5)   -- nothing comes after it
      error(err, 0)
    end)
    turns(4)
    task:cancel "enough"
    if not f:done() then f:set_result "result" end
    eddy.wait({ task }, { timeout = 10 })
    assert.is_true(task:cancelled(), tostring(task))
    assert.equal("enough", raised(task.result, task).message)
    assert.equal(1, task:cancelling())
  end)

  for_every_kind("wakes a task that has gone on since no second time", function(wait)
    local f = future()
    local task = eddy.create_task(function()
      pcall(wait, f)
      local start = now()
      eddy.sleep(5)
      return now() - start
    end)
    turns(4)
    task:cancel()
    eddy.sleep(1)
    if not f:done() then f:set_result "late" end
    assert.equal(5, eddy.await(task))
  end)

  it("in sleep ends before a cancellation that is queued after it", function()
    local task = eddy.create_task(eddy.sleep, 1, "slept")
    turns(1)
    eddy.get_running_loop():call_at(1, task.cancel, task)
    assert.equal("slept", eddy.await(task))
  end)

  it("in sleep is cancelled by what is queued before it in the turn in which it ends", function()
    local task
    eddy.get_running_loop():call_at(1, function() task:cancel() end)
    task = eddy.create_task(eddy.sleep, 1, "slept")
    eddy.wait { task }
    assert.is_true(task:cancelled())
    assert.equal(1, now())
  end)

  it("in gather that has failed in this turn and is cancelled does not touch the others", function()
    local f, other = future(), eddy.create_task(eddy.sleep, 5, "other")
    local gathering = eddy.create_task(eddy.gather, f, other)
    turns(1)
    f:set_exception "boom"
    gathering:cancel()
    eddy.wait { gathering }
    assert.is_true(gathering:cancelled())
    assert.equal("other", eddy.await(other))
    assert.equal("boom", f:exception())
  end)

  it("in gather that has failed in this turn and is cancelled silences the others", function()
    local reports = 0
    eddy.get_running_loop():set_exception_handler(function() reports = reports + 1 end)
    local f = future()
    local gathering = eddy.create_task(eddy.gather, f, function()
      eddy.sleep(1)
      error "late"
    end)
    turns(2)
    f:set_exception "boom"
    gathering:cancel()
    eddy.wait { gathering }
    eddy.sleep(2)
    collectgarbage()
    collectgarbage()
    assert.is_true(gathering:cancelled())
    assert.equal(0, reports)
    assert.equal("boom", f:exception())
  end)
end)

describe("A wait within many calls #virtual", function()
  -- Calls f through n levels of pcall.
  local function deep(n, f)
    if n == 0 then return f() end
    return passed_on(pcall(deep, n - 1, f))
  end

  it("returns its result through a hundred of pcall", function()
    assert.equal("result", deep(100, function() return eddy.sleep(1, "result") end))
  end)

  it("raises its error through a hundred levels of <close>", function()
    local closed = 0
    local function nest(n)
      local _ <close> = at_end(function()
        eddy.sleep(0)
        closed = closed + 1
      end)
      if n > 1 then nest(n - 1) else eddy.sleep(60) end
    end
    local task = eddy.create_task(nest, 100)
    turns(1)
    task:cancel()
    eddy.wait { task }
    assert.is_true(task:cancelled())
    assert.equal(100, closed)
  end)

  it("raises Lua's own error when the C stack is full, and the task fails", function()
    local function nest() return passed_on(pcall(nest)) end
    local task = eddy.create_task(nest)
    eddy.wait { task }
    assert.matches("overflow", tostring(task:exception()))
  end)

  it("raises Lua's own error for endless recursion, and the task fails", function()
    -- What other specs have left: with a stack that is nearly full, each finalizer fails and has Lua move the stack.
    collectgarbage()
    collectgarbage()
    local function recurse() return 1 + recurse() end
    local task = eddy.create_task(recurse)
    eddy.wait { task }
    assert.matches("stack overflow", tostring(task:exception()))
    assert.is_string(task:traceback())
  end)
end)

describe("A hundred thousand tasks that await each other in a chain #virtual", function()
  -- The chain's last task, which awaits the one before it, and so on to `first`.
  local function chain(first, wait, length)
    local last = first
    for _ = 1, length or MANY do last = eddy.create_task(wait, last) end
    return last
  end

  local function lines_of(text) return select(2, text:gsub("\n", "\n")) end

  local waits = {
    ["await"] = eddy.await,
    ["gather"] = function(task) return eddy.gather(task)[1] end,
    ["shield"] = eddy.shield,
    ["wait_for"] = function(task) return eddy.wait_for(task, 1e6) end,
    ["TaskGroup"] = function(task) return eddy.TaskGroup(function() return eddy.await(task) end) end,
  }
  for name, wait in pairs(waits) do
    it("by " .. name .. " complete", function()
      local f, value = future(), {}
      local last = chain(f, wait)
      eddy.sleep(1)
      f:set_result(value)
      assert.equal(value, (eddy.await(last)))
      assert.equal(1, #eddy.all_tasks())
    end)

    if name ~= "TaskGroup" then   -- which would nest a hundred thousand groups
      it("by " .. name .. " fail with the one error", function()
        local f, err = future(), {}
        local last = chain(f, wait, name == "await" and MANY or MANY // 10)   -- tracebacks take their time
        eddy.sleep(1)
        f:set_exception(err)
        assert.equal(err, (raised(eddy.await, last)))
        assert.is_true(lines_of(last:traceback()) < 1000)
        assert.equal(1, #eddy.all_tasks())
      end)
    end

    if name ~= "shield" then   -- which would not pass it on
      it("by " .. name .. " are cancelled", function()
        local f = future()
        local last = chain(f, wait)
        eddy.sleep(1)
        last:cancel "enough"
        assert.equal("enough", raised(eddy.await, last).message)
        assert.is_true(f:cancelled())
        assert.equal(1, #eddy.all_tasks())
      end)
    end
  end

  it("are cancelled at the end of the loop #plain", function()
    local last
    eddy.run(function()
      last = chain(future(), eddy.await)
      turns(2)
    end)
    assert.is_true(last:cancelled())
  end)

  it("end when the innermost refuses to be cancelled", function()
    local last = chain(eddy.create_task(function()
      pcall(eddy.sleep, 60)
      return "all the same"
    end), eddy.await)
    eddy.sleep(1)
    last:cancel()
    assert.equal("all the same", eddy.await(last))
  end)
end)

describe("A hundred thousand #virtual", function()
  it("tasks may wait for one future", function()
    local f, tasks = future(), {}
    for i = 1, MANY do tasks[i] = eddy.create_task(eddy.await, f) end
    eddy.sleep(1)
    f:set_result "result"
    local results = eddy.gather(tasks)
    assert.equal(MANY, results.n)
    assert.equal("result", results[MANY])
  end)

  it("children of a group may be cancelled by the first that fails", function()
    local ended = 0
    local errors = raised(eddy.TaskGroup, function(tg)
      for _ = 1, MANY do
        tg:create_task(function()
          local _ <close> = at_end(function() ended = ended + 1 end)
          eddy.sleep(60)
        end)
      end
      turns(1)
      tg:create_task(error, "boom", 0)
    end).errors
    assert.same({ "boom" }, errors)
    assert.equal(MANY, ended)
  end)

  it("tasks may each be made by the one before", function()
    local left = MANY
    local f = future()
    local function make()
      left = left - 1
      if left == 0 then f:set_result "done" else eddy.create_task(make) end
    end
    make()
    assert.equal("done", eddy.await(f))
  end)

  it("done callbacks run in their order", function()
    local f, last, sorted = future(), 0, true
    for i = 1, MANY do
      f:add_done_callback(function()
        sorted = sorted and last == i - 1
        last = i
      end)
    end
    f:set_result()
    turns(2)
    assert.equal(MANY, last)
    assert.is_true(sorted)
  end)
end)

describe("Ten thousand children of a group #virtual", function()
  it("may all fail", function()
    local n = 10000
    local errors = raised(eddy.TaskGroup, function(tg)
      for i = 1, n do
        tg:create_task(function()
          pcall(eddy.sleep, 60)
          error(i, 0)
        end)
      end
      turns(1)
      error("body", 0)
    end).errors
    assert.equal(n + 1, #errors)
    assert.equal(1, errors[1])
    assert.equal("body", errors[n + 1])
  end)
end)

describe("The close of a loop #plain", function()
  it("ends tasks in every kind of wait", function()
    local loop = eddy.new_event_loop { clock = "virtual" }
    local tasks = {}
    for kind, wait in pairs(kinds) do tasks[kind] = loop:create_task(wait, loop:create_future()) end
    loop:run_until_complete(loop:create_task(turns, 5))
    for kind, task in pairs(tasks) do assert.is_false(task:done(), kind) end
    loop:close()
    for kind, task in pairs(tasks) do assert.is_true(task:cancelled(), kind) end
  end)

  it("ends tasks that have not started", function()
    local loop, ran = eddy.new_event_loop(), false
    local task = loop:create_task(function() ran = true end)
    loop:close()
    assert.is_true(task:cancelled())
    assert.is_false(ran)
  end)

  it("leaves futures and tasks that may still be looked at", function()
    local loop = eddy.new_event_loop()
    local f = loop:create_future()
    local task, failed = loop:create_task(eddy.await, f), loop:create_task(error, "boom", 0)
    loop:run_until_complete(loop:create_task(turns, 3))
    loop:close()
    assert.matches("cancelled", tostring(task))
    assert.is_false(task:cancel())
    assert.same({}, task:get_stack())
    assert.is_string(task:traceback())
    assert.equal("boom", failed:exception())
    assert.matches("boom", failed:traceback())
    assert.is_true(f:done())
  end)

  it("leaves pending futures that may still be settled, though nobody is told", function()
    local loop = eddy.new_event_loop()
    local f, told = loop:create_future(), false
    f:add_done_callback(function() told = true end)
    loop:close()
    assert.is_false(f:done())
    f:set_result "late"
    assert.equal("late", f:result())
    assert.is_true(eddy.is_error(raised(f.add_done_callback, f, print), eddy.RuntimeError))
    assert.is_false(told)
  end)

  it("leaves futures that another loop refuses to wait for", function()
    local loop = eddy.new_event_loop()
    local f = loop:create_future()
    loop:close()
    for kind, wait in pairs(kinds) do
      local runner <close> = eddy.Runner { exception_handler = function() end }
      local err = raised(runner.run, runner, wait, f)
      if eddy.is_error(err, eddy.ExceptionGroup) then err = err.errors[1] end
      assert.is_true(eddy.is_error(err, eddy.RuntimeError), kind .. ": " .. tostring(err))
    end
  end)

  it("leaves handles, scopes and groups that do nothing any more", function()
    local loop = eddy.new_event_loop { clock = "virtual" }
    local handle = loop:call_later(60, print)
    local scope, group, iterator
    loop:run_until_complete(function()
      scope, group = eddy.timeout(60), eddy.TaskGroup()
      iterator = eddy.as_completed { loop:create_future() }
      turns(1)
    end)
    loop:close()
    handle:cancel()
    assert.is_nil(handle:when())
    assert.is_string(tostring(handle) .. tostring(scope) .. tostring(group) .. tostring(iterator))
    group:cancel()
    raised(group.create_task, group, print)
    raised(scope.reschedule, scope, 5)
    raised(iterator)
  end)

  it("that nobody asked for, by the collector, leaves tasks that may be looked at", function()
    local task, f
    do
      local loop = eddy.new_event_loop()
      f = loop:create_future()
      task = loop:create_task(eddy.await, f)
      loop:run_until_complete(loop:create_task(turns, 2))
    end
    collectgarbage()
    collectgarbage()
    assert.is_string(tostring(task))
    assert.is_string(task:traceback())
    assert.is_boolean(task:done())
    task:cancel()
    f:cancel()
    assert.equal("fine", eddy.run(eddy.sleep, 0, "fine"))
  end)

  it("a thousand times over leaves nothing", function()
    local function once()
      local runner <close> = eddy.Runner { clock = "virtual" }
      runner:run(function()
        for _, wait in pairs(kinds) do eddy.create_task(wait, future()) end
        turns(5)
      end)
    end
    local function used()
      collectgarbage()
      collectgarbage()
      return collectgarbage("count")
    end
    for _ = 1, 50 do once() end
    local before = used()
    for _ = 1, 1000 do once() end
    assert.is_true(used() < before * 1.1 + 64, ("from %.0f to %.0f KiB"):format(before, used()))
  end)
end)

describe("A collector that collects all it may #virtual", function()
  local modes = {
    ["in generational mode"] = function() collectgarbage "generational" end,
    ["in incremental mode without a pause"] = function()
      collectgarbage "incremental"
      collectgarbage("setpause", 0)
      collectgarbage("setstepmul", 1000)
    end,
    ["at every turn"] = function() collectgarbage "incremental" end,
  }

  after_each(function() collectgarbage("incremental", 200, 100) end)

  -- Runs f while a task collects all garbage, `ticks` times a second.
  local function collecting(ticks, f)
    local collector = eddy.create_task(function()
      while true do
        collectgarbage()
        eddy.sleep(1 / ticks)
      end
    end)
    f()
    collector:cancel()
    turns(1)
  end

  -- Starts a wait of every kind (and again while they go on) for futures that only the loop and the wait know.
  local function wait_in_every_kind(outcomes)
    for kind, wait in pairs(kinds) do
      eddy.create_task(function()
        local f, value = future(), { kind }
        eddy.get_running_loop():call_later(1, function()
          collectgarbage()
          f:set_result(value)
        end)
        outcomes[kind] = wait(f)[1]
        collectgarbage()
      end)
    end
  end

  for name, set_mode in pairs(modes) do
    it(name .. " takes nothing from those that wait", function()
      local outcomes = {}
      set_mode()
      collecting(10, function()
        wait_in_every_kind(outcomes)
        eddy.sleep(2)
      end)
      for kind in pairs(kinds) do assert.equal(kind, outcomes[kind]) end
    end)

    it(name .. " takes nothing from those that are cancelled", function()
      local cancelled = {}
      set_mode()
      collecting(10, function()
        local tasks = {}
        for kind, wait in pairs(kinds) do
          tasks[#tasks + 1] = eddy.create_task(function()
            local _ <close> = at_end(function(err)
              collectgarbage()
              eddy.sleep(0.5)
              cancelled[kind] = is_cancelled(err) and err.message[1]
            end)
            wait(future())
          end)
        end
        eddy.sleep(1)
        for _, task in ipairs(tasks) do task:cancel { "message" } end
        tasks = nil   -- luacheck: ignore 311
        eddy.sleep(2)
      end)
      for kind in pairs(kinds) do assert.equal("message", cancelled[kind]) end
    end)

    it(name .. " takes nothing from those that fail", function()
      local errors = {}
      set_mode()
      collecting(10, function()
        for kind, wait in pairs(kinds) do
          eddy.create_task(function()
            local f = future()
            eddy.get_running_loop():call_later(1, function()
              f:set_exception { kind }
              collectgarbage()
            end)
            local err = raised(wait, f)
            collectgarbage()
            errors[kind] = err.errors and err.errors[1][1] or err[1]
          end)
        end
        eddy.sleep(2)
      end)
      for kind in pairs(kinds) do assert.equal(kind, errors[kind]) end
    end)
  end

  it("keeps tasks that nobody holds, what they wait for and their callbacks", function()
    local log = {}
    eddy.create_task(function()
      local inner = eddy.create_task(function()
        eddy.sleep(1)
        collectgarbage()
        return { "result" }
      end)
      inner:add_done_callback(function(t) log[#log + 1] = "callback " .. t:result()[1] end)
      inner = nil   -- luacheck: ignore 311
      collectgarbage()
    end)
    collecting(10, function() eddy.sleep(2) end)
    assert.same({ "callback result" }, log)
  end)

  it("keeps a loop that runs, though nobody holds it", function()
    local task
    collecting(10, function()
      task = eddy.create_task(function() return eddy.get_running_loop() end)
      eddy.sleep(1)
    end)
    assert.equal(eddy.get_running_loop(), task:result())
  end)

  it("takes what nobody needs any more", function()
    local weak = setmetatable({}, { __mode = "v" })
    do
      local f = future()
      weak.task = eddy.create_task(eddy.await, f)
      weak.f = f
      turns(1)
      f:set_result {}
    end
    turns(2)
    collectgarbage()
    collectgarbage()
    assert.same({}, weak)
  end)
end)

describe("A collector that runs in every allocation of the loop #plain", function()
  it("leaves runs, deadlocks and loops by hand as they are", function()
    finally(function() collectgarbage("incremental", 200, 100) end)
    collectgarbage("incremental", 0, 1000)
    for _ = 1, 20 do
      assert.equal("fine", eddy.run(function()
        collectgarbage()
        return eddy.sleep(0, "fine")
      end))
      assert.is_true(eddy.is_error(raised(eddy.run, function()
        eddy.await(eddy.get_running_loop():create_future())
      end), eddy.DeadlockError))
      assert.equal("fine", eddy.new_event_loop():run_until_complete(function()
        collectgarbage()
        return eddy.sleep(0, "fine")
      end))
      collectgarbage()
    end
  end)
end)
