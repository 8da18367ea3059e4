local stage = ...
local eddy = require "eddy"

-- Whole files: written, appended to, copied, read in every way, and the same bytes each time.
local DATA = stage.pattern(5000)
local fs = eddy.fs

return function()
  local dir = stage.folder()
  fs.mkdir(dir)
  fs.write_file(dir .. "/a", DATA:sub(1, 3000))
  fs.write_file(dir .. "/a", DATA:sub(3001), { append = true })
  stage.equal(DATA, fs.read_file(dir .. "/a"), "what was written")
  fs.copy(dir .. "/a", dir .. "/b")
  stage.equal(DATA, fs.read_file(dir .. "/b"), "the copy")
  fs.write_file(dir .. "/b", DATA, { atomic = true })
  local file <close> = eddy.open(dir .. "/b", "r+")
  stage.equal(DATA:sub(1, 1234), file:read(1234), "the first bytes")
  stage.equal(DATA:sub(1235), file:read("a"), "the others")
  file:seek("set", 100)
  file:write("----"):flush()
  file:seek("set", 98)
  stage.equal(DATA:sub(99, 100) .. "----" .. DATA:sub(105, 110), file:read(12), "what was overwritten")
  local lines, n = {}, 0
  for line in eddy.lines(dir .. "/a", "L") do
    n = n + 1
    lines[n] = line
  end
  stage.equal(DATA, table.concat(lines), "the lines")
end
