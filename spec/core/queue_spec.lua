-- Queue, LifoQueue, PriorityQueue: items from task to task.

local eddy = require "eddy"
local testing = require "eddy.testing"
local calls = require "spec.support.calls"

local turn = testing.checkpoint

-- Starts a task that gets one item and notes name and item.
local function getter(queue, log, name)
  return eddy.create_task(function()
    local item = queue:get()
    log[#log + 1] = name .. item
    return item
  end)
end

local function putter(queue, log, item)
  return eddy.create_task(function()
    queue:put(item)
    log[#log + 1] = item
  end)
end

-- How the task ended: its result, or the name of its error's class.
local function outcome(task)
  local ok, result = pcall(eddy.await, task)
  if ok then return result end
  return tostring(result):match("^%a+")
end

local raises = calls.raised_as

local function drain(queue)
  local items = {}
  while not queue:empty() do items[#items + 1] = queue:get_nowait() end
  return items
end

describe("eddy.Queue", function()
  it("gives items in the order in which they were put", function()
    local queue = eddy.Queue()
    for i = 1, 100 do queue:put(i) end
    assert.equal(100, queue:qsize())
    for i = 1, 100 do assert.equal(i, queue:get()) end
    assert.is_true(queue:empty())
  end)

  it("keeps the order however full it gets", function()
    local queue, put, got = eddy.Queue(), 0, 0
    for i = 1, 300 do
      for _ = 1, i % 7 do
        put = put + 1
        queue:put_nowait(put)
      end
      for _ = 1, i % 5 do
        if not queue:empty() then
          got = got + 1
          assert.equal(got, queue:get_nowait())
        end
      end
    end
    for i = got + 1, put do assert.equal(i, queue:get_nowait()) end
  end)

  it("holds any value but nil, each as it is", function()
    local queue = eddy.Queue()
    local values = { false, 0, "", {}, print, eddy.Event(), coroutine.create(print) }
    for _, value in ipairs(values) do queue:put(value) end
    for _, value in ipairs(values) do assert.equal(value, queue:get()) end
    assert.error_matches(function() queue:put(nil) end, "bad argument #1 to 'put' %(nil cannot be an item")
    assert.error_matches(function() queue:put_nowait() end, "bad argument #1 to 'put_nowait' %(nil cannot be an item")
    assert.is_true(queue:empty())
  end)

  it("lets go of what was taken out", function()
    local queue, seen = eddy.Queue(), setmetatable({}, { __mode = "v" })
    for i = 1, 10 do
      seen[i] = {}
      queue:put(seen[i])
    end
    for _ = 1, 10 do queue:get() end
    collectgarbage()
    assert.is_nil(next(seen))
  end)

  it("does not suspend to get what is there, or to put where there is room", function()
    local queue, ran = eddy.Queue(1), false
    local task = eddy.create_task(function() ran = true end)
    queue:put("item")
    assert.equal("item", queue:get())
    assert.is_false(ran)
    eddy.await(task)
  end)

  it("makes getters wait until there is something, first come, first served", function()
    local queue, log = eddy.Queue(), {}
    local tasks = { getter(queue, log, "a"), getter(queue, log, "b"), getter(queue, log, "c") }
    turn(2)
    for i = 1, 3 do queue:put(i) end
    assert.same({ 1, 2, 3, n = 3 }, eddy.gather(tasks))
    assert.same({ "a1", "b2", "c3" }, log)
  end)

  it("makes putters wait until there is room, first come, first served", function()
    local queue, log = eddy.Queue(1), {}
    queue:put(0)
    local tasks = { putter(queue, log, 1), putter(queue, log, 2), putter(queue, log, 3) }
    turn(2)
    assert.is_true(queue:full())
    for i = 0, 3 do
      assert.equal(i, queue:get())
      turn()
    end
    eddy.gather(tasks)
    assert.same({ 1, 2, 3 }, log)
  end)

  it("has no limit when maxsize is 0 or less", function()
    for _, maxsize in ipairs { 0, -3 } do
      local queue = eddy.Queue(maxsize)
      for i = 1, 50 do queue:put_nowait(i) end
      assert.is_false(queue:full())
      assert.equal(maxsize, queue.maxsize)
    end
    assert.equal(0, eddy.Queue().maxsize)
    assert.equal(7, eddy.Queue(7).maxsize)
  end)

  it("raises QueueFull and QueueEmpty instead of waiting", function()
    local queue = eddy.Queue(1)
    raises(eddy.QueueEmpty, queue.get_nowait, queue)
    queue:put_nowait(1)
    raises(eddy.QueueFull, queue.put_nowait, queue, 2)
    assert.equal(1, queue:get_nowait())
  end)

  it("lets a getter that was passed keep its place", function()
    local queue, log = eddy.Queue(), {}
    local first, second = getter(queue, log, "a"), getter(queue, log, "b")
    turn()
    queue:put(1)
    assert.equal(1, queue:qsize())
    assert.equal(1, queue:get())       -- it is there, so we need not wait, though the first was told of it
    turn(2)
    queue:put(2)
    queue:put(3)
    assert.equal(2, eddy.await(first))
    assert.equal(3, eddy.await(second))
  end)

  it("lets putters that were passed keep their order", function()
    local queue, log = eddy.Queue(2), {}
    queue:put("x")
    queue:put("y")
    local tasks = { putter(queue, log, 1), putter(queue, log, 2), putter(queue, log, 3) }
    turn()
    drain(queue)
    queue:put_nowait("x")
    queue:put_nowait("y")              -- both who were told find it full again
    turn(2)
    assert.same({}, log)
    assert.same({ "x", "y", 1, 2, 3 }, {
      queue:get(), queue:get(), queue:get(), queue:get(), queue:get(),
    })
    eddy.gather(tasks)
  end)

  it("leaves the item in the queue when a getter is cancelled after it was told", function()
    local queue, log = eddy.Queue(), {}
    local first, second = getter(queue, log, "a"), getter(queue, log, "b")
    turn()
    queue:put(1)
    first:cancel()
    assert.equal("CancelledError", outcome(first))
    assert.equal(1, outcome(second))
    local third = getter(queue, log, "c")
    turn()
    queue:put(2)
    third:cancel()
    turn()
    assert.equal(1, queue:qsize())
    assert.equal(2, queue:get())
  end)

  it("gives the item to the next getter when the first was cancelled before", function()
    local queue, log = eddy.Queue(), {}
    local first, second = getter(queue, log, "a"), getter(queue, log, "b")
    turn()
    first:cancel()
    queue:put(1)
    assert.equal("CancelledError", outcome(first))
    assert.equal(1, outcome(second))
  end)

  it("gives the room to the next putter when one is cancelled after it was told", function()
    local queue, log = eddy.Queue(1), {}
    queue:put(0)
    local first, second = putter(queue, log, 1), putter(queue, log, 2)
    turn()
    queue:get()
    first:cancel()
    assert.equal("CancelledError", outcome(first))
    eddy.await(second)
    assert.same({ 2 }, drain(queue))
  end)

  it("puts nothing for a putter that was cancelled", function()
    local queue, log = eddy.Queue(1), {}
    queue:put(0)
    local task = putter(queue, log, 1)
    turn()
    task:cancel()
    queue:get()
    assert.equal("CancelledError", outcome(task))
    assert.is_true(queue:empty())
    assert.same({}, log)
  end)

  it("is put to and got from in callbacks", function()
    local queue, loop = eddy.Queue(), eddy.get_running_loop()
    loop:call_soon(queue.put_nowait, queue, "from a callback")
    assert.equal("from a callback", queue:get())
  end)

  it("carries what many tasks put to many that get", function()
    local queue, sum, tasks = eddy.Queue(3), 0, {}
    for i = 1, 5 do
      tasks[#tasks + 1] = eddy.create_task(function()
        for j = 1, 40 do
          queue:put(i * 100 + j)
          if j % 9 == i then eddy.sleep(0) end
        end
      end)
      tasks[#tasks + 1] = eddy.create_task(function()
        for _ = 1, 40 do
          local item = queue:get()   -- before sum is read
          sum = sum + item
          queue:task_done()
        end
      end)
    end
    eddy.gather(tasks)
    queue:join()
    assert.equal(5 * 820 + 40 * 1500, sum)
  end)

  it("shows its state", function()
    local queue, log = eddy.Queue(1), {}
    assert.equal("<Queue maxsize=1>", tostring(queue))
    local task = getter(queue, log, "a")
    turn()
    assert.equal("<Queue maxsize=1 getters[1]>", tostring(queue))
    assert.matches("waiting in Queue:get", tostring(task))
    queue:put(1)
    eddy.await(task)
    queue:put(2)
    local other = putter(queue, log, 3)
    turn()
    assert.equal("<Queue maxsize=1 items[1] putters[1] tasks=2>", tostring(queue))
    assert.matches("waiting in Queue:put", tostring(other))
    queue:shutdown()
    assert.equal("<Queue maxsize=1 items[1] tasks=2 shutdown>", tostring(queue))
    assert.equal("QueueShutDown", outcome(other))
    assert.equal("<PriorityQueue maxsize=0>", tostring(eddy.PriorityQueue()))
    assert.equal("<LifoQueue maxsize=2>", tostring(eddy.LifoQueue(2)))
  end)

  it("names the argument that is wrong", function()
    assert.error_matches(function() eddy.Queue("1") end, "bad argument #1 to 'Queue' %(integer expected, got string%)")
    assert.error_matches(function() eddy.Queue(1.5) end, "bad argument #1 to 'Queue'")
    assert.error_matches(function() eddy.Queue(1, { key = print }) end, "unknown option 'key'")
    assert.error_matches(function() eddy.PriorityQueue(1, { kay = print }) end, "unknown option 'kay'")
    assert.error_matches(function() eddy.PriorityQueue(1, { key = 1 }) end,
      "option 'key': function expected, got number")
    assert.error_matches(function() eddy.Queue().get({}) end, "bad argument #1 to 'get' %(Queue expected, got table%)")
    assert.error_matches(function() eddy.Queue.get(io.stdout) end, "index")
    assert.error_matches(function() eddy.Queue().get(io.stdout) end, "Queue expected, got FILE")
    assert.error_matches(function() eddy.Queue():shutdown("now") end, "boolean expected, got string")
  end)
end)

describe("queue:join", function()
  it("waits until every item that was put is done", function()
    local queue, done = eddy.Queue(), false
    for i = 1, 3 do queue:put(i) end
    local task = eddy.create_task(function()
      queue:join()
      done = true
    end)
    for _ = 1, 3 do
      turn(2)
      assert.is_false(done)
      queue:get()
      queue:task_done()
    end
    eddy.await(task)
    queue:join()      -- does not wait any more
  end)

  it("returns though new items have come meanwhile", function()
    local queue = eddy.Queue()
    queue:put(1)
    local task = eddy.create_task(queue.join, queue)
    turn()
    queue:task_done()
    queue:put(2)
    eddy.await(task)
  end)

  it("is left by a cancellation", function()
    local queue = eddy.Queue()
    queue:put(1)
    local task = eddy.create_task(queue.join, queue)
    turn()
    task:cancel()
    assert.equal("CancelledError", outcome(task))
    queue:task_done()
  end)

  it("knows when task_done is called too often", function()
    local queue = eddy.Queue()
    raises(eddy.RuntimeError, queue.task_done, queue)
    queue:put(1)
    queue:task_done()
    raises(eddy.RuntimeError, queue.task_done, queue)
  end)
end)

describe("queue:items", function()
  it("gives items until the queue is shut down and empty", function()
    local queue, got = eddy.Queue(), {}
    local task = eddy.create_task(function()
      for item in queue:items() do got[#got + 1] = item end
      return "over"
    end)
    for i = 1, 3 do
      queue:put(i)
      turn()
    end
    queue:put(4)
    queue:put(false)
    queue:shutdown()
    assert.equal("over", eddy.await(task))
    assert.same({ 1, 2, 3, 4, false }, got)
  end)

  it("is cancelled where it waits", function()
    local queue = eddy.Queue()
    local task = eddy.create_task(function()
      for _ in queue:items() do error("there is nothing") end
    end)
    turn()
    task:cancel()
    assert.equal("CancelledError", outcome(task))
  end)
end)

describe("queue:shutdown", function()
  it("refuses puts at once, also those that wait", function()
    local queue, log = eddy.Queue(1), {}
    queue:put(1)
    local waiting = putter(queue, log, 2)
    turn()
    queue:shutdown()
    raises(eddy.QueueShutDown, queue.put, queue, 3)
    raises(eddy.QueueShutDown, queue.put_nowait, queue, 3)
    assert.equal("QueueShutDown", outcome(waiting))
    assert.equal(1, queue:get())
    raises(eddy.QueueShutDown, queue.put, queue, 3)
  end)

  it("lets gets take what is left, and then fail", function()
    local queue = eddy.Queue()
    queue:put(1)
    queue:put(2)
    queue:shutdown()
    assert.equal(1, queue:get())
    assert.equal(2, queue:get_nowait())
    raises(eddy.QueueShutDown, queue.get, queue)
    raises(eddy.QueueShutDown, queue.get_nowait, queue)
  end)

  it("fails the getters that wait", function()
    local queue, log = eddy.Queue(), {}
    local tasks = { getter(queue, log, "a"), getter(queue, log, "b") }
    turn()
    queue:shutdown()
    assert.equal("QueueShutDown", outcome(tasks[1]))
    assert.equal("QueueShutDown", outcome(tasks[2]))
  end)

  it("lets a getter have the item that it was told of", function()
    local queue, log = eddy.Queue(), {}
    local tasks = { getter(queue, log, "a"), getter(queue, log, "b") }
    turn()
    queue:put(1)
    queue:shutdown()
    assert.equal(1, outcome(tasks[1]))
    assert.equal("QueueShutDown", outcome(tasks[2]))
  end)

  it("leaves join to wait for the items that are left", function()
    local queue = eddy.Queue()
    queue:put(1)
    queue:shutdown()
    local task = eddy.create_task(queue.join, queue)
    turn()
    assert.is_false(task:done())
    queue:get()
    queue:task_done()
    eddy.await(task)
  end)

  it("drops all items at once when it is immediate, and counts them as done", function()
    for _, class in ipairs { "Queue", "LifoQueue", "PriorityQueue" } do
      local queue = eddy[class]()
      for i = 1, 10 do queue:put(i) end
      local task = eddy.create_task(queue.join, queue)
      turn()
      queue:shutdown(true)
      eddy.await(task)
      assert.is_true(queue:empty())
      raises(eddy.QueueShutDown, queue.get, queue)
      assert.equal(("<%s maxsize=0 shutdown>"):format(class), tostring(queue))
    end
  end)

  it("leaves join to wait for the items that were taken and are not done", function()
    local queue = eddy.Queue()
    queue:put(1)
    queue:put(2)
    queue:get()
    queue:shutdown(true)
    local task = eddy.create_task(queue.join, queue)
    turn()
    assert.is_false(task:done())
    queue:task_done()
    eddy.await(task)
  end)

  it("may be repeated, immediate the second time", function()
    local queue = eddy.Queue()
    queue:put(1)
    queue:shutdown()
    queue:shutdown()
    queue:shutdown(true)
    raises(eddy.QueueShutDown, queue.get, queue)
    queue:join()
  end)
end)

describe("eddy.LifoQueue", function()
  it("gives the item that was put last", function()
    local queue = eddy.LifoQueue()
    for i = 1, 5 do queue:put(i) end
    assert.same({ 5, 4, 3, 2, 1 }, drain(queue))
  end)

  it("waits like any other queue", function()
    local queue, log = eddy.LifoQueue(1), {}
    local task = getter(queue, log, "a")
    turn()
    queue:put(1)
    assert.equal(1, eddy.await(task))
    queue:put(2)
    raises(eddy.QueueFull, queue.put_nowait, queue, 3)
  end)
end)

describe("eddy.PriorityQueue", function()
  it("gives the least item first", function()
    local queue = eddy.PriorityQueue()
    for _, item in ipairs { 5, 2, 8, 1.5, 9, -3 } do queue:put(item) end
    assert.same({ -3, 1.5, 2, 5, 8, 9 }, drain(queue))
    for _, item in ipairs { "pear", "apple", "fig" } do queue:put(item) end
    assert.same({ "apple", "fig", "pear" }, drain(queue))
  end)

  it("gives the item with the least key first, and asks for a key once", function()
    local asked = 0
    local queue = eddy.PriorityQueue(0, { key = function(item)
      asked = asked + 1
      return item.at
    end })
    for _, at in ipairs { 3, 1, 2, 5, 4 } do queue:put({ at = at }) end
    local order = {}
    for i, item in ipairs(drain(queue)) do order[i] = item.at end
    assert.same({ 1, 2, 3, 4, 5 }, order)
    assert.equal(5, asked)
  end)

  it("gives equal ones in the order in which they were put", function()
    local queue = eddy.PriorityQueue(0, { key = function(item) return item[1] end })
    for i = 1, 200 do queue:put({ i * 7 % 3, i }) end
    local before
    for _, item in ipairs(drain(queue)) do
      assert.is_true(not before or before[1] < item[1] or before[1] == item[1] and before[2] < item[2])
      before = item
    end
  end)

  it("compares by the metamethod __lt", function()
    local mt = { __lt = function(a, b) return a.cost < b.cost end }
    local queue = eddy.PriorityQueue()
    for i = 1, 20 do queue:put(setmetatable({ cost = i * 13 % 20 }, mt)) end
    for i = 0, 19 do assert.equal(i, queue:get().cost) end
  end)

  it("raises for an item that cannot be compared, and does not insert it", function()
    local queue = eddy.PriorityQueue()
    queue:put(2)
    queue:put(1)
    assert.error_matches(function() queue:put("three") end, "attempt to compare")
    assert.error_matches(function() queue:put_nowait({}) end, "attempt to compare")
    assert.equal("<PriorityQueue maxsize=0 items[2] tasks=2>", tostring(queue))
    assert.same({ 1, 2 }, drain(queue))
  end)

  it("raises what its key function raises, and inserts nothing", function()
    local reason = {}
    local queue = eddy.PriorityQueue(0, { key = function(item)
      if item == "bad" then error(reason) end
      if item ~= "none" then return #item end
    end })
    local err = calls.raised(queue.put, queue, "bad")
    assert.equal(reason, err)
    assert.error_matches(function() queue:put("none") end, "bad argument #1 to 'put' %(its key is nil%)")
    assert.is_true(queue:empty())
  end)

  it("keeps an item that cannot be taken out because a comparison fails", function()
    local broken = false
    local mt = { __lt = function(a, b)
      if broken then error("out of order") end
      return a[1] < b[1]
    end }
    local queue = eddy.PriorityQueue()
    for i = 5, 1, -1 do queue:put(setmetatable({ i }, mt)) end
    broken = true
    assert.error_matches(function() queue:get() end, "out of order")
    assert.equal(5, queue:qsize())
    broken = false
    for i = 1, 5 do assert.equal(i, queue:get()[1]) end
  end)

  it("refuses a comparison that waits, or that uses the queue", function()
    local act
    local mt = { __lt = function(a, b)
      if act then act() end
      return a[1] < b[1]
    end }
    local queue = eddy.PriorityQueue()
    local function item(n) return setmetatable({ n }, mt) end
    for i = 1, 4 do queue:put(item(i)) end
    act = function() eddy.sleep(0) end
    assert.error_matches(function() queue:put(item(0)) end, "'sleep' cannot wait here")
    assert.error_matches(function() queue:get() end, "'sleep' cannot wait here")
    act = function()
      act = nil
      queue:get()
    end
    assert.error_matches(function() queue:put(item(0)) end, "was used while its items were compared")
    act = function()
      act = nil
      queue:put(item(5))
    end
    assert.error_matches(function() queue:get() end, "was used while its items were compared")
    act = function()
      act = nil
      queue:shutdown(true)
    end
    assert.error_matches(function() queue:get() end, "was used while its items were compared")
    assert.is_true(queue:empty())
  end)

  it("puts nothing when a comparison shuts it down", function()
    local queue = eddy.PriorityQueue()
    local meta = { __lt = function(a, b)
      queue:shutdown()
      return a.value < b.value
    end }
    queue:put(setmetatable({ value = 1 }, meta))
    calls.raised_as(eddy.QueueShutDown, queue.put, queue, setmetatable({ value = 2 }, meta))
    assert.equal(1, queue:qsize())
  end)

  it("tells the next putter when one that was told cannot put its item", function()
    local queue, log = eddy.PriorityQueue(2), {}
    queue:put(1)
    queue:put(2)
    local first, second = putter(queue, log, "incomparable"), putter(queue, log, 3)
    turn()
    queue:get()
    assert.error_matches(function() eddy.await(first) end, "attempt to compare")
    eddy.await(second)
    assert.same({ 2, 3 }, drain(queue))
  end)

  it("tells the next getter when one that was told cannot get an item", function()
    local failures = 1
    local mt = { __lt = function(a, b)
      if failures == 0 then return a[1] < b[1] end
      failures = failures - 1
      error("not now")
    end }
    local function item(n) return setmetatable({ n }, mt) end
    local queue = eddy.PriorityQueue()
    local tasks = { eddy.create_task(queue.get, queue), eddy.create_task(queue.get, queue) }
    turn()
    failures = 0
    for i = 1, 3 do queue:put(item(i)) end
    failures = 1
    assert.error_matches(function() eddy.await(tasks[1]) end, "not now")
    assert.equal(1, eddy.await(tasks[2])[1])
  end)

  it("has a limit and makes putters wait", function()
    local queue, log = eddy.PriorityQueue(2), {}
    queue:put(5)
    queue:put(7)
    local task = putter(queue, log, 1)
    turn()
    assert.equal(5, queue:get())
    eddy.await(task)
    assert.same({ 1, 7 }, drain(queue))
  end)
end)

describe("a queue and loops #plain", function()
  it("is used without a loop while it need not wait", function()
    local queue = eddy.Queue(1)
    queue:put(1)
    assert.error_matches(function() queue:put(2) end, "'put' needs a running task")
    assert.equal(1, queue:get())
    assert.error_matches(function() queue:get() end, "'get' needs a running task")
    queue:put_nowait(3)
    assert.error_matches(function() queue:join() end, "'join' needs a running task")
  end)

  it("is waited for in one loop at a time", function()
    local queue = eddy.Queue()
    local first = eddy.new_event_loop()
    local task = first:create_task(queue.get, queue)
    first:run_until_complete(function() turn() end)
    raises(eddy.RuntimeError, eddy.run, queue.get, queue)
    queue:put_nowait("for the first")
    assert.equal("for the first", first:run_until_complete(task))
    first:close()
  end)

  it("loses nothing to a loop that is closed", function()
    local queue = eddy.Queue()
    local first = eddy.new_event_loop()
    for _ = 1, 2 do first:create_task(queue.get, queue) end
    first:run_until_complete(function() turn() end)
    queue:put_nowait(1)
    first:close()
    queue:put_nowait(2)
    eddy.run(function()
      assert.equal(1, queue:get())
      assert.equal(2, queue:get())
      local task = eddy.create_task(queue.get, queue)
      turn()
      queue:put(3)
      assert.equal(3, eddy.await(task))
    end)
  end)
end)
