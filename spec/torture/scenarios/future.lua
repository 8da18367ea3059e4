local stage = ...
local eddy = require "eddy"

-- Futures: several waiters, results with nils, errors, cancelled by one of its waiters, a ring of tasks.
return function()
  local loop = eddy.get_running_loop()
  local future = loop:create_future()
  local tasks = {}
  for i = 1, 3 do tasks[i] = eddy.create_task(function() return select("#", future:await()) end) end
  eddy.sleep(0)
  future:set_result(nil, 2, nil)
  for i = 1, 3 do stage.equal(3, tasks[i]:await(), "results") end

  local failing = loop:create_future()
  local waiter = eddy.create_task(function() return failing:await() end)
  loop:call_soon(function()
    if not failing:done() then failing:set_exception("boom") end
  end)
  stage.raises("boom", eddy.await, waiter)
  stage.equal("boom", failing:exception(), "its error")
  local shared = loop:create_future()
  local one = stage.start(function() return shared:await() end)
  one:cancel()
  stage.raises(eddy.CancelledError, eddy.await, one)
  stage.check(shared:cancelled(), "cancelled by its waiter")
  local a, b
  a = eddy.create_task(function() return eddy.await(b) end)
  b = eddy.create_task(function() return eddy.await(a) end)
  eddy.sleep(0)
  eddy.sleep(0)
  a:cancel()
  eddy.wait { a, b }
  stage.check(a:cancelled() and b:cancelled() or stage.starved(), "a ring")
end
