-- Every function of the module and every method of every object is in the corpus of wrong calls: who adds one adds its
-- wrong calls. Methods are called here with a wrong self, on what is closing, closed, finalized by hand, of another
-- loop, of a loop that is gone, and where no loop runs.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

require("eddy.busted").timeout = 60

setup(function() warn "@off" end)      -- of what is forgotten here
teardown(function() warn "@on" end)

local root = os.getenv("EDDY_ROOT") or "."

local function noop() end

local peers = setmetatable({}, { __mode = "k" })

local function pair()
  local near, far = eddy.stream_pair()
  peers[near] = far
  return near
end

local function server() return eddy.start_server(function(conn) conn:read() end, "127.0.0.1", 0) end

local function connection()
  local listener = server()
  local conn = eddy.open_connection(listener:address())
  peers[conn] = listener
  return conn
end

local function pipe()
  local reader, writer = eddy.pipe()
  peers[reader] = writer
  return reader
end

-- A scope, in a task of its own, as a wrong call may cancel that.
local function scope(open)
  local object
  local task = eddy.create_task(eddy.pcall, function()
    local opened <close> = open()
    object = opened
    eddy.get_running_loop():create_future():await()
  end)
  eddy.sleep(0)
  peers[object] = task
  return object
end

local function end_scope(object)
  peers[object]:cancel()
  peers[object] = nil
end

local function forever() eddy.get_running_loop():create_future():await() end

local STREAM = { read = {}, read_exactly = { 1 }, read_until = { "x" }, lines = {}, at_eof = {}, write = { "x" },
  drain = {}, shutdown = {}, set_write_buffer_limits = { 1 }, close = {}, abort = {}, is_closing = {}, wait_closed = {},
  send_file = { "/dev/null" } }

local function stream_and(more)
  for name, arguments in pairs(STREAM) do more[name] = arguments end
  return more
end

local LOCK = { acquire = {}, release = {}, locked = {}, hold = {}, with = { noop } }
local FUTURE = { done = {}, cancelled = {}, result = {}, exception = {}, set_result = { 1 },
  set_exception = { eddy.Error "e" }, cancel = {}, add_done_callback = { noop }, remove_done_callback = { noop },
  get_loop = {}, await = {} }

