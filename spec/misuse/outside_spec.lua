-- Wrong calls of signals, descriptors, processes, datagrams and names: each method with a wrong self, on a closed
-- object, in another loop, with its finalizer called by hand.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"
local calls = require "spec.support.calls"

require("eddy.busted").timeout = 5

-- A new object, what messages call it, its methods with right arguments; what a closed one answers with an error.
local TYPES = {
  {
    name = "Signals", make = function() return (eddy.signals("SIGUSR2")) end,
    close = function(o) o:close() end,
    methods = { next = {}, next_nowait = {}, close = {} },
    refused = {},
  },
  {
    name = "Process", make = function() return eddy.create_subprocess_exec("sleep", { 100 }) end,
    close = function(o)
      pcall(o.kill, o)
      o:wait()
    end,
    methods = { wait = {}, communicate = {}, send_signal = { "SIGTERM" }, terminate = {}, kill = {} },
    refused = { send_signal = eddy.OSError, terminate = eddy.OSError, kill = eddy.OSError },
  },
  {
    name = "Datagram", make = function() return eddy.open_datagram { local_addr = { "127.0.0.1", 0 } } end,
    close = function(o) o:close() end,
    methods = { send = { "x", "127.0.0.1", 9 }, recv = {}, recv_nowait = {}, datagrams = {}, close = {},
      is_closing = {}, sockname = {}, peername = {}, join = { "239.1.1.1" }, leave = { "239.1.1.1" },
      set_ttl = { 1 }, set_multicast_ttl = { 1 }, set_multicast_interface = { "127.0.0.1" }, set_loop = { true },
      fileno = {} },
    refused = { send = eddy.RuntimeError, join = eddy.RuntimeError, leave = eddy.RuntimeError,
      set_ttl = eddy.RuntimeError, set_multicast_ttl = eddy.RuntimeError,
      set_multicast_interface = eddy.RuntimeError, set_loop = eddy.RuntimeError, fileno = eddy.RuntimeError },
  },
}

local WAITS = { next = true, wait = true, communicate = true, recv = true, }

local WRONG = { "", "nil", "true", "1", "'x'", "{}", "noop", "thread", "file", "light", "err", "lock", "future" }

local function settle()
  for _ = 1, 3 do eddy.sleep(0.001) end
end

for _, type in ipairs(TYPES) do
  describe("A method of " .. type.name, function()
    it("refuses a wrong self", function()
      local object = type.make()
      for method in pairs(type.methods) do
        for _, wrong in ipairs(WRONG) do
          local outcome = misuse.try(("method(%s)"):format(wrong), { method = object[method] })
          assert.is_true(outcome.raised, method)
          local expected = ("bad argument #1 to '%s' (%s expected, got "):format(method, type.name)
          assert.truthy(tostring(outcome.error):find(expected, 1, true), tostring(outcome.error))
          assert.matches("^call:37: ", outcome.error)
        end
        local impostor = setmetatable({}, { __index = object })
        local err = calls.raised(impostor[method], impostor)
        assert.matches("expected, got table", err)
      end
      type.close(object)
      settle()
    end)

    it("knows that it is closed", function()
      local object = type.make()
      type.close(object)
      settle()
      for method, arguments in pairs(type.methods) do
        local ok, err = pcall(object[method], object, table.unpack(arguments))
        local class = type.refused[method]
        assert.equal(class == nil, ok, method .. ": " .. tostring(err))
        if class then assert.is_true(eddy.is_error(err, class), tostring(err)) end
      end
      tostring(object)
      assert.same({}, eddy._handles())
    end)

    it("refuses to wait outside of a task, and in another loop #plain", function()
      local object
      local loop = eddy.new_event_loop()
      loop:run_until_complete(function() object = type.make() end)
      for method in pairs(type.methods) do
        if WAITS[method] then
          local ok, err = pcall(object[method], object)
          assert.is_false(ok)
          assert.is_true(eddy.is_error(err, eddy.RuntimeError), tostring(err))
          assert.matches("needs a running task", tostring(err))
          eddy.run(function() ok, err = pcall(object[method], object) end)
          assert.is_false(ok)
          assert.is_true(eddy.is_error(err, eddy.RuntimeError), tostring(err))
          assert.matches("another loop", tostring(err))
        end
      end
      loop:run_until_complete(function() type.close(object) end)
      loop:close()
    end)

    it("bears that its loop is closed under it #plain", function()
      local object
      warn "@off"
      eddy.run(function() object = type.make() end)
      warn "@on"
      eddy.run(function()
        for method, arguments in pairs(type.methods) do pcall(object[method], object, table.unpack(arguments)) end
        tostring(object)
      end)
      object = nil
      collectgarbage()
      collectgarbage()
    end)

    it("bears that its finalizer was called by hand", function()
      warn "@off"
      local object = type.make()
      local meta = debug.getmetatable(object)
      local pid, functions = type.name == "Process" and object.pid, {}
      for method in pairs(type.methods) do functions[method] = object[method] end
      meta.__gc(object)
      warn "@on"
      meta.__gc(object)
      for method, arguments in pairs(type.methods) do
        local err = calls.raised(functions[method], object, table.unpack(arguments))
        assert.matches("was collected", err)
      end
      assert.is_false((pcall(tostring, object)))
      for name, method in pairs(meta) do
        if _G.type(method) == "function" and name ~= "__gc" then
          for _, wrong in ipairs(WRONG) do
            assert.is_true(misuse.try(("method(%s)"):format(wrong), { method = method }).raised, name)
          end
        end
      end
      if pid then os.execute("kill " .. pid) end
      while #eddy._handles() > 0 do eddy.sleep(0.002) end
    end)

    it("can be cancelled in its waits, and used afterwards", function()
      local object = type.make()
      for method in pairs(type.methods) do
        if WAITS[method] and method ~= "communicate" then
          local task = eddy.create_task(object[method], object)
          eddy.sleep(0)
          task:cancel()
          pcall(eddy.await, task)
          assert.is_true(task:cancelled())
        end
      end
      type.close(object)
      settle()
      assert.same({}, eddy._handles())
    end)
  end)
end

describe("Functions that need a loop", function()
  local NEED = {
    { "signals", "SIGUSR1" }, { "open_datagram" }, { "create_subprocess_exec", "true" },
    { "create_subprocess_shell", "true" }, { "getaddrinfo", "localhost" }, { "getnameinfo", "127.0.0.1" },
    { "exec", "true" },
  }
  it("say so where there is none #plain", function()
    for _, call in ipairs(NEED) do
      calls.raised_as(eddy.RuntimeError, eddy[call[1]], table.unpack(call, 2))
    end
  end)

  it("are refused by a loop that is closed #plain", function()
    local loop = eddy.new_event_loop()
    loop:close()
    for method, arguments in pairs { add_signal_handler = { "SIGUSR1", print }, remove_signal_handler = { "SIGUSR1" },
      add_reader = { 0, print }, remove_reader = { 0 }, add_writer = { 1, print }, remove_writer = { 1 } } do
      local err = calls.raised(loop[method], loop, table.unpack(arguments))
      assert.is_true(eddy.is_error(err, eddy.RuntimeError), method)
      for _, wrong in ipairs(WRONG) do
        local text = tostring(misuse.try(("method(%s)"):format(wrong), { method = loop[method],
          loop = eddy.new_event_loop() }).error)
        assert.truthy(text:find(("bad argument #1 to '%s' (Loop expected"):format(method), 1, true), text)
      end
    end
  end)
end)
