-- Closing, cancelling, collecting and ending the run at every stage of a connection: nothing crashes, nothing hangs, no
-- descriptor is left. Each case is a run of its own; the sanitizers look at the rest.

local eddy = require "eddy"

require("eddy.busted").timeout = 120 -- under the sanitizers

local BIG = ("x"):rep(8 << 20) -- more than the system takes while nobody reads

-- How many are open, those of the run that counts them among them.
local function descriptors()
  return eddy.run(function()
    local n = 0
    for _ in eddy.fs.scandir("/proc/self/fd") do n = n + 1 end
    return n
  end)
end

-- A server and both ends of a connection to it. The handler keeps its end until it is cancelled.
local function connected()
  local it = {}
  it.server = eddy.start_server(function(conn)
    it.far = conn
    it.arrived:set_result()
    it.over:await()
  end, "127.0.0.1", 0)
  it.arrived, it.over = eddy.get_running_loop():create_future(), eddy.get_running_loop():create_future()
  it.near = eddy.open_connection(it.server:address())
  it.arrived:await()
  return it
end

local function doing(it, f, ...)
  it.task = eddy.create_task(pcall, f, ...)
  return it
end

describe("a stream that a finalizer closes", function()
  it("raises of a read that comes too short what is there", function()
    local near, far = eddy.stream_pair()
    local is_armed, ran = false, 0
    far:write(("x"):rep(60000)):shutdown()
    near:read(1)
    eddy.sleep(0.01)
    collectgarbage()
    collectgarbage("incremental", 200, 100, 10) -- in small steps
    collectgarbage("stop")
    local meta = { __gc = function()
      ran = ran + 1
      if is_armed then near:close() end
    end }
    for _ = 1, 10000 do setmetatable({}, meta) end
    repeat collectgarbage("step") until ran > 0 -- the others are called one by one, whenever something is made
    is_armed = true
    collectgarbage("restart")
    local ok, err = pcall(near.read_exactly, near, 100000)
    is_armed = false
    collectgarbage("incremental", 200, 100, 13)
    assert.is_false(ok)
    assert.is_true(near:is_closing())
    assert.is_true(eddy.is_error(err, eddy.IncompleteReadError), tostring(err))
    assert.equal(59999, #err.partial)
    far:close()
  end)
end)

-- The stages: each makes what there is then, `task` being in the middle of it.
local stages = {
  ["before it connects"] = function()
    local it = { server = eddy.start_server(function(conn) conn:read() end, "127.0.0.1", 0) }
    return doing(it, eddy.open_connection, it.server:address())
  end,
  ["while addresses race"] = function()
    local it = { server = eddy.start_server(function(conn) conn:read() end, "127.0.0.1", 0) }
    local _, port = it.server:address()
    return doing(it, eddy.open_connection, { "127.0.0.2", "127.0.0.3", "127.0.0.1" }, port)
  end,
  ["while a name is looked up"] = function()
    local it = { server = eddy.start_server(function(conn) conn:read() end, "127.0.0.1", 0) }
    local _, port = it.server:address()
    return doing(it, eddy.open_connection, "localhost", port)
  end,
  ["while it is accepted"] = function()
    local it = { server = eddy.start_server(function(conn) conn:read("a") end, "127.0.0.1", 0) }
    it.near = eddy.open_connection(it.server:address())
    return doing(it, it.near.read, it.near)
  end,
  ["while it reads"] = function()
    local it = connected()
    return doing(it, it.near.read, it.near, "l")
  end,
  ["while it reads what has come in part"] = function()
    local it = connected()
    it.far:write("half a line")
    return doing(it, it.near.read, it.near, "L", 5)
  end,
  ["while it reads what is just coming"] = function()
    local it = connected()
    doing(it, it.near.read_exactly, it.near, 5)
    eddy.sleep(0)
    it.far:write("bytes and more")
    return it
  end,
  ["while it reads a lot"] = function()
    local it = connected()
    it.writer = eddy.create_task(pcall, it.far.write, it.far, BIG)
    return doing(it, it.near.read, it.near, "a")
  end,
  ["while lines are left"] = function()
    local it = connected()
    it.far:write(("a line\n"):rep(1000))
    it.near:read()
    return doing(it, eddy.sleep, 1000)
  end,
  ["while it writes"] = function()
    local it = connected()
    return doing(it, it.near.write, it.near, BIG, "and", { "short", BIG, "ones" })
  end,
  ["while short strings wait to be written"] = function()
    local it = connected()
    it.near:set_write_buffer_limits(1 << 30)
    it.near:write(BIG)
    for i = 1, 5000 do it.near:write("short", i) end
    it.near:set_write_buffer_limits(0)
    return doing(it, it.near.drain, it.near)
  end,
  ["while it shuts down"] = function()
    local it = connected()
    it.near:set_write_buffer_limits(1 << 30)
    it.near:write(BIG, "the end"):shutdown()
    return doing(it, it.near.read, it.near, "a")
  end,
  ["while it closes"] = function()
    local it = connected()
    it.near:set_write_buffer_limits(1 << 30)
    it.near:write(BIG)
    it.near:write("the end"):close()
    return doing(it, it.near.wait_closed, it.near)
  end,
  ["while its server waits for it"] = function()
    local it = connected()
    it.server:close()
    return doing(it, it.server.wait_closed, it.server)
  end,
}

-- What happens then. What an action does not end, the end of the run does.
local actions = {
  ["the task is cancelled"] = function(it) it.task:cancel() end,
  ["it is closed"] = function(it) if it.near then it.near:close() end end,
  ["it is aborted"] = function(it) if it.near then it.near:abort() end end,
  ["its peer is closed"] = function(it) if it.far then it.far:close() end end,
  ["its peer is aborted"] = function(it) if it.far then it.far:abort() end end,
  ["its peer resets it"] = function(it)
    if it.near then eddy.create_task(pcall, it.near.write, it.near, "unread") end
    eddy.sleep(0)
    if it.far then it.far:abort() end
  end,
  ["it is closed, and the task cancelled"] = function(it)
    if it.near then it.near:close() end
    it.task:cancel()
  end,
  ["the clients are closed"] = function(it)
    it.server:close_clients()
    it.server:close()
  end,
  ["the clients are aborted"] = function(it)
    it.server:close()
    it.server:abort_clients()
  end,
  ["nobody has it any more"] = function(it)
    it.near, it.far, it.task = nil, nil, nil
    collectgarbage()
    collectgarbage()
  end,
  ["garbage is collected"] = function()
    collectgarbage()
    collectgarbage()
  end,
  ["the run ends"] = function() end,
}

describe("a connection, by stages:", function()
  for stage, make in pairs(stages) do
    it(("%s, whatever is done #plain"):format(stage), function()
      descriptors() -- what stays open for good is open from here on
      local before = descriptors()
      for action, act in pairs(actions) do
        for turns = 0, 3 do
          local runner = eddy.Runner { exception_handler = function() end }
          runner:run(function()
            local case = make()
            local ends = setmetatable({ near = case.near, far = case.far }, { __mode = "v" })
            for _ = 1, turns do eddy.sleep(turns == 3 and 0.0005 or 0) end
            act(case)
            for _ = 1, turns do eddy.sleep(0) end
            -- Else the end of the run waits for what is queued.
            for _, conn in pairs(ends) do
              if conn:is_closing() then conn:abort() end
            end
          end)
          runner:close()
        end
        collectgarbage()
        collectgarbage()
        assert.equal(before, descriptors(), ("descriptors after %s, when %s"):format(stage, action))
      end
    end)
  end
end)
