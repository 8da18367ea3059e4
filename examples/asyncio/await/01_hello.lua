-- script/run examples/asyncio/await/01_hello.lua: prints four lines; a second passes between "hello" and "world".
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local hello = async(function()
  print("hello")
  await(eddy.sleep(1))
  print("world")
end)

local main = async(function()
  print("main starts")
  await(hello())                   -- hello() alone runs nothing, and eddy would warn of it, with its place
  print("main ends")
end)

eddy.run(main())
