local stage = ...
local eddy = require "eddy"

-- TCP: a server that echoes, formats, half-close, a connection that is refused, a server that is closed.
return function()
  local server <close> = eddy.start_server(stage.calm(function(stream) -- main may leave without reading all
    for line in stream:lines("L") do stream:write(line, { "x", 1 }, "\n") end
  end), "127.0.0.1", 0)
  local _, port = server:address()
  do
    local stream <close> = eddy.open_connection("127.0.0.1", port)
    for i = 1, 2 do
      stream:write("hello ", i, "\n")
      local first, second = stream:read("l", "l")
      if not first then error("not enough memory on the other side", 0) end
      stage.check(first == "hello " .. i and second == "x1", "an echo")
    end
    stream:write(("z"):rep(9000), "\n")
    local z = stream:read_exactly(9001)
    stage.equal(9001, #z, "a long line")
    stream:read_until("\n")
    stream:shutdown()
    stage.equal("", stream:read("a"), "the end")
  end
  server:close()
  server:wait_closed()
  stage.raises(eddy.OSError, eddy.open_connection, "127.0.0.1", port)
end
