---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- threads.lua - what src/threads/ gives to Lua, for editors (LuaCATS) and for people. (Buffers: buffer.lua.)
-- The functions are C; nothing here runs.
-- luacheck: ignore 241
--
-- A thread has a Lua state of its own. What goes there and comes back is copied: nil, booleans, numbers, strings,
-- tables (cycles and sharing kept), Lua functions with their upvalues, errors. Functions and tables of the standard
-- libraries and loaded modules become the thread's own; so do the globals: what a script has set there does not come
-- along. Channels are shared. Async functions, generator functions, context variables and buffers move as well.
-- Anything else is an error that names it:
-- `to_thread: upvalue 'db' of function <app.lua:10>: userdata cannot be moved`.

---@class eddy
local eddy = {}

---Calls f(...) in another thread, waits for it and returns its results. Other tasks run meanwhile, and what f computes
---runs in parallel. f runs in a task of the thread's own loop, so it may wait.
---
---Context variables go along, by name and value; those whose value is no plain value stay behind.
---
---Cancelling the waiting task stops f, at its next instruction or where it waits, through `pcall`; its `<close>`
---handlers run, and then the CancelledError is raised here. A handler that computes for a second, or takes five in all,
---is stopped as well. A C function that never comes back to Lua is not waited for: its result is dropped when it has
---ended. A second cancellation leaves at once.
---
---Raises what f raises (`task:traceback()` has the thread's traceback as well); DeadlockError when f waits for what can
---never come; RuntimeError when the default executor was shut down; OSError when no thread can be started.
---@async
---@generic T
---@param f fun(...): T...
---@param ... any
---@return T ...
function eddy.to_thread(f, ...) end

---The same on another pool (nil: the loop's own default). Waits while the pool's queue is full.
---@async
---@param pool eddy.ThreadPool|eddy.ProcessPool|nil
---@param f function
---@param ... any
---@return any ...
function eddy.run_in_executor(pool, f, ...) end

---Calls f(...) in a new thread that ends with the call. Await the Task for the results; cancelling it stops the thread,
---as to_thread says. Needs a running loop.
---@param f function
---@param ... any
---@return eddy.Task
function eddy.thread(f, ...) end

---@class eddy.ThreadPoolOptions
---@field workers? integer at most so many threads; one per core. They are started when they are needed, and kept
---@field init? function called in each thread before its first call; when it fails, the pool is broken
---@field queue? integer at most so many calls wait for a thread: then `submit` waits. Without it there is no limit

---A pool of threads, each with a Lua state of its own. Globals that a call sets are there for the next call in the
---same thread. A closing value: at the end of its scope it is closed; if the scope ends by an error, what it does is
---stopped.
---@param options? eddy.ThreadPoolOptions
---@return eddy.ThreadPool
function eddy.ThreadPool(options) end

---@class eddy.ThreadPool
local ThreadPool = {}

---Schedules f(...), which is packed at once, and returns a Task for it. Calls begin in the order in which they were
---submitted. Waits while the queue is full. Cancelling the Task stops the call, or keeps it from beginning.
---Raises RuntimeError when the pool is closed, BrokenWorkerError when `init` has failed.
---@async
---@param f function
---@param ... any
---@return eddy.Task
function ThreadPool:submit(f, ...) end

---f(item) for each item of the list; the first results in the order of the list, with `n` set. Items go to the threads
---in chunks: `chunk` at a time, or as many as make about four per thread. The first error stops the rest and is raised;
---what cannot be moved is named by its item: `map: item 7.socket: userdata cannot be moved`.
---@async
---@generic T, R
---@param f fun(item: T): R
---@param list T[]
---@param options? { chunk: integer }
---@return R[]
function ThreadPool:map(f, list, options) end

---Takes no more calls, and waits until those that were submitted have ended. Twice is fine. Cancelled, it stops them.
---Outside of a task it stops them, too, and leaves behind what has not ended after a second.
---@async
function ThreadPool:close() end

---@class eddy.ProcessPoolOptions
---@field workers? integer at most so many processes; one per core. They are started when they are needed, and kept
---@field init? function called in each process before its first call; when it fails, the pool is broken
---@field queue? integer at most so many calls wait for a process: then `submit` waits. Without it there is no limit
---@field command? string[] a program and arguments that run the Lua code which is put behind them, such as
---`{ "lua5.4", "-e" }`. Without it, this program if it is `eddy` or `lua`, else `eddy` from the PATH

---A pool of processes: the methods of ThreadPool, for calls that may crash, or need more memory than one process has.
---Channels and context variables do not go to other processes; what they print appears as ours does. A process that
---dies, by a signal, `os.exit` or `abort`, fails the call that it had with BrokenWorkerError, and is replaced. A
---cancelled call is stopped where it waits; one that computes has 0.2 s to notice, then its process is killed.
---
---Needs a running loop, and belongs to it. Its processes end with the pool, also when it is collected (with a
---ResourceWarning), when the run is interrupted, and within a second when this process is killed. They ignore SIGINT.
---@param options? eddy.ProcessPoolOptions
---@return eddy.ProcessPool
function eddy.ProcessPool(options) end

---@class eddy.ProcessPool
local ProcessPool = {}

---As ThreadPool:submit.
---Raises RuntimeError when the pool is closed, BrokenWorkerError when `init` has failed, each also while it waits; an
---error that names what cannot be moved. The Task raises OSError when no process can be started.
---@async
---@param f function
---@param ... any
---@return eddy.Task
function ProcessPool:submit(f, ...) end

---As ThreadPool:map.
---@async
---@generic T, R
---@param f fun(item: T): R
---@param list T[]
---@param options? { chunk: integer }
---@return R[]
function ProcessPool:map(f, list, options) end

---Takes no more calls, waits for those that were submitted, and ends the processes. Twice is fine. Cancelled, it stops
---them. Also what the end of its `<close>` scope does.
---@async
function ProcessPool:close() end

---A channel: messages between tasks, of one loop or of many, in any threads. At most `capacity` messages lie in it;
---with 0 (the default) each `send` waits for its `recv`. It goes to other threads as an argument, as an upvalue, or
---in a
---message; all sides have the same channel. Messages are copied, as the arguments of `to_thread` are.
---
---Those who wait are served first come, first served; each message wakes one of them. `for v in channel do` receives
---until it is closed. `#channel` is how many messages lie in it. `eddy.select` receives from channels.
---
---A loop that waits for a channel goes on as long as another thread has the channel; when nobody else has it any more,
---that is a deadlock.
---@param capacity? integer
---@return eddy.Channel
function eddy.Channel(capacity) end

---@class eddy.Channel
---@operator len: integer
---@operator call: any
local Channel = {}

---Sends a value; waits while there is no room. A send that is cancelled has not sent.
---Raises RuntimeError when the channel is closed, also while it waits; an error that names what cannot be moved.
---@async
---@param value any not nil
function Channel:send(value) end

---Receives the next value, waits for it; nil when the channel is closed and empty. Cancelling loses nothing.
---@async
---@return any
function Channel:recv() end

---Sends a value if that need not wait; whether it did.
---@param value any not nil
---@return boolean
function Channel:try_send(value) end

---The next value if there is one, else nil.
---@return any
function Channel:try_recv() end

---No more values: `send` raises, `recv` gets those that are there and then nil. Twice is fine.
function Channel:close() end

---@return boolean
function Channel:is_closed() end

---Schedules an awaitable on a loop of this state and returns its Task; cancelling either end cancels the other. (Other
---states have other loops: to reach them, send through a Channel, or eddy_post in C.)
---@param aw eddy.Awaitable
---@param loop eddy.Loop
---@return eddy.Task
function eddy.run_coroutine_threadsafe(aw, loop) end

---@class eddy.Loop
local Loop = {}

---As eddy.run_in_executor, but returns a Task at once; it does not wait for room in the queue.
---@param pool eddy.ThreadPool|eddy.ProcessPool|nil
---@param f function
---@param ... any
---@return eddy.Task
function Loop:run_in_executor(pool, f, ...) end

---to_thread and run_in_executor(nil, ...) use this pool from now on. Whoever made it closes it.
---@param pool eddy.ThreadPool|eddy.ProcessPool
function Loop:set_default_executor(pool) end

---Waits for the calls of the default pool; it takes no more.
---@async
function Loop:shutdown_default_executor() end

---call_soon. (From another thread: eddy_post in C, a Channel in Lua.)
---@param f function
---@param ... any
---@return eddy.Handle
function Loop:call_soon_threadsafe(f, ...) end
