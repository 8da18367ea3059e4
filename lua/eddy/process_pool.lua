-- process_pool.lua - eddy.ProcessPool: calls carried out by other processes. process_worker.lua is the other side.

local eddy = require "eddy"
local wire = eddy._wire

local GRACE = 0.2 -- seconds that a call has to end by itself when it is cancelled, and a worker when its pool is closed
local LAST = 1    -- that a worker has to end when its pipes are closed already

-- What the pool knows of a process: it ends when nobody knows it any more.
local Worker = {}

function Worker:__gc()
  self.requests:abort()
  self.replies:abort()
  if not self.process.returncode then pcall(self.process.kill, self.process) end
end

local ProcessPool = { __name = "ProcessPool" }
ProcessPool.__index = ProcessPool

-- --- Workers ------------------------------------------------------------------------------------------------------

-- A command that runs the Lua code which follows it: this program, if it is eddy or Lua, or one that can be found.
local function find_command()
  local ok, program = pcall(eddy.fs.readlink, "/proc/self/exe")
  if not ok and type(arg) == "table" then
    local lowest = 0
    while arg[lowest - 1] do lowest = lowest - 1 end
    program = lowest < 0 and arg[lowest] or nil
  elseif not ok then
    program = nil
  end
  local name = program and program:match "([^/\\]+)$"
  if name and (name:find "^eddy" or name:find "^lua") then return { program, "-e" } end
  return { "eddy", "-e" }
end

