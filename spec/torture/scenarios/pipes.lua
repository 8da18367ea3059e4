local stage = ...
local eddy = require "eddy"

local LONG = ("x"):rep(200000) -- before memory fails: Lua's own buffers do not bear that

local calm = stage.calm
local COMM = io.open("/proc/self/comm"):read(4)

-- Pipes and Unix sockets: lines, a full pipe, a cancelled read and write, a server that is closed, send_file.
return calm(function()
  local reader, writer = eddy.pipe()
  local waiting = eddy.create_task(reader.read, reader)
  eddy.sleep(0)
  waiting:cancel()
  stage.raises(eddy.CancelledError, eddy.await, waiting)
  writer:write("one\n", "two")
  stage.equal("one", reader:read(), "a line")
  local full = eddy.create_task(writer.write, writer, LONG)
  eddy.sleep(0)
  full:cancel()
  stage.raises(eddy.CancelledError, eddy.await, full)
  stage.equal("two", reader:read_exactly(3), "what came before")
  reader:close()
  writer:abort()
  reader:wait_closed()
  writer:wait_closed()

  local name = "\0eddy-" .. stage.name()
  local server <close> = eddy.start_unix_server(calm(function(conn)
    for line in conn:lines() do conn:write(line:upper(), "\n") end
  end), name)
  do
    local conn <close> = eddy.open_unix_connection(name, { timeout = 5 })
    if conn:write("hello\n"):read() ~= "HELLO" then error("boom: not enough memory on the other side", 0) end
    stage.equal(name, conn:peername(), "the name", true)
    stage.equal(4, conn:send_file("/proc/self/comm", 0, 4), "a file")
    stage.raises(eddy.OSError, conn.send_file, conn, "/nowhere/at/all")
    conn:shutdown()
    if conn:read("a") ~= COMM:upper() .. "\n" then error("boom: not enough memory on the other side", 0) end
  end
  stage.raises(eddy.OSError, eddy.open_unix_connection, name .. "-nobody")
  stage.raises(eddy.OSError, eddy.start_unix_server, print, name)
  server:close()
end)
