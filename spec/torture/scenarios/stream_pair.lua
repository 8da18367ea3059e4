local stage = ...
local eddy = require "eddy"

local calm = stage.calm

-- stream_pair: lines both ways, in pieces and with delays; half-close, back-pressure, a cancelled read and write, an
-- abort, a reset; a scope; select.
return calm(function()
  local near, far = eddy.stream_pair { seed = 3, chunk = 7, delay = { 0, 0.001 }, buffer = 64, high_water = 32 }
  local _ <close> = near
  local echo = eddy.create_task(calm(function()
    local _ <close> = far -- also when memory fails: else the other end would wait for ever
    for line in far:lines("L") do far:write("echo ", line) end
  end))
  local reader = stage.start(near.read, near)
  reader:cancel()
  stage.raises(eddy.CancelledError, eddy.await, reader)
  near:write("one\n", { "two\n", 3 }, "\n")
  stage.equal("echo one", near:read(), "the first line", true)
  stage.equal(1, (eddy.select { near, 10 }), "readable")
  stage.equal("echo two\n", near:read_until("\n"), "the second", true)
  near:shutdown()
  stage.equal("echo 3\n", near:read("a"), "the rest", true)
  echo:await()

  local a, b = eddy.stream_pair { buffer = 10, high_water = 0 }
  local writer = stage.start(a.write, a, ("x"):rep(1000))
  writer:cancel()
  stage.raises(eddy.CancelledError, eddy.await, writer)
  stage.equal(500, #b:read_exactly(500), "what was queued is sent")
  a:abort()
  a:wait_closed()
  b:close()
  b:wait_closed()

  local c, d = eddy.stream_pair { reset_after = 4 }
  c:write("12345678")
  stage.raises(eddy.OSError, d.read, d, "a")
  c:close()
  d:close()
end)
