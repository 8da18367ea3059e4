-- Unix sockets: names, files, servers; with socat and nc as peers. What all streams share is in
-- stream_conformance_spec.lua.

local eddy = require "eddy"
local ending = require "spec.support.ending"
local files = require "spec.support.files"

local function at_end(f) ending(finally, f) end

-- A folder that goes with the test.
local function folder() return files.folder(finally) end

-- A server that is closed with the test.
local function server(path, f, options)
  local s = eddy.start_unix_server(f or function(conn) conn:read("a") end, path, options)
  at_end(function()
    s:close()
    s:abort_clients()
    s:wait_closed()
  end)
  return s
end

local function echo(conn)
  for line in conn:lines("L") do conn:write(line) end
end

local function connect(path, options)
  local conn = eddy.open_unix_connection(path, options)
  at_end(function()
    conn:abort()
    conn:wait_closed()
  end)
  return conn
end

local function os_error(code, syscall, path, ok, err)
  assert.is_false(ok, "it returned")
  assert.is_true(eddy.is_error(err, eddy.OSError), tostring(err))
  assert.same({ code, syscall, path }, { err.code, err.syscall, err.path })
end

-- A socket's file at which nobody listens.
local function stale(path)
  local s = eddy.start_unix_server(print, path)
  os.rename(path, path .. ".moved")
  s:close()
  s:wait_closed()
  os.rename(path .. ".moved", path)
  assert.equal("socket", eddy.fs.stat(path).type)
end

