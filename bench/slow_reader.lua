-- slow_reader.lua - How much memory does a GiB take on its way through an echo whose reader is slower than the writer?
-- Server and client are this program. .memory is the growth of the peak of its resident memory over what it was when
-- the connection was open; BENCH_BYTES sends another amount.
local eddy = require "eddy"

local TOTAL, PIECE = tonumber(os.getenv("BENCH_BYTES")) or 1 << 30, ("x"):rep(65536)

local function peak() -- bytes
  for line in io.lines("/proc/self/status") do
    local kilobytes = line:match("^VmHWM:%s+(%d+)")
    if kilobytes then return kilobytes * 1024 end
  end
end

local server <close> = eddy.start_server(function(conn)
  for data in conn:lines(65536) do conn:write(data) end
end, "127.0.0.1", 0)
local conn <close> = eddy.open_connection(server:address())
local before, start = peak(), eddy.time()

local writer = eddy.create_task(function()
  for _ = 1, TOTAL // #PIECE do conn:write(PIECE) end
  conn:shutdown()
end)

local got = 0
for data in conn:lines(65536) do
  got = got + #data
  if got % (16 << 20) < #data then eddy.sleep(0.001) end -- the writer runs against a full queue
end
writer:await()
assert(got == TOTAL)
print(("slow_reader\teddy\t%.0f\tMB/s"):format(TOTAL / (eddy.time() - start) / 1e6))
print(("slow_reader.memory\teddy\t%.0f\tbytes"):format(peak() - before))
