-- script/run examples/asyncio/07_wait_for.lua: a 2 s task is given 1 s; two long ones together 5 s. 6.5 s in all.
local eddy = require "eddy"

local function nap(name, seconds)
  local ok, err = pcall(eddy.sleep, seconds)
  if not ok then
    print(name .. " was interrupted: " .. tostring(err))
    error(err)                              -- who cleans up passes the cancellation on
  end
  return name .. " slept well"
end

local function main()
  local task = eddy.create_task(nap, "the cat", 2)
  local ok, err = pcall(eddy.wait_for, task, 1)
  print("in time:", ok, err)
  print("task cancelled:", task:cancelled())

  -- A function works too, and what follows the time goes to it.
  print("in time:", eddy.wait_for(nap, 1, "the mouse", 0.5))

  -- gather waits, like any function; so it is given as one, with its arguments behind the time.
  local dog = eddy.create_task(nap, "the dog", 60)
  local cow = eddy.create_task(nap, "the cow", 90)
  ok, err = pcall(eddy.wait_for, eddy.gather, 5, dog, cow)
  print("in time:", ok, eddy.is_error(err, eddy.TimeoutError))
  print("both cancelled:", dog:cancelled() and cow:cancelled())
end

eddy.run(main)
