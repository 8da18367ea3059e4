-- echo_throughput.lua - How many messages a second does a TCP server send back, over 1, 10 and 100 connections?
-- This is the server: it prints its port. lib/echoload.c starts it, sends, counts and prints the results; .cpu is the
-- server's processor time for one message, which moves less than the rate when the machine is shared.
local eddy = require "eddy"

local server <close> = eddy.start_server(function(conn)
  while true do
    local data = conn:read(65536)
    if not data then break end
    conn:write(data)
  end
end, "127.0.0.1", 0, { backlog = 512, nodelay = true })

local _, port = server:address()
io.stdout:write(port, "\n")
io.stdout:flush()
server:serve_forever()
