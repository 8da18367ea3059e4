local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

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
    assert.error_matches(function() eddy.getaddrinfo("127.0.0.1", "80\0") end, "bad argument #2 .*zero byte")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { flags = "x" }) end, "unknown value 'x'")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { flags = { 1 } }) end, "unknown value")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { flags = 1 }) end, "list of strings")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { type = "x" }) end, "unknown value 'x'")
    assert.error_matches(function() eddy.getaddrinfo("a", 1, { typ = "x" }) end, "unknown option 'typ'")
  end)
end)

describe("A numeric address", function()
  it("is answered at once", function()
    local turned = false
    eddy.get_running_loop():call_soon(function() turned = true end)
    assert.equal("192.0.2.1", eddy.getaddrinfo("192.0.2.1", 80)[1].address)
    assert.equal("2001:db8::1", eddy.getaddrinfo("2001:db8::1", 80, { type = "stream" })[1].address)
    assert.equal(80, eddy.getaddrinfo(nil, 80, { flags = "passive" })[1].port)
    assert.is_false(turned)
  end)

  it("of another family is an error", function()
    local err = calls.raised(eddy.getaddrinfo, "192.0.2.1", 80, { family = "inet6" })
    assert.matches("^EAI_", err.code)
    assert.equal("getaddrinfo", err.syscall)
  end)
end)

describe("Look-ups", function()
  it("of the same name at the same time are one", function()
    local lists = eddy.gather((function()
      local all = {}
      for i = 1, 100 do
        all[i] = function() return eddy.getaddrinfo("localhost", 80, { type = "stream", family = "inet" }) end
      end
      return all
    end)())
    for i = 1, 100 do assert.equal("127.0.0.1", lists[i][1].address) end
  end)

  it("go on when one of those who ask is cancelled", function()
    for turns = 0, 3 do
      local one = eddy.create_task(eddy.getaddrinfo, "localhost", 80, { family = "inet" })
      local two = eddy.create_task(eddy.getaddrinfo, "localhost", 80, { family = "inet" })
      for _ = 1, turns do eddy.sleep(0) end
      one:cancel()
      assert.equal("127.0.0.1", two:await()[1].address)
      pcall(eddy.await, one)
    end
  end)

  it("may be asked again at once after all have been cancelled", function()
    for turns = 0, 5 do
      local tasks = {}
      for i = 1, 5 do tasks[i] = eddy.create_task(eddy.getaddrinfo, "localhost", 80, { family = "inet" }) end
      for _ = 1, turns do eddy.sleep(0) end
      for i = 1, 5 do tasks[i]:cancel() end
      assert.equal("127.0.0.1", eddy.getaddrinfo("localhost", 80, { family = "inet" })[1].address)
      for i = 1, 5 do pcall(eddy.await, tasks[i]) end
    end
  end)

  it("that hang do not keep files waiting, and are left at once", function()
    local root = io.popen("id -u"):read "l" == "0" and os.execute "unshare -nm true 2>/dev/null"
    if not root then return pending "needs a network namespace" end
    local folder = support.folder { resolv = "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n",
      nsswitch = "hosts: files dns\n", ["app.lua"] = [[
        local server = eddy.open_datagram { local_addr = { "127.0.0.1", 53 } }   -- it never answers
        local tasks = {}
        for i = 1, 8 do tasks[i] = eddy.create_task(eddy.getaddrinfo, ("name%d.example."):format(i), 80) end
        assert(server:recv())
        local worst = 0
        for i = 1, 100 do
          local before = eddy.time()
          eddy.fs.write_file(arg[1] .. "/file", "x")
          eddy.fs.read_file(arg[1] .. "/file")
          worst = math.max(worst, eddy.time() - before)
        end
        local before = eddy.time()
        for i = 1, 8 do tasks[i]:cancel() end
        for i = 1, 8 do pcall(eddy.await, tasks[i]) end
        local left = eddy.time() - before
        print(worst < 0.1, left < 0.1)
        os.exit(0)]] }
    finally(function() support.remove(folder) end)
    local out, err = support.sh(([[unshare -nm sh -c 'ip link set lo up; mount --bind FOLDER/resolv /etc/resolv.conf
      mount --bind FOLDER/nsswitch /etc/nsswitch.conf; exec "$EDDY" FOLDER/app.lua FOLDER']]):gsub("FOLDER", folder))
    assert.same({ "true\ttrue\n", "" }, { out, err })
  end)
end)

describe("eddy.set_dns_cache", function()
  after_each(function() eddy.set_dns_cache() end)

  local function look_up()   -- whether that has suspended the task
    local turned = false
    eddy.get_running_loop():call_soon(function() turned = true end)
    assert.equal("127.0.0.1", eddy.getaddrinfo("localhost", 80, { family = "inet" })[1].address)
    return turned
  end

  it("keeps answers for a time", function()
    assert.is_true(look_up())
    assert.is_true(look_up())
    eddy.set_dns_cache { ttl = 0.05 }
    assert.is_true(look_up())
    assert.is_false(look_up())
    assert.is_false(look_up())
    eddy.sleep(0.06)
    assert.is_true(look_up())
    assert.is_false(look_up())
    eddy.set_dns_cache()
    assert.is_true(look_up())
    assert.is_true(look_up())
  end)

  it("keeps a number of them, and no errors", function()
    eddy.set_dns_cache { max = 2 }
    for port = 1, 5 do eddy.getaddrinfo("localhost", port) end
    assert.is_true(look_up())
    assert.is_false(look_up())
    pcall(eddy.getaddrinfo, "no-such-host.invalid", 80)
    assert.is_false(look_up())
  end)

  it("checks its options", function()
    assert.error_matches(function() eddy.set_dns_cache(5) end, "bad argument #1 to 'set_dns_cache' %(table expected")
    assert.error_matches(function() eddy.set_dns_cache { ttl = "x" } end, "option 'ttl'")
    assert.error_matches(function() eddy.set_dns_cache { max = 0 } end, "option 'max': 0 is out of range")
    assert.error_matches(function() eddy.set_dns_cache { size = 0 } end, "unknown option 'size'")
  end)
end)

describe("eddy.getnameinfo", function()
  it("returns the name of an address and of a port", function()
    local host, service = eddy.getnameinfo("127.0.0.1", 22)
    assert.equal("localhost", host)
    assert.equal("ssh", service)
    assert.same({ "localhost", "0" }, { eddy.getnameinfo "127.0.0.1" })
    assert.is_string((eddy.getnameinfo("192.0.2.1", 1)))   -- one without a name is its own
  end)

  it("can be cancelled", function()
    for turns = 0, 3 do
      local task = eddy.create_task(eddy.getnameinfo, "127.0.0.1", 80)
      for _ = 1, turns do eddy.sleep(0) end
      task:cancel()
      pcall(eddy.await, task)
      assert.is_true(task:done())
    end
  end)

  it("checks its arguments", function()
    assert.error_matches(function() eddy.getnameinfo() end, "bad argument #1 to 'getnameinfo' %(string expected")
    assert.error_matches(function() eddy.getnameinfo "localhost" end, "a numeric address is expected")
    assert.error_matches(function() eddy.getnameinfo("127.0.0.1", -1) end, "a port is between")
  end)
end)
