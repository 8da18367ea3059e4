-- script/run examples/asyncio/await/03_one_after_the_other.lua: three delays take 6 s in a row, 3 s as tasks.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local delay = async(function(seconds)
  print(("sleeping for %d s"):format(seconds))
  await(eddy.sleep(seconds))
  print(("done sleeping for %d s"):format(seconds))
  return seconds
end)

local in_a_row = async(function()
  return await(delay(1)) + await(delay(3)) + await(delay(2))
end)

local as_tasks = async(function()
  local tasks = {}
  for i, seconds in ipairs { 1, 3, 2 } do
    tasks[i] = eddy.create_task(delay(seconds))
  end
  local sum = 0
  for _, task in ipairs(tasks) do sum = sum + await(task) end
  return sum
end)

local timed = async(function(name, coro)
  local start = eddy.time()
  local sum = await(coro)
  print(("%s: %d s of sleep in %.0f s"):format(name, sum, eddy.time() - start))
end)

local main = async(function()
  await(timed("in a row", in_a_row()))
  await(timed("as tasks", as_tasks()))
end)

eddy.run(main())
