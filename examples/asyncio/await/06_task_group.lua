-- script/run examples/asyncio/await/06_task_group.lua: a group waits for its children; one that fails ends all (2.5 s).
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local work = async(function(name, seconds)
  local _ <close> = setmetatable({}, { __close = function(_, err)
    print(name .. (err and " stops: " .. tostring(err) or " is done"))
  end })
  await(eddy.sleep(seconds))
end)

local fail = async(function(seconds, message)
  await(eddy.sleep(seconds))
  error(message, 0)
end)

local all_well = async(function()
  local tg <close> = eddy.TaskGroup()      -- Python's `async with`
  tg:create_task(work("first", 1))
  tg:create_task(work("second", 2))
  tg:create_task(work("third", 1.5))
  print("three started")
end)                                       -- the scope's end awaits them

local one_fails = async(function()
  local tg <close> = eddy.TaskGroup()
  tg:create_task(work("fourth", 0.25))
  tg:create_task(work("fifth", 20))
  tg:create_task(fail(0.5, "the boiler broke"))
end)

local main = async(function()
  await(all_well())
  print("all three are done")

  local ok, err = pcall(await, one_fails())
  print(ok, eddy.is_error(err, eddy.ExceptionGroup), #err.errors, err.errors[1])
end)

eddy.run(main())
