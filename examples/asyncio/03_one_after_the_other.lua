-- script/run examples/asyncio/03_one_after_the_other.lua: the same three delays take 6 s in a row, 3 s as tasks.
local eddy = require "eddy"

local function delay(seconds)
  print(("sleeping for %d s"):format(seconds))
  eddy.sleep(seconds)
  print(("done sleeping for %d s"):format(seconds))
  return seconds
end

local function in_a_row()
  return delay(1) + delay(3) + delay(2)     -- each call waits until it is done
end

local function as_tasks()
  local tasks = {}
  for i, seconds in ipairs { 1, 3, 2 } do
    tasks[i] = eddy.create_task(delay, seconds)
  end
  local sum = 0
  for _, task in ipairs(tasks) do sum = sum + eddy.await(task) end
  return sum
end

local function timed(name, f)
  local start = eddy.time()
  local sum = f()
  print(("%s: %d s of sleep in %.0f s"):format(name, sum, eddy.time() - start))
end

eddy.run(function()
  timed("in a row", in_a_row)
  timed("as tasks", as_tasks)
end)
