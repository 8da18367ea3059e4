-- eddy.open_datagram, between sockets of this host.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised = calls.raised

local function os_error(code, f, ...)
  local err = raised(f, ...)
  assert.is_true(eddy.is_error(err, eddy.OSError), tostring(err))
  assert.equal(code, err.code)
  return err
end

local function bound(host, options)
  local all = { local_addr = { host or "127.0.0.1", 0 } }
  for key, value in pairs(options or {}) do all[key] = value end
  return eddy.open_datagram(all)
end

-- A port of this host at which nobody listens.
local function free_port(host)
  local socket = bound(host)
  local _, port = socket:sockname()
  socket:close()
  eddy.sleep(0)
  eddy.sleep(0.001)
  return port
end

for _, host in ipairs { "127.0.0.1", "::1" } do
  describe("A datagram socket at " .. host, function()
    it("sends to anybody and tells who has sent", function()
      local a, b = bound(host), bound(host)
      local _, a_port = a:sockname()
      local b_host, b_port = b:sockname()
      assert.equal(host, b_host)
      assert.equal(a, a:send("hello", b_host, b_port))
      assert.same({ "hello", host, a_port }, { b:recv() })
      b:send("answer", host, a_port)
      assert.same({ "answer", host, b_port }, { a:recv() })
      a:close()
      b:close()
    end)

    it("keeps the bounds of datagrams, also of empty ones", function()
      local a, b = bound(host), bound(host)
      local _, port = b:sockname()
      for _, data in ipairs { "one", "", "three\0", "" } do a:send(data, host, port) end
      assert.same({ "one", "", "three\0", "" }, { (b:recv()), (b:recv()), (b:recv()), (b:recv()) })
      a:close()
      b:close()
    end)

    it("takes what a datagram can hold, and refuses more", function()
      local a, b = bound(host), bound(host)
      local _, port = b:sockname()
      local most = host == "::1" and 65527 or 65507
      local data = ("x"):rep(most)
      a:send(data, host, port)
      assert.equal(data, (b:recv()))
      local err = os_error("EMSGSIZE", a.send, a, data .. "x", host, port)
      assert.equal("send", err.syscall)
      assert.matches(":" .. port, err.address, 1, true)
      a:close()
      b:close()
    end)

    it("may be connected to one peer", function()
      local server = bound(host)
      local _, port = server:sockname()
      local client = eddy.open_datagram { remote_addr = { host, port } }
      assert.same({ host, port }, { client:peername() })
      client:send "hello"
      local data, _, client_port = server:recv()
      assert.equal("hello", data)
      client:send("again", host, port)   -- the kernel says EISCONN to that
      assert.equal("again", (server:recv()))
      os_error("EISCONN", client.send, client, "x", host, port == 65535 and 1 or port + 1)
      local stranger = bound(host)
      stranger:send("not for you", host, client_port)
      server:send("for you", host, client_port)
      assert.equal("for you", (client:recv()))
      for _, socket in ipairs { server, client, stranger } do socket:close() end
    end)

    it("tells that nobody listens, when it is connected", function()
      local port = free_port(host)
      local client = eddy.open_datagram { remote_addr = { host, port } }
      client:send "anybody?"
      local err = os_error("ECONNREFUSED", client.recv, client)
      assert.equal("recv", err.syscall)
      assert.matches(":" .. port, err.address, 1, true)
      client:send "still there"   -- it works on
      os_error("ECONNREFUSED", client.recv, client)
      client:close()
    end)
  end)
end

