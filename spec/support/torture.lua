-- Cancels the main task of a scenario at every moment there is, one after the other, and looks at what is left.
--
-- A scenario is a function of a stage. It prepares things and returns the main function, a function that looks at them
-- when main and all others have ended, and one that is called between main's end and theirs. Each run has a loop of its
-- own on a virtual clock, so a run can be made again: what is printed when one fails, (scenario, mode, seed, k, k2),
-- leads to the same run. The seed is the Runner's, which shuffles the tasks that are ready; 0 leaves them in order.
-- A scenario may set fields of its stage: `may_take`, main need not end cancelled; `may_fail(err)`, whether main may
-- fail with that error; `may_report(err)`, whether the exception handler may hear of it.
--   turns   main is cancelled from a callback of the loop at its k-th moment: whenever main's state has changed, as
--           seen once a turn, and by a timer of each millisecond that is older than those of the scenario
--   calls   main is cancelled from within, by a hook, when it makes its k-th call: it is told at its next wait

local eddy = require "eddy"

local torture = {}

local MS = 0.001
local GRID = 60          -- milliseconds that are looked at
local STILL = 3          -- turns without a change after which it looks at the next note or millisecond only

-- --- The stage ----------------------------------------------------------------------------------------------

local Stage = {}
Stage.__index = Stage

