-- pool.lua - ThreadPool:map and ProcessPool:map: a list in chunks, a call for each, the results in order.

local eddy = require "eddy"

local pool = {}

local CHUNKS = 4 -- per worker, so that a slow one does not keep the others waiting
local AHEAD = 2  -- per worker, under way at once

-- In a worker: f for each of the n items.
local function call_each(f, items, n)
  local results = {}
  for i = 1, n do results[i] = (f(items[i])) end
  return results
end

-- What cannot be moved is named as whoever called map knows it: not what it is to call_each, but to f.
local function in_words_of_map(err, first, where)
  if type(err) ~= "string" or not err:find "^map: .* cannot be moved" then return err end
  local function item(i) return "item " .. first + i - 1 end
  local function result(start, i) return start .. "the result of " .. item(i) end
  local function argument(start, i) return start .. item(i) end
  local text, n = err:gsub("^(map: .-)result 1%[(%d+)%]", result)
  if n > 0 then return text end
  text, n = err:gsub("^(map: .-)argument 2%[(%d+)%]", argument)
  if n == 0 then text, n = err:gsub(" in argument 1: ", ": ", 1) end
  if n == 0 then text, n = err:gsub("^map: argument 1: ", "map: the function: ") end
  return n > 0 and where .. text or err
end

--- f(item) for each item of the list, in chunks of so many (0: it chooses), on a pool of so many workers, by
--- call(pool, f, ...), whose errors call it `map`.
function pool.map(self, f, list, chunk, workers, call)
  local n = #list
  if chunk == 0 then chunk = math.max(1, math.ceil(n / (workers * CHUNKS))) end
  local starts, results = {}, { n = n }
  for first = 1, n, chunk do starts[#starts + 1] = first end
  local caller = debug.getinfo(3, "Sl") -- beyond the method
  local where = caller and caller.currentline > 0 and ("%s:%d: "):format(caller.short_src, caller.currentline) or ""
  eddy.map(function(first)
    local count = math.min(chunk, n - first + 1)
    local items = table.move(list, first, first + count - 1, 1, {})
    local ok, part = pcall(call, self, call_each, f, items, count)
    if not ok then error(in_words_of_map(part, first, where), 0) end
    table.move(part, 1, count, first, results)
  end, starts, { concurrency = workers * AHEAD })
  return results
end

return pool
