local stage = ...
local eddy = require "eddy"

-- A deadlock: the run ends with an error that names the tasks, and all is unwound.
return function()
  stage.may_deadlock()
  local loop = eddy.get_running_loop()
  local ended = 0
  local function stuck()
    local _ <close> = setmetatable({}, { __close = function() ended = ended + 1 end })
    loop:create_future():await()
  end
  local tasks = { eddy.create_task(stuck), eddy.create_task(stuck) }
  eddy.sleep(0.001)
  local _ <close> = setmetatable({}, { __close = function()
    eddy.wait(tasks)
    stage.equal(2, ended, "unwound", true)
  end })
  loop:create_future():await()
end
