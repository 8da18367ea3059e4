local stage = ...
local eddy = require "eddy"

-- Children that bytes go through: by exec, and by hand, several at a time.
local DATA = stage.pattern(4000)

return stage.calm(function()
  local out, _, code = eddy.exec("cat", nil, { input = DATA })
  stage.whole(DATA, out, "what came back")
  stage.equal(0, code, "its code", true)
  local function through(name)
    local child <close> = eddy.create_subprocess_exec("cat", nil, { stdin = "pipe", stdout = "pipe" })
    child.stdin:write(name, DATA)
    child.stdin:close()
    stage.whole(name .. DATA, child.stdout:read("a"), "what came through " .. name)
    stage.equal(0, child:wait(), "the code of " .. name, true)
  end
  eddy.gather(eddy.async(through)("one"), eddy.async(through)("two"))
end)
