local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

local raised = calls.raised

-- What stands for each kind of value that may be raised.
local function any_values()
  local co = coroutine.create(print)
  return { "text", 42, 1.5, true, false, {}, print, co, io.stdout, setmetatable({}, { __eq = error, __index = error }) }
end

describe("eddy's error classes", function()
  local names = { "CancelledError", "TimeoutError", "InvalidStateError", "RuntimeError", "QueueEmpty", "QueueFull",
    "QueueShutDown", "BrokenBarrierError", "IncompleteReadError", "LimitOverrunError", "BrokenWorkerError",
    "Interrupted", "DeadlockError", "OSError", "ExceptionGroup" }

  it("are all Errors", function()
    for _, name in ipairs(names) do
      local err = name == "ExceptionGroup" and eddy[name]("text", { 1 }) or eddy[name] "text"
      assert.is_true(err:is(eddy[name]), name)
      assert.is_true(err:is(eddy.Error), name)
      assert.matches("^" .. name .. ": text", tostring(err))
    end
  end)

  it("are not each other", function()
    assert.is_false(eddy.TimeoutError():is(eddy.CancelledError))
    assert.is_false(eddy.Error():is(eddy.TimeoutError))
  end)

  it("have BrokenBarrierError under RuntimeError", function()
    assert.is_true(eddy.BrokenBarrierError():is(eddy.RuntimeError))
    assert.is_false(eddy.RuntimeError():is(eddy.BrokenBarrierError))
  end)

  it("say what they are", function()
    assert.equal("<class TimeoutError>", tostring(eddy.TimeoutError))
  end)

  it("make errors with a message of any type", function()
    assert.equal("too slow", eddy.TimeoutError("too slow").message)
    assert.equal("TimeoutError: too slow", tostring(eddy.TimeoutError("too slow")))
    assert.equal(42, eddy.CancelledError(42).message)
    assert.equal("CancelledError: 42", tostring(eddy.CancelledError(42)))
    local value = {}
    assert.equal(value, eddy.CancelledError(value).message)
    assert.is_false(eddy.CancelledError(false).message)
    assert.equal("CancelledError: false", tostring(eddy.CancelledError(false)))
  end)

  it("make errors without a message", function()
    assert.is_nil(eddy.TimeoutError().message)
    assert.equal("TimeoutError", tostring(eddy.TimeoutError()))
  end)

  it("give those that have fields a table of them", function()
    local err = eddy.OSError { code = "ENOENT", path = "x", message = "no such thing" }
    assert.same({ "ENOENT", "x" }, { err.code, err.path })
    assert.equal("OSError: no such thing", tostring(err))
    assert.equal("OSError: ENOENT", tostring(eddy.OSError { code = "ENOENT" }))
    assert.equal("par", eddy.IncompleteReadError { partial = "par", expected = 5 }.partial)
    assert.equal(7, eddy.LimitOverrunError { consumed = 7 }.consumed)
  end)

  it("make errors to which a script may add fields", function()
    local err = eddy.Error "text"
    err.more = 1
    assert.equal(1, err.more)
    assert.is_nil(eddy.Error("text").more)
  end)

  it("are the same every time the module is loaded", function()
    local class = eddy.TimeoutError
    local again = package.searchpath("eddy", package.cpath)
    local open = assert(package.loadlib(again, "luaopen_eddy"))
    assert.equal(class, open("eddy").TimeoutError)
  end)
end)

