-- What holds for every kind of stream: each method in each state that a stream can be in.

local eddy = require "eddy"
local streams = require "spec.support.streams"
local calls = require "spec.support.calls"

local started, stuffed = streams.started, streams.stuffed

-- What may come of a call. Each takes the results of pcall.
local function gives(...)
  local expected = table.pack(...)
  return function(ok, ...)
    assert.is_true(ok, tostring((...)))
    assert.same(expected, table.pack(...))
  end
end

local function raises(class, text)
  return function(ok, err)
    assert.is_false(ok, "it returned")
    assert.is_true(eddy.is_error(err, eddy[class]), tostring(err))
    if text then assert.truthy(tostring(err):find(text, 1, true), tostring(err)) end
  end
end

local function itself(ok, result, ...)
  assert.is_true(ok, tostring(result))
  assert.equal("userdata", type(result))
  assert.equal(0, select("#", ...))
end

-- The calls: what is called on the stream.
local CALLS = {
  read = function(s) return s:read() end,
  read_count = function(s) return s:read(100) end,
  read_nothing = function(s) return s:read(0) end,
  read_all = function(s) return s:read("a") end,
  read_numeral = function(s) return s:read("n") end,
  read_many = function(s) return s:read("l", "l") end,
  read_exactly = function(s) return s:read_exactly(2) end,
  read_until = function(s) return s:read_until(";") end,
  lines = function(s)
    local list = {}
    for line in s:lines() do list[#list + 1] = line end
    return list
  end,
  select = function(s) return (eddy.select { s, 0.05 }) end,
  at_eof = function(s) return s:at_eof() end,
  write = function(s) return s:write("y", 1, { "z" }) end,
  write_nothing = function(s) return s:write() end,
  drain = function(s) return s:drain() end,
  shutdown = function(s) return s:shutdown() end,
  close = function(s) return s:close() end,
  abort = function(s) return s:abort() end,
  is_closing = function(s) return s:is_closing() end,
  set_limits = function(s) return s:set_write_buffer_limits(10, 5) end,
}

local closed = raises("RuntimeError", "on a closed stream")

-- A stream that was closed, or is being closed.
local SHUT_AWAY = {
  read = gives(nil), read_count = gives(nil), read_nothing = gives(nil), read_all = gives(nil),
  read_numeral = gives(nil), read_many = gives(nil), read_exactly = raises "IncompleteReadError",
  read_until = raises "IncompleteReadError", lines = gives {}, select = gives(1), at_eof = gives(true),
  write = closed, write_nothing = closed, drain = closed, shutdown = closed,
  close = gives(), abort = gives(), is_closing = gives(true), set_limits = gives(),
}

-- The states: `make` brings the first of two connected streams there; `expect` says what each call does; `simplex` is
-- "reader" or "writer" where a stream that has only one direction can be in that state too.
local STATES = {
  {
    name = "that is open", simplex = "reader",
    make = function(_, far) far:write("1\n2\n3;\n") end,
    expect = {
      read = gives("1"), read_nothing = gives(""), read_numeral = gives(1),
      read_many = gives("1", "2"), read_exactly = gives("1\n"), read_until = gives("1\n2\n3;"),
      select = gives(1), at_eof = gives(false), close = gives(), abort = gives(), is_closing = gives(false),
      set_limits = gives(),
    },
  },
  {
    name = "that is open and written to", simplex = "writer",
    make = function() end,
    expect = {
      write = itself, write_nothing = itself, drain = itself, shutdown = gives(), close = gives(), abort = gives(),
      at_eof = gives(false), is_closing = gives(false), set_limits = gives(),
    },
  },
  {
    name = "whose peer has shut down", simplex = "reader",
    make = function(_, far) far:write("1\nrest"):shutdown() end,
    expect = {
      read = gives("1"), read_nothing = gives(""), read_all = gives("1\nrest"), read_numeral = gives(1),
      read_many = gives("1", "rest"), read_exactly = gives("1\n"),
      read_until = raises "IncompleteReadError", lines = gives { "1", "rest" }, select = gives(1), close = gives(),
      abort = gives(), is_closing = gives(false), set_limits = gives(),
    },
  },
  {
    name = "that is at its end", simplex = "reader",
    make = function(near, far)
      far:shutdown()
      assert.equal("", near:read("a"))
    end,
    expect = {
      read = gives(nil), read_count = gives(nil), read_nothing = gives(nil), read_all = gives(""),
      read_numeral = gives(nil), read_many = gives(nil), read_exactly = raises "IncompleteReadError",
      read_until = raises "IncompleteReadError", lines = gives {}, select = gives(1), at_eof = gives(true),
      close = gives(), abort = gives(), is_closing = gives(false), set_limits = gives(),
    },
  },
  {
    name = "whose peer has shut down, for what goes the other way",
    make = function(near, far)
      far:shutdown()
      near:read("a")
    end,
    expect = { write = itself, write_nothing = itself, drain = itself, shutdown = gives() },
  },
  {
    name = "that was shut down",
    make = function(near, far)
      near:write("x")
      near:shutdown()
      far:write("1\n2\n;"):shutdown()
    end,
    expect = {
      read = gives("1"), read_nothing = gives(""), read_all = gives("1\n2\n;"), read_numeral = gives(1),
      read_many = gives("1", "2"), read_exactly = gives("1\n"), read_until = gives("1\n2\n;"),
      lines = gives { "1", "2", ";" }, select = gives(1), write = raises("RuntimeError", "after shutdown"),
      write_nothing = raises("RuntimeError", "after shutdown"), drain = itself, shutdown = gives(), close = gives(),
      abort = gives(), is_closing = gives(false), set_limits = gives(),
    },
  },
  {
    name = "that is being closed", simplex = "writer",
    make = function(near, _, kind)
      stuffed(near, kind):add_done_callback(function(task) task:exception() end)
      near:close()
    end,
    expect = SHUT_AWAY,
  },
  {
    name = "that is closed", simplex = "reader",
    make = function(near, far)
      far:write("unread")
      near:close()
      near:wait_closed()
    end,
    expect = SHUT_AWAY,
  },
  {
    name = "that was aborted", simplex = "writer",
    make = function(near) near:abort() end,
    expect = SHUT_AWAY,
  },
  {
    name = "that was reset", resets = true,
    make = function(near, far)
      near:write("unread")
      far:write("1\n2")
      near:read(0)
      far:abort()
      far:wait_closed()
      pcall(near.read_exactly, near, 100) -- sees the reset, and takes nothing
    end,
    expect = {
      read = gives("1"), read_count = gives("1\n2"), read_nothing = gives(""),
      read_all = raises("OSError", "ECONNRESET"), read_numeral = gives(1),
      read_many = raises("OSError", "ECONNRESET"), read_exactly = gives("1\n"),
      read_until = raises("OSError", "ECONNRESET"), select = gives(1), at_eof = gives(false),
      write = raises("OSError", "cannot write"), close = gives(), abort = gives(),
      is_closing = gives(false), set_limits = gives(),
    },
  },
  {
    name = "that nobody reads any more", simplex = "writer",
    make = function(near, far)
      near:write("unread")
      far:close()
      far:wait_closed()
      for _ = 1, 100 do
        if not pcall(near.write, near, "x") then return end
        eddy.sleep(0)
      end
      error("the peer is gone and writing goes on")
    end,
    expect = {
      write = raises("OSError", "cannot write"), write_nothing = raises("OSError", "cannot write"),
      drain = raises("OSError", "cannot write"), close = gives(), abort = gives(), is_closing = gives(false),
    },
  },
}

for kind, about in pairs(streams.kinds) do
  local clock = about.virtual and " #virtual" or ""

  -- The stream that is tested, and its peer.
  local function pair(finally, state)
    local near, far = streams.pair(finally, kind)
    if about.simplex and state.simplex == "writer" then return far, near end
    return near, far
  end

  for _, state in ipairs(STATES) do
    if not about.simplex or state.simplex then
      describe(("%s: a stream %s%s"):format(kind, state.name, clock), function()
        for name, check in pairs(state.expect) do
          local ends = about.simplex and name == "shutdown" and state.expect ~= SHUT_AWAY -- that closes a pipe
          if not ends then
            it("answers " .. name, function()
              local near, far = pair(finally, state)
              state.make(near, far, kind)
              check(pcall(CALLS[name], near))
            end)
          end
        end

        it("closes, and tells its names and what it is at any time", function()
          local near, far = pair(finally, state)
          local names = { near:sockname(), near:peername() }
          state.make(near, far, kind)
          near:abort()
          pcall(near.wait_closed, near)
          near:wait_closed()
          assert.same(names, { near:sockname(), near:peername() })
          assert.equal(about.named or false, near:peername() ~= nil)
          assert.matches("^<.*, closed>$", tostring(near))
          assert.error_matches(function() near:fileno() end, "fileno")
        end)

        it("is closed by the end of a scope", function()
          local near, far = pair(finally, state)
          state.make(near, far, kind)
          pcall(function()
            local scope <close> = near
            scope:abort()
          end)
          assert.is_true(near:is_closing())
        end)
      end)
    end
  end

  describe(("%s: a task that waits in a stream%s"):format(kind, clock), function()
    local readers = {
      read = { "read", "l" }, all = { "read", "a" }, count = { "read", 5 }, numeral = { "read", "n" },
      read_exactly = { "read_exactly", 5 }, read_until = { "read_until", ";" },
    }
    for name, call in pairs(readers) do
      it(("is cancelled in %s, and nothing is lost"):format(name), function()
        local near, far = streams.pair(finally, kind)
        local task = started(near[call[1]], near, call[2])
        task:cancel()
        assert.error(function() task:await() end)
        assert.is_true(task:cancelled())
        far:write("all\n")
        assert.equal("all", near:read())
      end)
    end

    it("gets nil when the stream is closed under it, or aborted", function()
      for _, how in ipairs { "close", "abort" } do
        local near = streams.pair(finally, kind)
        local task = started(near.read, near)
        near[how](near)
        assert.is_nil(task:await())
      end
    end)

    it("is the only one that may read", function()
      local near, far = streams.pair(finally, kind)
      local task = started(near.read, near)
      for _, call in pairs(readers) do raises("RuntimeError", "another task")(pcall(near[call[1]], near, call[2])) end
      far:write("x\n")
      assert.equal("x", task:await())
    end)

    it("is woken in write when the stream is aborted", function()
      local _, far = streams.pair(finally, kind)
      local task = stuffed(far, kind)
      assert.is_false(task:done())
      far:abort()
      closed(pcall(task.await, task))
    end)

    it("is woken in write when the reader goes away", function()
      local near, far = streams.pair(finally, kind)
      local task = stuffed(far, kind)
      near:abort()
      raises("OSError", "cannot write")(pcall(task.await, task))
    end)

    it("is cancelled in write, and what was queued is sent", function()
      local near, far = streams.pair(finally, kind)
      local task = stuffed(far, kind)
      task:cancel()
      assert.error(function() task:await() end)
      far:shutdown()
      assert.equal(streams.much(kind), #near:read("a"))
    end)

    it("goes on in write below the low mark", function()
      local near, far = streams.pair(finally, kind)
      far:set_write_buffer_limits(1 << 20, 0)
      local task = stuffed(far, kind)
      while not task:done() do near:read(65536) end
      assert.equal(far, task:await())
      far:close()
      near:read("a")
    end)

    it("sees in wait_closed that the stream is closed, with others", function()
      local near = streams.pair(finally, kind)
      local first, second = started(near.wait_closed, near), started(near.wait_closed, near)
      first:cancel()
      near:close()
      second:await()
      assert.error(function() first:await() end)
    end)

    it("selects the stream that can be read", function()
      local near, far = streams.pair(finally, kind)
      assert.equal(2, (eddy.select { near, 0.001 }))
      local task = started(eddy.select, { near, 60 })
      far:write("x\n")
      assert.equal(1, (task:await()))
      assert.equal("x", near:read())
      far:close()
      assert.equal(1, (eddy.select { near, 60 }))
    end)
  end)

  describe(("%s: bytes%s"):format(kind, clock), function()
    it("come whole and in their order", function()
      local near, far = streams.pair(finally, kind)
      local parts = {}
      for i = 1, 3000 do parts[i] = ("%d:%s;"):format(i, ("x"):rep(i % 300)) end
      local writer = eddy.create_task(function()
        for i = 1, 1000 do far:write(parts[i]) end
        far:write({ table.unpack(parts, 1001, 2000) }):write(table.unpack(parts, 2001, 2200))
        for i = 2201, 3000 do far:write(parts[i]) end
        far:close()
      end)
      for i = 1, 1500 do assert.equal(parts[i], near:read_until(";")) end
      assert.is_true(near:read("a") == table.concat(parts, "", 1501))
      writer:await()
    end)

    it("stay with the writer when the reader is slow", function()
      local near, far = streams.pair(finally, kind, { limit = 1000 })
      local sent = 0
      local writer = eddy.create_task(function()
        while sent < 2 * streams.much(kind) do
          far:write(("y"):rep(65536))
          sent = sent + 65536
        end
        far:close()
      end)
      near:read(1)
      local before
      repeat
        before = sent
        for _ = 1, 20 do eddy.sleep(0.001) end
      until sent == before
      assert.is_true(sent < 2 * streams.much(kind))
      near:abort()
      assert.error(function() writer:await() end)
    end)

    it("up to the limit are a line, more are an error that loses none", function()
      local near, far = streams.pair(finally, kind, { limit = 10 })
      far:write(("x"):rep(10), "\n", ("y"):rep(11), "\nend\n")
      assert.equal(("x"):rep(10), near:read())
      calls.raised_as(eddy.LimitOverrunError, near.read, near)
      assert.equal(("y"):rep(11), near:read_exactly(11))
      assert.equal("", near:read())
      assert.equal("end", near:read())
    end)

    it("go both ways at once", function()
      if about.simplex then return end
      local near, far = streams.pair(finally, kind)
      local a, b = ("a"):rep(300000), ("b"):rep(300000)
      local results = eddy.gather(
        function() near:write(a):shutdown() end, function() return near:read("a") end,
        function() far:write(b):shutdown() end, function() return far:read("a") end)
      assert.is_true(results[2] == b and results[4] == a)
    end)

    it("that are queued are sent before the stream closes", function()
      local near, far = streams.pair(finally, kind)
      local writer = stuffed(far, kind)
      far:close()
      assert.is_true(far:is_closing())
      assert.equal(streams.much(kind), #near:read("a"))
      far:wait_closed()
      writer:await()
    end)

    it("that are lost are told of by wait_closed, once", function()
      local near, far = streams.pair(finally, kind)
      local writer = stuffed(far, kind)
      writer:cancel()
      far:close()
      near:abort()
      raises("OSError", "cannot write")(pcall(far.wait_closed, far))
      far:wait_closed()
    end)
  end)
end