describe("eddy.open_datagram", function()
  it("binds to any address when nothing is said", function()
    local socket = eddy.open_datagram()
    local host, port = socket:sockname()
    assert.equal("0.0.0.0", host)
    assert.is_true(port > 0)
    assert.is_nil(socket:peername())
    socket:close()
    socket = eddy.open_datagram { family = "inet6" }
    assert.equal("::", (socket:sockname()))
    socket:close()
  end)

  it("looks names up, also for send", function()
    local server = eddy.open_datagram { local_addr = { "localhost", 0 }, family = "inet" }
    local host, port = server:sockname()
    assert.equal("127.0.0.1", host)
    local client = eddy.open_datagram { remote_addr = { "localhost", port }, family = "inet" }
    client:send "by name"
    assert.equal("by name", (server:recv()))
    client:close()
    client = bound()
    client:send("by name too", "localhost", port)
    assert.equal("by name too", (server:recv()))
    local err = os_error("EAI_NONAME", function() client:send("x", "no-such-host.invalid", 1) end)
    assert.equal("getaddrinfo", err.syscall)
    client:close()
    server:close()
  end)

  it("takes a socket for both families", function()
    local server = bound "::"
    local _, port = server:sockname()
    local client = bound "127.0.0.1"
    client:send("four", "127.0.0.1", port)
    local data, host, client_port = server:recv()
    assert.same({ "four", "127.0.0.1" }, { data, host })
    server:send("back", host, client_port)
    assert.equal("back", (client:recv()))
    server:close()
    client:close()
  end)

  it("raises what the system says", function()
    local socket = bound()
    local host, port = socket:sockname()
    local err = os_error("EADDRINUSE", eddy.open_datagram, { local_addr = { host, port } })
    assert.same({ "bind", host .. ":" .. port }, { err.syscall, err.address })
    os_error("EADDRNOTAVAIL", eddy.open_datagram, { local_addr = { "192.0.2.1", 0 } })
    socket:close()
  end)

  it("lets several share a port", function()
    local one = bound("127.0.0.1", { reuse_port = true })
    local host, port = one:sockname()
    local two = eddy.open_datagram { local_addr = { host, port }, reuse_port = true }
    assert.same({ host, port }, { two:sockname() })
    one:close()
    two:close()
  end)

  it("broadcasts only when that was asked for", function()
    local socket = bound "0.0.0.0"
    local err = raised(socket.send, socket, "x", "255.255.255.255", 9)
    assert.is_true(err.code == "EACCES" or err.code == "ENETUNREACH", tostring(err))
    socket:close()
    socket = bound("0.0.0.0", { broadcast = true })
    local ok, why = pcall(socket.send, socket, "x", "255.255.255.255", 9)
    assert.is_true(ok or why.code ~= "EACCES", tostring(why))
    socket:close()
  end)

  it("checks its options", function()
    local function refuses(reason, options)
      local text = raised(function() return 1, eddy.open_datagram(options) end)
      assert.equal("string", type(text), tostring(text))
      assert.truthy(text:find("bad argument #1 to 'open_datagram' (" .. reason, 1, true), text)
    end
    refuses("table expected, got string", "127.0.0.1")
    refuses("unknown option 'local'", { ["local"] = {} })
    refuses("option 'local_addr': table {host, port} expected", { local_addr = "127.0.0.1" })
    refuses("option 'local_addr': table {host, port} expected, without names", { local_addr = { host = "127.0.0.1" } })
    refuses("option 'local_addr': a port is between", { local_addr = { "127.0.0.1", -1 } })
    refuses("option 'local_addr': a port is between", { local_addr = { "127.0.0.1", "http" } })
    refuses("option 'local_addr': a host is a name", { local_addr = { 5, 5 } })
    refuses("option 'remote_addr': a host is a name", { remote_addr = { nil, 5 } })
    refuses("option 'remote_addr': a host is a name", { remote_addr = { "", 5 } })
    refuses("option 'remote_addr': the address is of another family",
      { local_addr = { "127.0.0.1", 0 }, remote_addr = { "::1", 5 } })
    refuses("option 'local_addr': the address is of another family", { local_addr = { "::1", 0 }, family = "inet" })
    refuses("option 'broadcast': boolean expected", { broadcast = 1 })
    refuses("option 'family': unknown value 'x'", { family = "x" })
  end)

  it("needs a loop #plain", function()
    assert.is_true(eddy.is_error(raised(eddy.open_datagram), eddy.RuntimeError))
  end)
end)

