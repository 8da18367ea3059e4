-- script/run examples/supervisor.lua [COMMAND...]: keeps shell commands running; SIGTERM or Ctrl-C stops them in order.
local eddy = require "eddy"

local MAX_PAUSE <const>, GRACE <const> = 5, 3   -- seconds: between restarts; from SIGTERM to SIGKILL

local function log(name, ...) print(("[%s]"):format(name), ...) end

-- Sends SIGTERM to the command and what it has started, and waits; what is still there then is killed by the scope.
local function stop(name, process)
  if not process or process.returncode then return end
  log(name, "stopping")
  process:terminate()
  if not eddy.move_on_after(GRACE, process.wait, process) then log(name, "does not stop: killed") end
end

-- One life of a command: from its start to its end.
local function live(name, command)
  local process <close> = eddy.create_subprocess_shell(command, { stdin = "null", stdout = "pipe", group = true })
  local _ <close> = setmetatable({}, { __close = function() stop(name, process) end })
  log(name, "started as", process.pid)
  for line in process.stdout:lines() do log(name, line) end
  return process:wait()
end

-- Starts it again whenever it ends, after a pause that grows while it keeps failing at once.
local function supervise(name, command)
  local pause = 0.1
  while true do
    local before = eddy.time()
    local ok, code = eddy.pcall(live, name, command)
    log(name, ok and "ended with" or "failed:", code)
    pause = eddy.time() - before > MAX_PAUSE and 0.1 or math.min(2 * pause, MAX_PAUSE)
    eddy.sleep(pause)
  end
end

local function main(...)
  local commands = { ... }
  if #commands == 0 then commands = { "while :; do date; sleep 1; done", "echo I crash; exit 1" } end
  io.stdout:setvbuf "line"
  eddy.TaskGroup(function(group)
    for i, command in ipairs(commands) do group:create_task(supervise, i, command) end
    for signal in eddy.signals("SIGTERM", "SIGINT", "SIGHUP") do
      log("supervisor", signal)
      if signal ~= "SIGHUP" then break end
    end
    group:cancel()   -- each command is stopped as its task is cancelled
  end)
  log("supervisor", "all have ended")
end

eddy.run(main, ...)
