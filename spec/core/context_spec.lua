-- ContextVar and contexts: each task has values of its own, and begins with those of its creator.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised = calls.raised

describe("eddy.ContextVar #virtual", function()
  it("gives the default where it was not set", function()
    local var = eddy.ContextVar("user", "nobody")
    assert.equal("nobody", var:get())
    assert.equal("guest", var:get "guest")
    assert.is_nil(eddy.ContextVar("other"):get())
    assert.equal("<ContextVar 'user'>", tostring(var))
  end)

  it("is inherited by tasks, and what they set stays with them", function()
    local var = eddy.ContextVar "user"
    var:set "alice"
    local seen = {}
    local task = eddy.create_task(function()
      seen[1] = var:get()
      var:set "bob"
      eddy.sleep(2)
      seen[2] = var:get()
    end)
    eddy.sleep(1)
    assert.equal("alice", var:get())
    var:set "carol"
    task:await()
    assert.same({ "alice", "bob" }, seen)
    assert.equal("carol", var:get())
  end)

  it("is what it was when the task was made, not when it starts", function()
    local var = eddy.ContextVar "n"
    var:set(1)
    local task = eddy.create_task(function() return var:get() end)
    var:set(2)
    assert.equal(1, task:await())
  end)

  it("goes with groups, gather, map, timeouts and async functions", function()
    local var = eddy.ContextVar "n"
    local function get() return var:get() end
    var:set(7)
    assert.same({ 7, 7, n = 2 }, eddy.gather(get, eddy.async(get)()))
    assert.same({ 7, n = 1 }, eddy.map(get, { 0 }))
    assert.equal(7, eddy.timeout(1, get))
    assert.equal(7, eddy.TaskGroup(function(tg) return tg:create_task(get):await() end))
  end)

  it("can be set to nil", function()
    local var = eddy.ContextVar("n", 1)
    var:set(nil)
    assert.is_nil(var:get(2))
  end)

  it("is reset by the token, once", function()
    local var = eddy.ContextVar("n", 0)
    local first = var:set(1)
    local second = var:set(2)
    var:reset(second)
    assert.equal(1, var:get())
    var:reset(first)
    assert.equal(0, var:get())
    assert.matches("'reset': the token was used before", tostring(raised(var.reset, var, first)))
  end)

  it("is not reset by the token of another, or of another task", function()
    local var, other = eddy.ContextVar "a", eddy.ContextVar "b"
    assert.matches("bad argument #2 to 'reset' %(a token of this ContextVar is expected%)",
      raised(var.reset, var, other:set(1)))
    local token = var:set(1)
    eddy.create_task(function()
      assert.matches("the token was made in another context", tostring(raised(var.reset, var, token)))
    end):await()
    assert.matches("bad argument #2 to 'reset' %(Token expected, got number%)", raised(var.reset, var, 1))
    assert.matches("bad argument #1 to 'ContextVar' %(string expected, got no value%)", raised(eddy.ContextVar))
  end)

  it("in a callback is what it was when the callback was scheduled, and stays there", function()
    local var, loop, seen = eddy.ContextVar "n", eddy.get_running_loop(), {}
    var:set(1)
    loop:call_soon(function()
      seen[#seen + 1] = var:get()
      var:set "callback"
    end)
    loop:call_later(1, function() seen[#seen + 1] = var:get() end)
    eddy.current_task():add_done_callback(print)
    eddy.current_task():remove_done_callback(print)
    var:set(2)
    eddy.sleep(2)
    assert.same({ 1, 1 }, seen)
    assert.equal(2, var:get())
  end)

  it("is seen by a generator as by who steps it", function()
    local var = eddy.ContextVar("n", 0)
    local numbers = eddy.generator(function(yield) while true do yield(var:get()) end end)
    local seen = {}
    for n in numbers() do
      seen[#seen + 1] = n
      if #seen == 2 then break end
      var:set(5)
    end
    assert.same({ 0, 5 }, seen)
  end)
end)

describe("An exception handler #virtual", function()
  it("is called in the context of the task that has failed", function()
    local var, seen = eddy.ContextVar "user", nil
    local loop = eddy.get_running_loop()
    loop:set_exception_handler(function() seen = var:get() end)
    var:set "main"
    eddy.create_task(function()
      var:set "child"
      error "lost"
    end)
    eddy.sleep(1)
    collectgarbage()
    collectgarbage()
    assert.equal("child", seen)
    assert.equal("main", var:get())
    assert.is_truthy(eddy.current_task())
  end)

  it("is called in the context of the callback that has failed", function()
    local var, seen = eddy.ContextVar "user", nil
    local loop = eddy.get_running_loop()
    loop:set_exception_handler(function() seen = var:get() end)
    var:set "before"
    loop:call_soon(error, "boom")
    var:set "after"
    eddy.sleep(1)
    assert.equal("before", seen)
  end)
end)

describe("a Context #virtual", function()
  it("stays entered while a generator yields inside it, until that goes on or is closed", function()
    local var = eddy.ContextVar("name", "outside")
    local context = eddy.copy_context()
    context:run(function() var:set("inside") end)
    local each = eddy.generator(function(yield)
      context:run(yield, 1)
      yield(2)
    end)
    local seen = {}
    for i in each() do seen[i] = var:get() end
    assert.same({ "inside", "outside" }, seen)
    local left <close> = each()
    left:next()
    assert.equal("inside", var:get())
    left:aclose()
    assert.equal("outside", var:get())
  end)

  it("keeps what is set inside, and the caller does not see it", function()
    local var = eddy.ContextVar "n"
    var:set(1)
    local context = eddy.copy_context()
    assert.same({ 1, "x" }, { context:run(function(...)
      local before = var:get()
      var:set(2)
      eddy.sleep(1)
      return before, ...
    end, "x") })
    assert.equal(1, var:get())
    assert.equal(2, context:get(var))
    assert.equal(2, context:run(var.get, var))
    assert.equal(2, context:copy():get(var))
  end)

  it("leaves the caller's as it was when the function raises or is cancelled", function()
    local var = eddy.ContextVar "n"
    var:set(1)
    local context = eddy.copy_context()
    assert.equal("boom", raised(context.run, context, function()
      var:set(2)
      error("boom", 0)
    end))
    assert.equal(1, var:get())
    assert.is_false((eddy.move_on_after(1, context.run, context, function()
      var:set(3)
      eddy.sleep(9)
    end)))
    assert.equal(1, var:get())
    assert.equal(3, context:get(var))
  end)

  it("is left when a script closes the coroutine in which it was entered, while that waits", function()
    local var = eddy.ContextVar "v"
    var:set "outside"
    local context = eddy.copy_context()
    local co
    local task = eddy.create_task(function()
      co = coroutine.create(function()
        context:run(function()
          var:set "inside"
          eddy.sleep(100)
        end)
      end)
      local ok = eddy.coroutine.resume(co)
      return ok, var:get()
    end)
    eddy.sleep(1)
    assert.is_true(coroutine.close(co))
    assert.equal("outside", var:get())
    assert.same({ false, "outside" }, { eddy.await(task) })
    assert.equal("inside", context:get(var))
    assert.equal("again", context:run(function() return "again" end))
  end)

  it("is given to a task made inside", function()
    local var = eddy.ContextVar "n"
    local context = eddy.copy_context()
    context:run(function() var:set "inside" end)
    assert.equal("inside", context:run(eddy.create_task, function() return var:get() end):await())
    assert.is_nil(var:get())
  end)

  it("cannot be entered twice at once", function()
    local context = eddy.copy_context()
    assert.matches("'run': the Context is entered already", tostring(raised(function()
      context:run(function() context:run(print) end)
    end)))
    assert.equal(1, context:run(function() return 1 end))
  end)

  it("is left by a coroutine that is closed after the end of its task", function()
    local var = eddy.ContextVar "n"
    local context = eddy.copy_context()
    local thread = coroutine.create(function()
      context:run(function()
        var:set "inside"
        coroutine.yield()
      end)
    end)
    eddy.create_task(function()
      var:set "outside"
      coroutine.resume(thread)
    end):await()
    collectgarbage()
    local another = eddy.create_task(eddy.sleep, 1) -- takes the place that the first had
    assert.is_true(coroutine.close(thread))
    assert.equal("inside", context:get(var))
    assert.is_nil(var:get())
    assert.equal("again", context:run(function() return "again" end))
    another:await()
  end)

  it("of a task can be asked for", function()
    local var = eddy.ContextVar "n"
    var:set(4)
    assert.equal(4, eddy.current_task():get_context():get(var))
    assert.matches("bad argument #2 to 'get' %(ContextVar expected, got number%)",
      raised(eddy.copy_context().get, eddy.copy_context(), 1))
  end)
end)

describe("The context of a Runner #plain", function()
  it("is shared by its runs, and is nobody else's", function()
    local var = eddy.ContextVar("n", 0)
    local runner <close> = eddy.Runner { clock = "virtual" }
    runner:run(function() var:set(1) end)
    assert.equal(1, runner:run(function() return var:get() end))
    assert.equal(0, var:get())
    assert.equal(0, eddy.run(function() return var:get() end))
  end)

  it("begins with what was set outside", function()
    local var = eddy.ContextVar "n"
    local token = var:set(3)
    assert.equal(3, eddy.run(function() return var:get() end))
    var:reset(token)
    assert.is_nil(var:get())
  end)
end)
