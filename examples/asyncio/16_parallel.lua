-- script/run examples/asyncio/16_parallel.lua: the sum of the squares of 1 to a million, eight times: in line, in the
-- threads of the loop's own pool, in two processes. With two cores the last two take half the time: there is no GIL.
local eddy = require "eddy"

local JOBS <const>, N <const>, TIMES <const> = 8, 1000000, 5

local function sum_of_squares(n, times)
  local sum
  for _ = 1, times do
    sum = 0
    for i = 1, n do sum = sum + i * i end
  end
  return sum
end

local function timed(what, f)
  local start = eddy.time()
  local sums = f()
  print(("%s: %d sums, each %d, in %.2f s"):format(what, #sums, sums[1], eddy.time() - start))
end

local function in_line()
  local sums = {}
  for i = 1, JOBS do sums[i] = sum_of_squares(N, TIMES) end
  return sums
end

-- Each call begins at once, in a thread that is free, and is a Task here.
local function in_executor(pool)
  local loop, tasks = eddy.get_running_loop(), {}
  for i = 1, JOBS do tasks[i] = loop:run_in_executor(pool, sum_of_squares, N, TIMES) end
  return eddy.gather(tasks)
end

eddy.run(function()
  timed("in line", in_line)
  timed("in threads", in_executor)
  local pool <close> = eddy.ProcessPool { workers = 2 }
  timed("in two processes", function() return in_executor(pool) end)
end)
