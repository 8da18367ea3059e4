-- Clients that are slow, or say nothing: limits that a server puts around its reads, and on its connections.

local eddy = require "eddy"

local MANY <const> = 60

-- A server that answers a request, which an empty line ends, and gives up one that is not there, whole, after so many
-- seconds. Returns its port, and a table that counts.
local function serve(limit, options)
  local count = { late = 0, answered = 0, under_way = 0, most = 0 }
  local server = eddy.start_server(function(conn)
    count.under_way = count.under_way + 1
    count.most = math.max(count.most, count.under_way)
    local _ <close> = setmetatable({}, { __close = function() count.under_way = count.under_way - 1 end })
    if eddy.move_on_after(limit, conn.read_until, conn, "\n\n") then
      count.answered = count.answered + 1
      conn:write("answer\n")
    else
      count.late = count.late + 1
    end
  end, "127.0.0.1", 0, options)
  finally(function()
    server:close()
    server:abort_clients()
    server:wait_closed()
  end)
  local _, port = server:address()
  return port, count
end

-- Says nothing; returns what it has heard when the server has closed the connection.
local function idle(port)
  local conn <close> = eddy.open_connection("127.0.0.1", port)
  return conn:read("a")
end

-- Says a byte now and then, so that no single read takes long.
local function dribble(port)
  local conn <close> = eddy.open_connection("127.0.0.1", port)
  local reading = eddy.create_task(function()
    local ok, heard = pcall(conn.read, conn, "a")
    return ok and heard or ""                  -- a reset, where bytes were left unread
  end)
  while not reading:done() do
    if not pcall(function() conn:write("x"):drain() end) then break end
    eddy.wait({ reading }, { timeout = 0.02 })
  end
  return reading:await()
end

local function ask(port)
  local conn <close> = eddy.open_connection("127.0.0.1", port)
  conn:write("question\n\n")
  return conn:read()
end

-- As many of both kinds, in tasks of a group.
local function hoard(group, port)
  local tasks = {}
  for i = 1, MANY do tasks[i] = group:create_task(i % 2 == 0 and idle or dribble, port) end
  return tasks
end

describe("Clients that are slow or idle", function()
  it("are left at the limit of a timeout around reads, and harm no others", function()
    local port, count = serve(1)
    local group <close> = eddy.TaskGroup()
    local tasks = hoard(group, port)
    while count.under_way < MANY do eddy.sleep(0) end
    for _ = 1, 20 do assert.equal("answer", ask(port)) end
    assert.equal(0, count.late)                -- nobody had to wait for a limit
    for _, task in ipairs(tasks) do assert.equal("", task:await()) end
    assert.same({ MANY, 20, 0 }, { count.late, count.answered, count.under_way })
  end)

  it("cannot keep the places of max_connections from others", function()
    local port, count = serve(0.1, { max_connections = MANY // 4 })
    local group <close> = eddy.TaskGroup()
    local tasks = hoard(group, port)
    while count.under_way < MANY // 4 do eddy.sleep(0) end
    assert.equal("answer", ask(port))          -- which waits in the backlog for those before it
    for _, task in ipairs(tasks) do assert.equal("", task:await()) end
    assert.same({ MANY, 1, MANY // 4 }, { count.late, count.answered, count.most })
  end)
end)
