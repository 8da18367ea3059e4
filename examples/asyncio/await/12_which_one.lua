-- script/run examples/asyncio/await/12_which_one.lua: one of two tasks breaks; the traceback says which, where, why.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local function parse(line)
  return line:upper()                        -- fails: line is nil
end

local reader = async(function(lines)
  for i = 1, 3 do
    await(eddy.sleep(0.5))
    print(parse(lines[i]))
  end
end)

local report = async(function(lines)
  await(eddy.create_task(reader(lines)):set_name("reader"))
end)

local main = async(function()
  local good = eddy.create_task(report { "a", "b", "c" }):set_name("good report")
  local bad = eddy.create_task(report { "x" }):set_name("bad report")
  await(eddy.wait { good, bad })

  for _, task in ipairs { good, bad } do
    local err = task:exception()
    print(task:get_name() .. ": " .. (err and "failed" or "fine"))
    if err then print(task:traceback()) end
  end
end)

eddy.run(main())
