-- Runs busted with the helper in a process of its own, on a spec that should not pass.

local chunk = require "spec.support.chunk"

local inner_busted = {}

local root = os.getenv("EDDY_ROOT") or "."

---Runs the text of a spec file. `options` go to busted, `environment` (such as "EDDY_TEST_TIMEOUT=1") before it.
---Returns the output, with "spec.lua" for the name of the file, and the exit status.
function inner_busted.run(source, options, environment)
  local name = os.tmpname()
  local path = name .. ".lua"
  local file = assert(io.open(path, "w"))
  file:write(source)
  file:close()
  local pipe = assert(io.popen(("cd '%s' && %s '%s' script/busted.lua --helper=eddy.busted -v --pattern=. "
    .. "--output=plainTerminal %s '%s' 2>&1"):format(root, environment or "", chunk.interpreter(), options or "",
    path)))
  local output = pipe:read("a")
  local _, _, status = pipe:close()
  os.remove(name)
  os.remove(path)
  return (output:gsub(path:gsub("%p", "%%%0"), "spec.lua")), status
end

return inner_busted
