local eddy = require "eddy"

-- A server on a free port, closed with the test.
local function serve(handler, options, host)
  local server = eddy.start_server(handler, host or "127.0.0.1", 0, options)
  finally(function()
    server:close()
    server:abort_clients()
    server:wait_closed()
  end)
  local _, port = server:address()
  return server, port
end

local function connect(port) return eddy.open_connection("127.0.0.1", port) end

local function echo(conn)
  for line in conn:lines("L") do conn:write(line) end
end

-- Waits until f() holds.
local function until_true(f)
  while not f() do eddy.sleep(0.001) end
end

-- Collects what the exception handler is told.
local function reports()
  local list, loop = {}, eddy.get_running_loop()
  loop:set_exception_handler(function(_, context) list[#list + 1] = context end)
  finally(function() loop:set_exception_handler(nil) end)
  return list
end

describe("eddy.start_server", function()
  it("runs the handler for each connection and closes that afterwards", function()
    local conns = {}
    local _, port = serve(function(conn)
      conns[#conns + 1] = conn
      conn:write("hello\n")
    end)
    local a <close> = connect(port)
    local b <close> = connect(port)
    assert.equal("hello\n", a:read("a"))
    assert.equal("hello\n", b:read("a"))
    until_true(function() return conns[1]:is_closing() and conns[2]:is_closing() end)
  end)

  it("serves peers that are no eddy", function()
    local heard
    local _, port = serve(function(conn)
      heard = conn:read()
      conn:write("and ", heard, "\n")
    end)
    local peer = io.popen(("bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d; echo one >&3; cat <&3'"):format(port))
    until_true(function() return heard end)
    eddy.sleep(0)
    assert.equal("and one\n", peer:read("a"))
    peer:close()
  end)

  it("serves 200 connections at once", function()
    local server, port = serve(echo)
    local list = {}
    for i = 1, 200 do list[i] = i end
    local results = eddy.map(function(i)
      local conn <close> = connect(port)
      conn:write(i, "\n")
      return conn:read("n")
    end, list, { concurrency = 200 })
    for i = 1, 200 do assert.equal(i, results[i]) end
    until_true(function() return tostring(server):find(" 0 connections") end)
  end)

  it("listens on all interfaces when no host is given, for both families", function()
    local server = eddy.start_server(function(conn) conn:write((conn:peername()), "\n") end, nil, 0)
    finally(function() server:close() server:wait_closed() end)
    local _, port = server:address()
    local conn <close> = connect(port)
    assert.equal("127.0.0.1", conn:read())
    assert.equal(1, #server:sockets())
  end)

  it("listens on all addresses of a name, at one port", function()
    local server = serve(echo, nil, "localhost")
    local sockets = server:sockets()
    assert.is_true(#sockets >= 1)
    for _, socket in ipairs(sockets) do
      assert.equal(sockets[1].port, socket.port)
      local conn <close> = eddy.open_connection(socket.address, socket.port)
      assert.equal("x", conn:write("x\n"):read())
    end
  end)

  it("raises when the address is taken, and leaves nothing open", function()
    local _, port = serve(echo)
    local _, err = pcall(eddy.start_server, echo, "127.0.0.1", port)
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.same({ "EADDRINUSE", "127.0.0.1:" .. port }, { err.code, err.address })
    _, err = pcall(eddy.start_server, echo, "192.0.2.1", 0)
    assert.equal("EADDRNOTAVAIL", err.code)
    _, err = pcall(eddy.start_server, echo, "no-such-host.invalid", 0)
    assert.equal("getaddrinfo", err.syscall)
  end)

  it("shares a port with reuse_port", function()
    local _, port = serve(echo, { reuse_port = true })
    local second = eddy.start_server(echo, "127.0.0.1", port, { reuse_port = true })
    second:close()
    second:wait_closed()
  end)

  it("lets more than max_connections wait in the backlog", function()
    local running, most = 0, 0
    local _, port = serve(function(conn)
      running = running + 1
      most = math.max(most, running)
      conn:write("your turn\n")
      conn:read()
      running = running - 1
    end, { max_connections = 2 })
    local list = {}
    for i = 1, 10 do
      list[i] = function()
        local conn <close> = connect(port)
        local turn = conn:read()
        eddy.sleep(0.002)
        conn:write("done\n")
        return turn
      end
    end
    for _, turn in ipairs(eddy.gather(list)) do assert.equal("your turn", turn) end
    assert.equal(2, most)
  end)

  it("reports the error of a handler and closes its connection", function()
    local told = reports()
    local _, port = serve(function() error("oops") end)
    local conn <close> = connect(port)
    assert.is_nil(conn:read())
    until_true(function() return #told > 0 end)
    assert.matches("oops", tostring(told[1].exception))
    assert.matches("server_spec.lua", told[1].traceback)
    collectgarbage()
    collectgarbage()
    eddy.sleep(0)
    assert.equal(1, #told)
  end)

  it("closes the connection of a handler that is cancelled, before its first step too", function()
    local server, port = serve(function(conn) conn:read() end)
    for turns = 1, 4 do
      local conn <close> = connect(port)
      local mine = eddy.current_task()
      for _ = 1, turns do
        eddy.sleep(0)
        for _, task in ipairs(eddy.all_tasks()) do
          if task ~= mine then task:cancel() end
        end
      end
      local _, answer = pcall(conn.read, conn, 1)
      if answer ~= nil then assert.equal("ECONNRESET", answer.code) end
    end
    until_true(function() return tostring(server):find(" 0 connections") end)
  end)

  it("checks its arguments", function()
    local function refused(message, ...)
      local arguments = table.pack(...)
      assert.error_matches(function()
        eddy.start_server(table.unpack(arguments, 1, arguments.n))
      end, message)
    end
    refused("bad argument #1 to 'start_server' %(function expected, got nil%)", nil, nil, 0)
    refused("bad argument #2", echo, 5.5, 0)
    refused("zero byte", echo, "a\0", 0)
    refused("bad argument #3", echo, nil, 65536)
    refused("bad argument #3", echo, nil, nil)
    refused("unknown option 'backlgo'", echo, nil, 0, { backlgo = 1 })
    refused("out of range", echo, nil, 0, { backlog = 0 })
    refused("out of range", echo, nil, 0, { max_connections = 0 })
  end)
end)

describe("server:serve_forever", function()
  it("waits until the server is closed", function()
    local server, port = serve(echo)
    local task = eddy.create_task(server.serve_forever, server)
    local conn <close> = connect(port)
    assert.equal("x", conn:write("x\n"):read())
    assert.is_false(task:done())
    server:close()
    task:await()
  end)

  it("closes the server when it is cancelled", function()
    local server = serve(echo)
    local task = eddy.create_task(server.serve_forever, server)
    eddy.sleep(0)
    assert.is_true(server:is_serving())
    task:cancel()
    assert.error(function() task:await() end)
    assert.is_true(task:cancelled())
    assert.is_false(server:is_serving())
  end)

  it("may run once, and not on a closed server", function()
    local server = serve(echo)
    local task = eddy.create_task(server.serve_forever, server)
    eddy.sleep(0)
    assert.error_matches(function() server:serve_forever() end, "another task")
    server:close()
    task:await()
    local _, err = pcall(server.serve_forever, server)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
  end)
end)

describe("server:close", function()
  it("stops accepting, and leaves the connections alone", function()
    local server, port = serve(echo)
    local conn <close> = connect(port)
    assert.equal("x", conn:write("x\n"):read())
    server:close()
    server:close()
    local _, err = pcall(connect, port)
    assert.equal("ECONNREFUSED", err.code)
    assert.equal("y", conn:write("y\n"):read())
    assert.same({}, server:sockets())
    assert.same({ "127.0.0.1", port }, { server:address() })
  end)

  it("lets wait_closed wait for the connections", function()
    local server, port = serve(echo)
    local conn = connect(port)
    conn:write("x\n"):read()
    local waiter = eddy.create_task(server.wait_closed, server)
    server:close()
    eddy.sleep(0.01)
    assert.is_false(waiter:done())
    conn:close()
    waiter:await()
    server:wait_closed()
  end)

  it("has companions that end the connections", function()
    for _, method in ipairs { "close_clients", "abort_clients" } do
      local server, port = serve(echo)
      local conn <close> = connect(port)
      conn:write("x\n"):read()
      server:close()
      server[method](server)
      server:wait_closed()
      assert.is_nil(conn:read())
    end
  end)

  it("is what the end of a scope does, which waits for the connections", function()
    local ended = false
    local conn
    do
      local server <close> = eddy.start_server(function(c)
        c:read()
        eddy.sleep(0.01)
        ended = true
      end, "127.0.0.1", 0)
      conn = connect((select(2, server:address())))
      conn:write("x\n")
      until_true(function() return tostring(server):find("1 connection>") end)
    end
    assert.is_true(ended)
    conn:close()
  end)

  it("serves those who were accepted in the same turn", function()
    for _ = 1, 20 do
      local served = 0
      local server, port = serve(function(conn) served = served + 1 conn:write("x\n") end)
      local conn = connect(port)
      server:close()
      local ok, line = pcall(conn.read, conn)
      assert.is_true(not ok or line == "x" or line == nil)
      conn:close()
      server:wait_closed()
      assert.is_true(served <= 1)
    end
  end)
end)

describe("a server at the end of its loop", function()
  -- What `tostring` tells of the server when the run is over in which f(server, port) was main.
  local function after_run(handler, f)
    local server
    local runner = eddy.Runner { exception_handler = function() end }
    runner:run(function()
      server = eddy.start_server(handler, "127.0.0.1", 0)
      f(select(2, server:address()), server)
    end)
    runner:close()
    return tostring(server):match("^<Server 127%.0%.0%.1:%d+(.*)>$")
  end

  local function clients(port, n)
    local list = {}
    for i = 1, n do list[i] = connect(port) end
    return list
  end

  it("has no connections left, whatever they were at #plain", function()
    local none = ", closed, 0 connections"
    assert.equal(none, after_run(echo, function(port) eddy.sleep(0, clients(port, 3)) end))
    assert.equal(none, after_run(echo, function(port) clients(port, 3) end)) -- accepted by nobody yet
    assert.equal(none, after_run(echo, function(port)
      local list = clients(port, 3)
      for _, conn in ipairs(list) do conn:write("x\n") end
      for _, conn in ipairs(list) do conn:read() end
    end))
    assert.equal(none, after_run(function() error("no") end, function(port) clients(port, 3) end))
    assert.equal(none, after_run(function() eddy.sleep(1000) end, function(port, server)
      clients(port, 3)
      eddy.sleep(0.01)
      server:close()
    end))
  end)

  it("has none when it was closed while some waited to be served #plain", function()
    for turns = 0, 5 do
      assert.equal(", closed, 0 connections", after_run(echo, function(port, server)
        local list = clients(port, 5)
        for _ = 1, turns do eddy.sleep(0) end
        server:close()
        for _, conn in ipairs(list) do conn:abort() end
        server:wait_closed()
      end))
    end
  end)
end)

describe("a server without descriptors", function()
  it("leaves those who come in the backlog, says so, and goes on when one is free", function()
    local told = reports()
    local _, port = serve(function(conn)
      conn:write("hello\n")
      conn:read()
    end)
    local first = connect(port)
    assert.equal("hello", first:read())
    local clients = {}
    for i = 1, 3 do clients[i] = connect(port) end
    for i = 1, 3 do assert.equal("hello", clients[i]:read()) end
    local spare = {} -- all that are left
    repeat
      local file = io.open("/dev/null")
      spare[#spare + 1] = file
    until not file or #spare == 30000
    if #spare == 30000 then
      for _, file in ipairs(spare) do file:close() end
      pending("more descriptors than a test should take")
    end
    spare[#spare]:close()
    spare[#spare] = nil
    local late = connect(port) -- takes the last one; the server has none to accept with
    until_true(function() return #told > 0 end)
    assert.equal("EMFILE", told[1].exception.code)
    local answer = eddy.create_task(late.read, late)
    eddy.sleep(0.02)
    assert.is_false(answer:done())
    first:close()
    assert.equal("hello", answer:await())
    for _, file in ipairs(spare) do file:close() end
    for i = 1, 3 do clients[i]:close() end
    late:close()
  end)
end)
