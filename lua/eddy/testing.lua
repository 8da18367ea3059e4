-- SPDX-License-Identifier: MIT
--
-- eddy.testing - what tests of waiting code need: virtual time, a look at what was left behind.
-- Uses:  the public table of eddy.      Used by: eddy.busted, specs.
--
-- With busted, a test whose name holds #virtual runs on virtual time as it is (see eddy.busted); `virtual_clock` is
-- for tests outside of a running loop, and for other test frameworks.

local eddy = require "eddy"

local testing = {}

---Runs f(...) to its end on a new loop with a virtual clock: time starts at 0 and jumps to the next timer when
---nothing else can run. Returns what f returns, raises what it raises. Options of `eddy.Runner` may come first, as in
---`virtual_clock({ seed = 7 }, f)`, which shuffles the order of ready tasks, each time in the same way.
---Like `eddy.run`, it raises a RuntimeError inside a running loop.
function testing.virtual_clock(options, f, ...)
  if type(options) ~= "table" then return testing.virtual_clock({}, options, f, ...) end
  local with_clock = { clock = "virtual" }
  for key, value in pairs(options) do with_clock[key] = value end
  local runner <close> = eddy.Runner(with_clock)
  return runner:run(f, ...)
end

---Lets `seconds` of the loop's time pass: all that falls due until then has run when it returns. In no time at all, on
---a virtual clock.
function testing.advance(seconds)
  eddy.sleep(seconds)
  eddy.sleep(0)   -- those that were woken together with us run before we go on
end

---Gives way `turns` times (1), so that all other tasks that are ready make a step each time.
function testing.checkpoint(turns)
  for _ = 1, turns or 1 do eddy.sleep(0) end
end

-- What lives on a loop: { tasks = set of tasks, handles = how many of each text }.
local function inventory(loop)
  local tasks, handles = {}, {}
  for _, task in ipairs(eddy.all_tasks(loop)) do tasks[task] = true end
  if eddy._handles then
    for _, handle in ipairs(eddy._handles(loop)) do handles[handle] = (handles[handle] or 0) + 1 end
  end
  return { tasks = tasks, handles = handles }
end

local nothing = { tasks = {}, handles = {} }

-- Lists what lives on the loop and did not when `before` was taken: tasks in the order of their creation, and texts
-- that describe each task (its name, where it waits) and each handle.
local function newer(loop, before, except)
  before = before or nothing
  local tasks, texts = {}, {}
  for _, task in ipairs(eddy.all_tasks(loop)) do
    if not before.tasks[task] and task ~= except then
      tasks[#tasks + 1] = task
      texts[#texts + 1] = tostring(task)
    end
  end
  local known = {}
  for _, handle in ipairs(eddy._handles and eddy._handles(loop) or {}) do
    known[handle] = (known[handle] or 0) + 1
    if known[handle] > (before.handles[handle] or 0) then texts[#texts + 1] = handle end
  end
  return tasks, texts
end

-- The sentence that a failure shows.
local function complaint(texts)
  return ("left behind: %d that should have ended\n  %s"):format(#texts, table.concat(texts, "\n  "))
end

---Raises an error that names the tasks (and where they wait) and the handles which are still there, other than the
---task that asks. With a function: runs f(...) first, minds only what f has left behind, and returns what f returns.
function testing.assert_no_leaks(f, ...)
  local loop = eddy.get_running_loop()
  local before = f and inventory(loop)
  local results = f and table.pack(f(...)) or { n = 0 }
  testing.checkpoint(2)   -- what has just been told to end may do so
  eddy.sleep(1e-9)        -- handles as well: sleep(0) would not let libuv speak
  local _, texts = newer(loop, before, eddy.current_task())
  if #texts > 0 then error(complaint(texts), 2) end
  return table.unpack(results, 1, results.n)
end

---What this Lua state holds at the moment, all open loops together, as a table of numbers: loops, tasks, ready (places
---in ready queues), timers, generators (begun and not ended), handles, requests (of files and names, under way),
---anchors (callbacks and other values that loops keep), slots (of the registry: tasks, their coroutines, timeouts),
---kept (slots of tasks whose coroutine was closed from outside while it used a file, a channel or `send_file`, and of
---those that a second Ctrl-C has left: they stay until the state ends),
---unretrieved (errors nobody has looked at yet), bytes (Lua's memory). When every loop is closed and garbage was
---collected, all but kept and bytes are 0.
---@return table<string, integer>
function testing.ledger() return eddy._ledger() end

local counted = { "loops", "tasks", "ready", "timers", "generators", "handles", "requests", "anchors", "slots" }

local function more_than(before)
  local now, texts = eddy._ledger(), {}
  for _, what in ipairs(counted) do
    if now[what] > before[what] then texts[#texts + 1] = ("%d %s"):format(now[what] - before[what], what) end
  end
  return texts
end

-- Lists of what there is more now than then, when what is garbage has gone.
local function unbalanced(before)
  if #more_than(before) == 0 then return {} end
  collectgarbage()
  collectgarbage()
  return more_than(before)
end

-- For eddy.busted.
testing._unbalanced = unbalanced
testing._inventory, testing._newer, testing._complaint = inventory, newer, complaint

return testing
