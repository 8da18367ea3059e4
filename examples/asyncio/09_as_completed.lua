-- script/run examples/asyncio/09_as_completed.lua: results as they come, the fastest first, an error among them.
local eddy = require "eddy"

local function fetch(name, seconds)
  eddy.sleep(seconds)
  if name == "broken" then error("no answer from " .. name, 0) end
  return name .. " after " .. seconds .. " s"
end

local function main()
  local tasks = {
    eddy.create_task(fetch, "slow", 2),
    eddy.create_task(fetch, "broken", 1.5),
    eddy.create_task(fetch, "fast", 1),
  }
  for task in eddy.as_completed(tasks) do
    local ok, result = pcall(eddy.await, task)     -- task is one of `tasks`, finished
    print(ok and "got" or "failed", result)
  end

  -- Running out of time raises from the loop, and cancels nothing.
  local late = eddy.create_task(fetch, "late", 2)
  print(pcall(function()
    for task in eddy.as_completed({ late }, { timeout = 1 }) do print(task:result()) end
  end))
  print("still comes:", eddy.await(late))
end

eddy.run(main)
