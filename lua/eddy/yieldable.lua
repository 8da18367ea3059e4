-- eddy.sort, eddy.gsub, eddy.require: like Lua's, but the callback (the module's main chunk) may wait. A call from Lua
-- to Lua can be suspended, one from C's sort and gsub cannot, so these are written in Lua. Loaded when first
-- asked for; described in meta/core.lua.
local eddy = require "eddy"

local find, sub, concat, pack, unpack = string.find, string.sub, table.concat, table.pack, table.unpack

local M = {}

local function check(value, kind, n, name)
  if type(value) ~= kind then
    local got = value == nil and "nil" or type(value)
    error(("bad argument #%d to '%s' (%s expected, got %s)"):format(n, name, kind, got), 3)
  end
end

local function less(a, b) return a < b end

-- Merges the runs from[low..middle] and from[middle+1..high] into to[low..high]; equal ones keep their order.
local function merge(from, to, low, middle, high, before)
  local left, right = low, middle + 1
  for place = low, high do
    if right > high or (left <= middle and not before(from[right], from[left])) then
      to[place], left = from[left], left + 1
    else
      to[place], right = from[right], right + 1
    end
  end
end

-- A merge sort. The list is written when all is compared.
function M.sort(list, before)
  check(list, "table", 1, "sort")
  if before ~= nil then check(before, "function", 2, "sort") end
  local n, width = #list, 1
  local from, to = {}, {}
  for i = 1, n do from[i] = list[i] end
  while width < n do
    for low = 1, n, 2 * width do
      merge(from, to, low, math.min(low + width - 1, n), math.min(low + 2 * width - 1, n), before or less)
    end
    from, to, width = to, from, 2 * width
  end
  for i = 1, n do list[i] = from[i] end
end

-- What stands for a match; `whole` is its text, the captures begin at 3.
local function replacement(repl, whole, match)
  local value
  if type(repl) == "function" then
    if match.n > 2 then value = repl(unpack(match, 3, match.n)) else value = repl(whole) end
  else
    value = repl[match.n > 2 and match[3] or whole]
  end
  if not value then return whole end
  if type(value) ~= "string" and type(value) ~= "number" then
    error(("invalid replacement value (a %s)"):format(type(value)), 3)
  end
  return tostring(value)
end

function M.gsub(s, pattern, repl, max)
  if type(s) == "number" then s = tostring(s) end
  check(s, "string", 1, "gsub")
  if type(pattern) == "number" then pattern = tostring(pattern) end
  check(pattern, "string", 2, "gsub")
  if type(repl) ~= "function" and type(repl) ~= "table" then return s:gsub(pattern, repl, max) end
  if max ~= nil and math.tointeger(max) == nil then check(max, "number", 4, "gsub") end
  local out, n, pos, count, last = {}, 0, 1, 0, nil
  local anchored = sub(pattern, 1, 1) == "^"
  max = max or #s + 1
  while count < max do
    local match = pack(find(s, pattern, pos))
    local first, behind = match[1], match[2] and match[2] + 1
    if not first then break end
    if first > pos then
      n = n + 1
      out[n] = sub(s, pos, first - 1)
      pos = first
    end
    if behind == last then   -- empty, where the one before has ended
      if pos > #s then break end
      n = n + 1
      out[n] = sub(s, pos, pos)
      pos = pos + 1
    else
      count, n = count + 1, n + 1
      out[n] = replacement(repl, sub(s, first, behind - 1), match)
      pos, last = behind, behind
    end
    if anchored or pos > #s + 1 then break end
  end
  out[n + 1] = sub(s, pos)
  return concat(out), count
end

local loading = {}   -- by name: the future that the task which loads it will settle, and that task

-- What package.searchers find for the module: its loader and the loader's second argument.
local function search(name)
  local complaints = {}
  for _, searcher in ipairs(package.searchers) do
    local loader, extra = searcher(name)
    if type(loader) == "function" then return loader, extra end
    if type(loader) == "string" then complaints[#complaints + 1] = (loader:gsub("^\n?", "\n")) end
  end
  error(("module '%s' not found:%s"):format(name, concat(complaints)), 4)
end

local function load(name)
  local loader, extra = search(name)
  local value = loader(name, extra)
  if value ~= nil then package.loaded[name] = value
  elseif package.loaded[name] == nil then package.loaded[name] = true end
  return package.loaded[name], extra
end

-- A second task that requires the module meanwhile waits for the first.
function M.require(name)
  check(name, "string", 1, "require")
  if package.loaded[name] then return package.loaded[name] end
  local task = eddy.current_task()
  if not task then return load(name) end
  local other = loading[name]
  if other and not other.task:done() then
    if other.task == task then error(("module '%s' requires itself"):format(name), 2) end
    eddy.shield(other.future)
    return M.require(name)
  end
  local mine = { task = task, future = eddy.get_running_loop():create_future() }
  local _ <close> = setmetatable({}, { __close = function()
    if loading[name] == mine then loading[name] = nil end
    if not mine.future:done() then mine.future:set_result() end
  end })
  loading[name] = mine
  return load(name)
end

return M
