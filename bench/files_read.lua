-- files_read.lua - How fast is a large file read in pieces of 64 KiB, from the page cache (disk) and from tmpfs?
-- 256 MiB four times. $BENCH_LARGE and $BENCH_LARGE_MEMORY name the files; without them a temporary one is read.
local eddy = require "eddy"

local ROUNDS <const>, PIECE <const> = 4, 65536

local function read_all(path)
  local total = 0
  for _ = 1, ROUNDS do
    local file <close> = eddy.open(path, "rb")
    while true do
      local data = file:read(PIECE)
      if not data then break end
      total = total + #data
    end
  end
  return total
end

local function measure(name, path)
  read_all(path)                                  -- brings it into the page cache
  local start = eddy.time()
  local total = read_all(path)
  print(("files_read.%s\teddy\t%.0f\tMB/s"):format(name, total / (eddy.time() - start) / 1e6))
end

local made
local disk, memory = os.getenv("BENCH_LARGE"), os.getenv("BENCH_LARGE_MEMORY")
if not disk then
  made = os.tmpname()
  loadfile("bench/lib/large.lua")(made)
end
measure("disk", disk or made)
if memory then measure("memory", memory) end
if made then os.remove(made) end
