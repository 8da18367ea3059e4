-- SPDX-License-Identifier: MIT
--
-- eddy.busted - busted --helper=eddy.busted: every it, before_each, setup, finally, … may wait.
-- Owns:  the Runners that tests run on, and `busted.safe`, through which busted calls all that a spec file registers.
-- Uses:  the public table of eddy, eddy.testing; busted 2.
--
-- A test runs on a loop of its own, with its before_each and after_each; each of them is the main task of one
-- `runner:run`, so what before_each has started goes on during the test. A block (describe, file) with a setup has
-- one loop for all its tests, and what the setup started goes on until the teardown.
-- Tags in the name of a test or of a block around it:
--   #virtual   on a virtual clock: an hour of sleeping takes no time
--   #plain     not in a task at all, for what must be called outside of a running loop, like eddy.run
-- A test fails that takes longer than `timeout` seconds of real time, or leaves tasks or handles behind; or, when its
-- loop is closed, anything else that eddy.testing.ledger counts.

local eddy = require "eddy"
local testing = require "eddy.testing"

local helper = {
  timeout = tonumber(os.getenv("EDDY_TEST_TIMEOUT")) or 10,   -- of each function; a file may set it for itself
  preempt = tonumber(os.getenv("EDDY_TEST_PREEMPT")),         -- of the Runners
}

local default_timeout = helper.timeout
local GRACE = 0.1      -- seconds in which what is about to end may do so, before it counts as left behind
local STUBBORN = 5     -- cancellations after which a task is left alone

-- Busted's own table, of which `require "busted"` shows a part.
local function core_of_busted()
  local index = (getmetatable(require "busted") or {}).__index
  for i = 1, type(index) == "function" and 10 or 0 do
    local name, value = debug.getupvalue(index, i)
    if name == "busted" then return value end
  end
  error("eddy.busted is a helper of busted 2: busted --helper=eddy.busted", 0)
end

local core = core_of_busted()
local safe, safe_publish, publish, get_trace = core.safe, core.safe_publish, core.publish, core.getTrace

-- What busted calls through `safe` that may wait. The outermost call for a test is recognised apart.
local may_wait = {
  it = true, finally = true, before_each = true, after_each = true, describe = true,
  strict_setup = true, strict_teardown = true, lazy_setup = true, lazy_teardown = true,
}

-- Tells busted, at the place where the element stands in its file.
local function report(element, status, message)
  local trace = setmetatable({ message = message }, { __index = element.trace })
  publish({ status, element.descriptor }, element, core.context.parent(element), message, trace)
end

-- "virtual", "plain" or "real": what the tags of the element and the blocks around it ask for, the nearest first.
local function mode_of(element)
  while element do
    local name = type(element.name) == "string" and element.descriptor ~= "file" and element.name or ""
    if name:find("#plain%f[%W]") then return "plain" end
    if name:find("#virtual%f[%W]") then return "virtual" end
    element = core.context.parent(element)
  end
  return "real"
end

-- --- Runners -------------------------------------------------------------------------------------------------

local shared = {}   -- mode -> { runner, owner }: of a block with a setup
local test          -- the one that runs: { element, mode, runner, before, end_event }

-- A block has none until it needs one.
local function runner_for(mode, block)
  local used = shared[mode]
  if not used and (block or not test.runner) then
    used = { owner = block }
    used.runner = eddy.Runner { clock = mode == "virtual" and "virtual" or nil, preempt = helper.preempt }
    if block then shared[mode] = used end
  end
  if block then return used.runner end
  if not test.runner then
    test.runner, test.before = used.runner, testing._inventory(used.runner:get_loop())
  end
  return test.runner
end

-- Turns the loop until nothing newer than `before` is left, or that seems to stay. Returns what stays.
local function settle(runner, mode, before)
  local loop = runner:get_loop()
  return runner:run(function()
    local me = eddy.current_task()
    local deadline = eddy.time() + GRACE
    local tasks, texts
    for turn = 1, math.huge do
      tasks, texts = testing._newer(loop, before, me)
      if #texts == 0 or turn > 10 and (mode == "virtual" or eddy.time() > deadline) then return tasks, texts end
      eddy.sleep(turn <= 5 and 0 or mode == "real" and 0.002 or 1e-9)   -- 0 alone would not let libuv speak
    end
  end)
