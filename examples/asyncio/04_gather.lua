-- script/run examples/asyncio/04_gather.lua: three dishes of 3, 1 and 2 s, ready together after 3 s, listed in order.
local eddy = require "eddy"

local function cook(dish, seconds)
  eddy.sleep(seconds)
  print(dish .. " ready")
  return dish
end

local function main()
  -- What gather wants is awaitable: tasks, as here, or functions that it calls itself. A result, such as
  -- gather(cook("rice", 3)) would give it, is an error that says so.
  local menu = eddy.gather(
    eddy.create_task(cook, "rice", 3),
    eddy.create_task(cook, "egg", 1),
    function() return cook("soup", 2) end)
  print("menu: " .. table.concat(menu, ", "))
end

eddy.run(main)
