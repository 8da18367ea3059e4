-- luv.lua - the same questions for luv with a scheduler of 40 lines: what tasks in plain Lua on libuv cost.
-- usage: lua5.4 luv.lua QUESTION
-- Its tasks have a result and one waiter; they have no errors, cancellation or groups.
local uv = require "luv"
local create, resume, yield, running = coroutine.create, coroutine.resume, coroutine.yield, coroutine.running

local function now() return uv.hrtime() / 1e9 end

local function say(name, value, unit, format)
  print(("%s\tluv\t" .. (format or "%.0f") .. "\t%s"):format(name, value, unit))
end

-- --- The scheduler: a ready queue; what waits is resumed with a value -----------------------------------------------
local queue, values, first, last = {}, {}, 1, 0

local function wake(co, value)
  last = last + 1
  queue[last], values[last] = co, value
end

local function settle(future, value)
  future.done, future.value = true, value
  if future.waiter then wake(future.waiter, value) end
end

local function await(future)
  if future.done then return future.value end
  future.waiter = running()
  return yield()
end

local function spawn(f, argument)
  local future = {}
  wake(create(function(value) settle(future, f(value)) end), argument)
  return future
end

local function switch()
  wake(running())
  yield()
end

local function sleep(milliseconds)
  local co, timer = running(), uv.new_timer()
  timer:start(milliseconds, 0, function()
    timer:close()
    wake(co)
  end)
  yield()
end

local function run(main)
  local done = spawn(main)
  while not done.done do
    for i = first, last do                        -- those that are ready now; who wakes meanwhile comes next turn
      local co, value = queue[i], values[i]
      queue[i], values[i], first = nil, nil, i + 1
      assert(resume(co, value))
    end
    if not done.done then uv.run(first <= last and "nowait" or "once") end
  end
end

-- --- The questions --------------------------------------------------------------------------------------------------
local questions = {}

function questions.task_spawn()
  local n, batch = 500000, 10000
  local function task(i) return i end
  local start = now()
  for i = 1, n do await(spawn(task, i)) end
  say("task_spawn.one", n / (now() - start), "tasks/s")
  start = now()
  for _ = 1, n // batch do
    local tasks = {}
    for i = 1, batch do tasks[i] = spawn(task, i) end
    for i = 1, batch do await(tasks[i]) end
  end
  say("task_spawn.batch", n / (now() - start), "tasks/s")
end

