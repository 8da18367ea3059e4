-- loop:call_later, loop:call_at and the Handles that they return.

local eddy = require "eddy"
local calls = require "spec.support.calls"

describe("loop:call_later #virtual", function()
  local loop, log

  before_each(function() log = {} end)

  local function note(text) return function() table.insert(log, ("%s at %g"):format(text, eddy.time())) end end

  it("calls the function at its time", function()
    loop = eddy.get_running_loop()
    loop:call_later(2, note "two")
    loop:call_later(1, note "one")
    loop:call_later(0.5, note "half")
    eddy.sleep(3)
    assert.same({ "half at 0.5", "one at 1", "two at 2" }, log)
  end)

  it("passes all its arguments on, nils too", function()
    local got
    eddy.get_running_loop():call_later(1, function(...) got = table.pack(...) end, nil, "x", nil, false, nil)
    eddy.sleep(1)
    assert.same({ nil, "x", nil, false, nil, n = 5 }, got)
  end)

  it("passes no arguments when it got none", function()
    local n
    eddy.get_running_loop():call_later(1, function(...) n = select("#", ...) end)
    eddy.sleep(1)
    assert.equal(0, n)
  end)

  it("never calls inline: not for 0, nor for a negative delay", function()
    loop = eddy.get_running_loop()
    loop:call_later(0, note "zero")
    loop:call_later(-1, note "negative")
    loop:call_later(-math.huge, note "minus infinity")
    assert.same({}, log)
    eddy.sleep(0)
    eddy.sleep(0)
    assert.same({ "zero at 0", "negative at 0", "minus infinity at 0" }, log)
  end)

  it("calls once", function()
    loop = eddy.get_running_loop()
    loop:call_later(1, note "once")
    eddy.sleep(100)
    assert.same({ "once at 1" }, log)
  end)

  it("keeps what nobody else holds", function()
    eddy.get_running_loop():call_later(1, note "alive", {})
    collectgarbage()
    collectgarbage()
    eddy.sleep(1)
    assert.same({ "alive at 1" }, log)
  end)

  it("leaves timers that a callback starts for the next turn", function()
    loop = eddy.get_running_loop()
    loop:call_later(1, function()
      loop:call_later(0, note "inner")
      note("outer")()
    end)
    loop:call_later(1, note "beside")
    eddy.sleep(2)
    assert.same({ "outer at 1", "beside at 1", "inner at 1" }, log)
  end)

  it("never calls for math.huge, and the Handle can be cancelled", function()
    local handle = eddy.get_running_loop():call_later(math.huge, note "never")
    eddy.sleep(1e9)
    handle:cancel()
    assert.is_true(handle:cancelled())
    assert.same({}, log)
  end)

  it("calls what is callable", function()
    local object = setmetatable({}, { __call = function(_, value) table.insert(log, value) end })
    eddy.get_running_loop():call_later(1, object, "called")
    eddy.sleep(1)
    assert.same({ "called" }, log)
  end)

  it("runs the function in no task", function()
    local task = "unset"
    eddy.get_running_loop():call_later(1, function() task = eddy.current_task() end)
    eddy.sleep(1)
    assert.is_nil(task)
  end)

  it("names what is wrong", function()
    loop = eddy.get_running_loop()
    local function expect(message, ...)
      local err = calls.raised(function(...) return (loop:call_later(...)) end, ...)
      assert.equal(message, err:match("bad argument.*"))
    end
    expect("bad argument #1 to 'call_later' (NaN is not a time)", 0 / 0, print)
    expect("bad argument #1 to 'call_later' (number expected, got string)", "1", print)
    expect("bad argument #1 to 'call_later' (number expected, got no value)")
    expect("bad argument #2 to 'call_later' (function expected, got nil)", 1, nil)
    expect("bad argument #2 to 'call_later' (function expected, got no value)", 1)
    expect("bad argument #2 to 'call_later' (function expected, got Task)", 1, eddy.current_task())
  end)
end)

describe("loop:call_at #virtual", function()
  it("calls the function at that time of the loop", function()
    local loop, times = eddy.get_running_loop(), {}
    eddy.sleep(10)
    loop:call_at(12, function() table.insert(times, loop:time()) end)
    loop:call_at(11.5, function() table.insert(times, loop:time()) end)
    eddy.sleep(10)
    assert.same({ 11.5, 12 }, times)
  end)

  it("calls in the next turn for a time that has passed", function()
    local loop, times = eddy.get_running_loop(), {}
    eddy.sleep(10)
    loop:call_at(3, function() table.insert(times, loop:time()) end)
    loop:call_at(-1, function() table.insert(times, loop:time()) end)
    assert.same({}, times)
    eddy.sleep(0)
    eddy.sleep(0)
    assert.same({ 10, 10 }, times)
  end)

  it("names what is wrong", function()
    local loop = eddy.get_running_loop()
    local function message(...)
      local _, err = pcall(function(...) return (loop:call_at(...)) end, ...)
      return err:match("bad argument.*")
    end
    assert.equal("bad argument #1 to 'call_at' (NaN is not a time)", message(0 / 0, print))
    assert.equal("bad argument #1 to 'call_at' (number expected, got nil)", message(nil, print))
    assert.equal("bad argument #2 to 'call_at' (function expected, got boolean)", message(1, true))
  end)
end)

