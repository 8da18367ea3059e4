local eddy = require "eddy"
local calls = require "spec.support.calls"
local ports = require "spec.support.ports"

local function server(f, options) return ports.served(finally, f, options) end

local free_port = ports.free

local function full_port() return ports.silent(finally) end

describe("eddy.open_connection", function()
  it("connects to a numeric address", function()
    local port = server(function(conn) conn:write("hello\n") end)
    local conn <close> = eddy.open_connection("127.0.0.1", port)
    assert.equal("hello", conn:read())
    assert.is_nil(conn:read())
  end)

  it("connects to a name", function()
    local port = server(function(conn) conn:write("hello\n") end)
    local conn <close> = eddy.open_connection("localhost", port, { family = "inet" })
    assert.equal("hello", conn:read())
  end)

  it("knows both names, also after the close", function()
    local port = server()
    local conn = eddy.open_connection("127.0.0.1", port)
    local host, own_port = conn:sockname()
    assert.equal("127.0.0.1", host)
    conn:close()
    conn:wait_closed()
    assert.same({ "127.0.0.1", port }, { conn:peername() })
    assert.same({ "127.0.0.1", own_port }, { conn:sockname() })
    assert.equal(("<TCP connection 127.0.0.1:%d -> 127.0.0.1:%d, closed>"):format(own_port, port), tostring(conn))
  end)

  it("raises what the system says", function()
    local port = free_port()
    local err = calls.raised_as(eddy.OSError, eddy.open_connection, "127.0.0.1", port)
    assert.same({ "ECONNREFUSED", "connect", "127.0.0.1:" .. port }, { err.code, err.syscall, err.address })
    assert.matches("ECONNREFUSED", tostring(err), 1, true)
  end)

  it("raises what the look-up says", function()
    local _, err = pcall(eddy.open_connection, "no-such-host.invalid", 80)
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.equal("getaddrinfo", err.syscall)
    assert.matches("^EAI_", err.code)
  end)

  it("gives up after its timeout and leaves nothing open", function()
    local port = full_port()
    local start = eddy.time()
    local _, err = pcall(eddy.open_connection, "127.0.0.1", port, { timeout = 0.05 })
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
    assert.is_true(eddy.time() - start < 1)
    _, err = pcall(eddy.open_connection, "127.0.0.1", port, { timeout = 0 })
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
  end)

  it("gives up a look-up after its timeout", function()
    local _, err = pcall(eddy.open_connection, "no-such-host.invalid", 80, { timeout = 0 })
    assert.is_true(eddy.is_error(err, eddy.TimeoutError))
  end)

  it("leaves nothing open when it is cancelled while it connects", function()
    local port = full_port()
    local task = eddy.create_task(eddy.open_connection, "127.0.0.1", port)
    eddy.sleep(0.02)
    task:cancel()
    assert.error(function() task:await() end)
    assert.is_true(task:cancelled())
  end)

  it("leaves nothing open when it is cancelled at any turn", function()
    local port = server(function(conn) conn:read() end)
    for turns = 0, 12 do
      local conn
      local task = eddy.create_task(function() conn = eddy.open_connection("localhost", port) end)
      for _ = 1, turns do eddy.sleep(turns > 8 and 0.001 or 0) end
      task:cancel()
      pcall(task.await, task)
      if conn then conn:abort() end
    end
  end)

  it("tries one address after the other", function()
    local _, err = pcall(eddy.open_connection, "localhost", free_port())
    local errors = eddy.is_error(err, eddy.ExceptionGroup) and err.errors or { err }
    assert.equal("connect", errors[1].syscall)
  end)

  it("binds to a local address", function()
    local port = server(function(conn) conn:write((conn:peername()), "\n") end)
    local conn <close> = eddy.open_connection("127.0.0.1", port, { local_addr = { "127.0.0.2", 0 } })
    assert.equal("127.0.0.2", conn:read())
    local any <close> = eddy.open_connection("127.0.0.1", port, { local_addr = {} })
    assert.equal("127.0.0.1", any:read())
    local _, err = pcall(eddy.open_connection, "127.0.0.1", port, { local_addr = { "192.0.2.1" } })
    assert.equal("EADDRNOTAVAIL", err.code)
  end)

  it("checks its arguments", function()
    local function refused(message, ...)
      local arguments = table.pack(...)
      assert.error_matches(function()
        eddy.open_connection(table.unpack(arguments, 1, arguments.n))
      end, message)
    end
    refused("bad argument #1 to 'open_connection' %(string or table expected, got nil%)", nil, 80)
    refused("bad argument #1", {}, 80)
    refused("zero byte", "a\0b", 80)
    refused("empty host", "", 80)
    refused("bad argument #2 to 'open_connection'", "localhost", "http")
    for _, port in ipairs { -1, 65536, 0.5, 2 ^ 53, math.maxinteger } do
      refused("bad argument #2", "localhost", port)
    end
    refused("unknown option 'timout'", "localhost", 80, { timout = 1 })
    refused("option 'timeout': number expected, got string", "localhost", 80, { timeout = "1" })
    refused("NaN", "localhost", 80, { timeout = 0 / 0 })
    refused("option 'family': unknown value 'ipx'", "localhost", 80, { family = "ipx" })
    refused("not of the family", "127.0.0.1", 80, { family = "inet6" })
    refused("option 'limit': 0 is out of range", "localhost", 80, { limit = 0 })
    refused("local_addr", "localhost", 80, { local_addr = "127.0.0.1" })
    refused("numeric address", "localhost", 80, { local_addr = { "localhost" } })
    refused("keepalive", "localhost", 80, { keepalive = "yes" })
    refused("table expected, got number", "localhost", 80, 5)
  end)

  it("needs a running task #plain", function()
    local _, err = pcall(eddy.open_connection, "127.0.0.1", 1)
    assert.matches("'open_connection' needs a running task", err.message)
  end)
end)

