-- Streams and servers that belong to another loop than the one that runs.

local eddy = require "eddy"

-- Calls f with a connection, its peer and their server, which belong to a loop that does not run, in a loop that does.
local function with_strangers(f)
  local first, second = eddy.Runner(), eddy.Runner()
  local near, far, server, over
  first:run(function()
    over = first:get_loop():create_future()
    server = eddy.start_server(function(conn)
      far = conn
      over:await()
    end, "127.0.0.1", 0)
    near = eddy.open_connection(server:address())
    while not far do eddy.sleep(0) end
  end)
  local ok, err = pcall(second.run, second, f, near, server)
  first:run(function()
    if not near:is_closing() then -- it is still of use
      far:write("hello\n")
      assert.equal("hello", near:read())
    end
    near:abort()
    near:wait_closed()
    over:set_result()
    server:close()
    server:wait_closed()
  end)
  first:close()
  second:close()
  if not ok then error(err, 0) end
end

local function refused(name, f, ...)
  local _, err = pcall(f, ...)
  assert.is_true(eddy.is_error(err, eddy.RuntimeError), tostring(err))
  assert.equal(("'%s' on an object of another loop"):format(name), err.message)
end

describe("a stream of another loop #plain", function()
  for name, arguments in pairs {
    read = { 5 }, read_exactly = { 5 }, read_until = { ";" }, write = { "x" }, drain = {}, wait_closed = {},
  } do
    it("refuses " .. name, function()
      with_strangers(function(near) refused(name, near[name], near, table.unpack(arguments)) end)
    end)
  end

  it("refuses to give lines", function()
    with_strangers(function(near) refused("lines", near:lines()) end)
  end)

  it("answers what needs no wait", function()
    with_strangers(function(near)
      assert.is_false(near:is_closing())
      assert.is_false(near:at_eof())
      assert.matches("^<TCP connection ", tostring(near))
      assert.equal("127.0.0.1", (near:peername()))
      near:set_nodelay(true)
      near:set_write_buffer_limits(1000)
    end)
  end)

  it("can be closed, which its own loop does", function()
    for _, how in ipairs { "close", "abort", "shutdown" } do
      with_strangers(function(near)
        near[how](near)
        assert.equal(how ~= "shutdown", near:is_closing())
      end)
    end
  end)

  it("is closed by the end of a scope, which does not wait", function()
    with_strangers(function(near)
      do local scope <close> = near end -- luacheck: ignore
      assert.is_true(near:is_closing())
    end)
  end)
end)

describe("a server of another loop #plain", function()
  it("refuses what waits", function()
    with_strangers(function(_, server)
      refused("serve_forever", server.serve_forever, server)
      refused("wait_closed", server.wait_closed, server)
    end)
  end)

  it("answers, and can be closed", function()
    with_strangers(function(_, server)
      assert.is_true(server:is_serving())
      assert.equal(1, #server:sockets())
      server:close()
      assert.is_false(server:is_serving())
    end)
  end)
end)
