local stage = ...
local eddy = require "eddy"

-- add_writer and add_reader on pipes of Lua's io; one that is closed behind it.
return function()
  local loop, called = eddy.get_running_loop(), false
  local pipe <close> = io.popen("cat >/dev/null", "w")
  local _ <close> = setmetatable({}, { __close = function() loop:remove_writer(pipe) end })
  loop:add_writer(pipe, function() called = true end)
  for _ = 1, 1500 do   -- libuv is asked a few times; not until it was called, as without memory it never is
    if called then break end
    eddy.sleep(0)
  end
  stage.equal(true, called, "the writer was called", true)
  loop:remove_writer(pipe)   -- virtual time stands still while it is called
  local other <close> = io.popen("exit 0")
  loop:add_reader(other, function() end)
  eddy.sleep(0)
  other:close()
  eddy.sleep(0.001)
end
