-- script/run examples/asyncio/await/18_files.lua: writes a file, reads it back, reads lines until one pleases.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local write_and_read = async(function(path)
  do
    local file <close> = await(eddy.open(path, "w"))   -- Python's `async with`: closed at the end of the block
    await(file:write("one\n", "two\n", { "three", "\n" }, 4, "\n"))
  end
  local file <close> = await(eddy.open(path))
  print(await(file:read("a")))
  await(file:seek("set", 4))
  print("at 4: " .. await(file:read("l")))
end)

local first_long_line = async(function(path)
  for line in eddy.lines(path) do                      -- Python's `async for`
    if #line > 3 then return line end                  -- leaving the loop closes the file
  end
end)

local failing = async(function(path, kept)
  local file <close> = await(eddy.open(path))
  kept.file = file
  error("in the middle")
end)

local closed_on_error = async(function(path)
  local kept = {}
  pcall(await, failing(path, kept))
  return not pcall(kept.file.read, kept.file)          -- a closed file raises
end)

local main = async(function()
  local path = os.tmpname()
  await(write_and_read(path))
  print("long: " .. await(first_long_line(path)))
  print("closed on error: " .. tostring(await(closed_on_error(path))))
  local stat, content = await(eddy.fs.stat(path)), await(eddy.fs.read_file(path))
  print("bytes: " .. stat.size .. ", " .. #content .. " read at once")
  await(eddy.fs.remove(path))
end)

eddy.run(main())
