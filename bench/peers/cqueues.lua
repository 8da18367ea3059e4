-- cqueues.lua - the same questions for cqueues.
-- usage: lua5.4 cqueues.lua QUESTION
-- A coroutine of cqueues has no result and cannot be awaited or cancelled: its controller is run until all have ended.
local cqueues, condition, socket = require "cqueues", require "cqueues.condition", require "cqueues.socket"
local now = cqueues.monotime

local function say(name, value, unit, format)
  print(("%s\tcqueues\t" .. (format or "%.0f") .. "\t%s"):format(name, value, unit))
end

local function peak_bytes()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmHWM:%s*(%d+)")
    if kib then return kib * 1024 end
  end
end

local questions = {}

function questions.task_spawn()
  local n, batch, sum = 500000, 10000, 0
  local controller = cqueues.new()
  local function task(i) sum = sum + i end
  local start = now()
  for i = 1, n do
    controller:wrap(task, i)
    assert(controller:loop())
  end
  say("task_spawn.one", n / (now() - start), "tasks/s")
  start = now()
  for _ = 1, n // batch do
    for i = 1, batch do controller:wrap(task, i) end
    assert(controller:loop())
  end
  say("task_spawn.batch", n / (now() - start), "tasks/s")
end

function questions.task_switch()
  local n, sleep = 1000000, cqueues.sleep
  for _, count in ipairs { 2, 1000 } do
    local controller = cqueues.new()
    local start = now()
    for _ = 1, count do
      controller:wrap(function() for _ = 1, n // count do sleep(0) end end)
    end
    assert(controller:loop())
    say("task_switch." .. count, n / (now() - start), "switches/s")
  end
end

function questions.timers()
  local n, random, sleep = 1000000, math.random, cqueues.sleep
  local controller = cqueues.new()
  local before, start = peak_bytes(), now()
  local function task() sleep(random()) end
  for _ = 1, n do controller:wrap(task) end
  assert(controller:loop())
  say("timers.wall", now() - start, "s", "%.3f")
  say("timers.peak", (peak_bytes() - before) / n, "bytes/task")
end

-- A condition with one place is its way to make a queue.
local function new_queue()
  local changed, full, item = condition.new(), false, nil
  local function put(value)
    while full do changed:wait() end
    full, item = true, value
    changed:signal()
  end
  local function get()
    while not full do changed:wait() end
    full = false
    changed:signal()
    return item
  end
  return put, get
end

function questions.queue_pingpong()
  local n, controller = 200000, cqueues.new()
  local put_there, get_there = new_queue()
  local put_back, get_back = new_queue()
  controller:wrap(function() for i = 1, n do put_there(i) get_back() end end)
  controller:wrap(function() for _ = 1, n do put_back(get_there()) end end)
  local start = now()
  assert(controller:loop())
  say("queue_pingpong", n / (now() - start), "roundtrips/s")
end

function questions.echo_throughput()
  local controller = cqueues.new()
  local server = socket.listen { host = "127.0.0.1", port = 0, nodelay = true }
  assert(server:listen())
  print((select(3, server:localname())))
  io.stdout:flush()
  controller:wrap(function()
    for client in server:clients() do
      controller:wrap(function()
        client:setmode("bn", "bn")
        client:onerror(function(_, _, code) return code end)
        client:setbufsiz(65536, 65536)
        while true do
          local data = client:read(-65536)       -- what is there, up to 64 KiB
          if not data then break end
          client:write(data)
        end
        client:close()
      end)
    end
  end)
  assert(controller:loop())
end

local question = questions[arg[1]]
if question then question() end
