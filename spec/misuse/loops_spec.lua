-- Loops that are closed, loops in loops, and what belongs to another loop.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

require("eddy.busted").timeout = 2

setup(function() warn "@off" end)      -- of the scopes that closed loops leave behind
teardown(function() warn "@on" end)

local RuntimeError = eddy.RuntimeError

-- --- Closed ---------------------------------------------------------------------------------------------------------

-- What is left of a loop that is closed.
local function closed_loop()
  local loop = eddy.new_event_loop()
  local left = { future = loop:create_future(), handle = loop:call_later(1000, print), done = loop:create_future() }
  left.done:set_result(1)
  left.task = loop:create_task(function()
    left.scope = eddy.timeout(1000)
    left.group = eddy.TaskGroup()
    left.iterator = eddy.as_completed { left.future }
    left.generator = eddy.generator(function(yield) yield(1) end)()
    left.generator()
    eddy.sleep(1000)
  end)
  loop:call_soon(function() loop:stop() end)
  loop:run_forever()
  loop:close()
  left.closed = loop
  left.loop = loop
  return left
end

local function closed_runner()
  local runner = eddy.Runner()
  runner:run(function() end)
  runner:close()
  return { closed = runner }
end

describe("a closed loop #plain", function()
  for _, call in ipairs {
    { "closed:time()", "time" }, { "closed:call_soon(print)", "call_soon" },
    { "closed:call_later(1, print)", "call_later" },
    { "closed:call_at(1, print)", "call_at" }, { "closed:create_future()", "create_future" },
    { "closed:create_task(print)", "create_task" }, { "closed:create_task(coro)", "create_task" },
    { "closed:run_forever()", "run_forever" }, { "closed:run_until_complete(print)", "run_until_complete" },
    { "closed:run_until_complete(future)", "run_until_complete" }, { "closed:stop()", "stop" },
    { "closed:get_debug()", "get_debug" }, { "closed:set_debug(true)", "set_debug" },
    { "closed:set_exception_handler(print)", "set_exception_handler" },
    { "closed:get_exception_handler()", "get_exception_handler" },
    { "closed:call_exception_handler({})", "call_exception_handler" }, { "eddy.all_tasks(closed)", "all_tasks" },
    { "future:add_done_callback(print)", "add_done_callback" },
    { "task:add_done_callback(print)", "add_done_callback" },
    { "done:add_done_callback(print)", "add_done_callback" }, { "scope:reschedule(1)", "reschedule" },
    { "scope:reschedule(nil)", "reschedule" },
  } do
    it("refuses " .. call[1], function()
      misuse.assert_error(misuse.try(call[1], closed_loop()), RuntimeError, "closed", "'" .. call[2] .. "'")
    end)
    it("refuses " .. call[1] .. " in another loop", function()
      local given, outcome = closed_loop(), nil
      eddy.run(function() outcome = misuse.try(call[1], given) end)
      misuse.assert_error(outcome, RuntimeError, "closed", "'" .. call[2] .. "'")
    end)
  end

  it("refuses the children of its groups", function()
    local given = closed_loop()
    for _, name in ipairs { "create_task", "start" } do
      local outcome = misuse.try(("group:%s(print)"):format(name), given)
      misuse.assert_error(outcome, RuntimeError, "'" .. name .. "'", "finished")
    end
  end)

  it("leaves objects that can be asked, cancelled and closed", function()
    local left = closed_loop()
    eddy.run(function()
      assert.is_true(left.closed:is_closed())
      assert.is_false(left.closed:is_running())
      left.closed:close()
      assert.is_nil(left.future:get_loop())
      left.future:cancel("late")
      left.future:remove_done_callback(print)
      left.handle:cancel()
      assert.is_nil(left.handle:when())
      assert.is_true(left.task:done())
      left.task:cancel()
      left.task:uncancel()
      left.task:traceback()
      left.task:get_stack()
      left.scope:when()
      left.group:cancel()
      left.generator:aclose()
      for _, object in pairs(left) do tostring(object) end
      misuse.assert_works()
    end)
  end)

  it("that was collected leaves futures that say so", function()
    local future, task, handle
    do
      local given = closed_loop()
      future, task, handle = given.future, given.task, given.handle
    end
    collectgarbage()
    collectgarbage()
    handle:cancel()
    task:cancel()
    misuse.assert_error(misuse.try("old:add_done_callback(print)", { old = future }), RuntimeError, "closed",
      "'add_done_callback'")
  end)
end)

