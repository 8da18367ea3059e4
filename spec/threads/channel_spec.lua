-- eddy.Channel: messages between tasks, loops and threads.

local eddy = require "eddy"
local calls = require "spec.support.calls"

require("eddy.busted").timeout = 60

local raises = calls.raised_as

local function settle() for _ = 1, 5 do eddy.sleep(0) end eddy.sleep(0.001) end

describe("a Channel within a loop", function()
  it("hands messages over in order, as copies", function()
    local ch = eddy.Channel(3)
    local sent = { 1 }
    ch:send(sent)
    ch:send("two")
    ch:send(3.5)
    sent[1] = "changed"
    assert.same({ { 1 }, "two", 3.5 }, { ch:recv(), ch:recv(), ch:recv() })
  end)

  it("makes a sender wait for room, and a receiver for a message", function()
    local ch, log = eddy.Channel(1), {}
    local sender = eddy.create_task(function()
      for i = 1, 3 do
        ch:send(i)
        log[#log + 1] = "sent " .. i
      end
    end)
    settle()
    assert.same({ "sent 1" }, log)
    assert.equal(1, ch:recv())
    settle()
    assert.same({ "sent 1", "sent 2" }, log)
    assert.same({ 2, 3 }, { ch:recv(), ch:recv() })
    sender:await()
    local receiver = eddy.create_task(ch.recv, ch)
    settle()
    assert.is_false(receiver:done())
    ch:send("here")
    assert.equal("here", receiver:await())
  end)

  it("of capacity 0 is a rendezvous", function()
    local ch, met = eddy.Channel(), false
    local sender = eddy.create_task(function()
      ch:send("hello")
      met = true
    end)
    settle()
    assert.is_false(met)
    assert.is_false(ch:try_send("nobody waits"))
    assert.equal("hello", ch:recv())
    sender:await()
    assert.is_nil(ch:try_recv())
    local receiver = eddy.create_task(ch.recv, ch)
    settle()
    assert.is_true(ch:try_send("taken"))
    assert.equal("taken", receiver:await())
  end)

  it("serves those who wait in the order in which they came", function()
    local ch, order = eddy.Channel(1), {}
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = eddy.create_task(function()
        local v = ch:recv()
        order[#order + 1] = { i, v }
      end)
    end
    settle()
    for i = 1, 5 do ch:send(i * 10) end
    eddy.gather(tasks)
    assert.same({ { 1, 10 }, { 2, 20 }, { 3, 30 }, { 4, 40 }, { 5, 50 } }, order)
    ch:send(0)
    for i = 1, 3 do tasks[i] = eddy.create_task(ch.send, ch, i) end
    settle()
    assert.same({ 0, 1, 2, 3 }, { ch:recv(), ch:recv(), ch:recv(), ch:recv() })
  end)

  it("iterates until it is closed and drained", function()
    local ch, got = eddy.Channel(2), {}
    eddy.create_task(function()
      for i = 1, 5 do ch:send(i) end
      ch:close()
      ch:close()
    end)
    for v in ch do got[#got + 1] = v end
    assert.same({ 1, 2, 3, 4, 5 }, got)
    assert.is_nil(ch:recv())
    assert.is_true(ch:is_closed())
    raises(eddy.RuntimeError, ch.send, ch, 1)
    raises(eddy.RuntimeError, ch.try_send, ch, 1)
  end)

  it("fails its waiting senders and ends its waiting receivers when it is closed", function()
    local ch = eddy.Channel(1)
    ch:send(1)
    local senders = { eddy.create_task(ch.send, ch, 2), eddy.create_task(ch.send, ch, 3) }
    settle()
    ch:close()
    eddy.wait(senders)
    for _, task in ipairs(senders) do assert.is_true(eddy.is_error(task:exception(), eddy.RuntimeError)) end
    assert.same({ 1, nil }, { ch:recv(), ch:recv() })
    local other = eddy.Channel()
    local receivers = { eddy.create_task(other.recv, other), eddy.create_task(other.recv, other) }
    settle()
    other:close()
    assert.same({ n = 2 }, eddy.gather(receivers))
  end)

  it("loses nothing when a receiver is cancelled", function()
    local ch = eddy.Channel(4)
    local first, second = eddy.create_task(ch.recv, ch), eddy.create_task(ch.recv, ch)
    settle()
    ch:send("a")       -- it is first's now
    first:cancel()
    assert.equal("a", second:await())
    local third = eddy.create_task(ch.recv, ch)
    settle()
    ch:send("b")
    ch:send("c")
    third:cancel()
    settle()
    assert.is_true(third:cancelled())
    assert.same({ "b", "c" }, { ch:recv(), ch:recv() })
  end)

  it("does not send what a cancelled sender still had", function()
    local ch = eddy.Channel(1)
    ch:send(1)
    local sender = eddy.create_task(ch.send, ch, 2)
    settle()
    sender:cancel()
    settle()
    assert.is_true(sender:cancelled())
    assert.equal(1, ch:recv())
    assert.is_nil(ch:try_recv())
  end)

  it("has sent what a sender that is cancelled too late has sent", function()
    local ch, after = eddy.Channel(), nil
    local sender = eddy.create_task(function()
      ch:send("x")
      after = "sent"
      eddy.sleep(0)
      after = "went on"
    end)
    settle()
    assert.equal("x", ch:recv())
    sender:cancel()
    eddy.wait { sender }
    assert.is_true(sender:cancelled())
    assert.equal("sent", after)
  end)

  it("checks what it is given", function()
    local ch = eddy.Channel(1)
    assert.has_error(function() ch:send(nil) end, "bad argument #1 to 'send' (nil cannot be sent)")
    assert.has_error(function() ch:send() end, "bad argument #1 to 'send' (nil cannot be sent)")
    assert.has_error(function() eddy.Channel(-1) end)
    assert.has_error(function() eddy.Channel("x") end)
    local err = calls.raised(ch.send, ch, { file = io.stdout })
    assert.is_truthy(tostring(err):find("argument 1.file", 1, true), err)
    assert.equal(0, #ch)
    ch:send(false)
    assert.is_false(ch:recv())
  end)

  it("shows its state", function()
    local ch = eddy.Channel(2)
    ch:send(1)
    assert.equal("<Channel 1/2>", tostring(ch))
    ch:close()
    assert.equal("<Channel 1/2 closed>", tostring(ch))
  end)

  it("can be used without a task as long as it need not wait #plain", function()
    local ch = eddy.Channel(1)
    ch:send(1)
    assert.equal(1, ch:recv())
    raises(eddy.RuntimeError, ch.recv, ch)
    assert.is_true(ch:try_send(2))
    raises(eddy.RuntimeError, ch.send, ch, 3)
    assert.equal(2, ch:try_recv())
  end)
end)

describe("a Channel in eddy.select", function()
  it("is received from when it has a message", function()
    local a, b = eddy.Channel(1), eddy.Channel(1)
    b:send("b")
    assert.same({ 2, "b" }, { eddy.select { a, b, 1 } })
    local task = eddy.create_task(eddy.select, { a, b })
    settle()
    a:send("a")
    assert.same({ 1, "a" }, { task:await() })
    assert.same({ 0, 0 }, { #a, #b })
  end)

  it("is ready when a sender waits, and when it is closed", function()
    local a, b = eddy.Channel(), eddy.Channel()
    local task = eddy.create_task(eddy.select, { a, b })
    settle()
    local sender = eddy.create_task(b.send, b, "x")
    assert.same({ 2, "x" }, { task:await() })
    sender:await()
    a:close()
    assert.same({ 1, nil }, { eddy.select { a, b } })
  end)

  it("takes nothing from the others, and leaves nothing behind when it is cancelled", function()
    local a, b = eddy.Channel(1), eddy.Channel(1)
    local task = eddy.create_task(eddy.select, { a, b })
    settle()
    task:cancel()
    eddy.wait { task }
    a:send(1)
    b:send(2)
    assert.same({ 1, 1 }, { eddy.select { a, b } })
    assert.equal(2, b:recv())
  end)

  it("hears of another thread", function()
    local ch, other = eddy.Channel(1), eddy.Channel(1)
    local thread = eddy.thread(function(c)
      for i = 1, 50 do
        if i % 7 == 0 then eddy.sleep(0.0005) end
        c:send(i)
      end
      c:close()
    end, ch)
    local sum = 0
    while true do
      local index, value = eddy.select { ch, other, 5 }
      assert.equal(1, index)
      if value == nil then break end
      sum = sum + value
    end
    assert.equal(1275, sum)
    thread:await()
  end)
end)

describe("a Channel between threads", function()
  it("is the same channel on both sides", function()
    local there, back = eddy.Channel(8), eddy.Channel()
    local thread = eddy.thread(function(a, b)
      assert(a ~= b)
      local sum = 0
      for v in a do sum = sum + v end
      b:send(sum)
    end, there, back)
    for i = 1, 1000 do there:send(i) end
    there:close()
    assert.equal(500500, back:recv())
    thread:await()
  end)

  it("can be sent through a channel, and comes back as itself", function()
    local ch, carried = eddy.Channel(1), eddy.Channel(1)
    ch:send({ carried, carried })
    local list = ch:recv()
    assert.is_true(rawequal(list[1], carried) and rawequal(list[2], carried))
    local thread = eddy.thread(function(c) c:recv():send("through") end, ch)
    ch:send(carried)
    assert.equal("through", carried:recv())
    thread:await()
  end)

  it("is shared by many senders and receivers, each message received once", function()
    local ch, results = eddy.Channel(4), eddy.Channel(4)
    local each, senders, threads = tonumber(os.getenv("EDDY_DEEP_MESSAGES")) or 2000, 3, {}
    for s = 1, senders do
      threads[#threads + 1] = eddy.thread(function(c, n, first)
        for i = 0, n - 1 do c:send(first + i * 3) end
      end, ch, each, s)
    end
    for _ = 1, 3 do
      threads[#threads + 1] = eddy.thread(function(c, r)
        local sum, n = 0, 0
        for v in c do sum, n = sum + v, n + 1 end
        r:send({ sum, n })
      end, ch, results)
    end
    for s = 1, senders do threads[s]:await() end
    ch:close()
    local sum, n = 0, 0
    for _ = 1, 3 do
      local part = results:recv()
      sum, n = sum + part[1], n + part[2]
    end
    eddy.gather(threads)
    local total = senders * each
    assert.same({ total * (total + 1) // 2, total }, { sum, n })
  end)

  it("loses and doubles nothing while tasks are cancelled at random", function()
    local ch, total = eddy.Channel(2), 1500
    local thread = eddy.thread(function(c, n)
      local attempt = 0
      for i = 1, n do
        local sent = false
        while not sent do   -- by a task that may be cancelled at any moment
          attempt = attempt + 1
          local task = eddy.create_task(function()
            c:send(i)
            sent = true
          end)
          if attempt % 3 == 0 then eddy.sleep(0) end
          if attempt % 5 == 0 then task:cancel() end
          eddy.wait { task }
        end
      end
      c:close()
    end, ch, total)
    local seen, n = {}, 0
    local round = 0
    local closed = false
    while not closed do
      round = round + 1
      local task = eddy.create_task(function()
        local v = ch:recv()
        if v == nil then closed = true return end
        seen[v] = (seen[v] or 0) + 1
        n = n + 1
      end)
      eddy.sleep(0)
      if round % 2 == 0 then task:cancel() end
      eddy.wait { task }
    end
    thread:await()
    for i = 1, total do assert.equal(1, seen[i]) end
    assert.equal(total, n)
  end)

  it("keeps a loop alive that waits for another thread", function()
    local ch = eddy.Channel()
    local thread = eddy.thread(function(c)
      eddy.sleep(0.02)
      c:send("late")
    end, ch)
    assert.equal("late", ch:recv())
    thread:await()
  end)

  it("is a deadlock once no other thread has it #plain", function()
    raises(eddy.DeadlockError, eddy.run, function() eddy.Channel():recv() end)
    raises(eddy.DeadlockError, eddy.run, function()
      local ch = eddy.Channel()
      local thread = eddy.thread(function(c)
        eddy.sleep(0.005)
        return tostring(c)
      end, ch)
      local task = eddy.create_task(ch.recv, ch)
      thread:await()
      task:await()
    end)
  end)

  it("outlives the thread that made it", function()
    local ch = eddy.thread(function()
      local c = eddy.Channel(2)
      c:send("left")
      return c
    end):await()
    assert.equal("left", ch:recv())
  end)

  it("goes with a task that is abandoned with its loop #plain", function()
    local ch = eddy.Channel()
    local loop = eddy.new_event_loop()
    loop:create_task(ch.recv, ch)
    loop:call_later(0.001, loop.stop, loop)
    loop:run_forever()
    loop:close()
    assert.is_false(ch:try_send(1))
    collectgarbage()
  end)

  it("that a closed loop has selected does not disturb the next loop #plain", function()
    local a, b = eddy.Channel(1), eddy.Channel(1)
    eddy.run(function() pcall(eddy.wait_for, function() eddy.select { a, b } end, 0.001) end)
    local pool = eddy.ThreadPool { workers = 1 }
    assert.equal("x", eddy.run(function()
      local channel, gate = eddy.Channel(1), eddy.Channel(1)
      pool:submit(function(ch, g)
        eddy.create_task(function()
          g:recv()
          eddy.sleep(0.01)
          ch:send("x")
        end)
      end, channel, gate):await()
      local task = eddy.create_task(channel.recv, channel)
      eddy.sleep(0)
      a = nil -- luacheck: ignore 311
      collectgarbage()
      collectgarbage()
      gate:send(true)
      return task:await()
    end))
    b:close()
    pool:close()
  end)
end)
