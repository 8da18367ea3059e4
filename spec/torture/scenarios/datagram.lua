local stage = ...
local eddy = require "eddy"

-- Datagrams: two sockets, one connected; a refusal; names.
return function()
  local server <close> = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }
  local host, port = server:sockname()
  local client <close> = eddy.open_datagram { remote_addr = { "localhost", port }, family = "inet" }
  local echo = eddy.create_task(function()
    for data, from, from_port in server:datagrams() do server:send(data, from, from_port) end
  end)
  client:send "one"
  client:send("two", host, port)
  stage.equal("one", (client:recv()), "the first answer")
  local i, data = eddy.select { client }
  stage.equal("1 two", i .. " " .. data, "the second answer")
  echo:cancel()
  eddy.wait { echo }
  server:close()
end
