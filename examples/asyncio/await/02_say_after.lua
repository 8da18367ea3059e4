-- script/run examples/asyncio/await/02_say_after.lua: "hello" after 1 s, "world" after 2 s: together 2 s, not 3.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local say_after = async(function(delay, what)
  await(eddy.sleep(delay))
  print(what)
  return #what
end)

local main = async(function()
  local loop = eddy.get_running_loop()
  local start = loop:time()
  print("started")

  -- A Coroutine object waits to be started; as a task it runs from now on, whether anybody awaits it or not.
  local hello = eddy.create_task(say_after(1, "hello"))
  local world = eddy.create_task(say_after(2, "world"))

  local letters = await(hello) + await(world)
  print(("finished after %.0f s: %d letters"):format(loop:time() - start, letters))
end)

eddy.run(main())
