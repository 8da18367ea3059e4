local stage = ...
local eddy = require "eddy"

-- sort, gsub and require of eddy, whose callbacks may wait.
package.preload["torture.sample"] = function()
  eddy.sleep(0.001)
  return { loaded = true }
end

-- They are loaded when they are asked for, by Lua's parser; but Lua 5.4 has a hole there that only a Lua shows which
-- moves its stack all the time: a collection within luaD_inctop, in luaY_parser, takes the closure that is being made.
if stage.is_hard then stage.equal("function", type(eddy.sort), "eddy.sort") end

return function()
  local list = { 5, 2, 8, 1, 9, 3 }
  eddy.sort(list, function(a, b)
    eddy.sleep(0)
    return a < b
  end)
  stage.equal("1 2 3 5 8 9", table.concat(list, " "), "sorted")
  local text, n = eddy.gsub("a-b-c", "%a", function(letter)
    eddy.sleep(0)
    return letter:upper()
  end)
  stage.check(text == "A-B-C" and n == 3, "replaced")
  package.loaded["torture.sample"] = nil
  stage.check(eddy.require("torture.sample").loaded, "required")
end
