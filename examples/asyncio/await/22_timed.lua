-- script/run examples/asyncio/await/22_timed.lua: a decorator prints how long each await of an async function took.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local function timed(name, f)                -- from an async function makes another
  return async(function(...)
    local start = eddy.time()
    local _ <close> = setmetatable({}, { __close = function()       -- also when f raises
      print(("%s took %.1f s"):format(name, eddy.time() - start))
    end })
    return await(f(...))
  end)
end

local delay = timed("delay", async(function(seconds)
  await(eddy.sleep(seconds))
  return seconds
end))

local main = timed("main", async(function()
  local results = await(eddy.gather(delay(2), delay(3)))
  print("slept: " .. results[1] .. " s and " .. results[2] .. " s")
end))

eddy.run(main())
