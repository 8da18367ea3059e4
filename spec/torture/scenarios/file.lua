local stage = ...
local eddy = require "eddy"

-- Files: two tasks that share one, long and short writes, formats, seek, truncate, lines that are left.
return function()
  local path = stage.folder()
  stage.may_report "on a closed file"              -- of the second task, when the first has failed
  local long = ("x"):rep(70000)
  do
    local f <close> = eddy.open(path, "w")
    eddy.gather(stage.in_order(function() f:write("one\n", long, "\n") end,
      function() f:write { "two\n", "3 4\n" } end))
    f:flush()
    stage.equal(70013, f:seek("cur", 0), "the size")
  end
  local f <close> = eddy.open(path, "r+")
  stage.equal("one", f:read("l"), "the first line")
  local both = eddy.gather(stage.in_order(function() return f:read("l") end, function() return f:read("L") end))
  stage.equal(70000, #both[1], "the long line")
  stage.equal("two\n", both[2], "the line after it")
  local x, y = f:read("n", "n")
  stage.equal(7, x + y, "numbers")
  f:seek("set", 4)
  f:write("Y"):truncate(6):sync()
  stage.equal(6, f:stat().size, "what is left")
  for line in eddy.lines(path, "L") do
    if line == "one\n" then break end
    stage.check(false, "lines")
  end
  stage.equal("one\nYx", eddy.fs.read_file(path), "all of it")
end
