-- script/run examples/asyncio/21_forgotten.lua: opens 100 connections and forgets them; each is warned of, none leaks.
local eddy = require "eddy"

local function sockets()                           -- how many this process has open
  local count = 0
  for fd in eddy.fs.scandir("/proc/self/fd") do
    local ok, target = pcall(eddy.fs.readlink, "/proc/self/fd/" .. fd)
    if ok and target:find("^socket:") then count = count + 1 end
  end
  return count
end

local function forget(host, port)
  for _ = 1, 100 do
    eddy.open_connection(host, port):write("hello")  -- no variable holds it, nobody closes it
  end
end

local function main()
  local server <close> = eddy.start_server(function(conn) conn:read("a") end, "127.0.0.1", 0)
  local before = sockets()
  forget(server:address())
  collectgarbage()                                 -- closes who is forgotten, with a ResourceWarning and its line
  collectgarbage()
  for _ = 1, 500 do                                -- until the server has seen the end of each
    if sockets() == before then break end
    eddy.sleep(0.01)
  end
  print("leaked: " .. sockets() - before)
end

warn("@on")                                        -- the eddy command has done this
eddy.run(main)
