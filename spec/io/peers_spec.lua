-- eddy and programs that everybody has, on the loopback: nc, curl, socat, redis-server, dig.

local eddy = require "eddy"
local ending = require "spec.support.ending"
local ports = require "spec.support.ports"

require("eddy.busted").timeout = 60

local free_port = ports.free

local function later(f) ending(finally, f) end

local function until_true(f)
  while not f() do eddy.sleep(0.001) end
end

-- A connection to a program that is about to listen there.
local function connected(port)
  local ok, conn
  until_true(function()
    ok, conn = pcall(eddy.open_connection, "127.0.0.1", port)
    return ok
  end)
  return conn
end

local function serve(handler) return (ports.served(finally, handler)) end

local function temporary(content)
  local path = os.tmpname()
  eddy.fs.write_file(path, content or "")
  later(function() os.remove(path) end)
  return path
end

-- Runs a shell command beside us; the function that is returned waits for its end and gives its output.
local function start(command)
  local out, over = temporary(), temporary()
  os.execute(("({ %s; } >%s 2>&1 </dev/null; echo $? >%s) &"):format(command, out, over))
  return function()
    until_true(function() return eddy.fs.stat(over).size > 0 end)
    return eddy.fs.read_file(out), tonumber(eddy.fs.read_file(over))
  end
end

-- Starts a server that stays, ended with the test by its process id. Waits until it accepts.
local function daemon(command, port)
  local pid = temporary()
  os.execute(("echo $$ >%s; exec %s >/dev/null 2>&1 </dev/null"):format(pid, command):gsub("^(.*)$", function(all)
    return "sh -c '" .. all .. "' &"
  end))
  later(function() os.execute(("kill $(cat %s) 2>/dev/null"):format(pid)) end)
  local conn
  until_true(function()
    local ok, result = pcall(eddy.open_connection, "127.0.0.1", port)
    conn = ok and result
    if not ok then eddy.sleep(0.01) end
    return ok
  end)
  later(function() conn:abort() end)
  return conn
end

local function has(program)
  return os.execute("command -v " .. program .. " >/dev/null 2>&1") == true
end

local function echo(conn)
  for data in conn:lines(65536) do conn:write(data) end
end