describe("a connection on a virtual clock #virtual", function()
  it("is not outrun by its timeout", function()
    local port = server(function(conn)
      for line in conn:lines() do conn:write(line, "\n") end
    end)
    local conn <close> = eddy.open_connection("127.0.0.1", port, { timeout = 1 })
    for i = 1, 20 do
      conn:write(i, "\n")
      assert.equal(tostring(i), eddy.timeout(1, conn.read, conn))
    end
    assert.equal(0, eddy.time())
  end)
end)

describe("a TCP connection", function()
  it("has options of its socket", function()
    local port = server()
    local conn <close> = eddy.open_connection("127.0.0.1", port, { nodelay = false, keepalive = 30 })
    conn:set_nodelay(true)
    conn:set_keepalive(true)
    conn:set_keepalive(false)
    conn:set_keepalive(10)
    assert.is_true(conn:fileno() > 2)
    assert.error_matches(function() conn:set_nodelay(1) end, "bad argument #1 to 'set_nodelay'")
    assert.error_matches(function() conn:set_keepalive("x") end, "keepalive")
    assert.error_matches(function() conn:set_keepalive(0) end, "between 1 and")
  end)

  it("says that it is closed, whatever it is asked for", function()
    local port = server()
    local conn = eddy.open_connection("127.0.0.1", port)
    for _ = 1, 2 do
      conn:close()
      for _, name in ipairs { "set_nodelay", "set_keepalive", "fileno", "write", "drain", "shutdown" } do
        assert.error_matches(function() conn[name](conn, true) end, name == "write" and "" or "closed stream")
      end
      assert.error_matches(function() conn:write("x") end, "closed stream")
      conn:set_write_buffer_limits(10)
      conn:wait_closed()
    end
  end)

  it("cannot be confused with other userdata", function()
    local port = server()
    local conn <close> = eddy.open_connection("127.0.0.1", port)
    for _, name in ipairs { "read", "write", "close", "peername", "fileno", "lines", "abort", "wait_closed" } do
      for _, wrong in ipairs { io.stdout, {}, "x", eddy.current_task() } do
        assert.error_matches(function() conn[name](wrong) end, "expected, got")
      end
    end
    assert.equal("eddy", getmetatable(conn))
  end)
end)