describe("a closed Runner #plain", function()
  for _, call in ipairs {
    { "closed:run(print)", "run" }, { "closed:run()", "run" }, { "closed:run(5)", "run" },
    { "closed:get_loop()", "get_loop" },
  } do
    it("refuses " .. call[1], function()
      local outcome = misuse.try(call[1], closed_runner())
      misuse.assert_error(outcome, RuntimeError, "'" .. call[2] .. "'", "the Runner is closed")
    end)
  end

  it("whose loop was closed by hand refuses to run", function()
    local runner = eddy.Runner()
    runner:get_loop():close()
    for _, source in ipairs { "runner:run(print)", "runner:get_loop()" } do
      local outcome = misuse.try(source, { runner = runner })
      misuse.assert_error(outcome, RuntimeError, "closed", ("'%s'"):format(source:match ":([%w_]+)"))
    end
    runner:close()
  end)
end)

describe("a Runner whose loop_factory #plain", function()
  for _, factory in ipairs {
    { "returns nothing", function() end }, { "returns a number", function() return 5 end },
    { "returns a table", function() return {} end }, { "returns a Runner", eddy.Runner },
  } do
    it(factory[1] .. " is refused", function()
      for _, source in ipairs { "runner:run(print)", "runner:get_loop()" } do
        local runner = eddy.Runner { loop_factory = factory[2] }
        local outcome = misuse.try(source, { runner = runner })
        assert.is_true(outcome.raised)
        assert.matches("loop_factory", tostring(outcome.error))
        assert.equal(37, outcome.line)
        runner:close()
      end
    end)
  end

  it("returns a closed loop is refused", function()
    local runner = eddy.Runner { loop_factory = function() return closed_loop().closed end }
    misuse.assert_error(misuse.try("runner:run(print)", { runner = runner }), RuntimeError, "closed", "'run'")
    runner:close()
  end)
end)

-- --- Loops in loops -------------------------------------------------------------------------------------------------

describe("inside a running loop", function()
  local calls = {
    { "eddy.run(noop)", "run" }, { "eddy.run()", "run" }, { "eddy.run(coro)", "run" }, { "runner:run(noop)", "run" },
    { "loop:run_forever()", "run_forever" }, { "loop:run_until_complete(noop)", "run_until_complete" },
    { "loop:run_until_complete(future)", "run_until_complete" }, { "loop:close()", "close" },
    { "do local _ <close> = loop end", "close" },
    { "other:run_forever()", "run_forever" }, { "other:run_until_complete(noop)", "run_until_complete" },
    { "other:close()", "close" }, { "open_runner:run(noop)", "run" }, { "open_runner:close()", "close" },
    { "do local _ <close> = open_runner end", "close" },
  }

  local function given()
    local open_runner = eddy.Runner()
    open_runner:get_loop()
    return { other = eddy.new_event_loop(), open_runner = open_runner }
  end

  for _, call in ipairs(calls) do
    it("is refused: " .. call[1], function()
      misuse.assert_error(misuse.try(call[1], given()), RuntimeError, "'" .. call[2] .. "'", "running")
    end)
    it("is refused in a callback: " .. call[1], function()
      local prepared = misuse.prepare(call[1], given())
      eddy.get_running_loop():call_soon(prepared.run)
      eddy.sleep(0)
      misuse.assert_error(prepared.finish(), RuntimeError, "'" .. call[2] .. "'", "running")
    end)
  end

  it("a Runner does not close itself #plain", function()
    local runner = eddy.Runner()
    local outcome
    runner:run(function() outcome = misuse.try("runner:close()", { runner = runner }) end)
    misuse.assert_error(outcome, RuntimeError, "'close'", "running")
    runner:close()
  end)
end)