-- What an object is made by, its methods with arguments that are right. `close`: what ends it, if not a method close.
-- `loud`: methods that print. `turns`: methods that turn a loop, and do so where none runs.
local TYPES = {
  Task = { make = function() return eddy.create_task(forever) end, close = function(task) task:cancel() end,
    loud = { print_stack = true }, methods = setmetatable({ cancelling = {}, uncancel = {}, get_coro = {},
      get_context = {}, get_name = {}, set_name = { "n" }, get_stack = {}, print_stack = {}, traceback = {} },
      { __index = FUTURE }) },
  Future = { make = function() return eddy.get_running_loop():create_future() end, methods = FUTURE,
    close = function(future) future:cancel() end },
  Coroutine = { make = function() return eddy.async(noop)() end, methods = { send = {}, close = {}, await = {} } },
  Generator = { make = function() return (eddy.generator(function(yield) yield(1) end)()) end,
    methods = { next = {}, asend = {}, aclose = {} }, close = function(generator) generator:aclose() end },
  Timeout = { make = function() return scope(function() return eddy.timeout(1000) end) end,
    methods = { when = {}, reschedule = { 5 }, expired = {} },
    close = end_scope },
  Runner = { make = function() return eddy.Runner() end, turns = { run = true },
    methods = { run = { noop }, get_loop = {}, close = {} } },
  Loop = { make = function() return eddy.new_event_loop() end, loud = { call_exception_handler = true },
    turns = { run_forever = true, run_until_complete = true },
    methods = { time = {}, call_soon = { noop }, call_later = { 0, noop }, call_at = { 0, noop }, create_future = {},
      create_task = { noop }, run_forever = {}, run_until_complete = { noop }, stop = {}, close = {}, is_running = {},
      is_closed = {}, get_debug = {}, set_debug = { true }, set_exception_handler = {}, get_exception_handler = {},
      call_exception_handler = { {} }, call_soon_threadsafe = { noop }, run_in_executor = { nil, noop },
      set_default_executor = { 1 }, shutdown_default_executor = {}, shutdown_asyncgens = {}, set_task_factory = {},
      get_task_factory = {}, add_reader = { 0, noop }, remove_reader = { 0 }, add_writer = { 1, noop },
      remove_writer = { 1 }, add_signal_handler = { "SIGUSR2", noop }, remove_signal_handler = { "SIGUSR2" } } },
  Handle = { make = function() return eddy.get_running_loop():call_later(1000, noop) end,
    methods = { cancel = {}, cancelled = {}, when = {} }, close = function(handle) handle:cancel() end },
  TaskGroup = { make = function() return scope(eddy.TaskGroup) end, close = end_scope,
    methods = { create_task = { noop }, start = { noop }, cancel = {} } },
  Lock = { make = function() return eddy.Lock() end, methods = LOCK },
  Semaphore = { make = function() return eddy.Semaphore(1) end, methods = LOCK },
  Condition = { make = function() return eddy.Condition() end, methods = setmetatable(
    { wait = {}, wait_for = { noop }, notify = {}, notify_all = {} }, { __index = LOCK }) },
  Event = { make = function() return eddy.Event() end, methods = { wait = {}, set = {}, clear = {}, is_set = {} } },
  Barrier = { make = function() return eddy.Barrier(2) end, methods = { wait = {}, reset = {}, abort = {} } },
  Queue = { make = function() return eddy.Queue() end, close = function(queue) queue:shutdown() end,
    methods = { put = { 1 }, get = {}, put_nowait = { 1 }, get_nowait = {}, items = {}, task_done = {}, join = {},
      shutdown = {}, qsize = {}, empty = {}, full = {} } },
  Channel = { make = function() return eddy.Channel(1) end,
    methods = { send = { 1 }, recv = {}, try_send = { 1 }, try_recv = {}, close = {}, is_closed = {} } },
  ThreadPool = { make = function() return eddy.ThreadPool { workers = 1 } end,
    methods = { submit = { noop }, map = { noop, {} }, close = {} } },
  Buffer = { make = function() return eddy.buffer(8) end, methods = { byte = {}, set = { 1, 2 }, sub = {}, fill = { 1 },
    copy = { 1, "x" }, pack = { 1, "B", 1 }, unpack = { 1, "B" } } },
  ContextVar = { make = function() return eddy.ContextVar "v" end,
    methods = { get = { 1 }, set = { 1 }, reset = { 1 } } },
  Context = { make = function() return eddy.copy_context() end,
    methods = { run = { noop }, get = { 1 }, copy = {} } },
  StreamPair = { make = pair, methods = stream_and { peername = {}, sockname = {}, fileno = {} } },
  Pipe = { make = pipe, methods = stream_and { peername = {}, sockname = {}, fileno = {}, _hush = {} } },
  TCP = { make = connection, methods = stream_and { peername = {}, sockname = {}, fileno = {}, set_nodelay = { true },
    set_keepalive = { true } } },
  Server = { make = server, methods = { serve_forever = {}, close = {}, wait_closed = {}, close_clients = {},
    abort_clients = {}, sockets = {}, address = {}, is_serving = {} } },
  File = { make = function() return eddy.open "/dev/null" end, methods = { read = {}, read_exactly = { 1 },
    read_until = { "x" }, lines = {}, write = { "x" }, flush = {}, setvbuf = { "no" }, sync = {}, truncate = { 0 },
    seek = {}, stat = {}, close = {} } },
  Walk = { make = function() return (eddy.fs.walk "/dev") end, methods = { close = {} } },
  Watch = { make = function() return (eddy.fs.watch "/dev") end, methods = { close = {} } },
  Signals = { make = function() return (eddy.signals "SIGUSR2") end,
    methods = { next = {}, next_nowait = {}, close = {} } },
  Datagram = { make = function() return eddy.open_datagram { local_addr = { "127.0.0.1", 0 } } end,
    methods = { send = { "x", "127.0.0.1", 9 }, recv = {}, recv_nowait = {}, datagrams = {}, close = {},
      is_closing = {}, sockname = {}, peername = {}, join = { "239.1.1.1" }, leave = { "239.1.1.1" }, set_ttl = { 1 },
      set_multicast_ttl = { 1 }, set_multicast_interface = { "127.0.0.1" }, set_loop = { true }, fileno = {} } },
  Process = { make = function() return eddy.create_subprocess_exec("sleep", { 100 }) end,
    methods = { wait = {}, communicate = {}, send_signal = { 0 }, terminate = {}, kill = {}, _end_group = {} },
    close = function(process)
      pcall(process.kill, process)
      process:wait()
    end },
}

