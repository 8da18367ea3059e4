-- script/run examples/asyncio/08_wait.lua: of five tasks, who is done after 3 s? And who comes first after that?
local eddy = require "eddy"

local function names(tasks)
  local list = {}
  for i, task in ipairs(tasks) do list[i] = task:get_name() end
  return table.concat(list, " ")
end

local function main()
  local tasks = {}
  for seconds = 1, 5 do
    -- half a second more, so that nobody finishes in the very moment when time runs out
    tasks[seconds] = eddy.create_task(eddy.sleep, seconds - 0.5):set_name("task-" .. seconds)
  end

  local done, pending = eddy.wait(tasks, { timeout = 3 })      -- raises nothing, cancels nothing
  print("done:    " .. names(done))
  print("pending: " .. names(pending))

  done, pending = eddy.wait(pending, { return_when = "FIRST_COMPLETED" })
  print("next:    " .. names(done))

  eddy.wait(pending)                                           -- the others have run on
  print("last:    " .. names(pending))
end

eddy.run(main)
