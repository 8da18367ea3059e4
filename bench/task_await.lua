-- task_await.lua - How many futures a second can one task await that another task settles?
-- A future is new each time; a round is one future and two switches.
local eddy = require "eddy"

local N <const> = 1000000
local loop = eddy.get_running_loop()
local future

local start = eddy.time()
local waiter = eddy.create_task(function()
  for _ = 1, N do
    future = loop:create_future()
    future:await()
  end
end)
eddy.create_task(function()
  for i = 1, N do
    future:set_result(i)
    eddy.sleep(0)
  end
end)
waiter:await()
print(("task_await\teddy\t%.0f\tawaits/s"):format(N / (eddy.time() - start)))
