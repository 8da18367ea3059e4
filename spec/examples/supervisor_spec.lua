-- examples/supervisor.lua with the eddy command: commands that end, that crash, that do not want to stop.

local eddy = require "eddy"

local root = os.getenv("EDDY_ROOT") or "."
local command = os.getenv("EDDY") or root .. "/build/release/eddy"

local function start(...)
  return eddy.create_subprocess_exec(command, { "examples/supervisor.lua", ... },
    { cwd = root, stdout = "pipe", stderr = "stdout" })
end

local function read_until(process, pattern)
  local lines = {}
  for line in process.stdout:lines() do
    lines[#lines + 1] = line
    if line:find(pattern) then return line, lines end
  end
  error("no line with " .. pattern .. " in:\n" .. table.concat(lines, "\n"))
end

local function is_there(pid) return os.execute(("kill -0 %s 2>/dev/null"):format(pid)) == true end

describe("examples/supervisor.lua", function()
  it("starts commands, passes their lines on, and stops them on SIGTERM", function()
    local process <close> = start("echo child $$; while :; do sleep 0.01; done")
    local pid = read_until(process, "child"):match "child (%d+)"
    process:send_signal "SIGHUP"
    read_until(process, "SIGHUP")
    assert.is_true(is_there(pid))
    process:terminate()
    local _, lines = read_until(process, "all have ended")
    assert.same({ "[supervisor]\tSIGTERM", "[1]\tstopping", "[supervisor]\tall have ended" }, lines)
    assert.equal(0, process:wait())
    assert.is_false(is_there(pid))
  end)

  it("starts them again when they end", function()
    local process <close> = start("exit 3", "kill -9 $$")
    read_until(process, "%[1%]\tended with\t3")
    read_until(process, "%[1%]\tended with\t3")
    read_until(process, "%[2%]\tended with\t%-9")
    process:terminate()
    assert.matches("all have ended\n$", process.stdout:read "a")
  end)

  it("lets them clean up", function()
    local process <close> = start("trap 'echo cleaned up; exit' TERM; echo ready; while :; do sleep 0.01; done")
    read_until(process, "ready")
    process:send_signal "SIGINT"
    read_until(process, "stopping")
    read_until(process, "all have ended")
    assert.equal(0, process:wait())
  end)
end)
