-- threads_channel.lua - How many small tables a second go from one thread to another over a channel?
local eddy = require "eddy"

local N <const> = 300000

eddy.run(function()
  local channel = eddy.Channel(1024)
  local start = eddy.time()
  local sender = eddy.thread(function(ch, n)
    for i = 1, n do ch:send({ i, "text" }) end
    ch:close()
  end, channel, N)
  local receiver = eddy.thread(function(ch) for _ in ch do end end, channel)
  eddy.gather(sender, receiver)
  print(("threads_channel\teddy\t%.0f\tmessages/s"):format(N / (eddy.time() - start)))
end)
