-- Cancels the main task at every moment of programs that use all that waits. See spec/support/torture.lua.

local eddy = require "eddy"
local torture = require "spec.support.torture"

local MS = 0.001
local function sleep(ms, ...) return eddy.sleep(ms * MS, ...) end

-- Sleeps with something to close; the name of each sleeper's value must be closed once.
local function sleeper(s, name, ms, wait)
  return function()
    local _ <close> = s:hold(name, wait)
    sleep(ms)
    return name
  end
end

local scenarios = {}

scenarios["sleeps in a row"] = function(s)
  return function()
    local _ <close> = s:hold("a")
    sleep(1)
    do
      local _ <close> = s:hold("b", 1)
      sleep(0)
      local _ <close> = s:hold("c")
      sleep(2)
    end
    sleep(0)
    s:note "gave way"
    sleep(0)
    sleep(1)
  end
end

scenarios["<close> handlers that wait"] = function(s)
  return function()
    local _ <close> = s:hold("a", 1)
    local _ <close> = s:hold("b", 0)
    do
      local _ <close> = s:hold("c", 2)
      local _ <close> = s:hold("d", 1)
      sleep(1)
    end
    pcall(function()
      local _ <close> = s:hold("e", 1)
      local _ <close> = s:hold("f")
      error("boom")
    end)
    s.may_take = true   -- by that pcall
  end, function(main)
    s:check(main:cancelled() or main:done(), "main has ended")
  end
end

scenarios["nested groups"] = function(s)
  return function()
    local _ <close> = s:hold("outside")
    local outer <close> = eddy.TaskGroup()
    local _ <close> = s:hold("in the outer group", 1)
    outer:create_task(sleeper(s, "o1", 3, 1))
    outer:create_task(function()
      local _ <close> = s:hold("o2")
      local inner <close> = eddy.TaskGroup()
      inner:create_task(sleeper(s, "o2 i1", 2))
      inner:create_task(sleeper(s, "o2 i2", 1, 1))
    end)
    do
      local inner <close> = eddy.TaskGroup()
      inner:create_task(sleeper(s, "i1", 2, 1))
      sleep(1)
      inner:create_task(sleeper(s, "i2", 2))
    end
    eddy.TaskGroup(function(group)
      group:create_task(sleeper(s, "f1", 1))
      sleep(1)
    end)
  end
end

scenarios["a group with a child that fails"] = function(s)
  s.may_take = true
  s.may_fail = function(err) return eddy.is_error(err, eddy.ExceptionGroup) and #err.errors == 1 end
  return function()
    local group <close> = eddy.TaskGroup()
    local _ <close> = s:hold("body", 1)
    group:create_task(sleeper(s, "child", 4, 1))
    group:create_task(function()
      local _ <close> = s:hold("failing")
      sleep(2)
      error("boom", 0)
    end)
    sleep(3)
  end, function(main)
    s:equal(s.asked, main:cancelling(), "main's count")
    if s.asked == 0 then s:check(s.error ~= nil, "main should have failed") end
    s:check(s.error ~= nil or main:cancelled(), "main should have failed or be cancelled")
  end
end

scenarios["a group that is cancelled from within"] = function(s)
  return function()
    local results = table.pack(eddy.TaskGroup(function(group)
      local _ <close> = s:hold("body", 1)
      group:create_task(sleeper(s, "child", 5, 1))
      sleep(1)
      group:cancel()
      sleep(5)
      return "unreached"
    end))
    s:equal(0, results.n, "results of a cancelled group")
    sleep(1)
  end
end

scenarios["gather"] = function(s)
  return function()
    local _ <close> = s:hold("main")
    local results = eddy.gather(sleeper(s, "a", 3, 1), sleeper(s, "b", 1), eddy.create_task(sleeper(s, "c", 2, 2)))
    s:equal("a b c", table.concat(results, " "), "results")
    results = eddy.gather({
      sleeper(s, "d", 1),
      function() sleep(1) error("boom", 0) end,
    }, { return_exceptions = true })
    s:equal("boom", results[2].value, "the error in the list")
  end
end

