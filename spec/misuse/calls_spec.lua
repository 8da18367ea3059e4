-- Wrong arguments, generated: every function and method of the core with every argument in turn wrong in many ways.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

require("eddy.busted").timeout = 2

-- --- Values that are not what is wanted: source, and how a message calls it -------------------------------------

local VALUES = {
  { "nil", "nil" }, { "true", "boolean" }, { "-1", "number" }, { "0/0", "number" }, { "math.huge", "number" },
  { "math.maxinteger", "number" }, { "0.5", "number" }, { "'x'", "string" }, { "'1'", "string" }, { "{}", "table" },
  { "print", "function" }, { "noop", "function" }, { "async", "function" }, { "thread", "thread" }, { "file", "FILE*" },
  { "light", "light userdata" }, { "lock", "Lock" }, { "future", "Future" }, { "coro", "Coroutine" },
  { "loop", "Loop" }, { "err", "TimeoutError" },
}

-- Those of VALUES that are not named, as wrong ones: all that is not `expected`.
local function all_but(expected, ...)
  local fitting, list = {}, {}
  for _, source in ipairs { ... } do fitting[source] = true end
  for _, value in ipairs(VALUES) do
    if not fitting[value[1]] then
      table.insert(list, { value[1], ("%s expected, got %s"):format(expected, value[2]) })
    end
  end
  return list
end

local function with(list, more)
  for _, value in ipairs(more) do table.insert(list, value) end
  return list
end

local function without(list, source)
  local rest = {}
  for _, value in ipairs(list) do
    if value[1] ~= source then table.insert(rest, value) end
  end
  return rest
end

local NUMBERS = { "-1", "0/0", "math.huge", "math.maxinteger", "0.5" }

local function no_number(expected, more) return with(all_but(expected, table.unpack(NUMBERS)), more) end

local NO_INTEGER = {
  { "0/0", "number has no integer representation" }, { "math.huge", "number has no integer representation" },
  { "0.5", "number has no integer representation" }, { "1e30", "number has no integer representation" },
}

local NO_OPTIONS = {
  { "{ timout = 1 }", "unknown option 'timout'" }, { "{ 1 }", "unknown option '1'" },
  { "{ [true] = 1 }", "unknown option 'true'" }, { "{ [''] = 1 }", "unknown option ''" },
  { "{ [0.5] = 1 }", "unknown option '0.5'" },
}

-- Whether something is an awaitable is found by looking at what it can do: the message says Lua's type.
local function no_awaitable()
  local list = {}
  for _, value in ipairs { { "nil", "nil" }, { "true", "boolean" }, { "-1", "number" }, { "0/0", "number" },
    { "math.huge", "number" }, { "math.maxinteger", "number" }, { "'x'", "string" }, { "{}", "table" },
    { "setmetatable({}, {})", "table" }, { "err", "table" }, { "thread", "thread" },
    { "file", "userdata" }, { "light", "userdata" }, { "lock", "userdata" }, { "queue", "userdata" },
    { "loop", "userdata" }, { "handle", "userdata" } } do
    table.insert(list, { value[1], "awaitable expected, got " .. value[2] .. ": " })
  end
  return list
end

-- The wrong ones among the elements of a list of awaitables, which is argument 1.
local function lists(more)
  local wrong = all_but("table of awaitables", "{}", "err")
  for _, value in ipairs { { "true", "boolean" }, { "1", "number" }, { "'x'", "string" }, { "{}", "table" },
    { "lock", "userdata" }, { "thread", "thread" }, { "light", "userdata" } } do
    local expected = "awaitable expected at [%d], got " .. value[2]
    table.insert(wrong, { ("{ %s }"):format(value[1]), expected:format(1) })
    table.insert(wrong, { ("{ noop, %s, noop }"):format(value[1]), expected:format(2) })
  end
  return with(wrong, more)
end

