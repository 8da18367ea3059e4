local stage = ...
local eddy = require "eddy"

-- A file that goes out over a socket: all of it, a part, more than there is.
local DATA = stage.pattern(12000)

return stage.calm(function()
  local path = stage.folder()
  eddy.fs.write_file(path, DATA)
  local server <close> = eddy.start_server(stage.calm(function(stream)
    stream:write("<")
    stage.equal(12000, stream:send_file(path), "all")
    stage.equal(10, stream:send_file(path, 5, 10), "a part")
    stream:write(">")
    stage.equal(2000, stream:send_file(path, 10000, 5000), "as much as there is")
    stream:shutdown()
  end), "127.0.0.1", 0)
  local _, port = server:address()
  local stream <close> = eddy.open_connection("127.0.0.1", port)
  stage.whole("<" .. DATA .. DATA:sub(6, 15) .. ">" .. DATA:sub(10001), stream:read("a"), "what came")
  server:close()
end)
