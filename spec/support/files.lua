-- What specs of files share.

local fs = require("eddy").fs
local ending = require "spec.support.ending"

local files = {}

-- The entries of the folder, each with its type ("f:file"), in order.
function files.names(dir)
  local list = {}
  for name, type in fs.scandir(dir) do list[#list + 1] = name .. ":" .. type end
  table.sort(list)
  return list
end

---A new folder that is removed with the test, whose `finally` is given. `base`: where, if not in the usual place.
function files.folder(finally, base)
  local dir = fs.mkdtemp((base or os.getenv("TMPDIR") or "/tmp") .. "/eddy-spec-XXXXXX")
  ending(finally, function() fs.remove(dir, { recursive = true }) end)
  return dir
end

---How many descriptors this process has open.
function files.count_open()
  local n = 0
  for _ in fs.scandir("/proc/self/fd") do n = n + 1 end
  return n
end

return files
