-- How a loop asks for sockets: what comes is told once, so nothing may be forgotten, and nobody kept from his turn.
-- (All of spec/io runs a second time with EDDY_POLL=libuv in the environment, in which libuv asks.)

local eddy = require "eddy"

local command = os.getenv "EDDY" or "build/release/eddy"

-- Both ends of a connection, and what closes it.
local function connect()
  local arrived, gate = eddy.get_running_loop():create_future(), eddy.Event()
  local server = eddy.start_server(function(conn)
    arrived:set_result(conn)
    gate:wait()
  end, "127.0.0.1", 0)
  local near = eddy.open_connection(server:address())
  return near, arrived:await(), function()
    gate:set()
    near:abort()
    server:close()
    server:wait_closed()
  end
end

-- The same; it is closed when the test ends.
local function connected(finally)
  local near, far, close = connect()
  finally(close)
  return near, far
end

-- A connection over which a task sends back what comes. Calls f again and again after each answer, until it is true.
local function busy_until(f)
  local near, far, close = connect()
  local echo = eddy.create_task(function() for data in far:lines(10) do far:write(data) end end)
  repeat
    near:write "ping"
    assert.equal("ping", near:read(10))
  until f()
  near:close()
  echo:await()
  close()
end

describe("A task that reads from a socket", function()
  it("gives way now and then, however much is there", function()
    local near, far = connected(finally)
    local size, total, turns = 16 << 20, 0, 0
    local writing = eddy.create_task(function() far:write(("x"):rep(size)):close() end)
    local other = eddy.create_task(function()
      while total < size do
        turns = turns + 1
        eddy.sleep(0)
      end
    end)
    local most, row, turn = 0, 0, 0
    for data in near:lines(1 << 20) do
      total = total + #data
      if turn ~= turns then row, turn = 0, turns end
      row = row + 1
      most = math.max(most, row)
    end
    writing:await()
    other:await()
    assert.equal(size, total)
    assert.equal(8, most)      -- in a row
  end)

  it("is told of the end that came with the last bytes", function()
    local near, far = connected(finally)
    far:write "last":close()
    far:wait_closed()
    assert.equal("last", near:read(100))
    assert.is_nil(near:read(100))
    assert.is_true(near:at_eof())
  end)

  it("is told of an end while nobody reads", function()
    local near, far = connected(finally)
    local reading = eddy.create_task(near.read, near, 1)
    far:write "x"
    assert.equal("x", reading:await())
    far:close()
    while not near:at_eof() do eddy.sleep(0) end
    assert.is_nil(near:read(1))
  end)

  it("has read the last bytes: nobody need read to learn of the end that came with them", function()
    local near, far = connected(finally)
    far:write "x":close()
    far:wait_closed()
    assert.equal("x", near:read(1))
    local turns = 0
    while not near:at_eof() and turns < 1000 do
      eddy.sleep(0)
      turns = turns + 1
    end
    assert.is_true(near:at_eof())
  end)

  for turns = 1, 6 do
    it("and is cancelled " .. turns .. " turns after bytes have come has lost none", function()
      local near, far = connected(finally)
      local reading = eddy.create_task(near.read, near, 10)
      eddy.sleep(0)
      far:write "abc"
      for _ = 1, turns do eddy.sleep(0) end
      reading:cancel()
      local ok, text = pcall(reading.await, reading)
      if not ok then
        assert.equal(1, (eddy.select { near }))      -- it knows that there is something
        text = near:read(10)
      end
      assert.equal("abc", text)
      far:write "def"
      assert.equal("def", near:read(10))
    end)
  end

  it("gets what comes behind urgent data, at which the system stops", function()
    local arrived, sent = eddy.get_running_loop():create_future(), eddy.Event()
    local server <close> = eddy.start_server(function(conn)
      sent:wait()
      local text = ""
      for data in conn:lines(100) do
        text = text .. data
        if data:find "\n" then conn:write "got it" end
      end
      arrived:set_result(text)
    end, "127.0.0.1", 0)
    local peer <close> = eddy.create_subprocess_exec("perl", { "-MSocket", "-e", [[
      socket(S, PF_INET, SOCK_STREAM, 0) and connect(S, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die;
      send(S, "before", 0); send(S, "!", MSG_OOB); send(S, "after", 0); send(S, "?", MSG_OOB); send(S, "\n", 0);
      syswrite(STDOUT, "sent\n"); sysread(S, $answer, 100); print $answer, "\n"]], (select(2, server:address())) },
      { stdout = "pipe" })
    assert.equal("sent", peer.stdout:read())
    sent:set()
    assert.equal("got it", peer.stdout:read())
    assert.equal(0, peer:wait())
    local text = arrived:await():gsub("[!?]", "") -- where it stands is up to the system
    assert.equal("beforeafter\n", text)
  end)

  it("can be followed by one that wants all", function()
    local near, far = connected(finally)
    local reading = eddy.create_task(near.read, near, 10)
    eddy.sleep(0)
    far:write "abc"
    eddy.sleep(0)
    reading:cancel()
    local ok, text = pcall(reading.await, reading)
    local rest = eddy.create_task(near.read, near, "a")
    eddy.sleep(0)
    far:write(("d"):rep(300000)):close()
    assert.equal(300003, #rest:await() + (ok and #text or 0))
  end)
end)

describe("A loop whose sockets are busy all the time", function()
  it("sends what the system has not taken at once", function()
    local near, far = connected(finally)
    local size, total = 8 << 20, 0
    local writing = eddy.create_task(function() far:write(("x"):rep(size)):close() end)
    local reading = eddy.create_task(function()
      for data in near:lines(65536) do total = total + #data end
    end)
    busy_until(function() return reading:done() end)
    writing:await()
    reading:await()
    assert.equal(size, total)
  end)

  it("still hears of signals, processes and files", function()
    local signals <close> = eddy.signals "SIGUSR2"
    local heard = eddy.create_task(function() return signals() end)
    local ended = eddy.create_task(function()
      local pid = eddy.fs.read_file "/proc/self/stat":match "^%d+"
      return eddy.exec("sh", { "-c", "kill -USR2 " .. pid })
    end)
    busy_until(function() return heard:done() and ended:done() end)
    ended:await()
    assert.equal("SIGUSR2", heard:await())
  end)
end)

describe("A connection that was given up #plain", function()
  it("does not keep a loop from seeing that nothing can happen any more", function()
    local _, err = pcall(eddy.run, function()
      local near, _, close = connect()
      local reading = eddy.create_task(near.read, near)
      eddy.sleep(0)
      close()
      assert.is_nil(reading:await())
      eddy.get_running_loop():create_future():await()
    end)
    assert.is_true(eddy.is_error(err, eddy.DeadlockError), tostring(err))
  end)
end)

describe("A stream that nobody reads to its end #plain", function()
  -- Both ends in one loop; the other one and its server are gone when f has done.
  local function deadlock(f)
    local _, err = pcall(eddy.run, function()
      local came, over = eddy.get_running_loop():create_future(), eddy.Event()
      local server = eddy.start_server(function(conn)
        came:set_result(conn)
        over:wait()
      end, "127.0.0.1", 0)
      local near <close> = eddy.open_connection(server:address())
      f(near, came:await())
      over:set()
      server:close()
      server:wait_closed()
      eddy.get_running_loop():create_future():await()
    end)
    assert.is_true(eddy.is_error(err, eddy.DeadlockError), tostring(err))
  end

  it("does not keep a loop waiting when its end came with the last bytes", function()
    deadlock(function(near, far)
      far:write "x":close()
      far:wait_closed()
      assert.equal("x", near:read(1))
    end)
  end)

  it("does not keep a loop waiting when no more is taken from it", function()
    deadlock(function(near, far)
      far:set_write_buffer_limits(1 << 30)
      far:write(("x"):rep(8 << 20))
      assert.equal("x", near:read(1))
      for _ = 1, 10 do eddy.sleep(0) end
      far:abort()
    end)
  end)
end)

describe("A loop that is opened with few descriptors left", function()
  it("works, or says why not", function()
    local worked = 0
    for n = 8, 18 do      -- with less libuv aborts
      local process = eddy.create_subprocess_shell(("ulimit -n %d; exec '%s' -e '%s'"):format(n, command, [[
        local ok, err = pcall(eddy.run, function()
          eddy.sleep(0.001)
          local near, far = eddy.stream_pair()
          far:write "x":close()
          local text = near:read "a"
          near:close()
          return text
        end)
        print(ok, err)]]), { stdout = "pipe", stderr = "stdout" })
      local text = process.stdout:read "a"
      process:wait()
      if text:find "^true\tx" then
        worked = worked + 1
      else
        assert.matches("[Tt]oo many open files", text)
      end
    end
    assert.is_true(worked > 0, "it never works")
  end)
end)
