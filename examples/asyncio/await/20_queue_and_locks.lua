-- script/run examples/asyncio/await/20_queue_and_locks.lua: a queue between tasks; a counter without and with a lock.
local eddy = require "eddy"
local async, await = eddy.async, eddy.await

local produce = async(function(queue, from)
  for i = 1, 10 do
    await(eddy.sleep(0.1))
    await(queue:put(from * 100 + i))                   -- waits while the queue is full
  end
end)

local consume = async(function(queue, stock)
  for item in queue:items() do                         -- Python's `async for`, until the queue is shut down
    await(eddy.sleep(0.2))
    stock.worth = stock.worth + item
    queue:task_done()
  end
end)

local factory = async(function()
  local queue, stock = eddy.Queue(2), { worth = 0 }
  local tg <close> = eddy.TaskGroup()
  for _ = 1, 3 do tg:create_task(consume(queue, stock)) end
  await(eddy.gather(produce(queue, 1), produce(queue, 2)))
  await(queue:join())                                  -- until every item is done
  queue:shutdown()                                     -- ends the loops of the consumers
  print("items worth " .. stock.worth)
end)

local add = async(function(counter, protect)           -- reads, looks away, writes
  for _ = 1, 10 do
    local _ <close> = protect and await(protect:hold())
    local value = counter.value
    await(eddy.sleep(0.01))                            -- the others run here
    counter.value = value + 1
  end
end)

local count = async(function(protect)
  local counter, adders = { value = 0 }, {}
  for i = 1, 10 do adders[i] = add(counter, protect) end
  await(eddy.gather(adders))
  return counter.value
end)

local main = async(function()
  await(factory())
  print("without a lock: " .. await(count()))
  print("with a lock: " .. await(count(eddy.Lock())))
  print("two at a time: " .. await(count(eddy.Semaphore(2))))
  local start, runners = eddy.Event(), {}
  for i = 1, 3 do runners[i] = eddy.create_task(async(start.wait)(start)) end
  print("ready, steady")
  await(eddy.sleep(1))
  start:set()                                          -- wakes all of them
  print("and off they go", #await(eddy.gather(runners)))
end)

eddy.run(main())
