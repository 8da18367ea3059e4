-- Closing, cancelling, collecting and ending the run at every stage of what waits for the world outside, but for TCP
-- (stream_life_spec.lua) and files (file_life_spec.lua): nothing crashes, nothing hangs, nothing is left open, and no
-- child is left to be reaped. Each case is a run of its own.

local eddy = require "eddy"

require("eddy.busted").timeout = 120 -- under the sanitizers

local BIG <const> = ("x"):rep(4 << 20)

-- What is open, and the children of this process.
local function count(folder)
  return eddy.run(function()
    local n = 0
    for _ in eddy.fs.scandir(folder) do n = n + 1 end
    return n
  end)
end

local function children()
  local file = io.open "/proc/thread-self/children"
  if not file then return 0 end
  local _, n = file:read("a"):gsub("%d+", "")
  file:close()
  return n
end

local dir

-- Each gives what is closed, and what is done meanwhile.
local operations = {
  ["getaddrinfo"] = function() return nil, function() eddy.getaddrinfo("localhost", "http") end end,
  ["getaddrinfo of many"] = function()
    return nil, function()
      eddy.map(function(i) return pcall(eddy.getaddrinfo, "localhost", 1000 + i) end, { 1, 2, 3, 4, 5, 6, 7, 8 })
    end
  end,
  ["getnameinfo"] = function() return nil, function() eddy.getnameinfo("127.0.0.1", 80) end end,
  ["a server on a name"] = function()
    return nil, function()
      local server <close> = eddy.start_server(print, "localhost", 0)
      server:close()
    end
  end,
  ["connect to a Unix socket"] = function()
    local server = eddy.start_unix_server(function(conn) conn:read() end, dir .. "/socket")
    return server, function()
      local conn <close> = eddy.open_unix_connection(dir .. "/socket")
      conn:write("line\n")
      conn:read()
    end
  end,
  ["accept from a Unix socket"] = function()
    local server = eddy.start_unix_server(function(conn) conn:write(conn:read(1)) end, dir .. "/socket")
    local conn = eddy.open_unix_connection(dir .. "/socket")
    return conn, function()
      conn:write "x"
      conn:read "a"
      server:close()
      server:wait_closed()
    end
  end,
  ["a read of a pipe"] = function()
    local reader, writer = eddy.pipe()
    return reader, function()
      local task = eddy.create_task(pcall, writer.write, writer, "some", BIG)
      reader:read(10)
      reader:read "a"
      task:await()
    end
  end,
  ["a write to a pipe"] = function()
    local reader, writer = eddy.pipe()
    return writer, function()
      writer:write(BIG)
      reader:close()
    end
  end,
  ["a shutdown"] = function()
    local server = eddy.start_unix_server(function(conn) conn:read "a" end, dir .. "/socket")
    local conn = eddy.open_unix_connection(dir .. "/socket")
    return conn, function()
      conn:set_write_buffer_limits(1 << 30)
      conn:write(BIG):shutdown()
      conn:read "a"
      server:close()
    end
  end,
  ["a stream in memory"] = function()
    local near, far = eddy.stream_pair()
    return near, function()
      local task = eddy.create_task(pcall, far.write, far, BIG)
      near:read(100)
      near:write("back\n"):shutdown()
      far:read()
      task:cancel()
    end
  end,
  ["sending a file"] = function()
    eddy.fs.write_file(dir .. "/file", BIG)
    local server = eddy.start_unix_server(function(conn)
      eddy.sleep(0.001)
      conn:read "a"
    end, dir .. "/socket")
    local conn = eddy.open_unix_connection(dir .. "/socket")
    return conn, function()
      conn:send_file(dir .. "/file")
      conn:close()
      server:close()
    end
  end,
  ["datagrams to and fro"] = function()
    local socket = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }
    return socket, function()
      local other <close> = eddy.open_datagram { local_addr = { "localhost", 0 } }
      other:send("to", socket:sockname())
      local _, host, port = socket:recv()
      socket:send("fro", host, port)
      other:recv()
      socket:recv()
    end
  end,
  ["a datagram to a name"] = function()
    local socket = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }
    return socket, function() socket:send("data", "localhost", (select(2, socket:sockname()))) end
  end,
  ["a child that is waited for"] = function()
    local process = eddy.create_subprocess_exec("sleep", { 0.003 })
    return process, process.wait
  end,
  ["a child that is started"] = function()
    return nil, function()
      local process <close> = eddy.create_subprocess_exec("true")
      process:wait()
    end
  end,
  ["the pipes of a child"] = function()
    local process = eddy.create_subprocess_exec("cat", {}, { stdin = "pipe", stdout = "pipe" })
    return process, function()
      process.stdin:write "a line\n"
      process.stdout:read()
      process.stdin:close()
      process:wait()
    end
  end,
  ["communicate"] = function()
    local process = eddy.create_subprocess_exec("cat", {}, { stdin = "pipe", stdout = "pipe" })
    return process, function() process:communicate(BIG) end
  end,
  ["exec"] = function() return nil, function() eddy.exec("cat", {}, { input = "some\n" }) end end,
  ["signals"] = function()
    local signals, others = eddy.signals "SIGUSR2", eddy.signals "SIGUSR2"   -- else it would be the end of us
    eddy.create_task(function() for _ in others do end end) -- luacheck: ignore
    return signals, function()
      os.execute "kill -USR2 $PPID"
      signals()
      signals()
    end
  end,
  ["a watch"] = function()
    local watch = eddy.fs.watch(dir)
    return watch, function()
      eddy.fs.write_file(dir .. "/watched", "")
      watch()
      watch()
    end
  end,
  ["a reader of another's descriptor"] = function()
    local pipe, readable, loop = io.popen "sleep 0.002; echo", eddy.Event(), eddy.get_running_loop()
    loop:add_reader(pipe, readable.set, readable)
    return { close = function() pcall(pipe.close, pipe) end }, function()
      readable:wait()
      loop:remove_reader(pipe)
      if io.type(pipe) == "file" then pipe:close() end
    end
  end,
  ["a select over all of them"] = function()
    local reader, writer = eddy.pipe()
    local socket, signals = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }, eddy.signals "SIGUSR2"
    return reader, function()
      local late = eddy.create_task(eddy.sleep, 0.002)
      eddy.select { socket, signals, reader, late, 0.003 }
      writer:write "x"
      eddy.select { socket, signals, reader }
      socket:close()
      signals:close()
    end
  end,
}

