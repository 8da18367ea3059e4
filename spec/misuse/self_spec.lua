-- Methods of the wrong object: each method with each kind of value that is not what it belongs to, and metamethods
-- called by hand.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

require("eddy.busted").timeout = 2

-- An object of `objects`, what a message calls it, its methods.
local TYPES = {
  { "future", "Future", "done cancelled result exception set_result set_exception cancel add_done_callback "
    .. "remove_done_callback get_loop await" },
  { "task", "Task", "get_name set_name cancelling uncancel get_coro get_stack print_stack traceback get_context" },
  { "coro", "Coroutine", "send close await" },
  { "generator", "Generator", "next aclose" },
  { "loop", "Loop", "time call_soon call_later call_at create_future create_task run_forever run_until_complete stop "
    .. "close is_running is_closed get_debug set_debug set_exception_handler get_exception_handler "
    .. "call_exception_handler call_soon_threadsafe run_in_executor set_default_executor shutdown_default_executor" },
  { "handle", "Handle", "cancel cancelled when" },
  { "scope", "Timeout", "when reschedule expired" },
  { "group", "TaskGroup", "create_task start cancel" },
  { "runner", "Runner", "run get_loop close" },
  { "lock", "Lock, Semaphore or Condition", "acquire release locked hold with" },
  { "semaphore", "Lock, Semaphore or Condition", "acquire release locked hold with" },
  { "event", "Event", "wait set clear is_set" },
  { "condition", "Condition", "wait wait_for notify notify_all" },
  { "barrier", "Barrier", "wait reset abort" },
  { "queue", "Queue", "put get put_nowait get_nowait items task_done join shutdown qsize empty full" },
  { "priority_queue", "Queue", "put get put_nowait get_nowait" },
  { "channel", "Channel", "send recv try_send try_recv close is_closed" },
  { "pool", "ThreadPool", "submit map close" },
  { "buffer", "Buffer", "byte set sub fill copy pack unpack" },
  { "var", "ContextVar", "get set reset" },
  { "context", "Context", "run get copy" },
  { "exception_group", "ExceptionGroup", "split subgroup" },
  { "stream", "stream", "read read_exactly read_until lines at_eof write drain shutdown set_write_buffer_limits close "
    .. "abort is_closing wait_closed send_file" },
  { "stream", "StreamPair", "peername sockname fileno" },
  { "pipe_end", "Pipe", "peername sockname fileno _hush" },
  { "tcp", "TCP", "set_nodelay set_keepalive peername sockname fileno" },
  { "server", "Server", "serve_forever close wait_closed close_clients abort_clients sockets address is_serving" },
}

local WRONG = {
  { "", "no value" }, { "nil", "nil" }, { "true", "boolean" }, { "1", "number" }, { "'x'", "string" },
  { "{}", "table" }, { "noop", "function" }, { "thread", "thread" }, { "file", "FILE*" },
  { "light", "light userdata" }, { "err", "TimeoutError" }, { "hold", "Hold" }, { "iterator", "as_completed" },
}

-- Objects that are none of their own type.
local OTHER = { { "future", "Future" }, { "lock", "Lock" }, { "coro", "Coroutine" } }

local function of_same_type(object, other)
  return other == object or (other == "lock" and object == "semaphore")
end

-- A table that has the methods of an object.
local function impostor_of(object) return setmetatable({}, { __index = function(_, key) return object[key] end }) end

-- A userdata of another library whose metatable looks like the object's.
local function forged(name, object)
  local file = io.tmpfile()
  file:close()
  return debug.setmetatable(file, { __name = name, __index = function(_, key) return object[key] end })
end

local function each_method(each)
  for _, type in ipairs(TYPES) do
    local object, expected, methods = table.unpack(type)
    for method in methods:gmatch "%S+" do each(object, expected, method) end
  end
end

describe("a method refuses the self of", function()
  each_method(function(object, expected, method)
    local function refuses(wrong)
      local source = ("%s.%s(%s)"):format(object, method, wrong[1])
      it(source, function()
        misuse.assert_bad_argument(misuse.try(source), 1, method, ("%s expected, got %s"):format(expected, wrong[2]))
      end)
    end

    for _, wrong in ipairs(WRONG) do refuses(wrong) end
    for _, wrong in ipairs(OTHER) do
      if not of_same_type(object, wrong[1]) then refuses(wrong) end
    end
  end)
end)

describe("a method is not fooled by", function()
  each_method(function(object, expected, method)
    it(("a table with the methods: %s:%s"):format(object, method), function()
      local call = misuse.prepare(("impostor:%s(%s)"):format(method, object))
      call.given.impostor = impostor_of(call.given[object])
      call.run()
      misuse.assert_bad_self(call.finish(), method, expected .. " expected, got table")
    end)

    it(("a userdata with the same name: %s:%s"):format(object, method), function()
      local name = expected:match "^%w+"
      local call = misuse.prepare(("forgery:%s(%s)"):format(method, object))
      call.given.forgery = forged(name, call.given[object])
      call.run()
      misuse.assert_bad_self(call.finish(), method, ("%s expected, got %s"):format(expected, name))
      debug.setmetatable(call.given.forgery, nil)
    end)
  end)
end)

