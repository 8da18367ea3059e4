-- move.lua - What does it cost to move values from one Lua state to another?
-- Run with the host of the specs: build/release/embed/move bench/lib/move.lua
local host = ...

local function row(name, count, unit, rounds, ...)
  local best, pack, unpack = math.huge, nil, nil
  for _ = 1, 5 do
    collectgarbage()
    local packing, unpacking = host.measure(rounds, math.min(rounds, rounds < 1000 and 1 or 100), ...)
    if packing + unpacking < best then best, pack, unpack = packing + unpacking, packing, unpacking end
  end
  local n = count * rounds / 1e6
  print(("%-28s %8.2f pack %8.2f unpack %8.2f both   %s"):format(name, n / pack, n / unpack, n / best, unit))
end

row("{id=1,name='x',1,2,3}", 1, "M tables/s", 100000, { id = 1, name = "x", 1, 2, 3 })
row("nothing", 1, "M parcels/s", 300000)
row("an integer", 1, "M parcels/s", 300000, 42)
row("a string of 10", 1, "M parcels/s", 300000, "0123456789")

local numbers, floats, strings, records, pairs_, nested = {}, {}, {}, {}, {}, {}
for i = 1, 1000000 do numbers[i], floats[i] = i, i + 0.5 end
for i = 1, 100000 do
  strings[i] = "item " .. i
  records[i] = { id = i, name = "name", x = i * 0.5, ok = true }
  pairs_["key " .. i] = i
  nested = { nested }
end
row("1M integers", 1000000, "M values/s", 5, numbers)
row("1M floats", 1000000, "M values/s", 5, floats)
row("100k strings", 100000, "M values/s", 20, strings)
row("100k records of 4 fields", 100000, "M records/s", 5, records)
row("100k string keys", 100000, "M pairs/s", 10, pairs_)
row("100k tables deep", 100000, "M tables/s", 10, nested)
local upvalue = 1
row("a function of 1 upvalue", 1, "M functions/s", 100000, function(x) upvalue = upvalue + x return upvalue end)
row("print", 1, "M parcels/s", 300000, print)
row("string of 100 MiB", 100 * 2^20 / 1e3, "GB/s", 5, ("x"):rep(100 * 2^20))
row("string of 1 MiB", 2^20 / 1e3, "GB/s", 100, ("x"):rep(2^20))
row("string of 16 KiB", 2^14 / 1e3, "GB/s", 10000, ("x"):rep(2^14))