local function start(self)
  local input, requests = eddy.pipe()
  local made, replies, output = pcall(eddy.pipe)
  if not made then
    input:close()
    requests:close()
    error(replies, 0)
  end
  requests:_hush()
  replies:_hush()
  local code = ("package.path, package.cpath = %q, %q\nlocal eddy = require 'eddy'\n"
    .. "eddy.run(require 'eddy.process_worker', %d, %d)"):format(package.path, package.cpath, input:fileno(),
    output:fileno())
  local arguments = { table.unpack(self._command, 2) }
  arguments[#arguments + 1] = code
  local ok, process = pcall(eddy.create_subprocess_exec, self._command[1], arguments,
    { stdin = "null", pass_fds = { input, output }, _worker = true })
  input:close()
  output:close()
  if not ok then
    requests:close()
    replies:close()
    error(process, 0)
  end
  return setmetatable({ process = process, requests = requests, replies = replies }, Worker)
end

-- Ends it: closes its pipes, and kills it if that is not enough, or at once.
local function finish(worker, at_once)
  worker.requests:abort()
  worker.replies:abort()
  if not at_once and eddy.move_on_after(GRACE, worker.process.wait, worker.process) then return end
  if not worker.process.returncode then pcall(worker.process.kill, worker.process) end
  worker.process:wait()
end

local function broken(worker)
  local _, code = eddy.move_on_after(LAST, worker.process.wait, worker.process)
  local how = code == nil and "has closed its pipes" or code < 0 and ("was killed by signal %d"):format(-code)
    or ("has ended with status %d"):format(code)
  return eddy.BrokenWorkerError("the worker process " .. how)
end

-- The reply to the call that was sent last.
local function receive(worker)
  worker.letter = worker.letter or worker.replies:read_exactly(1)   -- it may be cancelled here, and asked again
  worker.head = worker.head or worker.replies:read_exactly(wire.HEAD)
  local body = worker.replies:read_exactly(wire.size(worker.head))
  local letter, head = worker.letter, worker.head
  worker.letter, worker.head = nil, nil
  return letter, head, body
end

local function exchange(worker, message)
  worker.requests:write(message):drain()
  return receive(worker)
end

-- Asks the worker to stop its call. Returns whether it has done so in time; then what the call has raised on its way
-- out, if that is an error of its own.
local function stop(worker)
  local asked = pcall(worker.requests.write, worker.requests, "X")
  local waited, in_time, letter, head, body = pcall(eddy.move_on_after, GRACE, receive, worker)
  if not (asked and waited and in_time) then return false end
  if letter ~= "E" then return true end
  local unpacked, err, traceback = pcall(wire.unpack, head, body)
  if not unpacked or eddy.is_error(err, eddy.CancelledError) then return true end
  return true, err, traceback
end

-- Carries out a call on the worker. Returns whether the worker can be used again; then true and the results, or false,
-- the error, and its traceback there if there is one.
local function carry_out(worker, message)
  local ok, letter, head, body = pcall(exchange, worker, message)
  if ok then
    local unpacked = table.pack(pcall(wire.unpack, head, body))
    if not unpacked[1] then return true, false, unpacked[2] end
    return true, letter == "R", table.unpack(unpacked, 2, unpacked.n)
  end
  local err = letter
  if eddy.is_error(err, eddy.CancelledError) then
    local usable, own, traceback = stop(worker)
    return usable, false, own == nil and err or own, traceback
  end
  if eddy.is_error(err, eddy.IncompleteReadError) or eddy.is_error(err, eddy.OSError) then
    err = select(2, pcall(broken, worker)) -- or it is cancelled while it looks
  end
  return false, false, err
end

-- --- The pool -----------------------------------------------------------------------------------------------------

local function give_back(self, worker, usable)
  if usable and not self._quit then
    self._idle[#self._idle + 1] = worker
  else
    self._workers[worker] = nil
    eddy.shield(function() finish(worker, true) end)
  end
end

local function results_of(self, call, worker, usable, ok, ...)
  give_back(self, worker, usable)
  if ok then return ... end
  local err, traceback = ...
  if type(err) == "string" then err = err:gsub("^ProcessPool: (result %d)", call.who .. ": %1") end
  if traceback then wire.note(err, call.who, traceback) end
  error(err, 0)
end

-- Once init has failed nothing is called any more: the next worker would fare no better.
local function expect_sound(self, who)
  if self._broken then error(eddy.BrokenWorkerError(("'%s': %s"):format(who, self._broken)), 0) end
end

-- A worker that waits for a call, or a new one, for which `init` was called.
local function take_worker(self, call)
  local worker = table.remove(self._idle)
  while worker and worker.process.returncode do -- it has died of boredom, or somebody has killed it
    self._workers[worker] = nil
    finish(worker, true)
    worker = table.remove(self._idle)
  end
  if worker then return worker end
  worker = start(self)
  self._workers[worker] = true
  if self._init then
    local _, ok, err = carry_out(worker, self._init)
    if not ok then
      if not eddy.is_error(err, eddy.CancelledError) then
        self._broken = self._broken or "init has failed: " .. tostring(err)
      end
      give_back(self, worker, false)
      expect_sound(self, call.who)
      error(err, 0)
    end
  end
  return worker
end

-- It waits in the queue no more.
local function leave_queue(self, call)
  if call.has_room then self._room:release() end
  call.has_room = false
end

local function run(self, call)
  local slot <close> = self._slots:hold()  -- luacheck: ignore 211
  leave_queue(self, call)
  expect_sound(self, call.who)
  local worker = take_worker(self, call)
  return results_of(self, call, worker, carry_out(worker, call.message))
end

local function expect_open(self, who, level)
  if self._closed then error(eddy.RuntimeError(("'%s': the pool is closed"):format(who)), level + 1) end
  expect_sound(self, who)
end

local function check_self(self, name, level)
  if getmetatable(self) == ProcessPool then return end
  error(("calling '%s' on bad self (ProcessPool expected, got %s)"):format(name,
    self == nil and "no value" or type(self)), level + 1)
end

local function check(self, name, f)
  check_self(self, name, 3)
  expect_open(self, name, 3)
  if type(f) ~= "function" then
    error(("bad argument #1 to '%s' (function expected, got %s)"):format(name, f == nil and "no value" or type(f)), 3)
  end
end

-- Waits for room in the queue, if that is limited.
local function enter_queue(self, call)
  if not self._room then return end
  self._putters = self._putters + 1
  local ok, err = pcall(self._room.acquire, self._room)
  self._putters = self._putters - 1
  if not ok then error(err, 0) end
  if self._closed or self._broken then self._room:release() end -- for the next one to find it so
  expect_open(self, call.who, 3)
  call.has_room = true
end

local function schedule(self, call)
  local task = eddy.create_task(run, self, call)
  self._tasks[task] = true
  task:add_done_callback(function()
    self._tasks[task] = nil
    leave_queue(self, call) -- it was cancelled before it began
  end)
  return task
end

-- The message of a call; what cannot be moved is an error at that level.
local function pack(level, who, f, ...)
  local packed, bytes = pcall(wire.pack, "call", who, f, ...)
  if not packed then error(bytes, level + 1) end
  return "C" .. bytes
end

local function new_call(level, who, f, ...) return { who = who, message = pack(level + 1, who, f, ...) } end

--- Schedules f(...), which is packed at once, and returns a Task for it; waits while the queue is full.
function ProcessPool:submit(f, ...)
  check(self, "submit", f)
  local call = new_call(2, "submit", f, ...)
  enter_queue(self, call)
  return schedule(self, call)
end

-- eddy.run_in_executor(pool, f, ...), and eddy.to_thread(f, ...) where this is the default pool
function ProcessPool:__executor(who, f, ...)
  expect_open(self, who, 2)
  local call = new_call(3, who, f, ...)
  enter_queue(self, call)
  return schedule(self, call):await()
end

-- loop:run_in_executor(pool, f, ...)
function ProcessPool:__submitter(who, f, ...)
  expect_open(self, who, 2)
  return schedule(self, new_call(3, who, f, ...))
end

local function call_for_map(self, f, ...)
  local results = self:__executor("map", f, ...)
  return results
end

--- f(item) for each item of the list, in chunks; the results in order.
function ProcessPool:map(f, list, options)
  check(self, "map", f)
  if type(list) ~= "table" then error("bad argument #2 to 'map' (table expected, got " .. type(list) .. ")", 2) end
  if options ~= nil and type(options) ~= "table" then
    error("bad argument #3 to 'map' (table expected, got " .. type(options) .. ")", 2)
  end
  for key in pairs(options or {}) do
    if key ~= "chunk" then error(("bad argument #3 to 'map' (unknown option '%s')"):format(tostring(key)), 2) end
  end
  local chunk = options and options.chunk
  if chunk ~= nil and math.type(chunk) ~= "integer" then
    error(("bad argument #3 to 'map' (option 'chunk': integer expected, got %s)"):format(type(chunk)), 2)
  elseif chunk and chunk < 1 then
    error(("bad argument #3 to 'map' (option 'chunk': %d is out of range)"):format(chunk), 2)
  end
  return (require "eddy.pool".map(self, f, list, chunk or 0, self._size, call_for_map))
end

local function end_all(self, quit)
  self._closed = true
  for _ = 1, self._putters do self._room:release() end -- they find it closed
  if quit then
    self._quit = true
    for task in pairs(self._tasks) do task:cancel() end
  end
  while next(self._tasks) do eddy.wait { (next(self._tasks)) } end
  local workers = {}
  for worker in pairs(self._workers) do workers[#workers + 1] = function() finish(worker, false) end end
  self._idle = {}
  if #workers > 0 then eddy.gather(workers) end
  self._workers = {}
end

--- Takes no more calls, waits for those that were submitted, ends the processes.
function ProcessPool:close()
  check_self(self, "close", 2)
  local ok, err = pcall(end_all, self, false)
  if ok then return end
  eddy.shield(function() end_all(self, true) end)
  error(err, 0)
end

function ProcessPool:__close(err)
  if err == nil then self:close() else eddy.shield(function() end_all(self, true) end) end
end

-- Nobody can use it any more; its workers end by their own finalizers.
function ProcessPool:__gc()
  if not self._closed and next(self._workers) then
    warn("ResourceWarning: unclosed ProcessPool made at " .. self._made_at)
  end
end

function ProcessPool:__tostring()
  return ("<ProcessPool workers=%d%s>"):format(self._size, self._closed and ", closed" or "")
end

local KNOWN = { workers = "integer", queue = "integer", init = "function", command = "table" }

local function new(options)
  options = options == nil and {} or options
  if type(options) ~= "table" then
    error(("bad argument #1 to 'ProcessPool' (table expected, got %s)"):format(type(options)), 2)
  end
  for key, value in pairs(options) do
    local expected = KNOWN[key]
    if not expected then error(("bad argument #1 to 'ProcessPool' (unknown option '%s')"):format(tostring(key)), 2) end
    if (expected == "integer" and math.type(value) or type(value)) ~= expected then
      error(("bad argument #1 to 'ProcessPool' (option '%s': %s expected, got %s)"):format(key, expected,
        type(value)), 2)
    end
  end
  for _, name in ipairs { "workers", "queue" } do
    if options[name] and options[name] < 1 then
      error(("bad argument #1 to 'ProcessPool' (option '%s': %d is out of range)"):format(name, options[name]), 2)
    end
  end
  for i = 1, options.command and math.max(#options.command, 1) or 0 do
    if type(options.command[i]) ~= "string" then
      error(("bad argument #1 to 'ProcessPool' (option 'command': item %d: string expected, got %s)"):format(i,
        type(options.command[i])), 2)
    end
  end
  local size, caller = options.workers or wire.CPUS, debug.getinfo(2, "Sl")
  return setmetatable({
    _size = size,
    _slots = eddy.Semaphore(size),
    _room = options.queue and eddy.Semaphore(options.queue),
    _putters = 0,                                -- tasks that wait for room
    _command = options.command or find_command(),
    _init = options.init and pack(2, "ProcessPool", options.init),
    _made_at = caller and ("%s:%d"):format(caller.short_src, caller.currentline) or "?",
    _workers = {},
    _idle = {},
    _tasks = {},
  }, ProcessPool)
end

return { ProcessPool = new }
