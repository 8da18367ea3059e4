local stage = ...
local eddy = require "eddy"

-- Reads that are cancelled while bytes come in: none of these is lost.
local DATA = stage.pattern(600)

return stage.calm(function()
  local server <close> = eddy.start_server(stage.calm(function(stream)
    for i = 1, #DATA, 100 do
      stream:write(DATA:sub(i, i + 99))
      stream:drain()
      eddy.sleep(0)
    end
    stream:shutdown()
  end), "127.0.0.1", 0)
  local _, port = server:address()
  local stream <close> = eddy.open_connection("127.0.0.1", port)
  local got = {}
  stage.may_report "then the end" -- of a read that nobody waits for any more
  for _ = 1, 5 do
    local reading = eddy.create_task(stream.read_exactly, stream, 90)
    eddy.sleep(0)
    reading:cancel()
    eddy.wait { reading }
    if not reading:cancelled() then got[#got + 1] = reading:await() end
  end
  got[#got + 1] = stage.heard(stream:read("a"))
  stage.whole(DATA, table.concat(got), "what came")
  server:close()
end)
