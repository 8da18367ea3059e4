-- script/run examples/asyncio/18_files.lua: writes a file, reads it back, reads lines until one pleases; closes all.
local eddy = require "eddy"

local function write_and_read(path)
  do
    local file <close> = eddy.open(path, "w")        -- closed at the end of the block, whatever happens
    file:write("one\n", "two\n", { "three", "\n" }, 4, "\n")
  end
  local file <close> = eddy.open(path)
  print(file:read("a"))
  file:seek("set", 4)
  print("at 4: " .. file:read("l"))
end

local function first_long_line(path)
  for line in eddy.lines(path) do                    -- a line at a time
    if #line > 3 then return line end                -- leaving the loop closes the file
  end
end

local function closed_on_error(path)
  local kept
  pcall(function()
    local file <close> = eddy.open(path)
    kept = file
    error("in the middle")
  end)
  return not pcall(kept.read, kept)                  -- a closed file raises
end

local function main()
  local path = os.tmpname()
  write_and_read(path)
  print("long: " .. first_long_line(path))
  print("closed on error: " .. tostring(closed_on_error(path)))
  print("bytes: " .. eddy.fs.stat(path).size .. ", " .. #eddy.fs.read_file(path) .. " read at once")
  eddy.fs.remove(path)
end

eddy.run(main)
