-- move_seeds.lua - writes the first inputs for the fuzzer beside it: build/release/embed/move spec/fuzz/move_seeds.lua
local host = ...
local eddy = require "eddy"

local a, deep = {}, nil
a.me, a[a] = a, true
for i = 1, 20 do deep = { deep, i } end
local Mine = eddy.RuntimeError:extend("Mine")
Mine.code = 5
local long = ("y"):rep(1500)

local seeds = {
  scalars = { nil, true, false, 0, 63, 64, -1, 300, 70000, 2^40 | 0, 0.5, "", "x", ("x"):rep(200) },
  tables = { { 1, 2, 3, id = 1, [2.5] = "y" }, a, a, { {}, { {} } } },
  strings = { { name = "abc" }, { name = "abc" }, { name = "abc" }, long, long },
  metatables = { setmetatable({ 1 }, { __index = { x = 1 }, __mode = "k" }) },
  errors = { eddy.TimeoutError("late"), eddy.OSError { code = "EIO" }, eddy.Error },
  classes = { Mine("x"), Mine },
  buffers = { eddy.buffer("bytes"), eddy.buffer(0) },
  names = { print, string.format, string, _G },
  deep = { deep },
  wrapped = { eddy.async(print), eddy.generator(print), eddy.ContextVar("v", { 1 }) },
}
for name, values in pairs(seeds) do
  local n = 0
  for i in pairs(values) do n = math.max(n, i) end
  local wire = host.bytes(table.unpack(values, 1, n))
  local count, objects, kept, at = string.unpack("I4I4I4", wire, 25)
  local file <close> = assert(io.open("spec/fuzz/move/" .. name, "wb"))
  file:write(string.pack("BI2I2I2", 1, count, objects, kept), wire:sub(host.head + 1))
  assert(at == 37)
end
