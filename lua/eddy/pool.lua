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

--- f(item) for each item of the list, in chunks of so many (0: it chooses), on a pool of so many workers.
function pool.map(self, f, list, chunk, workers)
  local n = #list
  if chunk == 0 then chunk = math.max(1, math.ceil(n / (workers * CHUNKS))) end
  local starts, results = {}, { n = n }
  for first = 1, n, chunk do starts[#starts + 1] = first end
  eddy.map(function(first)
    local count = math.min(chunk, n - first + 1)
    local items = table.move(list, first, first + count - 1, 1, {})
    local part = eddy.run_in_executor(self, call_each, f, items, count)
    table.move(part, 1, count, first, results)
  end, starts, { concurrency = workers * AHEAD })
  return results
end

return pool
