local stage = ...
local eddy = require "eddy"

-- add_reader and add_writer on a pipe of Lua's io; one that is closed behind it.
return function()
  local loop, event = eddy.get_running_loop(), eddy.Event()
  local pipe <close> = io.popen("echo line")
  loop:add_reader(pipe, event.set, event)
  event:wait()
  stage.check(loop:remove_reader(pipe), "no reader was there")
  stage.equal("line", pipe:read(), "what was read")
  local other = io.popen("exit 0")
  loop:add_reader(other, event.clear, event)
  eddy.sleep(0)
  other:close()
  eddy.sleep(0.001)
end
