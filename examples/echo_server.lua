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

eddy.run(main, tonumber(arg[1] or 0))