end

-- Ends the tasks; returns whether all of them have ended. Some take a cancellation and go on.
local function end_tasks(runner, tasks)
  return runner:run(function()
    for _ = 1, STUBBORN do
      if #tasks == 0 then return true end
      for _, task in ipairs(tasks) do task:cancel("left behind by a test") end
      local done, pending = eddy.wait(tasks, { timeout = 0.05 })
      for _, task in ipairs(done) do
        if not task:cancelled() then task:exception() end   -- nobody else will ask
      end
      tasks = pending
    end
    return #tasks == 0
  end)
end

-- Gives back a runner: ends what is newer than `before`, closes the loop unless it is a block's. Returns the texts of
-- what was left behind.
local function give_back(runner, mode, before)
  local tasks, texts = settle(runner, mode, before)
  local ended = end_tasks(runner, tasks)
  local is_shared = shared[mode] and shared[mode].runner == runner
  if not is_shared and ended then runner:close() end   -- closing would wait for ever for a task that will not end
  return texts
end

-- The end of a block: what its setup has started should have ended.
local function end_block(block)
  for _, mode in ipairs { "real", "virtual" } do
    local used = shared[mode]
    if used and used.owner == block then
      shared[mode] = nil
      local texts = give_back(used.runner, mode)
      if #texts > 0 then report(block, "error", testing._complaint(texts)) end
    end
  end
  return nil, true
end

-- The body of a block seldom starts anything: then its tests need not share a loop.
local function end_body(block, mode)
  local used = shared[mode]
  if used and used.owner == block and #select(2, settle(used.runner, mode)) == 0 then
    used.runner:close()
    shared[mode] = nil
  end
end

-- --- One function of a spec, as the main task of a run -------------------------------------------------------

