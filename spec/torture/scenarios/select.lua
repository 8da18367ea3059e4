local stage = ...
local eddy = require "eddy"

-- select: the first of a queue, a future, a time; nothing is taken from the others.
return function()
  local loop = eddy.get_running_loop()
  local queue, future = eddy.Queue(), loop:create_future()
  loop:call_later(0.001, function() queue:put_nowait("a") end)
  local i, value = eddy.select { future, queue, 1 }
  stage.check(i == 2 and value == "a" or stage.starved(), "the queue")
  future:set_result(1, 2, 3)
  local j, _, _, c = eddy.select { queue, future }
  stage.check(j == 2 and c == 3, "the future")
  stage.equal(2, (eddy.select { queue, 0.001 }), "time")
  queue:put_nowait("left")
  stage.equal(1, (eddy.select { future, queue }), "both are there")
  stage.equal("left", queue:get_nowait(), "nothing is lost")
end
