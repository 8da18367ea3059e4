local stage = ...
local eddy = require "eddy"

-- PriorityQueue: by value, by __lt, by key.
return function()
  local queue = eddy.PriorityQueue()
  for _, value in ipairs { 5, 3, 9, 1, 7, 2, 8, 6, 4 } do queue:put(value) end
  local out = {}
  for i = 1, 9 do out[i] = queue:get() end
  stage.equal("1 2 3 4 5 6 7 8 9", table.concat(out, " "), "in order")

  local less = { __lt = function(a, b) return a.k < b.k end }
  local function item(k) return setmetatable({ k = k }, less) end
  local getter = eddy.create_task(function()
    local keys = {}
    for i = 1, 3 do keys[i] = queue:get().k end
    return table.concat(keys, " ")
  end)
  queue:put(item(2))
  queue:put(item(1))
  queue:put(item(3))
  stage.equal("1 2 3", getter:await(), "by __lt")

  local keyed = eddy.PriorityQueue(2, { key = function(value) return -value end })
  keyed:put(1)
  keyed:put(2)
  stage.equal(2, keyed:get(), "by key")
end
