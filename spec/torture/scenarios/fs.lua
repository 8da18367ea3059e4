local stage = ...
local eddy = require "eddy"
local fs = eddy.fs

-- eddy.fs: whole files, atomic writes, trees, temporary files, a copy.
return function()
  local dir = stage.folder()
  fs.mkdir(dir .. "/a/b", { parents = true })
  fs.write_file(dir .. "/f", "old")
  fs.write_file(dir .. "/f", "new", { atomic = true })
  fs.copy(dir .. "/f", dir .. "/a/g")
  stage.equal("new", fs.read_file(dir .. "/a/g"), "the copy")
  stage.equal(3, fs.stat(dir .. "/f").size, "its size")
  fs.symlink("f", dir .. "/l")
  stage.equal("f", fs.readlink(dir .. "/l"), "the link")
  local err = stage.raises(eddy.OSError, fs.rename, dir .. "/none", dir .. "/x")
  if err.code == "ENOENT" then stage.equal(dir .. "/x", err.other_path, "the other path") end
  local n = 0
  for _, dirs, files in fs.walk(dir) do
    n = n + #dirs * 10 + #files
    if n > 1000 then break end
  end
  stage.equal(23, n, "what is in the tree")
  for name in fs.scandir(dir) do stage.check(#name == 1, name) end
  local file, path = fs.mkstemp(dir .. "/XXXXXX")
  local scope <close> = file -- luacheck: ignore
  stage.equal(true, fs.access(path, "rw"), "access")
  fs.remove(dir .. "/a", { recursive = true })
  stage.equal(false, fs.exists(dir .. "/a"), "what was removed")
end
