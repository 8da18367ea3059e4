-- eddy.open_connection with several addresses: they race (RFC 8305).

local eddy = require "eddy"
local ending = require "spec.support.ending"
local ports = require "spec.support.ports"

local function later(f) ending(finally, f) end

local function listen(handler, host, port, options)
  local ok, s = pcall(eddy.start_server, handler, host, port, options)
  if not ok then return nil, s end
  later(function()
    s:close()
    s:abort_clients()
    for _, task in ipairs(eddy.all_tasks()) do
      if task ~= eddy.current_task() then task:cancel() end
    end
    s:wait_closed()
  end)
  return select(2, s:address())
end

local function answer(conn) conn:read("a") end

local function silent_port() return ports.silent(finally) end

describe("eddy.open_connection with several addresses", function()
  it("goes on to the next one after 250 ms #virtual", function()
    local port = silent_port()
    assert(listen(answer, "127.0.0.2", port))
    local start = eddy.time()
    local conn <close> = eddy.open_connection({ "127.0.0.1", "127.0.0.2" }, port)
    assert.equal("127.0.0.2", (conn:peername()))
    assert.near(0.25, eddy.time() - start, 1e-6)
  end)

  it("goes on at once when one has failed #virtual", function()
    local port = assert(listen(answer, "127.0.0.3", 0))
    local start = eddy.time()
    local conn <close> = eddy.open_connection({ "127.0.0.1", "127.0.0.2", "127.0.0.3" }, port)
    assert.equal("127.0.0.3", (conn:peername()))
    assert.equal(0, eddy.time() - start)
  end)

  it("takes the first when it answers, and lets the others alone #virtual", function()
    local others = 0
    local port = assert(listen(answer, "127.0.0.1", 0))
    assert(listen(function() others = others + 1 end, "127.0.0.2", port))
    local conn <close> = eddy.open_connection({ "127.0.0.1", "127.0.0.2" }, port)
    eddy.sleep(1)
    assert.equal("127.0.0.1", (conn:peername()))
    assert.equal(0, others)
  end)

  it("lets the families take turns", function()
    local port, err = listen(answer, "::1", 0)
    if not port then return pending(tostring(err)) end
    assert(listen(answer, "127.0.0.2", port))
    local conn <close> = eddy.open_connection({ "127.0.0.1", "127.0.0.2", "::1" }, port)
    assert.equal("::1", (conn:peername()))
  end)

  it("tries one family only when it is told to", function()
    local port = assert(listen(answer, "127.0.0.1", 0))
    local conn <close> = eddy.open_connection({ "::1", "127.0.0.1" }, port, { family = "inet" })
    assert.equal("127.0.0.1", (conn:peername()))
    assert.has_error(function() eddy.open_connection({ "127.0.0.1" }, port, { family = "inet6" }) end,
      "bad argument #1 to 'open_connection' (no address is of the family that was asked for)")
  end)

  it("raises the error that all have in common", function()
    local port = assert(listen(answer, "127.0.0.1", 0))
    local _, err = pcall(eddy.open_connection, { "127.0.0.2", "127.0.0.3" }, port)
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.equal("ECONNREFUSED", err.code)
    assert.equal("127.0.0.2:" .. port, err.address)
  end)

  it("raises a group of different errors", function()
    local port = assert(listen(answer, "127.0.0.1", 0))
    local options = { local_addr = { "127.0.0.1" } }   -- no way from there to another family
    local _, err = pcall(eddy.open_connection, { "::1", "127.0.0.2" }, port, options)
    assert.is_true(eddy.is_error(err, eddy.ExceptionGroup))
    local codes = {}
    for _, e in ipairs(err.errors) do codes[#codes + 1] = e.code end
    table.sort(codes)
    assert.same({ "EAFNOSUPPORT", "ECONNREFUSED" }, codes)
  end)

  it("is bound by its timeout as a whole #virtual", function()
    local port = silent_port()
    local start = eddy.time()
    local _, err = pcall(eddy.open_connection, { "127.0.0.1", "127.0.0.1", "127.0.0.1" }, port, { timeout = 0.6 })
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
    assert.near(0.6, eddy.time() - start, 1e-6)
    assert.matches("no connection to '127.0.0.1, 127.0.0.1, 127.0.0.1', port", err.message, 1, true)
  end)

  it("leaves nothing open when it is cancelled in the middle of the race #virtual", function()
    local port = silent_port()
    for after = 0, 5 do
      local task = eddy.create_task(eddy.open_connection, { "127.0.0.1", "127.0.0.1", "127.0.0.1" }, port)
      eddy.sleep(after / 10)
      task:cancel()
      pcall(task.await, task)
      assert.is_true(task:cancelled())
    end
  end)

  it("closes the winner when it is cancelled in the turn in which that answers", function()
    local port = assert(listen(answer, "127.0.0.1", 0))
    for turns = 1, 8 do
      local conn
      local task = eddy.create_task(function() conn = eddy.open_connection({ "127.0.0.2", "127.0.0.1" }, port) end)
      for _ = 1, turns do eddy.sleep(0) end
      task:cancel()
      pcall(task.await, task)
      if conn then conn:abort() end
    end
  end)

  it("outlives a coroutine that a script closes while it connects", function()
    local port = silent_port()
    local inner = eddy.coroutine.create(function() eddy.open_connection({ "127.0.0.1", "127.0.0.1" }, port) end)
    local task = eddy.create_task(function() eddy.coroutine.resume(inner) end)
    eddy.sleep(0)
    coroutine.close(inner)
    inner = nil -- luacheck: ignore
    collectgarbage()
    task:cancel()
    pcall(task.await, task)
    collectgarbage()
    collectgarbage()
  end)

  it("checks the list", function()
    local function raises(message, ...)
      local args = table.pack(...)
      assert.has_error(function() eddy.open_connection(table.unpack(args, 1, args.n)) end, message)
    end
    raises("bad argument #1 to 'open_connection' (no address)", {}, 80)
    raises("bad argument #1 to 'open_connection' (a list of hosts holds numeric addresses)", { "localhost" }, 80)
    raises("bad argument #1 to 'open_connection' (a list of hosts holds numeric addresses)", { 7 }, 80)
    raises("bad argument #1 to 'open_connection' (a list of hosts holds numeric addresses)", { "127.0.0.1\0" }, 80)
  end)
end)
