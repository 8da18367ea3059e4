-- script/run examples/asyncio/await/10_cancel.lua: three tasks want to sleep for 20,000 s; cancelled in 3 s.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local sleep = async(eddy.sleep)                       -- so that pcall(await, …) can be Python's `try: await …`

local patient = async(function(name)
  print(name .. " sleeps")
  local ok, err = pcall(await, sleep(20000))
  print(name .. (ok and " woke up" or " ends: " .. tostring(err)))
  if not ok then error(err) end
end)

local main = async(function()
  local task = eddy.create_task(patient("Anna"))
  await(sleep(1))
  task:cancel("time to go")
  local _, err = pcall(await, task)
  print("caught:", eddy.is_error(err, eddy.CancelledError), task:cancelled())

  for _, name in ipairs { "Bert", "Carl", "Dora" } do
    eddy.create_task(patient(name)):set_name(name)
  end
  await(sleep(1))
  for _, other in ipairs(eddy.all_tasks()) do         -- find it by its name
    if other:get_name() == "Carl" then other:cancel("found you") end
  end
  await(sleep(1))
  print("main ends, and with it the others")
end)

eddy.run(main())
