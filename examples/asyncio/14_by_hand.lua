-- script/run examples/asyncio/14_by_hand.lua: "A 1, B 1, C 1, D 1, A 2, …": four coroutines stepped without a loop.
local eddy = require "eddy"

-- Calling an async function makes a Coroutine object. A loop would drive it; here, send does.
local count = eddy.async(function(name, last)
  for i = 1, last do
    print(name .. " " .. i)
    eddy.await(eddy.sleep(0))        -- gives way: to the loop, or to whoever has called send
  end
  return name .. " has counted to " .. last
end)

local coroutines = { count("A", 2), count("B", 3), count("C", 1), count("D", 2) }

-- Round robin, the whole of it: a queue of those that have more to do.
while #coroutines > 0 do
  local coro = table.remove(coroutines, 1)
  local suspended, result = coro:send()
  if suspended then
    table.insert(coroutines, coro)
  else
    print(result)
  end
end
