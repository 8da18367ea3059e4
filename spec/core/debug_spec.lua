-- What debug mode tells. The scripts run in processes of their own, as it writes to stderr.

local eddy = require "eddy"
local support = require "spec.command.support"

describe("Debug mode #plain", function()
  local folder
  setup(function() folder = support.folder {} end)
  teardown(function() support.remove(folder) end)

  -- What the script writes on stderr in debug mode; `plain`: without it.
  local function run(code, plain)
    support.write(folder .. "/app.lua", "local eddy = require 'eddy'\nlocal function compute(s)\n" ..
      "local stop = os.clock() + s while os.clock() < stop do end end\n" .. code)
    local _, err = support.sh((plain and "" or "EDDY_DEBUG=1 ") .. '"$EDDY" ' .. folder .. "/app.lua")
    return (err:gsub("[^ \n]*/app.lua", "app.lua"))
  end

  it("names the task that computes for long, where it was then, and the time", function()
    local err = run [[
      eddy.run(function()
        local task = eddy.create_task(function()
          compute(0.15)
          eddy.sleep(0)
        end):set_name "busy"
        task:await()
      end)]]
    assert.matches("^eddy: debug: task 'busy' at app.lua:7 has computed for %d%.%d+ s without waiting", err)
    assert.equal(1, select(2, err:gsub("\n", "")))
  end)

  it("names a slow callback", function()
    local err = run [[
      eddy.run(function()
        eddy.get_running_loop():call_soon(function() compute(0.15) end)
        eddy.sleep(0.01)
      end)]]
    assert.matches("^eddy: debug: callback at app.lua:5 took %d%.%d+ s", err)
  end)

  it("takes slow_callback_duration as the measure", function()
    assert.equal("", run "eddy.Runner{slow_callback_duration = 60}:run(function() compute(0.15) end)")
    assert.matches("has computed for",
      run "eddy.Runner{slow_callback_duration = 0.01}:run(function() compute(0.05) end)")
  end)

  it("tells of a cancellation that was caught and forgotten", function()
    local err = run [[
      eddy.run(function()
        local task = eddy.create_task(function() pcall(eddy.sleep, 60) end):set_name "deaf"
        eddy.sleep(0)
        task:cancel()
        task:await()
      end)]]
    assert.matches("^eddy: debug: task 'deaf' was cancelled, but has caught that and ended normally", err)
  end)

  it("tells nothing of one that was taken back", function()
    assert.equal("", run [[
      eddy.run(function()
        local task = eddy.create_task(function()
          pcall(eddy.sleep, 60)
          eddy.current_task():uncancel()
        end)
        eddy.sleep(0)
        task:cancel()
        task:await()
      end)]])
  end)

  it("adds where the task was made to an error that nobody has looked at", function()
    local err = run [[
      eddy.run(function()
        eddy.create_task(function() error "lost" end)
        eddy.sleep(0)
      end)]]
    assert.matches("app.lua:5: lost.*the task was made at app.lua:5\n", err)
  end)

  it("adds where an async function was called whose Coroutine nobody awaited", function()
    local err = run [[
      local fetch = eddy.async(function() end)
      eddy.run(function()
        fetch()
        collectgarbage()
      end)]]
    assert.matches("function at app.lua:4 was never awaited; it was called at app.lua:6", err)
  end)

  it("is off unless it is asked for", function()
    assert.equal("", run("eddy.run(function() compute(0.15) end)", true))
  end)

  it("is on for a loop that says so, whatever the environment says", function()
    assert.is_true(eddy.Runner { debug = true }:get_loop():get_debug())
    assert.equal("", run "eddy.Runner{debug = false}:run(function() compute(0.15) end)")
  end)

  it("shows the slow place of the example", function()
    local out, err = support.sh('EDDY_DEBUG=1 "$EDDY" examples/asyncio/24_debug_mode.lua')
    assert.equal(5, select(2, out:gsub("tick", "")))
    assert.matches("task 'busy' at [^ ]*24_debug_mode.lua:22 has computed for %d%.%d+ s", err)
  end)
end)
