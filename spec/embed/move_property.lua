-- move_property.lua - random values that move to another state and back are equal in structure, sharing and cycles.
-- Run by move.c; by hand: build/release/embed/move spec/embed/move_property.lua 100000 SEED
local host, cases, seed = ...
local eddy = require "eddy"

cases = math.tointeger(cases) or 2000
seed = math.tointeger(seed) or os.time()
math.randomseed(seed)
local random = math.random

-- --- Random values ---------------------------------------------------------------------------------------------------

local strings = { "", "id", "name", "a b", "\0", ("k"):rep(40), ("l"):rep(41), ("m"):rep(127), ("n"):rep(128),
  ("o"):rep(1024), ("p"):rep(5000) }
local own = { print, string.format, string, _G, eddy, eddy.sleep, table.concat, package.loaded, require,
  eddy.TimeoutError, eddy.Error, eddy.OSError }
local integers = { math.maxinteger, math.mininteger, 2^31 | 0, -2^31 | 0, 32768, -32769, 128, -129, 63, 64 }

local function random_string()
  if random(3) > 1 then return strings[random(#strings)] end
  local bytes = {}
  for i = 1, random(0, 20) do bytes[i] = string.char(random(0, 255)) end
  return table.concat(bytes)
end

local function random_number()
  local kind = random(6)
  if kind == 1 then return random(-100, 100) end
  if kind == 2 then return integers[random(#integers)] + random(-2, 2) end
  if kind == 3 then return random(0) end
  if kind == 4 then return (string.unpack("n", string.pack("j", random(0)))) end   -- any bits at all
  if kind == 5 then return random(-5, 5) / 2 end
  return random(0, 1) == 0 and 1 / 0 or -0.0
end

-- Functions whose upvalues are shared in several ways.
local function pair(a, b)
  local function get() return a, b end
  local function set(v) a, b = v, get end
  local function walk(n) return n == 0 and set or walk(n - 1) end
  return { get, set, walk, eddy.async(function() return print, b, string.format end) }
end

local made, id   -- this case's objects: tables and functions; the last number given to a table

local random_value

local function random_table(depth)
  id = id + 1
  local t = { __id = id }   -- to find a table again that is a key
  made[#made + 1] = t
  for i = 1, random(0, 6) do
    if random(8) > 1 then t[i] = random_value(depth) end
  end
  for _ = 1, random(0, 5) do
    local kind, key = random(10), "other"
    if kind <= 6 then key = random_string() end
    if kind == 7 then key = random_number() end
    if kind == 8 then key = random(0, 1) == 1 end
    if kind == 9 then key = random(1000) end
    if kind == 10 then key = random_value(depth) end
    if type(key) == "function" or type(key) == "userdata" or key == nil or key ~= key or key == "__id"
      or type(key) == "table" and not rawget(key, "__id") then
      key = "other"
    end
    rawset(t, key, random_value(depth))
  end
  if random(10) == 1 then setmetatable(t, random_table(depth)) end
  return t
end

function random_value(depth)
  local kind = random(20)
  if depth <= 0 and kind > 12 then kind = random(12) end
  if kind <= 3 then return random_number() end
  if kind <= 6 then return random_string() end
  if kind == 7 then return random(0, 1) == 1 end
  if kind == 8 then return own[random(#own)] end
  if kind == 9 then return eddy.buffer(random_string()) end
  if kind == 10 then return nil end
  if kind <= 13 then
    if #made > 0 then return made[random(#made)] end
    return false
  end
  if kind == 14 then
    local functions = pair(random_value(depth - 1), random_value(depth - 1))
    for _, f in ipairs(functions) do made[#made + 1] = f end
    return functions[random(4)]
  end
  if kind == 15 then return eddy.TimeoutError(random_value(depth - 1)) end
  return random_table(depth - 1)
end

-- --- Equality --------------------------------------------------------------------------------------------------------

local there, back   -- which object, or upvalue, is which

-- Notes that a and b are the same; returns whether that was known, and raises if one of them is another's.
local function match(a, b, what)
  if there[a] ~= nil or back[b] ~= nil then
    if there[a] ~= b or back[b] ~= a then error(what .. ": sharing differs") end
    return true
  end
  there[a], back[b] = b, a
  return false
end

local bits = string.pack
local compare

local function compare_tables(a, b, path)
  local count, keys = 0, {}
  for key in next, b do
    count = count + 1
    if type(key) == "table" then keys[rawget(key, "__id")] = key end
  end
  for key, value in next, a do
    count = count - 1
    local other = key
    if type(key) == "table" then
      other = keys[rawget(key, "__id")]
      if other == nil then error(path .. ": a key is missing") end
      compare(key, other, path .. "<key>")
    end
    compare(value, rawget(b, other), path .. "." .. tostring(key))
  end
  if count ~= 0 then error(path .. ": number of fields differs") end
  compare(debug.getmetatable(a), debug.getmetatable(b), path .. "<meta>")
end

local function compare_functions(a, b, path)
  if debug.getinfo(a, "S").what == "C" then   -- an async function
    if not eddy.iscoroutinefunction(b) then error(path .. ": is not async") end
    return compare(select(2, debug.getupvalue(a, 2)), select(2, debug.getupvalue(b, 2)), path .. "<async>")
  end
  if string.dump(a) ~= string.dump(b) then error(path .. ": code differs") end
  for i = 1, 255 do
    local name, value = debug.getupvalue(a, i)
    local name2, value2 = debug.getupvalue(b, i)
    if name ~= name2 then error(path .. ": upvalues differ") end
    if not name then break end
    match(debug.upvalueid(a, i), debug.upvalueid(b, i), path .. ":" .. name)
    compare(value, value2, path .. ":" .. name)
  end
end

function compare(a, b, path)
  local kind = type(a)
  if kind ~= type(b) then error(("%s: %s became %s"):format(path, kind, type(b))) end
  if kind == "number" then
    local same = math.type(a) == math.type(b) and
      (math.type(a) == "integer" and a == b or math.type(a) == "float" and bits("n", a) == bits("n", b))
    if not same then error(("%s: %s became %s"):format(path, a, b)) end
  elseif kind == "table" or kind == "function" then
    if rawequal(a, b) or match(a, b, path) then return end   -- the same: one of each state's own
    if kind == "table" then compare_tables(a, b, path) else compare_functions(a, b, path) end
  elseif kind == "userdata" then
    if not match(a, b, path) and tostring(a) ~= tostring(b) then error(path .. ": bytes differ") end
  elseif not rawequal(a, b) then
    error(("%s: %s became %s"):format(path, tostring(a), tostring(b)))
  end
end

-- --- The test --------------------------------------------------------------------------------------------------------

local start, objects = os.clock(), 0
for case = 1, cases do
  made, id, there, back = {}, 0, {}, {}
  local values = table.pack(random_value(4), random_value(4), random_value(2))
  local got = table.pack(host.move(table.unpack(values, 1, values.n)))
  local ok, err = pcall(function()
    if got.n ~= values.n then error("number of values differs") end
    for i = 1, values.n do compare(values[i], got[i], "value " .. i) end
  end)
  if not ok then error(("%s (case %d, seed %d)"):format(err, case, seed), 0) end
  objects = objects + #made
end
print(("%d cases, %d objects, seed %d: %.1f s"):format(cases, objects, seed, os.clock() - start))
