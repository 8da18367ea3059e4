local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised, now = calls.raised, calls.now

describe("eddy.shield #virtual", function()
  it("returns all results", function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(eddy.shield(eddy.create_task(eddy.sleep, 1, 1, nil, 3))))
  end)

  it("raises the error, the same value", function()
    local err = { code = 7 }
    assert.equal(err, (raised(eddy.shield, eddy.create_task(error, err))))
  end)

  it("runs a function or a Coroutine as a task", function()
    local me = eddy.current_task()
    assert.are_not.equal(me, eddy.shield(eddy.current_task))
    assert.equal("done", eddy.shield(eddy.async(eddy.sleep)(1, "done")))
  end)

  it("does not suspend for what is done", function()
    local task = eddy.create_task(eddy.sleep, 0, "done")
    eddy.await(task)
    local other = eddy.create_task(function() end)
    assert.equal("done", eddy.shield(task))
    assert.is_false(other:done())
    eddy.await(other)
  end)

  it("raises CancelledError in the cancelled waiter, and the inner task goes on", function()
    local inner = eddy.create_task(eddy.sleep, 2, "inner")
    local waiter = eddy.create_task(eddy.shield, inner)
    eddy.sleep(1)
    waiter:cancel("enough")
    assert.equal("enough", raised(eddy.await, waiter).message)
    assert.equal(1, now())
    assert.equal(0, inner:cancelling())
    assert.equal("inner", eddy.await(inner))
  end)

  it("keeps the inner task going even if nobody else holds it", function()
    local ended = false
    local waiter = eddy.create_task(eddy.shield, function()
      eddy.sleep(2)
      ended = true
    end)
    eddy.sleep(1)
    waiter:cancel()
    eddy.wait { waiter }
    collectgarbage()
    collectgarbage()
    eddy.sleep(2)
    assert.is_true(ended)
  end)

  it("raises CancelledError when the inner task is cancelled from elsewhere, the waiter's count at 0", function()
    local inner = eddy.create_task(eddy.sleep, 60)
    eddy.get_running_loop():call_later(1, inner.cancel, inner, "elsewhere")
    local err = raised(eddy.shield, inner)
    assert.is_true(eddy.is_error(err, eddy.CancelledError))
    assert.equal("elsewhere", err.message)
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)

  it("lets wait_for run out of time without cancelling the inner task", function()
    local inner = eddy.create_task(eddy.sleep, 2, "inner")
    local err = raised(eddy.wait_for, function() return eddy.shield(inner) end, 1)
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
    assert.equal("inner", eddy.await(inner))
  end)

  it("protects in the middle of a chain of awaits", function()
    local inner = eddy.create_task(eddy.sleep, 2, "inner")
    local middle = eddy.create_task(function() return eddy.shield(inner) end)
    local outer = eddy.create_task(function() return eddy.await(middle) end)
    eddy.sleep(1)
    outer:cancel()
    eddy.wait { outer }
    assert.is_true(outer:cancelled() and middle:cancelled())
    assert.equal("inner", eddy.await(inner))
  end)

  it("does not protect from what cancels the inner task itself, as gather does", function()
    local inner = eddy.create_task(eddy.sleep, 60)
    local gathering = eddy.create_task(eddy.gather, inner)
    local waiter = eddy.create_task(eddy.shield, inner)
    eddy.sleep(1)
    gathering:cancel()
    eddy.wait { gathering, waiter }
    assert.is_true(inner:cancelled() and waiter:cancelled())
    assert.equal(0, waiter:cancelling())
  end)
end)

describe("A shielded task that fails after its waiter was cancelled #virtual", function()
  local reports, inner

  before_each(function()
    reports = {}
    eddy.get_running_loop():set_exception_handler(function(_, ctx) reports[#reports + 1] = ctx.exception end)
    inner = eddy.create_task(function()
      eddy.sleep(2)
      error("boom", 0)
    end)
    local waiter = eddy.create_task(eddy.shield, inner)
    eddy.sleep(1)
    waiter:cancel()
    eddy.wait { waiter }
  end)

  it("is reported once nobody can look at it any more", function()
    inner = nil
    eddy.sleep(2)
    collectgarbage()
    collectgarbage()
    assert.same({ "boom" }, reports)
  end)

  it("is not reported when it is awaited later", function()
    eddy.sleep(2)
    assert.equal("boom", raised(eddy.await, inner))
    inner = nil
    collectgarbage()
    collectgarbage()
    assert.same({}, reports)
  end)
end)

describe("eddy.shield, given something else #virtual", function()
  it("raises a bad argument with the hint for gather", function()
    local err = raised(function() eddy.shield(eddy.sleep(0, 42)) end)
    assert.matches("bad argument #1 to 'shield' %(awaitable expected, got number", err)
    assert.matches("has waited already", err)
  end)

  it("raises RuntimeError for the task itself", function()
    assert.is_true(eddy.is_error(raised(eddy.shield, eddy.current_task()), eddy.RuntimeError))
  end)
end)
