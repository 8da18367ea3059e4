---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- sync.lua - what src/core/sync.c, barrier.c and queue.c give to Lua, for editors (LuaCATS) and for people.
-- The functions are C; nothing here runs. What is said once in core.lua holds here too.
--
-- Said once for all of them:
--   * Who waits first is served first. What need not wait does not suspend, works outside of tasks as well, and takes
--     no part in cancellations. release, set, notify, put_nowait, get_nowait, task_done never wait: callbacks may call
--     them.
--   * Cancelling a wait undoes it. A task that was given something and is cancelled before it runs passes that on: no
--     lock is held by nobody, no permit and no item is lost.
--   * They belong to no loop; but while tasks of one loop wait, waiting in another one raises RuntimeError.
--   * tostring shows the state: `<Lock locked, waiters:2>`.
-- luacheck: ignore 241

---@class eddy
local eddy = {}

-- --- Lock -----------------------------------------------------------------------------------------------------------

---A lock that is not locked. It has no owner: any task may release it, and whoever has it and acquires it again waits
---for ever.
---@return eddy.Lock
function eddy.Lock() end

---@class eddy.Lock
local Lock = {}

---Waits until the lock is free, and takes it.
---@async
---@return true
function Lock:acquire() end

---Gives it to the first task that waits, or makes it free. Until that task runs the lock is not locked, but nobody
---else can take it. Raises RuntimeError when it is not locked.
function Lock:release() end

---Whether it is locked.
---@return boolean
function Lock:locked() end

---Takes the lock for a scope: `local _ <close> = lock:hold()`. Waits like `acquire`; the end of the scope releases.
---@async
---@return eddy.Hold
function Lock:hold() end

---Calls `f(...)` while it holds the lock, and returns its results. Waits like `acquire`. Releases also when f raises
---an error or is cancelled; when the wait for the lock is cancelled, f is not called. f may wait.
---@async
---@param f fun(...): ...
---@param ... any Arguments of f.
---@return any ... results
function Lock:with(f, ...) end

---What `hold` returns: a closing value, of no other use.
---@class eddy.Hold

-- --- Semaphore ------------------------------------------------------------------------------------------------------

---Lets n tasks (1) in at a time. Raises "bad argument" when n is negative or no integer.
---@param n? integer How many permits there are.
---@return eddy.Semaphore
function eddy.Semaphore(n) end

---A Semaphore that never has more permits than n (1): a release too many raises RuntimeError.
---@param n? integer
---@return eddy.Semaphore
function eddy.BoundedSemaphore(n) end

---@class eddy.Semaphore
local Semaphore = {}

---Waits for a permit, and takes it.
---@async
---@return true
function Semaphore:acquire() end

---Gives a permit to the first task that waits; if none does, there is one more.
function Semaphore:release() end

---Whether an acquire would wait: no permit is left, or others wait already.
---@return boolean
function Semaphore:locked() end

---Takes a permit for a scope, as `Lock:hold`.
---@async
---@return eddy.Hold
function Semaphore:hold() end

---Calls `f(...)` with a permit, as `Lock:with`.
---@async
---@param f fun(...): ...
---@param ... any
---@return any ... results
function Semaphore:with(f, ...) end

-- --- Event ----------------------------------------------------------------------------------------------------------

---A flag that tasks can wait for; not set.
---@return eddy.Event
function eddy.Event() end

---@class eddy.Event
local Event = {}

---Waits until it is set.
---@async
---@return true
function Event:wait() end

---Sets it and wakes all who wait, even if `clear` follows at once.
function Event:set() end

---From now on waiting waits.
function Event:clear() end

---@return boolean
function Event:is_set() end

-- --- Condition ------------------------------------------------------------------------------------------------------

---News about something that a lock protects. Raises "bad argument" for anything but a Lock.
---@param lock? eddy.Lock A new one, if it is not given; several Conditions may share one.
---@return eddy.Condition
function eddy.Condition(lock) end

---Has the methods of its lock, too.
---@class eddy.Condition: eddy.Lock
local Condition = {}

---Releases the lock, waits for a notification, and takes the lock again. Ask afterwards whether what you wait for is
---true: it may not be, or not any more.
---
---It never returns or raises without the lock. Cancelling ends the wait for the notification; while it waits for the
---lock, cancellations wait too, and the last one is raised then. A notification that has reached a task which is
---cancelled goes on to the next one.
---
---Raises RuntimeError when the lock is not locked.
---@async
---@return true
function Condition:wait() end

---Waits, as `wait` does, until `predicate()` is true; it is called with the lock held, the first time at once. Returns
---what it returned. It may wait.
---@async
---@generic T
---@param predicate fun(): T, ...
---@return T, any ...
function Condition:wait_for(predicate) end

