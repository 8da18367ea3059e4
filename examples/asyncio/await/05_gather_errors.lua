-- script/run examples/asyncio/await/05_gather_errors.lua: one of three raises; its error stands in the list of results.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local divide = async(function(a, b)
  await(eddy.sleep(1))
  if b == 0 then error("division by zero") end
  return a / b
end)

local main = async(function()
  local results = await(eddy.gather({ divide(6, 3), divide(1, 0), divide(9, 2) }, { return_exceptions = true }))

  for i, result in ipairs(results) do
    if eddy.is_error(result) then
      print(i, "error", result.value)      -- whatever was raised; is_error tells it from a result
    else
      print(i, "result", result)
    end
  end

  -- Without return_exceptions, gather raises the first error.
  print(pcall(eddy.gather, divide(1, 0)))
end)

eddy.run(main())