describe("socket:recv", function()
  it("waits, for several tasks in the order in which they came", function()
    local socket, sender, got = bound(), bound(), {}
    local host, port = socket:sockname()
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = eddy.create_task(function() got[i] = socket:recv() end)
    end
    eddy.sleep(0)
    for i = 1, 3 do sender:send("datagram " .. i, host, port) end
    eddy.gather(tasks)
    assert.same({ "datagram 1", "datagram 2", "datagram 3" }, got)
    socket:close()
    sender:close()
  end)

  it("loses nothing when it is cancelled at any moment", function()
    local socket, sender, got = bound(), bound(), 0
    local host, port = socket:sockname()
    for round = 1, 50 do
      local first = eddy.create_task(socket.recv, socket)
      local second = eddy.create_task(socket.recv, socket)
      eddy.sleep(0)
      sender:send("x" .. round, host, port)
      for _ = 1, round % 4 do eddy.sleep(0) end
      first:cancel()
      if pcall(eddy.await, first) then
        second:cancel()
        got = got + 1
      else
        assert.equal("x" .. round, (second:await()))
        got = got + 1
      end
      pcall(eddy.await, second)
    end
    assert.equal(50, got)
    assert.is_nil(socket:recv_nowait())
    socket:close()
    sender:close()
  end)

  it("gives nil to who waits when the socket is closed, and afterwards", function()
    local socket = bound()
    local task = eddy.create_task(socket.recv, socket)
    eddy.sleep(0)
    socket:close()
    socket:close()
    assert.is_nil((task:await()))
    assert.is_nil((socket:recv()))
    assert.is_nil((socket:recv_nowait()))
    assert.is_true(socket:is_closing())
    assert.matches("^<UDP socket 127.0.0.1:%d+, closed>$", tostring(socket))
    assert.is_number((select(2, socket:sockname())))   -- names survive
    local err = raised(socket.send, socket, "x", "127.0.0.1", 9)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
  end)

  it("has an iterator", function()
    local socket, sender, got = bound(), bound(), {}
    local host, port = socket:sockname()
    for i = 1, 3 do sender:send(i, host, port) end
    for data, from in socket:datagrams() do
      got[#got + 1] = data .. from
      if #got == 3 then socket:close() end
    end
    assert.same({ "1127.0.0.1", "2127.0.0.1", "3127.0.0.1" }, got)
    sender:close()
  end)

  it("can be selected", function()
    local one, two, sender = bound(), bound(), bound()
    local host, port = two:sockname()
    local _, sender_port = sender:sockname()
    eddy.get_running_loop():call_later(0.001, function()
      eddy.create_task(sender.send, sender, "", host, port)
    end)
    assert.same({ 2, "", host, sender_port }, { eddy.select { one, two, 5 } })
    assert.same({ 3 }, { eddy.select { one, two, 0.001 } })
    local client = eddy.open_datagram { remote_addr = { host, free_port() } }
    client:send "x"
    os_error("ECONNREFUSED", eddy.select, { one, client })
    for _, socket in ipairs { one, two, sender, client } do socket:close() end
  end)

  it("keeps a bounded number of datagrams that nobody takes", function()
    local socket, sender = bound(), bound()
    local host, port = socket:sockname()
    collectgarbage()
    socket:recv_nowait()   -- from now on it reads
    local data = ("x"):rep(60000)
    for _ = 1, 300 do
      sender:send(data, host, port)
      eddy.sleep(0)
    end
    local n = 0
    while socket:recv_nowait() do
      n = n + 1
      eddy.sleep(0.001)
    end
    assert.is_true(n >= 5 and n < 100, "kept " .. n)
    socket:close()
    sender:close()
  end)
end)

describe("A datagram socket", function()
  it("hears a group that it has joined, until it leaves", function()
    local socket = bound("0.0.0.0", { reuse_port = true })
    local _, port = socket:sockname()
    socket:join("239.255.1.2", "127.0.0.1")
    local sender = bound()
    sender:set_multicast_interface "127.0.0.1"
    sender:set_multicast_ttl(1)
    sender:set_loop(true)
    sender:send("to all", "239.255.1.2", port)
    assert.equal("to all", (socket:recv()))
    socket:leave("239.255.1.2", "127.0.0.1")
    sender:send("to others", "239.255.1.2", port)
    assert.same({ false }, { eddy.move_on_after(0.01, socket.recv, socket) })
    os_error("EADDRNOTAVAIL", socket.leave, socket, "239.255.1.2", "127.0.0.1")
    os_error("EINVAL", socket.join, socket, "127.0.0.1")
    sender:set_ttl(5)
    socket:close()
    sender:close()
  end)

  it("is closed at the end of its scope", function()
    local outer
    do
      local socket <close> = bound()
      outer = socket
    end
    assert.is_true(outer:is_closing())
  end)

  it("checks its arguments", function()
    local socket = bound()
    local function refuses(reason, method, ...)
      local arguments = table.pack(...)
      local text = raised(function() return 1, socket[method](socket, table.unpack(arguments, 1, arguments.n)) end)
      assert.truthy(tostring(text):find(reason, 1, true), tostring(text))
    end
    refuses("string expected, got no value", "send")
    refuses("string expected, got table", "send", {}, "127.0.0.1", 5)
    refuses("string expected, got nil", "send", "x")   -- it is not connected
    refuses("string expected, got nil", "send", "x", nil, 5)
    refuses("a port is between", "send", "x", "127.0.0.1", 65536)
    refuses("number expected", "send", "x", "127.0.0.1")
    refuses("zero byte", "send", "x", "a\0b", 5)
    refuses("string expected", "join")
    refuses("a numeric address is expected", "join", "localhost")
    refuses("between 1 and 255", "set_ttl", 0)
    refuses("between 1 and 255", "set_multicast_ttl", 256)
    refuses("boolean expected", "set_loop", 1)
    refuses("string expected", "set_multicast_interface")
    socket:close()
    for method, arguments in pairs { join = { "239.1.1.1" }, leave = { "239.1.1.1" }, set_ttl = { 1 },
      set_multicast_ttl = { 1 }, set_loop = { true }, set_multicast_interface = { "127.0.0.1" }, fileno = {} } do
      local err = raised(socket[method], socket, table.unpack(arguments))
      assert.is_true(eddy.is_error(err, eddy.RuntimeError), method)
      assert.matches("closed socket", tostring(err))
    end
  end)

  it("warns when it was forgotten", function()
    local support = require "spec.command.support"
    local out, err = support.eddy { "-e", [[
      do local _ = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } } end
      collectgarbage() collectgarbage()
      eddy.sleep(0.001)
      print(#eddy._handles())]] }
    assert.equal("0\n", out)
    assert.matches("ResourceWarning: unclosed UDP socket 127.0.0.1:%d+ opened at", err)
  end)

  it("may be closed and collected at any moment", function()
    local sender = bound()
    for round = 1, 30 do
      local socket = bound()
      local host, port = socket:sockname()
      local task = eddy.create_task(socket.recv, socket)
      if round % 2 == 0 then eddy.sleep(0) end
      sender:send(("x"):rep(10000), host, port)
      sender:send(("x"):rep(10000), host, port)
      if round % 3 == 0 then eddy.sleep(0) end
      socket:close()
      if round % 5 == 0 then task:cancel() end
      pcall(eddy.await, task)
    end
    collectgarbage()
    sender:close()
  end)

  it("may be read and closed by finalizers that run while a datagram is taken", function()
    local support = require "spec.command.support"
    local out, err = support.eddy { "-e", [[
      local address = { "127.0.0.1", 0 }
      local sender <close> = eddy.open_datagram { local_addr = address }
      local seen = 0
      collectgarbage("generational", 1, 100)
      for i = 1, 40 do
        local socket <close> = eddy.open_datagram { local_addr = address }
        local method = i % 2 == 0 and socket.close or socket.recv_nowait
        for _ = 1, 4 do sender:send(("x"):rep(8000), socket:sockname()) end
        socket:recv()
        for _ = 1, 3 do
          setmetatable({}, { __gc = function() method(socket) end })
          local data, host, port = socket:recv_nowait()
          if data then seen = seen + 1 end
          assert(not data or (#data == 8000 and host == "127.0.0.1" and port == select(2, sender:sockname())))
        end
      end
      print(seen > 0)]] }
    assert.same({ "true\n", "" }, { out, err })
  end)

  it("gives a datagram once, also if a finalizer takes it while its text is made", function()
    local receiver, sender, taken = bound(), bound(), {}
    receiver:recv_nowait()   -- from now on it reads
    for _, text in ipairs { "one", "two", "three" } do sender:send(text:rep(1000), receiver:sockname()) end
    for _ = 1, 5 do eddy.sleep(0.002) end
    local mode = collectgarbage "generational"
    finally(function() collectgarbage(mode) end)
    collectgarbage()
    collectgarbage "stop"
    setmetatable({}, { __gc = function() table.insert(taken, 1, (receiver:recv_nowait())) end })
    collectgarbage "restart"
    local own = receiver:recv_nowait()
    taken[#taken + 1] = own
    while true do
      local data = receiver:recv_nowait()
      if not data then break end
      taken[#taken + 1] = data
    end
    local seen = {}
    for _, data in ipairs(taken) do
      assert.is_nil(seen[data])
      seen[data] = true
    end
    assert.equal(3, #taken)
    receiver:close()
    sender:close()
  end)

  it("sends to others while a peer's queue is full", function()
    local receiver, sender = bound(), bound()
    local host, port = receiver:sockname()
    local data = ("x"):rep(30000)
    eddy.gather((function()
      local list = {}
      for i = 1, 50 do
        list[i] = function() for _ = 1, 20 do sender:send(data, host, port) end end
      end
      return list
    end)())
    receiver:close()
    sender:close()
  end)
end)
