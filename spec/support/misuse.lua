-- Calls eddy wrongly, as a script would: the call is a line of source of its own, so that the error can be asked where
-- it was raised. Names in the source that `objects` knows stand for a new object each time.

local assert = require "luassert"
local eddy = require "eddy"

local misuse = {}

local LINE = 37        -- where the call stands in its chunk
local NAME = "call"

local objects = {}

local function loop() return eddy.get_running_loop() end

local function forever() loop():create_future():await() end

-- A userdata that is none of eddy's; nothing of it is open.
local function closed_file()
  local file = io.tmpfile()
  file:close()
  return file
end

function objects.file() return closed_file() end
function objects.thread() return coroutine.create(print) end
function objects.light() return debug.upvalueid(closed_file, 1) end
function objects.noop() return function() end end
function objects.loop() return loop() end
function objects.future() return loop():create_future() end
function objects.handle() return loop():call_later(1000, print) end
function objects.task() return eddy.create_task(forever) end
function objects.async() return eddy.async(function() end) end
function objects.coro() return eddy.async(function() end)() end
function objects.generator() return (eddy.generator(function(yield) yield(1) end)()) end
function objects.iterator() return eddy.as_completed { loop():create_future() } end
function objects.scope() return eddy.timeout(1000) end
function objects.group() return eddy.TaskGroup() end
function objects.runner() return eddy.Runner() end
function objects.lock() return eddy.Lock() end
function objects.semaphore() return eddy.Semaphore(1) end
function objects.bounded() return eddy.BoundedSemaphore(1) end
function objects.event() return eddy.Event() end
function objects.barrier() return eddy.Barrier(2) end
function objects.queue() return eddy.Queue() end
function objects.priority_queue() return eddy.PriorityQueue() end
function objects.var() return eddy.ContextVar("var") end
function objects.context() return eddy.copy_context() end
function objects.token() return eddy.ContextVar("var"):set(1) end
function objects.err() return eddy.TimeoutError("too slow") end
function objects.exception_group() return eddy.ExceptionGroup("several", { eddy.Error("one") }) end

function objects.condition()   -- with the lock held
  local condition = eddy.Condition()
  condition:acquire()
  return condition
end

function objects.hold() return eddy.Lock():hold() end

-- What undoes it, for those that do not go by themselves.
local endings = {
  task = function(task)
    task:cancel()
    pcall(eddy.await, task)
  end,
  future = function(future) future:cancel() end,
  handle = function(handle) handle:cancel() end,
  coro = function(coro) pcall(coro.close, coro) end,
  scope = function(scope) scope:reschedule(nil) end,
}

-- The globals of a call: those of Lua, eddy, what is `given`, and the objects that the source names.
local function environment(source, given)
  local env, made = { eddy = eddy }, {}
  for name, value in pairs(given or {}) do env[name] = value end
  for name in source:gmatch "%a[%w_]*" do
    if objects[name] and env[name] == nil then
      env[name] = objects[name]()
      made[name] = env[name]
    end
  end
  return setmetatable(env, { __index = _G }), made
end

local function compile(source, env)
  local before = ("\n"):rep(LINE - 1)
  return load(before .. "return table.pack(" .. source .. ")", "=" .. NAME, "t", env)
    or assert(load(before .. source, "=" .. NAME, "t", env))
end

-- The line of the nearest Lua function, when that is the call's.
local function line_of_call()
  for level = 3, 1000 do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    if info.currentline > 0 then return info.short_src == NAME and info.currentline or nil end
  end
end

-- Calls f. Returns what came of it: { raised, error, line }.
local function attempt(f)
  local outcome = {}
  local ok, result = xpcall(f, function(err)
    outcome.line = line_of_call()
    return err
  end)
  outcome.raised = not ok
  if ok then outcome.results = result else outcome.error = result end
  return outcome
end

local function inventory()
  if not pcall(loop) then return 0, 0 end
  return #eddy.all_tasks(), #eddy._handles()
end

-- The loop still does its work.
local function assert_works()
  if not eddy.current_task() then return assert.equal(7, eddy.run(function() return 7 end)) end
  assert.equal(5, eddy.sleep(0, 5))
  assert.equal(7, eddy.await(eddy.create_task(function() return eddy.sleep(0, 7) end)))
end

---Runs `source`, an expression or statements; `given` are more globals. Returns { raised, error, line, results }.
---Nothing may be left behind of it, and the loop has to work afterwards.
function misuse.try(source, given)
  local env, made = environment(source, given)
  local f = compile(source, env)
  local tasks, handles = inventory()
  local outcome = attempt(f)
  local tasks_after, handles_after = inventory()
  assert.equal(tasks, tasks_after, "tasks that the call has left")
  assert.equal(handles, handles_after, "handles that the call has left")
  for name, object in pairs(made) do
    if endings[name] then endings[name](object) end
  end
  assert_works()
  return outcome
end

---A function that runs `source` when it is called, and its outcome once it was: for calls from a callback.
function misuse.caller(source, given)
  local env = environment(source, given)
  local f = compile(source, env)
  local caller = {}
  function caller.run() caller.outcome = attempt(f) end
  return caller.run, caller
end

local function describe_outcome(outcome)
  if not outcome.raised then
    local results = outcome.results or { n = 0 }
    return ("nothing was raised; %d results, the first is %s"):format(results.n, tostring(results[1]))
  end
  return "raised: " .. tostring(outcome.error)
end

---A mistake in argument `n` of `name`: a text with the place of the call. `reason` is the beginning of what stands in
---the parentheses, a plain text.
function misuse.assert_bad_argument(outcome, n, name, reason)
  local expected = ("%s:%d: bad argument #%d to '%s' (%s"):format(NAME, LINE, n, name, reason or "")
  local text = outcome.raised and type(outcome.error) == "string" and outcome.error or describe_outcome(outcome)
  assert.equal(expected, text:sub(1, #expected), text)
end

---An error of `class` (nil: a text), raised at the call, whose text has all these parts. A part `'name'` is the name of
---the function.
function misuse.assert_error(outcome, class, ...)
  assert.is_true(outcome.raised, describe_outcome(outcome))
  if class then
    assert.is_true(eddy.is_error(outcome.error, class), describe_outcome(outcome))
  else
    assert.equal("string", type(outcome.error), describe_outcome(outcome))
  end
  local text = tostring(outcome.error)
  for _, part in ipairs { ... } do
    assert.truthy(text:find(part, 1, true), ("no %q in: %s"):format(part, text))
  end
  assert.equal(LINE, outcome.line, "the line where it was raised: " .. text)
end

---A mistake that Lua itself finds: its text begins with the place of the call, and has this part.
function misuse.assert_lua_error(outcome, part)
  local expected = ("%s:%d: "):format(NAME, LINE)
  local text = outcome.raised and type(outcome.error) == "string" and outcome.error or describe_outcome(outcome)
  assert.equal(expected, text:sub(1, #expected), text)
  assert.truthy(text:find(part, 1, true), ("no %q in: %s"):format(part, text))
end

return misuse
