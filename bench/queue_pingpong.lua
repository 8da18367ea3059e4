-- queue_pingpong.lua - How many round trips a second do two tasks make over two queues?
-- A round trip is two messages.
local eddy = require "eddy"

local N <const> = 1000000
local there, back = eddy.Queue(1), eddy.Queue(1)

local start = eddy.time()
local echo = eddy.create_task(function()
  for _ = 1, N do back:put(there:get()) end
end)
for i = 1, N do
  there:put(i)
  back:get()
end
echo:await()
print(("queue_pingpong\teddy\t%.0f\troundtrips/s"):format(N / (eddy.time() - start)))
