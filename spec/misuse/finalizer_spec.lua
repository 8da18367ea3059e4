-- A finalizer that a script calls by hand, found with Lua's debug library, while a task waits for the object: the wait
-- ends with an error, and nothing reads memory that is gone.

local eddy = require "eddy"
local support = require "spec.command.support"

require("eddy.busted").timeout = 5

local function tcp_server()
  return eddy.start_server(function(conn) conn:read() end, "127.0.0.1", 0)
end

local function end_server(server)
  server:close()
  server:abort_clients()
  server:wait_closed()
end

local function fill(stream)
  stream:set_write_buffer_limits(1, 0)
  while true do stream:write(("x"):rep(1 << 16)) end
end

-- Makes an object; returns it, what waits for it, and what ends the rest.
local WAITS = {
  ["signals:next"] = function()
    local signals = eddy.signals "SIGUSR2"
    return signals, signals.next
  end,
  ["select of signals"] = function()
    return (eddy.signals "SIGUSR2"), function(object) return eddy.select { object } end
  end,
  ["process:wait"] = function()
    local process = eddy.create_subprocess_exec("sleep", { 0.05 })   -- the end of the child ends the wait
    return process, process.wait
  end,
  ["datagram:recv"] = function()
    local socket = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }
    return socket, socket.recv
  end,
  ["select of a datagram socket"] = function()
    return eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }, function(object) return eddy.select { object } end
  end,
  ["pipe:read"] = function()
    local reader, writer = eddy.pipe()
    return reader, reader.read, function() writer:abort() end
  end,
  ["select of a pipe"] = function()
    local reader, writer = eddy.pipe()
    return reader, function(object) return eddy.select { object } end, function() writer:abort() end
  end,
  ["pipe:write"] = function()
    local reader, writer = eddy.pipe()
    return writer, fill, function() reader:abort() end
  end,
  ["pipe:wait_closed"] = function()
    local reader, writer = eddy.pipe()
    return reader, reader.wait_closed, function() writer:abort() end
  end,
  ["stream_pair:read"] = function()
    local near, far = eddy.stream_pair()
    return near, near.read, function() far:abort() end
  end,
  ["tcp:read_exactly"] = function()
    local server = tcp_server()
    local conn = eddy.open_connection(server:address())
    return conn, function(object) return object:read_exactly(3) end, function() end_server(server) end
  end,
  ["tcp:send_file"] = function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write(("x"):rep(8 << 20))
    file:flush()
    local server = eddy.start_server(function() eddy.sleep(1000) end, "127.0.0.1", 0)
    local conn = eddy.open_connection(server:address())
    return conn, function(object) return object:send_file(path) end, function()
      os.remove(path)
      server:close()
      for _, task in ipairs(eddy.all_tasks()) do
        if task ~= eddy.current_task() and tostring(task):find("waiting in sleep", 1, true) then task:cancel() end
      end
      server:wait_closed()
    end
  end,
  ["fs.watch"] = function()
    local dir = eddy.fs.mkdtemp "/tmp/eddy-finalizer-XXXXXX"
    local watch = eddy.fs.watch(dir)
    return watch, function(object) return object() end, function() eddy.fs.rmdir(dir) end
  end,
}

local selects = { ["select of a pipe"] = true }   -- it answers which one; reading is another call

local function settle()
  while #eddy._handles() > 0 do eddy.sleep(0.002) end
end

for name, make in pairs(WAITS) do
  describe(("A task that waits in %s, when the finalizer is called by hand,"):format(name), function()
    local function try(after)
      warn "@off"
      local object, wait, finish = make()
      local task = eddy.create_task(eddy.pcall, wait, object)
      eddy.sleep(0)
      eddy.sleep(0.005)
      assert.is_false(task:done())
      debug.getmetatable(object).__gc(object)
      after(task)
      local ok, err = pcall(eddy.wait_for, task, 2)
      warn "@on"
      if ok then ok, err = task:result() end
      if finish then finish() end
      settle()
      return task, ok, err
    end

    it("goes on with an error", function()
      local _, ok, err = try(function() end)
      assert.equal(selects[name] or false, ok, tostring(err))
      assert.is_false(eddy.is_error(err, eddy.TimeoutError))
      if not ok then assert.matches("collected", tostring(err)) end
    end)

    it("can be cancelled at the same time", function()
      local task = try(function(task) task:cancel() end)
      assert.is_true(task:done())
    end)
  end)
end

-- The box of the call that the task waits for: on the stack of one of its C functions.
local function find_call(coro)
  for level = 0, 9 do
    for i = 1, debug.getinfo(coro, level) and 200 or 0 do
      local name, value = debug.getlocal(coro, level, i)
      if not name then break end
      local meta = type(value) == "userdata" and debug.getmetatable(value)
      if meta and meta.__name == "eddy.call" then return value end
    end
  end
end

local PAUSE = "sleep 0.2"

local THREADS = {
  ["to_thread"] = function()
    return function() return eddy.to_thread(os.execute, PAUSE) end, find_call
  end,
  ["to_thread in a full queue"] = function()
    local pool = eddy.ThreadPool { workers = 1, queue = 1 }
    for _ = 1, 2 do pool:submit(os.execute, PAUSE):add_done_callback(function(t) t:exception() end) end
    return function() return eddy.run_in_executor(pool, os.execute, PAUSE) end, find_call, function() pool:close() end
  end,
  ["submit, for room"] = function()
    local pool = eddy.ThreadPool { workers = 1, queue = 1 }
    local tasks = { pool:submit(os.execute, PAUSE), (pool:submit(os.execute, PAUSE)) }
    return function() return pool:submit(os.execute, PAUSE) end, function() return pool end,
      function() eddy.wait(tasks) end
  end,
  ["close of a ThreadPool"] = function()
    local pool = eddy.ThreadPool { workers = 1 }
    local tasks = { (pool:submit(os.execute, PAUSE)) }
    return function() return pool:close() end, function() return pool end, function() eddy.wait(tasks) end
  end,
}

