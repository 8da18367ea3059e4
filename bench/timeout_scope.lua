-- timeout_scope.lua - How much longer does a wait that ends take inside a timeout scope?
-- The wait is a sleep(0); the same loop without the scope is subtracted.
local eddy = require "eddy"

local N <const> = 1000000
local sleep, timeout, time = eddy.sleep, eddy.timeout, eddy.time

local function bare()
  sleep(0)
end
local function scoped()
  local _ <close> = timeout(10)
  sleep(0)
end

local function measure(f)
  local start = time()
  for _ = 1, N do f() end
  return time() - start
end

print(("timeout_scope\teddy\t%.0f\tns"):format((measure(scoped) - measure(bare)) / N * 1e9))