-- So many bytes, of all values.
local function bytes(n)
  local t = {}
  for i = 1, 1024 do t[i] = string.char(i * 7 % 256, i // 256) end
  return table.concat(t):rep(n // 2048 + 1):sub(1, n)
end

describe("eddy and nc", function()
  if not has("nc") then return pending("no nc: script/bootstrap installs it") end

  it("as a client of ours gets back what it sends, and sees the end", function()
    local data = bytes(300000)
    local result = start(("nc -N 127.0.0.1 %d <%s"):format(serve(echo), temporary(data)))
    local output, code = result()
    assert.is_true(output == data)
    assert.equal(0, code)
  end)

  it("as a server sends all of a file and its end, and still gets what we send", function()
    local port, data, got = free_port(), bytes(200000), temporary()
    local result = start(("nc -l -N 127.0.0.1 %d <%s >%s"):format(port, temporary(data), got))
    local conn = connected(port)
    local _ <close> = conn
    assert.is_true(conn:read("a") == data)
    conn:write("for nc\n"):shutdown() -- its half is closed, ours is not
    result()
    assert.equal("for nc\n", eddy.fs.read_file(got))
  end)
end)

describe("a server whose loop is ending", function()
  if not has("nc") then return pending("no nc: script/bootstrap installs it") end

  it("does not count whom it has accepted and will not serve #plain", function()
    local server
    eddy.run(function()
      local port = free_port()
      os.execute(("(nc -l 127.0.0.1 %d | { sleep 0.4; cat; } >/dev/null 2>&1) &"):format(port))
      local slow = connected(port)
      slow:set_write_buffer_limits(1 << 30)
      slow:write(("x"):rep(16 << 20)):close() -- the loop waits for it in the end
      server = eddy.start_server(echo, "127.0.0.1", 0)
      os.execute(("(sleep 0.1; echo late | nc -N 127.0.0.1 %d >/dev/null 2>&1) &"):format(select(2, server:address())))
    end)
    assert.matches(", closed, 0 connections>$", tostring(server))
  end)
end)

describe("eddy and curl", function()
  if not has("curl") then return pending("no curl: script/bootstrap installs it") end

  -- As much of HTTP as curl wants: keeps the connection, answers with method, path and body.
  local function http(conn)
    while true do
      local method, path = (conn:read() or ""):match("^(%u+) (%S+) HTTP/1%.1\r$")
      if not method then return end
      local length, continue = 0, false
      for line in conn:lines() do
        if line == "\r" then break end
        length = tonumber(line:match("^[Cc]ontent%-[Ll]ength: (%d+)")) or length
        continue = continue or line:find("^Expect: 100") ~= nil
      end
      if continue then conn:write("HTTP/1.1 100 Continue\r\n\r\n") end
      local body = { method, " ", path, "\n", conn:read_exactly(length) }
      local size = 0
      for _, piece in ipairs(body) do size = size + #piece end
      conn:write({ "HTTP/1.1 200 OK\r\nContent-Length: ", size, "\r\n\r\n" }, body)
    end
  end

  it("speak HTTP over a kept connection", function()
    local came = 0
    local port = serve(function(conn)
      came = came + 1
      http(conn)
    end)
    local url = ("http://127.0.0.1:%d"):format(port)
    local result = start(("curl -sS %s/one %s/two %s/three"):format(url, url, url))
    assert.equal("GET /one\nGET /two\nGET /three\n", (result()))
    assert.equal(1, came)
  end)

  it("move a body of a megabyte both ways", function()
    local data = bytes(1 << 20)
    local result = start(("curl -sS --data-binary @%s http://127.0.0.1:%d/up"):format(temporary(data), serve(http)))
    local output, code = result()
    assert.equal(0, code)
    assert.is_true(output == "POST /up\n" .. data)
  end)

  it("see that the other side has left in the middle", function()
    local port = serve(function(conn)
      conn:read()
      conn:write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
    end)
    local _, code = start(("curl -sS http://127.0.0.1:%d/"):format(port))()
    assert.equal(18, code) -- a part of the file
  end)
end)

describe("eddy and socat", function()
  if not has("socat") then return pending("no socat: script/bootstrap installs it") end

  it("as a server with a process for each connection answers fifty of ours", function()
    local port = free_port()
    daemon(("socat TCP-LISTEN:%d,bind=127.0.0.1,reuseaddr,fork,backlog=100 EXEC:cat"):format(port), port)
    local list = {}
    for i = 1, 50 do list[i] = i end
    local results = eddy.map(function(i)
      local conn <close> = eddy.open_connection("127.0.0.1", port)
      conn:write(("line %d\n"):format(i):rep(500)):shutdown()
      return conn:read("a")
    end, list, { concurrency = 10 })
    for i = 1, 50 do assert.equal(("line %d\n"):format(i):rep(500), results[i]) end
  end)

  it("as a client that is killed with bytes unread gives us an error, not an end", function()
    local err
    local done = eddy.Event()
    local port = serve(function(conn)
      local ok
      conn:write(("x"):rep(100000)) -- which it does not read
      ok, err = pcall(conn.read, conn, "a")
      if ok then err = "the end" end
      done:set()
    end)
    start(("timeout -s KILL 0.2 socat -u UDP4-RECV:0,bind=127.0.0.1 TCP:127.0.0.1:%d"):format(port))()
    done:wait()
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.equal("ECONNRESET", err.code)
  end)
end)

describe("eddy and redis-server", function()
  if not has("redis-server") then return pending("no redis-server: script/bootstrap installs it") end

  local function command(...)
    local parts = { ("*%d\r\n"):format(select("#", ...)) }
    for _, part in ipairs { ... } do parts[#parts + 1] = ("$%d\r\n%s\r\n"):format(#part, part) end
    return parts
  end

  local function reply(conn)
    local kind, rest = conn:read_until("\r\n"):match("^(.)(.*)\r\n$")
    if kind == "$" then return rest ~= "-1" and conn:read_exactly(tonumber(rest) + 2):sub(1, -3) or nil end
    return kind == ":" and tonumber(rest) or rest
  end

  it("answers commands, many at once, with bytes of all values", function()
    local port = free_port()
    local conn = daemon(("redis-server --port %d --bind 127.0.0.1 --save \"\" --appendonly no"):format(port), port)
    conn:write(command("PING"))
    assert.equal("PONG", reply(conn))
    local value = bytes(1 << 20)
    conn:write(command("SET", "key", value), command("GET", "key"), command("GET", "none"))
    assert.equal("OK", reply(conn))
    assert.is_true(reply(conn) == value)
    assert.is_nil(reply(conn))
    local sender = eddy.create_task(function()
      for i = 1, 5000 do conn:write(command("INCRBY", "sum", tostring(i))) end
    end)
    local last
    for _ = 1, 5000 do last = reply(conn) end
    sender:await()
    assert.equal(5000 * 5001 // 2, last)
    conn:write(command("SHUTDOWN", "NOSAVE"))
    assert.is_nil(conn:read(1))
  end)
end)

describe("eddy and dig", function()
  if not has("dig") then return pending("no dig: script/bootstrap installs it") end

  -- The answer to a question of one name, whose address is 192.0.2.N for a name of N letters.
  local function answer(question)
    local at = 13
    while question:byte(at) ~= 0 do at = at + question:byte(at) + 1 end   -- over the labels
    local length = question:byte(13)
    return question:sub(1, 2) .. "\x81\x80\0\1\0\1\0\0\0\0" .. question:sub(13, at + 4)
      .. "\xc0\x0c\0\1\0\1\0\0\0\60\0\4" .. string.char(192, 0, 2, length)
  end

  it("ask and answer names by datagrams, many at once", function()
    local socket = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }
    local _, port = socket:sockname()
    local server = eddy.create_task(function()
      for data, host, from in socket:datagrams() do socket:send(answer(data), host, from) end
    end)
    later(function()
      server:cancel()
      socket:close()
    end)
    local list = {}
    for i = 1, 12 do list[i] = i end
    local results = eddy.map(function(i)
      local name = ("x"):rep(i)
      return (eddy.exec("dig", { "@127.0.0.1", "-p", port, "+short", "+tries=1", "+time=20", name .. ".example" }))
    end, list, { concurrency = 4 })
    for i = 1, 12 do assert.equal(("192.0.2.%d\n"):format(i), results[i]) end
  end)

  it("ask again by a stream when the datagram was cut off", function()
    local socket, port, server
    repeat -- the same port for both
      server = eddy.start_server(function(conn)
        while true do
          local ok, length = pcall(conn.read_exactly, conn, 2)
          if not ok then return end
          local data = answer(conn:read_exactly((">I2"):unpack(length)))
          conn:write((">s2"):pack(data))
        end
      end, "127.0.0.1", 0)
      port = select(2, server:address())
      local ok, opened = pcall(eddy.open_datagram, { local_addr = { "127.0.0.1", port } })
      socket = ok and opened
      if not ok then server:close() end
    until ok
    local cut = eddy.create_task(function()
      for data, host, from in socket:datagrams() do
        socket:send(data:sub(1, 2) .. "\x83\x80" .. data:sub(5), host, from)
      end
    end)
    later(function()
      cut:cancel()
      socket:close()
      server:close()
      server:abort_clients()
      server:wait_closed()
    end)
    local out = eddy.exec("dig", { "@127.0.0.1", "-p", port, "+short", "+noedns", "+tries=1", "+time=20", "four.test" })
    assert.equal("192.0.2.4\n", (out:gsub(";[^\n]*\n", "")))
  end)
end)
