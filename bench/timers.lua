-- timers.lua - What do 1,000,000 tasks cost that sleep at once, each for a random time up to 1 s?
-- wall: until the last has ended; 1 s would be perfect. peak: what the process grew by, for each task.
local eddy = require "eddy"

local N <const> = 1000000

local function peak_bytes()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmHWM:%s*(%d+)")
    if kib then return kib * 1024 end
  end
  return 0 / 0                                   -- only Linux tells
end

local random, sleep = math.random, eddy.sleep
local function task() sleep(random()) end

local before, start = peak_bytes(), eddy.time()
do
  local group <close> = eddy.TaskGroup()
  for _ = 1, N do group:create_task(task) end
end
print(("timers.wall\teddy\t%.3f\ts"):format(eddy.time() - start))
print(("timers.peak\teddy\t%.0f\tbytes/task"):format((peak_bytes() - before) / N))
