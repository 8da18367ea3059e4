local stage = ...
local eddy = require "eddy"

-- Connections that are cut: by the server at once, by the client under way, by an end before all is there.
return function()
  local server <close> = eddy.start_server(stage.calm(function(stream)
    local what = stream:read("l")
    if what == "cut" then
      stream:abort()
    elseif what == "half" then
      stream:write("12345"):shutdown()
    else
      stream:write(("x"):rep(100000))
    end
  end), "127.0.0.1", 0)
  stage.may_report "ECONNRESET"
  stage.may_report "EPIPE"
  local _, port = server:address()
  do
    local stream <close> = eddy.open_connection("127.0.0.1", port)
    stream:write("cut\n")
    local ok, got = pcall(stream.read, stream, "a")
    if not ok and not stage.is(got, "ECONNRESET") and not eddy.is_error(got, eddy.OSError) then error(got, 0) end
    if ok then stage.equal("", got, "what came of a connection that was cut") end
  end
  do
    local stream <close> = eddy.open_connection("127.0.0.1", port)
    stream:write("half\n")
    local err = stage.raises(eddy.IncompleteReadError, stream.read_exactly, stream, 10)
    if eddy.is_error(err, eddy.IncompleteReadError) then stage.equal("12345", err.partial, "the part", true) end
  end
  local stream <close> = eddy.open_connection("127.0.0.1", port)
  stream:write("much\n")
  stream:read(10)
  stream:abort()
  server:close()
end
