-- What the scenarios stand on. The driver (torture.c) loads this file with its own functions, and a scenario with the
-- stage, before it forks. A scenario is a function; it is the main task of a run on a virtual clock, must end in a few
-- milliseconds, and looks at its results itself. Anything may go wrong in it at any moment:
--   * what must hold whatever happens is checked with stage.check: a false one is a finding
--   * an error that the scenario provokes says "boom" (any other must be explained by the fault)
--   * an error that it does not expect goes on, as out of stage.raises

local torture = ...
local eddy = require "eddy"

local stage = { check = torture.check, may_take = torture.may_take, may_deadlock = torture.may_deadlock,
  may_report = torture.may_report, starved = torture.starved,
  is_hard = torture.is_hard }

---Calls f(...), which must raise an error that `is_expected` (a class, or a part of the text) describes; returns that.
---Any other error goes on.
function stage.raises(is_expected, f, ...)
  local ok, err = pcall(f, ...)
  if ok then
    torture.check(false, "an error was expected")
  elseif not stage.is(err, is_expected) or is_expected == eddy.CancelledError and stage.cancelled() then
    error(err, 0)
  end
  return err
end

---Whether the running task was cancelled: then a CancelledError may be its own.
function stage.cancelled() return eddy.current_task():cancelling() > 0 end

---Whether the error is of that class, or holds that text.
function stage.is(err, expected)
  if type(expected) == "string" then return type(err) == "string" and err:find(expected, 1, true) ~= nil end
  return eddy.is_error(err, expected)
end

---Whether that error may be for lack of memory.
function stage.is_starving(err) return torture.explains(err) end

---Whether f(...) ends well. Does not mind an error that is explained.
function stage.try(f, ...)
  local ok, err = pcall(f, ...)
  if not ok and (stage.cancelled() or not stage.is_starving(err)) then error(err, 0) end
  return ok
end

---Checks that both are equal; `if_fed`: unless memory has failed somebody who had a part in it.
function stage.equal(expected, value, what, if_fed)
  if expected == value or if_fed and torture.starved() then return end
  torture.check(false, ("%s: expected %s, got %s"):format(what, tostring(expected), tostring(value)))
end

---Starts f(...) as a task and waits until it has begun: it is in its first wait then, or has ended. `eddy.sleep(0)`
---alone does not say so where a seed shuffles what is ready.
function stage.start(f, ...)
  local begun = false
  local task = eddy.create_task(function(...)
    begun = true
    return f(...)
  end, ...)
  repeat eddy.sleep(0) until begun or task:done()
  return task
end

---f and g, for two tasks: g begins when f has, whatever the order of what is ready.
function stage.in_order(f, g)
  local begun = false
  local function first()
    begun = true
    return f()
  end
  local function second()
    while not begun do eddy.sleep(0) end
    return g()
  end
  return first, second
end

---A value for a <close> variable that must be closed, once, before the scenario is left; its handler waits `seconds`.
function stage.hold(seconds)
  local closed = false
  return setmetatable({}, { __close = function()
    torture.check(not closed, "closed twice")
    closed = true
    if seconds then eddy.sleep(seconds) end
  end })
end

---f, for one side of a connection: what the other side's failure looks like from here is no surprise. (One result.)
function stage.calm(f)
  return function(...)
    local ok, err = pcall(f, ...)
    local is_end = eddy.is_error(err, eddy.IncompleteReadError) or eddy.is_error(err, eddy.OSError) and
      (err.code == "ECONNRESET" or err.code == "EPIPE")
    if not ok and not is_end then error(err, 0) end
    if not ok then error("boom: not enough memory on the other side", 0) end
    return err
  end
end

---Raises what `calm` raises, unless the value is there.
function stage.heard(value)
  if value == nil then error("boom: not enough memory on the other side", 0) end
  return value
end

---Checks that `got` is what the other side has sent, or the beginning of that; raises what `calm` raises if it is less.
function stage.whole(sent, got, what)
  torture.check(got == nil or sent:sub(1, #got) == got, what .. " is not what was sent")
  if got ~= sent then error("boom: not enough memory on the other side", 0) end
end

---n bytes of which no two pieces are alike. To be made when the scenario is loaded, before anything fails.
function stage.pattern(n)
  local pieces, size, i = {}, 0, 0
  while size < n do
    i = i + 1
    pieces[i] = ("%x:%s\n"):format(i, ("abcdefghij"):rep(i % 7):sub(1, i % 61))
    size = size + #pieces[i]
  end
  return table.concat(pieces):sub(1, n)
end

local folders = 0

---The path of a folder that is not there yet; it is removed after the run.
function stage.folder()
  folders = folders + 1
  return ("%s/%d"):format(torture.folder(), folders)
end

---A name that no other run uses at the same time.
function stage.name() return torture.folder():match("[^/]+$") end

---Whether calls of the system fail in a way that eddy must make up for: then all that was asked for happens.
function stage.is_harmless() return torture.is_harmless() end

local function main(scenario)
  torture.began(eddy.current_task())
  eddy.get_running_loop():set_exception_handler(torture.on_report)
  return scenario()
end

local function run(scenario, seed)
  local runner <close> = eddy.Runner { clock = "virtual", seed = seed }
  runner:run(main, scenario)
end

return stage, run, main