function questions.task_switch()
  local n = 2000000
  for _, count in ipairs { 2, 1000 } do
    local tasks, start = {}, now()
    for i = 1, count do
      tasks[i] = spawn(function() for _ = 1, n // count do switch() end end)
    end
    for i = 1, count do await(tasks[i]) end
    say("task_switch." .. count, n / (now() - start), "switches/s")
  end
end

function questions.task_await()
  local n, future, start = 500000, nil, now()
  local waiter = spawn(function()
    for _ = 1, n do
      future = {}
      await(future)
    end
  end)
  spawn(function()
    for i = 1, n do
      settle(future, i)
      switch()
    end
  end)
  await(waiter)
  say("task_await", n / (now() - start), "awaits/s")
end

local function peak_bytes()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmHWM:%s*(%d+)")
    if kib then return kib * 1024 end
  end
end

function questions.timers()
  local n, tasks, random = 1000000, {}, math.random
  local before, start = peak_bytes(), now()
  for i = 1, n do tasks[i] = spawn(sleep, random(0, 1000)) end
  for i = 1, n do await(tasks[i]) end
  say("timers.wall", now() - start, "s", "%.3f")
  say("timers.peak", (peak_bytes() - before) / n, "bytes/task")
end

-- A queue of one place, for one task on each side.
local function new_queue()
  local full, item, getter, putter = false, nil, nil, nil
  local function put(value)
    while full do
      putter = running()
      yield()
    end
    full, item = true, value
    if getter then wake(getter) getter = nil end
  end
  local function get()
    while not full do
      getter = running()
      yield()
    end
    full = false
    if putter then wake(putter) putter = nil end
    return item
  end
  return put, get
end

function questions.queue_pingpong()
  local n = 500000
  local put_there, get_there = new_queue()
  local put_back, get_back = new_queue()
  local start = now()
  local echo = spawn(function() for _ = 1, n do put_back(get_there()) end end)
  for i = 1, n do
    put_there(i)
    get_back()
  end
  await(echo)
  say("queue_pingpong", n / (now() - start), "roundtrips/s")
end

function questions.echo_throughput()              -- callbacks, as most programs for luv
  local server = uv.new_tcp()
  assert(server:bind("127.0.0.1", 0))
  assert(server:listen(512, function()
    local client = uv.new_tcp()
    server:accept(client)
    client:nodelay(true)
    client:read_start(function(_, data)
      if not data then return client:close() end
      local sent = client:try_write(data) or 0
      if sent < #data then client:write(data:sub(sent + 1)) end
    end)
  end))
  print(server:getsockname().port)
  io.stdout:flush()
  while true do uv.run("once") end
end

function questions.files_small()
  local files, at_once, data = 20000, 64, ("x"):rep(4096)
  local dir = assert(uv.fs_mkdtemp((os.getenv("BENCH_FILES") or "/dev/shm") .. "/luv-bench-XXXXXX"))
  local function call(f, ...)                     -- f(..., callback); returns what the callback gets
    local future = {}
    local arguments = table.pack(...)
    arguments[arguments.n + 1] = function(err, value)
      assert(not err, err)
      settle(future, value)
    end
    f(table.unpack(arguments, 1, arguments.n + 1))
    return await(future)
  end
  local function put(path)
    local fd = call(uv.fs_open, path, "w", 420)
    call(uv.fs_write, fd, data, 0)
    call(uv.fs_close, fd)
  end
  local function get(path)
    local fd = call(uv.fs_open, path, "r", 0)
    assert(#call(uv.fs_read, fd, 65536, 0) == 4096)
    call(uv.fs_close, fd)
  end
  local function every(f)
    local taken, tasks, start = 0, {}, now()
    for i = 1, at_once do
      tasks[i] = spawn(function()
        while taken < files do
          taken = taken + 1
          f(dir .. "/" .. taken)
        end
      end)
    end
    for i = 1, at_once do await(tasks[i]) end
    return files / (now() - start)
  end
  say("files_small.write", every(put), "files/s")
  say("files_small.read", every(get), "files/s")
  for i = 1, files do uv.fs_unlink(dir .. "/" .. i) end
  uv.fs_rmdir(dir)
end

function questions.files_read()
  local function read(fd)
    local future = {}
    uv.fs_read(fd, 65536, -1, function(err, data)
      assert(not err, err)
      settle(future, data)
    end)
    return await(future)
  end
  local function read_all(path)
    local total = 0
    for _ = 1, 4 do
      local fd = assert(uv.fs_open(path, "r", 0))
      while true do
        local data = read(fd)
        if #data == 0 then break end
        total = total + #data
      end
      uv.fs_close(fd)
    end
    return total
  end
  for name, path in pairs { disk = os.getenv("BENCH_LARGE"), memory = os.getenv("BENCH_LARGE_MEMORY") } do
    read_all(path)
    local start = now()
    local total = read_all(path)
    say("files_read." .. name, total / (now() - start) / 1e6, "MB/s")
  end
end

-- A work carries one function for all its calls, and copies strings, numbers and booleans.
function questions.threads_calls()
  local function many(n, in_flight)
    local left, results, under_way, done = n, 0, 0, 0
    local work = uv.new_work(function(i) return i end, function() results = results + 1 end)
    while done < n do
      while left > 0 and under_way < in_flight do
        left, under_way = left - 1, under_way + 1
        work:queue(left)
      end
      uv.run("once")
      done, under_way, results = done + results, under_way - results, 0
    end
  end
  many(1000, 64)
  for _, q in ipairs { { "64", 100000, 64 }, { "one", 20000, 1 } } do
    local start = now()
    many(q[2], q[3])
    say("threads_calls." .. q[1], q[2] / (now() - start), "calls/s")
  end
end

function questions.threads_fib()
  local function body(n)
    local function fib(i) return i < 2 and i or fib(i - 1) + fib(i - 2) end
    return fib(n)
  end
  local function four()
    local start = now()
    for _ = 1, 4 do body(32) end
    return now() - start
  end
  local work = uv.new_work(body, function() end)
  work:queue(1)
  uv.run()
  local in_line, start = four(), now()
  for _ = 1, 8 do work:queue(32) end
  uv.run()
  local at_once = now() - start
  say("threads_fib", (in_line + four()) / at_once, "times", "%.2f")
end

local question = questions[arg[1]]
if question then run(question) end
