-- Calls eddy wrongly, as a script would: the call is a line of source of its own, so that the error can be asked where
-- it was raised. Names in the source that `objects` knows stand for a new object each time.

local assert = require "luassert"
local eddy = require "eddy"

local misuse = {}

local LINE = 37        -- where the call stands in its chunk
local NAME = "call"

local function forever() eddy.get_running_loop():create_future():await() end

-- A userdata that is none of eddy's; nothing of it is open.
local function closed_file()
  local file = io.tmpfile()
  file:close()
  return file
end

-- What a name in a call stands for; each is called with the loop.
local objects = {
  loop = function(loop) return loop end,
  file = closed_file,
  thread = function() return coroutine.create(print) end,
  light = function() return debug.upvalueid(closed_file, 1) end,
  noop = function() return function() end end,
  future = function(loop) return loop:create_future() end,
  handle = function(loop) return loop:call_later(1000, print) end,
  task = function(loop) return loop:create_task(forever) end,
  async = function() return eddy.async(function() end) end,
  coro = function() return eddy.async(function() end)() end,
  generator = function() return (eddy.generator(function(yield) yield(1) end)()) end,
  iterator = function(loop) return eddy.as_completed { loop:create_future() } end,
  scope = function() return eddy.timeout(1000) end,
  group = function() return eddy.TaskGroup() end,
  runner = function() return eddy.Runner() end,
  lock = function() return eddy.Lock() end,
  semaphore = function() return eddy.Semaphore(1) end,
  event = function() return eddy.Event() end,
  barrier = function() return eddy.Barrier(2) end,
  queue = function() return eddy.Queue() end,
  priority_queue = function() return eddy.PriorityQueue() end,
  channel = function() return eddy.Channel(1) end,
  pool = function() return eddy.ThreadPool { workers = 1 } end,
  var = function() return eddy.ContextVar("var") end,
  context = function() return eddy.copy_context() end,
  token = function() return eddy.ContextVar("var"):set(1) end,
  hold = function() return eddy.Lock():hold() end,
  buffer = function() return eddy.buffer("bytes") end,
  err = function() return eddy.TimeoutError("too slow") end,
  exception_group = function() return eddy.ExceptionGroup("several", { eddy.Error("one") }) end,
}

function objects.free_condition() return eddy.Condition() end

function objects.condition()   -- with its lock held
  local condition = eddy.Condition()
  condition:acquire()
  return condition
end

function objects.held_lock()
  local lock = eddy.Lock()
  lock:acquire()
  return lock
end

function objects.full_queue()
  local queue = eddy.Queue(1)
  queue:put(1)
  return queue
end

-- Streams and servers; what else they need is ended with them.
local peers = setmetatable({}, { __mode = "k" })

function objects.stream()
  local near, far = eddy.stream_pair()
  peers[near] = far
  return near
end

function objects.pipe_end()
  local reader, writer = eddy.pipe()
  peers[reader] = writer
  return reader
end

function objects.server() return eddy.start_server(function(conn) conn:read() end, "127.0.0.1", 0) end

function objects.tcp()
  local server = objects.server()
  local conn = eddy.open_connection(server:address())
  peers[conn] = server
  return conn
end

local function end_stream(stream)
  pcall(stream.abort, stream)
  local peer = peers[stream]
  if peer and peer.abort_clients then
    peer:close()
    peer:abort_clients()
    peer:wait_closed()
  elseif peer then
    peer:abort()
    peer:wait_closed()
  end
  pcall(stream.wait_closed, stream)
end

-- What undoes it, for those that do not go by themselves.
local endings = {
  stream = end_stream,
  tcp = end_stream,
  pipe_end = end_stream,
  server = function(server)
    server:close()
    server:abort_clients()
    server:wait_closed()
  end,
  task = function(task)
    task:cancel()
    if eddy.current_task() then pcall(eddy.await, task) end
  end,
  future = function(future) future:cancel() end,
  handle = function(handle) handle:cancel() end,
  coro = function(coro) pcall(coro.close, coro) end,
  scope = function(scope) pcall(function() local _ <close> = scope end) end,
}

local function running_loop()
  local ok, loop = pcall(eddy.get_running_loop)
  return ok and loop or nil
end

-- The globals of a call: those of Lua, eddy, what is `given`, and the objects that the source names.
local function environment(source, given)
  local env, made = { eddy = eddy }, {}
  for name, value in pairs(given or {}) do env[name] = value end
  local loop = env.loop or running_loop()
  for name in source:gmatch "%a[%w_]*" do
    if objects[name] and env[name] == nil then
      env[name] = objects[name](loop)
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

local function inventory(loop)
  if not loop or loop:is_closed() then return 0, 0 end
  return #eddy.all_tasks(loop), #eddy._handles(loop)
end

---The loop still does its work, and where none runs one can be made.
function misuse.assert_works()
  if not eddy.current_task() then return assert.equal(7, eddy.run(function() return 7 end)) end
  assert.equal(5, eddy.sleep(0, 5))
  assert.equal(7, eddy.await(eddy.create_task(function() return eddy.sleep(0, 7) end)))
end

---A call whose objects are made already: `call.given` has them. `call.run()` does it; then `call.outcome` is
---{ raised, error, line, results }. `given` are more globals; `loop`, among them, is where objects belong when no loop
---runs.
function misuse.prepare(source, given)
  local env, made = environment(source, given)
  local f = compile(source, env)
  local loop = rawget(env, "loop") or running_loop()
  local call = { given = env }

  function call.run()
    local texts = {}
    for name, object in pairs(made) do texts[name] = tostring(object) end
    local tasks, handles = inventory(loop)
    call.outcome = attempt(f)
    local tasks_after, handles_after = inventory(loop)
    call.left = { tasks = tasks_after - tasks, handles = handles_after - handles }
    for name, object in pairs(made) do
      if tostring(object) ~= texts[name] then call.left[name] = texts[name] .. " is now " .. tostring(object) end
    end
  end

  function call.end_objects()
    for name, object in pairs(made) do
      if endings[name] then endings[name](object) end
    end
  end

  ---Ends the objects. Nothing may have changed by the call, and the loop has to work.
  function call.finish()
    call.end_objects()
    assert.is_table(call.outcome, "the call was not made")
    misuse.assert_works()
    if call.outcome.raised then
      assert.same({ tasks = 0, handles = 0 }, call.left, "the call has left or changed something")
    end
    return call.outcome
  end

  return call
end

---Runs `source`, an expression or statements, and returns its outcome.
function misuse.try(source, given)
  local call = misuse.prepare(source, given)
  call.run()
  return call.finish()
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

---A method of an object of another type.
function misuse.assert_bad_self(outcome, name, reason)
  local expected = ("%s:%d: calling '%s' on bad self (%s"):format(NAME, LINE, name, reason)
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