describe("a loop that is stopped too early #plain", function()
  it("is told by run_until_complete", function()
    local loop <close> = eddy.new_event_loop()
    loop:call_soon(function() loop:stop() end)
    local outcome = misuse.try("loop:run_until_complete(future)", { loop = loop })
    misuse.assert_error(outcome, RuntimeError, "'run_until_complete'", "stopped")
  end)

  it("is told by run", function()
    local outcome = misuse.try "eddy.run(function() eddy.get_running_loop():stop() eddy.sleep(1) end)"
    misuse.assert_error(outcome, RuntimeError, "'run'", "stopped")
  end)
end)

-- --- Of another loop ------------------------------------------------------------------------------------------------

local function other_loop()
  local loop = eddy.new_event_loop()
  return loop, { theirs = loop:create_future() }
end

local function other_task()
  local loop = eddy.new_event_loop()
  return loop, { theirs = loop:create_task(function() eddy.sleep(1000) end) }
end

local function of_closed_loop()
  local loop = eddy.new_event_loop()
  local theirs = loop:create_future()
  loop:close()
  return loop, { theirs = theirs }
end

-- Runs the call in a loop, given something of another one.
local function try_in_a_loop(source, make)
  local loop, given = make()
  local outcome
  eddy.run(function() outcome = misuse.try(source, given) end)
  loop:close()
  return outcome
end

for _, owner in ipairs { { "a future of another loop", other_loop }, { "a task of another loop", other_task },
  { "a future of a closed loop", of_closed_loop } } do
  describe(owner[1] .. " #plain", function()
    for _, call in ipairs {
      { "eddy.await(theirs)", "await" }, { "theirs:await()", "await" }, { "eddy.shield(theirs)", "shield" },
      { "eddy.gather(theirs)", "gather" }, { "eddy.gather({ theirs })", "gather" },
      { "eddy.gather(future, theirs)", "gather" },
      { "eddy.gather({ theirs }, { return_exceptions = true })", "gather" },
      { "eddy.wait({ theirs })", "wait" }, { "eddy.wait({ future, theirs }, { timeout = 0 })", "wait" },
      { "eddy.wait_for(theirs)", "wait_for" }, { "eddy.wait_for(theirs, 1)", "wait_for" },
      { "eddy.wait_for(theirs, 0)", "wait_for" }, { "eddy.as_completed({ theirs })()", "as_completed" },
      { "eddy.as_completed({ future, theirs })()", "as_completed" },
      { "eddy.move_on_after(1, eddy.await, theirs)", "await" },
      { "eddy.timeout(1, theirs.await, theirs)", "await" },
      { "eddy.TaskGroup(function() theirs:await() end)", "await" },
    } do
      it("is refused: " .. call[1], function()
        local outcome = try_in_a_loop(call[1], owner[2])
        if call[1]:find "TaskGroup" then
          assert.is_true(eddy.is_error(outcome.error, eddy.ExceptionGroup))
          outcome.error = outcome.error.errors[1]
        end
        misuse.assert_error(outcome, RuntimeError, "belongs to another loop", "'" .. call[2] .. "'")
      end)
    end

    for _, call in ipairs {
      { "eddy.gather(noop, theirs)", "gather" }, { "eddy.gather({ coro, noop, theirs })", "gather" },
      { "eddy.wait({ noop, theirs })", "wait" }, { "eddy.wait({ coro, noop, theirs })", "wait" },
      { "eddy.as_completed({ noop, theirs })()", "as_completed" },
    } do
      it("is refused before a task is made: " .. call[1], function()
        local outcome = try_in_a_loop(call[1], owner[2])
        misuse.assert_error(outcome, RuntimeError, "belongs to another loop", "'" .. call[2] .. "'")
      end)
    end

    for _, call in ipairs {
      { "eddy.run(theirs)", "run" }, { "runner:run(theirs)", "run" },
      { "mine:run_until_complete(theirs)", "run_until_complete" },
    } do
      it("is refused outside: " .. call[1], function()
        local loop, given = owner[2]()
        local mine <close> = eddy.new_event_loop()
        given.mine = mine
        misuse.assert_error(misuse.try(call[1], given), RuntimeError, "belongs to another loop", "'" .. call[2] .. "'")
        loop:close()
      end)
    end
  end)
