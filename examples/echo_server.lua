-- script/run examples/echo_server.lua [PORT]: sends back every line; try it with: nc 127.0.0.1 PORT. Ctrl-C ends it.
local eddy = require "eddy"

local function serve_client(conn)               -- runs in a task of its own; conn is closed after it
  local host, port = conn:peername()
  print(("%s:%d has come"):format(host, port))
  for line in conn:lines("L") do
    conn:write(line)                            -- waits when the client does not read
  end
  print(("%s:%d has left"):format(host, port))
end

local function main(port)
  local server <close> = eddy.start_server(serve_client, "127.0.0.1", port)
  print("listening on", server:address())
  server:serve_forever()
end

local port = math.tointeger(tonumber(arg[1] or 0))
if not port then
  io.stderr:write("usage: echo_server.lua [PORT]\n")
  os.exit(2)
end
local ok, err = pcall(eddy.run, main, port)
if not ok and not eddy.is_error(err, eddy.OSError) then error(err, 0) end
if not ok then                                     -- the port is taken, say
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
