-- script/run examples/asyncio/await/11_task_result.lua: asks a failed task what happened; eddy reports one nobody asks.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local broken = async(function(what)
  await(eddy.sleep(0.1))
  error({ what = what, code = 42 })          -- any value can be an error
end)

local main = async(function()
  local task = eddy.create_task(broken("pump"))
  print("done at once?", task:done())

  local _, too_early = pcall(task.result, task)
  print(too_early)

  await(eddy.sleep(0.2))
  print("done later?", task:done())
  local err = task:exception()               -- the value that was raised
  print("exception:", err.what, err.code)
  local ok, same = pcall(await, task)        -- as task:result(), raises it again
  print("result raises:", not ok, "the same value:", rawequal(same, err))

  -- Nobody will look at this one. When it is collected, eddy says so on stderr, once, with the traceback.
  eddy.create_task(broken("lamp")):set_name("forgotten")
  await(eddy.sleep(0.2))
  collectgarbage()
  print("main ends")
end)

eddy.run(main())
