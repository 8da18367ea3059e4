local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised, now, after = calls.raised, calls.now, calls.after

describe("eddy.as_completed #virtual", function()
  it("gives the tasks in the order in which they finish", function()
    local results = {}
    for task in eddy.as_completed { after(3, "c"), after(1, "a"), after(2, "b") } do
      results[#results + 1] = task:result() .. now()
    end
    assert.same({ "a1.0", "b2.0", "c3.0" }, results)
  end)

  it("gives the very tasks that it was given", function()
    local task = after(1)
    local next_task = eddy.as_completed { task }
    assert.equal(task, next_task())
    assert.is_nil(next_task())
  end)

  it("starts functions and Coroutines at once", function()
    local iterator = eddy.as_completed { function() return eddy.sleep(2, "f") end, eddy.async(eddy.sleep)(1, "c") }
    eddy.sleep(5)
    assert.equal("c", iterator():result())
    assert.equal("f", iterator():result())
    assert.equal(5, now())
  end)

  it("gives those that were done before first, in the order in which they finished", function()
    local slow, a, b = after(5), after(2), after(1)
    eddy.wait { a, b }
    local iterator = eddy.as_completed { slow, a, b }
    assert.equal(b, iterator())
    assert.equal(a, iterator())
    assert.equal(slow, iterator())
  end)

  it("gives plain futures too, also those that are settled while the body waits", function()
    local loop = eddy.get_running_loop()
    local a, b, c = loop:create_future(), loop:create_future(), loop:create_future()
    loop:call_later(1, b.set_result, b)
    loop:call_later(2, c.set_result, c)
    loop:call_later(3, a.set_result, a)
    local order = {}
    for future in eddy.as_completed { a, b, c } do
      order[#order + 1] = future == a and "a" or future == b and "b" or "c"
      eddy.sleep(10)
    end
    assert.same({ "b", "c", "a" }, order)
  end)

  it("gives tasks that have failed or were cancelled, and does not raise for them", function()
    local failed = eddy.create_task(error, "boom", 0)
    local cancelled = after(60)
    eddy.get_running_loop():call_later(1, cancelled.cancel, cancelled)
    local iterator = eddy.as_completed { cancelled, failed }
    assert.equal("boom", iterator():exception())
    assert.is_true(iterator():cancelled())
  end)

  it("counts a repeated one once", function()
    local task, count = after(1), 0
    for _ in eddy.as_completed { task, task } do count = count + 1 end
    assert.equal(1, count)
  end)

  it("ends at once for an empty list", function()
    assert.is_nil(eddy.as_completed({})())
  end)

  it("leaves the rest running when the loop is left", function()
    local slow = after(2, "slow")
    for task in eddy.as_completed { slow, after(1) } do
      if task:done() then break end
    end
    assert.equal("slow", eddy.await(slow))
  end)

  it("may be resumed after break", function()
    local iterator = eddy.as_completed { after(3, 3), after(1, 1), after(2, 2) }
    local results = {}
    for task in iterator do
      results[1] = task:result()
      if #results == 1 then break end
    end
    eddy.sleep(5)
    for task in iterator do results[#results + 1] = task:result() end
    assert.same({ 1, 2, 3 }, results)
  end)

  it("may be forgotten while its tasks are pending", function()
    local slow = after(2, "slow")
    do
      local iterator = eddy.as_completed { slow, after(1) }
      iterator()
    end
    eddy.sleep(0)
    collectgarbage()
    collectgarbage()
    assert.equal("slow", eddy.await(slow))
  end)
end)

describe("eddy.as_completed with a timeout #virtual", function()
  it("raises TimeoutError from the iterator when time runs out, and cancels nothing", function()
    local slow = after(3, "slow")
    local iterator = eddy.as_completed({ slow, after(1, "fast") }, { timeout = 2 })
    assert.equal("fast", iterator():result())
    assert.is_true(eddy.is_error(raised(iterator), eddy.TimeoutError))
    assert.equal(2, now())
    assert.equal("slow", eddy.await(slow))
  end)

  it("counts the time from the call, not from each step", function()
    local slow = after(60)
    local iterator = eddy.as_completed({ slow, after(1) }, { timeout = 2 })
    iterator()
    eddy.sleep(10)
    assert.is_true(eddy.is_error(raised(iterator), eddy.TimeoutError))
    assert.equal(11, now())
    slow:cancel()
    eddy.sleep(0)
  end)

  it("still gives what was done in time", function()
    local iterator = eddy.as_completed({ after(1, "in time") }, { timeout = 2 })
    eddy.sleep(5)
    assert.equal("in time", iterator():result())
    assert.is_nil(iterator())
  end)

  it("goes on after a timeout with what is done since", function()
    local iterator = eddy.as_completed({ after(3, "late") }, { timeout = 2 })
    raised(iterator)
    eddy.sleep(5)
    assert.equal("late", iterator():result())
  end)
end)

describe("Cancelling a step of as_completed #virtual", function()
  it("leaves the tasks alone, and the iterator goes on", function()
    local task = after(2, "fine")
    local iterator = eddy.as_completed { task }
    local waiting = eddy.create_task(iterator)
    eddy.sleep(1)
    waiting:cancel()
    eddy.wait { waiting }
    assert.is_true(waiting:cancelled())
    assert.equal(task, iterator())
    assert.equal("fine", task:result())
  end)

  it("loses no task that finishes in the same turn", function()
    local future = eddy.get_running_loop():create_future()
    local iterator = eddy.as_completed { future }
    local waiting = eddy.create_task(iterator)
    eddy.sleep(0)
    future:set_result("fine")
    waiting:cancel()
    eddy.wait { waiting }
    assert.is_true(waiting:cancelled())
    assert.equal(future, iterator())
  end)
end)

describe("A step of as_completed whose coroutine a script closes #virtual", function()
  it("leaves the next one to another task, and ends its own", function()
    local future = eddy.get_running_loop():create_future()
    local iterator, thread = eddy.as_completed { future }, nil
    local closed = eddy.create_task(function()
      thread = coroutine.running()
      iterator()
    end)
    eddy.sleep(0)
    coroutine.close(thread)
    local waiting = eddy.create_task(iterator)
    eddy.sleep(0)
    future:set_result(1)
    assert.equal(future, eddy.await(waiting))
    assert.matches("closed or resumed by a script", tostring(raised(eddy.await, closed)))
  end)
end)

describe("eddy.as_completed, given something else #virtual", function()
  it("raises a bad argument", function()
    assert.matches("bad argument #1 to 'as_completed'", raised(function() eddy.as_completed() end))
    assert.matches("%[1%].*got number", raised(eddy.as_completed, { 1 }))
    assert.matches("unknown option 'timout'", raised(eddy.as_completed, {}, { timout = 1 }))
  end)

  it("raises RuntimeError when two tasks wait for the next one", function()
    local task = after(1)
    local iterator = eddy.as_completed { task }
    local waiting = eddy.create_task(iterator)
    eddy.sleep(0)
    assert.is_true(eddy.is_error(raised(iterator), eddy.RuntimeError))
    assert.equal(task, eddy.await(waiting))
  end)
end)
