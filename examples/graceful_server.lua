-- script/run examples/graceful_server.lua [PORT]: an echo server that SIGTERM or Ctrl-C stops gently: nobody new is let
-- in, whoever is in has five seconds to finish. Try it with: nc 127.0.0.1 PORT, and kill -TERM the process meanwhile.
local eddy = require "eddy"

local GRACE = 5 -- seconds

local function serve_client(conn)
  for line in conn:lines("L") do conn:write(line) end
end

local function main(port)
  local server = eddy.start_server(serve_client, "127.0.0.1", port)
  local signals <close> = eddy.signals("SIGTERM", "SIGINT")
  print("listening on", server:address())
  io.stdout:flush()
  print(signals() .. ": stopping")                       -- waits for the first of them
  server:close()                                         -- the port is free from here on
  if not eddy.move_on_after(GRACE, server.wait_closed, server) then
    print("some did not finish")
    server:abort_clients()
    server:wait_closed()
  end
  print("stopped")
end

local port = math.tointeger(tonumber(arg[1] or 0))
if not port then
  io.stderr:write("usage: graceful_server.lua [PORT]\n")
  os.exit(2)
end
local ok, err = pcall(eddy.run, main, port)
if not ok and not eddy.is_error(err, eddy.OSError) then error(err, 0) end
if not ok then                                     -- the port is taken, say
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
