local stage = ...
local eddy = require "eddy"

-- A FIFO: who reads waits for who writes, and the other way round.
return function()
  local path = os.tmpname()
  os.remove(path)
  if not os.execute("mkfifo " .. path) then return end
  local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
  stage.may_report "EPIPE"   -- the reader may be cancelled
  local data = ("d"):rep(100000)
  local writer = eddy.create_task(function()
    local w <close> = eddy.open(path, "w")
    w:write("line\n", data)
  end)
  do
    local r <close> = eddy.open(path)
    stage.equal("line", r:read("l"), "the first line")
    stage.equal(#data, #r:read("a"), "the rest", true)
  end
  eddy.wait { writer }
end
