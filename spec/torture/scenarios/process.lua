local stage = ...
local eddy = require "eddy"

-- Children: with pipes, with an end that is waited for, in a scope, forgotten; exec.
return function()
  local process <close> = eddy.create_subprocess_exec("cat", { "-" }, { stdin = "pipe", stdout = "pipe" })
  process.stdin:write "text\n"
  stage.equal("text", process.stdout:read "l", "what came back")
  process.stdin:close()
  stage.equal(0, process:wait(), "the code")
  do
    local endless <close> = eddy.create_subprocess_shell("sleep 100", { env = { PATH = os.getenv "PATH" } })
    stage.check(endless.pid > 0, "no number")
  end
  eddy.create_subprocess_exec("true", nil, { stdin = "null", stderr = "null" })
  local err = stage.raises(eddy.OSError, eddy.create_subprocess_exec, "no-such-program", nil, { stdout = "pipe" })
  stage.check(err == nil or err.code ~= nil, "no code")
  local out, errors, code = eddy.exec("sh", { "-c", "cat; echo err >&2; exit 3" }, { input = "in" })
  stage.equal("in err\n 3", ("%s %s %s"):format(out, errors, code), "what exec returned", true)
end
