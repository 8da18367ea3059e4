-- task_await.lua - How many futures a second are awaited by one task and settled by another?
-- one: a task awaits a new future each time; that is making it, and two switches. many: a thousand tasks await one
-- each, and one task settles them all: one switch each; they were made before.
local eddy = require "eddy"

local N <const>, TASKS <const> = 1000000, 1000
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
print(("task_await.one\teddy\t%.0f\tawaits/s"):format(N / (eddy.time() - start)))

local rounds = {}
for round = 1, N // TASKS do
  rounds[round] = {}
  for i = 1, TASKS do rounds[round][i] = loop:create_future() end
end
local group <close> = eddy.TaskGroup()
for i = 1, TASKS do
  group:create_task(function()
    for round = 1, N // TASKS do rounds[round][i]:await() end
  end)
end
eddy.sleep(0)
start = eddy.time()
for round = 1, N // TASKS do
  local futures = rounds[round]
  for i = 1, TASKS do futures[i]:set_result(i) end
  eddy.sleep(0)
end
print(("task_await.many\teddy\t%.0f\tawaits/s"):format(N / (eddy.time() - start)))
