local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised, now, after = calls.raised, calls.now, calls.after

local function failing(seconds, err)
  return eddy.create_task(function()
    eddy.sleep(seconds)
    error(err, 0)
  end)
end

describe("eddy.gather #virtual", function()
  it("lists results in the order of its arguments", function()
    local results = eddy.gather(after(0.2, "slow"), after(0.1, "fast"))
    assert.same({ "slow", "fast", n = 2 }, results)
    assert.equal(0.2, now())
  end)

  it("takes a list of awaitables as well", function()
    assert.same({ 1, 2, n = 2 }, eddy.gather({ after(0.2, 1), after(0.1, 2) }))
  end)

  it("gives an empty list for an empty list, without suspending", function()
    local other = after(0)
    eddy.sleep(0)
    assert.same({ n = 0 }, eddy.gather({}))
    assert.is_false(other:done())
    eddy.await(other)
  end)

  it("does not suspend when everything is done", function()
    local a, b = after(0, "a"), after(0, "b")
    eddy.wait { a, b }
    local other = after(0)
    assert.same({ "a", "b", n = 2 }, eddy.gather(a, b))
    assert.is_false(other:done())
    eddy.await(other)
  end)

  it("keeps the first result of each, with n set for those that are nil", function()
    local results = eddy.gather(after(0, 1, 2), after(0), after(0, 3), after(0))
    assert.same({ 1, nil, 3, n = 4 }, results)
  end)

  it("starts functions, Coroutines and objects with __await, in the order of its arguments", function()
    local order = {}
    local function note(name)
      order[#order + 1] = name
      eddy.sleep(0.1)
      return name
    end
    local object = setmetatable({}, { __await = function() return note "object" end })
    local results = eddy.gather(function() return note "function" end, eddy.async(note)("coroutine"), object)
    assert.same({ "function", "coroutine", "object", n = 3 }, results)
    assert.same({ "function", "coroutine", "object" }, order)
    assert.equal(0.1, now())
  end)

  it("takes plain futures", function()
    local future = eddy.get_running_loop():create_future()
    eddy.get_running_loop():call_later(0.1, future.set_result, future, "set")
    assert.same({ "set", n = 1 }, eddy.gather(future))
  end)

  it("takes a table with __await for one awaitable, not for the list", function()
    local object = setmetatable({ after(5) }, { __await = function() return "mine" end })
    assert.same({ "mine", n = 1 }, eddy.gather(object))
    assert.equal(0, now())
    eddy.await(object[1])
  end)

  it("counts an awaitable that is named twice as one", function()
    local runs = 0
    local coro = eddy.async(function()
      runs = runs + 1
      return eddy.sleep(0.1, runs)
    end)()
    local task = after(0.1, "task")
    assert.same({ 1, "task", 1, "task", n = 4 }, eddy.gather(coro, task, coro, task))
    assert.equal(1, runs)
  end)

  it("waits for an awaitable as a list's element even if it stands there twice", function()
    local future = eddy.get_running_loop():create_future()
    eddy.get_running_loop():call_later(1, future.set_result, future, "set")
    assert.same({ "set", "set", n = 2 }, eddy.gather { future, future })
    assert.equal(1, now())
  end)

  it("runs in the background as a task", function()
    local task = eddy.create_task(eddy.gather, after(0.2, 1), after(0.1, 2))
    assert.is_false(task:done())
    assert.same({ 1, 2, n = 2 }, eddy.await(task))
  end)
end)

describe("eddy.gather with errors #virtual", function()
  it("raises the first error at once, and the others go on", function()
    local slow = after(1, "slow")
    assert.equal("boom", raised(eddy.gather, slow, failing(0.1, "boom")))
    assert.equal(0.1, now())
    assert.is_false(slow:done())
    assert.equal("slow", eddy.await(slow))
  end)

  it("raises the error that came first, not the one that stands first", function()
    assert.equal("early", raised(eddy.gather, failing(0.2, "late"), failing(0.1, "early")))
    eddy.sleep(1)
  end)

  it("raises the same value", function()
    local err = { code = 7 }
    assert.equal(err, (raised(eddy.gather, failing(0, err))))
  end)

  it("raises the error of one that has failed before, without suspending", function()
    local failed, slow = failing(0, "boom"), after(1)
    eddy.wait { failed }
    local other = after(0)
    assert.equal("boom", raised(eddy.gather, slow, failed))
    assert.is_false(other:done())
    eddy.wait { slow, other }
  end)

  it("silences the errors that come after the first", function()
    local reports = {}
    eddy.get_running_loop():set_exception_handler(function(_, ctx) reports[#reports + 1] = ctx.exception end)
    assert.equal("first", raised(eddy.gather, function() error("first", 0) end, function()
      eddy.sleep(1)
      error("second", 0)
    end))
    eddy.sleep(2)
    collectgarbage()
    collectgarbage()
    assert.same({}, reports)
  end)

  it("raises CancelledError for a child that was cancelled, and the siblings run on", function()
    local child, sibling = after(1), after(2, "sibling")
    eddy.get_running_loop():call_later(0.1, child.cancel, child, "enough")
    local err = raised(eddy.gather, child, sibling)
    assert.is_true(eddy.is_error(err, eddy.CancelledError))
    assert.equal("enough", err.message)
    assert.equal(0.1, now())
    assert.equal(0, eddy.current_task():cancelling())
    assert.equal("sibling", eddy.await(sibling))
  end)
end)

describe("eddy.gather with return_exceptions #virtual", function()
  local all = { return_exceptions = true }

  it("puts errors in the list and waits for all", function()
    local err = eddy.TimeoutError("late")
    local results = eddy.gather({ failing(0.1, err), after(0.2, "fine") }, all)
    assert.equal(2, results.n)
    assert.equal(err, results[1])
    assert.equal("fine", results[2])
    assert.equal(0.2, now())
  end)

  it("puts CancelledErrors in the list", function()
    local child = after(1)
    eddy.get_running_loop():call_later(0.1, child.cancel, child)
    local results = eddy.gather({ child, after(0.2, "fine") }, all)
    assert.is_true(eddy.is_error(results[1], eddy.CancelledError))
    assert.equal("fine", results[2])
  end)

  it("wraps errors that are not eddy's, so that is_error tells them from results", function()
    local value = { code = 7 }
    local results = eddy.gather({ failing(0, "text"), failing(0, value), after(0, value) }, all)
    assert.is_true(eddy.is_error(results[1], eddy.Error))
    assert.equal("text", results[1].value)
    assert.equal(value, results[2].value)
    assert.matches("text", tostring(results[1]))
    assert.is_false(eddy.is_error(results[3]))
    assert.equal(value, results[3])
  end)

  it("wraps an error that is false or nil", function()
    local results = eddy.gather({ failing(0, false), failing(0, nil) }, all)
    assert.is_true(eddy.is_error(results[1]))
    assert.is_true(eddy.is_error(results[2]))
    assert.is_false(results[1].value)
    assert.is_nil(results[2].value)
  end)

  it("has looked at the errors, so nobody reports them", function()
    local reports = 0
    eddy.get_running_loop():set_exception_handler(function() reports = reports + 1 end)
    eddy.gather({ function() error "one" end, function() error "two" end }, all)
    collectgarbage()
    collectgarbage()
    assert.equal(0, reports)
  end)
end)

describe("Cancelling a gather #virtual", function()
  local function cleaner(log, name, seconds)
    return eddy.create_task(function()
      local _ <close> = setmetatable({}, { __close = function()
        eddy.sleep(seconds)
        log[#log + 1] = name
      end })
      eddy.sleep(60)
    end)
  end

  it("cancels all unfinished children, waits for them, then raises", function()
    local log = {}
    local done, a, b = after(0.1, "done"), cleaner(log, "a", 2), cleaner(log, "b", 1)
    local gathering = eddy.create_task(eddy.gather, a, done, b)
    eddy.sleep(0.5)
    gathering:cancel()
    eddy.wait { gathering }
    assert.equal(2.5, now())
    assert.same({ "b", "a" }, log)
    assert.is_true(gathering:cancelled() and a:cancelled() and b:cancelled())
    assert.equal("done", done:result())
  end)

  it("raises CancelledError even with return_exceptions", function()
    local log = {}
    local child = cleaner(log, "child", 1)
    local gathering = eddy.create_task(eddy.gather, { child }, { return_exceptions = true })
    eddy.sleep(0)
    eddy.sleep(0)
    gathering:cancel()
    eddy.wait { gathering }
    assert.is_true(gathering:cancelled())
    assert.same({ "child" }, log)
  end)

  it("raises CancelledError even if the children refuse", function()
    local child = eddy.create_task(function()
      pcall(eddy.sleep, 60)
      return "all the same"
    end)
    local gathering = eddy.create_task(eddy.gather, child)
    eddy.sleep(1)
    gathering:cancel()
    eddy.wait { gathering }
    assert.is_true(gathering:cancelled())
    assert.equal("all the same", child:result())
  end)

  it("gives the children the message", function()
    local child = after(60)
    local gathering = eddy.create_task(eddy.gather, child)
    eddy.sleep(1)
    gathering:cancel("no more")
    assert.equal("no more", raised(eddy.await, gathering).message)
    assert.equal("no more", raised(child.result, child).message)
  end)

  it("raises the error of a child whose cleanup fails", function()
    local child = eddy.create_task(function()
      local _ <close> = setmetatable({}, { __close = function() error("cleanup", 0) end })
      eddy.sleep(60)
    end)
    local gathering = eddy.create_task(eddy.gather, child, after(60))
    eddy.sleep(1)
    gathering:cancel()
    assert.equal("cleanup", raised(eddy.await, gathering))
  end)

  it("touches nothing when the gather has failed already", function()
    local slow = after(1, "slow")
    local gathering = eddy.create_task(eddy.gather, slow, failing(0.1, "boom"))
    assert.equal("boom", raised(eddy.await, gathering))
    assert.is_false(gathering:cancel())
    assert.equal("slow", eddy.await(slow))
  end)
end)

describe("eddy.gather, given something else #virtual", function()
  it("raises a bad argument without any", function()
    local err = raised(function() eddy.gather() end)
    assert.matches("bad argument #1 to 'gather' %(awaitable expected, got no value", err)
  end)

  it("hints at a waiting function that was called, and has waited already", function()
    local err = raised(function() eddy.gather(eddy.sleep(0, "result")) end)
    assert.matches("gather_spec.lua:%d+: bad argument #1 to 'gather' %(awaitable expected, got string", err)
    assert.matches("has waited already", err)
  end)

  it("starts nothing when one of the list is wrong, and says which", function()
    local started = false
    local err = raised(eddy.gather, { function() started = true end, 42 })
    assert.matches("%[2%]", err)
    assert.matches("got number", err)
    eddy.sleep(1)
    assert.is_false(started)
  end)

  it("takes a list whose __len is negative for an empty one", function()
    local odd = setmetatable({}, { __len = function() return -1 end })
    assert.same({ n = 0 }, eddy.gather(odd))
    for _ in eddy.as_completed(odd) do error "there is none" end
  end)

  it("knows its options", function()
    assert.matches("unknown option 'return_exception'", raised(eddy.gather, {}, { return_exception = true }))
    assert.matches("boolean expected, got number", raised(eddy.gather, {}, { return_exceptions = 1 }))
  end)

  it("raises RuntimeError for the task itself", function()
    local err = raised(eddy.gather, eddy.current_task())
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
  end)

  it("raises RuntimeError for a Coroutine that was awaited before", function()
    local coro = eddy.async(function() end)()
    eddy.await(coro)
    assert.is_true(eddy.is_error(raised(eddy.gather, coro), eddy.RuntimeError))
  end)
end)

describe("eddy.gather #plain", function()
  it("needs a running task", function()
    local err = raised(eddy.gather, function() end)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    assert.matches("'gather' needs a running task", tostring(err))
  end)

  it("raises RuntimeError for a future of another loop", function()
    local loop <close> = eddy.new_event_loop()
    local future = loop:create_future()
    local err = raised(eddy.run, eddy.gather, future)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    assert.matches("another loop", tostring(err))
  end)
end)
