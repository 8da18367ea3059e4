local stage = ...
local eddy = require "eddy"

-- Signals: an iterator, a handler that removes itself, a select; several listeners at once.
local function send(name) io.popen("kill -" .. name .. " $PPID"):close() end

return function()
  local loop, handled = eddy.get_running_loop(), 0
  local first <close> = eddy.signals("SIGUSR1", "SIGUSR2")
  local second <close> = eddy.signals("SIGUSR1")
  loop:add_signal_handler("SIGUSR1", function()
    handled = handled + 1
    loop:remove_signal_handler("SIGUSR1")
  end)
  local task = stage.start(function()
    local third <close> = eddy.signals("SIGUSR1")
    return third()
  end)
  send "USR1"
  send "USR2"
  stage.equal("SIGUSR1", first(), "the first signal")
  stage.equal("SIGUSR2", first:next(), "the second signal")
  local i, name = eddy.select { second }
  stage.equal("1 SIGUSR1", i .. " " .. name, "what was selected")
  stage.equal("SIGUSR1", task:await(), "the task's signal")
  eddy.sleep(0)
  stage.check(handled <= 1, "handled twice")
end
