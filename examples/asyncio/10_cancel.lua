-- script/run examples/asyncio/10_cancel.lua: three tasks want to sleep for 20,000 s; cancelled one by one in 3 s.
local eddy = require "eddy"

local function patient(name)
  print(name .. " sleeps")
  local ok, err = pcall(eddy.sleep, 20000)
  print(name .. (ok and " woke up" or " ends: " .. tostring(err)))
  if not ok then error(err) end
end

local function main()
  local task = eddy.create_task(patient, "Anna")
  eddy.sleep(1)
  task:cancel("time to go")
  local _, err = pcall(eddy.await, task)
  print("caught:", eddy.is_error(err, eddy.CancelledError), task:cancelled())

  for _, name in ipairs { "Bert", "Carl", "Dora" } do
    eddy.create_task(patient, name):set_name(name)
  end
  eddy.sleep(1)
  for _, other in ipairs(eddy.all_tasks()) do         -- find it by its name
    if other:get_name() == "Carl" then other:cancel("found you") end
  end
  eddy.sleep(1)
  print("main ends, and with it the others")
end

eddy.run(main)
