-- script/run examples/asyncio/await/17_dates.lua: two clocks on one loop that is driven by hand, stopped after 5 s.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local display_date = async(function(number, every, loop)
  local start = loop:time()
  while true do
    print(("loop: %d  time: %.1f"):format(number, loop:time() - start))
    await(eddy.sleep(every))
  end
end)

local cancel = async(function(...)
  for _, task in ipairs { ... } do task:cancel() end
  await(eddy.wait { ... })
end)

-- eddy.run does all of this; asyncio's older programs do it themselves.
local loop = eddy.new_event_loop()
local first = loop:create_task(display_date(1, 1, loop))
local second = loop:create_task(display_date(2, 1.5, loop))

loop:call_later(5.25, loop.stop, loop)
loop:run_forever()

loop:run_until_complete(cancel(first, second))
loop:close()
print("stopped")
