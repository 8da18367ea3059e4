-- script/run examples/asyncio/await/07_wait_for.lua: a 2 s task is given 1 s; two long ones together 5 s. 6.5 s in all.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

-- eddy's own functions wait when they are called. As async functions they give Coroutine objects, for later.
local sleep, gather = async(eddy.sleep), async(eddy.gather)

local nap = async(function(name, seconds)
  local ok, err = pcall(await, sleep(seconds))
  if not ok then
    print(name .. " was interrupted: " .. tostring(err))
    error(err)                              -- who cleans up passes the cancellation on
  end
  return name .. " slept well"
end)

local main = async(function()
  local task = eddy.create_task(nap("the cat", 2))
  local ok, err = pcall(eddy.wait_for, task, 1)
  print("in time:", ok, err)
  print("task cancelled:", task:cancelled())

  print("in time:", await(eddy.wait_for(nap("the mouse", 0.5), 1)))

  local dog = eddy.create_task(nap("the dog", 60))
  local cow = eddy.create_task(nap("the cow", 90))
  ok, err = pcall(eddy.wait_for, gather(dog, cow), 5)
  print("in time:", ok, eddy.is_error(err, eddy.TimeoutError))
  print("both cancelled:", dog:cancelled() and cow:cancelled())
end)

eddy.run(main())
