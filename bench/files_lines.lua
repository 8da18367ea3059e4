-- files_lines.lua - How many lines a second come from a large file, 50 bytes on average?
-- $BENCH_LARGE names the file; without it a temporary one is read. The peer "lua" is io.lines.
local eddy = require "eddy"

local made
local path = os.getenv("BENCH_LARGE")
if not path then
  made = os.tmpname()
  loadfile("bench/lib/large.lua")(made)
end

local function count()
  local n = 0
  for _ in eddy.lines(path or made) do n = n + 1 end
  return n
end

count()
local start = eddy.time()
local n = count()
print(("files_lines\teddy\t%.0f\tlines/s"):format(n / (eddy.time() - start)))
if made then os.remove(made) end