describe("eddy.open_unix_connection", function()
  it("connects to a server at a path", function()
    local path = folder() .. "/socket"
    server(path, echo)
    local conn = connect(path)
    assert.equal("hello", conn:write("hello\n"):read())
  end)

  it("knows both names, also after the close", function()
    local path, seen = folder() .. "/socket", nil
    server(path, function(conn) seen = { conn:sockname(), conn:peername() } end)
    local conn = eddy.open_unix_connection(path)
    conn:read("a")
    conn:close()
    conn:wait_closed()
    assert.equal(path, conn:peername())
    assert.is_nil(conn:sockname())
    assert.same({ path }, seen)
    assert.equal(("<Unix connection ? -> %s, closed>"):format(path), tostring(conn))
  end)

  it("connects to abstract names, which may hold any bytes", function()
    for _, name in ipairs { "\0eddy-spec-" .. eddy.time(), "\0" .. ("z\0\n"):rep(30) } do
      local s = server(name, echo)
      assert.equal("x", connect(name):write("x\n"):read())
      assert.equal(name, s:address())
      assert.equal(name, connect(name):peername())
    end
  end)

  it("raises what the system says", function()
    local path = folder() .. "/socket"
    os_error("ENOENT", "connect", path, pcall(eddy.open_unix_connection, path))
    eddy.fs.write_file(path, "a file")
    os_error("ECONNREFUSED", "connect", path, pcall(eddy.open_unix_connection, path))
    os_error("ECONNREFUSED", "connect", "@eddy-nobody", pcall(eddy.open_unix_connection, "\0eddy-nobody"))
  end)

  it("waits for room in a full backlog, or for its timeout", function()
    local path, seen = folder() .. "/socket", 0
    local gate = eddy.Event()
    local s = server(path, function()
      seen = seen + 1
      gate:wait()
    end, { backlog = 1, max_connections = 1 })
    for _ = 1, 3 do connect(path, { timeout = 1 }) end
    local _, err = pcall(eddy.open_unix_connection, path, { timeout = 0.02 })
    assert.is_true(eddy.is_error(err, eddy.TimeoutError), tostring(err))
    local task = eddy.create_task(eddy.open_unix_connection, path)
    local cancelled = eddy.create_task(eddy.open_unix_connection, path)
    eddy.sleep(0.01)
    assert.is_false(task:done())
    cancelled:cancel()
    assert.error(function() cancelled:await() end)
    gate:set()
    local conn = task:await()
    assert.is_nil(conn:read())
    conn:close()
    assert.is_true(seen >= 4)
    s:close()
  end)

  it("refuses names that a socket cannot have", function()
    local longest = 107
    for name, text in pairs {
      [""] = "the path is empty", ["\0"] = "the abstract name is empty", ["/tmp/a\0b"] = "zero byte",
      ["/" .. ("x"):rep(longest)] = "the path has 108 bytes; the longest that a socket can have is 107",
      ["\0" .. ("x"):rep(longest + 1)] = "109 bytes; the longest that a socket can have is 108",
    } do
      for function_name, call in pairs {
        open_unix_connection = function() eddy.open_unix_connection(name) end,
        start_unix_server = function() eddy.start_unix_server(print, name) end,
      } do
        local _, err = pcall(call)
        assert.truthy(err:find(text, 1, true), err)
        assert.truthy(err:find("to '" .. function_name .. "'", 1, true), err)
      end
    end
    local path = folder() .. "/"
    path = path .. ("x"):rep(longest - #path)
    server(path, echo)
    assert.equal(path, connect(path):peername())
  end)

  it("checks its arguments", function()
    assert.error_matches(function() eddy.open_unix_connection() end, "bad argument #1 to 'open_unix_connection'")
    assert.error_matches(function() eddy.open_unix_connection(5) end, "string expected, got number")
    assert.error_matches(function() eddy.open_unix_connection("/x", { port = 1 }) end, "unknown option 'port'")
    assert.error_matches(function() eddy.open_unix_connection("/x", { timeout = "1" }) end, "timeout")
    assert.error_matches(function() eddy.start_unix_server("/x") end, "bad argument #1 to 'start_unix_server'")
    assert.error_matches(function() eddy.start_unix_server(print) end, "bad argument #2 to 'start_unix_server'")
    assert.error_matches(function() eddy.start_unix_server(print, "/x", { mode = 512 }) end, "mode")
    assert.error_matches(function() eddy.start_unix_server(print, "/x", { nodelay = true }) end, "unknown option")
  end)
end)

describe("eddy.start_unix_server", function()
  it("has the methods of every server", function()
    local path = folder() .. "/socket"
    local s = server(path, echo)
    assert.is_true(s:is_serving())
    assert.equal(path, s:address())
    local socket = s:sockets()[1]
    assert.same({ "unix", path, "number" }, { socket.family, socket.address, type(socket.fd) })
    assert.equal(("<Server %s, 0 connections>"):format(path), tostring(s))
    local conn = connect(path)
    conn:write("x\n"):read()
    s:close()
    assert.is_false(s:is_serving())
    assert.equal(path, s:address())
    assert.same({}, s:sockets())
    assert.equal("y", conn:write("y\n"):read())
    s:close_clients()
    assert.is_nil(conn:read())
    s:wait_closed()
  end)

  it("serves until it is cancelled, and the file goes", function()
    local path = folder() .. "/socket"
    local s = server(path, echo)
    local task = eddy.create_task(s.serve_forever, s)
    eddy.sleep(0)
    task:cancel()
    assert.error(function() task:await() end)
    assert.is_false(eddy.fs.exists(path))
  end)

  it("removes its file when it is closed, by the end of the run too #plain", function()
    local path = os.tmpname()
    os.remove(path)
    eddy.run(function()
      local s <close> = eddy.start_unix_server(print, path)
      assert.is_true(eddy.fs.exists(path))
      assert.is_true(s:is_serving())
    end)
    assert.is_nil(io.open(path))
    local warned
    eddy.run(function()
      warned = eddy.start_unix_server(print, path)
      warned = eddy.fs.exists(path)
    end)
    assert.is_true(warned)
    assert.is_nil(io.open(path))
  end)

  it("leaves a file alone that is not its own any more", function()
    local path = folder() .. "/socket"
    local first = server(path, echo)
    eddy.fs.remove(path)
    local second = server(path, function(conn) conn:write("second") end)
    first:close()
    first:wait_closed()
    assert.equal("second", connect(path):read("a"))
    second:close()
    assert.is_false(eddy.fs.exists(path))

    local third = server(path, echo)
    eddy.fs.remove(path)
    eddy.fs.write_file(path, "precious")
    third:close()
    third:wait_closed()
    assert.equal("precious", eddy.fs.read_file(path))
  end)

  it("replaces the file of a socket at which nobody listens", function()
    local path = folder() .. "/socket"
    stale(path)
    server(path, echo)
    assert.equal("x", connect(path):write("x\n"):read())
  end)

  it("raises EADDRINUSE for a server that lives, and for any other file", function()
    local path = folder() .. "/socket"
    local s = server(path, echo)
    os_error("EADDRINUSE", "bind", path, pcall(eddy.start_unix_server, echo, path))
    assert.equal("x", connect(path):write("x\n"):read())
    s:close()
    for _, make in ipairs {
      function() eddy.fs.write_file(path, "precious") end,
      function() eddy.fs.mkdir(path) end,
      function() os.execute("ln -s /nowhere " .. path) end,
    } do
      make()
      local before = eddy.fs.lstat(path).ino
      os_error("EADDRINUSE", "bind", path, pcall(eddy.start_unix_server, echo, path))
      assert.equal(before, eddy.fs.lstat(path).ino)
      eddy.fs.remove(path)
    end
    local name = "\0eddy-taken-" .. eddy.time()
    server(name)
    os_error("EADDRINUSE", "bind", "@" .. name:sub(2), pcall(eddy.start_unix_server, echo, name))
  end)

  it("raises what the system says", function()
    local path = folder() .. "/no/socket"
    os_error("ENOENT", "bind", path, pcall(eddy.start_unix_server, echo, path))
  end)

  it("gives the file the mode that is asked for", function()
    local path = folder() .. "/socket"
    server(path, echo, { mode = 384 })
    assert.equal(384, eddy.fs.stat(path).mode & 511)
  end)

  it("serves more than one at once", function()
    local path = folder() .. "/socket"
    server(path, echo)
    local results = eddy.map(function(i)
      local conn <close> = eddy.open_unix_connection(path)
      return conn:write(i, "\n"):read("n")
    end, { 1, 2, 3, 4, 5, 6, 7, 8 })
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, { table.unpack(results) })
  end)
end)

