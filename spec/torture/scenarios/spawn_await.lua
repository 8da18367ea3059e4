local stage = ...
local eddy = require "eddy"

-- create_task and await: arguments and results with nils, a task awaited twice, one that ends first, more tasks than
-- the pool's first block has slots.
return function()
  local function echo(...)
    eddy.sleep(0)
    return ...
  end
  local task = eddy.create_task(echo, 1, nil, 3, nil)
  local a, b, c, d = eddy.await(task)
  stage.check(a == 1 and b == nil and c == 3 and d == nil, "results with nils")
  stage.equal(4, select("#", task:await()), "results, once more")

  local tasks, sum = {}, 0
  for i = 1, 70 do tasks[i] = eddy.create_task(echo, i) end
  for i = 70, 1, -1 do sum = sum + eddy.await(tasks[i]) end
  stage.equal(2485, sum, "sum")

  local inner = eddy.create_task(function() return eddy.await(eddy.create_task(echo, "deep")) end)
  stage.equal("deep", eddy.await(inner), "through two")
end
