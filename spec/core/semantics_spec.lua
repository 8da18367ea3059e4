-- Points of asyncio's behaviour that lie between the rooms; docs/internals/semantics.md lists all of them.

local eddy = require "eddy"

describe("A storm of tasks that always give way", function()
  it("does not starve sockets", function()
    local server <close> = eddy.start_server(function(conn) conn:write(conn:read "L") end, "127.0.0.1", 0)
    local conn <close> = eddy.open_connection(server:address())
    local over = false
    local storm = {}
    for i = 1, 1000 do storm[i] = eddy.create_task(function() while not over do eddy.sleep(0) end end) end
    local echo = eddy.create_task(function()
      conn:write "hello\n"
      return conn:read()
    end)
    assert.equal("hello", eddy.wait_for(echo, 5))
    over = true
    eddy.wait(storm)
  end)
end)

describe("A stream #virtual", function()
  it("gives a last line without its end", function()
    local writer, reader = eddy.stream_pair()
    writer:write "one\ntwo"
    writer:close()
    assert.equal("one", reader:read "l")
    assert.equal("two", reader:read "L")
    assert.is_nil(reader:read "l")
    reader:close()
  end)
end)

describe("stream:drain", function()
  it("may be awaited by several tasks at once", function()
    local near, far = eddy.stream_pair { buffer = 10 }
    near:set_write_buffer_limits(10, 2)
    local writer = eddy.create_task(near.write, near, ("x"):rep(1000))
    local drains = {}
    for i = 1, 3 do drains[i] = eddy.create_task(near.drain, near) end
    eddy.sleep(0.01)
    for i = 1, 3 do assert.is_false(drains[i]:done()) end
    assert.equal(1000, #far:read_exactly(1000))
    eddy.wait_for(eddy.create_task(eddy.gather, { writer, table.unpack(drains) }), 5)
    near:close()
    far:close()
  end)
end)
