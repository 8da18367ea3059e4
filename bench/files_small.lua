-- files_small.lua - How many files of 4 KiB a second are written, then read?
-- 20,000 files, 64 at a time, in a directory of their own below $BENCH_FILES, by default in memory (/dev/shm).
local eddy = require "eddy"

local FILES <const>, AT_ONCE <const> = 20000, 64
local data = ("x"):rep(4096)
local dir = ("%s/eddy-bench-%06x"):format(os.getenv("BENCH_FILES") or "/dev/shm", math.random(0xffffff))
eddy.fs.mkdir(dir)

local function every(f)
  local taken = 0
  local function worker()
    while taken < FILES do
      taken = taken + 1
      f(dir .. "/" .. taken)
    end
  end
  local start = eddy.time()
  do
    local group <close> = eddy.TaskGroup()
    for _ = 1, AT_ONCE do group:create_task(worker) end
  end
  return FILES / (eddy.time() - start)
end

print(("files_small.write\teddy\t%.0f\tfiles/s"):format(every(function(path) eddy.fs.write_file(path, data) end)))
print(("files_small.read\teddy\t%.0f\tfiles/s"):format(every(function(path)
  assert(#eddy.fs.read_file(path) == 4096)
end)))
for i = 1, FILES do os.remove(dir .. "/" .. i) end
os.remove(dir)
