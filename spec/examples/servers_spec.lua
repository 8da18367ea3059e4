-- examples/chat_server.lua and port_forwarder.lua with the eddy command, and clients here.

local eddy = require "eddy"
local program = require "spec.support.program"

local function start(arguments) return program.serving(finally, arguments) end

describe("examples/chat_server.lua", function()
  it("tells everybody what somebody says, who comes and who leaves", function()
    local host, port = start("examples/chat_server.lua")
    local ada <close> = eddy.open_connection(host, port)
    ada:read_until("? ")
    ada:write("Ada\n")
    do
      local bob <close> = eddy.open_connection(host, port)
      bob:read_until("? ")
      bob:write("Bob\n")
      assert.equal("Bob has come", ada:read())
      ada:write("hello Bob\n")
      assert.equal("Ada: hello Bob", bob:read())
      bob:write("hi\n")
      assert.equal("Bob: hi", ada:read())
    end
    assert.equal("Bob has left", ada:read())
  end)
end)

describe("examples/port_forwarder.lua", function()
  it("passes both directions on, and the end of each", function()
    local seen = {}
    local server <close> = eddy.start_server(function(conn)
      conn:write("welcome\n")
      seen[#seen + 1] = conn:read("a")
      conn:write("got " .. #seen[#seen])
    end, "127.0.0.1", 0)
    local _, target = server:address()
    local host, port = start(("examples/port_forwarder.lua 0 127.0.0.1 %d"):format(target))
    local data = ("0123456789"):rep(100000)
    for _ = 1, 2 do
      local conn <close> = eddy.open_connection(host, port)
      assert.equal("welcome", conn:read())
      conn:write(data):shutdown()
      assert.equal("got 1000000", conn:read("a"))
    end
    assert.is_true(seen[1] == data and seen[2] == data)
  end)

  it("says why it could not forward, and goes on", function()
    local last
    do
      local free <close> = eddy.start_server(print, "127.0.0.1", 0)
      last = select(2, free:address())
    end
    local _, port, pipe = start(("examples/port_forwarder.lua 0 127.0.0.1 %d"):format(last))
    for _ = 1, 2 do
      local conn <close> = eddy.open_connection("127.0.0.1", port)
      assert.is_nil(conn:read())
      assert.matches("^127.0.0.1: OSError: cannot connect .*ECONNREFUSED", pipe:read())
    end
  end)
end)

describe("each server", function()
  for _, name in ipairs { "chat_server", "port_forwarder" } do
    it("says how to start it and is short: " .. name, function()
      local path = ("examples/%s.lua"):format(name)
      local first, count = program.header(path)
      assert.equal("-- script/run " .. path, first:sub(1, #path + 14))
      assert.is_true(count < 60)
    end)
  end
end)