scenarios["wait"] = function(s)
  local tasks = {}
  return function()
    for i = 1, 3 do tasks[i] = s:spawn(sleeper(s, "t" .. i, 2 * i)) end
    local done, pending = eddy.wait(tasks, { timeout = 1 * MS })
    s:equal("0 3", #done .. " " .. #pending, "at first")
    done, pending = eddy.wait(tasks, { return_when = "FIRST_COMPLETED" })
    s:equal("1 2", #done .. " " .. #pending, "then")
    eddy.wait(pending)
    eddy.wait(tasks)
  end, function()
    for _, task in ipairs(tasks) do s:check(not task:cancelled(), "wait cancels nothing") end
  end
end

-- What was asked for before a scope began and arrives in it counts as the scope's own when time runs out meanwhile, as
-- in asyncio. Only a request from within comes so early.
local function may_lose_early_requests(s)
  s.may_take = s.mode == "calls"
end

scenarios["wait_for"] = function(s)
  may_lose_early_requests(s)
  return function()
    local _ <close> = s:hold("main")
    s:equal("in time", eddy.wait_for(sleep, 3 * MS, 1, "in time"), "a function")
    s:equal("a task", eddy.wait_for(eddy.create_task(sleeper(s, "a task", 1)), 3 * MS), "a task")
    local ok, err = eddy.pcall(eddy.wait_for, sleeper(s, "late", 5, 1), 1 * MS)
    s:check(not ok and eddy.is_error(err, eddy.TimeoutError), "out of time")
    local task = eddy.create_task(sleeper(s, "late task", 5, 1))
    ok, err = eddy.pcall(eddy.wait_for, task, 1 * MS)
    s:check(not ok and eddy.is_error(err, eddy.TimeoutError) and task:cancelled(), "a task out of time")
    eddy.wait_for(eddy.gather, 5 * MS, sleeper(s, "g1", 1), sleeper(s, "g2", 2))
  end
end

scenarios["as_completed"] = function(s)
  return function()
    local tasks = {}
    for i = 1, 4 do tasks[i] = s:spawn(sleeper(s, "t" .. i, 5 - i)) end
    local seen = {}
    for task in eddy.as_completed(tasks) do
      local _ <close> = s:hold("round", 0)
      seen[#seen + 1] = task:result()
    end
    s:equal("t4 t3 t2 t1", table.concat(seen, " "), "the order")
  end
end

scenarios["shield"] = function(s)
  local inner
  return function()
    local _ <close> = s:hold("main")
    inner = s:spawn(sleeper(s, "inner", 3, 1))
    sleep(1)
    s:equal("inner", eddy.shield(inner), "its result")
    sleep(1)
    eddy.shield(s:spawn(sleeper(s, "another", 2)))
  end, function()
    s:check(not inner or not inner:cancelled(), "the shielded task was cancelled")
  end
end

scenarios["timeout scopes"] = function(s)
  may_lose_early_requests(s)
  return function()
    s:check(not eddy.move_on_after(1 * MS, sleeper(s, "first", 5, 1)), "should run out")
    s:check(eddy.move_on_after(4 * MS, sleeper(s, "second", 1)), "should be in time")
    local ok, err = eddy.pcall(function()
      local outer <close> = eddy.timeout(5 * MS)
      local _ <close> = s:hold("outer")
      s:check(not eddy.move_on_after(1 * MS, function()
        local _ <close> = s:hold("inner", 1)
        sleep(3)
      end), "the inner one runs out")
      outer:reschedule(eddy.time() + 1 * MS)
      sleep(4)
    end)
    s:check(not ok and eddy.is_error(err, eddy.TimeoutError), "the outer one runs out: " .. tostring(err))
    ok, err = eddy.pcall(function()   -- two deadlines at once, and a child that is awaited
      local _ <close> = eddy.timeout(1 * MS)
      local _ <close> = eddy.timeout(1 * MS)
      eddy.await(eddy.create_task(sleeper(s, "child", 5, 1)))
    end)
    s:check(not ok and eddy.is_error(err, eddy.TimeoutError), "equal deadlines: " .. tostring(err))
    sleep(1)
  end
end

scenarios["map"] = function(s)
  local running = 0
  return function()
    local _ <close> = s:hold("main")
    local results = eddy.map(function(i)
      running = running + 1
      s:check(running <= 2, "three at once")
      local _ <close> = s:hold("m" .. i)
      local _ <close> = setmetatable({}, { __close = function() running = running - 1 end })
      sleep(i % 2 + 1)
      return i * i
    end, { 1, 2, 3, 4, 5 }, { concurrency = 2 })
    s:equal("1 4 9 16 25", table.concat(results, " "), "results")
  end, function() s:equal(0, running, "still running") end
end

scenarios["TaskGroup:start"] = function(s)
  s.may_report = function(err) return err == "boom" end   -- if its starter was cancelled, nobody takes it
  return function()
    local group <close> = eddy.TaskGroup()
    local function service(started, name)
      local _ <close> = s:hold(name, 1)
      sleep(1)
      started(name, 8080)
      local _ <close> = s:hold(name .. " running")
      sleep(3)
    end
    local name, port = group:start(service, "s1")
    s:equal("s1 8080", name .. " " .. port, "what was started")
    local _ <close> = s:hold("body", 1)
    group:start(service, "s2")
    local ok, err = eddy.pcall(group.start, group, function() sleep(1) error("boom", 0) end)
    s:check(not ok and err == "boom", "an error before its start is the starter's")
  end
end

scenarios["Lock"] = function(s)
  local lock, inside = eddy.Lock(), 0
  local function enter(ms)
    inside = inside + 1
    s:equal(1, inside, "inside")
    local _ <close> = setmetatable({}, { __close = function() inside = inside - 1 end })
    sleep(ms)
  end
  for i = 1, 3 do
    s:spawn(function()
      for _ = 1, 2 do
        sleep(i)
        local _ <close> = lock:hold()
        enter(1)
      end
    end)
  end
  return function()
    for _ = 1, 2 do
      local _ <close> = s:hold("round")
      lock:with(enter, 1)
      local _ <close> = lock:hold()
      enter(0)
    end
    lock:acquire()
    local _ <close> = setmetatable({}, { __close = function() lock:release() end })
    enter(1)
  end, function()
    s:check(not lock:locked(), "the lock is held by nobody")
    s:equal("<Lock unlocked>", tostring(lock), "the lock")
  end
end

scenarios["Semaphore"] = function(s)
  local semaphore, inside = eddy.BoundedSemaphore(2), 0
  local function enter(ms)
    inside = inside + 1
    s:check(inside <= 2, "three inside")
    local _ <close> = setmetatable({}, { __close = function() inside = inside - 1 end })
    sleep(ms)
  end
  for i = 1, 4 do
    s:spawn(function()
      for _ = 1, 2 do semaphore:with(enter, i % 2 + 1) end
    end)
  end
  return function()
    for i = 1, 3 do
      local _ <close> = s:hold("round")
      local _ <close> = semaphore:hold()
      enter(i % 2)
    end
  end, function()
    s:equal("<BoundedSemaphore unlocked, value:2>", tostring(semaphore), "the semaphore")
  end
end

-- Items are numbers from 1 on; each that was put must be got once, or be in the queue.
local function queue_of_items(s, queue)
  local put, got, n = {}, {}, 0
  local items = {}
  function items.put()
    n = n + 1
    local item = n
    queue:put(item)
    put[item] = true
    s:note "put"
  end
  function items.get()
    local item = queue:get()
    s:check(not got[item], "got twice: " .. item)
    got[item] = true
    s:note "got"
    queue:task_done()
  end
  function items.account()
    local left = {}
    while not queue:empty() do
      left[queue:get_nowait()] = true
      queue:task_done()
    end
    for item = 1, n do
      s:equal(put[item] or false, (got[item] or left[item]) or false, "item " .. item .. " is there")
    end
  end
  return items
end

for _, kind in ipairs { "Queue", "LifoQueue", "PriorityQueue" } do
  scenarios["a consumer of a " .. kind] = function(s)
    local queue = eddy[kind](2)
    local items = queue_of_items(s, queue)
    local producer = s:spawn(function()
      for i = 1, 8 do
        items.put()
        if i % 3 == 0 then sleep(1) end
      end
    end)
    return function()
      local _ <close> = s:hold("consumer")
      for i = 1, 8 do
        items.get()
        if i % 3 == 1 then sleep(1) end
      end
    end, function()
      items.account()
      s:check(producer:done(), "the producer is stuck")
    end, function()
      while not (producer:done() and queue:empty()) do   -- another consumer takes over
        if queue:empty() then sleep(1) else items.get() end
      end
    end
  end

  scenarios["a producer to a " .. kind] = function(s)
    local queue = eddy[kind](1)
    local items = queue_of_items(s, queue)
    for i = 1, 2 do
      s:spawn(function()
        local ok, err
        repeat
          ok, err = pcall(items.get)
          if ok then sleep(i) end
        until not ok
        s:check(eddy.is_error(err, eddy.QueueShutDown), tostring(err))
      end)
    end
    return function()
      local _ <close> = s:hold("producer")
      for i = 1, 6 do
        items.put()
        if i % 4 == 0 then sleep(2) end
      end
      queue:join()
    end, items.account, function() queue:shutdown() end
  end
end

scenarios["several consumers of a queue"] = function(s)
  local queue = eddy.Queue()
  local items = queue_of_items(s, queue)
  for _ = 1, 2 do
    s:spawn(function()
      local ok
      repeat ok = pcall(items.get) until not ok
    end)
  end
  local main_is_over = false
  s:spawn(function()
    repeat
      sleep(1)
      items.put()
      items.put()
    until main_is_over
    queue:shutdown()
  end)
  return function()
    for _ = 1, 4 do items.get() end
  end, items.account, function() main_is_over = true end
end

scenarios["select"] = function(s)
  local first, second = eddy.Queue(1), eddy.Queue(1)
  local given, taken = {}, {}
  local function feed(queue, name, every)
    s:spawn(function()
      for i = 1, 3 do
        sleep(every)
        given[#given + 1] = name .. i
        queue:put(name .. i)
        s:note "fed"
      end
    end)
  end
  feed(first, "a", 1)
  feed(second, "b", 2)
  return function()
    local future = eddy.get_running_loop():create_future()
    while #taken < 6 do
      local _ <close> = s:hold("round")
      local which, item = eddy.select { first, second, future, 1.5 * MS }
      s:check(which ~= 3, "nobody has set the future")
      if which < 3 then taken[#taken + 1] = item end
    end
    s:check(not future:done(), "a loser was touched")
  end, function()
    table.sort(given)
    table.sort(taken)
    s:equal(table.concat(given, " "), table.concat(taken, " "), "items")
  end, function()
    while #taken < 6 do                                     -- somebody else takes what is left
      local _, item = eddy.select { first, second }
      taken[#taken + 1] = item
    end
  end
end

scenarios["Condition"] = function(s)
  local condition, tokens, taken = eddy.Condition(), 0, 0
  local function take()
    local _ <close> = condition:hold()
    condition:wait_for(function() return tokens > 0 end)
    s:check(condition:locked(), "the lock is not held after wait_for")
    tokens = tokens - 1
    taken = taken + 1
  end
  for _ = 1, 2 do s:spawn(function() take() take() end) end
  local main_has = 0
  local giver = s:spawn(function()
    for _ = 1, 4 + 2 do
      sleep(1)
      local _ <close> = condition:hold()
      tokens = tokens + 1
      condition:notify()
      sleep(0)
    end
  end)
  return function()
    for _ = 1, 2 do
      local _ <close> = s:hold("round")
      take()
      main_has = main_has + 1
    end
  end, function()
    s:check(giver:done(), "the giver is stuck")
    s:equal(6, taken + tokens, "tokens")
    s:equal(4 + main_has, taken, "taken")
    s:equal("<Condition unlocked>", tostring(condition), "the condition")
  end
end

scenarios["Condition:wait, cancelled while it takes the lock again"] = function(s)
  local condition, is_set = eddy.Condition(), false
  s:spawn(function()
    sleep(1)
    local _ <close> = condition:hold()
    is_set = true
    condition:notify_all()
    sleep(3)                                  -- who was notified waits for the lock meanwhile
  end)
  return function()
    condition:acquire()
    local _ <close> = setmetatable({}, { __close = function()
      s:check(condition:locked(), "wait has returned without the lock")
      condition:release()
    end })
    while not is_set do condition:wait() end
    sleep(1)
  end, function() s:equal("<Condition unlocked>", tostring(condition), "the condition") end
end

scenarios["Event"] = function(s)
  local event = eddy.Event()
  local woken = 0
  for _ = 1, 2 do
    s:spawn(function()
      event:wait()
      woken = woken + 1
    end)
  end
  s:spawn(function()
    sleep(2)
    event:set()
    event:clear()
    sleep(2)
    event:set()
  end)
  return function()
    event:wait()
    sleep(1)
    event:wait()
    event:wait()
  end, function() s:equal(2, woken, "woken") end
end

scenarios["Barrier"] = function(s)
  local barrier, passed = eddy.Barrier(3), 0
  local others = 0
  for _ = 1, 2 do
    s:spawn(function()
      for _ = 1, 2 do
        sleep(1)
        local ok, err = pcall(barrier.wait, barrier)
        s:check(ok or eddy.is_error(err, eddy.BrokenBarrierError), tostring(err))
        if ok then others = others + 1 end
      end
    end)
  end
  return function()
    for _ = 1, 2 do
      local _ <close> = s:hold("round")
      barrier:wait()
      passed = passed + 1
    end
    sleep(1)
  end, function(main)
    s:equal(0, barrier.n_waiting, "still in it")
    if s.asked == 0 then s:equal("2 4", passed .. " " .. others, "passed") end
    s:check(others >= 2 * passed, "main has passed alone")
    s:check(main:done(), "main")
  end, function()
    barrier:abort()
  end
end

scenarios["futures and tasks awaited"] = function(s)
  local shared
  return function()
    local loop = eddy.get_running_loop()
    local future = loop:create_future()
    loop:call_later(2 * MS, function() if not future:done() then future:set_result("result") end end)
    s:equal("result", future:await(), "the future")
    local chain = eddy.create_task(function()
      local _ <close> = s:hold("outer", 1)
      return eddy.await(eddy.create_task(function()
        local _ <close> = s:hold("middle", 1)
        return eddy.await(eddy.create_task(sleeper(s, "inner", 2, 1)))
      end))
    end)
    s:equal("inner", eddy.await(chain), "the chain")
    shared = eddy.create_task(sleeper(s, "shared", 2))
    local second = s:spawn(function() return pcall(eddy.await, shared) end)
    s:equal("shared", eddy.await(shared), "shared")
    eddy.wait { second }
    s:check(second:result(), "the second one")
  end
end

scenarios["generators"] = function(s)
  local numbers = eddy.generator(function(yield, name, n)
    local _ <close> = s:hold(name, 1)
    for i = 1, n do
      sleep(1)
      local _ <close> = s:hold(name .. " step")
      yield(i)
    end
  end)
  local doubled = eddy.generator(function(yield, n)
    local _ <close> = s:hold("doubled", 0)
    for i in numbers("in doubled", n) do yield(2 * i) end
  end)
  return function()
    local _ <close> = s:hold("main")
    for i in numbers("first", 3) do
      local _ <close> = s:hold("round")
      if i == 2 then goto enough end   -- Lua before 5.4.5 compiles a break wrongly here
      sleep(1)
    end
    ::enough::
    local sum = 0
    for i in doubled(2) do sum = sum + i end
    s:equal(6, sum, "sum")
    for i in doubled(5) do if i == 2 then break end end
    local g <close> = numbers("by hand", 2)
    g()
    sleep(1)
  end
end

scenarios["nested coroutines"] = function(s)
  local co = eddy.coroutine
  local function level(n)
    local _ <close> = s:hold("level " .. n, n == 2 and 1 or nil)
    sleep(1)
    if n == 0 then
      co.yield("bottom")
      sleep(1)
      return "end"
    end
    local c = co.create(level)
    local results = { co.resume(c, n - 1) }
    while co.status(c) == "suspended" do
      co.yield(results[2])
      results = { co.resume(c) }
    end
    if not results[1] then error(results[2], 0) end
    sleep(0)
    return results[2]
  end
  return function()
    local _ <close> = s:hold("main")
    local f = co.wrap(function()
      local _ <close> = s:hold("wrapped")
      for i = 1, 2 do
        sleep(1)
        co.yield(i)
      end
    end)
    local _ <close> = setmetatable({}, { __close = function()
      if not f then return end
      pcall(f)                         -- cancelled between two steps it is still open: nobody else will step it
      pcall(f)
    end })
    for i in f do if i == 1 then sleep(1) end end
    f = nil
    local g = co.wrap(level)
    s:equal("bottom", g(3), "a yield through four")
    s:equal("end", g(), "their end")
    sleep(1)
  end
end

scenarios["a coroutine that is closed"] = function(s)
  local co = eddy.coroutine
  return function()
    local c = co.create(function()
      local _ <close> = s:hold("outer", 1)
      local _ <close> = s:hold("inner", 2)
      co.yield()
    end)
    local _ <close> = setmetatable({}, { __close = function()
      local ok, err = co.close(c)
      if not ok then error(err) end
    end })
    co.resume(c)
    s:note "resumed"
    sleep(1)
  end
end

scenarios["Coroutines awaited"] = function(s)
  local async, await = eddy.async, eddy.await
  local leaf = async(function(name, ms)
    local _ <close> = s:hold(name, 1)
    return sleep(ms, name)
  end)
  local node = async(function()
    local _ <close> = s:hold("node")
    return await(leaf("l1", 1)) .. await(leaf("l2", 2))
  end)
  return function()
    s:equal("l1l2", await(node()), "results")
    s:equal("l3", eddy.wait_for(leaf("l3", 1), 5 * MS), "wait_for")
    local results = eddy.gather(leaf("l4", 1), node())
    s:equal("l4 l1l2", table.concat(results, " "), "gathered")
    local unawaited = leaf("l5", 1)
    unawaited:close()
  end
end

scenarios["a task that takes its cancellations"] = function(s)
  s.may_take = true
  local taken = 0
  local function deaf(f, ...)
    local ok = pcall(f, ...)
    if not ok then taken = taken + 1 end
  end
  return function()
    local _ <close> = s:hold("main")
    for _ = 1, 3 do deaf(sleep, 1) end
    deaf(eddy.await, eddy.create_task(sleeper(s, "child", 2, 1)))
    for _ = 1, 3 do deaf(sleep, 0) end
    deaf(eddy.gather, sleeper(s, "g1", 1), sleeper(s, "g2", 2, 1))
    deaf(sleep, 1)
    deaf(sleep, 1)
  end, function(main)
    s:equal(s.asked, main:cancelling(), "main's count")
    s:check(taken <= s.asked + 1, "more were taken than asked for")
  end
end

scenarios["lines over TCP"] = function(s)
  return function()
    local server <close> = eddy.start_server(function(conn)
      s:note "accepted"
      eddy.pcall(function()               -- a client that goes with data unread is a reset
        for line in conn:lines() do
          s:note "asked"
          conn:write(line:upper(), "\n")
        end
      end)
    end, "127.0.0.1", 0)
    s:note "listening"
    do
      local conn <close> = eddy.open_connection(server:address())
      local _ <close> = s:hold("client")
      for _, word in ipairs { "one", "two" } do
        conn:write(word, "\n")
        s:equal(word:upper(), conn:read("l"), "the answer")
        s:note "answered"
      end
      conn:shutdown()
      s:equal(nil, conn:read("l"), "the end")
    end
    sleep(1)
  end
end

scenarios["callbacks of eddy.sort and eddy.gsub"] = function(s)
  return function()
    local list = { 3, 1, 2 }
    eddy.sort(list, function(a, b)
      local _ <close> = s:hold("compare")
      sleep(1)
      return a < b
    end)
    s:equal("1 2 3", table.concat(list, " "), "sorted")
    s:equal("a1b2", (eddy.gsub("a b ", " ", (function()
      local n = 0
      return function()
        local _ <close> = s:hold("replace", 1)
        n = n + 1
        return tostring(n)
      end
    end)())), "replaced")
  end
end

scenarios["a file written and read"] = function(s)
  local path = os.tmpname()
  return function()
    local _ <close> = s:hold("main")
    for i = 1, 2 do
      local file <close> = eddy.open(path, "w")
      s:note "opened"
      file:write("line " .. i, "\n")
    end
    for line in eddy.lines(path) do s:equal("line 2", line, "what was written") end
  end, function() os.remove(path) end
end

describe("cancelled at every moment #plain", function()
  local names = {}
  for name in pairs(scenarios) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    it(name, function()
      local runs = torture.run(name, scenarios[name])
      assert.is_true(runs > 100, runs .. " runs are too few")
    end)
  end
end)
