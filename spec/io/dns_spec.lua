local eddy = require "eddy"

describe("eddy.getaddrinfo", function()
  it("lists the addresses of a name", function()
    local list = eddy.getaddrinfo("localhost", 80, { type = "stream", family = "inet" })
    assert.same({ { family = "inet", type = "stream", address = "127.0.0.1", port = 80 } }, list)
  end)

  it("takes numeric addresses, services and flags", function()
    local list = eddy.getaddrinfo("::1", nil, { type = "dgram", flags = "numerichost" })
    assert.same({ family = "inet6", type = "dgram", address = "::1", port = 0 }, list[1])
    list = eddy.getaddrinfo(nil, 8080, { type = "stream", flags = { "passive", "numericserv" }, family = "inet" })
    assert.equal("0.0.0.0", list[1].address)
    assert.equal(8080, list[1].port)
  end)

  it("raises OSError", function()
    local _, err = pcall(eddy.getaddrinfo, "no-such-host.invalid", 80)
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.matches("^EAI_", err.code)
    assert.equal("getaddrinfo", err.syscall)
    assert.matches("no-such-host.invalid", tostring(err), 1, true)
  end)

  it("can be cancelled, and its late result goes nowhere", function()
    local tasks = {}
    for i = 1, 20 do tasks[i] = eddy.create_task(eddy.getaddrinfo, "localhost", i) end
    eddy.sleep(0)
    for i = 1, 20 do tasks[i]:cancel() end
    for i = 1, 20 do
      pcall(tasks[i].await, tasks[i])
      assert.is_true(tasks[i]:cancelled())
    end
  end)

  it("checks its arguments", function()
    assert.error_matches(function() eddy.getaddrinfo() end, "neither a host nor a port")
    assert.error_matches(function() eddy.getaddrinfo("a\0b") end, "zero byte")
    assert.error_matches(function() eddy.getaddrinfo("a", -1) end, "bad argument #2")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { flags = "x" }) end, "unknown value 'x'")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { flags = { 1 } }) end, "unknown value")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { flags = 1 }) end, "list of strings")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { type = "x" }) end, "unknown value 'x'")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { typ = "x" }) end, "unknown option 'typ'")
  end)
end)
