-- script/run examples/asyncio/15_blocking.lua: what computes for 0.3 s stops the ticks when it is called directly; in a
-- thread it does not. With EDDY_DEBUG=1 a warning names the line up to which the first one computed.
local eddy = require "eddy"

local function compute(seconds)   -- waits for nobody, so nobody else gets a turn
  local stop = eddy.time() + seconds
  while eddy.time() < stop do end
  return "computed"
end

local function with_ticks(what, f)
  local ticks = 0
  local ticker = eddy.create_task(function()
    while true do
      eddy.sleep(0.02)
      ticks = ticks + 1
    end
  end)
  eddy.sleep(0)                   -- the ticker begins
  local result = f()
  ticker:cancel()
  print(("%s: %s, ticks meanwhile: %d"):format(what, result, ticks))
end

eddy.run(function()
  with_ticks("called directly", function() return compute(0.3) end)
  with_ticks("in a thread", function() return eddy.to_thread(compute, 0.3) end)   -- compute goes along as a copy
end)
