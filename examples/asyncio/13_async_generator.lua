-- script/run examples/asyncio/13_async_generator.lua: ticks as they come, one a second; leaving early cleans up (7 s).
local eddy = require "eddy"

-- Python's `async def` with a `yield` in it. The body gets its yield as the first argument.
local ticks = eddy.generator(function(yield, last)
  local _ <close> = setmetatable({}, { __close = function(_, err)
    eddy.sleep(0.5)                            -- cleaning up may wait, too
    print(err and "the clock is stopped" or "the clock has run down")
  end })
  for i = 1, last do
    eddy.sleep(1)
    yield(i, i % 2 == 1 and "tick" or "tock")
  end
end)

local function main()
  for i, sound in ticks(2) do                  -- Python's `async for`
    print(i, sound)
  end

  for i, sound in ticks(1000) do
    print(i, sound)
    if i == 2 then break end                   -- Python leaves the body where it is; here it is unwound
  end

  -- A plain coroutine may wait as well. (In the eddy command its functions are the global `coroutine`.)
  local coroutine = eddy.coroutine
  local countdown = coroutine.wrap(function()
    for i = 2, 1, -1 do
      eddy.sleep(1)
      coroutine.yield(i)
    end
    return "lift-off"
  end)
  print(countdown(), countdown(), countdown())
end

eddy.run(main)
