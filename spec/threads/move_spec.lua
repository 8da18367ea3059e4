-- What moves between states, as a script sees it: by channels and to_thread. (spec/embed/move.lua has the details.)

local eddy = require "eddy"
local calls = require "spec.support.calls"

-- What arrives when it is sent through a channel.
local function moved(value)
  local channel = eddy.Channel(1)
  channel:send(value)
  return channel:recv()
end

local refusal = calls.raised

describe("What is sent", function()
  it("arrives as a copy, with its cycles and what is shared in it", function()
    local shared = { "s" }
    local value = { shared, shared, n = 1.5, [true] = "x" }
    value.me = value
    local copy = moved(value)
    assert.are_not.equal(value, copy)
    assert.equal(copy, copy.me)
    assert.equal(copy[1], copy[2])
    assert.same({ "s" }, copy[1])
    assert.same({ 1.5, "x" }, { copy.n, copy[true] })
    copy[1][1] = "changed"
    assert.equal("s", shared[1])
  end)

  it("keeps numbers as they are", function()
    for _, number in ipairs { 0, -1, 127, 128, math.maxinteger, math.mininteger, 3.0, -0.0, 1 / 0, 0.1 } do
      local got = moved(number)
      assert.equal(string.pack("!jn", 0, number), string.pack("!jn", 0, got))
      assert.equal(math.type(number), math.type(got))
    end
    local nan = moved(0 / 0)
    assert.is_true(nan ~= nan)
  end)

  it("may be a very long list, each node in the one before", function()
    local list
    for i = 1, 100000 do list = { i, list } end
    local got, n = moved(list), 0
    while got do
      n, got = n + 1, got[2]
    end
    assert.equal(100000, n)
  end)

  it("takes no metamethod's word", function()
    local called = false
    local function call() called = true end
    local odd = setmetatable({ 1 }, { __index = call, __len = call, __pairs = call, __newindex = call, __eq = call })
    assert.equal(1, rawget(moved(odd), 1))
    assert.is_false(called)
  end)

  it("is the receiver's own where each state has it", function()
    assert.equal(print, moved(print))
    assert.equal(string, moved { string, print }[1])
    assert.equal(eddy, moved { eddy, print }[1])
    local format, e = string.format, eddy
    assert.is_true(eddy.to_thread(function()
      return format == require "string".format and e == require "eddy" and _ENV == _G
    end))
  end)

  it("keeps the class of an error, of a script's own class too", function()
    local Mine = eddy.RuntimeError:extend("Mine")
    local err = refusal(eddy.to_thread, function() error(Mine { "why" }) end)
    assert.is_true(err:is(Mine))
    assert.is_true(err:is(eddy.RuntimeError))
    assert.same({ "why" }, err.message)
    err = refusal(eddy.to_thread, function() io.open("/dev/null/x", "r"):read() end)
    assert.is_string(err)
    err = moved(eddy.OSError { code = "EIO", errno = 5, path = "/x", message = "broken" })
    assert.same({ "EIO", 5, "/x" }, { err.code, err.errno, err.path })
    assert.is_true(eddy.is_error(err, eddy.OSError))
  end)

  it("keeps variables that functions share, and functions that call themselves", function()
    local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
    assert.equal(55, eddy.to_thread(fib, 10))
    local n = 0
    local functions = moved { function() n = n + 1 end, function() return n end }
    functions[1]()
    functions[1]()
    assert.same({ 2, 0 }, { functions[2](), n })
  end)

  it("may be an async function, a generator function, a ContextVar", function()
    local double = eddy.async(function(x)
      eddy.sleep(0)
      return 2 * x
    end)
    local numbers = eddy.generator(function(yield) for i = 1, 3 do yield(i) end end)
    local user = eddy.ContextVar("user", "nobody")
    user:set("ada")
    assert.same({ 12, "ada" }, { eddy.to_thread(function()
      local sum = 0
      for i in numbers() do sum = sum + eddy.await(double(i)) end
      return sum, user:get()
    end) })
  end)

  it("may be many values at once", function()
    for _, n in ipairs { 0, 1, 250, 8000, 200000 } do
      assert.equal(n, select("#", eddy.to_thread(function(...) return ... end, table.unpack({}, 1, n))))
    end
    local ok, result = pcall(function() return eddy.to_thread(select, "#", table.unpack({}, 1, 999000)) end)
    if not ok then assert.matches("stack overflow", result) else assert.equal(999000, result) end
  end)
end)

describe("A buffer that is sent", function()
  it("is a copy: neither side sees what the other writes", function()
    local buffer = eddy.buffer("hello")
    local copy = moved(buffer)
    copy:set(1, 72)
    buffer:set(5, 79)
    assert.same({ "hellO", "Hello" }, { tostring(buffer), tostring(copy) })
  end)

  it("is the same one wherever it stands in a message", function()
    local buffer = eddy.buffer(3)
    local message = moved { buffer, { buffer } }
    assert.equal(message[1], message[2][1])
  end)

  it("can be written to by all who have it at the same time", function()
    local buffer = eddy.buffer(10000)
    local tasks = {}
    for n = 1, 4 do
      tasks[n] = eddy.create_task(eddy.to_thread, function(b)
        for i = 1, #b do b:set(i, n) end
        local sum = 0
        for i = 1, #b do sum = sum + b:byte(i) end
        return sum, b
      end, buffer)
    end
    for i = 1, #buffer do buffer:set(i, 5) end
    for n = 1, 4 do
      local sum, b = tasks[n]:await()
      assert.equal(n * 10000, sum)
      assert.equal(string.char(n):rep(10000), tostring(b))
    end
    assert.equal(("\5"):rep(10000), tostring(buffer))
  end)
end)

describe("What cannot be sent", function()
  local file = io.stdout

  local function says(expected, ...)
    assert.equal(expected, refusal(eddy.to_thread, ...))
  end

  it("is named with the way to it", function()
    says("to_thread: argument 2.config.handlers[3]: userdata cannot be moved", print, 1,
      { config = { handlers = { 1, 2, file } } })
    says([[to_thread: argument 1["a b"][0.5]: coroutine cannot be moved]], print,
      { ["a b"] = { [0.5] = coroutine.create(print) } })
    says("to_thread: a key of argument 1: userdata cannot be moved", print, { [file] = 1 })
    says("to_thread: (the metatable of argument 1).__index: userdata cannot be moved", print,
      setmetatable({}, { __index = file }))
    says("to_thread: argument 1: C function cannot be moved", print, (("x"):gmatch("x")))
    says("to_thread: argument 1: userdata cannot be moved", print, eddy.Lock())
    says("to_thread: argument 1: userdata cannot be moved", print, eddy.current_task())
  end)

  it("is named as an upvalue of its function", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local function f() return file end
    local name = ("function <%s:%d>"):format(debug.getinfo(1, "S").short_src, line)
    says(("to_thread: upvalue 'file' of %s: userdata cannot be moved"):format(name), f)
    says(("to_thread: upvalue 'file' of %s in argument 1.callback: userdata cannot be moved"):format(name), print,
      { callback = f })
  end)

  it("is told with the place of the call", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local err = refusal(function() eddy.to_thread(print, file) end)
    assert.matches(("move_spec.lua:%d: to_thread: argument 1: userdata cannot be moved$"):format(line), err)
  end)

  it("does no harm to what is sent next", function()
    local channel = eddy.Channel(1)
    refusal(channel.send, channel, { file })
    assert.is_true(channel:try_send { "whole" })
    assert.same({ "whole" }, channel:recv())
  end)
end)
