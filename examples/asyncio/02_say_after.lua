-- script/run examples/asyncio/02_say_after.lua: "hello" after 1 s, "world" after 2 s: two tasks take 2 s, not 3.
local eddy = require "eddy"

local function say_after(delay, what)
  eddy.sleep(delay)
  print(what)
  return #what
end

local function main()
  local loop = eddy.get_running_loop()
  local start = loop:time()
  print("started")

  -- A task runs from now on, whether anybody awaits it or not.
  local hello = eddy.create_task(say_after, 1, "hello")
  local world = eddy.create_task(say_after, 2, "world")

  -- await waits for a task and returns its results.
  local letters = eddy.await(hello) + eddy.await(world)
  print(("finished after %.0f s: %d letters"):format(loop:time() - start, letters))
end

eddy.run(main)