-- A kind of argument: { a right one, the wrong ones, or what is expected when it is missing }.
local KINDS = {
  seconds = { "0", no_number("number", { { "0/0", "NaN is not a time" } }), "number expected, got no value" },
  permits = { "1", without(no_number("integer", with({ table.unpack(NO_INTEGER) }, {
    { "-1", "a semaphore cannot have less than 0 permits" },
    { "math.mininteger", "a semaphore cannot have less than 0 permits" } })), "nil") },
  parties = { "1", no_number("integer", with({ table.unpack(NO_INTEGER) }, {
    { "-1", "a barrier needs at least 1 party" }, { "0", "a barrier needs at least 1 party" },
    { "math.mininteger", "a barrier needs at least 1 party" } })), "integer expected, got no value" },
  integer = { "1", no_number("integer", { table.unpack(NO_INTEGER) }) },
  func = { "noop", all_but("function", "print", "noop", "async"), "function expected, got no value" },
  -- for a Coroutine of Lua's kind
  thread = { "thread", all_but("coroutine", "thread"), "coroutine expected, got no value" },
  awaitable = { "noop", no_awaitable(), "awaitable expected, got no value" },
  body = { "noop", with(no_awaitable(), {
    { "future", "function or Coroutine expected, got a Task or Future" },
    { "task", "function or Coroutine expected, got a Task or Future" } }), "" },
  awaited = { "future", all_but("Future", "future") },
  list = { "{ noop }", lists {}, "table of awaitables expected, got no value" },
  full_list = { "{ noop }", lists { { "{}", "there is nothing to wait for: the list is empty" } },
    "table of awaitables expected, got no value" },
  items = { "{ 1, 2 }", all_but("table", "{}", "err"), "table expected, got no value" },
  tab = { "{}", all_but("table", "{}", "err"), "table expected, got no value" },
  options = { "{}", with(all_but("table", "{}", "err"), NO_OPTIONS) },
  str = { "'x'", all_but("string", "'x'", "'1'"), "string expected, got no value" },
  boolean = { "true", all_but("boolean", "true"), "boolean expected, got no value" },
  index = { "1", no_number("number", { table.unpack(NO_INTEGER) }) },
  bytes = { "'x'", with(all_but("number or string", "-1", "0/0", "math.huge", "math.maxinteger", "0.5", "'x'", "'1'"), {
    { "-1", "a size cannot be negative" }, { "0.5", "number has no integer representation" } }),
    "number or string expected, got no value" },
  byte = { "255", no_number("number", with({ table.unpack(NO_INTEGER) }, {
    { "-1", "a byte is 0 to 255" }, { "256", "a byte is 0 to 255" } })), "" },
  place = { "1", no_number("number", with({ table.unpack(NO_INTEGER) }, {
    { "0", "position out of range" }, { "9", "position out of range" }, { "-9", "position out of range" } })),
    "number expected, got no value" },
  source = { "'x'", with(all_but("string or Buffer", "'x'", "'1'"), {
    { "'too long'", "the bytes do not fit" } }), "string or Buffer expected, got no value" },
  format = { "'i4'", all_but("string", "'x'", "'1'"), "string expected, got no value" },
  class = { "eddy.Error", all_but("error class"), "error class expected, got no value" },
  predicate = { "eddy.Error", all_but("error class or function", "print", "noop", "async"),
    "error class or function expected, got no value" },
  errors = { "{ err }", with(all_but("table", "{}", "err"), {
    { "{}", "a group needs at least one error" } }), "table expected, got no value" },
  loop = { "loop", all_but("Loop", "loop") },
  lock = { "lock", with(all_but("Lock", "lock"), { { "semaphore", "Lock expected, got Semaphore" },
    { "condition", "Lock expected, got Condition" } }) },
  capacity = { "1", without(no_number("number", with({ table.unpack(NO_INTEGER) }, {
    { "-1", "capacity out of range" }, { "math.maxinteger", "capacity out of range" } })), "nil") },
  pool = { "pool", all_but("ThreadPool"), "ThreadPool expected, got no value" },
  message = { "1", { { "nil", "nil cannot be sent" } }, "nil cannot be sent" },
  item = { "1", { { "nil", "nil cannot be an item of a queue" } }, "nil cannot be an item of a queue" },
  var = { "var", all_but("ContextVar"), "ContextVar expected, got no value" },
  token = { "token", all_but("Token"), "Token expected, got no value" },
  any = { "1", {}, "value expected" },
  rest = { "1", {} },
}

-- --- Signatures: the call, its arguments; "?" for one that may be nil or missing --------------------------------

