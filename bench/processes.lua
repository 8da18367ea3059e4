-- processes.lua - How many programs can be started and waited for in a second: one after the other, 16 at once?
local eddy = require "eddy"

local N <const> = 1000

local function run() eddy.create_subprocess_exec("/bin/true"):wait() end

local function measure(name, f)
  local start = eddy.time()
  f()
  print(("processes.%s\teddy\t%.0f\tprocesses/s"):format(name, N / (eddy.time() - start)))
end

run()
measure("one", function() for _ = 1, N do run() end end)
measure("16", function()
  local group <close> = eddy.TaskGroup()
  for _ = 1, 16 do
    group:create_task(function() for _ = 1, N // 16 do run() end end)
  end
end)
