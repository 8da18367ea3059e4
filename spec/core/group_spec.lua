local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised, now, at_end = calls.raised, calls.now, calls.closing

local function failing(seconds, err)
  return function()
    eddy.sleep(seconds)
    error(err, 0)
  end
end

-- Sleeps; notes in the log how that ended.
local function sleeper(log, name, seconds)
  return function()
    local _ <close> = at_end(function(err)
      log[#log + 1] = name .. (err == nil and " done" or eddy.is_error(err, eddy.CancelledError) and " cancelled"
        or " failed")
    end)
    return eddy.sleep(seconds or 60, name)
  end
end

local function is_cancelled(err) return eddy.is_error(err, eddy.CancelledError) end

-- The errors in the ExceptionGroup that f(...) raises.
local function errors_of(f, ...)
  local err = raised(f, ...)
  assert.is_true(eddy.is_error(err, eddy.ExceptionGroup), tostring(err))
  return err.errors
end

describe("eddy.TaskGroup #virtual", function()
  it("waits at the end of its scope for all children", function()
    local log = {}
    do
      local tg <close> = eddy.TaskGroup()
      tg:create_task(sleeper(log, "a", 2))
      tg:create_task(sleeper(log, "b", 1))
      log[1] = "body"
    end
    assert.same({ "body", "b done", "a done" }, log)
    assert.equal(2, now())
  end)

  it("with a function waits for all children and returns the function's results", function()
    local log = {}
    assert.same({ 1, nil, 3, n = 3 }, table.pack(eddy.TaskGroup(function(tg)
      tg:create_task(sleeper(log, "child", 2))
      return 1, nil, 3
    end)))
    assert.same({ "child done" }, log)
  end)

  it("gives its children arguments, and their results stay with them", function()
    local a, b
    eddy.TaskGroup(function(tg)
      a = tg:create_task(eddy.sleep, 1, "a", 2)
      b = tg:create_task(eddy.async(eddy.sleep)(2, "b"))
    end)
    assert.same({ "a", 2 }, { a:result() })
    assert.equal("b", b:result())
  end)

  it("takes children until its end is complete, also from children", function()
    local log = {}
    eddy.TaskGroup(function(tg)
      tg:create_task(function()
        eddy.sleep(1)   -- the body has ended
        tg:create_task(function()
          tg:create_task(sleeper(log, "grandchild", 1))
        end)
      end)
    end)
    assert.same({ "grandchild done" }, log)
    assert.equal(2, now())
  end)

  it("may be empty", function()
    assert.equal("done", eddy.TaskGroup(function() return "done" end))
  end)

  it("is entered once: when it is finished it refuses children", function()
    local tg
    eddy.TaskGroup(function(group) tg = group end)
    local err = raised(tg.create_task, tg, function() end)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    assert.matches("finished", tostring(err))
  end)

  it("refuses children when it is shutting down", function()
    local refused
    raised(eddy.TaskGroup, function(tg)
      tg:create_task(error, "boom")
      pcall(eddy.sleep, 60)
      refused = raised(tg.create_task, tg, function() end)
    end)
    assert.is_true(eddy.is_error(refused, eddy.RuntimeError))
    assert.matches("shutting down", tostring(refused))
  end)

  it("closes a Coroutine that it refuses: it has not run and will not", function()
    local tg, ran
    eddy.TaskGroup(function(group) tg = group end)
    local coro = eddy.async(function() ran = true end)()
    raised(tg.create_task, tg, coro)
    assert.is_true(eddy.is_error(raised(eddy.await, coro), eddy.RuntimeError))
    assert.is_nil(ran)
  end)

  it("says what it is doing", function()
    local tg
    eddy.TaskGroup(function(group)
      tg = group
      tg:create_task(eddy.sleep, 1)
      assert.equal("<TaskGroup entered, tasks=1>", tostring(tg))
    end)
    assert.equal("<TaskGroup finished, tasks=0>", tostring(tg))
  end)
end)