-- Types without methods of their own to call wrongly, or whose methods stand elsewhere.
local ELSEWHERE = {
  stream = "what all streams have", StandardStream = "misuse/streams", ["FILE*"] = "Lua's own",
}

-- Functions that take anything, or nothing.
local HARMLESS = { ["eddy.repr"] = true, ["eddy.environ"] = true, ["eddy.copy_context"] = true, ["eddy.Event"] = true,
  ["eddy.Lock"] = true, ["eddy.coroutine.isyieldable"] = true, ["eddy.coroutine.install"] = true,
  ["eddy.coroutine.running"] = true,
  -- lua/yieldable_spec calls these wrongly
  ["eddy.sort"] = true, ["eddy.gsub"] = true, ["eddy.require"] = true }

local function names_of(meta)
  local index, list = rawget(meta, "__index"), {}
  local tables = { type(index) == "table" and index or nil }
  for i = 1, type(index) == "function" and 10 or 0 do   -- fields beside methods: those are an upvalue
    local _, value = debug.getupvalue(index, i)
    if type(value) == "table" then tables[#tables + 1] = value end
  end
  for _, methods in ipairs(tables) do
    for name, f in pairs(methods) do
      if type(name) == "string" and type(f) == "function" then list[#list + 1] = name end
    end
  end
  return list
end

describe("The corpus of wrong calls", function()
  it("has every method of every type", function()
    local missing = {}
    for _, made in ipairs { "exec", "ProcessPool" } do assert.is_function(eddy[made]) end
    for key, meta in pairs(debug.getregistry()) do
      local name = type(key) == "userdata" and type(meta) == "table" and rawget(meta, "__name")
      if name and rawget(meta, "__index") ~= meta and not ELSEWHERE[name] then   -- else it is a class of errors
        for _, method in ipairs(names_of(meta)) do
          if not TYPES[name] or not TYPES[name].methods[method] then missing[#missing + 1] = name .. ":" .. method end
        end
      end
    end
    assert.same({}, missing)
  end)

  it("has every function of the module", function()
    local texts, missing = {}, {}
    for path in io.popen(("ls '%s'/spec/misuse/*.lua"):format(root)):lines() do
      local file <close> = assert(io.open(path))
      if not path:find "all_spec" then texts[#texts + 1] = file:read "a" end
    end
    local corpus = table.concat(texts)
    local function scan(module, prefix)
      for name, f in pairs(module) do
        local call = prefix .. name
        if type(f) == "function" and not name:find "^_" and not HARMLESS[call] then
          local in_fs = module == eddy.fs and corpus:find(("%%f[%%w_]%s = \""):format(name))
          local is_called = corpus:find((call:gsub("%p", "%%%0")) .. "%f[^%w_]")
          if not in_fs and not is_called then missing[#missing + 1] = call end
        end
      end
    end
    scan(eddy, "eddy.")
    scan(eddy.coroutine, "eddy.coroutine.")
    scan(eddy.fs, "eddy.fs.")
    table.sort(missing)
    assert.same({}, missing)
  end)
end)

-- --- The methods ----------------------------------------------------------------------------------------------------

local function end_object(kind, object)
  local peer = peers[object]
  if kind.close == end_scope then return peer and end_scope(object) end
  if kind.close then kind.close(object) end
  if not kind.close and object.close then pcall(object.close, object) end
  if peer and peer.abort_clients then
    peer:close()
    peer:abort_clients()
  elseif peer then
    peer:abort()
  end
end

local function settle()
  for _ = 1, 4 do eddy.sleep(0.0005) end
end

-- An error says what it is about; other values do not leave a method.
local function check_error(name, method, err)
  local text = tostring(err)
  local class = eddy.is_error(err)
  assert.is_true(class or (type(err) == "string" and text:find(("'%s'"):format(method), 1, true) ~= nil),
    ("%s:%s raised %s"):format(name, method, text))
end

-- Calls each method of an object in a task, for so long; those that still wait then are cancelled. Returns their names.
local function call_all(name, kind, object, functions)
  local waiting = {}
  for method, f in pairs(functions) do
    if not (kind.loud and kind.loud[method]) then
      local arguments = kind.methods[method]
      local task = eddy.create_task(pcall, f, object, table.unpack(arguments, 1, 3))
      local done = eddy.wait({ task }, { timeout = 0.02 })
      if not done[1] then
        waiting[#waiting + 1] = method
        task:cancel()
        eddy.wait { task }
      elseif not task:cancelled() then
        local ok, err = task:result()
        if not ok then check_error(name, method, err) end
      end
    end
  end
  table.sort(waiting)
  return waiting
end

local function functions_of(kind, object)
  local functions, meta = {}, debug.getmetatable(object)
  for _, method in ipairs(names_of(meta)) do
    if kind.methods[method] then functions[method] = object[method] end
  end
  return functions
end

local names = {}
for name in pairs(TYPES) do names[#names + 1] = name end
table.sort(names)

local WRONG = { "nil", "true", "1", "'x'", "{}", "noop", "thread", "file", "light", "err" }

for _, name in ipairs(names) do
  local kind = TYPES[name]

  describe("Methods of " .. name, function()
    it("refuse a wrong self", function()
      local object = kind.make()
      for method, f in pairs(functions_of(kind, object)) do
        for _, wrong in ipairs(WRONG) do
          local outcome = misuse.try(("method(%s)"):format(wrong), { method = f })
          assert.is_true(outcome.raised, ("%s:%s of %s"):format(name, method, wrong))
          assert.matches(("^call:37: bad argument #1 to '%s' %%("):format(method), tostring(outcome.error))
        end
        local twin = setmetatable({}, { __index = object, __name = name })
        assert.is_false((pcall(f, twin)))
      end
      end_object(kind, object)
      settle()
    end)

    it("know that it is closing, and closed", function()
      for _, turns in ipairs { 0, 1, 4 } do
        local object = kind.make()
        local functions = functions_of(kind, object)
        end_object(kind, object)
        for _ = 1, turns do eddy.sleep(turns == 4 and 0.0005 or 0) end
        local waiting = call_all(name, kind, object, functions)
        if functions.close and turns == 4 and not kind.turns then assert.same({}, waiting) end
        tostring(object)
        end_object(kind, object)
        settle()
      end
    end)

    it("bear a finalizer that was called by hand", function()
      local object = kind.make()
      local functions, gc = functions_of(kind, object), debug.getmetatable(object).__gc
      local pid = name == "Process" and object.pid
      if gc then
        pcall(gc, object)
        call_all(name, kind, object, functions)
        pcall(tostring, object)
        pcall(gc, object)
      end
      if pid then os.execute("kill -9 " .. pid) end
      pcall(end_object, kind, object)
      while #eddy._handles() > 0 do eddy.sleep(0.002) end
    end)

    it("bear another loop, none, and that its own is gone #plain", function()
      local object, functions
      local handler = { exception_handler = function() end }
      local loop = eddy.new_event_loop(handler)
      loop:run_until_complete(function()
        object = kind.make()
        functions = functions_of(kind, object)
      end)
      for method, f in pairs(functions) do
        if not (kind.loud and kind.loud[method]) and not (kind.turns and kind.turns[method]) and method ~= "close" then
          local ok, err = pcall(f, object, table.unpack(kind.methods[method], 1, 3))
          if not ok then check_error(name, method, err) end
        end
      end
      local other <close> = eddy.Runner(handler)
      other:run(function()
        functions.close = nil
        call_all(name, kind, object, functions)
      end)
      loop:run_until_complete(function()
        pcall(end_object, kind, object)
        settle()
      end)
      loop:close()
      other:run(call_all, name, kind, object, functions)
      pcall(tostring, object)
    end)
  end)
end
