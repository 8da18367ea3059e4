-- What specs of files share.

local fs = require("eddy").fs

local files = {}

-- The entries of the folder, each with its type ("f:file"), in order.
function files.names(dir)
  local list = {}
  for name, type in fs.scandir(dir) do list[#list + 1] = name .. ":" .. type end
  table.sort(list)
  return list
end

return files