-- Watches over the running task: cancels it when it has taken `helper.timeout` seconds, and stops the loop when it will
-- not end. `watch.expired` is the reason then; `watch.stop()` ends the watch.
local function start_watch(watch, mode)
  local loop, task = eddy.get_running_loop(), eddy.current_task()
  local limit = helper.timeout
  local deadline = core.monotime() + limit
  local handle
  local cancels = 0

  local function expire()
    if cancels == 0 then
      local texts = {}
      for _, other in ipairs(eddy.all_tasks(loop)) do texts[#texts + 1] = tostring(other) end
      watch.expired = ("timeout: not done after %g s\n  %s"):format(limit, table.concat(texts, "\n  "))
    end
    cancels = cancels + 1
    if cancels > STUBBORN then loop:stop() else task:cancel(watch.expired) end
  end

  -- On a virtual clock any moment may be far away, or pass a million times a second: we look at moments that lie ever
  -- farther apart. After the last of them a deadlock is found as if we were not here.
  local function look(delay)
    local late = core.monotime() >= deadline
    if late then expire() end
    if mode == "real" then
      handle = loop:call_later(late and 0.2 or deadline - core.monotime(), look)
    elseif delay < 1e9 then
      handle = loop:call_later(delay, look, late and delay or delay * 2)
    end
  end
  function watch.stop()
    if handle then handle:cancel() end
  end
  if limit < math.huge then look(1e-3) end
end

-- An error that has come from other tasks: adds their tracebacks, with the chain of awaits that led to us.
local function add_story(trace, main)
  local story = main:done() and main:traceback() or ""
  local chain = story:match("\n(stack traceback of task .*\nawaited by task '" .. main:get_name() .. "' at [^\n]*)")
    or story:match("\n(  1%. [^\n]*\n  | .*)")   -- of a group
  if chain then trace.traceback = (trace.traceback or "") .. "\n" .. chain end
end

-- Busted's `safe` in a task. That the function has failed is told to busted when the run has ended: then it is known
-- whether a deadlock, a timeout or Ctrl-C was the reason.
local function safe_in_task(mode, descriptor, run, element, block)
  local runner = runner_for(mode, block)
  local watch, main, results, raised = { stop = function() end }, nil, nil, nil
  local failure   -- what busted would publish: channel, element, parent, message, trace

  core.publish = function(channel, ...)
    if channel[1] ~= "error" and channel[1] ~= "failure" then return publish(channel, ...) end
    failure = table.pack(channel, ...)
  end
  core.getTrace = function(e, level, message)   -- is asked for where the error is caught
    raised = message
    return get_trace(e, level, message)
  end

  local ok, err = pcall(runner.run, runner, function()
    main = eddy.current_task():set_name(descriptor)
    start_watch(watch, mode)
    results = table.pack(safe(descriptor, function()
      run()
      if watch.expired then error(watch.expired, 0) end   -- it has taken the cancellation and gone on
    end, element))
    watch.stop()
    if failure then error(raised, 0) end   -- the runner may know of a Ctrl-C; and the task has its story then
  end)
  watch.stop()
  if main and not main:done() and not end_tasks(runner, { main }) then   -- a deadlock; and now too stubborn
    shared[mode] = nil   -- nobody uses this loop again
    core.context.pop()   -- as `safe` would have done
  end
  core.publish, core.getTrace = publish, get_trace

  local reason = watch.expired or not (ok or failure and rawequal(err, raised)) and err
  if reason then
    local trace = failure and failure[5] or element.trace
    failure = table.pack({ "error", element.descriptor }, element, core.context.parent(element),
      core.rewriteMessage(element, reason, trace), trace)
    results = results or { n = 1 }
    results[1] = core.status("error")
  end
  if failure then
    if main then add_story(failure[5], main) end
    publish(table.unpack(failure, 1, failure.n))
  end
  if not ok and eddy.is_error(err, eddy.Interrupted) then core.skipAll = true end   -- --keep-going or not
  return table.unpack(results, 1, results.n)
end

-- --- A whole test: before_each, it, finally, after_each ------------------------------------------------------

local function run_test(descriptor, run, element)
  test = { element = element, mode = mode_of(element), ledger = eddy._ledger() }
  local results = table.pack(safe(descriptor, function()
    run()
    local left = test.runner and give_back(test.runner, test.mode, test.before) or {}
    local event = test.end_event
    if not event then return end   -- before_each has failed
    if #left == 0 and not shared[test.mode] then left = testing._unbalanced(test.ledger) end
    if #left > 0 and event.status == "success" then
      report(element, "failure", testing._complaint(left))
      event.status = "failure"
    end
    safe_publish("test", { "test", "end" }, element, event.parent, event.status)
  end, element))
  test = nil
  return table.unpack(results, 1, results.n)
end

function core.safe(descriptor, run, element)
  local is_registered = run == element.run or descriptor == "finally"
  if descriptor == "it" and element.descriptor == "it" and not is_registered then
    return run_test(descriptor, run, element)
  end
  if not is_registered or not may_wait[descriptor] then return safe(descriptor, run, element) end

  local is_body, is_fixture = descriptor == "describe", descriptor:find("_setup$") or descriptor:find("_teardown$")
  local block = is_body and element or is_fixture and core.context.parent(element) or nil
  local mode = block and mode_of(element) or test.mode
  if mode == "plain" then return safe(descriptor, run, element) end
  local results = table.pack(safe_in_task(mode, descriptor, run, element, block))
  if is_body then end_body(block, mode) end
  return table.unpack(results, 1, results.n)
end

-- The end of a test is told when after_each has run and it is known what the test has left behind.
function core.safe_publish(descriptor, channel, element, ...)
  if test and element == test.element and channel[1] == "test" and channel[2] == "end" then
    local parent, status = ...
    test.end_event = { parent = parent, status = status }
    return true
  end
  return safe_publish(descriptor, channel, element, ...)
end

core.subscribe({ "describe", "end" }, end_block)
core.subscribe({ "file", "end" }, end_block)
core.subscribe({ "suite", "end" }, end_block)
core.subscribe({ "file", "start" }, function()
  helper.timeout = default_timeout
  return nil, true
end)

return helper
