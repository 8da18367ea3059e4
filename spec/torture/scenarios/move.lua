local stage = ...
local eddy = require "eddy"

local LONG <const> = ("b"):rep(2000)   -- not in the scenario: Lua's own buffers do not survive every fault

-- A channel: values of all kinds that are packed and unpacked, and some that cannot move.
return function()
  local channel = eddy.Channel(1)
  local function moved(value)
    channel:send(value)
    return channel:recv()
  end
  local list = { "a", LONG, { 1.5, { true } } }
  list.me = list
  local copy = moved(list)
  stage.check(copy ~= list and copy.me == copy and copy[3][2][1] == true, "a table")
  local wide = {}
  for i = 1, 40 do wide[i] = { i, name = "name" } end
  stage.equal(40, moved(wide)[40][1], "many tables")
  local n = 0
  local functions = moved { function() n = n + 1 end, function() return n end, print }
  functions[1]()
  stage.equal(1, functions[2](), "a variable that functions share")
  local Mine = eddy.Error:extend("Mine")
  stage.check(moved(Mine("x")):is(Mine), "an error")
  stage.equal("y", moved(setmetatable({}, { __index = { x = "y" } })).x, "a metatable")
  local buffer = eddy.buffer("bytes")
  local other = moved { buffer, buffer }
  other[1]:set(1, 66)
  stage.equal("Bytes bytes", tostring(other[2]) .. " " .. tostring(buffer), "a buffer")
  stage.raises("argument 1.a[1]: userdata cannot be moved", channel.send, channel, { a = { io.stdout } })
  channel:close()
end
