local stage = ...
local eddy = require "eddy"

-- What main leaves behind: tasks that take their time, make new ones, fail at the end; a generator; a timer; an async
-- function that was called and never awaited.
return function()
  local loop = eddy.get_running_loop()
  for i = 1, 3 do
    eddy.create_task(function()
      local _ <close> = stage.hold(0.001)
      pcall(eddy.sleep, 5)
      eddy.sleep(0.001)
      eddy.create_task(eddy.sleep, 5)
      if i == 2 then error("boom: at the end", 0) end
    end)
  end
  loop:call_later(10, error, "boom")
  local ones = eddy.generator(function(yield)
    local _ <close> = stage.hold(0.001)
    while true do yield(1) end
  end)()
  ones:next()
  local lock = eddy.Lock()
  lock:acquire()
  eddy.create_task(function() lock:with(eddy.sleep, 1) end)
  eddy.create_task(function()
    local queue = eddy.Queue()
    return queue:get()
  end)
  eddy.sleep(0)
  return "left"
end