describe("Class:extend #plain", function()
  it("makes a class under another", function()
    local MyError = eddy.Error:extend "MyError"
    local err = MyError "text"
    assert.is_true(err:is(MyError) and err:is(eddy.Error))
    assert.is_false(err:is(eddy.TimeoutError))
    assert.equal("MyError: text", tostring(err))
    assert.equal("<class MyError>", tostring(MyError))
  end)

  it("may be repeated to any depth", function()
    local class = eddy.TimeoutError
    for i = 1, 50 do class = class:extend("Level" .. i) end
    assert.is_true(class():is(eddy.TimeoutError))
    assert.is_true(eddy.is_error(class(), eddy.Error))
    assert.is_false(class():is(eddy.CancelledError))
  end)

  it("inherits methods and __tostring", function()
    local Base = eddy.Error:extend "Base"
    function Base:hint() return "hint about " .. self.message end
    Base.__tostring = function(err) return "Base says " .. err.message end
    local Derived = Base:extend "Derived"
    assert.equal("hint about it", Derived("it"):hint())
    assert.equal("Base says it", tostring(Derived "it"))
  end)

  it("of CancelledError makes errors that cancel", function()
    local Stop = eddy.CancelledError:extend "Stop"
    eddy.run(function()
      local task = eddy.create_task(function() error(Stop()) end)
      eddy.wait { task }
      assert.is_true(task:cancelled())
    end)
  end)

  it("needs a name", function()
    assert.matches("bad argument", raised(function() eddy.Error:extend() end))
  end)
end)

describe("eddy.is_error", function()
  it("knows eddy's errors", function()
    assert.is_true(eddy.is_error(eddy.TimeoutError()))
    assert.is_true(eddy.is_error(eddy.TimeoutError(), eddy.TimeoutError))
    assert.is_true(eddy.is_error(eddy.TimeoutError(), eddy.Error))
    assert.is_false(eddy.is_error(eddy.TimeoutError(), eddy.OSError))
  end)

  it("is false for every other value, and touches none", function()
    for _, value in ipairs(any_values()) do
      assert.is_false(eddy.is_error(value))
      assert.is_false(eddy.is_error(value, eddy.TimeoutError))
    end
    assert.is_false(eddy.is_error(nil))
  end)

  it("is false for a class", function()
    assert.is_false(eddy.is_error(eddy.TimeoutError))
  end)

  it("wants a class to compare with", function()
    assert.matches("bad argument #2 to 'is_error' %(error class expected, got string%)",
      raised(function() eddy.is_error({}, "TimeoutError") end))
    assert.matches("error class expected, got table", raised(function() eddy.is_error({}, {}) end))
  end)
end)

describe("Any value raised as an error #plain", function()
  it("comes unharmed out of tasks and out of run", function()
    for _, value in ipairs(any_values()) do
      local function fail()
        eddy.sleep(0)
        error(value)
      end
      local function level(n)
        if n == 0 then return fail() end
        return eddy.await(eddy.create_task(level, n - 1))
      end
      local got = raised(eddy.run, level, 3)
      if type(value) == "string" then got = got:match "text$" end   -- error() has added the place
      assert.is_true(rawequal(value, got))
    end
  end)

  it("may be nil", function()
    local err = raised(eddy.run, function() return eddy.await(eddy.create_task(error, nil)) end)
    assert.is_nil(err)
  end)

  it("comes unharmed through gather, wait_for, shield, timeout and map", function()
    local value = setmetatable({}, { __eq = error, __index = error, __tostring = error })
    local function fail() error(value) end
    eddy.run(function()
      for _, how in ipairs {
        function() eddy.gather(fail) end,
        function() eddy.wait_for(fail, 1) end,
        function() eddy.wait_for(eddy.create_task(fail), 1) end,
        function() eddy.shield(fail) end,
        function() eddy.timeout(1, fail) end,
        function() eddy.move_on_after(1, fail) end,
        function() eddy.map(fail, { 1 }) end,
        function() eddy.async(fail)():await() end,
      } do
        assert.is_true(rawequal(value, raised(how)))
      end
    end)
  end)

  it("keeps a metatable by which others recognise it, as busted does", function()
    local ok, err = pcall(eddy.run, function()
      eddy.gather(function() assert.equal(1, 2) end)
    end)
    assert.is_false(ok)
    assert.matches("Expected objects to be equal", tostring(err))
  end)
end)

