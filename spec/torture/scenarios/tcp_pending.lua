local stage = ...
local eddy = require "eddy"

-- TCP: what is under way when main ends: writes that wait, reads, an accept, a large write of a closed stream.
return function()
  local server = eddy.start_server(function(stream)
    stream:write(("x"):rep(1000000))
    eddy.sleep(1)
  end, "127.0.0.1", 0)
  local _, port = server:address()
  local stream = eddy.open_connection("127.0.0.1", port)
  if not stream:read(1) then error("not enough memory on the other side", 0) end
  eddy.create_task(function() stream:read("a") end)
  local other = eddy.open_connection("127.0.0.1", port)
  eddy.create_task(function() other:write(("y"):rep(1000000)) end)
  local closed = eddy.open_connection("127.0.0.1", port)
  closed:write("z")
  closed:close()
  eddy.create_task(function() eddy.select { stream, 5 } end)
  eddy.sleep(0)
  stage.check(true)
end
