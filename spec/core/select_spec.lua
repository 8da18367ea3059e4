-- eddy.select: the first of several things; the others keep what they have.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised, after = calls.raised, calls.after

local function never() return eddy.get_running_loop():create_future() end

describe("eddy.select #virtual", function()
  it("returns the index of the first and its values", function()
    local late = after(2, "late")
    local i, a, b = eddy.select { late, after(1, "x", "y") }
    assert.same({ 2, "x", "y", 1 }, { i, a, b, eddy.time() })
    assert.equal("late", late:await())
  end)

  it("does not suspend when something is there already, and takes the first in order", function()
    local one, two = eddy.Queue(), eddy.Queue()
    one:put "a"
    two:put "b"
    local turned = false
    eddy.get_running_loop():call_soon(function() turned = true end)
    assert.same({ 1, "a" }, { eddy.select { one, two } })
    assert.is_false(turned)
    assert.same({ 0, 1 }, { one:qsize(), two:qsize() })
  end)

  it("takes a number as the time it waits at most", function()
    local queue = eddy.Queue()
    assert.same({ 2 }, { eddy.select { queue, 3, 5 } })
    assert.equal(3, eddy.time())
    assert.same({ 1 }, { eddy.select { 0, queue } })
  end)

  it("gets from a queue when something is put", function()
    local queue = eddy.Queue()
    eddy.get_running_loop():call_later(1, function() queue:put_nowait "item" end)
    assert.same({ 2, "item" }, { eddy.select { never(), queue } })
    assert.equal(0, queue:qsize())
  end)

  it("takes nothing from the losers, also when all come in one turn", function()
    local queues = { eddy.Queue(), eddy.Queue(), eddy.Queue() }
    eddy.get_running_loop():call_later(1, function()
      for i, queue in ipairs(queues) do queue:put_nowait(i) end
    end)
    local i, item = eddy.select(queues)
    assert.equal(i, item)
    local left = 0
    for _, queue in ipairs(queues) do left = left + queue:qsize() end
    assert.equal(2, left)
  end)

  it("leaves the item to a getter who came before", function()
    local queue = eddy.Queue()
    local getter = eddy.create_task(queue.get, queue)
    local selecting = eddy.create_task(eddy.select, { queue, 5 })
    eddy.sleep(1)
    queue:put "only"
    assert.equal("only", eddy.await(getter))
    assert.same({ 2 }, { eddy.await(selecting) })
  end)

  it("loses no item when it is cancelled, before or in the turn of the put", function()
    for _, order in ipairs { "cancel first", "put first" } do
      local queue = eddy.Queue()
      local selecting = eddy.create_task(eddy.select, { queue })
      eddy.sleep(1)
      if order == "cancel first" then selecting:cancel() end
      queue:put "item"
      selecting:cancel()
      eddy.wait { selecting }
      assert.is_true(selecting:cancelled())
      assert.equal("item", queue:get_nowait())
    end
  end)

  it("gives each item to one of several who select", function()
    local queue, got = eddy.Queue(), {}
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = eddy.create_task(function()
        local _, item = eddy.select { queue }
        got[#got + 1] = item
      end)
    end
    eddy.sleep(1)
    for i = 1, 3 do queue:put(i) end
    eddy.gather(tasks)
    table.sort(got)
    assert.same({ 1, 2, 3 }, got)
  end)

  it("raises the error of a future that has failed, and of a queue that was shut down", function()
    local loop = eddy.get_running_loop()
    local future, queue = loop:create_future(), eddy.Queue()
    loop:call_later(1, function() future:set_exception "boom" end)
    assert.equal("boom", raised(eddy.select, { queue, future }))
    loop:call_later(1, function() queue:shutdown() end)
    assert.is_true(eddy.is_error(raised(eddy.select, { queue, never() }), eddy.QueueShutDown))
  end)

  it("leaves futures as they are when it is cancelled", function()
    local slow = after(5, "slow")
    local selecting = eddy.create_task(eddy.select, { slow })
    eddy.sleep(1)
    selecting:cancel()
    eddy.wait { selecting }
    assert.equal("slow", eddy.await(slow))
  end)

  it("refuses what it cannot wait for", function()
    assert.matches("bad argument #1 to 'select' %(table of sources expected, got no value%)", raised(eddy.select))
    assert.matches("the list is empty", raised(eddy.select, {}))
    assert.matches("bad argument #1 to 'select' %(%[2%]: .* expected, got string%)", raised(eddy.select, { 1, "x" }))
    assert.matches("%[1%]: NaN", raised(eddy.select, { 0 / 0 }))
    assert.matches("cannot await itself", tostring(raised(eddy.select, { eddy.current_task() })))
  end)
end)

describe("eddy.select with streams", function()
  it("tells which of two connections can be read, and leaves the bytes there", function()
    local server <close> = eddy.start_server(function(conn)
      if conn:read "l" == "talk" then conn:write "hello\n" end
      conn:read "a"
    end, "127.0.0.1", 0)
    local host, port = server:address()
    local talking <close> = eddy.open_connection(host, port)
    local other <close> = eddy.open_connection(host, port)
    other:write "quiet\n"
    talking:write "talk\n"
    local i, stream = eddy.select { other, talking, 10 }
    assert.same({ 2, talking }, { i, stream })
    assert.equal("hello", talking:read "l")
    assert.equal(2, (eddy.select { other, 0.01 }))
    other:close()
    assert.equal(1, (eddy.select { other, 10 }))
  end)
end)

describe("eddy.select #plain", function()
  it("needs a task", function()
    assert.matches("'select' needs a running task", tostring(raised(eddy.select, { 1 })))
  end)
end)
