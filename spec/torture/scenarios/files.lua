local stage = ...
local eddy = require "eddy"

-- Files: open, write, read in formats, seek, truncate, lines, stat, directories, atomic writes.
return function()
  local folder = stage.folder()
  eddy.fs.mkdir(folder .. "/a/b", { parents = true })
  local path = folder .. "/a/file"
  do
    local file <close> = eddy.open(path, "w+")
    file:write("line 1\n", 2, { "\n", "three" })
    file:write(("x"):rep(70000))
    file:seek("set", 0)
    local line, number = file:read("l", "n")
    stage.check(line == "line 1" and number == 2, "what was written")
    stage.equal(70014, file:stat().size, "size")
    file:truncate(13)
  end
  local size = 0
  for line in eddy.lines(path) do size = size + #line end
  stage.equal(11, size, "lines")
  eddy.fs.write_file(path, "data", { atomic = true })
  eddy.fs.write_file(path, "more", { append = true })
  stage.equal("datamore", eddy.fs.read_file(path), "contents")
  stage.raises(eddy.OSError, eddy.open, folder .. "/none")
  stage.check(eddy.fs.exists(path) and not eddy.fs.exists(path .. "2"), "what exists")
  local names = {}
  for name in eddy.fs.scandir(folder .. "/a") do names[#names + 1] = name end
  stage.equal(2, #names, "entries")
  eddy.fs.remove(folder, { recursive = true })
end
