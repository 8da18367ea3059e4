-- Tasks: their first step, results and errors, names and texts, stacks and tracebacks.

local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

local raised, bad_argument = calls.raised_as, calls.bad_argument

local function here() return debug.getinfo(2, "l").currentline end

describe("eddy.create_task #virtual", function()
  it("never runs the body inline", function()
    local ran = false
    local task = eddy.create_task(function() ran = true end)
    assert.is_false(ran)
    assert.is_false(task:done())
    eddy.sleep(0)
    assert.is_true(ran)
    assert.is_true(task:done())
  end)

  it("makes the first steps in the order of creation", function()
    local log = {}
    for i = 1, 5 do eddy.create_task(table.insert, log, i) end
    eddy.sleep(0)
    assert.same({ 1, 2, 3, 4, 5 }, log)
  end)

  it("starts a task that a task makes in the turn after", function()
    local log = {}
    eddy.create_task(function()
      eddy.create_task(table.insert, log, "inner")
      table.insert(log, "outer")
    end)
    eddy.create_task(table.insert, log, "beside")
    eddy.sleep(0)
    assert.same({ "outer", "beside" }, log)
    eddy.sleep(0)
    assert.same({ "outer", "beside", "inner" }, log)
  end)

  it("passes its arguments on, nils too", function()
    local function count(...) return select("#", ...), ... end
    assert.same({ 3, nil, 2, nil, n = 4 }, table.pack(eddy.await(eddy.create_task(count, nil, 2, nil))))
  end)

  it("passes thousands of arguments and results on", function()
    local numbers = {}
    for i = 1, 5000 do numbers[i] = i end
    local task = eddy.create_task(function(...)
      eddy.sleep(1)
      return ...
    end, table.unpack(numbers))
    assert.same(numbers, { eddy.await(task) })
  end)

  it("takes a Coroutine", function()
    local add = eddy.async(function(a, b) return eddy.sleep(1, a + b) end)
    assert.equal(5, eddy.await(eddy.create_task(add(2, 3))))
  end)

  it("takes an async function and its arguments", function()
    local add = eddy.async(function(a, b) return eddy.sleep(1, a + b) end)
    assert.equal(5, eddy.await(eddy.create_task(add, 2, 3)))
  end)

  it("takes a C function that waits, or does not", function()
    assert.equal("slept", eddy.await(eddy.create_task(eddy.sleep, 1, "slept")))
    assert.equal(7, eddy.await(eddy.create_task(math.max, 3, 7, 5)))
  end)

  it("takes an object with __await, or with __call", function()
    local awaitable = setmetatable({}, { __await = function() return eddy.sleep(1, "awaited") end })
    local callable = setmetatable({}, { __call = function(_, value) return eddy.sleep(1, value) end })
    assert.equal("awaited", eddy.await(eddy.create_task(awaitable)))
    assert.equal("called", eddy.await(eddy.create_task(callable, "called")))
  end)

  it("returns a Task that is a Future", function()
    local task = eddy.create_task(eddy.sleep, 1, "result")
    assert.equal(eddy.get_running_loop(), task:get_loop())
    assert.equal("result", task:await())
    assert.equal("result", task:result())
    assert.is_nil(task:exception())
  end)

  it("starts a Coroutine once: another time is a RuntimeError", function()
    local coro = eddy.async(function() return 1 end)()
    eddy.await(eddy.create_task(coro))
    assert.matches("awaited or started before", raised(eddy.RuntimeError, eddy.create_task, coro).message)
  end)

  it("names what is wrong", function()
    local task = eddy.current_task()
    assert.matches("bad argument #1 to 'create_task' %(.*expected",
      bad_argument(function() eddy.create_task() end))
    assert.matches("bad argument #1 to 'create_task' %(awaitable expected, got nil",
      bad_argument(function() eddy.create_task(nil) end))
    assert.matches("bad argument #1 to 'create_task' %(awaitable expected, got number.*waited already",
      bad_argument(function() eddy.create_task(5) end))
    assert.matches("bad argument #1 to 'create_task' %(awaitable expected, got table",
      bad_argument(function() eddy.create_task({}) end))
    assert.matches("bad argument #1 to 'create_task' %(function or Coroutine expected, got a Task or Future",
      bad_argument(function() eddy.create_task(task) end))
    assert.equal(1, #eddy.all_tasks())
  end)

  it("is a method of the loop too", function()
    local loop = eddy.get_running_loop()
    assert.equal("x", loop:create_task(eddy.sleep, 1, "x"):await())
    assert.matches("bad argument #1 to 'create_task' %(awaitable expected, got boolean",
      bad_argument(function() loop:create_task(true) end))
  end)
end)

describe("a Task's end #virtual", function()
  it("keeps all results, nils too", function()
    local task = eddy.create_task(function() return nil, 2, nil end)
    for _ = 1, 2 do assert.same({ nil, 2, nil, n = 3 }, table.pack(eddy.await(task))) end
    assert.same({ nil, 2, nil, n = 3 }, table.pack(task:result()))
  end)

  it("keeps no results as none", function()
    local task = eddy.create_task(function() end)
    assert.equal(0, select("#", eddy.await(task)))
    assert.equal(0, select("#", task:result()))
  end)

  for name, value in pairs {
    ["a string"] = "boom", ["a number"] = 42, ["false"] = false, ["true"] = true, ["a table"] = {},
    ["a function"] = print,
    ["a table with a metatable"] = setmetatable({}, { __tostring = function() return "custom" end }),
    ["an eddy error"] = eddy.TimeoutError("late"), ["a thread"] = coroutine.create(print), ["a userdata"] = io.stdout,
  } do
    it("raises " .. name .. " where it is awaited, the same value", function()
      local task = eddy.create_task(function()
        eddy.sleep(1)
        error(value, 0)
      end)
      for _ = 1, 2 do
        local err = calls.raised(eddy.await, task)
        assert.is_true(rawequal(value, err))
      end
      assert.is_true(rawequal(value, task:exception()))
      assert.is_false(task:cancelled())
    end)
  end

  it("may be nil as an error", function()
    local task = eddy.create_task(error, nil)
    assert.same({ false, nil, n = 2 }, table.pack(pcall(eddy.await, task)))
    assert.is_true(task:done())
    assert.is_nil(task:exception())
    assert.same({ false, nil, n = 2 }, table.pack(pcall(task.result, task)))
    assert.equal("<Task 'nil' failed: nil>", tostring(task:set_name("nil")))
  end)

  it("adds the position to an error as Lua does", function()
    local line
    local task = eddy.create_task(function()
      line = here() + 1
      error("boom")
    end)
    local _, err = pcall(eddy.await, task)
    assert.matches("task_spec.lua:" .. line .. ": boom$", err)
  end)

  it("is told to done callbacks, also to those that come late", function()
    local log = {}
    local task = eddy.create_task(function() return "r" end)
    task:add_done_callback(function(t) table.insert(log, t:result()) end)
    eddy.sleep(0)
    assert.same({}, log)
    eddy.sleep(0)
    assert.same({ "r" }, log)
    task:add_done_callback(function(t) table.insert(log, "late " .. t:result()) end)
    eddy.sleep(0)
    assert.same({ "r", "late r" }, log)
  end)

  it("can be awaited by many", function()
    local task = eddy.create_task(eddy.sleep, 1, "shared")
    local function wait() return task:await() end
    local results = eddy.gather(wait, function() return eddy.await(task) end, wait)
    assert.same({ "shared", "shared", "shared", n = 3 }, results)
  end)

  it("is its own affair: set_result and set_exception raise", function()
    local task = eddy.create_task(eddy.sleep, 1, "mine")
    assert.matches("set_result", raised(eddy.RuntimeError, task.set_result, task, 1).message)
    assert.matches("set_exception", raised(eddy.RuntimeError, task.set_exception, task, "e").message)
    assert.equal("mine", eddy.await(task))
    raised(eddy.RuntimeError, task.set_result, task, 1)
  end)

  it("comes even if nobody holds the task", function()
    local log = {}
    eddy.create_task(function()
      eddy.sleep(1)
      collectgarbage()
      eddy.sleep(1)
      table.insert(log, "ended")
    end)
    collectgarbage()
    collectgarbage()
    eddy.sleep(3)
    assert.same({ "ended" }, log)
  end)

  it("comes even if nobody holds what it waits for", function()
    local task = eddy.create_task(function()
      return eddy.get_running_loop():create_future():await()
    end)
    eddy.sleep(0)
    collectgarbage()
    collectgarbage()
    assert.is_false(task:done())
    task:cancel()
    eddy.sleep(0)
    assert.is_true(task:cancelled())
  end)

  it("lets go of what the body held", function()
    local weak = setmetatable({ {} }, { __mode = "v" })
    local task = eddy.create_task(function(held)
      local also = { held }
      eddy.sleep(1)
      return #also
    end, weak[1])
    eddy.await(task)
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)

  it("cannot be awaited by itself", function()
    local task
    task = eddy.create_task(function()
      eddy.sleep(0)
      return raised(eddy.RuntimeError, eddy.await, task).message, raised(eddy.RuntimeError, task.await, task).message
    end)
    assert.same({ "'await': a task cannot await itself", "'await': a task cannot await itself" }, { eddy.await(task) })
  end)

  it("may be the end of another's error: it passes through a chain of awaits untouched", function()
    local boom = {}
    local inner = eddy.create_task(error, boom)
    for _ = 1, 20 do
      local awaited = inner
      inner = eddy.create_task(function() return eddy.await(awaited) end)
    end
    assert.equal(boom, select(2, pcall(eddy.await, inner)))
  end)
end)

describe("a Task of another loop #plain", function()
  it("cannot be awaited", function()
    local other <close> = eddy.new_event_loop { clock = "virtual" }
    local task = other:create_task(eddy.sleep, 1)
    testing.virtual_clock(function()
      assert.equal("'await': the future belongs to another loop", raised(eddy.RuntimeError, eddy.await, task).message)
    end)
    other:run_until_complete(task)
  end)

  it("does not run when its loop does not", function()
    local other <close>, ran = eddy.new_event_loop { clock = "virtual" }, false
    other:create_task(function() ran = true end)
    testing.virtual_clock(eddy.sleep, 1)
    assert.is_false(ran)
    other:run_until_complete(function() eddy.sleep(0) end)
    assert.is_true(ran)
  end)
end)

describe("a foreign yield #virtual", function()
  it("raises RuntimeError inside the task", function()
    local task = eddy.create_task(function()
      coroutine.yield("for nobody")
      return "unreached"
    end)
    assert.matches("coroutine.yield", raised(eddy.RuntimeError, eddy.await, task).message)
  end)

  it("can be caught there, and the task goes on", function()
    local task = eddy.create_task(function()
      local err = raised(eddy.RuntimeError, function()
        coroutine.yield(1, 2, 3)
        return "unreached"
      end)
      return err.message, eddy.sleep(1, "goes on")
    end)
    local message, more = eddy.await(task)
    assert.matches("coroutine.yield", message)
    assert.equal("goes on", more)
  end)

  it("is caught by the pcall that calls it", function()
    local task = eddy.create_task(function()
      local err = raised(eddy.RuntimeError, coroutine.yield, 1)
      return err.message, eddy.sleep(1, "goes on")
    end)
    local message, more = eddy.await(task)
    assert.matches("coroutine.yield", message)
    assert.equal("goes on", more)
  end)

  it("fails a task that is nothing else", function()
    assert.matches("coroutine.yield", raised(eddy.RuntimeError, eddy.await, eddy.create_task(coroutine.yield)).message)
  end)

  it("runs the <close> handlers, which may wait", function()
    local log = {}
    local task = eddy.create_task(function()
      local _ <close> = setmetatable({}, { __close = function()
        eddy.sleep(1)
        table.insert(log, eddy.time())
      end })
      coroutine.yield()
    end)
    raised(eddy.RuntimeError, eddy.await, task)
    assert.same({ 1 }, log)
  end)

  it("disturbs no other task", function()
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = eddy.create_task(i % 2 == 0 and coroutine.yield or eddy.sleep, 1, i)
    end
    eddy.wait(tasks)
    for i = 1, 10 do
      if i % 2 == 0 then raised(eddy.RuntimeError, tasks[i].result, tasks[i])
      else assert.equal(i, tasks[i]:result()) end
    end
  end)

  it("does not confuse a coroutine that the task resumes itself", function()
    local task = eddy.create_task(function()
      local count = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
      return count() + count() + eddy.sleep(1, 10) + count()
    end)
    assert.equal(16, eddy.await(task))
  end)

  it("gives way to a cancellation of the same turn", function()
    local task = eddy.create_task(function()
      local ok, err = pcall(function()
        coroutine.yield()
        return "unreached"
      end)
      return ok, err
    end)
    eddy.sleep(0)
    task:cancel()
    pcall(eddy.await, task)
    assert.is_true(task:done())
    assert.equal(1, task:cancelling())
  end)
end)

describe("a Task's name #virtual", function()
  it("counts up until it is set", function()
    local a, b = eddy.create_task(function() end), eddy.create_task(function() end)
    local n = tonumber(a:get_name():match("^Task%-(%d+)$"))
    assert.equal(("Task-%d"):format(n + 1), b:get_name())
  end)

  it("is set by set_name, which returns the task", function()
    local task = eddy.create_task(function() end)
    assert.equal(task, task:set_name("fetch"))
    assert.equal("fetch", task:get_name())
    eddy.await(task)
    assert.equal("fetch", task:get_name())
  end)

  it("is a string", function()
    local task = eddy.current_task()
    assert.equal("bad argument #1 to 'set_name' (string expected, got number)",
      bad_argument(function() task:set_name(5) end))
    assert.equal("bad argument #1 to 'set_name' (string expected, got no value)",
      bad_argument(function() task:set_name() end))
  end)

  it("may be empty, long or hold zeros", function()
    local task = eddy.current_task()
    for _, name in ipairs { "", ("x"):rep(10000), "a\0b", "it's" } do
      assert.equal(name, task:set_name(name):get_name())
      assert.is_true(#tostring(task) > 10)
    end
  end)
end)

describe("a Task's text #virtual", function()
  it("shows its name and state from its beginning to its end", function()
    local inside, line
    local task
    task = eddy.create_task(function()
      inside = tostring(task)
      line = here() + 1
      eddy.sleep(1)
    end):set_name("t")
    assert.equal("<Task 't' pending>", tostring(task))
    eddy.sleep(0)
    assert.equal("<Task 't' running>", inside)
    assert.matches("^<Task 't' pending, waiting in sleep at .*task_spec.lua:" .. line .. ">$", tostring(task))
    eddy.await(task)
    assert.equal("<Task 't' finished>", tostring(task))
  end)

  it("shows that it was cancelled", function()
    local task = eddy.create_task(eddy.sleep, 1):set_name("t")
    task:cancel()
    eddy.sleep(0)
    assert.equal("<Task 't' cancelled>", tostring(task))
  end)

  it("shows the error that it failed with", function()
    local function text_of(value)
      local task = eddy.create_task(error, value, 0):set_name("t")
      pcall(eddy.await, task)
      return tostring(task)
    end
    assert.equal("<Task 't' failed: boom>", text_of("boom"))
    assert.equal("<Task 't' failed: 42>", text_of(42))
    assert.equal("<Task 't' failed: TimeoutError: late>", text_of(eddy.TimeoutError("late")))
    assert.equal('<Task \'t\' failed: { code = 7 }>', text_of({ code = 7 }))
    assert.matches("failed: .*__tostring failed", text_of(setmetatable({}, { __tostring = error })))
  end)

  it("shows what it awaits", function()
    local task = eddy.create_task(eddy.sleep, 1)
    local awaiting = eddy.create_task(function() eddy.await(task) end)
    eddy.sleep(0)
    assert.matches("pending, waiting in await at .*task_spec.lua:%d+>$", tostring(awaiting))
    eddy.await(awaiting)
  end)

  it("shows the script's place, not a place within C", function()
    local line
    local task = eddy.create_task(function()
      line = here() + 1
      pcall(pcall, eddy.sleep, 1)
    end)
    eddy.sleep(0)
    assert.matches("at .*task_spec.lua:" .. line .. ">$", tostring(task))
    eddy.await(task)
  end)
end)

describe("task:get_coro #virtual", function()
  it("is the Coroutine that it runs", function()
    local coro = eddy.async(eddy.sleep)(0)
    local task = eddy.create_task(coro)
    assert.equal(coro, task:get_coro())
    eddy.await(task)
  end)
end)

describe("Tracebacks go through coroutines #virtual", function()
  local co = eddy.coroutine

  local function lines_in(text)
    local lines = {}
    for line in text:gmatch "task_spec.lua:(%d+): in " do lines[#lines + 1] = tonumber(line) end
    return lines
  end

  for _, depth in ipairs { 1, 3, 30 } do
    it("of an error, " .. depth .. " deep", function()
      local function nest(n)
        if n == 0 then error "boom" end
        co.wrap(nest)(n - 1)
      end
      local line = debug.getinfo(nest, "S").linedefined
      local task = eddy.create_task(nest, depth)
      pcall(eddy.await, task)
      local lines = lines_in(task:traceback())
      assert.equal(line + 1, lines[1])
      for i = 2, math.min(depth, 8) do assert.equal(line + 2, lines[i]) end
    end)

    it("of a wait, " .. depth .. " deep, and through generators", function()
      local function nest(n)
        if n == 0 then return eddy.sleep(1) end
        for _ in eddy.generator(function() nest(n - 1) end)() do error "none" end
      end
      local line = debug.getinfo(nest, "S").linedefined
      local task = eddy.create_task(nest, depth)
      eddy.sleep(0.5)
      assert.equal(1 + 2 * depth, #task:get_stack())
      assert.equal(line + 1, task:get_stack()[1].currentline)
      assert.equal(line + 2, task:get_stack()[2].currentline)
      assert.same({ line + 1, line + 2, line + 2 }, { table.unpack(lines_in(task:traceback()), 1, 3) })
      eddy.await(task)
    end)
  end
end)

describe("task:get_stack #virtual", function()
  it("lists where a waiting task is, innermost first", function()
    local inner_line, outer_line
    local function inner()
      inner_line = here() + 1
      eddy.sleep(1)
    end
    local task = eddy.create_task(function()
      outer_line = here() + 1
      inner()
      return 1
    end)
    eddy.sleep(0)
    local stack = task:get_stack()
    assert.equal(2, #stack)
    assert.same({ inner_line, outer_line }, { stack[1].currentline, stack[2].currentline })
    assert.equal("inner", stack[1].name)
    assert.matches("task_spec.lua$", stack[1].short_src)
    assert.equal(debug.getinfo(1, "S").source, stack[2].source)
    assert.equal("Lua", stack[1].what)
    eddy.await(task)
  end)

  it("is empty before the first step and after the end", function()
    local task = eddy.create_task(eddy.sleep, 1)
    assert.same({}, task:get_stack())
    eddy.await(task)
    assert.same({}, task:get_stack())
  end)

  it("works on the running task", function()
    local line = here() + 1
    local stack = eddy.current_task():get_stack()
    assert.equal(line, stack[1].currentline)
  end)
end)

describe("task:traceback #virtual", function()
  it("shows where the error happened", function()
    local line
    local function deeper()
      line = here() + 1
      error("boom", 0)
    end
    local task = eddy.create_task(function()
      eddy.sleep(1)
      deeper()
      return 1
    end):set_name("worker")
    pcall(eddy.await, task)
    local text = task:traceback()
    assert.matches("^boom\nstack traceback of task 'worker':\n", text)
    assert.matches("task_spec.lua:" .. line .. ": in ", text)
    assert.matches("'deeper'", text)
  end)

  it("shows the chain of awaits that led to the error", function()
    local awaited_at
    local inner = eddy.create_task(error, "boom", 0):set_name("inner")
    local middle = eddy.create_task(function()
      awaited_at = here() + 1
      eddy.await(inner)
    end):set_name("middle")
    local outer = eddy.create_task(function() eddy.await(middle) end):set_name("outer")
    pcall(eddy.await, outer)
    local text = outer:traceback()
    assert.matches("'inner'.*\nawaited by task 'middle' at .*task_spec.lua:" .. awaited_at .. "\n", text)
    assert.matches("'middle' at .*\nawaited by task 'outer' at .*task_spec.lua:" .. awaited_at + 2 .. "\n", text)
    assert.not_matches("awaited by", inner:traceback())
  end)

  it("of endless recursion leaves the outer calls out, as it would take seconds to find them", function()
    collectgarbage() -- with such a stack finalizers take long, see corners_spec
    collectgarbage()
    local function endless() return 1 + endless() end
    local line = debug.getinfo(endless, "S").linedefined
    for _ = 1, 3 do
      local task = eddy.create_task(endless)
      assert.matches("stack overflow", select(2, pcall(task.await, task)))
      local text = task:traceback()
      assert.matches(("\n\t[^\n]*task_spec.lua:%d: in [^\n]*'endless'\n"):format(line), text)
      assert.matches("more than a thousand levels", text)
      assert.is_true(#text < 10000)
    end
  end)

  it("of a task whose time has run out begins where it was waiting", function()
    local function wait() eddy.sleep(10) return true end
    local line = debug.getinfo(wait, "S").linedefined
    local tasks = {
      eddy.create_task(function() return eddy.wait_for(wait, 1) end),
      eddy.create_task(function() return eddy.timeout(1, wait) end),
      eddy.create_task(function()
        local _ <close> = eddy.timeout(1)
        return wait()
      end),
    }
    for _, task in ipairs(tasks) do
      assert.is_true(eddy.is_error(select(2, pcall(task.await, task)), eddy.TimeoutError))
      assert.matches("TimeoutError\nstack traceback of task '[^\n]*\n\t[^\n]*task_spec.lua:" .. line, task:traceback())
    end
  end)

  it("shows where a task that lives is", function()
    local line
    local task = eddy.create_task(function()
      line = here() + 1
      eddy.sleep(1)
    end)
    assert.equal("", task:traceback())
    eddy.sleep(0)
    assert.matches("task_spec.lua:" .. line, task:traceback())
    eddy.await(task)
    assert.equal("", task:traceback())
  end)

  it("shows an error of any kind", function()
    for _, value in ipairs { 42, false, {}, print, setmetatable({}, { __tostring = error }) } do
      local task = eddy.create_task(error, value)
      pcall(eddy.await, task)
      assert.equal("string", type(task:traceback()))
    end
    local task = eddy.create_task(error, nil)
    pcall(eddy.await, task)
    assert.matches("^nil\n", task:traceback())
  end)
end)

describe("task:print_stack #plain", function()
  it("writes the traceback to standard error", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write [[
      local eddy = require "eddy"
      eddy.run(function()
        local task = eddy.create_task(function() eddy.sleep(1) end)
        eddy.sleep(0)
        task:print_stack()
        task:cancel()
      end)
    ]]
    file:flush()
    local lua = os.getenv("EDDY_LUA") or "lua5.4"
    local pipe = assert(io.popen(("'%s' '%s' 2>&1 >/dev/null"):format(lua, path)))
    local output = pipe:read("a")
    pipe:close()
    os.remove(path)
    assert.matches("^stack traceback:\n.*:3: in ", output)
  end)
end)

describe("a Task's methods #virtual", function()
  it("check what they are called with", function()
    local task = eddy.current_task()
    for _, name in ipairs { "get_name", "set_name", "cancelling", "uncancel", "get_coro", "get_stack", "print_stack",
      "traceback" } do
      local method = task[name]
      assert.equal("bad argument #1 to '" .. name .. "' (Task expected, got Future)",
        bad_argument(function() method(eddy.get_running_loop():create_future()) end))
      assert.equal("bad argument #1 to '" .. name .. "' (Task expected, got no value)",
        bad_argument(function() method() end))
    end
  end)
end)

-- A mistake, and whatever comes of it, the runtime and the other tasks are unharmed.
describe("a task's own coroutine, in a script's hands #plain", function()
  -- Runs f(get_thread_of_an_ended_task), then sees that tasks work as ever.
  local function survive(f)
    testing.virtual_clock({ exception_handler = function() end }, function()
      f(function()
        return eddy.await(eddy.create_task(function() return (coroutine.running()) end))
      end)
      collectgarbage()
      for i = 1, 5 do assert.equal(i, eddy.await(eddy.create_task(eddy.sleep, 1, i))) end
      assert.equal(1, #eddy.all_tasks())
    end)
  end

  it("may be resumed when the task has ended: that is an error", function()
    survive(function(ended)
      local co = ended()
      assert.is_false((coroutine.resume(co)))
      assert.is_false((coroutine.resume(co, print, 1, 2, 3)))
    end)
  end)

  it("may be closed when the task has ended", function()
    survive(function(ended) coroutine.close(ended()) end)
  end)

  it("may be resumed when it is the only idle one: the next task gets another", function()
    eddy.run(function()
      for i = 1, 3 do
        local co
        eddy.await(eddy.create_task(function() co = coroutine.running() end))
        coroutine.resume(co)
        assert.equal(i, eddy.await(eddy.create_task(function() return i end)))
      end
    end)
  end)

  it("may be resumed before the first step of the next task", function()
    survive(function(ended)
      local co = ended()
      local task = eddy.create_task(eddy.sleep, 1, "own")
      coroutine.resume(co, "foreign")
      pcall(eddy.await, task)
      assert.is_true(task:done())
    end)
  end)

  it("may be closed before the first step of the next task", function()
    survive(function(ended)
      local co = ended()
      local task = eddy.create_task(eddy.sleep, 1, "own")
      coroutine.close(co)
      pcall(eddy.await, task)
      assert.is_true(task:done())
    end)
  end)

  it("may be closed before the next task, which has many arguments, is cancelled", function()
    survive(function(ended)
      local co = ended()
      local task = eddy.create_task(eddy.sleep, 1, 2, 3, 4, 5)
      coroutine.close(co)
      task:cancel()
      assert.is_false((pcall(eddy.await, task)))
      assert.equal("own", eddy.await(eddy.create_task(function() return "own" end)))
    end)
  end)

  for name, wait in pairs {
    sleep = function() eddy.sleep(1) end,
    ["sleep(0)"] = function() eddy.sleep(0) end,
    await = function(f) f:await() end,
    gather = function(f, g) eddy.gather(f, g) end,
    wait = function(f, g) eddy.wait({ f, g }, { timeout = 5 }) end,
    wait_for = function(f) eddy.wait_for(f, 5) end,
    shield = function(f) eddy.shield(f) end,
    as_completed = function(f, g) for _ in eddy.as_completed { f, g } do end end,
  } do
    for how, misuse in pairs { resumed = coroutine.resume, closed = coroutine.close } do
      it(("may be %s while it waits in %s"):format(how, name), function()
        survive(function()
          local loop, co = eddy.get_running_loop(), nil
          local f, g = loop:create_future(), loop:create_future()
          local task = eddy.create_task(function()
            co = coroutine.running()
            wait(f, g)
          end)
          eddy.sleep(0)
          pcall(misuse, co, 1, 2)
          collectgarbage()
          collectgarbage()
          f:set_result(1)
          g:set_result(2)
          task:cancel()
          eddy.sleep(10)
          assert.is_true(task:done())
        end)
      end)
    end
  end

  -- Each waits in what it is given, which the spec keeps; `over` ends that.
  local waits = {
    sleep = { wait = function() eddy.sleep(1) end },
    ["sleep(0)"] = { wait = function() eddy.sleep(0) end },
    await = { wait = function(f) f:await() end },
    ["await of a task"] = { wait = function(_, task) task:await() end },
    shield = { wait = function(f) eddy.shield(f) end },
    wait_for = { wait = function(f) eddy.wait_for(f, 5) end },
    gather = { wait = function(f, task) eddy.gather(f, task) end },
    wait = { wait = function(f, task) eddy.wait({ f, task }, { timeout = 5 }) end },
    as_completed = { wait = function(f, _, each) for _ in each do f:done() end end },
    select = { wait = function(f) eddy.select { f, 5 } end },
    ["Lock:acquire"] = { wait = function(_, _, _, lock) lock:acquire() end },
    ["Queue:get"] = { wait = function(_, _, _, _, queue) queue:get() end },
    ["TaskGroup"] = { wait = function() eddy.TaskGroup(function(tg) tg:create_task(eddy.sleep, 2) end) end },
    read = { wait = function(_, _, _, _, _, reader) reader:read(1) end },
    getaddrinfo = { wait = function() eddy.getaddrinfo("localhost", 80) end },
    to_thread = { wait = function() eddy.to_thread(math.abs, 1) end },
  }
  for name, case in pairs(waits) do
    for where, enter in pairs {
      ["its own"] = function(f)
        f()
        error("closed, it went on")
      end,
      ["a nested"] = function(f) eddy.coroutine.resume(eddy.coroutine.create(f)) end,
    } do
      it(("closed while %s waits in %s, keeps nothing alive for good"):format(where, name), function()
        local gone, before = setmetatable({}, { __mode = "v" }), testing.ledger().kept
        testing.virtual_clock({ exception_handler = function() end }, function()
          local loop, lock, queue = eddy.get_running_loop(), eddy.Lock(), eddy.Queue()
          local f, other = loop:create_future(), eddy.create_task(eddy.sleep, 3)
          local reader, writer = eddy.pipe()
          local each = eddy.as_completed { f, other }
          lock:acquire()
          local co
          gone[1] = eddy.create_task(enter, function()
            co = coroutine.running()
            case.wait(f, other, each, lock, queue, reader)
          end)
          eddy.sleep(0)
          coroutine.close(co)
          gone[2] = co
          co = nil -- luacheck: ignore
          if gone[1] then gone[1]:cancel() end
          eddy.sleep(0.1)
          collectgarbage()
          collectgarbage()
          assert.same({}, gone)
          f:set_result(1)
          queue:put(1)
          lock:release()
          writer:write("x")
          eddy.sleep(10)
          reader:close()
          writer:close()
        end)
        assert.equal(before, testing.ledger().kept)
      end)
    end
  end

  it("may be closed and forgotten: the end of the run copes with it", function()
    testing.virtual_clock({ exception_handler = function() end }, function()
      local co
      eddy.create_task(function()
        co = coroutine.running()
        eddy.sleep(1000)
      end)
      eddy.sleep(0)
      coroutine.close(co)
    end)
  end)
end)

describe("many tasks #plain", function()
  it("of ten thousand, each gets its own result", function()
    local sum = testing.virtual_clock(function()
      local tasks, total = {}, 0
      for i = 1, 10000 do
        tasks[i] = eddy.create_task(function()
          eddy.sleep(i % 7)
          return i
        end)
      end
      for i = 1, 10000 do total = total + eddy.await(tasks[i]) end
      return total
    end)
    assert.equal(50005000, sum)
  end)

  it("may await each other in a chain of ten thousand, and its error comes through", function()
    local boom = {}
    testing.virtual_clock(function()
      local task = eddy.create_task(function()
        eddy.sleep(1)
        error(boom)
      end)
      for _ = 1, 10000 do
        local inner = task
        task = eddy.create_task(function() return eddy.await(inner) end)
      end
      assert.equal(boom, select(2, pcall(eddy.await, task)))
      assert.matches("more awaits", task:traceback())
    end)
  end)

  it("may fail while the collector runs all the time", function()
    collectgarbage("setpause", 0)
    local before = collectgarbage("setstepmul", 1000)
    testing.virtual_clock({ exception_handler = function() end }, function()
      for _ = 1, 50 do
        eddy.create_task(error, {})
        eddy.create_task(eddy.sleep, 1, {}):cancel("x")
        eddy.sleep(0.1)
      end
    end)
    collectgarbage("setstepmul", before)
    collectgarbage("setpause", 200)
  end)
end)

describe("a task that has not begun", function()
  it("gets all its arguments, however many they are", function()
    for n = 0, 8 do
      local values = {}
      for i = 1, n do values[i] = i ~= 2 and i or nil end
      local got = table.pack(eddy.create_task(function(...) return ... end, table.unpack(values, 1, n)):await())
      assert.same(table.pack(table.unpack(values, 1, n)), got)
    end
  end)

  it("runs after all if the request to stop was taken back", function()
    for n = 0, 5 do
      local task = eddy.create_task(select, "#", table.unpack({}, 1, n))
      task:cancel("no")
      assert.equal(0, task:uncancel())
      assert.equal(n, task:await())
    end
  end)

  it("lets go of its function and arguments when it begins, and when it never does", function()
    local kept = setmetatable({}, { __mode = "v" })
    local function make(n)
      local f = function() end
      local arguments = {}
      for i = 1, n do arguments[i] = {} end
      kept[#kept + 1], kept[#kept + 2] = f, arguments[n]
      return eddy.create_task(f, table.unpack(arguments))
    end
    local tasks = {}
    for n = 1, 5 do
      tasks[n] = make(n)
      tasks[-n] = make(n)
      tasks[-n]:cancel()
    end
    eddy.sleep(0)
    eddy.sleep(0)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(kept))
    assert.is_true(tasks[1]:done() and tasks[-1]:cancelled())
  end)
end)

describe("an object", function()
  it("is not taken for one of another type whose metatable it was given", function()
    local of_queue = debug.getmetatable(eddy.Queue())
    for _, stranger in ipairs { eddy.Lock(), io.stdout } do
      local own = debug.getmetatable(stranger)
      debug.setmetatable(stranger, of_queue)
      local ok, err = pcall(stranger.qsize, stranger)
      debug.setmetatable(stranger, own)
      assert.is_false(ok)
      assert.matches("bad argument #1 to 'qsize' %(Queue expected, got Queue%)", err)
    end
  end)
end)
