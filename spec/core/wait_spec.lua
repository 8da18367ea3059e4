local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised, now, after = calls.raised, calls.now, calls.after

local function failing(seconds)
  return eddy.create_task(function()
    eddy.sleep(seconds)
    error("boom", 0)
  end)
end

-- Lists may hold only these tasks, in this order. (assert.same would compare tasks by their texts at best.)
local function assert_tasks(expected, actual)
  assert.equal(#expected, #actual)
  for i, task in ipairs(expected) do assert.equal(task, actual[i]) end
end

describe("eddy.wait #virtual", function()
  it("waits for all and lists them in the order given", function()
    local a, b = after(2), after(1)
    local done, pending = eddy.wait { a, b }
    assert_tasks({ a, b }, done)
    assert_tasks({}, pending)
    assert.equal(2, now())
  end)

  it("makes tasks of functions, Coroutines and objects with __await", function()
    local done = eddy.wait {
      function() return "function" end,
      eddy.async(eddy.sleep)(1, "coroutine"),
      setmetatable({}, { __await = function() return "object" end }),
    }
    local results = {}
    for i, task in ipairs(done) do results[i] = task:result() end
    assert.same({ "function", "coroutine", "object" }, results)
  end)

  it("counts a repeated one once", function()
    local runs = 0
    local function run() runs = runs + 1 end
    local task, coro = after(1), eddy.async(run)()
    local done = eddy.wait { task, run, coro, task, coro, run }
    assert.equal(3, #done)
    assert.equal(task, done[1])
    assert.equal(2, runs)
  end)

  it("suspends once when all are done", function()
    local task = after(0)
    eddy.await(task)
    local turns = 0
    eddy.create_task(function() turns = turns + 1 eddy.sleep(0) turns = turns + 1 end)
    assert_tasks({ task }, (eddy.wait { task }))
    assert.equal(1, turns)
    eddy.sleep(0)
  end)

  it("does not raise the errors of its members", function()
    local failed, cancelled = failing(1), after(60)
    cancelled:cancel()
    local done = eddy.wait { failed, cancelled }
    assert_tasks({ failed, cancelled }, done)
    assert.equal("boom", failed:exception())
  end)

  it("has not looked at the errors of its members", function()
    local reports = {}
    eddy.get_running_loop():set_exception_handler(function(_, ctx) reports[#reports + 1] = ctx.exception end)
    eddy.wait { failing(1) }
    eddy.sleep(0)   -- the lists were in our stack
    collectgarbage()
    collectgarbage()
    assert.same({ "boom" }, reports)
  end)
end)

describe("eddy.wait with a timeout #virtual", function()
  it("gives back what is done and what is pending, and cancels nothing", function()
    local a, b, c = after(3, "late"), after(1), after(4)
    local done, pending = eddy.wait({ a, b, c }, { timeout = 2 })
    assert.equal(2, now())
    assert_tasks({ b }, done)
    assert_tasks({ a, c }, pending)
    assert.equal("late", eddy.await(a))
    eddy.await(c)
  end)

  it("of 0 lets the others run once", function()
    local task = eddy.create_task(function() return "ran" end)
    local done = eddy.wait({ task }, { timeout = 0 })
    assert.equal(0, now())
    assert_tasks({ task }, done)
  end)

  it("of math.huge waits for as long as it takes", function()
    local task = after(1e6)
    assert_tasks({ task }, (eddy.wait({ task }, { timeout = math.huge })))
  end)

  it("leaves no timer behind when all are done before", function()
    eddy.wait({ after(1) }, { timeout = 100 })
    eddy.sleep(200)
    assert.equal(201, now())
  end)
end)

describe("eddy.wait with return_when #virtual", function()
  it("FIRST_COMPLETED returns with the first", function()
    local a, b = after(2), after(1)
    local done, pending = eddy.wait({ a, b }, { return_when = "FIRST_COMPLETED" })
    assert.equal(1, now())
    assert_tasks({ b }, done)
    assert_tasks({ a }, pending)
    eddy.await(a)
  end)

  it("FIRST_COMPLETED lists all that were done in that turn", function()
    local a, b, c = after(1), after(1), after(2)
    local done = eddy.wait({ a, b, c }, { return_when = "FIRST_COMPLETED" })
    assert_tasks({ a, b }, done)
    eddy.await(c)
  end)

  it("FIRST_COMPLETED returns in the next turn when one was done before", function()
    local a, b = after(0), after(5)
    eddy.await(a)
    local done, pending = eddy.wait({ b, a }, { return_when = "FIRST_COMPLETED" })
    assert.equal(0, now())
    assert_tasks({ a }, done)
    assert_tasks({ b }, pending)
    eddy.await(b)
  end)

  it("FIRST_EXCEPTION returns with the first error", function()
    local fine, failed, late = after(1), failing(2), after(3)
    local done, pending = eddy.wait({ fine, failed, late }, { return_when = "FIRST_EXCEPTION" })
    assert.equal(2, now())
    assert_tasks({ fine, failed }, done)
    assert_tasks({ late }, pending)
    assert.equal("boom", failed:exception())
    eddy.await(late)
  end)

  it("FIRST_EXCEPTION does not mind cancelled members", function()
    local cancelled, fine = after(60), after(2)
    eddy.get_running_loop():call_later(1, cancelled.cancel, cancelled)
    local done = eddy.wait({ cancelled, fine }, { return_when = "FIRST_EXCEPTION" })
    assert.equal(2, now())
    assert_tasks({ cancelled, fine }, done)
  end)

  it("FIRST_EXCEPTION waits for all when none fails", function()
    assert.equal(2, #eddy.wait({ after(1), after(2) }, { return_when = "FIRST_EXCEPTION" }))
    assert.equal(2, now())
  end)

  it("has constants as well", function()
    for _, name in ipairs { "ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION" } do
      assert.equal(1, #eddy.wait({ after(0) }, { return_when = eddy[name] }))
    end
  end)
end)

describe("Cancelling an eddy.wait #virtual", function()
  it("leaves the members alone", function()
    local a, b = after(2, "a"), after(3, "b")
    local waiting = eddy.create_task(eddy.wait, { a, b })
    eddy.sleep(1)
    waiting:cancel()
    eddy.wait { waiting }
    assert.is_true(waiting:cancelled())
    assert.equal(1, now())
    assert.same({ "a", "b", n = 2 }, eddy.gather(a, b))
    assert.same({ 0, 0 }, { a:cancelling(), b:cancelling() })
  end)

  it("leaves no trace in a member that lives on", function()
    local member = after(1000)
    for _ = 1, 100 do
      local waiting = eddy.create_task(eddy.wait, { member }, { timeout = 500 })
      eddy.sleep(1)
      waiting:cancel()
      eddy.wait { waiting }
    end
    collectgarbage()
    collectgarbage()
    eddy.await(member)
    assert.equal(1000, now())
  end)
end)

describe("eddy.wait, given something else #virtual", function()
  it("raises a bad argument for an empty list", function()
    assert.matches("bad argument #1 to 'wait' %(.*empty", raised(function() eddy.wait {} end))
  end)

  it("raises a bad argument for what is no list", function()
    assert.matches("bad argument #1 to 'wait'", raised(function() eddy.wait() end))
    local task = after(0)
    assert.matches("bad argument #1 to 'wait'", raised(function() eddy.wait(task) end))
    eddy.await(task)
  end)

  it("starts nothing when one of the list is wrong, and says which", function()
    local started = false
    assert.matches("%[2%].*got number", raised(eddy.wait, { function() started = true end, 42 }))
    eddy.sleep(1)
    assert.is_false(started)
  end)

  it("knows its options and their values", function()
    local task = after(0)
    assert.matches("unknown option 'timout'", raised(eddy.wait, { task }, { timout = 1 }))
    assert.matches("FIRST", raised(eddy.wait, { task }, { return_when = "FIRST" }))
    assert.matches("NaN", raised(eddy.wait, { task }, { timeout = 0 / 0 }))
    eddy.await(task)
  end)

  it("raises RuntimeError for the task itself", function()
    assert.is_true(eddy.is_error(raised(eddy.wait, { eddy.current_task() }), eddy.RuntimeError))
  end)
end)
