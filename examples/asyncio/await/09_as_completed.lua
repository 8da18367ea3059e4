-- script/run examples/asyncio/await/09_as_completed.lua: results as they come, the fastest first, an error among them.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local fetch = async(function(name, seconds)
  await(eddy.sleep(seconds))
  if name == "broken" then error("no answer from " .. name, 0) end
  return name .. " after " .. seconds .. " s"
end)

-- Running out of time raises from the loop, and cancels nothing.
local show = async(function(tasks, seconds)
  for task in eddy.as_completed(tasks, { timeout = seconds }) do      -- Python's `async for`
    print(await(task))
  end
end)

local main = async(function()
  for task in eddy.as_completed { fetch("slow", 2), fetch("broken", 1.5), fetch("fast", 1) } do
    local ok, result = pcall(await, task)
    print(ok and "got" or "failed", result)
  end

  local late = eddy.create_task(fetch("late", 2))
  print(pcall(await, show({ late }, 1)))
  print("still comes:", await(late))
end)

eddy.run(main())