describe("metamethods that are called by hand refuse", function()
  for _, object in ipairs { "future", "task", "coro", "generator", "loop", "handle", "scope", "group", "runner", "lock",
    "semaphore", "event", "condition", "barrier", "queue", "channel", "pool", "iterator", "hold", "var", "context",
    "token", "stream", "pipe_end", "tcp", "server" } do
    for _, wrong in ipairs { "", "nil", "{}", "1", "noop", "file", "light", "thread", "err", "other" } do
      it(("what is no %s: (%s)"):format(object, wrong), function()
        local call = misuse.prepare(object .. ", handle, future")   -- for its objects
        local other = object == "future" and call.given.handle or call.given.future
        for name, method in pairs(debug.getmetatable(call.given[object])) do
          if type(method) == "function" then
            misuse.assert_bad_argument(misuse.try(("meta.%s(%s)"):format(name, wrong),
              { meta = debug.getmetatable(call.given[object]), other = other }), 1, name, "")
          end
        end
        call.end_objects()
      end)
    end
  end
end)

describe("an object whose finalizer was called by hand", function()
  -- what is done to it then: it may be refused, but nothing more
  local AFTERWARDS = {
    future = function(o) return o:done(), o:cancel(), o:done(), pcall(o.set_result, o, 1) end,
    coro = function(o) return pcall(o.send, o), o:close(), pcall(o.await, o) end,
    generator = function(o) return o:next(), o:aclose(), o:next() end,
    group = function(o) return eddy.await(o:create_task(eddy.sleep, 0)), o:start(function(started) started() end) end,
    lock = function(o) return o:acquire(), o:release(), o:with(function() end) end,
    event = function(o) return o:set(), o:wait(), o:clear() end,
    condition = function(o) return o:notify_all(), o:release(), o:locked() end,
    barrier = function(o) return o:reset(), o:abort(), tostring(o) end,
    queue = function(o) return o:put(1), o:get(), o:shutdown(), pcall(o.get, o) end,
    iterator = function(o) return pcall(eddy.wait_for, o, 0.001) end,
    channel = function(o) return pcall(o.send, o, 1), pcall(o.recv, o), pcall(o.close, o), pcall(tostring, o) end,
    pool = function(o) return pcall(o.submit, o, print), pcall(o.close, o), tostring(o) end,
  }
  for name, use in pairs(AFTERWARDS) do
    it("can still be used: " .. name, function()
      local call = misuse.prepare(name)
      local object = call.given[name]
      local gc = debug.getmetatable(object).__gc
      gc(object)
      gc(object)
      use(object)
      gc(object)
      collectgarbage()
      call.end_objects()
      misuse.assert_works()
    end)
  end
end)

describe("Lua refuses, at the line of the script,", function()
  local function refuses(source, part)
    it(source, function() misuse.assert_lua_error(misuse.try(source), part) end)
  end

  for _, object in ipairs { "task", "future", "loop", "handle", "group", "scope", "lock", "event", "barrier",
    "queue" } do
    local name = ({ scope = "Timeout", group = "TaskGroup" })[object] or object:gsub("^%l", string.upper)
    refuses(object .. ":no_such_method()", "attempt to call a nil value (method 'no_such_method')")
    refuses(object .. "()", "attempt to call a " .. name .. " value")
    refuses(object .. " + 1", "attempt to perform arithmetic on a " .. name .. " value")
    refuses(object .. " .. 'x'", "attempt to concatenate a " .. name .. " value")
    refuses(object .. " < " .. object, "attempt to compare two " .. name .. " values")
    refuses("#" .. object, "attempt to get length of a " .. name .. " value")
    refuses(object .. ".field = 1", "attempt to index a " .. name .. " value")
    refuses("for _ in " .. object .. " do break end", "attempt to call a " .. name .. " value")
    refuses(("setmetatable(%s, {})"):format(object), "bad argument #1 to 'setmetatable'")
  end
  for _, object in ipairs { "task", "future", "handle", "lock", "event", "barrier", "queue", "coro" } do
    refuses(("local x <close> = %s"):format(object), "variable 'x' got a non-closable value")
  end
end)

-- Only the debug library can do that; nothing else knows the object any more, but the loop does.
describe("an object whose metatable was taken away", function()
  local function waiting_in(f, ...)
    local task = eddy.create_task(f, ...)
    eddy.sleep(0)
    return task
  end
  local OBJECTS = {
    { "future", function(o) return waiting_in(o.await, o) end },
    { "task", function(o) return waiting_in(o.await, o) end },
    { "coro", function(o) return waiting_in(o.await, o) end },
    { "generator", function(o) return waiting_in(o.next, o) end },
    { "event", function(o) return waiting_in(o.wait, o) end },
    { "queue", function(o) return waiting_in(o.get, o) end },
    { "full_queue", function(o) return waiting_in(o.join, o) end },
    { "held_lock", function(o) return waiting_in(o.acquire, o) end },
    { "condition", function(o) return waiting_in(o.wait, o) end },
    { "barrier", function(o) return waiting_in(o.wait, o) end },
    { "iterator", function(o) return waiting_in(o) end },
    { "group", function(o) return o:create_task(eddy.sleep, 0.001) end },
    { "handle", function() return waiting_in(eddy.sleep, 0) end },
    { "scope", function() return waiting_in(eddy.sleep, 0) end },
    { "stream", function(o) return waiting_in(o.read, o) end },
    { "tcp", function(o) return waiting_in(o.read, o) end },
    { "server", function(o) return waiting_in(o.serve_forever, o) end },
  }
  for _, object in ipairs(OBJECTS) do
    it("does no harm while it is in use: " .. object[1], function()
      local call = misuse.prepare(object[1])
      local value = call.given[object[1]]
      local meta = debug.getmetatable(value)
      local task = object[2](value)
      debug.setmetatable(value, nil)
      assert.has_error(function() return value:cancel() end)
      task:cancel()
      collectgarbage()
      eddy.wait({ task }, { timeout = 0.01 })
      debug.setmetatable(value, meta)
      call.end_objects()
      pcall(eddy.await, task)
      misuse.assert_works()
    end)
  end
end)
