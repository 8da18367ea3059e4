-- script/run examples/tail.lua FILE...: prints what is added to files, with their names; Ctrl-C ends it. Like tail -F,
-- it begins again when a file was cut off or replaced.
local eddy = require "eddy"

-- Opens the file as soon as there is one. The watch tells when to look again.
local function open(path, watch)
  while true do
    local opened, file = eddy.pcall(eddy.open, path)
    if opened then return file end
    if file.code ~= "ENOENT" then error(file, 0) end
    watch()
  end
end

-- Prints the lines that have come; half a line waits for its end.
local function print_new(file, path)
  local here = file:seek()
  for line in file:lines("L") do
    if line:sub(-1) ~= "\n" then break end
    io.write(path, ": ", line)
    here = here + #line
  end
  file:seek("set", here)
  io.flush()
end

local function follow(path)
  local dir, name = path:match("^(.-)([^/]*)$")
  local watch <close> = eddy.fs.watch(dir == "" and "." or dir) -- the folder: it tells of files that come and go, too
  local from = eddy.fs.exists(path) and "end" or "set"
  while true do
    local file <close> = open(path, watch)
    file:seek(from)
    from = "set"                                 -- the next one is read from its start
    repeat
      print_new(file, path)
      local there, now = eddy.pcall(eddy.fs.stat, path)
      local mine = file:stat()
      local is_other = not there or now.ino ~= mine.ino or now.size < file:seek()
      while not is_other and watch() ~= name do end
    until is_other
  end
end

if not arg[1] then
  io.stderr:write("usage: tail.lua FILE...\n")
  os.exit(2)
end
eddy.run(function()
  local group <close> = eddy.TaskGroup()
  for _, path in ipairs(arg) do
    group:create_task(function()
      local _, err = eddy.pcall(follow, path)     -- it ends with an error only: no such folder, a file of others
      io.stderr:write(tostring(err), "\n")
    end)
  end
end)
os.exit(1)                                       -- nothing is left to follow
