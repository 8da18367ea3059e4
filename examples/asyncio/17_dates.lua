-- script/run examples/asyncio/17_dates.lua: two clocks on one loop that is driven by hand, stopped after 5 s.
local eddy = require "eddy"

local function display_date(number, every, loop)
  local start = loop:time()
  while true do
    print(("loop: %d  time: %.1f"):format(number, loop:time() - start))
    eddy.sleep(every)
  end
end

-- eddy.run does all of this; asyncio's older programs do it themselves.
local loop = eddy.new_event_loop()
local first = loop:create_task(display_date, 1, 1, loop)
local second = loop:create_task(display_date, 2, 1.5, loop)

loop:call_later(5.25, loop.stop, loop)
loop:run_forever()

first:cancel()
second:cancel()
loop:run_until_complete(function() eddy.wait { first, second } end)
loop:close()
print("stopped")
