-- Locks, queues and their like, and context variables, at the wrong time: not held, shut down, used up.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

require("eddy.busted").timeout = 2

local RuntimeError = eddy.RuntimeError

-- A spec: the call raises an error of the class whose text has these parts; `prepare` makes what is given to it.
local function refuses(source, class, parts, prepare)
  it("refuses " .. source, function()
    misuse.assert_error(misuse.try(source, prepare and prepare()), class, table.unpack(parts))
  end)
end

describe("what is not held", function()
  local function given() return { bounded = eddy.BoundedSemaphore(2), none = eddy.BoundedSemaphore(0) } end
  refuses("lock:release()", RuntimeError, { "'release'", "not locked" })
  refuses("free_condition:release()", RuntimeError, { "'release'", "not locked" })
  refuses("bounded:release()", RuntimeError, { "'release'", "too many times" }, given)
  refuses("none:release()", RuntimeError, { "'release'", "too many times" }, given)
  refuses("free_condition:wait()", RuntimeError, { "'wait'", "not locked" })
  refuses("free_condition:wait_for(noop)", RuntimeError, { "'wait_for'", "not locked" })
  refuses("free_condition:notify()", RuntimeError, { "'notify'", "not locked" })
  refuses("free_condition:notify(0)", RuntimeError, { "'notify'", "not locked" })
  refuses("free_condition:notify_all()", RuntimeError, { "'notify_all'", "not locked" })
  refuses("do local _ <close> = hold end do local _ <close> = hold end", RuntimeError, { "'release'", "not locked" })
  refuses("lock:with(function() lock:release() end)", RuntimeError, { "'release'", "not locked" })

  it("at the largest number of permits refuses one more", function()
    local full = eddy.Semaphore(math.maxinteger)
    misuse.assert_error(misuse.try("full:release()", { full = full }), RuntimeError, "'release'", "too many times")
  end)

  it("because a predicate has released it is refused in wait_for", function()
    local condition = eddy.Condition()
    condition:acquire()
    local outcome = misuse.try("condition:wait_for(function() condition:release() end)", { condition = condition })
    misuse.assert_error(outcome, RuntimeError, "'wait_for'", "not locked")
  end)
end)

describe("a queue", function()
  local function shut()
    local queue = eddy.Queue()
    queue:shutdown()
    return { shut = queue }
  end
  refuses("shut:put(1)", eddy.QueueShutDown, { "'put'", "shut down" }, shut)
  refuses("shut:put_nowait(1)", eddy.QueueShutDown, { "'put", "shut down" }, shut)
  refuses("shut:get()", eddy.QueueShutDown, { "'get'", "shut down" }, shut)
  refuses("shut:get_nowait()", eddy.QueueShutDown, { "'get", "shut down" }, shut)
  refuses("queue:task_done()", RuntimeError, { "'task_done'", "more often" })
  refuses("shut:task_done()", RuntimeError, { "'task_done'", "more often" }, shut)

  it("refuses more task_done than items", function()
    local queue = eddy.Queue()
    queue:put(1)
    queue:get()
    queue:task_done()
    misuse.assert_error(misuse.try("queue:task_done()", { queue = queue }), RuntimeError, "'task_done'", "more often")
    queue:join()
  end)

  for _, call in ipairs {
    { "items:put('x')", 1 }, { "items:put({})", 1 }, { "items:put(1)", "x" }, { "items:put({})", {} },
    { "items:put(true)", false }, { "items:put(print)", print }, { "items:put_nowait('x')", 1 },
  } do
    it(("refuses what cannot be compared: %s after %s"):format(call[1], type(call[2])), function()
      local items = eddy.PriorityQueue()
      items:put(call[2])
      misuse.assert_error(misuse.try(call[1], { items = items }), nil, "attempt to compare")
      assert.equal(1, items:qsize())
      assert.equal(call[2], items:get())
    end)
  end

  it("refuses an item whose key is nil", function()
    local queue = eddy.PriorityQueue(0, { key = function() end })
    misuse.assert_bad_argument(misuse.try("queue:put(1)", { queue = queue }), 1, "put", "its key is nil")
    misuse.assert_bad_argument(misuse.try("queue:put_nowait(1)", { queue = queue }), 1, "put_nowait", "its key is nil")
    assert.equal(0, queue:qsize())
  end)

  it("refuses to be used by the comparison of its items", function()
    local queue = eddy.PriorityQueue()
    local function item(f) return setmetatable({}, { __lt = function() return f() or true end }) end
    queue:put(item(function() end))
    local given = { queue = queue, item = item(function() queue:get_nowait() end) }
    misuse.assert_error(misuse.try("queue:put(item)", given), RuntimeError, "'put'", "while its items were compared")
  end)

  it("does not pass for an iterator", function()
    misuse.assert_lua_error(misuse.try "for _ in queue do break end", "attempt to call a Queue value")
  end)
end)

describe("a barrier that was aborted", function()
  local function aborted()
    local barrier = eddy.Barrier(1)
    barrier:abort()
    return { broken = barrier }
  end
  refuses("broken:wait()", eddy.BrokenBarrierError, { "barrier", "aborted" }, aborted)
end)

describe("a context variable", function()
  refuses("var:reset(used)", RuntimeError, { "'reset'", "used before" }, function()
    local var = eddy.ContextVar("var")
    local token = var:set(1)
    var:reset(token)
    return { var = var, used = token }
  end)
  refuses("var:reset(theirs)", RuntimeError, { "'reset'", "another context" }, function()
    local var = eddy.ContextVar("var")
    return { var = var, theirs = eddy.await(eddy.create_task(function() return var:set(1) end)) }
  end)
  refuses("context:run(context.run, context, noop)", RuntimeError, { "'run'", "entered already" })

  it("refuses the token of another one", function()
    misuse.assert_bad_argument(misuse.try("var:reset(token)"), 1, "reset", "a token of this ContextVar is expected")
  end)
end)
