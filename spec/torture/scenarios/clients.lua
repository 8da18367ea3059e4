local stage = ...
local eddy = require "eddy"

-- A server with several clients at a time, each of which gets its own bytes back.
return stage.calm(function()
  local server <close> = eddy.start_server(stage.calm(function(stream)
    for piece in stream:lines(100) do stream:write(piece) end
  end), "127.0.0.1", 0)
  local _, port = server:address()
  local function ask(i)
    local data = (i .. ","):rep(500)
    local stream <close> = eddy.open_connection("127.0.0.1", port)
    stream:write(data)
    stage.equal(data, stage.heard(stream:read_exactly(#data)), "the echo of client " .. i)
  end
  eddy.gather(eddy.async(ask)(1), eddy.async(ask)(2), eddy.async(ask)(3), eddy.async(ask)(4))
  server:close()
  server:wait_closed()
end)