describe("eddy.TaskGroup #plain", function()
  it("needs a running task", function()
    assert.matches("'TaskGroup' needs a running task", tostring(raised(eddy.TaskGroup)))
    assert.matches("'TaskGroup' needs a running task", tostring(raised(eddy.TaskGroup, function() end)))
  end)

  it("closes without a warning a Coroutine that it refuses", function()
    local support = require "spec.command.support"
    local folder = support.folder {}
    finally(function() support.remove(folder) end)
    local out, err = support.plain(folder, [[
      warn "@on"
      local eddy = require "eddy"
      eddy.run(function()
        local tg
        eddy.TaskGroup(function(group) tg = group end)
        print(pcall(tg.create_task, tg, eddy.async(print)()))
      end)
      collectgarbage()
      collectgarbage()]])
    assert.matches("finished", out)
    assert.equal("", err)
  end)
end)

describe("A TaskGroup whose child fails #virtual", function()
  it("cancels the siblings and the body, which counts one cancellation until the end", function()
    local log, inside = {}, nil
    local errors = errors_of(eddy.TaskGroup, function(tg)
      tg:create_task(failing(1, "boom"))
      tg:create_task(sleeper(log, "sibling"))
      local err = raised(eddy.sleep, 60)
      assert(is_cancelled(err))
      inside = eddy.current_task():cancelling()
      error(err, 0)
    end)
    assert.same({ "boom" }, errors)
    assert.same({ "sibling cancelled" }, log)
    assert.equal(1, inside)
    assert.equal(0, eddy.current_task():cancelling())
    assert.equal(1, now())
    eddy.sleep(1)   -- nothing is left of the cancellation
  end)

  it("raises the group from a scope as well", function()
    local err = raised(function()
      local tg <close> = eddy.TaskGroup()
      tg:create_task(failing(1, "boom"))
      eddy.sleep(60)
    end)
    assert.same({ "boom" }, err.errors)
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(0)
  end)

  it("raises the group from a scope whose body has ended", function()
    local log = {}
    local errors = errors_of(function()
      local tg <close> = eddy.TaskGroup()
      tg:create_task(failing(1, "boom"))
      tg:create_task(sleeper(log, "sibling"))
    end)
    assert.same({ "boom" }, errors)
    assert.same({ "sibling cancelled" }, log)
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("lists all errors, children in the order of their ends, the body's last", function()
    local errors = errors_of(eddy.TaskGroup, function(tg)
      for i = 1, 3 do
        tg:create_task(function()
          pcall(eddy.sleep, i == 2 and 1 or 60)
          eddy.sleep(3 - i)
          error(i, 0)
        end)
      end
      pcall(eddy.sleep, 60)
      error("body", 0)
    end)
    -- 2 fails at 2 s; then 3 at once and 1 two seconds later
    assert.same({ 2, 3, 1, "body" }, errors)
  end)

  it("leaves out those that were cancelled", function()
    local errors = errors_of(eddy.TaskGroup, function(tg)
      tg:create_task(eddy.sleep, 60)
      tg:create_task(failing(1, "only"))
      tg:create_task(eddy.sleep, 60)
    end)
    assert.same({ "only" }, errors)
  end)

  it("raises a group for a single error, too, with the same value in it", function()
    local err = { code = 7 }
    assert.equal(err, errors_of(eddy.TaskGroup, function(tg) tg:create_task(error, err) end)[1])
  end)

  it("keeps a place for an error that is nil or false", function()
    local errors = errors_of(eddy.TaskGroup, function(tg)
      for i = 1, 2 do
        tg:create_task(function()
          pcall(eddy.sleep, i == 1 and 1 or 60)
          if i == 1 then error(false) else error(nil) end
        end)
      end
    end)
    assert.equal(2, #errors)
    assert.is_false(errors[1])
    assert.is_true(eddy.is_error(errors[2]))
  end)

  it("raises it also when the body takes the cancellation", function()
    local errors = errors_of(eddy.TaskGroup, function(tg)
      tg:create_task(failing(1, "boom"))
      pcall(eddy.sleep, 60)
      eddy.sleep(5)   -- edge-triggered: this is not cancelled
      return "result"
    end)
    assert.same({ "boom" }, errors)
    assert.equal(6, now())
  end)

  it("does not start the children that have not started yet", function()
    local started = false
    errors_of(eddy.TaskGroup, function(tg)
      tg:create_task(error, "boom")
      tg:create_task(function() started = true end)
    end)
    eddy.sleep(1)
    assert.is_false(started)
  end)

  it("has looked at the errors, so nobody reports them", function()
    local reports = 0
    eddy.get_running_loop():set_exception_handler(function() reports = reports + 1 end)
    errors_of(eddy.TaskGroup, function(tg)
      tg:create_task(error, "one")
      tg:create_task(error, "two")
    end)
    collectgarbage()
    collectgarbage()
    assert.equal(0, reports)
  end)

  it("lets a child's error be taken where the child is awaited, and raises it again at the end", function()
    local seen
    local errors = errors_of(eddy.TaskGroup, function(tg)
      local child = tg:create_task(failing(1, "boom"))
      seen = raised(eddy.await, child)
    end)
    assert.is_true(seen == "boom" or is_cancelled(seen))
    assert.same({ "boom" }, errors)
  end)
end)

describe("A TaskGroup whose body fails #virtual", function()
  it("cancels the children and raises a group with the body's error", function()
    local log = {}
    local errors = errors_of(eddy.TaskGroup, function(tg)
      tg:create_task(sleeper(log, "child"))
      eddy.sleep(1)
      error("body", 0)
    end)
    assert.same({ "body" }, errors)
    assert.same({ "child cancelled" }, log)
  end)

  it("does the same as a scope", function()
    local log = {}
    local errors = errors_of(function()
      local tg <close> = eddy.TaskGroup()
      tg:create_task(sleeper(log, "child"))
      eddy.sleep(1)
      error("body", 0)
    end)
    assert.same({ "body" }, errors)
    assert.same({ "child cancelled" }, log)
  end)

  it("raises a CancelledError of the body's own as it is", function()
    local err = eddy.CancelledError "mine"
    local log = {}
    assert.equal(err, (raised(eddy.TaskGroup, function(tg)
      tg:create_task(sleeper(log, "child"))
      eddy.sleep(1)
      error(err)
    end)))
    assert.same({ "child cancelled" }, log)
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("cancels children that have not started: they never run", function()
    local ran = false
    errors_of(eddy.TaskGroup, function(tg)
      tg:create_task(function() ran = true end)
      error "body"
    end)
    assert.is_false(ran)
  end)
end)

describe("A TaskGroup with a cancelled child #virtual", function()
  it("goes on when a child is cancelled", function()
    local log = {}
    assert.equal("result", eddy.TaskGroup(function(tg)
      local child = tg:create_task(sleeper(log, "child"))
      tg:create_task(sleeper(log, "other", 2))
      eddy.sleep(1)
      child:cancel()
      return "result"
    end))
    assert.same({ "child cancelled", "other done" }, log)
  end)

  it("goes on when a child raises CancelledError by itself", function()
    local log = {}
    eddy.TaskGroup(function(tg)
      tg:create_task(function() error(eddy.CancelledError()) end)
      tg:create_task(sleeper(log, "other", 1))
    end)
    assert.same({ "other done" }, log)
  end)
end)

describe("A TaskGroup cancelled from outside #virtual", function()
  it("cancels the children, awaits them and raises CancelledError again", function()
    local log = {}
    local task = eddy.create_task(eddy.TaskGroup, function(tg)
      tg:create_task(function()
        local _ <close> = at_end(function()
          eddy.sleep(2)
          log[#log + 1] = "cleaned up"
        end)
        eddy.sleep(60)
      end)
      eddy.sleep(60)
    end)
    eddy.sleep(1)
    task:cancel("from outside")
    assert.equal("from outside", raised(eddy.await, task).message)
    assert.same({ "cleaned up" }, log)
    assert.equal(3, now())
    assert.is_true(task:cancelled())
    assert.equal(1, task:cancelling())
  end)

  it("does so while it waits at its end", function()
    local log = {}
    local task = eddy.create_task(eddy.TaskGroup, function(tg)
      tg:create_task(sleeper(log, "child"))
    end)
    eddy.sleep(1)
    task:cancel()
    eddy.wait { task }
    assert.is_true(task:cancelled())
    assert.same({ "child cancelled" }, log)
  end)

  it("raises the errors of cleanup, and the parent is cancelled at its next wait", function()
    local err, count, next_wait
    local task = eddy.create_task(function()
      err = raised(eddy.TaskGroup, function(tg)
        tg:create_task(function()
          pcall(eddy.sleep, 60)
          error("cleanup", 0)
        end)
        eddy.sleep(60)
      end)
      count = eddy.current_task():cancelling()
      next_wait = raised(eddy.sleep, 1)
    end)
    eddy.sleep(1)
    task:cancel()
    eddy.await(task)
    assert.same({ "cleanup" }, err.errors)
    assert.equal(1, count)
    assert.is_true(is_cancelled(next_wait))
    assert.equal(1, now())
  end)

  it("never abandons its children, however often the parent is cancelled", function()
    local log = {}
    local task = eddy.create_task(eddy.TaskGroup, function(tg)
      tg:create_task(function()
        for i = 1, 5 do
          pcall(eddy.sleep, 10)
          log[i] = now()
        end
      end)
    end)
    for _ = 1, 4 do
      eddy.sleep(1)
      task:cancel()
    end
    eddy.wait { task }
    -- one cancellation reaches the child; then it takes its time
    assert.same({ 1, 11, 21, 31, 41 }, log)
    assert.is_true(task:cancelled())
    assert.equal(4, task:cancelling())
  end)
end)

describe("TaskGroup:cancel #virtual", function()
  it("ends the function form without an error", function()
    local log = {}
    assert.same({ n = 0 }, table.pack(eddy.TaskGroup(function(tg)
      tg:create_task(sleeper(log, "child"))
      eddy.sleep(1)
      tg:cancel()
      eddy.sleep(60)
    end)))
    assert.same({ "child cancelled" }, log)
    assert.equal(1, now())
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)

  it("leaves the scope form with CancelledError when the body waits, its count restored", function()
    local log = {}
    local err = raised(function()
      local tg <close> = eddy.TaskGroup()
      tg:create_task(sleeper(log, "child"))
      tg:create_task(function() tg:cancel() end)
      eddy.sleep(60)
    end)
    assert.is_true(is_cancelled(err))
    assert.same({ "child cancelled" }, log)
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)

  it("leaves the scope form without an error when the body has ended", function()
    local log = {}
    do
      local tg <close> = eddy.TaskGroup()
      tg:create_task(sleeper(log, "child"))
      eddy.get_running_loop():call_later(1, tg.cancel, tg)
    end
    assert.same({ "child cancelled" }, log)
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)

  it("leaves the scope form without an error when the body ends without another wait", function()
    do
      local tg <close> = eddy.TaskGroup()
      tg:create_task(eddy.sleep, 60)
      tg:cancel()
    end
    assert.equal(0, now())
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)

  it("may be called by a child, by another task, by a callback", function()
    local loop = eddy.get_running_loop()
    local function call(how)
      return eddy.TaskGroup(function(tg)
        how(tg)
        eddy.sleep(60)
      end)
    end
    call(function(tg) tg:create_task(tg.cancel, tg) end)
    call(function(tg) eddy.create_task(tg.cancel, tg) end)
    call(function(tg) loop:call_soon(tg.cancel, tg) end)
    assert.equal(0, now())
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("counts once, however often it is called", function()
    eddy.TaskGroup(function(tg)
      tg:create_task(eddy.sleep, 60)
      for _ = 1, 3 do tg:cancel() end
      eddy.sleep(60)
    end)
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)

  it("does nothing when the group is finished", function()
    local tg
    eddy.TaskGroup(function(group) tg = group end)
    tg:cancel()
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(0)
  end)

  it("returns the results of a body that does not wait any more", function()
    assert.equal("result", eddy.TaskGroup(function(tg)
      tg:cancel()
      return "result"
    end))
    eddy.sleep(0)
  end)

  it("does not swallow the errors of cleanup", function()
    assert.same({ "cleanup" }, errors_of(eddy.TaskGroup, function(tg)
      tg:create_task(function()
        pcall(eddy.sleep, 60)
        error("cleanup", 0)
      end)
      eddy.sleep(1)
      tg:cancel()
      eddy.sleep(60)
    end))
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("does not swallow a cancellation from outside", function()
    local task = eddy.create_task(eddy.TaskGroup, function(tg)
      tg:create_task(function() pcall(eddy.sleep, 60) eddy.sleep(5) end)
      eddy.sleep(1)
      tg:cancel()
      eddy.sleep(60)
    end)
    eddy.sleep(2)
    task:cancel("from outside")
    assert.is_true(is_cancelled(raised(eddy.await, task)))
    assert.equal(6, now())
    assert.equal(1, task:cancelling())
  end)

  it("does not swallow a cancellation from outside in the same turn", function()
    local task, tg
    task = eddy.create_task(eddy.TaskGroup, function(group)
      tg = group
      eddy.sleep(60)
    end)
    eddy.sleep(1)
    tg:cancel()
    task:cancel()
    eddy.wait { task }
    assert.is_true(task:cancelled())
    assert.equal(1, task:cancelling())
  end)

  it("refuses children from then on", function()
    eddy.TaskGroup(function(tg)
      tg:cancel()
      assert.is_true(eddy.is_error(raised(tg.create_task, tg, function() end), eddy.RuntimeError))
    end)
  end)
end)

describe("TaskGroup:start #virtual", function()
  it("waits until the child calls started, and returns what it gives", function()
    local log = {}
    eddy.TaskGroup(function(tg)
      log[1] = table.concat({ tg:start(function(started, name)
        eddy.sleep(1)
        started(name, "ready")
        eddy.sleep(2)
        log[#log + 1] = "child done at " .. now()
      end, "server") }, " ")
      log[2] = "started at " .. now()
    end)
    assert.same({ "server ready", "started at 1.0", "child done at 3.0" }, log)
  end)

  it("takes an async function", function()
    eddy.TaskGroup(function(tg)
      assert.equal("ready", tg:start(eddy.async(function(started) started "ready" end)))
    end)
  end)

  it("raises what the child raises before it has started; the group goes on", function()
    local log = {}
    eddy.TaskGroup(function(tg)
      tg:create_task(sleeper(log, "sibling", 2))
      assert.equal("boom", raised(tg.start, tg, failing(1, "boom")))
    end)
    assert.same({ "sibling done" }, log)
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("raises RuntimeError when the child ends without calling started", function()
    eddy.TaskGroup(function(tg)
      local err = raised(tg.start, tg, function() end)
      assert.is_true(eddy.is_error(err, eddy.RuntimeError))
      assert.matches("without calling started", tostring(err))
    end)
  end)

  it("makes the child's errors the group's from then on", function()
    local ready
    local errors = errors_of(eddy.TaskGroup, function(tg)
      ready = tg:start(function(started)
        started "ready"
        eddy.sleep(1)
        error("boom", 0)
      end)
      eddy.sleep(60)
    end)
    assert.equal("ready", ready)
    assert.same({ "boom" }, errors)
  end)

  it("makes an error right after started the group's", function()
    local errors = errors_of(eddy.TaskGroup, function(tg)
      tg:start(function(started)
        started()
        error("boom", 0)
      end)
    end)
    assert.same({ "boom" }, errors)
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("lets started be called once", function()
    local second
    eddy.TaskGroup(function(tg)
      tg:start(function(started)
        started()
        second = raised(started)
      end)
    end)
    assert.is_true(eddy.is_error(second, eddy.RuntimeError))
  end)

  it("passes a cancellation of the starter on to the child, and awaits it", function()
    local log = {}
    local task = eddy.create_task(eddy.TaskGroup, function(tg)
      tg:start(function()
        local _ <close> = at_end(function(err)
          eddy.sleep(1)
          log[#log + 1] = is_cancelled(err) and "child cancelled"
        end)
        eddy.sleep(60)
      end)
      log[#log + 1] = "not here"
    end)
    eddy.sleep(1)
    task:cancel()
    eddy.wait { task }
    assert.is_true(task:cancelled())
    assert.same({ "child cancelled" }, log)
    assert.equal(2, now())
  end)

  it("is cancelled with its group when a sibling fails", function()
    local errors = errors_of(eddy.TaskGroup, function(tg)
      tg:create_task(failing(1, "boom"))
      tg:start(function(started)
        eddy.sleep(60)
        started()
      end)
    end)
    assert.same({ "boom" }, errors)
    assert.equal(1, now())
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("is refused when the group is finished", function()
    local tg
    eddy.TaskGroup(function(group) tg = group end)
    assert.is_true(eddy.is_error(raised(tg.start, tg, function() end), eddy.RuntimeError))
  end)

  it("may be called by a child", function()
    local ready
    eddy.TaskGroup(function(tg)
      tg:create_task(function()
        eddy.sleep(1)
        ready = tg:start(function(started) started "ready" end)
      end)
    end)
    assert.equal("ready", ready)
  end)
end)

describe("Nested TaskGroups #virtual", function()
  it("end from the inside outwards", function()
    local log = {}
    eddy.TaskGroup(function(outer)
      outer:create_task(sleeper(log, "outer", 1))
      eddy.TaskGroup(function(inner) inner:create_task(sleeper(log, "inner", 2)) end)
      log[#log + 1] = "between"
    end)
    assert.same({ "outer done", "inner done", "between" }, log)
  end)

  it("nest their errors", function()
    local errors = errors_of(eddy.TaskGroup, function()
      eddy.TaskGroup(function(inner) inner:create_task(error, "deep", 0) end)
    end)
    assert.is_true(eddy.is_error(errors[1], eddy.ExceptionGroup))
    assert.same({ "deep" }, errors[1].errors)
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("are all cancelled when a child of the outer one fails", function()
    local log = {}
    local errors = errors_of(eddy.TaskGroup, function(outer)
      outer:create_task(failing(1, "boom"))
      eddy.TaskGroup(function(inner)
        inner:create_task(sleeper(log, "inner"))
        eddy.sleep(60)
      end)
    end)
    assert.same({ "boom" }, errors)
    assert.same({ "inner cancelled" }, log)
    assert.equal(0, eddy.current_task():cancelling())
  end)

  it("leave the outer one alone when the inner one is cancelled", function()
    local log = {}
    assert.equal("result", eddy.TaskGroup(function(outer)
      outer:create_task(sleeper(log, "outer", 2))
      eddy.TaskGroup(function(inner)
        inner:create_task(sleeper(log, "inner"))
        eddy.sleep(1)
        inner:cancel()
        eddy.sleep(60)
      end)
      return "result"
    end))
    assert.same({ "inner cancelled", "outer done" }, log)
  end)

  it("pass a cancellation of the outer one through the inner one", function()
    local reached = false
    eddy.TaskGroup(function(outer)
      eddy.TaskGroup(function(inner)
        inner:create_task(eddy.sleep, 60)
        outer:cancel()
        eddy.sleep(60)
      end)
      reached = true
    end)
    assert.is_false(reached)
    assert.equal(0, eddy.current_task():cancelling())
    eddy.sleep(1)
  end)
end)
