-- script/run examples/asyncio/22_timed.lua: a decorator prints how long each call of a waiting function took.
local eddy = require "eddy"

-- One kind of function: the same decorator fits those that wait and those that do not.
local function timed(name, f)
  return function(...)
    local start = eddy.time()
    local _ <close> = setmetatable({}, { __close = function()       -- also when f raises
      print(("%s took %.1f s"):format(name, eddy.time() - start))
    end })
    return f(...)
  end
end

local delay = timed("delay", function(seconds)
  eddy.sleep(seconds)
  return seconds
end)

local main = timed("main", function()
  local results = eddy.gather(
    function() return delay(2) end,
    function() return delay(3) end)
  print("slept: " .. results[1] .. " s and " .. results[2] .. " s")
end)

eddy.run(main)

-- eddy.async_timed(f) is a ready one, which logs to stderr.
