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
  local function answer()
    for _ = 1, 10 do -- seconds of virtual time, which do not wait for the system
      local i, data = eddy.select { client, 1 }
      if i == 1 then return data end
      if echo:done() then echo:await() end   -- there was no memory for a datagram
    end
  end
  client:send "one"
  client:send("two", host, port)
  stage.equal("one", answer(), "the first answer", true)
  stage.equal("two", answer(), "the second answer", true)
  echo:cancel()
  eddy.wait { echo }
  server:close()
end
