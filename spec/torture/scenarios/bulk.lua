local stage = ...
local eddy = require "eddy"

-- TCP: as much as the sockets hold and more, both ways at once; half-close at both ends.
local DATA = stage.pattern(20000)

return stage.calm(function()
  stage.may_report "on a closed stream" -- of the one who writes, when the one who reads has failed
  local server <close> = eddy.start_server(stage.calm(function(stream)
    eddy.gather(
      stage.calm(function() stage.whole(DATA, stream:read_exactly(#DATA), "what the server got") end),
      stage.calm(function() stream:write(DATA:sub(1, 7000), DATA:sub(7001)):shutdown() end))
  end), "127.0.0.1", 0)
  local _, port = server:address()
  local stream <close> = eddy.open_connection("127.0.0.1", port)
  local both = eddy.gather(
    stage.calm(function() return stream:read_exactly(#DATA) end),
    stage.calm(function() stream:write(DATA):shutdown() end))
  stage.whole(DATA, both[1], "what the client got")
  stage.equal("", stream:read("a"), "the end")
  server:close()
end)