end

-- Turns the loop of a Runner a few times while f's task stays.
local function begin(runner, f)
  runner:run(function()
    eddy.create_task(f)
    for _ = 1, 3 do eddy.sleep(0) end
  end)
end

describe("where tasks of another loop wait #plain", function()
  for _, case in ipairs {
    { "Lock", "locked", { "acquire()", "hold()", "with(noop)" }, "acquire" },
    { "Semaphore", 0, { "acquire()", "hold()", "with(noop)" }, "acquire" },
    { "Event", nil, { "wait()" }, "wait" },
    { "Barrier", 3, { "wait()" }, "wait" },
    { "Condition", "locked", { "acquire()", "hold()", "with(noop)", "wait()", "wait_for(noop)" }, "acquire" },
    { "Queue", nil, { "get()", "items()(shared)" }, "get" },
    { "PriorityQueue", nil, { "get()" }, "get" },
    { "Queue", "full", { "put(1)" }, "put" },
    { "LifoQueue", "full", { "put(1)" }, "put" },
    { "Queue", "full", { "join()" }, "join" },
  } do
    local class, state, methods, waits = table.unpack(case)
    for _, method in ipairs(methods) do
      it(("is refused: %s:%s"):format(class, method), function()
        local runner <close> = eddy.Runner()
        local shared = eddy[class](type(state) == "number" and state or state == "full" and 1 or nil)
        if state == "locked" then shared:acquire() end
        if state == "full" then shared:put(1) end
        begin(runner, function() shared[waits](shared, 2) end)
        local text, outcome = tostring(shared), nil
        eddy.run(function() outcome = misuse.try("shared:" .. method, { shared = shared }) end)
        local name = method:find "^items" and "get" or method:match "^[%w_]+"
        misuse.assert_error(outcome, RuntimeError, ("'%s': tasks of another loop are waiting here"):format(name))
        assert.equal(text, tostring(shared))
      end)
    end
  end

  it("a Condition refuses wait and wait_for", function()
    for _, method in ipairs { "wait()", "wait_for(noop)" } do
      local runner <close> = eddy.Runner()
      local condition = eddy.Condition()
      begin(runner, function()
        condition:acquire()
        condition:wait()
      end)
      condition:acquire()
      local outcome
      eddy.run(function() outcome = misuse.try("condition:" .. method, { condition = condition }) end)
      local name = method:match "^[%w_]+"
      misuse.assert_error(outcome, RuntimeError, ("'%s': tasks of another loop are waiting here"):format(name))
      condition:release()
    end
  end)
end)

describe("a scope of a task of another loop #plain", function()
  local function group_of(runner)
    local group
    begin(runner, function()
      group = eddy.TaskGroup()
      eddy.sleep(1000)
    end)
    return group
  end

  it("refuses start", function()
    local runner <close> = eddy.Runner()
    local group = group_of(runner)
    local outcome
    eddy.run(function() outcome = misuse.try("group:start(noop)", { group = group }) end)
    misuse.assert_error(outcome, RuntimeError, "'start'", "another loop")
  end)

  it("refuses to end its group", function()
    local runner <close> = eddy.Runner()
    local group = group_of(runner)
    local outcome
    eddy.run(function() outcome = misuse.try("do local _ <close> = group end", { group = group }) end)
    misuse.assert_error(outcome, RuntimeError, "TaskGroup", "closed by the task that opened it")
  end)

  it("refuses as_completed", function()
    local runner <close> = eddy.Runner()
    local iterator = runner:run(function() return eddy.as_completed { eddy.get_running_loop():create_future() } end)
    local outcome
    eddy.run(function() outcome = misuse.try("iterator()", { iterator = iterator }) end)
    misuse.assert_error(outcome, RuntimeError, "as_completed", "another loop")
  end)
end)
