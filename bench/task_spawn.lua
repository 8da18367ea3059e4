-- task_spawn.lua - How many tasks a second are created and awaited?
-- one: each is awaited before the next is made. batch: 10,000 at a time, gathered.
local eddy = require "eddy"

local N <const>, BATCH <const> = 1000000, 10000
local create_task, gather, time = eddy.create_task, eddy.gather, eddy.time

local function task(i) return i end

local start = time()
for i = 1, N do create_task(task, i):await() end
print(("task_spawn.one\teddy\t%.0f\ttasks/s"):format(N / (time() - start)))

start = time()
for _ = 1, N // BATCH do
  local tasks = {}
  for i = 1, BATCH do tasks[i] = create_task(task, i) end
  gather(tasks)
end
print(("task_spawn.batch\teddy\t%.0f\ttasks/s"):format(N / (time() - start)))