local IN_A_TASK = {
  { "eddy.create_task", "body", "rest?" },
  { "eddy.all_tasks", "loop?" },
  { "eddy.sleep", "seconds", "rest?" },
  { "eddy.async", "func" },
  { "eddy.iscoroutine", "any" },
  { "eddy.iscoroutinefunction", "any" },
  { "eddy.wait", "full_list", "options?" },
  { "eddy.as_completed", "list", "options?" },
  { "eddy.wait_for", "awaitable", "seconds?" },
  { "eddy.map", "func", "items", "options?" },
  { "eddy.shield", "awaitable" },
  { "eddy.timeout", "seconds?", "func?" },
  { "eddy.timeout_at", "seconds?", "func?" },
  { "eddy.move_on_after", "seconds?", "func" },
  { "eddy.TaskGroup", "func?" },
  { "eddy.pcall", "any" },
  { "eddy.is_error", "any", "class?" },
  { "eddy.capture_call_graph", "awaited?", "options?" },
  { "eddy.format_call_graph", "awaited?", "options?" },
  { "eddy.print_call_graph", "awaited?", "options?" },
  { "eddy.coroutine.status", "thread" },
  { "eddy.async_timed", "func", "str?" },
  { "eddy.generator", "func" },
  { "eddy.coroutine.create", "func" },
  { "eddy.coroutine.wrap", "func" },
  { "eddy.coroutine.resume", "thread" },
  { "eddy.coroutine.close", "thread" },
  { "eddy.Runner", "options?" },
  { "eddy.new_event_loop", "options?" },
  { "eddy.Semaphore", "permits?" },
  { "eddy.BoundedSemaphore", "permits?" },
  { "eddy.Barrier", "parties" },
  { "eddy.Condition", "lock?" },
  { "eddy.Queue", "integer?", "options?" },
  { "eddy.LifoQueue", "integer?", "options?" },
  { "eddy.PriorityQueue", "integer?", "options?" },
  { "eddy.ContextVar", "str" },
  { "eddy.ExceptionGroup", "str", "errors" },
  { "eddy.Error:extend", "str" },
  { "err:is", "class" },
  { "exception_group:split", "predicate" },
  { "exception_group:subgroup", "predicate" },
  { "loop:call_soon", "func", "rest?" },
  { "loop:call_later", "seconds", "func", "rest?" },
  { "loop:call_at", "seconds", "func", "rest?" },
  { "loop:create_task", "body", "rest?" },
  { "loop:set_debug", "boolean" },
  { "loop:set_exception_handler", "func?" },
  { "loop:call_exception_handler", "tab" },
  { "future:set_exception", "any" },
  { "future:add_done_callback", "func" },
  { "future:remove_done_callback", "func" },
  { "task:set_name", "str" },
  { "group:create_task", "body", "rest?" },
  { "group:start", "func", "rest?" },
  { "scope:reschedule", "seconds?" },
  { "lock:with", "func", "rest?" },
  { "semaphore:with", "func", "rest?" },
  { "free_condition:with", "func", "rest?" },
  { "condition:wait_for", "func" },
  { "condition:notify", "integer?" },
  { "eddy.buffer", "bytes" },
  { "buffer:byte", "index?", "index?" },
  { "buffer:set", "place", "byte" },
  { "buffer:sub", "index?", "index?" },
  { "buffer:fill", "byte", "index?", "index?" },
  { "buffer:pack", "place", "format", "rest?" },
  { "buffer:unpack", "place", "format" },
  { "buffer:copy", "place", "source", "index?", "index?" },
  { "queue:put", "item" },
  { "queue:put_nowait", "item" },
  { "priority_queue:put", "item" },
  { "priority_queue:put_nowait", "item" },
  { "queue:shutdown", "boolean?" },
  { "eddy.to_thread", "func", "rest?" },
  { "eddy.thread", "func", "rest?" },
  { "eddy.run_in_executor", "pool?", "func", "rest?" },
  { "eddy.ThreadPool", "options?" },
  { "eddy.Channel", "capacity?" },
  { "eddy.run_coroutine_threadsafe", "awaitable", "loop" },
  { "loop:call_soon_threadsafe", "func", "rest?" },
  { "loop:run_in_executor", "pool?", "func", "rest?" },
  { "loop:set_default_executor", "pool" },
  { "pool:submit", "func", "rest?" },
  { "pool:map", "func", "items", "options?" },
  { "channel:send", "message" },
  { "channel:try_send", "message" },
  { "var:set", "any" },
  { "var:reset", "token" },
  { "context:run", "func", "rest?" },
  { "context:get", "var" },
}

local OUTSIDE = {
  { "eddy.run", "awaitable", "rest?" },
  { "runner:run", "awaitable", "rest?" },
  { "loop:run_until_complete", "awaitable" },
}

-- Calls `each(source, n, name, reason)` for every wrong call of the signature.
local function each_wrong(signature, each)
  local call = signature[1]
  local name = call:match "[%w_]+$"
  local right = {}
  for i = 2, #signature do
    local kind, may_miss = signature[i]:match "^([%w_]+)(%??)$"
    for _, wrong in ipairs(KINDS[kind][2]) do
      if not (may_miss == "?" and wrong[1] == "nil") then
        local arguments = { table.unpack(right) }
        table.insert(arguments, wrong[1])
        for j = i + 1, #signature do
          local next_kind, optional = signature[j]:match "^([%w_]+)(%??)$"
          if optional == "" then table.insert(arguments, KINDS[next_kind][1]) end
        end
        each(("%s(%s)"):format(call, table.concat(arguments, ", ")), i - 1, name, wrong[2])
      end
    end
    if may_miss == "" then
      each(("%s(%s)"):format(call, table.concat(right, ", ")), i - 1, name, KINDS[kind][3])
    end
    table.insert(right, KINDS[kind][1])
  end
end

-- --- Options: a call with a place for the table, which is its argument n; the option; wrong values ---------------

local function seconds_option() return no_number("number", { { "0/0", "NaN is not a time" } }) end

