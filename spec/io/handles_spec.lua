-- What is opened and closed very often, and what is forked from the process meanwhile.

local eddy = require "eddy"

require("eddy.busted").timeout = 120 -- under the sanitizers

-- How often, and what opens one and closes it; returns what the collector is to take.
local KINDS = {
  ["a stream in memory"] = { 10000, function()
    local near, far = eddy.stream_pair()
    near:close()
    far:abort()
    return near
  end },
  ["a pipe"] = { 10000, function()
    local reader, writer = eddy.pipe()
    reader:close()
    writer:close()
    return reader
  end },
  ["a datagram socket"] = { 10000, function()
    local socket = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }
    socket:close()
    return socket
  end },
  ["a connection"] = { 1000, function(server)
    local conn <close> = eddy.open_connection(server:address())
    return conn
  end },
  ["a server"] = { 2000, function()
    local server <close> = eddy.start_server(print, "127.0.0.1", 0)
    return server
  end },
  ["a file"] = { 10000, function()
    local file <close> = eddy.open "/dev/null"
    return file
  end },
  ["signals"] = { 10000, function()
    local signals = eddy.signals("SIGUSR1", "SIGUSR2")
    signals:close()
    return signals
  end },
  ["a watch"] = { 2000, function()
    local watch = eddy.fs.watch "/dev"
    watch:close()
    return watch
  end },
  ["a walk"] = { 2000, function()
    local walk <close> = eddy.fs.walk "/dev/shm"
    return walk
  end },
  ["a reader"] = { 10000, function(_, pipe)
    local loop = eddy.get_running_loop()
    local f = setmetatable({}, { __call = print })
    loop:add_reader(pipe, f)
    loop:remove_reader(pipe)
    return f
  end },
  ["a process"] = { 100, function()
    local process = eddy.create_subprocess_exec "true"
    process:wait()
    return process
  end },
  ["a look-up"] = { 10000, function()
    local list = eddy.getaddrinfo("127.0.0.1", 80)
    return list
  end },
}

local function memory()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

local names = {}
for name in pairs(KINDS) do names[#names + 1] = name end
table.sort(names)

describe("What was opened and closed very often leaves nothing:", function()
  for _, name in ipairs(names) do
    local count, open = table.unpack(KINDS[name])
    it(name, function()
      local server <close> = eddy.start_server(function(conn) conn:read "a" end, "127.0.0.1", 0)
      local pipe <close> = io.popen "exit 0"
      local objects = setmetatable({}, { __mode = "k" })
      local function some(n)
        for i = 1, n do
          local object = open(server, pipe)
          if i % 50 == 0 then objects[object] = true end   -- a few: the table itself takes memory, too
          if i % 50 == 0 then eddy.sleep(0) end
        end
        for _ = 1, 3 do eddy.sleep(0.001) end
      end
      some(count // 10)
      local handles, before = #eddy._handles(), memory()
      some(count)
      while #eddy._handles() > handles do eddy.sleep(0.001) end
      assert.is_true(memory() - before < 64, ("%.0f KiB more"):format(memory() - before))
      assert.is_nil(next(objects))
    end)
  end
end)

describe("A process that is forked off", function()
  it("by io.popen takes nothing that comes for us", function()
    local server = eddy.start_server(function(conn)
      for data in conn:lines(4096) do conn:write(data) end
    end, "127.0.0.1", 0)
    local signals <close> = eddy.signals "SIGUSR1"
    local sent, got, data = 0, 0, ("x"):rep(3000)
    local conn = eddy.open_connection(server:address())
    local reader = eddy.create_task(function()
      for bytes in conn:lines(65536) do got = got + #bytes end
    end)
    for i = 1, 60 do
      conn:write(data)
      sent = sent + #data
      local pipe = io.popen "sleep 0.001"   -- lives on for a turn or more
      if i % 3 == 0 then eddy.sleep(0) end
      if i % 10 == 0 then
        io.popen("kill -USR1 $PPID"):close()
        assert.equal("SIGUSR1", signals())
      end
      pipe:close()
    end
    conn:shutdown()
    reader:await()
    assert.equal(sent, got)
    conn:close()
    server:close()
    server:wait_closed()
  end)
end)
