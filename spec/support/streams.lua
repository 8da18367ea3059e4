-- Two connected streams of every kind, for specs of what holds for all of them.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local streams = {}

local opened = {} -- functions that close what the test has opened

local function close_all()
  while #opened > 0 do table.remove(opened)() end
end

-- The two streams, closed with the test; `server` is what accepted the second, if anything did.
local function keep(near, far, server, over)
  table.insert(opened, function()
    near:abort()
    far:abort()
    if over then over:set_result() end
    if server then
      server:close()
      server:abort_clients()
      server:wait_closed()
    end
    pcall(near.wait_closed, near) -- what was queued may be lost
    pcall(far.wait_closed, far)
  end)
  return near, far
end

local function accepted(start, connect)
  local loop = eddy.get_running_loop()
  local arrived, over = loop:create_future(), loop:create_future()
  local server = start(function(conn)
    arrived:set_result(conn)
    over:await()
  end)
  local near = connect(server)
  return keep(near, arrived:await(), server, over)
end

---A kind: `open(options)` gives near, far; `simplex`: near only reads, far only writes; `named`: it has names;
---`virtual`: it can do without the world outside.
---@type table<string, { open: function, simplex?: boolean, named?: boolean, virtual?: boolean }>
streams.kinds = {
  tcp = {
    named = true,
    open = function(options)
      return accepted(function(handler) return eddy.start_server(handler, "127.0.0.1", 0, options) end,
        function(server)
          local host, port = server:address()
          return eddy.open_connection(host, port, options)
        end)
    end,
  },
  unix = {
    named = true,
    open = function(options)
      local name = "\0eddy-streams-" .. tostring({}):match("0x%x+") .. eddy.time()
      return accepted(function(handler) return eddy.start_unix_server(handler, name, options) end,
        function() return eddy.open_unix_connection(name, options) end)
    end,
  },
  pipe = {
    simplex = true,
    open = function(options) return keep(eddy.pipe(options)) end,
  },
  pair = {
    virtual = true,
    open = function(options) return keep(eddy.stream_pair(options)) end,
  },
  broken_pair = {
    virtual = true,
    open = function(options)
      local all = { seed = 5, delay = { 0, 0.0001 } }
      for key, value in pairs(options or {}) do all[key] = value end
      return keep(eddy.stream_pair(all))
    end,
  },
}

---Two connected streams of the kind, closed when the test ends. To be called in a test, whose `finally` is given.
function streams.pair(finally, kind, options)
  finally(close_all)
  return streams.kinds[kind].open(options)
end

streams.started = calls.started

---More than the system takes while nobody reads.
function streams.much(kind) return kind == "tcp" and 20 << 20 or 2 << 20 end

---Writes so much: a task that waits in `write` is returned.
function streams.stuffed(stream, kind)
  return streams.started(stream.write, stream, ("x"):rep(streams.much(kind)))
end

return streams
