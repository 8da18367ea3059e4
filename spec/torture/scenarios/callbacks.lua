local stage = ...
local eddy = require "eddy"

-- call_soon, call_later, call_at, done callbacks, handles that are cancelled, a callback that fails.
return function()
  local loop = eddy.get_running_loop()
  local n = 0
  local function count(...) n = n + select("#", ...) end
  local future = loop:create_future()
  for _ = 1, 20 do future:add_done_callback(count) end
  loop:call_soon(count, 1, nil)
  loop:call_later(0.001, count, 1)
  loop:call_at(loop:time() + 0.002, count, 1, 2)
  local handles = {}
  for i = 1, 20 do handles[i] = loop:call_later(1 + i, count, 1) end
  for i = 1, 20 do handles[i]:cancel() end
  loop:call_soon(function() error("boom") end)
  future:set_result("done")
  eddy.sleep(0.003)
  stage.equal("done", future:await(), "its result")
  stage.equal(25, n, "arguments of all callbacks", true)
  local removed = loop:create_future()
  removed:add_done_callback(count)
  removed:remove_done_callback(count)
  removed:cancel()
  eddy.sleep(0)
  stage.check(removed:cancelled(), "cancelled")
  stage.equal(25, n, "and no more", true)
end
