-- Chunks that run in a Lua of their own.

local chunk = {}

---The Lua that runs us.
function chunk.interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return i < 0 and arg[i] or "lua5.4"
end

---Runs a chunk, chunk.lua, with warnings on; returns all that it wrote, and whether it ended well.
function chunk.output_of(source)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(source)
  file:flush()
  local pipe = assert(io.popen(("'%s' -W '%s' 2>&1"):format(os.getenv("EDDY_LUA") or chunk.interpreter(), path)))
  local output = pipe:read("a")
  local ok = pipe:close()
  os.remove(path)
  return (output:gsub(path:gsub("%p", "%%%0"), "chunk.lua")), ok == true
end

return chunk
