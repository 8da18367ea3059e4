-- task_cancel.lua - How many sleeping tasks a second can be cancelled and seen to end?
-- 10,000 at a time; their creation is not measured.
local eddy = require "eddy"

local N <const>, BATCH <const> = 500000, 10000
local spent = 0

for _ = 1, N // BATCH do
  local tasks = {}
  for i = 1, BATCH do tasks[i] = eddy.create_task(eddy.sleep, 3600) end
  eddy.sleep(0)                                  -- all of them are asleep now
  local start = eddy.time()
  for i = 1, BATCH do tasks[i]:cancel() end
  eddy.wait(tasks)
  spent = spent + (eddy.time() - start)
  assert(tasks[BATCH]:cancelled())
end
print(("task_cancel\teddy\t%.0f\ttasks/s"):format(N / spent))
