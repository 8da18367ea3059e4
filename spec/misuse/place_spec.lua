-- Waiting where nothing can wait: every function that waits, at every place where Lua cannot suspend or no task runs.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

require("eddy.busted").timeout = 2

-- The call, and the name that the error gives it.
local WAITS = {
  { "eddy.sleep(0)", "sleep" }, { "eddy.sleep(-1)", "sleep" }, { "eddy.sleep(math.huge)", "sleep" },
  { "eddy.gather(noop)", "gather" }, { "eddy.gather({})", "gather" }, { "eddy.gather({ future })", "gather" },
  { "eddy.wait({ noop })", "wait" }, { "eddy.wait({ future }, { timeout = 0 })", "wait" },
  { "eddy.wait_for(noop, 1)", "wait_for" }, { "eddy.wait_for(future, 0)", "wait_for" },
  { "eddy.wait_for(coro)", "wait_for" },
  { "eddy.await(future)", "await" }, { "eddy.await(task)", "await" }, { "eddy.await(coro)", "await" },
  { "future:await()", "await" }, { "task:await()", "await" }, { "coro:await()", "await" },
  { "eddy.shield(noop)", "shield" }, { "eddy.shield(future)", "shield" }, { "eddy.shield(coro)", "shield" },
  { "eddy.map(noop, { 1 })", "map" }, { "eddy.map(noop, {})", "map" },
  { "eddy.timeout(1)", "timeout" }, { "eddy.timeout()", "timeout" }, { "eddy.timeout(1, noop)", "timeout" },
  { "eddy.timeout_at(1)", "timeout_at" }, { "eddy.timeout_at(1, noop)", "timeout_at" },
  { "eddy.move_on_after(1, noop)", "move_on_after" }, { "eddy.move_on_after(nil, noop)", "move_on_after" },
  { "eddy.TaskGroup()", "TaskGroup" }, { "eddy.TaskGroup(noop)", "TaskGroup" },
  { "held_lock:acquire()", "acquire" }, { "held_lock:hold()", "hold" }, { "held_lock:with(noop)", "with" },
  { "empty_semaphore:acquire()", "acquire" }, { "empty_semaphore:hold()", "hold" },
  { "empty_semaphore:with(noop)", "with" },
  { "condition:acquire()", "acquire" }, { "condition:hold()", "hold" }, { "condition:with(noop)", "with" },
  { "condition:wait()", "wait" }, { "condition:wait_for(noop)", "wait_for" },
  { "event:wait()", "wait" }, { "barrier:wait()", "wait" },
  { "queue:get()", "get" }, { "full_queue:put(1)", "put" }, { "full_queue:join()", "join" },
  { "priority_queue:get()", "get" }, { "for _ in queue:items() do break end", "get" },
}
local IN_A_LOOP = { { "iterator()", "as_completed" }, { "group:start(noop)", "start" } }

-- What the error says of the place; how the call gets there.
local PLACES = {
  { "a callback of the loop", "a callback of the loop cannot wait", function(run)
    eddy.get_running_loop():call_soon(run)
    eddy.sleep(0)
  end },
  { "a callback of a future", "a callback of the loop cannot wait", function(run)
    local future = eddy.get_running_loop():create_future()
    future:add_done_callback(run)
    future:set_result()
    eddy.sleep(0)
  end },
  { "the exception handler", "a callback of the loop cannot wait", function(run)
    local loop = eddy.get_running_loop()
    local before = loop:get_exception_handler()
    loop:set_exception_handler(run)
    loop:call_soon(error, "boom")
    eddy.sleep(0)
    loop:set_exception_handler(before)
  end },
  { "the comparison of table.sort", "cannot wait here: it is called from within 'table.sort'", function(run)
    table.sort({ 2, 1 }, function(a, b) return run() or a < b end)
  end },
  { "the replacement of gsub", "cannot wait here: it is called from within 'string.gsub'", function(run)
    local _ = ("x"):gsub("x", run)
  end },
  { "a __tostring", "cannot wait here: it is called from within 'tostring'", function(run)
    tostring(setmetatable({}, { __tostring = function() return run() or "text" end }))
  end },
  { "a __len that gather asks", "cannot wait here", function(run)
    eddy.gather(setmetatable({}, { __len = function() return run() or 0 end }))
  end },
  { "the reader of load", "cannot wait here: it is called from within", function(run)
    load(function() return run() end)
  end },
  { "a module that is loaded", "cannot wait here: it is called from within 'require'", function(run)
    package.preload["misuse.module"] = run
    require "misuse.module"
    package.loaded["misuse.module"], package.preload["misuse.module"] = nil, nil
  end },
  { "a predicate of split", "cannot wait here: it is called from within 'split'", function(run)
    eddy.ExceptionGroup("several", { eddy.Error() }):split(function() return run() end)
  end },
  { "a queue's key function", "cannot wait here", function(run)
    eddy.PriorityQueue(0, { key = function() return run() or 1 end }):put(1)
  end },
  { "a queue's comparison", "cannot wait here", function(run)
    local meta = { __lt = function() return run() or true end }
    local queue = eddy.PriorityQueue()
    queue:put(setmetatable({}, meta))
    queue:put(setmetatable({}, meta))
  end },
  { "a message handler", "cannot wait here", function(run) xpcall(error, function() run() end) end },
  { "a hook", "cannot wait here", function(run)
    debug.sethook(function()
      debug.sethook()
      run()
    end, "l")
    local _ = 1
  end },
  { "a finalizer", "cannot wait here", function(run)
    setmetatable({}, { __gc = run })
    collectgarbage()
  end },
  { "a coroutine of Lua", "cannot wait in a coroutine that was resumed by Lua's own coroutine functions", function(run)
    coroutine.wrap(run)()
  end },
}

