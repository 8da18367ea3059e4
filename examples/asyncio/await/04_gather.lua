-- script/run examples/asyncio/await/04_gather.lua: dishes of 3, 1 and 2 s, ready together after 3 s, listed in order.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local cook = async(function(dish, seconds)
  await(eddy.sleep(seconds))
  print(dish .. " ready")
  return dish
end)

local main = async(function()
  local menu = await(eddy.gather(cook("rice", 3), cook("egg", 1), cook("soup", 2)))
  print("menu: " .. table.concat(menu, ", "))
end)

eddy.run(main())
