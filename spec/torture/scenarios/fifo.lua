local stage = ...
local eddy = require "eddy"

-- A FIFO that is open at both ends: written, read, a read that is left.
return function()
  local path = stage.folder()
  stage.may_report "on a closed file"              -- of those who wait when main leaves
  assert(os.execute("mkfifo " .. path))
  local f <close> = eddy.open(path, "r+")
  local data = ("d"):rep(40000)
  f:write("line\n", data):flush()
  stage.equal("line", f:read("l"), "the first line")
  stage.equal(data, f:read(#data), "the rest")
  local reading = eddy.create_task(f.read, f, "l")
  local waiting = eddy.create_task(f.read, f, "l")
  eddy.sleep(0)
  reading:cancel()
  eddy.wait { reading }
  waiting:cancel()
  eddy.wait { waiting }
  f:write("last\n"):flush()
  stage.equal("last", f:read("l"), "the end")
end