local function integer_option(low)
  local wrong = no_number("integer", {
    { "0/0", "an integer is expected" }, { "math.huge", "an integer is expected" }, { "0.5", "an integer is expected" },
    { "1e30", "an integer is expected" } })
  if not low then return wrong end
  return with(wrong, { { "0", "0 is out of range" }, { "-1", "-1 is out of range" },
    { "math.mininteger", "-9223372036854775808 is out of range" } })
end

local function choice_option(...)
  local wrong = all_but("string", "'x'", "'1'")
  for _, value in ipairs { "", "x", ... } do
    table.insert(wrong, { ("'%s'"):format(value), ("unknown value '%s'"):format(value) })
  end
  return wrong
end

local function function_option()
  local wrong = all_but("function", "print", "noop", "async")
  for _, value in ipairs(wrong) do value[2] = "function expected, got" end
  return wrong
end

local OPTIONS = {
  { "eddy.gather({ noop }, %s)", 2, "return_exceptions", all_but("boolean", "true") },
  { "eddy.wait({ noop }, %s)", 2, "timeout", seconds_option() },
  { "eddy.wait({ noop }, %s)", 2, "return_when", choice_option("all_completed", "FIRST", "ALL_COMPLETED ") },
  { "eddy.as_completed({ noop }, %s)", 2, "timeout", seconds_option() },
  { "eddy.map(noop, { 1 }, %s)", 3, "concurrency", integer_option(1) },
  { "eddy.PriorityQueue(0, %s)", 2, "key", function_option() },
  { "eddy.ThreadPool(%s)", 1, "workers", integer_option(1) },
  { "eddy.ThreadPool(%s)", 1, "queue", integer_option(1) },
  { "eddy.ThreadPool(%s)", 1, "init", function_option() },
  { "pool:map(noop, {}, %s)", 3, "chunk", integer_option(1) },
}
for _, call in ipairs { "eddy.Runner(%s)", "eddy.new_event_loop(%s)" } do
  for _, option in ipairs {
    { "debug", all_but("boolean", "true") },
    { "clock", choice_option("Virtual", "VIRTUAL", "fake") },
    { "seed", integer_option() },
    { "shutdown_timeout", seconds_option() },
    { "slow_callback_duration", seconds_option() },
    { "preempt", seconds_option() },
    { "exception_handler", function_option() },
    { "loop_factory", function_option() },
    { "name", all_but("string", "'x'", "'1'") },
  } do
    table.insert(OPTIONS, { call, 1, option[1], option[2] })
  end
end

-- --- The specs ---------------------------------------------------------------------------------------------------

local function title(source, reason) return reason == "" and source or ("%s: %s"):format(source, reason) end

describe("eddy refuses", function()
  local function refuses(source, n, name, reason)
    it(title(source, reason), function()
      misuse.assert_bad_argument(misuse.try(source), n, name, reason)
    end)
  end

  for _, signature in ipairs(IN_A_TASK) do each_wrong(signature, refuses) end

  for _, wrong in ipairs(no_awaitable()) do   -- gather takes a list as well, but only as its first argument
    if wrong[1] ~= "{}" and not wrong[2]:find "got table" then
      refuses(("eddy.gather(%s)"):format(wrong[1]), 1, "gather", wrong[2])
    end
    refuses(("eddy.gather(noop, %s)"):format(wrong[1]), 2, "gather", wrong[2])
    refuses(("eddy.gather(noop, coro, %s, noop)"):format(wrong[1]), 3, "gather", wrong[2])
  end
  refuses("eddy.gather()", 1, "gather", "awaitable expected, got no value")
  for _, wrong in ipairs(KINDS.list[2]) do
    if wrong[1]:find "^{" then refuses(("eddy.gather(%s)"):format(wrong[1]), 1, "gather", wrong[2]) end
  end
  for _, wrong in ipairs(KINDS.options[2]) do
    if wrong[1] ~= "nil" then refuses(("eddy.gather({ noop }, %s)"):format(wrong[1]), 2, "gather", wrong[2]) end
  end

  for _, option in ipairs(OPTIONS) do
    local call, n, name, values = table.unpack(option)
    for _, wrong in ipairs(values) do
      if wrong[1] ~= "nil" then
        refuses(call:format(("{ %s = %s }"):format(name, wrong[1])), n, call:match "([%w_]+)%(",
          ("option '%s': %s"):format(name, wrong[2]))
      end
    end
  end
end)

describe("eddy refuses, outside of a loop, #plain", function()
  for _, signature in ipairs(OUTSIDE) do
    each_wrong(signature, function(source, n, name, reason)
      it(title(source, reason), function()
        local loop <close> = eddy.new_event_loop()
        misuse.assert_bad_argument(misuse.try(source, { loop = loop }), n, name, reason)
      end)
    end)
  end
end)