local function collect()
  collectgarbage()
  collectgarbage()
end

-- What happens then; what it does not end, the end of the run does. `it` is all that knows the object.
local actions = {
  ["is left alone"] = function(it) eddy.move_on_after(0.05, eddy.wait, { it.task }) end,
  ["is cancelled"] = function(it)
    it.task:cancel()
    eddy.wait { it.task }
  end,
  ["is cancelled twice"] = function(it)
    it.task:cancel()
    eddy.sleep(0)
    it.task:cancel()
  end,
  ["has its object closed"] = function(it)
    if it.object and it.object.close then it.object:close() end
  end,
  ["has its object aborted or killed"] = function(it)
    local f = it.object and (it.object.abort or it.object.abort_clients or it.object.kill)
    if f then pcall(f, it.object) end
  end,
  ["has its object closed and is cancelled"] = function(it)
    if it.object and it.object.close then it.object:close() end
    it.task:cancel()
  end,
  ["is forgotten with its object"] = function(it)
    it.object, it.task = nil, nil
    collect()
  end,
  ["sees a collection in each turn"] = function()
    for _ = 1, 4 do
      collect()
      eddy.sleep(0)
    end
  end,
  ["sees the end of the run"] = function() end,
}

local names = {}
for name in pairs(operations) do names[#names + 1] = name end
table.sort(names)

describe("by stages:", function()
  for _, name in ipairs(names) do
    it(name .. ", whatever becomes of it #plain", function()
      warn "@off"
      dir = os.tmpname()
      os.remove(dir)
      eddy.run(eddy.fs.mkdir, dir)
      finally(function()
        warn "@on"
        eddy.run(eddy.fs.remove, dir, { recursive = true })
      end)
      collect() -- what others have left
      count "/proc/self/fd" -- what stays open for good is open from here on
      local before, ours = count "/proc/self/fd", children()
      for action, act in pairs(actions) do
        for stage = 0, 8 do
          local runner = eddy.Runner { exception_handler = function() end }
          runner:run(function()
            local it = {}
            local object, f = operations[name]()
            it.object, it.task = object, eddy.create_task(eddy.pcall, f, object)
            local ends = setmetatable({ object }, { __mode = "v" })
            object, f = nil, nil -- luacheck: ignore
            if stage > 6 then eddy.sleep(stage == 7 and 0.001 or 0.004) end
            for _ = 1, stage < 7 and stage or 0 do eddy.sleep(0) end
            act(it)
            for _ = 1, stage % 3 do eddy.sleep(0) end
            -- Else the end of the run waits for what is queued.
            if ends[1] and type(ends[1]) == "userdata" and ends[1].abort then ends[1]:abort() end
          end)
          runner:close()
          runner = nil -- luacheck: ignore
          collect()
          local case = ("%s, which %s at stage %d"):format(name, action, stage)
          assert.equal(before, count "/proc/self/fd", case)
          assert.equal(ours, children(), case)
        end
      end
    end)
  end
end)
