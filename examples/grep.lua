-- script/run examples/grep.lua PATTERN [DIR...]: the lines below DIR that match a pattern of Lua, many files at once
local eddy = require "eddy"

local AT_ONCE <const> = 32

-- Prints the lines of one file together. What cannot be read, and what is not text, is passed over.
local function search(path, pattern)
  local read, text = eddy.pcall(eddy.fs.read_file, path)
  if not read or text:find("\0", 1, true) then return 0 end
  local found, number = {}, 0
  for line in text:gmatch("[^\n]*") do
    number = number + 1
    if line:find(pattern) then found[#found + 1] = ("%s:%d: %s\n"):format(path, number, line) end
  end
  io.write(table.concat(found))
  return #found
end

-- Puts the path of every file of the tree into the queue, but not those of hidden directories.
local function list(queue, top)
  for dir, dirs, files in eddy.fs.walk(top, { on_error = function(err) io.stderr:write(tostring(err), "\n") end }) do
    for i = #dirs, 1, -1 do
      if dirs[i]:sub(1, 1) == "." then table.remove(dirs, i) end
    end
    table.sort(dirs)
    for _, name in ipairs(files) do queue:put(((dir .. "/" .. name):gsub("^%./", ""))) end
  end
end

local function main(pattern, ...)
  local tops, queue, count = { ... }, eddy.Queue(AT_ONCE), 0
  if not tops[1] then tops[1] = "." end
  do
    local group <close> = eddy.TaskGroup()
    for _ = 1, AT_ONCE do
      group:create_task(function()
        for path in queue:items() do
          local found = search(path, pattern)    -- not in the sum: others count while this waits
          count = count + found
        end
      end)
    end
    for _, top in ipairs(tops) do list(queue, top) end
    queue:shutdown()                             -- those who wait for more leave their loops
  end
  return count
end

if not arg[1] then
  io.stderr:write("usage: grep.lua PATTERN [DIR...]\n")
  os.exit(2)
end
local ok, count = eddy.pcall(eddy.run, main, table.unpack(arg))
if not ok and not eddy.is_error(count, eddy.ExceptionGroup) then error(count, 0) end
if not ok then                                   -- a bad pattern: every file would say so
  io.stderr:write(tostring(count.errors[1]), "\n")
  os.exit(2)
end
os.exit(count > 0 and 0 or 1)