local function given() return { empty_semaphore = eddy.Semaphore(0) } end

for _, place in ipairs(PLACES) do
  describe("in " .. place[1], function()
    local function refuses(wait)
      it(("%s is refused"):format(wait[1]), function()
        local call = misuse.prepare(wait[1], given())
        place[3](function() call.run() end)
        misuse.assert_error(call.finish(), eddy.RuntimeError, ("'%s' "):format(wait[2]), place[2])
      end)
    end
    for _, wait in ipairs(WAITS) do refuses(wait) end
    for _, wait in ipairs(IN_A_LOOP) do refuses(wait) end
  end)
end

describe("a queue's key function that waits", function()
  it("is named in the error as part of put", function()
    local call = misuse.prepare "eddy.sleep(0)"
    eddy.PriorityQueue(0, { key = function() return call.run() or 1 end }):put(1)
    misuse.assert_error(call.finish(), eddy.RuntimeError, "'sleep' cannot wait here: it is called from within 'put'")
  end)
end)

describe("outside of a task #plain", function()
  for _, wait in ipairs(WAITS) do
    it(("%s is refused"):format(wait[1]), function()
      local loop <close> = eddy.new_event_loop()
      local all = given()
      all.loop = loop
      misuse.assert_error(misuse.try(wait[1], all), eddy.RuntimeError,
        ("'%s' needs a running task; start one with eddy.run(f)"):format(wait[2]))
    end)
  end

  for _, call in ipairs { { "eddy.create_task(noop)", "create_task" }, { "eddy.create_task(coro)", "create_task" },
    { "eddy.get_running_loop()", "get_running_loop" }, { "eddy.all_tasks()", "all_tasks" },
    { "eddy.as_completed({ noop })", "as_completed" }, { "eddy.as_completed({})", "as_completed" } } do
    it(("%s is refused"):format(call[1]), function()
      misuse.assert_error(misuse.try(call[1]), eddy.RuntimeError,
        ("'%s' needs a running loop; start one with eddy.run(f)"):format(call[2]))
    end)
  end
end)

describe("while a Coroutine is stepped by hand #plain", function()
  for _, wait in ipairs(WAITS) do
    -- sleep(0) gives its place to `send`, and a Coroutine in a Coroutine is stepped with it
    if not wait[1]:find "^eddy.sleep%([-0]" and not wait[1]:find "^coro:await" and wait[1] ~= "eddy.await(coro)" then
      it(("%s is refused"):format(wait[1]), function()
        local loop <close> = eddy.new_event_loop()
        local all = given()
        all.loop = loop
        local call = misuse.prepare(wait[1], all)
        eddy.async(call.run)():send()
        misuse.assert_error(call.finish(), eddy.RuntimeError, ("'%s' needs a running task"):format(wait[2]))
      end)
    end
  end
end)

-- A function that waits, called by eddy itself: the error has no line of the script, but its name.
describe("a task whose function is called wrongly", function()
  for _, call in ipairs {
    { "eddy.create_task(eddy.sleep, 'x'):await()", 1, "sleep" }, { "eddy.gather(eddy.sleep)", 1, "sleep" },
    { "eddy.wait_for(eddy.sleep, 1, 'x')", 1, "sleep" }, { "eddy.timeout(1, eddy.sleep)", 1, "sleep" },
    { "eddy.move_on_after(1, eddy.sleep, {})", 1, "sleep" }, { "eddy.map(eddy.sleep, { 'x' })", 1, "sleep" },
    { "eddy.shield(eddy.wait)", 1, "wait" }, { "eddy.create_task(eddy.map, print):await()", 2, "map" },
    { "eddy.async(eddy.sleep)('x'):await()", 1, "sleep" }, { "eddy.async_timed(eddy.wait_for)(5)", 1, "wait_for" },
    { "lock:with(eddy.sleep)", 1, "sleep" }, { "eddy.create_task(eddy.gather):await()", 1, "gather" },
  } do
    it(("fails with a text that names it: %s"):format(call[1]), function()
      local outcome = misuse.try(call[1], { print = function() end })
      assert.equal("string", type(outcome.error), tostring(outcome.error))
      assert.matches(("bad argument #%d to '[%%w.]*%s'"):format(call[2], call[3]), outcome.error)
    end)
  end
end)