describe("a Handle #virtual", function()
  local log

  before_each(function() log = {} end)

  it("cancels: the function never runs", function()
    local handle = eddy.get_running_loop():call_later(1, table.insert, log, "late")
    assert.is_false(handle:cancelled())
    handle:cancel()
    assert.is_true(handle:cancelled())
    eddy.sleep(2)
    assert.same({}, log)
  end)

  it("may be cancelled twice, and after it has run", function()
    local handle = eddy.get_running_loop():call_later(1, table.insert, log, "ran")
    eddy.sleep(2)
    handle:cancel()
    handle:cancel()
    assert.same({ "ran" }, log)
  end)

  it("is cancelled by a callback before it in the same turn", function()
    local loop, second = eddy.get_running_loop(), nil
    loop:call_later(1, function() second:cancel() end)
    second = loop:call_later(1, table.insert, log, "second")
    loop:call_later(1, table.insert, log, "third")
    eddy.sleep(1)
    assert.same({ "third" }, log)
  end)

  it("may cancel itself while it runs", function()
    local handle
    handle = eddy.get_running_loop():call_later(1, function()
      handle:cancel()
      table.insert(log, "ran")
    end)
    eddy.sleep(2)
    assert.same({ "ran" }, log)
  end)

  it("lets go of the function and its arguments when it is cancelled", function()
    local weak = setmetatable({ {} }, { __mode = "v" })
    eddy.get_running_loop():call_later(3600, function() end, weak[1]):cancel()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)

  it("knows when it is due", function()
    eddy.sleep(1)
    local loop = eddy.get_running_loop()
    assert.equal(3.5, loop:call_later(2.5, function() end):when())
    assert.equal(9, loop:call_at(9, function() end):when())
    assert.is_nil(loop:call_soon(function() end):when())
  end)

  it("shows the place of its function", function()
    local handle = eddy.get_running_loop():call_later(1, function() end)
    assert.matches("^<Handle .*timer_spec.lua:%d+>$", tostring(handle))
    handle:cancel()
    assert.matches("^<Handle .*timer_spec.lua:%d+ cancelled>$", tostring(handle))
    assert.equal("<Handle [C]>", tostring(eddy.get_running_loop():call_soon(type, 1)))
    local callable = setmetatable({}, { __call = function() end })
    assert.equal("<Handle ?>", tostring(eddy.get_running_loop():call_soon(callable)))
  end)

  it("checks that it is one", function()
    local handle = eddy.get_running_loop():call_soon(function() end)
    assert.has_error(function() handle.cancel({}) end, "bad argument #1 to 'cancel' (Handle expected, got table)")
    assert.has_error(function() handle.cancel(eddy.current_task()) end,
      "bad argument #1 to 'cancel' (Handle expected, got Task)")
  end)
end)

describe("many timers #virtual", function()
  -- Numbers in [0, n) that are the same in every run.
  local function numbers(n)
    local x = 12345
    return function()
      x = (x * 1103515245 + 12345) % 2147483648
      return x // 65536 % n
    end
  end

  it("fire in the order of their deadlines, then of their making, without those that were cancelled", function()
    local loop, random = eddy.get_running_loop(), numbers(500)
    local handles, expected, fired = {}, {}, {}
    for i = 1, 5000 do
      local due = random()
      handles[i] = loop:call_at(due, function() fired[#fired + 1] = { due = due, made = i } end)
      expected[i] = { due = due, made = i }
    end
    for i = 5000, 1, -1 do
      if random() % 2 == 0 then
        handles[i]:cancel()
        table.remove(expected, i)
      end
    end
    table.sort(expected, function(a, b) return a.due < b.due or a.due == b.due and a.made < b.made end)
    eddy.sleep(500)
    assert.same(expected, fired)
  end)

  it("may be started and cancelled while others fire", function()
    local loop, random = eddy.get_running_loop(), numbers(100)
    local live, fired, started = {}, 0, 0
    local function start()
      if started == 3000 then return end
      started = started + 1
      local due = loop:time() + random() / 10
      local handle
      handle = loop:call_at(due, function()
        assert(math.abs(loop:time() - due) < 1e-6, "not when it was due")
        live[handle] = nil
        fired = fired + 1
        start()
        start()
        local victim = next(live)
        if victim and random() < 30 then
          victim:cancel()
          live[victim] = nil
          fired = fired + 1
        end
      end)
      live[handle] = true
    end
    local reported = {}
    loop:set_exception_handler(function(_, context) table.insert(reported, context.exception) end)
    for _ = 1, 50 do start() end
    eddy.sleep(1e6)
    assert.same({}, reported)
    assert.equal(3000, started)
    assert.equal(3000, fired)
  end)
end)
