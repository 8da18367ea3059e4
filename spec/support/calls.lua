-- Small things that many specs need.

local assert = require "luassert"
local eddy = require "eddy"

local calls = {}

---The error that f(...) raises.
function calls.raised(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return err
end

---The same; it must be of the class.
function calls.raised_as(class, f, ...)
  local err = calls.raised(f, ...)
  assert.is_true(eddy.is_error(err, class), tostring(err))
  return err
end

---The text of the bad argument that f complains of.
function calls.bad_argument(f)
  local err = calls.raised(f)
  return (assert(tostring(err):match("bad argument.*"), err))
end

---The running loop's time.
function calls.now() return eddy.get_running_loop():time() end

---A closing value that calls f with the error, or nil.
function calls.closing(f) return setmetatable({}, { __close = function(_, err) f(err) end }) end

---A task that sleeps for so long and returns the rest.
function calls.after(seconds, ...) return eddy.create_task(eddy.sleep, seconds, ...) end

---The task of f(...), which has run until it waits.
function calls.started(f, ...)
  local task = eddy.create_task(f, ...)
  eddy.sleep(0)
  return task
end

---Whether the task ends as it was cancelled.
function calls.cancelled(task)
  local ok, err = pcall(eddy.await, task)
  return not ok and eddy.is_error(err, eddy.CancelledError)
end

return calls
