-- script/run examples/asyncio/await/08_wait.lua: of five tasks, who is done after 3 s? And who comes first after that?
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local nap = async(function(seconds)
  await(eddy.sleep(seconds))
end)

local function names(tasks)                 -- awaits nothing
  local list = {}
  for i, task in ipairs(tasks) do list[i] = task:get_name() end
  return table.concat(list, " ")
end

local main = async(function()
  local tasks = {}
  for seconds = 1, 5 do
    -- half a second less, so that nobody finishes in the very moment when time runs out
    tasks[seconds] = eddy.create_task(nap(seconds - 0.5)):set_name("task-" .. seconds)
  end

  local done, pending = await(eddy.wait(tasks, { timeout = 3 }))      -- raises nothing, cancels nothing
  print("done:    " .. names(done))
  print("pending: " .. names(pending))

  done, pending = await(eddy.wait(pending, { return_when = eddy.FIRST_COMPLETED }))
  print("next:    " .. names(done))

  await(eddy.wait(pending))                                           -- the others have run on
  print("last:    " .. names(pending))
end)

eddy.run(main())
