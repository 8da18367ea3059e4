-- EDDY_DEBUG=1 script/run examples/asyncio/24_debug_mode.lua: who keeps the others from running, and for how long. The
-- ticks stop for 0.2 s, and debug mode names the task, the line up to which it computed, and the time.
local eddy = require "eddy"

local function compute(seconds)   -- waits for nobody, so nobody else gets a turn
  local stop = os.clock() + seconds
  while os.clock() < stop do end
end

local function tick()
  for i = 1, 5 do
    print("tick", i)
    eddy.sleep(0.01)
  end
end

eddy.run(function()
  local ticking = eddy.create_task(tick)
  local busy = eddy.create_task(function()
    eddy.sleep(0.02)
    compute(0.2)
    eddy.sleep(0)
    print "busy is done"
  end):set_name("busy")
  eddy.gather(ticking, busy)
end)
