local stage = ...
local eddy = require "eddy"

-- Things that are forgotten while they are in use, and collected when there may be no memory for a finalizer: the
-- collections run on young stacks, which must grow for that. Nothing here minds an error that is explained.
local try = stage.try

local function collect()
  for depth = 1, 3 do
    local function dive(n)
      if n > 0 then return (dive(n - 1)) end
      collectgarbage()
    end
    try(coroutine.wrap(dive), depth * depth)
  end
end

return function()
  local loop = eddy.get_running_loop()
  local ones = eddy.generator(function(yield) while true do yield(1) end end)
  local future = loop:create_future()
  local function forgotten()
    try(function() ones():next() end)
    try(function() eddy.timeout(60) end)
    try(function() loop:call_later(0.001, function() end) end)
    try(function() eddy.copy_context() end)
    try(function() loop:create_future():add_done_callback(function() end) end)
    try(function() eddy.async(eddy.sleep)(1):close() end)
    try(function() eddy.create_task(function() error("boom", 0) end) end)
  end
  for _ = 1, 2 do
    forgotten()
    collect()
    try(eddy.sleep, 0.001)
  end
  collect()
  try(eddy.sleep, 0.002)
  try(function() future:set_result() end)
end
