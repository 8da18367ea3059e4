local stage = ...
local eddy = require "eddy"

-- Unix sockets: a file in a folder, formats that are read in pieces, an end that both know of.
local DATA = stage.pattern(3000)

return stage.calm(function()
  local path = stage.folder()
  local server <close> = eddy.start_unix_server(stage.calm(function(stream)
    stream:write("12 0x1F\n", "line\n", "until;", DATA)
    stream:shutdown()
    stage.whole("thanks", stream:read("a"), "the answer")
  end), path)
  do
    local stream <close> = eddy.open_unix_connection(path)
    stage.equal("12 0x1F", stage.heard(stream:read("l")), "a line")
    stage.equal("line\n", stage.heard(stream:read("L")), "a line with its end")
    stage.equal("until;", stream:read_until(";"), "up to a mark")
    stage.equal(DATA:sub(1, 2000), stream:read_exactly(2000), "a number of bytes")
    stage.whole(DATA:sub(2001), stream:read("a"), "the rest")
    stream:write("thanks"):shutdown()
  end
  server:close()
  server:wait_closed()
end)
