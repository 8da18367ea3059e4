-- What is forgotten open is closed, and warned of. Shown in a process of its own, as Lua's warnings go to stderr.

local chunk = require "spec.support.chunk"

-- Runs the body of a main task with warnings on; returns what it writes.
local function run(body)
  local output, ok = chunk.output_of("local eddy = require 'eddy' eddy.run(function() " .. body ..
    "\nend) collectgarbage()")
  assert.is_true(ok)
  return output
end

local function count(text, pattern) return select(2, text:gsub(pattern, "")) end

local echo = [[
  local server <close> = eddy.start_server(function(c) for l in c:lines("L") do c:write(l) end end, "127.0.0.1", 0)
  local host, port = server:address()
]]

describe("ResourceWarning #plain", function()
  it("names a forgotten connection and where it was opened", function()
    local output = run(echo .. [[
      eddy.open_connection(host, port):write("x\n"):read()
      collectgarbage() collectgarbage()
      eddy.sleep(0.01)
      print(server) ]])
    assert.matches("ResourceWarning: unclosed TCP connection 127%.0%.0%.1:%d+ %-> 127%.0%.0%.1:%d+ "
      .. "opened at chunk%.lua:3", output)
    assert.equal(1, count(output, "ResourceWarning"))
    assert.matches("0 connections", output)
  end)

  it("is given at the end of the run as well", function()
    local output = run(echo .. [[ conn = eddy.open_connection(host, port) server:close() server:abort_clients() ]])
    assert.equal(1, count(output, "ResourceWarning: unclosed TCP connection"))
    output = run [[ server = eddy.start_server(print, "127.0.0.1", 0) ]]
    assert.equal(1, count(output, "ResourceWarning: unclosed server at 127.0.0.1:%d+ opened at chunk.lua:1"))
    output = run [[ file = eddy.open("/dev/null") ]]
    assert.equal(1, count(output, "ResourceWarning: unclosed file /dev/null opened at chunk.lua:1"))
  end)

  it("names a forgotten file, whose data is written", function()
    local output = run [[
      local path = os.tmpname()
      eddy.open(path, "w"):write("written")
      collectgarbage() collectgarbage()
      print(eddy.fs.read_file(path))
      os.remove(path) ]]
    assert.matches("ResourceWarning: unclosed file .* opened at chunk%.lua:2", output)
    assert.matches("\nwritten\n", output)
  end)

  it("is not given for what was closed, or is eddy's own", function()
    assert.equal("", run(echo .. [[
      local conn = eddy.open_connection(host, port)
      conn:write(("x"):rep(10000), "\n")
      conn:close()
      conn = nil
      collectgarbage()
      local never = eddy.create_task(eddy.open_connection, host, port)
      eddy.sleep(0)
      never:cancel()
      local f = eddy.open("/dev/null")
      f:close()
      server:close() server:abort_clients() ]]))
  end)

  it("is given once when the state ends in the middle of it all", function()
    local output = run(echo .. [[
      conn = eddy.open_connection(host, port)
      eddy.create_task(conn.read, conn)
      eddy.create_task(eddy.fs.read_file, "/dev/null")
      eddy.create_task(eddy.getaddrinfo, "localhost", 1)
      eddy.sleep(0)
      os.exit(0, true) ]])
    assert.is_true(count(output, "ResourceWarning") <= 3)
  end)
end)
