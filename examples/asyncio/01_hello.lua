-- script/run examples/asyncio/01_hello.lua: prints four lines; a second passes between "hello" and "world".
local eddy = require "eddy"

-- With async and await, as Python writes it. Calling hello() runs nothing yet: it makes a Coroutine object, and eddy
-- warns when that is forgotten, with its place.
local hello = eddy.async(function()
  print("hello")
  eddy.await(eddy.sleep(1))
  print("world")
end)

local function main()
  print("main starts")
  eddy.await(hello())
  print("main ends")
end

-- Neither word is needed. An ordinary function may wait, and calling it runs it:
--   local function hello()
--     print("hello")
--     eddy.sleep(1)
--     print("world")
--   end
--   hello()

eddy.run(main)
