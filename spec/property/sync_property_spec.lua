-- Random programs of waits, wake-ups and cancellations: what eddy's primitives do, turn by turn, is what models of a
-- few lines say. EDDY_SEED=n repeats a run; a program that fails is shortened as long as it still fails.

local eddy = require "eddy"

local PROGRAMS = 2000
local seed = math.tointeger(tonumber(os.getenv("EDDY_SEED"))) or os.time() * 1000 % 1000003
require("eddy.busted").timeout = 120   -- under the sanitizers

-- --- random numbers of our own: busted shuffles with Lua's -------------------------------------------------------

local state

local function random(n)   -- 1..n
  state = state * 6364136223846793005 + 1442695040888963407
  return (state >> 33) % n + 1
end

-- --- models of tasks ---------------------------------------------------------------------------------------------

-- A turn runs the tasks that were ready when it began. A task waits in a line until it is told or cancelled, and knows
-- when it runs again whether it was told, and whether it was cancelled: both may be true.
local function new_world()
  local world = { ready = {} }
  local current

  local function make_ready(task)
    task.line = nil
    table.insert(world.ready, task)
  end

  function world.spawn(f)
    local task = { body = coroutine.create(f) }
    make_ready(task)
    return task
  end

  function world.turn()
    local ready = world.ready
    world.ready = {}
    for _, task in ipairs(ready) do
      if task.started or not task.cancelled then
        task.started = true
        current = task
        assert(coroutine.resume(task.body))
      end
    end
  end

  -- Waits at place `at` of the line (its end) with a number to tell the places; `patient`: not to be woken by a
  -- cancellation. Returns whether it was told, whether it was cancelled, and what it was told.
  function world.wait(line, at, patient, ticket)
    local task = current
    table.insert(line, at or #line + 1, task)
    task.line, task.patient, task.ticket, task.told = line, patient, ticket, nil
    coroutine.yield()
    local cancelled = task.cancelled
    task.cancelled = false
    return task.told ~= nil, cancelled, task.told
  end

  function world.tell(line, what)
    local task = table.remove(line, 1)
    if not task then return false end
    task.told = what or true
    make_ready(task)
    return true
  end

  function world.cancel(task)
    task.cancelled = true
    if not task.line or task.patient then return end
    for i, other in ipairs(task.line) do
      if other == task then table.remove(task.line, i) break end
    end
    make_ready(task)
  end

  return world
end

-- --- both sides of a program -------------------------------------------------------------------------------------

-- A subject: subject[operation](argument) is run by the driver; subject.start[operation](argument, id) by a task of its
-- own; what they return is logged. An error is nil and the name of its class. What subject.show() returns is logged
-- after every step.

local function attempt(f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  return nil, tostring(results[2]):match("^%a+")
end

-- Runs a program with real tasks, or with the model's. Returns the log, a list of texts.
local function execute(program, subject, runtime)
  local log, actors = {}, {}
  local function note(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    log[#log + 1] = table.concat(words, " ")
  end

  for _, step in ipairs(program) do
    local name, argument = step[1], step[2]
    if name == "turn" then
      runtime.turn()
    elseif name == "cancel" then
      if #actors > 0 then runtime.cancel(actors[argument % #actors + 1]) end
    elseif subject.start[name] then
      local id = #actors + 1
      actors[id] = runtime.spawn(function()
        note(id, name, subject.start[name](argument, id))
      end)
    else
      note(name, subject[name](argument))
    end
    note("  ->", subject.show())
  end
  for _, actor in ipairs(actors) do runtime.cancel(actor) end
  for _ = 1, 20 do   -- some want the lock before they leave
    runtime.turn()
    if subject.unlock then subject.unlock() end
  end
  note("end", subject.show())
  return log
end

local real = {
  spawn = eddy.create_task,
  turn = function() eddy.sleep(0) end,
  cancel = function(task) task:cancel() end,
}

local function text_of(program)
  local texts = {}
  for i, step in ipairs(program) do texts[i] = step[1] .. (step[2] and " " .. step[2] or "") end
  return table.concat(texts, ", ")
end

-- Returns nil, or what is different.
local function compare(program, kind, variant)
  local world = new_world()
  local expected = execute(program, kind.model(world, variant), world)
  local got = execute(program, kind.real(variant), real)
  for i = 1, math.max(#expected, #got) do
    if expected[i] ~= got[i] then
      return ("step %d: the model says '%s', eddy '%s', after: %s"):format(i, expected[i], got[i],
        table.concat(expected, "; ", math.max(1, i - 12), i - 1))
    end
  end
end

local function random_program(kind)
  local program = {}
  for i = 1, 4 + random(46) do
    local name = kind.operations[random(#kind.operations)]
    program[i] = { name, name ~= "turn" and random(12) or nil }
  end
  return program
end

local function shrink(program, kind, variant)
  local i = 1
  while i <= #program do
    local shorter = table.move(program, 1, #program, 1, {})
    table.remove(shorter, i)
    if compare(shorter, kind, variant) then
      program, i = shorter, 1
    else
      i = i + 1
    end
  end
  return program
end

local function check(kind, salt)
  state = seed * 31 + salt
  for i = 1, PROGRAMS do
    local variant, program = random(6), random_program(kind)
    if compare(program, kind, variant) then
      program = shrink(program, kind, variant)
      error(("EDDY_SEED=%d, program %d, variant %d: %s\n%s"):format(seed, i, variant, text_of(program),
        compare(program, kind, variant)), 0)
    end
  end
end

-- --- Lock --------------------------------------------------------------------------------------------------------

local function model_lock(world)
  local lock = { line = {}, locked = false, promised = false }

  function lock.pass_on()
    if not lock.locked and not lock.promised then lock.promised = world.tell(lock.line) end
  end

  function lock.acquire(patient)
    if lock.locked or lock.promised then
      local told, cancelled = world.wait(lock.line, nil, patient)
      if told then lock.promised = false end
      if cancelled and not patient then
        lock.pass_on()
        return nil, "CancelledError"
      end
      lock.locked = true
      if patient then return cancelled end
      return true
    end
    lock.locked = true
    return true
  end

  function lock.release()
    if not lock.locked then return nil, "RuntimeError" end
    lock.locked = false
    lock.pass_on()
  end

  return lock
end

local Lock = { operations = { "acquire", "acquire", "release", "release", "cancel", "turn" } }

function Lock.model(world)
  local lock = model_lock(world)
  return {
    start = { acquire = function() return lock.acquire() end },
    release = lock.release,
    show = function() return lock.locked end,
  }
end

function Lock.real()
  local lock = eddy.Lock()
  return {
    start = { acquire = function() return attempt(lock.acquire, lock) end },
    release = function() return attempt(lock.release, lock) end,
    show = function() return lock:locked() end,
  }
end

-- --- Semaphore ---------------------------------------------------------------------------------------------------

local Semaphore = { operations = { "acquire", "acquire", "acquire", "release", "release", "cancel", "turn" } }

function Semaphore.model(world, variant)
  local bounded, limit = variant > 3, variant % 3
  local value, line, told_of = limit, {}, 0   -- told_of: permits whose receivers have not run yet
  local function hand_one()
    if value == 0 or not world.tell(line) then return false end
    value, told_of = value - 1, told_of + 1
    return true
  end
  local function locked() return value == 0 or #line > 0 or told_of > 0 end
  return {
    start = {
      acquire = function()
        if not locked() then
          value = value - 1
          return true
        end
        local told, cancelled = world.wait(line)
        if told then told_of = told_of - 1 end
        if told and cancelled then value = value + 1 end
        while hand_one() do end   -- luacheck: ignore 542
        if cancelled then return nil, "CancelledError" end
        return true
      end,
    },
    release = function()
      if bounded and value >= limit then return nil, "RuntimeError" end
      value = value + 1
      hand_one()
    end,
    show = function() return locked() and "locked" or value end,
  }
end

function Semaphore.real(variant)
  local semaphore = (variant > 3 and eddy.BoundedSemaphore or eddy.Semaphore)(variant % 3)
  return {
    start = { acquire = function() return attempt(semaphore.acquire, semaphore) end },
    release = function() return attempt(semaphore.release, semaphore) end,
    show = function()
      return semaphore:locked() and "locked" or tostring(semaphore):match("value:(%d+)")
    end,
  }
end

-- --- Event -------------------------------------------------------------------------------------------------------

local Event = { operations = { "wait", "wait", "set", "clear", "cancel", "turn" } }

function Event.model(world)
  local is_set, line = false, {}
  return {
    start = {
      wait = function()
        if is_set then return true end
        local _, cancelled = world.wait(line)
        if cancelled then return nil, "CancelledError" end
        return true
      end,
    },
    set = function()
      is_set = true
      while world.tell(line) do end   -- luacheck: ignore 542
    end,
    clear = function() is_set = false end,
    show = function() return is_set, #line end,
  }
end

function Event.real()
  local event = eddy.Event()
  return {
    start = { wait = function() return attempt(event.wait, event) end },
    set = function() event:set() end,
    clear = function() event:clear() end,
    show = function()
      return event:is_set(), tonumber(tostring(event):match("waiters:(%d+)")) or 0
    end,
  }
end

-- --- Condition ---------------------------------------------------------------------------------------------------

-- `hold` takes the lock until the driver's `unlock`; only then the driver notifies.
local Condition = {
  operations = { "wait", "wait", "wait", "hold", "unlock", "notify", "notify", "cancel", "turn", "turn" },
}

local function condition_subject(acquire, wait, release, notify, show)
  local held = false
  local subject
  subject = {
    start = {
      hold = function()
        local ok, err = acquire()
        if ok then held = true end
        return ok, err
      end,
      wait = function()
        local ok, err = acquire()
        if not ok then return "acquire", err end
        ok, err = wait()
        release()
        return ok, err
      end,
    },
    unlock = function()
      if held then
        held = false
        release()
      end
    end,
    notify = function(n)
      if held then notify(n % 3) end
    end,
    show = show,
  }
  return subject
end

function Condition.model(world)
  local lock, line = model_lock(world), {}
  local function wait()
    lock.release()
    local told, cancelled = world.wait(line)
    local again
    if lock.locked or lock.promised then
      again = lock.acquire(true)
    else
      lock.locked = true
    end
    if cancelled or again then
      if told then world.tell(line) end
      return nil, "CancelledError"
    end
    return true
  end
  return condition_subject(lock.acquire, wait, lock.release, function(n)
    for _ = 1, n do world.tell(line) end
  end, function() return lock.locked, #line end)
end

function Condition.real()
  local condition = eddy.Condition()
  return condition_subject(
    function() return attempt(condition.acquire, condition) end,
    function()
      local ok, err = attempt(condition.wait, condition)
      assert(condition:locked())
      return ok, err
    end,
    function() condition:release() end,
    function(n) condition:notify(n) end,
    function()
      return condition:locked(), tonumber(tostring(condition):match("waiters:(%d+)")) or 0
    end)
end

-- --- Barrier -----------------------------------------------------------------------------------------------------

local Barrier = { operations = { "wait", "wait", "wait", "wait", "reset", "abort", "cancel", "turn", "turn" } }

function Barrier.model(world, parties)
  local phase, inside, outside, leaving = "filling", {}, {}, 0

  local function open()
    phase = "draining"
    for i = 0, #inside - 1 do
      world.tell(inside, i)
      leaving = leaving + 1
    end
    if leaving == 0 then phase = "filling" end
  end

  local function let_in()
    if leaving > 0 or phase == "broken" then return end
    phase = "filling"
    while #outside > 0 and #inside < parties do
      local task = table.remove(outside, 1)
      task.line = inside
      table.insert(inside, task)
    end
    if #inside == parties then open() end
  end

  local function send_away()
    for _, line in ipairs { inside, outside } do
      while world.tell(line) do leaving = leaving + 1 end
    end
  end

  return {
    start = {
      wait = function()
        if phase == "broken" then return nil, "BrokenBarrierError" end
        if phase == "filling" and #inside + 1 == parties then
          open()
          return parties - 1
        end
        local line = phase == "filling" and inside or outside
        local told, cancelled, index = world.wait(line)
        local broken = phase == "resetting" or phase == "broken"
        if told then leaving = leaving - 1 end
        let_in()
        if cancelled then return nil, "CancelledError" end
        if broken then return nil, "BrokenBarrierError" end
        return index
      end,
    },
    reset = function()
      if phase == "filling" then send_away() end
      phase = "resetting"
      let_in()
    end,
    abort = function()
      phase = "broken"
      send_away()
    end,
    show = function() return phase == "broken", phase == "filling" and #inside or 0 end,
  }
end

function Barrier.real(parties)
  local barrier = eddy.Barrier(parties)
  return {
    start = { wait = function() return attempt(barrier.wait, barrier) end },
    reset = function() barrier:reset() end,
    abort = function() barrier:abort() end,
    show = function() return barrier.broken, barrier.n_waiting end,
  }
end

-- --- queues ------------------------------------------------------------------------------------------------------

local Queue = {
  operations = {
    "get", "get", "put", "put", "get_nowait", "put_nowait", "task_done", "join", "cancel", "cancel", "turn", "turn",
    "shutdown",
  },
}

local function kind_of(variant) return ({ "Queue", "LifoQueue", "PriorityQueue" })[(variant - 1) % 3 + 1] end

function Queue.model(world, variant)
  local kind, maxsize = kind_of(variant), variant > 3 and 2 or 0
  local items, getters, putters, joiners = {}, {}, {}, {}
  local unfinished, shut_down, tickets = 0, false, 0

  local function full() return maxsize > 0 and #items >= maxsize end

  local function put(item)
    if shut_down then return nil, "QueueShutDown" end
    local at = #items + 1
    if kind == "PriorityQueue" then
      while at > 1 and item // 100 < items[at - 1] // 100 do at = at - 1 end
    end
    table.insert(items, at, item)
    unfinished = unfinished + 1
    world.tell(getters)
    return true
  end

  local function get()
    local item = table.remove(items, kind ~= "LifoQueue" and 1 or nil)
    world.tell(putters)
    return item
  end

  -- Waits in the order of tickets until possible() or shut down. Returns whether it was cancelled.
  local function wait_until(possible, line)
    tickets = tickets + 1
    local ticket = tickets
    while not possible() and not shut_down do
      local at = 1
      while line[at] and line[at].ticket < ticket do at = at + 1 end
      local told, cancelled = world.wait(line, at, false, ticket)
      if cancelled then
        if told and possible() then world.tell(line) end
        return true
      end
    end
  end

  local function finish(n)
    unfinished = unfinished - n
    while unfinished == 0 and world.tell(joiners) do end   -- luacheck: ignore 542
  end

  return {
    start = {
      get = function()
        local cancelled = wait_until(function() return #items > 0 end, getters)
        if cancelled then return nil, "CancelledError" end
        if #items == 0 then return nil, "QueueShutDown" end
        return get()
      end,
      put = function(priority, id)
        local cancelled = wait_until(function() return not full() end, putters)
        if cancelled then return nil, "CancelledError" end
        return put(priority * 100 + id)
      end,
      join = function()
        if unfinished == 0 then return true end
        local _, cancelled = world.wait(joiners)
        if cancelled then return nil, "CancelledError" end
        return true
      end,
    },
    get_nowait = function()
      if #items == 0 then return nil, shut_down and "QueueShutDown" or "QueueEmpty" end
      return get()
    end,
    put_nowait = function(priority)
      if full() and not shut_down then return nil, "QueueFull" end
      return put(priority * 100)
    end,
    task_done = function()
      if unfinished == 0 then return nil, "RuntimeError" end
      finish(1)
      return true
    end,
    shutdown = function(n)
      if n > 3 then return end   -- seldom: nothing much happens afterwards
      if n == 1 then
        local dropped = math.min(#items, unfinished)
        items = {}
        finish(dropped)
      end
      shut_down = true
      while world.tell(getters) do end   -- luacheck: ignore 542
      while world.tell(putters) do end   -- luacheck: ignore 542
    end,
    show = function() return #items, full(), #getters, #putters, unfinished, shut_down end,
  }
end

function Queue.real(variant)
  local key = function(item) return item // 100 end
  local kind = kind_of(variant)
  local queue = eddy[kind](variant > 3 and 2 or 0, kind == "PriorityQueue" and { key = key } or nil)
  local function did(f, ...)
    local _, err = attempt(f, queue, ...)
    if err then return nil, err end
    return true
  end
  local function shown(pattern) return tonumber(tostring(queue):match(pattern)) or 0 end
  return {
    start = {
      get = function() return attempt(queue.get, queue) end,
      put = function(priority, id) return did(queue.put, priority * 100 + id) end,
      join = function() return did(queue.join) end,
    },
    get_nowait = function() return attempt(queue.get_nowait, queue) end,
    put_nowait = function(priority) return did(queue.put_nowait, priority * 100) end,
    task_done = function() return did(queue.task_done) end,
    shutdown = function(n)
      if n <= 3 then queue:shutdown(n == 1) end
    end,
    show = function()
      return queue:qsize(), queue:full(), shown("getters%[(%d+)"), shown("putters%[(%d+)"), shown("tasks=(%d+)"),
        tostring(queue):find("shutdown") ~= nil
    end,
  }
end

describe("random programs, EDDY_SEED=" .. seed .. ",", function()
  local kinds = {
    Lock = Lock, Semaphore = Semaphore, Event = Event, Condition = Condition, Barrier = Barrier, Queue = Queue,
  }
  local salt = 0
  for _, name in ipairs { "Lock", "Semaphore", "Event", "Condition", "Barrier", "Queue" } do
    salt = salt + 1
    local its_salt = salt
    it("of " .. name .. " do what the model says", function()
      check(kinds[name], its_salt)
    end)
  end
end)
