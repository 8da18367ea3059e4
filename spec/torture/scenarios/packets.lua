local stage = ...
local eddy = require "eddy"

-- Datagrams of all lengths: each whole and as it was sent, the empty one too.
local DATA = stage.pattern(2000)

return function()
  local one <close> = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }
  local host, port = one:sockname()
  local two <close> = eddy.open_datagram { remote_addr = { host, port } }
  for i = 0, 2000, 250 do
    two:send(DATA:sub(1, i))
    local data, from, from_port = one:recv()
    stage.equal(DATA:sub(1, i), data, "a datagram of " .. i)
    one:send(data:upper(), from, from_port)
    stage.equal(DATA:sub(1, i):upper(), (two:recv()), "the answer to it")
  end
end
