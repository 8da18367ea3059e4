-- Much to write, in large pieces and in many small ones, and peers that take their time.

local eddy = require "eddy"
local streams = require "spec.support.streams"
local calls = require "spec.support.calls"

require("eddy.busted").timeout = 120 -- under the sanitizers

-- A number for a string that tells apart what is in another order.
local function sum_of(sum, data)
  for i = 1, #data, 997 do sum = (sum * 31 + data:byte(i)) % 2147483647 end
  return (sum + #data) % 2147483647
end

-- KiB that are in use.
local function live()
  collectgarbage()
  return collectgarbage("count")
end

-- Reads all of it as a task, in pieces of n bytes, turning the loop now and then; returns it.
local function collector(stream, n, lazy)
  return eddy.create_task(function()
    local list = {}
    for data in stream:lines(n) do
      list[#list + 1] = data
      if lazy and #list % 16 == 0 then eddy.sleep(0) end
    end
    return table.concat(list)
  end)
end

for _, kind in ipairs { "tcp", "pipe", "pair" } do
  local function pair()
    local near, far = streams.pair(finally, kind)
    return far, near -- who writes, who reads
  end

  describe("writing to a " .. kind, function()
    it("sends a table of 100,000 strings in their order", function()
      local writer, reader = pair()
      local list = {}
      for i = 1, 100000 do list[i] = ("%d;"):format(i) end
      local all = collector(reader, 65536)
      writer:write(list):shutdown()
      assert.is_true(table.concat(list) == all:await())
    end)

    it("sends a million single bytes, with few of them in memory", function()
      local writer, reader = pair()
      local counted = eddy.create_task(function()
        local n = 0
        for data in reader:lines(65536) do
          n = n + #data
          for _ = 1, 3 do eddy.sleep(0) end
        end
        return n
      end)
      local before, most = live(), 0
      for i = 1, 1000000 do
        writer:write("x")
        if i % 100000 == 0 then most = math.max(most, live()) end
      end
      writer:shutdown()
      assert.equal(1000000, counted:await())
      assert.is_true(most - before < 1024, ("%.0f KiB more than before"):format(most - before))
    end)

    it("sends pieces of all sizes, in tables and out of them, to a reader that is slow", function()
      local writer, reader = pair()
      local sizes = { 0, 1, 100, 4095, 4096, 4097, 20000, 70000, 300000 }
      local expected, n = {}, 0
      local function piece(size)
        n = n + 1
        local s = size == 1 and tostring(n % 10) or (tostring(n) .. "."):rep(size // 4 + 1):sub(1, size)
        expected[#expected + 1] = s
        return size == 1 and tonumber(s) or s
      end
      local all = collector(reader, 30000, true)
      for i = 1, 40 do
        local a, b, c = sizes[i % 9 + 1], sizes[i * 5 % 9 + 1], sizes[i * 7 % 9 + 1]
        writer:write(piece(a), { piece(b), piece(1), piece(c) }, piece(1))
        writer:write(piece(b))
        writer:write { piece(c) }
        local many = {}
        for j = 1, 70 do many[j] = piece(sizes[(i + j) % 5 + 1]) end
        writer:write(many)
      end
      writer:shutdown()
      assert.is_true(table.concat(expected) == all:await())
    end)
  end)
end

describe("writing", function()
  it("keeps the strings that are queued alive, whatever becomes of those who wrote them", function()
    local near, far = streams.pair(finally, "tcp")
    far:set_write_buffer_limits(1 << 30)
    local sum = 0
    for i = 1, 50 do
      local data = string.char(65 + i % 26):rep(100000)
      sum = sum_of(sum, data)
      far:write(data)
      local short = string.char(97 + i % 26):rep(300)
      sum = sum_of(sum, short)
      far:write({ short:sub(1, 100), short:sub(101, 200) }, short:sub(201))
      data, short = nil, nil -- luacheck: ignore
      collectgarbage()
    end
    far:shutdown()
    local got = 0
    for _ = 1, 50 do
      got = sum_of(got, near:read_exactly(100000))
      got = sum_of(got, near:read_exactly(300))
    end
    assert.equal(sum, got)
    assert.is_nil(near:read(1))
  end)

  it("takes no more than its marks through an echo with a slow reader", function()
    local total, chunk = 32 << 20, ("0123456789abcdef"):rep(4096)
    local server = eddy.start_server(function(conn)
      while true do
        local data = conn:read(65536)
        if not data then break end
        conn:write(data)
      end
    end, "127.0.0.1", 0)
    finally(function()
      server:close()
      server:wait_closed()
    end)
    local conn <close> = eddy.open_connection(server:address())
    local before, most = live(), 0
    local sender = eddy.create_task(function()
      for _ = 1, total // #chunk do conn:write(chunk) end
      conn:shutdown()
    end)
    local got = 0
    for data in conn:lines(16384) do
      got = got + #data
      if got % (2 << 20) < #data then
        eddy.sleep(0.001)
        most = math.max(most, live())
      end
    end
    sender:await()
    assert.equal(total, got)
    assert.is_true(most - before < 2048, ("%.0f KiB more than before"):format(most - before))
  end)

  it("sends a string of more than 2 GiB", function()
    if not os.getenv "EDDY_DEEP" then return end   -- it takes the memory
    local near, far = streams.pair(finally, "tcp")
    local n = (1 << 31) + 1
    local writer = eddy.create_task(function()
      near:write(("0123456789abcdef"):rep(n // 16) .. "!")
      near:shutdown()
    end)
    local got, last = 0, nil
    for data in far:lines(1 << 20) do got, last = got + #data, data:sub(-1) end
    assert.same({ n, "!" }, { got, last })
    writer:await()
  end)

  it("tells who is waiting in it when the peer resets the connection", function()
    local near, far = streams.pair(finally, "tcp")
    local task = eddy.create_task(function()
      while true do far:write(("x"):rep(50000), "short", { "a", "b" }) end
    end)
    eddy.sleep(0)
    near:write("unread")
    near:abort()
    local _, err = pcall(task.await, task)
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.equal("write", err.syscall)
    local _, again = pcall(far.write, far, "more")
    assert.equal(err.code, again.code)
  end)

  it("of many pieces goes nowhere else when a finalizer aborts the stream meanwhile", function()
    local near, far = streams.pair(finally, "tcp")
    local pieces, mode = {}, collectgarbage "generational"
    for i = 1, 100 do pieces[i] = "secret" end
    local one, two
    collectgarbage()
    collectgarbage "stop"
    setmetatable({}, { __gc = function()
      far:abort()
      one, two = eddy.pipe()   -- its number is another's at once
    end })
    collectgarbage "restart"
    local ok, err = pcall(far.write, far, pieces)
    collectgarbage(mode)
    assert.is_false(ok)
    assert.matches("'write' on a closed stream", tostring(err), 1, true)
    one:close()
    two:close()
    near:abort()
  end)

  it("forgets short strings that wait when the stream is aborted, and says so", function()
    local near, far = streams.pair(finally, "tcp")
    far:set_write_buffer_limits(4 << 20)
    far:write(("x"):rep(4 << 20))
    for _ = 1, 1000 do far:write("short") end
    far:set_write_buffer_limits(0)
    local drain = eddy.create_task(far.drain, far)
    eddy.sleep(0)
    far:abort()
    local _, err = pcall(drain.await, drain)
    assert.matches("'write' on a closed stream", err.message, 1, true)
    near:abort()
  end)
end)

describe("reading a line", function()
  it("of 100 MB is an error once it is over the limit, with little of it held", function()
    local process <close> = eddy.create_subprocess_exec("head", { "-c", 100000000, "/dev/zero" }, { stdout = "pipe" })
    local before = live()
    local err = calls.raised_as(eddy.LimitOverrunError, process.stdout.read, process.stdout)
    assert.is_true(err.consumed > 65536 and err.consumed < 192 << 10, err.consumed)
    eddy.sleep(0.01)                              -- nothing more is taken meanwhile
    assert.is_true(live() - before < 192)
    assert.is_false((pcall(process.stdout.read, process.stdout)))
    local n = 0
    for data in process.stdout:lines(65536) do n = n + #data end
    assert.equal(100000000, n)
  end)
end)
