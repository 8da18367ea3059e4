-- script/run examples/asyncio/20_queue_and_locks.lua: a queue between tasks; a counter without and with a lock.
local eddy = require "eddy"

local function produce(queue, from)
  for i = 1, 10 do
    eddy.sleep(0.1)
    queue:put(from * 100 + i)                        -- waits while the queue is full
  end
end

local function factory()
  local queue, worth = eddy.Queue(2), 0
  local function consume()
    for item in queue:items() do                     -- until the queue is shut down
      eddy.sleep(0.2)
      worth = worth + item
      queue:task_done()
    end
  end
  eddy.TaskGroup(function(group)
    for _ = 1, 3 do group:create_task(consume) end
    eddy.gather(eddy.create_task(produce, queue, 1), eddy.create_task(produce, queue, 2))
    queue:join()                                     -- until every item is done
    queue:shutdown()                                 -- ends the loops of the consumers
  end)
  print("items worth " .. worth)
end

-- Ten tasks count together: each adds 1 ten times, and looks away between reading and writing.
local function count(protect)
  local counter = 0
  local function add()
    for _ = 1, 10 do
      local _ <close> = protect and protect:hold()   -- released at the end of the block, whatever happens
      local value = counter
      eddy.sleep(0.01)                               -- the others run here
      counter = value + 1
    end
  end
  eddy.TaskGroup(function(group)
    for _ = 1, 10 do group:create_task(add) end
  end)
  return counter
end

local function main()
  factory()
  print("without a lock: " .. count())
  print("with a lock: " .. count(eddy.Lock()))
  print("two at a time: " .. count(eddy.Semaphore(2)))
  local start, runners = eddy.Event(), {}
  for i = 1, 3 do runners[i] = eddy.create_task(start.wait, start) end
  print("ready, steady")
  eddy.sleep(1)
  start:set()                                        -- wakes all of them
  print("and off they go", #eddy.gather(runners))
end

eddy.run(main)
