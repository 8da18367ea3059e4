-- Ports of 127.0.0.1 that specs need.

local eddy = require "eddy"
local ending = require "spec.support.ending"

local ports = {}

---One at which nobody listens: it was free just now.
function ports.free()
  local server = eddy.start_server(print, "127.0.0.1", 0)
  local _, port = server:address()
  server:close()
  server:wait_closed()
  return port
end

---One at which a server answers with f, or reads what comes; it is closed with the test, whose `finally` is given.
---Returns the server, too.
function ports.served(finally, f, options)
  local server = eddy.start_server(f or function(conn) conn:read("a") end, "127.0.0.1", 0, options)
  ending(finally, function()
    server:close()
    server:abort_clients()
    server:wait_closed()
  end)
  return select(2, server:address()), server
end

---One that answers nobody, as its backlog is full, so that connecting to it takes for ever; on other addresses of this
---host it is free. It is closed with the test, whose `finally` is given.
function ports.silent(finally)
  local function hold() eddy.sleep(math.huge) end
  local server = eddy.start_server(hold, "127.0.0.1", 0, { backlog = 1, max_connections = 1 })
  local _, port = server:address()
  local held = {}
  ending(finally, function()
    for _, conn in ipairs(held) do conn:abort() end
    server:close()
    server:abort_clients()
    for _, task in ipairs(eddy.all_tasks()) do
      if task ~= eddy.current_task() then task:cancel() end
    end
    server:wait_closed()
  end)
  for _ = 1, 8 do
    local ok, conn = pcall(eddy.open_connection, "127.0.0.1", port, { timeout = 0.05 })
    if ok then held[#held + 1] = conn end
  end
  return port
end

return ports
