-- script/run examples/chat_server.lua [PORT]: a chat; join with: nc 127.0.0.1 PORT, and type a name. Ctrl-C ends it.
local eddy = require "eddy"

local members = {}                                 -- connection to name

local function tell_all(text, except)
  print(text)
  for conn in pairs(members) do
    -- A member who does not read must not hold up the others: each is written to in a task of its own.
    if conn ~= except then eddy.create_task(pcall, conn.write, conn, text, "\n") end
  end
end

local function serve_member(conn)                  -- runs in a task of its own; conn is closed after it
  local name = conn:write("your name? "):read()
  if not name or name == "" then return end
  members[conn] = name
  local _ <close> = setmetatable({}, { __close = function()       -- however it ends: a reset too
    members[conn] = nil
    tell_all(name .. " has left")
  end })
  tell_all(name .. " has come", conn)
  for line in conn:lines() do tell_all(name .. ": " .. line, conn) end
end

local function main(port)
  local server <close> = eddy.start_server(serve_member, "127.0.0.1", port)
  print("listening on", server:address())
  server:serve_forever()
end

local port = math.tointeger(tonumber(arg[1] or 0))
if not port then
  io.stderr:write("usage: chat_server.lua [PORT]\n")
  os.exit(2)
end
local ok, err = pcall(eddy.run, main, port)
if not ok and not eddy.is_error(err, eddy.OSError) then error(err, 0) end
if not ok then                                     -- the port is taken, say
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