---Wakes n tasks (1), those who have waited longest. Raises RuntimeError when the lock is not locked.
---@param n? integer
function Condition:notify(n) end

---Wakes all. Raises RuntimeError when the lock is not locked.
function Condition:notify_all() end

-- --- Barrier --------------------------------------------------------------------------------------------------------

---Makes tasks wait until `parties` of them are there. Raises "bad argument" for less than 1.
---@param parties integer
---@return eddy.Barrier
function eddy.Barrier(parties) end

---@class eddy.Barrier
---@field parties integer How many must come.
---@field n_waiting integer How many are there.
---@field broken boolean Whether it was aborted, and not yet reset.
local Barrier = {}

---Waits until all have come; then it can be used again. Returns a number that no other task of the round gets, in the
---order in which they came: 0 to parties - 1. Who comes before the last ones have left waits for the next round.
---
---Cancelling takes the task out of the barrier; the others go on waiting.
---Raises BrokenBarrierError when the barrier is or was aborted, or is reset while the task waits.
---@async
---@return integer index
function Barrier:wait() end

---Raises BrokenBarrierError in all tasks that wait; when they have left, the barrier is as new.
function Barrier:reset() end

---Raises BrokenBarrierError in all tasks that wait and in all that come, until `reset`.
function Barrier:abort() end

-- --- Queues ---------------------------------------------------------------------------------------------------------

---A queue: first in, first out.
---@param maxsize? integer How many items it holds at most; 0, less, or nothing: any number.
---@return eddy.Queue
function eddy.Queue(maxsize) end

---A queue that gives the item which was put last.
---@param maxsize? integer
---@return eddy.Queue
function eddy.LifoQueue(maxsize) end

---@class eddy.PriorityQueueOptions
---@field key? fun(item: any): any What to compare instead of the item. Called once for each item, in `put`.

---A queue that gives the least item, by `<` of the items or of their keys; of equal ones the one that was put first.
---
---An item that cannot be compared with those that it meets makes `put` raise, and is not put. A comparison that fails
---in `get` raises there, and the item stays. Comparisons and the key function cannot wait; a comparison that puts to
---the same queue or gets from it makes the `put` or `get` that compares raise RuntimeError.
---@param maxsize? integer
---@param options? eddy.PriorityQueueOptions
---@return eddy.Queue
function eddy.PriorityQueue(maxsize, options) end

---@class eddy.Queue
---@field maxsize integer As it was given; 0 if it was not.
local Queue = {}

---Puts an item, any value but nil ("bad argument"). Waits while the queue is full.
---
---Cancelling: the item is not put. Raises QueueShutDown when the queue is shut down, also while it waits.
---@async
---@param item any
function Queue:put(item) end

---Takes the next item. Waits while the queue is empty. An item that is there is taken at once, even if a task that
---waits has been told of it; that task keeps its place.
---
---Cancelling: the item stays in the queue. Raises QueueShutDown when the queue is shut down and empty.
---@async
---@return any item
function Queue:get() end

---Puts an item. Raises QueueFull when the queue is full, QueueShutDown when it is shut down.
---@param item any
function Queue:put_nowait(item) end

---Takes the next item. Raises QueueEmpty when there is none, QueueShutDown when none will come.
---@return any item
function Queue:get_nowait() end

---`for item in queue:items() do`: gets items until the queue is shut down and empty. Waits between them.
---@return fun(queue: eddy.Queue): any next
---@return eddy.Queue
function Queue:items() end

---Says that an item which was taken is done. Raises RuntimeError when all items that were put are done already.
function Queue:task_done() end

---Waits until every item that was put is done. Never raises because of a shutdown.
---@async
function Queue:join() end

---Ends the queue: puts raise QueueShutDown from now on, gets take what is left and raise it then. Twice is fine.
---@param immediate? boolean Drops what is left, and counts it as done.
function Queue:shutdown(immediate) end

---How many items are there.
---@return integer
function Queue:qsize() end

---@return boolean
function Queue:empty() end

---Whether there are `maxsize` items.
---@return boolean
function Queue:full() end

---Waits for the first of several things and takes nothing from the others: gets from queues, futures and tasks, streams
---that can be read (their bytes stay where they are), signals, and numbers, which are times in seconds from now. What
---is ready already is taken at once, the first in order. Cancelling it takes nothing from anybody.
---@async
---@param sources (eddy.Queue|eddy.Future|eddy.Stream|eddy.Signals|number)[]
---@return integer index of the source
---@return any ... the item, the results of the future, the name of the signal, or the stream
---Raises what the future raises; QueueShutDown for a queue that was shut down and is empty.
function eddy.select(sources) end

return eddy