for name, make in pairs(THREADS) do
  for _, cancels in ipairs { false, true } do
    it(("A task that waits in %s ends when the finalizer is called by hand%s"):format(name,
      cancels and ", and it is cancelled" or ""), function()
      warn "@off"
      local wait, find, finish = make()
      local coro
      local task = eddy.create_task(function()
        coro = coroutine.running()
        return eddy.pcall(wait)
      end)
      eddy.sleep(0.02)
      assert.is_false(task:done())
      do
        local object = find(coro)
        debug.getmetatable(object).__gc(object)
      end
      if cancels then task:cancel() end
      eddy.wait({ task }, { timeout = 2 })
      assert.is_true(task:done())
      if not cancels then assert.matches("finalized by hand", tostring(select(2, task:result()))) end
      if finish then finish() end
      warn "@on"
    end)
  end
end

describe("A finalizer called by hand", function()
  it("in the handler of a server leaves the server as it is", function()
    warn "@off"
    local server
    server = eddy.start_server(function(conn)
      assert(conn:read(1))
      debug.getmetatable(conn).__gc(conn)
      eddy.sleep(0.01)
      server:close_clients()
    end, "127.0.0.1", 0)
    for _ = 1, 2 do
      local conn <close> = eddy.open_connection(server:address())
      conn:write "x"
      assert.is_nil(conn:read())
    end
    warn "@on"
    server:close()
    server:wait_closed()
  end)

  it("closes a server: who waits for that goes on", function()
    warn "@off"
    local gate = eddy.Event()
    local server = eddy.start_server(function() gate:wait() end, "127.0.0.1", 0)
    local conn = eddy.open_connection(server:address())
    local forever, closed = eddy.create_task(server.serve_forever, server), eddy.create_task(server.wait_closed, server)
    eddy.sleep(0.005)
    debug.getmetatable(server).__gc(server)
    debug.getmetatable(server).__gc(server)
    warn "@on"
    assert.is_false(server:is_serving())
    eddy.wait_for(forever, 2)
    eddy.sleep(0.005)
    assert.is_false(closed:done())   -- a connection is there still
    gate:set()
    eddy.wait_for(closed, 2)
    conn:close()
    settle()
  end)

  it("of a stream may come after a script has closed the coroutine that was sending a file there", function()
    warn "@off"
    local path, gate = os.tmpname(), eddy.Event()
    finally(function() os.remove(path) end)
    eddy.fs.write_file(path, ("x"):rep(8 << 20))
    local server = eddy.start_server(function() gate:wait() end, "127.0.0.1", 0)
    local conn = eddy.open_connection(server:address())
    local co = eddy.coroutine.create(function() return conn:send_file(path) end)
    local task = eddy.create_task(function() return eddy.coroutine.resume(co) end)
    eddy.sleep(0.02)
    assert.matches("waiting in send_file", tostring(task))
    assert.is_true(coroutine.close(co))   -- Lua's own
    debug.getmetatable(conn).__gc(conn)
    co = nil
    while #eddy._handles() > 2 do eddy.sleep(0.001) end   -- the server and the connection's other end
    collectgarbage()
    collectgarbage()
    warn "@on"
    gate:set()
    eddy.wait { task }
    server:close()
    server:wait_closed()
    settle()
  end)

  it("of a FIFO's file does nothing while tasks read it", function()
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    local file = eddy.open(path, "r+")
    local writer = assert(io.open(path, "w"))
    os.remove(path)
    local first, second = eddy.create_task(file.read, file, 3), eddy.create_task(file.read, file, 3)
    eddy.sleep(0.005)
    debug.getmetatable(file).__gc(file)
    writer:write "abc"
    writer:flush()
    assert.equal("abc", eddy.wait_for(first, 2))
    debug.getmetatable(file).__gc(file)
    writer:write "def"
    writer:close()
    assert.equal("def", eddy.wait_for(second, 2))
    file:close()
  end)

  it("of a file, in a finalizer that runs while the text of a read is made, closes it", function()
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    eddy.fs.write_file(path, ("x"):rep(100000))
    local file, mode = eddy.open(path), collectgarbage "generational"
    local gc, read = debug.getmetatable(file).__gc, file.read
    assert.equal("x", file:read(1))   -- the rest is read ahead
    collectgarbage()
    collectgarbage "stop"
    warn "@off"
    setmetatable({}, { __gc = function() gc(file) end })
    collectgarbage "restart"
    local data = read(file, 5000)
    collectgarbage(mode)
    warn "@on"
    assert.equal(("x"):rep(5000), data)
    assert.error_matches(function() file:read(1) end, "'read' on a closed file")
    assert.same({}, eddy._handles())
  end)

  it("of standard output leaves print as it is", function()
    local out = support.sh([["$EDDY" -e 'print "before" eddy.stdout:write("queued\n")
      debug.getmetatable(eddy.stdout).__gc(eddy.stdout) print "after" io.write("end\n")' 2>/dev/null; echo $?]])
    assert.equal("before\nqueued\n0\n", out)   -- it was closed: what comes after goes nowhere
  end)
end)
