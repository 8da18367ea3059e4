-- Runs busted with the helper in a process of its own, on a spec that should not pass.

local inner_busted = {}

local root = os.getenv("EDDY_ROOT") or "."

-- The Lua that runs us.
local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return i < 0 and arg[i] or "lua5.4"
end

---Runs the text of a spec file. `options` go to busted, `environment` (such as "EDDY_TEST_TIMEOUT=1") before it.
---Returns the output, with "spec.lua" for the name of the file, and the exit status.
function inner_busted.run(source, options, environment)
  local name = os.tmpname()
  local path = name .. ".lua"
  local file = assert(io.open(path, "w"))
  file:write(source)
  file:close()
  local pipe = assert(io.popen(("cd '%s' && %s '%s' script/busted.lua --helper=eddy.busted -v --pattern=. "
    .. "--output=plainTerminal %s '%s' 2>&1"):format(root, environment or "", interpreter(), options or "", path)))
  local output = pipe:read("a")
  local _, _, status = pipe:close()
  os.remove(name)
  os.remove(path)
  return (output:gsub(path:gsub("%p", "%%%0"), "spec.lua")), status
end

return inner_busted
