-- script/run examples/asyncio/05_gather_errors.lua: one task of three raises; its error stands in the list of results.
local eddy = require "eddy"

local function divide(a, b)
  eddy.sleep(1)
  if b == 0 then error("division by zero") end
  return a / b
end

local function main()
  local results = eddy.gather({
    eddy.create_task(divide, 6, 3),
    eddy.create_task(divide, 1, 0),
    eddy.create_task(divide, 9, 2),
  }, { return_exceptions = true })

  for i, result in ipairs(results) do
    if eddy.is_error(result) then
      print(i, "error", result.value)      -- whatever was raised; is_error tells it from a result
    else
      print(i, "result", result)
    end
  end

  -- Without return_exceptions, gather raises the first error.
  print(pcall(eddy.gather, function() return divide(1, 0) end))
end

eddy.run(main)