describe("eddy.pcall #virtual", function()
  it("returns true and all results, which may come later", function()
    assert.same({ true, 1, nil, 3, n = 4 }, table.pack(eddy.pcall(eddy.sleep, 1, 1, nil, 3)))
  end)

  it("returns false and the error, the same value", function()
    local err = { code = 7 }
    assert.same({ false, err, n = 2 }, table.pack(eddy.pcall(error, err)))
    assert.same({ false, nil, n = 2 }, table.pack(eddy.pcall(error, nil)))
  end)

  it("lets CancelledError through", function()
    local after = false
    local task = eddy.create_task(function()
      eddy.pcall(eddy.sleep, 60)
      after = true
    end)
    eddy.sleep(1)
    task:cancel()
    eddy.wait { task }
    assert.is_true(task:cancelled())
    assert.is_false(after)
  end)

  it("catches TimeoutError", function()
    local ok, err = eddy.pcall(eddy.timeout, 1, eddy.sleep, 60)
    assert.is_false(ok)
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
  end)

  it("catches the mistake to call what is no function", function()
    local ok, err = eddy.pcall(nil)
    assert.is_false(ok)
    assert.matches("attempt to call a nil value", err)
  end)

  it("wants something to call", function()
    assert.matches("bad argument #1 to 'pcall'", raised(function() eddy.pcall() end))
  end)
end)

describe("eddy.pcall #plain", function()
  it("works outside of tasks, like pcall", function()
    assert.same({ true, 1 }, { eddy.pcall(function() return 1 end) })
    assert.same({ false, "boom" }, { eddy.pcall(error, "boom") })
  end)
end)