---Notes that something has happened; another moment to cancel main at.
function Stage:note(what)
  self.log[#self.log + 1] = what
  if self.wake then self.wake() end
end

---A value for a <close> variable: it must be closed once, in the task that made it, and before those made earlier
---there. `wait` is how many milliseconds its handler sleeps.
function Stage:hold(name, wait)
  local task = eddy.current_task()
  local stack = self.stacks[task] or {}
  self.stacks[task] = stack
  local held = { name = name, closed = 0 }
  stack[#stack + 1] = held
  self:note("open " .. name)
  return setmetatable(held, { __close = function()
    held.closed = held.closed + 1
    self:note("close " .. name)
    self:check(held.closed == 1, name .. " was closed twice")
    self:check(stack[#stack] == held, name .. " was closed before what was opened after it")
    self:check(eddy.current_task() == task, name .. " was closed by another task")
    stack[#stack] = nil
    if wait then eddy.sleep(wait * MS) end
  end })
end

---A task beside main. It must end well, whatever happens to main.
function Stage:spawn(f, ...)
  local task = eddy.create_task(f, ...)
  self.others[#self.others + 1] = task
  return task
end

---Remembers that a check has failed (an error would only be one more thing that is unwound).
function Stage:check(ok, text)
  if not ok then self.failures[#self.failures + 1] = text end
end

function Stage:equal(expected, value, what)
  self:check(expected == value, ("%s: expected %s, got %s"):format(what, tostring(expected), tostring(value)))
end

-- --- One run ------------------------------------------------------------------------------------------------

-- Counts the moments of main and calls at_moment(number) at each, until main has ended. Returns a function that ends
-- the watch.
local function watch(stage, main, at_moment)
  local loop = eddy.get_running_loop()
  local moments, still, last, is_due = 0, 0, nil, false
  local handles = {}
  local function look()
    is_due = false
    if main:done() then return end
    local state = ("%s %d %d"):format(main, #stage.log, #eddy.all_tasks())
    still = state == last and still + 1 or 0
    if still == 0 then
      last, moments = state, moments + 1
      at_moment(moments)
    end
    if still < STILL then stage.wake() end
  end
  function stage.wake()
    if not is_due then loop:call_soon(look) end
    is_due = true
  end
  local start = loop:time()
  for i = 0, GRID do
    handles[i] = loop:call_at(start + i * MS, function()
      still = 0
      if not is_due then look() end
    end)
  end
  return function()
    for i = 0, GRID do handles[i]:cancel() end
    stage.wake = nil
  end
end

-- Runs the scenario's main with its calls counted: at_call(number) is called at each.
local function hooked(f, at_call)
  local calls = 0
  local function unhook() debug.sethook() end
  return function()
    local _ <close> = setmetatable({}, { __close = unhook })
    debug.sethook(function()
      calls = calls + 1
      at_call(calls)
    end, "c")
    return f()
  end
end

-- What is wrong after main has ended: it has the end and the count that it should have, and has left nothing behind.
local function judge(stage, main, asked)
  local loop, me = eddy.get_running_loop(), eddy.current_task()
  for _, other in ipairs(stage.others) do
    if other:cancelled() then
      stage:check(false, "another task was cancelled: " .. tostring(other))
    elseif other:exception() ~= nil then
      stage:check(false, "another task has failed: " .. other:traceback())
    end
  end
  for _ = 1, 3 do eddy.sleep(0) end
  eddy.sleep(1e-9)
  for _, task in ipairs(eddy.all_tasks(loop)) do
    stage:check(task == me, "left behind: " .. tostring(task))
  end
  for _, handle in ipairs(eddy._handles(loop)) do stage:check(false, "left behind: " .. tostring(handle)) end
  for _, stack in pairs(stage.stacks) do
    for _, held in ipairs(stack) do stage:check(false, held.name .. " was not closed") end
  end
  if not stage.may_take then
    stage:equal(asked > 0, main:cancelled(), "main was cancelled (" .. tostring(main) .. ")")
    stage:equal(asked, main:cancelling(), "main's count")
  end
end

-- Runs the scenario once. `mode` and the numbers tell when main is cancelled. Returns the failures, how many moments
-- or calls there were, and whether main lived long enough to be cancelled by the last number.
local function run_once(scenario, mode, seed, k1, k2)
  local stage = setmetatable({ mode = mode, log = {}, stacks = {}, others = {}, failures = {} }, Stage)
  local moments, asked, reached = 0, 0, false
  local main
  local function at(number)
    moments = number
    if number ~= k1 and number ~= k2 then return end
    if main:cancel("at " .. number) then asked = asked + 1 end
    reached = number == (k2 or k1)
  end

  local runner = eddy.Runner { clock = "virtual", seed = seed, exception_handler = function(_, context)
    stage:check(stage.may_report and stage.may_report(context.exception),
      "reported: " .. context.message .. ": " .. tostring(context.exception))
  end }
  local ok, err = pcall(runner.run, runner, function()
    local f, after, before = scenario(stage)
    main = eddy.create_task(mode == "calls" and hooked(f, at) or f):set_name("tortured")
    local stop = mode == "turns" and watch(stage, main, at) or function() end
    eddy.wait { main }
    stop()
    if not main:cancelled() then stage.error = main:exception() end
    stage.asked = asked
    if before then before(main) end
    if #stage.others > 0 then eddy.wait(stage.others) end
    judge(stage, main, asked)
    if after then after(main) end
    if stage.error ~= nil then
      stage:check(stage.may_fail and stage.may_fail(stage.error), "main has failed: " .. main:traceback())
    end
  end)
  if not ok then stage:check(false, tostring(err)) end
  runner:close()
  return stage.failures, moments, reached
end

-- --- All of them --------------------------------------------------------------------------------------------

local SEEDS, DISTANCE, ENOUGH = 5, 8, 5

---Runs the scenario without a cancellation, then with one at each moment and call, then with two at each pair of
---moments that are at most DISTANCE apart; all that in order, and once more with each seed. Raises an error that names
---the runs that went wrong. Returns how many runs there were.
function torture.run(name, scenario)
  local wrong, runs = {}, 0
  local function give_up() error("torture:\n" .. table.concat(wrong, "\n"), 0) end
  local function try(mode, seed, k1, k2)
    local failures, moments, reached = run_once(scenario, mode, seed, k1, k2)
    runs = runs + 1
    if #failures > 0 then
      wrong[#wrong + 1] = ("(%s, %s, %s, %s, %s): %s"):format(name, mode, seed, k1, k2,
        table.concat(failures, "\n    "))
      if #wrong >= ENOUGH then give_up() end
    end
    return reached, moments
  end

  for seed = 0, SEEDS do
    local _, calls = try("calls", seed)
    for k = 1, calls do try("calls", seed, k) end
    try("turns", seed)
    local k1 = 1
    while try("turns", seed, k1) do
      local k2 = k1 + 1
      while k2 <= k1 + DISTANCE and try("turns", seed, k1, k2) do k2 = k2 + 1 end
      k1 = k1 + 1
    end
  end
  if #wrong > 0 then give_up() end
  return runs
end

return torture
