-- script/run examples/asyncio/19_stdin.lua: type lines, Ctrl-D ends; a clock ticks meanwhile, and each is sent back.
local eddy = require "eddy"

local function tick()                              -- goes on while the other task waits for a line
  for n = 1, math.huge do
    eddy.sleep(1)
    print("tick " .. n)
  end
end

local function main()
  local ticking = eddy.create_task(tick)
  for line in eddy.stdin:lines() do                -- a terminal, a pipe or a file
    print("you typed: " .. line)
  end
  ticking:cancel()
  print("bye")
end

eddy.run(main)
