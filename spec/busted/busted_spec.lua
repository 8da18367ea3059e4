-- The helper that these specs themselves run with.

local eddy = require "eddy"
local inner_busted = require "spec.support.inner_busted"

-- What is written here runs under the helper, so much can be seen from the inside.
describe("eddy.busted", function()
  local log = {}
  local served

  setup(function()
    eddy.sleep(0)
    log[#log + 1] = "setup"
    served = eddy.create_task(eddy.sleep, math.huge)
  end)

  before_each(function()
    eddy.sleep(0.001)
    log[#log + 1] = "before_each"
  end)

  after_each(function()
    eddy.sleep(0.001)
    log[#log + 1] = "after_each"
  end)

  teardown(function()
    served:cancel()
    eddy.sleep(0)
    assert.is_true(served:cancelled())
  end)

  it("lets before_each, it, finally and after_each wait", function()
    finally(function()
      eddy.sleep(0)
      log[#log + 1] = "finally"
    end)
    eddy.sleep(0.001)
    assert.equal("before_each", log[#log])
  end)

  it("keeps what setup has started until teardown", function()
    assert.is_false(served:done())
  end)

  it("lets assertions wait", function()
    assert.has_error(function()
      eddy.sleep(0)
      error("late", 0)
    end, "late")
  end)
end)

describe("eddy.busted #virtual", function()
  local started

  before_each(function()
    started = eddy.create_task(eddy.sleep, 3600, "an hour later")
  end)

  it("runs on virtual time, which starts at 0", function()
    assert.equal(0, eddy.get_running_loop():time())
    eddy.sleep(86400 * 365)
    assert.equal(86400 * 365, eddy.get_running_loop():time())
    assert.equal("an hour later", eddy.await(started))
  end)

  it("gives each test a loop of its own", function()
    assert.equal(0, eddy.get_running_loop():time())
    assert.equal("an hour later", eddy.await(started))
  end)
end)

describe("eddy.busted #plain", function()
  it("runs outside of a loop", function()
    assert.equal("ran", eddy.run(function() return eddy.sleep(0, "ran") end))
  end)

  it("minds the nearest tag #virtual", function()
    assert.equal(0, eddy.get_running_loop():time())
  end)
end)

describe("eddy.busted, when a test is wrong #plain", function()
  -- What comes of tests that may take 0.1 s each.
  local function in_a_tenth(source)
    local output = inner_busted.run(source, nil, "EDDY_TEST_TIMEOUT=0.1")
    assert.matches("timeout: not done after 0.1 s", output)
    return output
  end

  local function summary(output) return output:match("(%d+ success%S* / .-) :") end

  it("passes failures on as busted's own, with the place", function()
    local output, status = inner_busted.run [[
      local eddy = require "eddy"
      it("fails", function()
        eddy.sleep(0)
        assert.equal(1, 2)
      end)
      it("is pending", function()
        eddy.sleep(0)
        pending("later")
      end)
      it("errs", function()
        local function deeper() eddy.sleep(0) error("boom") end
        deeper()
      end)
    ]]
    assert.equal("0 successes / 1 failure / 1 error / 1 pending", summary(output))
    assert.matches("spec.lua:4: Expected objects to be equal", output)
    assert.matches("spec.lua:11: boom", output)
    assert.matches("spec.lua:12: in ", output)   -- the traceback reaches the test
    assert.not_equal(0, status)
  end)

  it("passes failures on that happen in a task", function()
    local output = inner_busted.run [[
      local eddy = require "eddy"
      it("fails", function()
        eddy.await(eddy.create_task(function() assert.equal(1, 2) end))
      end)
      it("errs", function()
        local function deep() error({ code = 7 }) end
        local task = eddy.create_task(deep):set_name("child")
        eddy.await(task)
      end)
      it("errs in a group", function()
        local tg <close> = eddy.TaskGroup()
        tg:create_task(function() error("in a group") end)
      end)
    ]]
    assert.equal("0 successes / 1 failure / 2 errors / 0 pending", summary(output))
    assert.matches("spec.lua:3: Expected objects to be equal", output)
    assert.matches("code = 7", output)
    assert.matches("traceback of task 'child':.*spec.lua:6: in .*\nawaited by task 'it' at spec.lua:8\n", output)
    assert.matches("  1. spec.lua:12: in a group\n  | stack traceback", output, 1, true)
  end)

  it("fails a test that takes too long, and says where it waits", function()
    local output = in_a_tenth [[
      local eddy = require "eddy"
      it("waits for ever", function()
        eddy.create_task(eddy.sleep, 50):set_name("helper task")
        eddy.sleep(60)
      end)
      it("goes on", function() end)
    ]]
    assert.equal("1 success / 0 failures / 1 error / 0 pending", summary(output))
    assert.matches("spec.lua:4: timeout: not done after 0.1 s", output)
    assert.matches("waiting in sleep at spec.lua:4", output)
    assert.matches("'helper task'", output)
  end)

  it("fails a test that takes too long on virtual time", function()
    local output = in_a_tenth [[
      local eddy = require "eddy"
      it("ticks for ever #virtual", function()
        eddy.create_task(function() while true do eddy.sleep(1) end end)
        eddy.await(eddy.get_running_loop():create_future())
      end)
    ]]
    assert.equal("0 successes / 0 failures / 1 error / 0 pending", summary(output))
    assert.matches("spec.lua:4: timeout: not done after 0.1 s", output)
  end)

  it("fails a test that takes the cancellation of its timeout and goes on", function()
    local output = in_a_tenth [[
      local eddy = require "eddy"
      it("is stubborn", function() pcall(eddy.sleep, 60) end)
    ]]
    assert.equal("0 successes / 0 failures / 1 error / 0 pending", summary(output))
  end)

  it("gives up a test that takes every cancellation", function()
    local output = in_a_tenth [[
      local eddy = require "eddy"
      it("never ends", function()
        while true do pcall(eddy.sleep, 60) end
      end)
      it("comes after it", function() end)
    ]]
    assert.equal("1 success / 0 failures / 1 error / 0 pending", summary(output))
  end)

  it("lets a file set its own timeout", function()
    local output = inner_busted.run [[
      local eddy = require "eddy"
      require("eddy.busted").timeout = 0.1
      it("is slow", function() eddy.sleep(60) end)
    ]]
    assert.matches("timeout: not done after 0.1 s", output)
  end)

  it("shows a deadlock, and who waits for what", function()
    local output = inner_busted.run [[
      local eddy = require "eddy"
      it("waits for nothing #virtual", function()
        eddy.await(eddy.get_running_loop():create_future())
      end)
    ]]
    assert.equal("0 successes / 0 failures / 1 error / 0 pending", summary(output))
    assert.matches("DeadlockError", output)
    assert.matches("waiting in await at spec.lua:3", output)
  end)

  it("fails a test that leaves tasks behind, names them, and ends them", function()
    local output = inner_busted.run [[
      local eddy = require "eddy"
      local ended
      it("leaves one", function()
        eddy.create_task(function()
          local _ <close> = setmetatable({}, { __close = function() ended = true end })
          eddy.sleep(60)
        end):set_name("straggler")
        eddy.sleep(0)
      end)
      it("comes after it", function() assert.is_true(ended) end)
    ]]
    assert.equal("1 success / 1 failure / 0 errors / 0 pending", summary(output))
    assert.matches("spec.lua @ 3\nleaves one\n[^\n]*left behind: 1", output)
    assert.matches("'straggler' pending, waiting in sleep at spec.lua:6", output)
  end)

  it("fails a test that leaves handles behind, and names them", function()
    local output = inner_busted.run [[
      local eddy = require "eddy"
      it("leaves a server", function()
        eddy.start_server(function() end, "127.0.0.1", 0)
      end)
      it("closes its server", function()
        local server <close> = eddy.start_server(function(conn) conn:write("hello\n") end, "127.0.0.1", 0)
        local conn <close> = eddy.open_connection(server:address())
        assert.equal("hello", conn:read("l"))
      end)
    ]]
    assert.equal("1 success / 1 failure / 0 errors / 0 pending", summary(output))
    assert.matches("left behind: 1[^\n]*\n[^\n]*[Ss]erver", output)
  end)

  it("goes on when a task that is left behind will not end", function()
    local output = inner_busted.run [[
      local eddy = require "eddy"
      it("leaves one", function()
        eddy.create_task(function()
          while true do pcall(eddy.sleep, 0.01) end
        end)
        eddy.sleep(0)
      end)
      it("comes after it", function() eddy.sleep(0) end)
    ]]
    assert.equal("1 success / 1 failure / 0 errors / 0 pending", summary(output))
  end)

  it("lets after_each tidy up", function()
    local output, status = inner_busted.run [[
      local eddy = require "eddy"
      local task
      after_each(function() task:cancel() end)
      it("starts one", function() task = eddy.create_task(eddy.sleep, 60) end)
    ]]
    assert.equal("1 success / 0 failures / 0 errors / 0 pending", summary(output))
    assert.equal(0, status)
  end)

  it("tells when a block's setup leaves tasks behind", function()
    local output = inner_busted.run [[
      local eddy = require "eddy"
      describe("block", function()
        setup(function() eddy.create_task(eddy.sleep, 60):set_name("never stopped") end)
        it("passes", function() eddy.sleep(0) end)
      end)
    ]]
    assert.equal("1 success / 0 failures / 1 error / 0 pending", summary(output))
    assert.matches("left behind: 1[^\n]*\n[^\n]*'never stopped'", output)
  end)

  it("stops the whole run at Ctrl-C", function()
    local output, status = inner_busted.run [[
      local eddy = require "eddy"
      it("is interrupted", function()
        io.popen("kill -INT $PPID"):close()   -- os.execute would shield us
        eddy.sleep(60)
      end)
      it("comes after it", function() end)
    ]]
    assert.equal("0 successes / 0 failures / 1 error / 0 pending", summary(output))
    assert.matches("Interrupted", output)
    assert.not_equal(0, status)
  end)

  it("works with lazy fixtures and in any order", function()
    local output = inner_busted.run([[
      local eddy = require "eddy"
      describe("lazy", function()
        local task
        lazy_setup(function() task = eddy.create_task(eddy.sleep, 60) end)
        lazy_teardown(function() task:cancel() end)
        it("sees it", function() eddy.sleep(0) assert.is_false(task:done()) end)
        it("sees it again", function() eddy.sleep(0) assert.is_false(task:done()) end)
      end)
      describe("waiting while it is described", function()
        local value = eddy.sleep(0, 7)
        it("has come", function() assert.equal(7, value) end)
      end)
    ]], "--shuffle --repeat=2")
    assert.equal("3 successes / 0 failures / 0 errors / 0 pending", summary(output))
  end)
end)