describe("other programs", function()
  -- Runs a command while the loop goes on; returns what it writes.
  local function run(command)
    local out = os.tmpname()
    at_end(function() os.remove(out) end)
    os.execute(("(timeout 10 %s; echo done) >%s 2>&1 &"):format(command, out))
    local text
    repeat
      eddy.sleep(0.01)
      text = eddy.fs.read_file(out)
    until text:match("done\n$")
    return (text:gsub("done\n$", ""))
  end

  it("connect to our server: socat and nc", function()
    local path = folder() .. "/socket"
    server(path, function(conn) conn:write(conn:read():upper(), "\n") end)
    assert.equal("HELLO\n", run(("sh -c 'echo hello | socat - UNIX-CONNECT:%s'"):format(path)))
    assert.equal("HELLO\n", run(("sh -c 'echo hello | nc -U %s'"):format(path)))
  end)

  it("connect to our abstract name: socat", function()
    local name = ("eddy-socat-%.9f"):format(eddy.time())
    server("\0" .. name, echo)
    assert.equal("hello\n", run(("sh -c 'echo hello | socat - ABSTRACT-CONNECT:%s'"):format(name)))
  end)

  it("accept our connection: socat", function()
    local path = folder() .. "/socket"
    local task = eddy.create_task(run, ("socat UNIX-LISTEN:%s EXEC:rev"):format(path))
    while not eddy.fs.exists(path) do eddy.sleep(0.01) end
    local conn = connect(path)
    conn:write("abc\n"):shutdown()
    assert.equal("cba", conn:read())
    assert.is_nil(conn:read())
    task:await()
  end)
end)
