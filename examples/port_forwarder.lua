-- script/run examples/port_forwarder.lua PORT HOST PORT: who connects to the first talks to the second. Ctrl-C ends it.
local eddy = require "eddy"

local function copy(from, to)                      -- until the end, which it passes on
  for bytes in function() return from:read(65536) end do to:write(bytes) end
  to:shutdown()                                    -- half-close: the other direction goes on
end

local function forward(client, host, port)
  local server <close> = eddy.open_connection(host, port, { timeout = 10 })
  print(("%s -> %s:%d"):format(client:peername(), server:peername()))
  local group <close> = eddy.TaskGroup()           -- if one direction fails the other ends as well
  group:create_task(copy, client, server)
  group:create_task(copy, server, client)
end

local function main(own_port, host, port)
  local server <close> = eddy.start_server(function(client)
    local ok, err = eddy.pcall(forward, client, host, port)
    if not ok then print(("%s: %s"):format(client:peername(), err)) end   -- the others go on
  end, "127.0.0.1", own_port)
  print("listening on", server:address())
  server:serve_forever()
end

local own_port, host, port = math.tointeger(tonumber(arg[1])), arg[2], math.tointeger(tonumber(arg[3]))
if not own_port or not port then
  io.stderr:write("usage: port_forwarder.lua PORT HOST PORT\n")
  os.exit(2)
end
local ok, err = pcall(eddy.run, main, own_port, host, port)
if not ok and not eddy.is_error(err, eddy.OSError) then error(err, 0) end
if not ok then                                     -- the port is taken, say
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
