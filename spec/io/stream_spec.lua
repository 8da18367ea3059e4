-- What all streams share, shown over TCP on the loopback.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local open_pairs = {} -- functions that close what the test has opened

-- Two ends of one connection; `finally` closes them, and those of earlier pairs.
local function pair(options)
  local loop = eddy.get_running_loop()
  local arrived, over = loop:create_future(), loop:create_future()
  local server = eddy.start_server(function(conn)
    arrived:set_result(conn)
    over:await()
  end, "127.0.0.1", 0, options)
  local host, port = server:address()
  local near = eddy.open_connection(host, port, options)
  local far = arrived:await()
  table.insert(open_pairs, function()
    near:abort()
    over:set_result()
    server:close()
    server:abort_clients()
    near:wait_closed()
    server:wait_closed()
  end)
  finally(function()
    while #open_pairs > 0 do table.remove(open_pairs)() end
  end)
  return near, far
end

local started = calls.started

-- Waits until `stream` holds what the peer has sent, without reading it.
local function until_fetched(stream)
  stream:read(0)
end

describe("stream:read", function()
  it("reads a line without its end when nothing is said", function()
    local near, far = pair()
    far:write("one\ntwo\n")
    assert.equal("one", near:read())
    assert.equal("two", near:read("l"))
  end)

  it("keeps the end of the line with L", function()
    local near, far = pair()
    far:write("one\ntwo"):shutdown()
    assert.equal("one\n", near:read("L"))
    assert.equal("two", near:read("L"))
    assert.is_nil(near:read("L"))
  end)

  it("reads at most so many bytes, and at least one", function()
    local near, far = pair()
    far:write("hello")
    assert.equal("he", near:read(2))
    assert.equal("llo", near:read(100))
    local task = started(near.read, near, 100)
    far:write("x")
    assert.equal("x", task:await())
  end)

  it("tells with a count of 0 whether there is more", function()
    local near, far = pair()
    far:write("x"):shutdown()
    assert.equal("", near:read(0))
    assert.equal("x", near:read(1))
    assert.is_nil(near:read(0))
    assert.is_nil(near:read(1))
  end)

  it("reads all that comes before the end with a, the empty string at the end", function()
    local near, far = pair()
    far:write("one\n", "two")
    far:shutdown()
    assert.equal("one\ntwo", near:read("a"))
    assert.equal("", near:read("a"))
  end)

  it("reads numerals with n", function()
    local near, far = pair()
    far:write(" 12 -3.5e1 0x1F x"):shutdown()
    assert.equal(12, near:read("n"))
    assert.same({ -35.0, 31, nil }, { near:read("n", "n", "n") })
  end)

  it("gives a result for each format and stops at the first that fails", function()
    local near, far = pair()
    far:write("ab\ncd"):shutdown()
    assert.same({ "a", "b", "cd", nil, n = 4 }, table.pack(near:read(1, "l", "l", "l", "l")))
  end)

  it("loses nothing when a read of several formats is cancelled", function()
    local near, far = pair()
    far:write("first\nrest")
    local task = started(near.read, near, "l", "l")
    eddy.sleep(0.01)
    task:cancel()
    assert.error(function() task:await() end)
    far:write("\n")
    assert.equal("first", near:read())
    assert.equal("rest", near:read())
  end)

  it("loses nothing when it is cancelled in the turn in which bytes come", function()
    local near, far = pair()
    local task = started(near.read, near, 5)
    eddy.get_running_loop():call_later(0.01, function()
      local start = eddy.time()
      while eddy.time() - start < 0.01 do end
      task:cancel()
    end)
    eddy.sleep(0.005)
    far:write("bytes")
    local ok, got = pcall(task.await, task)
    if not ok then got = near:read(5) end
    assert.equal("bytes", got)
  end)

  it("refuses a second task", function()
    local near, far = pair()
    local first = started(near.read, near)
    local err = calls.raised_as(eddy.RuntimeError, near.read, near)
    assert.matches("another task", err.message)
    far:write("x\n")
    assert.equal("x", first:await())
  end)

  it("lets the next task read after a cancelled one", function()
    local near, far = pair()
    local first = started(near.read, near)
    first:cancel()
    local second = eddy.create_task(near.read, near)
    eddy.sleep(0)
    eddy.sleep(0)
    far:write("x\n")
    assert.equal("x", second:await())
    assert.is_true(first:cancelled())
  end)

  it("gives a line longer than the limit nowhere, and loses none of it", function()
    local near, far = pair { limit = 10 }
    far:write(("x"):rep(25), "\nend\n")
    local err = calls.raised_as(eddy.LimitOverrunError, near.read, near)
    assert.is_true(err.consumed >= 11 and err.consumed <= 25)
    assert.equal(("x"):rep(25), near:read_exactly(25))
    assert.equal("", near:read())
    assert.equal("end", near:read())
  end)

  it("does not apply the limit to counts, a and read_exactly", function()
    local near, far = pair { limit = 10 }
    far:write(("x"):rep(100000)):shutdown()
    assert.equal(50000, #near:read_exactly(50000))
    assert.equal(50000, #near:read("a"))
  end)

  it("returns nil when the stream is closed under it", function()
    local near = pair()
    local task = started(near.read, near)
    near:close()
    assert.is_nil(task:await())
    assert.is_nil(near:read(5))
    assert.is_nil(near:read("a"))
  end)

  it("gives what has come before a reset, then the error", function()
    local near, far = pair()
    near:write("unread, so that closing resets")
    far:write("last words\nhalf")
    until_fetched(near)
    far:abort()
    assert.equal("last words", near:read())
    local err = calls.raised_as(eddy.OSError, near.read, near)
    assert.same({ "ECONNRESET", "read" }, { err.code, err.syscall })
    assert.equal("half", near:read(10))
    assert.error(function() near:read(10) end)
  end)

  it("stops taking bytes when nobody wants them and there are more than the limit", function()
    local near, far = pair { limit = 1000 }
    far:write("x")
    near:read(1)
    local sent = 0
    local writer = eddy.create_task(function()
      while sent < 64 << 20 do
        far:write(("y"):rep(65536))
        sent = sent + 65536
      end
      far:close()
    end)
    local before
    repeat
      before = sent
      for _ = 1, 20 do eddy.sleep(0.001) end
    until sent == before
    assert.is_true(sent < 32 << 20)
    assert.equal(64 << 20, #near:read("a"))
    writer:await()
  end)

  it("may close another stream whose bytes came in the same turn", function()
    local near, far = pair()
    local near2, far2 = pair()
    local second = started(near2.read, near2)
    local first = started(function()
      near:read()
      near2:abort()
    end)
    far:write("a\n")
    far2:write("b\n")
    first:await()
    local line = second:await()
    assert.is_true(line == "b" or line == nil)
  end)

  it("moves a megabyte to a reader that is slower than the writer", function()
    local near, far = pair()
    local data = ("0123456789abcdef"):rep(65536)
    local writer = eddy.create_task(function() far:write(data):shutdown() end)
    local parts = {}
    for part in function() return near:read(5000) end do
      parts[#parts + 1] = part
      if #parts % 50 == 0 then eddy.sleep(0) end
    end
    writer:await()
    assert.is_true(table.concat(parts) == data)
  end)

  it("moves a megabyte both ways at once", function()
    local near, far = pair()
    local a, b = ("a"):rep(1 << 20), ("b"):rep(1 << 20)
    local results = eddy.gather(
      function() near:write(a) near:shutdown() end, function() return near:read("a") end,
      function() far:write(b) far:shutdown() end, function() return far:read("a") end)
    assert.is_true(results[2] == b and results[4] == a)
  end)

  it("checks its formats before it waits", function()
    local near = pair()
    assert.error_matches(function() near:read("l", "z") end, "bad argument #2 to 'read' %(invalid format%)")
    assert.error_matches(function() near:read(-1) end, "bad argument #1 to 'read'")
    assert.error_matches(function() near:read({}) end, "format expected, got table")
    assert.error_matches(function() near.read(io.stdout) end, "stream expected")
    assert.error_matches(function() near.read() end, "stream expected, got no value")
  end)
end)

describe("stream:read_exactly", function()
  it("waits for all of it", function()
    local near, far = pair()
    local task = started(near.read_exactly, near, 6)
    far:write("abc")
    eddy.sleep(0.01)
    assert.is_false(task:done())
    far:write("defg")
    assert.equal("abcdef", task:await())
    assert.equal("g", near:read(9))
    assert.equal("", near:read_exactly(0))
  end)

  it("raises what there was when the end comes first", function()
    local near, far = pair()
    far:write("abc"):shutdown()
    local _, err = pcall(near.read_exactly, near, 6)
    assert.is_true(eddy.is_error(err, eddy.IncompleteReadError))
    assert.same({ "abc", 6 }, { err.partial, err.expected })
    _, err = pcall(near.read_exactly, near, 1)
    assert.equal("", err.partial)
  end)

  it("tells what there was, also when a finalizer closes the stream meanwhile", function()
    local support = require "spec.command.support"
    local out, err = support.eddy { "-e", [[
      collectgarbage("generational", 1, 100)
      for i = 1, 150 do
        local near, far = eddy.stream_pair()
        far:write(("x"):rep(30000)):close()
        eddy.sleep(0)
        local rubbish = {}
        for k = 1, i do rubbish[k] = i .. "x" .. k end
        setmetatable({}, { __gc = function() near:close() end })
        local _, err = pcall(near.read_exactly, near, 100000)
        if eddy.is_error(err, eddy.IncompleteReadError) then assert(#err.partial == 30000, #err.partial) end
        near:close()
      end
      print "fine"]] }
    assert.same({ "fine\n", "" }, { out, err })
  end)
end)

describe("stream:read_until", function()
  it("includes the separator", function()
    local near, far = pair()
    far:write("GET / HTTP/1.1\r\n\r\nbody")
    assert.equal("GET / HTTP/1.1\r\n\r\n", near:read_until("\r\n\r\n"))
    assert.equal("body", near:read(4))
  end)

  it("finds a separator that comes in two parts", function()
    local near, far = pair()
    local task = started(near.read_until, near, "--END")
    for _, part in ipairs { "data-", "-", "EN", "D.." } do
      far:write(part)
      eddy.sleep(0.005)
    end
    assert.equal("data--END", task:await())
  end)

  it("ends at the first of several", function()
    local near, far = pair()
    far:write("a;b,c\n")
    assert.equal("a;", near:read_until { "\n", ",", ";" })
    assert.equal("b,", near:read_until { "\n", ",", ";" })
    assert.equal("c\n", near:read_until { "\n", ",", ";" })
  end)

  it("raises at the end, with nothing expected", function()
    local near, far = pair()
    far:write("abc"):shutdown()
    local _, err = pcall(near.read_until, near, ";")
    assert.is_true(eddy.is_error(err, eddy.IncompleteReadError))
    assert.equal("abc", err.partial)
    assert.is_nil(err.expected)
  end)

  it("raises over the limit and leaves the data", function()
    local near, far = pair { limit = 8 }
    far:write("0123456789;")
    local _, err = pcall(near.read_until, near, ";")
    assert.is_true(eddy.is_error(err, eddy.LimitOverrunError))
    assert.equal("0123456789;", near:read_exactly(11))
  end)

  it("checks its argument", function()
    local near = pair()
    for _, bad in ipairs { "", {}, { "a", "" }, { 1 }, 5 } do
      assert.error_matches(function() near:read_until(bad) end, "bad argument #1 to 'read_until'")
    end
  end)
end)

describe("stream:lines", function()
  it("iterates until the end", function()
    local near, far = pair()
    far:write("a\nb\nc"):shutdown()
    local list = {}
    for line in near:lines() do list[#list + 1] = line end
    assert.same({ "a", "b", "c" }, list)
  end)

  it("takes formats", function()
    local near, far = pair()
    far:write("1 2 3 4"):shutdown()
    local sum = 0
    for a, b in near:lines("n", "n") do sum = sum + a * b end
    assert.equal(14, sum)
  end)
end)

describe("stream:write", function()
  it("takes strings, numbers and tables of them, and returns the stream", function()
    local near, far = pair()
    assert.equal(near, near:write("a", 1, 2.5, { "b", 3, "c" }, "", {}, "\n"))
    near:write():write(""):write({}):write("end\n")
    assert.equal("a12.5b3c", far:read())
    assert.equal("end", far:read())
  end)

  it("sends long and short pieces in their order", function()
    local near, far = pair()
    local long = ("x"):rep(300000)
    local task = eddy.create_task(near.write, near, "head", { 1, long, 2, 3, long }, "tail\n")
    assert.is_true(far:read_exactly(600012) == "head1" .. long .. "23" .. long .. "tail\n")
    task:await()
  end)

  it("waits while too much is queued, until the reader has taken it", function()
    local near, far = pair()
    local chunk, sent = ("x"):rep(65536), 0
    local writer = eddy.create_task(function()
      for _ = 1, 400 do
        near:write(chunk)
        sent = sent + 1
      end
      near:close()
    end)
    eddy.sleep(0.05)
    local before = sent
    assert.is_true(before < 400)
    assert.equal(400 * 65536, #far:read("a"))
    writer:await()
    assert.equal(400, sent)
  end)

  it("leaves what is queued when it is cancelled while it waits", function()
    local near, far = pair()
    local data = ("x"):rep(20 << 20)
    local writer = started(near.write, near, data)
    assert.is_false(writer:done())
    writer:cancel()
    assert.error(function() writer:await() end)
    near:shutdown()
    assert.equal(#data, #far:read("a"))
  end)

  it("raises on a closed stream", function()
    local near = pair()
    near:close()
    local _, err = pcall(near.write, near, "x")
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    assert.matches("'write' on a closed stream", err.message)
  end)

  it("raises after shutdown", function()
    local near = pair()
    near:shutdown()
    near:shutdown()
    assert.error_matches(function() near:write("x") end, "after shutdown")
  end)

  it("raises the error of the connection, also for what was queued before", function()
    local near, far = pair()
    local writer = started(near.write, near, ("x"):rep(20 << 20))
    far:abort()
    local _, err = pcall(writer.await, writer)
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.equal("write", err.syscall)
    assert.error(function() near:write("y") end)
    assert.error(function() near:drain() end)
  end)

  it("wakes a writer when the stream is aborted", function()
    local near = pair()
    local writer = started(near.write, near, ("x"):rep(20 << 20))
    near:abort()
    assert.error_matches(function() writer:await() end, "closed stream")
  end)

  it("checks its arguments", function()
    local near = pair()
    for _, bad in ipairs { true, print, { true }, { {} } } do
      assert.error_matches(function() near:write("x", bad) end, "bad argument #2 to 'write'")
    end
  end)
end)

describe("stream:set_write_buffer_limits", function()
  it("moves the marks", function()
    local near, far = pair()
    near:set_write_buffer_limits(0)
    local writer = started(near.write, near, ("x"):rep(20 << 20))
    assert.is_false(writer:done())
    near:set_write_buffer_limits(64 << 20)
    assert.equal(near, near:drain())
    near:shutdown()
    assert.equal(20 << 20, #far:read("a"))
    writer:await()
  end)

  it("refuses a low mark above the high one", function()
    local near = pair()
    assert.error_matches(function() near:set_write_buffer_limits(10, 11) end, "low cannot be above high")
    assert.error_matches(function() near:set_write_buffer_limits(-1) end, "bad argument #1")
    near:set_write_buffer_limits(nil, 100)
    near:set_write_buffer_limits()
  end)
end)

describe("stream:shutdown", function()
  it("shows the peer the end and goes on reading", function()
    local near, far = pair()
    near:write("question")
    near:shutdown()
    assert.equal("question", far:read("a"))
    far:write("answer"):close()
    assert.equal("answer", near:read("a"))
  end)
end)

describe("stream:close", function()
  it("sends what is queued first, without waiting", function()
    local near, far = pair()
    local writer = started(near.write, near, ("x"):rep(20 << 20))
    near:close()
    assert.is_true(near:is_closing())
    assert.equal(20 << 20, #far:read("a"))
    near:wait_closed()
    writer:await()
    assert.matches("closed", tostring(near))
  end)

  it("may be called twice, and wait_closed by many", function()
    local near = pair()
    local waiter = started(near.wait_closed, near)
    near:close()
    near:close()
    near:abort()
    near:wait_closed()
    near:wait_closed()
    waiter:await()
  end)

  it("is what the end of a scope does, and waits for", function()
    local near, far = pair()
    do
      local scope <close> = near
      scope:write("bye\n")
    end
    assert.equal("bye", far:read())
    assert.is_true(near:is_closing())
    assert.is_true(near:at_eof())
  end)

  it("tells with wait_closed that what was queued is lost", function()
    local near, far = pair()
    local writer = started(near.write, near, ("x"):rep(20 << 20))
    writer:cancel()
    near:close()
    far:abort()
    local err = calls.raised(near.wait_closed, near)
    assert.equal("write", err.syscall)
    near:wait_closed()
  end)

  it("does not let a cancelled scope wait for a peer that does not read", function()
    local near = pair()
    local task = started(function()
      local scope <close> = near
      scope:write(("x"):rep(20 << 20))
    end)
    task:cancel()
    assert.error(function() task:await() end)
    assert.is_true(task:cancelled())
    near:wait_closed()
  end)
end)