describe("eddy.ExceptionGroup", function()
  local timeout, missing, text = eddy.TimeoutError "t", eddy.OSError { code = "ENOENT", message = "m" }, "plain text"

  it("holds errors of any type", function()
    local group = eddy.ExceptionGroup("several", { timeout, missing, text })
    assert.equal("several", group.message)
    assert.equal(timeout, group.errors[1])
    assert.equal(text, group.errors[3])
  end)

  it("shows its errors, one a line, nested ones further in", function()
    local inner = eddy.ExceptionGroup("inner", { text })
    assert.equal("ExceptionGroup: outer (2 errors)\n"
      .. "  1. TimeoutError: t\n"
      .. "  2. ExceptionGroup: inner (1 error)\n"
      .. "    1. plain text", tostring(eddy.ExceptionGroup("outer", { timeout, inner })))
  end)

  it("needs a message and at least one error", function()
    assert.matches("bad argument", raised(eddy.ExceptionGroup, "text"))
    assert.matches("bad argument", raised(eddy.ExceptionGroup, { timeout }))
    assert.matches("at least one error", raised(eddy.ExceptionGroup, "text", {}))
  end)

  it("splits by class", function()
    local group = eddy.ExceptionGroup("all", { timeout, missing, text })
    local matching, rest = group:split(eddy.TimeoutError)
    assert.same({ timeout }, matching.errors)
    assert.equal(2, #rest.errors)
    assert.equal(missing, rest.errors[1])
    assert.equal(text, rest.errors[2])
    assert.equal("all", matching.message)
    assert.equal("all", rest.message)
  end)

  it("splits by predicate", function()
    local group = eddy.ExceptionGroup("all", { timeout, text })
    local matching, rest = group:split(function(err) return type(err) == "string" end)
    assert.same({ text }, matching.errors)
    assert.equal(timeout, rest.errors[1])
  end)

  it("splits nested groups and keeps their shape", function()
    local inner = eddy.ExceptionGroup("inner", { missing, timeout })
    local group = eddy.ExceptionGroup("outer", { text, inner })
    local matching, rest = group:split(eddy.TimeoutError)
    assert.equal("outer", matching.message)
    assert.equal(1, #matching.errors)
    assert.equal("inner", matching.errors[1].message)
    assert.equal(timeout, matching.errors[1].errors[1])
    assert.equal(text, rest.errors[1])
    assert.equal("inner", rest.errors[2].message)
    assert.same({ missing }, rest.errors[2].errors)
    assert.equal(2, #inner.errors)   -- the group itself is as it was
  end)

  it("tries the group itself first", function()
    local group = eddy.ExceptionGroup("all", { timeout })
    local matching, rest = group:split(eddy.ExceptionGroup)
    assert.equal(group, matching)
    assert.is_nil(rest)
    assert.equal(group, (group:split(function(err) return err == group end)))
  end)

  it("leaves an empty half nil", function()
    local group = eddy.ExceptionGroup("all", { timeout })
    local matching, rest = group:split(eddy.OSError)
    assert.is_nil(matching)
    assert.same({ timeout }, rest.errors)
    matching, rest = group:split(eddy.TimeoutError)
    assert.same({ timeout }, matching.errors)
    assert.is_nil(rest)
    assert.same({ n = 2 }, table.pack(eddy.ExceptionGroup("all", { "x" }):split(eddy.OSError), nil))
  end)

  it("has a subgroup of what matches, or nil", function()
    local group = eddy.ExceptionGroup("all", { timeout, missing })
    assert.same({ missing }, group:subgroup(eddy.OSError).errors)
    assert.is_nil(group:subgroup(eddy.CancelledError))
    assert.equal(1, select("#", group:subgroup(eddy.OSError)))
  end)

  it("keeps the class of a group that was extended", function()
    local Mine = eddy.ExceptionGroup:extend "Mine"
    local matching = Mine("all", { timeout, text }):split(eddy.TimeoutError)
    assert.is_true(matching:is(Mine))
  end)

  it("wants a class or a function", function()
    local group = eddy.ExceptionGroup("all", { timeout })
    assert.matches("error class or function expected, got string", raised(function() group:split "TimeoutError" end))
    assert.matches("error class or function expected", raised(function() group:subgroup() end))
  end)

  it("lets a predicate's error through", function()
    local group = eddy.ExceptionGroup("all", { timeout })
    assert.equal("boom", raised(group.split, group, function() error("boom", 0) end))
  end)
end)

describe("task:traceback #virtual", function()
  local function here(f, offset) return "error_spec.lua:" .. debug.getinfo(f, "S").linedefined + offset end

  local function failed(f)
    local task = eddy.create_task(f)
    eddy.wait { task }
    task:exception()
    return task:traceback()
  end

  it("shows the error and the stack of the task that has failed", function()
    local function inner() error("boom", 0) end
    local function outer()
      eddy.sleep(1)
      inner()
      eddy.sleep(1)
    end
    local text = failed(outer)
    assert.matches("^boom\n", text)
    assert.matches("stack traceback of task 'Task%-%d+':\n", text)
    assert.matches(here(inner, 0) .. ": in [^\n]*'inner'", text)
    assert.matches(here(outer, 2) .. ": in ", text)
  end)

  it("shows the chain of awaits that led to it", function()
    local function fail()
      eddy.sleep(1)
      error "boom"
    end
    local function middle()
      local task = eddy.create_task(fail):set_name("deepest")
      eddy.await(task)
    end
    local function outer()
      eddy.gather(eddy.create_task(middle):set_name("middle"))
    end
    local task = eddy.create_task(outer):set_name("outer")
    eddy.wait { task }
    task:exception()
    local text = task:traceback()
    local deepest = text:find("stack traceback of task 'deepest':", 1, true)
    local by_middle = text:find("awaited by task 'middle' at [^\n]*" .. here(middle, 2))
    local by_outer = text:find("awaited by task 'outer' at [^\n]*" .. here(outer, 1))
    assert.is_true(deepest ~= nil and by_middle ~= nil and by_outer ~= nil, text)
    assert.is_true(deepest < by_middle and by_middle < by_outer)
    assert.matches(here(fail, 2) .. ": in ", text)
  end)

  it("does not name awaits of an error that was caught in between", function()
    local function fail() error("first", 0) end
    local text = failed(function()
      pcall(eddy.await, eddy.create_task(fail))
      error("second", 0)
    end)
    assert.matches("^second\n", text)
    assert.is_nil(text:find("awaited by", 1, true))
    assert.is_nil(text:find("first", 1, true))
  end)

  it("shows where the task is while it waits", function()
    local function waiter() eddy.sleep(1) end
    local task = eddy.create_task(waiter)
    eddy.sleep(0)
    assert.matches(here(waiter, 0), task:traceback())
    eddy.await(task)
  end)

  it("shows the frames inside of what runs a function for the task", function()
    local function inner() error("boom", 0) end
    for _, outer in ipairs {
      function() eddy.timeout(1, inner) eddy.sleep(0) end,
      function() eddy.move_on_after(1, inner) eddy.sleep(0) end,
      function() eddy.wait_for(inner, 1) eddy.sleep(0) end,
      function() eddy.await(eddy.async(inner)()) eddy.sleep(0) end,
    } do
      local text = failed(outer)
      assert.matches(here(inner, 0), text)
      assert.matches(here(outer, 0), text)
    end
  end)

  it("goes with errors of a group's children into the group's", function()
    local function child() error("boom", 0) end
    local function main() eddy.TaskGroup(function(tg) tg:create_task(child):set_name("child") end) end
    local text = failed(main)
    assert.matches("unhandled errors in a TaskGroup", text)
    assert.matches("stack traceback of task 'child':", text)
    assert.matches(here(child, 0), text)
  end)
end)

describe("An error that leaves eddy.run #plain", function()
  local folder
  setup(function() folder = support.folder {} end)
  teardown(function() support.remove(folder) end)

  -- What a script writes on stderr, and its exit status.
  local function stderr_of(code)
    local _, err, status = support.plain(folder, code)
    return err, status
  end

  it("tells its story on stderr when nobody catches it", function()
    local err, status = stderr_of [[
      local eddy = require "eddy"
      local function fail()
        eddy.sleep(0)
        error "boom"
      end
      eddy.run(function()
        eddy.await(eddy.create_task(fail):set_name("worker"))
      end)]]
    assert.are_not.equal(0, status)
    assert.matches("eddy: [^\n]*app.lua:4: boom\n", err)
    assert.matches("stack traceback of task 'worker':\n", err)
    assert.matches("app.lua:4: in [^\n]*function", err)
    assert.matches("awaited by task 'main' at [^\n]*app.lua:7\n", err)
  end)

  it("is not told of when a pcall on the stack catches it", function()
    local err, status = stderr_of [[
      local eddy = require "eddy"
      local function fail() eddy.run(function() error "boom" end) end
      print(pcall(fail))
      print(xpcall(fail, debug.traceback))
      print(pcall(function() pcall(print) fail() end))]]
    assert.same({ "", 0 }, { err, status })
  end)

  it("is not told of when a plain coroutine catches it", function()
    local err, status = stderr_of [[
      local eddy = require "eddy"
      print(coroutine.resume(coroutine.create(function() eddy.run(function() error "boom" end) end)))]]
    assert.same({ "", 0 }, { err, status })
  end)

  it("is not told of when eddy.pcall catches it", function()
    local err, status = stderr_of [[
      local eddy = require "eddy"
      print(eddy.pcall(function() eddy.run(function() error "boom" end) end))]]
    assert.same({ "", 0 }, { err, status })
  end)

  it("shows the fields of an error that is a table", function()
    local err = stderr_of "require('eddy').run(function() error { code = 7 } end)"
    assert.matches("eddy: { code = 7 }", err)
  end)

  it("shows the stories of all errors in a group", function()
    local err = stderr_of [[
      local eddy = require "eddy"
      eddy.run(function()
        eddy.TaskGroup(function(tg)
          for i = 1, 2 do
            tg:create_task(function()
              pcall(eddy.sleep, 0)
              error("boom " .. i)
            end):set_name("child " .. i)
          end
        end)
      end)]]
    assert.matches("ExceptionGroup: unhandled errors in a TaskGroup", err)
    assert.matches("app.lua:7: boom 1", err)
    assert.matches("app.lua:7: boom 2", err)
    assert.matches("stack traceback of task 'child 1'", err)
    assert.matches("stack traceback of task 'child 2'", err)
  end)

  it("leaves the process in order: what was printed comes first", function()
    local out = support.sh(([[%s -e 'local eddy = require "eddy"
      print "before"
      eddy.run(function() error("boom", 0) end)' 2>&1]]):format(os.getenv "EDDY_LUA" or "lua5.4"))
    assert.matches("^before\neddy: boom\n", out)
  end)
end)
