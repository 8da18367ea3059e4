-- task_switch.lua - How many times a second does sleep(0) pass the processor on?
-- Among 2 tasks, then among 1000.
local eddy = require "eddy"

local N <const> = 5000000
local sleep, time = eddy.sleep, eddy.time

for _, count in ipairs { 2, 1000 } do
  local turns = N // count
  local function body()
    for _ = 1, turns do sleep(0) end
  end
  local tasks = {}
  local start = time()
  for i = 1, count do tasks[i] = eddy.create_task(body) end
  eddy.gather(tasks)
  print(("task_switch.%d\teddy\t%.0f\tswitches/s"):format(count, N / (time() - start)))
end
