local stage = ...
local eddy = require "eddy"

-- A pipe: many lines of many lengths, more than it holds, and each comes as it went.
local DATA = stage.pattern(9000)

return stage.calm(function()
  local reader, writer = eddy.pipe()
  local _ <close> = reader
  local _ <close> = writer
  stage.may_report "on a closed stream" -- of the one who writes, when the one who reads has failed
  local lines, n = {}, 0
  eddy.gather(stage.calm(function()
    for line in DATA:gmatch("[^\n]*\n?") do writer:write(line) end
    writer:shutdown()
  end), stage.calm(function()
    for line in reader:lines("L") do
      n = n + 1
      lines[n] = line
    end
  end))
  stage.whole(DATA, table.concat(lines), "what came")
end)
