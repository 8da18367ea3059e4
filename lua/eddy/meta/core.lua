---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- core.lua - what src/core and src/base give to Lua, for editors (LuaCATS) and for people: types, units, what waits,
-- what is raised, what cancelling does. The functions are C; nothing here runs.
--
-- Said once for all of them:
--   * A function marked @async may suspend the task that calls it. No keyword is needed to call it. Outside of a task,
--     in a callback of the loop, and where Lua cannot suspend (table.sort's comparator, a __gc, a coroutine resumed by
--     Lua's own coroutine.resume) it raises a RuntimeError that says so.
--   * "Cancelling" means that somebody calls cancel on the task that waits, or its time runs out. The wait is undone
--     and raises a CancelledError in the task, unless the text says something else.
--   * Times are seconds, as floats. Negative is 0, math.huge is for ever, NaN is a bad argument.
--   * A wrong argument is Lua's "bad argument #1 to 'f' (...)", raised at the caller, before anything has happened.
-- luacheck: ignore 241

---@class eddy
---@field _VERSION string The version, such as "0.1.0".
---@field ALL_COMPLETED "ALL_COMPLETED" For `return_when` of `eddy.wait`.
---@field FIRST_COMPLETED "FIRST_COMPLETED" For `return_when` of `eddy.wait`.
---@field FIRST_EXCEPTION "FIRST_EXCEPTION" For `return_when` of `eddy.wait`.
---@field testing table `require "eddy.testing"`, loaded when it is first asked for.
---@field busted table `require "eddy.busted"`, loaded when it is first asked for.
local eddy = {}

---A length of time, or a moment of a loop's clock, in seconds.
---@alias eddy.Seconds number

---What can be waited for: a Task, a Future, a Coroutine, an object whose metatable has `__await`, or a function, which
---is called without arguments in a new task.
---@alias eddy.Awaitable eddy.Future|eddy.Coroutine|eddy.HasAwait|fun(): ...

---An object whose metatable has the field `__await`: a function that is called with the object, in the task that
---awaits it. It may wait. Its results are the results of the await.
---@class eddy.HasAwait

-- --- Running --------------------------------------------------------------------------------------------------------

---Opens a loop, runs `main(...)` in it as the task 'main', ends the tasks that are left, closes the loop and returns
---what main returned.
---
---Tasks that are left when main has ended are cancelled once, in the order of their creation, and awaited; so are
---those that they make meanwhile. While some are still there a warning names them, the first time after 5 s.
---
---The first SIGINT cancels main. If main ends cancelled by it, `run` raises Interrupted; if main catches it and ends
---normally, `run` returns normally. A second SIGINT raises Interrupted at once.
---
---Raises what main raises, with its traceback and the chain of awaits on stderr when no pcall is around `run`;
---DeadlockError when no task can ever run again; RuntimeError inside a running loop. (In the `eddy` command `run`
---takes the place of the command's own loop, as long as the script has not waited or made a task.)
---@param main eddy.Awaitable
---@param ... any Arguments of main, if that is a function.
---@return any ... results
function eddy.run(main, ...) end

---@class eddy.RunnerOptions
---@field debug? boolean The loop's debug flag. Default: whether the environment has EDDY_DEBUG=1.
---@field clock? "real"|"virtual" Virtual: time starts at 0 and jumps to the next timer when nothing is ready. "real".
---@field seed? integer Not 0: shuffles the order of the tasks that are ready, the same way for the same seed. 0.
---@field shutdown_timeout? eddy.Seconds Tasks that go on although they were cancelled because the loop ends are
---cancelled again after this time, and again after each such time. 0: never.
---@field exception_handler? eddy.ExceptionHandler See `Loop:set_exception_handler`.
---@field loop_factory? fun(): eddy.Loop Makes the loop; the options that a loop has are not used then.
---@field slow_callback_duration? eddy.Seconds In debug mode, what runs for so long without waiting is told of. 0.1.
---@field preempt? eddy.Seconds A task that has computed for so long gives way to the others, in the middle of its Lua
---code: whatever it shares with them may change there. Not inside a C function that cannot be suspended, a finalizer, a
---coroutine of Lua's own `coroutine.resume`, nor where a debug hook of the script is set. A cancellation is delivered
---at the next wait, as ever. Lua code takes about 2.5 times as long. 0: after every 100 instructions. Never.
---@field name? string Of the Runner's main tasks, and shown in its text and its loop's. "main".

---Makes a Runner: a loop on which `run` may be called many times. The loop is opened at the first use. Close it, or
---make it a `<close>` variable.
---
---Raises "bad argument" for an option that does not exist.
---@param options? eddy.RunnerOptions
---@return eddy.Runner
function eddy.Runner(options) end

---@class eddy.Runner
local Runner = {}

---Runs `main(...)` to its end on the Runner's loop, as `eddy.run` does. Other tasks stay, and go on at the next `run`.
---
---Raises what main raises; Interrupted and DeadlockError as `eddy.run`; RuntimeError when the Runner is closed, or
---inside a running loop.
---@param main eddy.Awaitable
---@param ... any Arguments of main, if that is a function.
---@return any ... results
function Runner:run(main, ...) end

---The loop, opened if need be. Raises RuntimeError when the Runner is closed.
---@return eddy.Loop
function Runner:get_loop() end

---Ends the tasks that are left, as the end of `eddy.run`, and closes the loop. Twice is fine.
---
---Raises RuntimeError while the loop runs or from inside another one; Interrupted when a SIGINT has cut it short.
function Runner:close() end

---Opens a loop to drive by hand. Options as for `eddy.Runner`; those about running are not used.
---@param options? eddy.RunnerOptions
---@return eddy.Loop
function eddy.new_event_loop(options) end

---The loop that runs now. Raises RuntimeError when none does.
---@return eddy.Loop
function eddy.get_running_loop() end

---Seconds of a monotonic clock: the running loop's (which may be virtual), or the machine's where no loop runs.
---@return eddy.Seconds
function eddy.time() end

-- --- Tasks ----------------------------------------------------------------------------------------------------------

---Schedules `f(...)` as a task. It starts at the next turn of the loop, first come, first served, and the loop holds
---it until its end. Nothing of it runs inside this call.
---
---A Coroutine, and an object with `__await`, is awaited in the new task; what follows it is not used.
---Raises RuntimeError when no loop runs; "bad argument" for a Task or Future, which runs already.
---@param f fun(...): ...|eddy.Coroutine|eddy.HasAwait
---@param ... any Arguments of f.
---@return eddy.Task
function eddy.create_task(f, ...) end

---The task that runs now; nil outside of one, in a callback of the loop for instance.
---@return eddy.Task?
function eddy.current_task() end

---The tasks that have not ended, in the order of their creation. Raises RuntimeError when no loop is given or runs.
---@param loop? eddy.Loop Default: the running one.
---@return eddy.Task[]
function eddy.all_tasks(loop) end

---Suspends the task for `delay` seconds, then returns what follows. `sleep(0)` gives way once: every task that is
---ready has its turn first.
---
---Cancelling removes the timer.
---@async
---@param delay eddy.Seconds
---@param ... any
---@return any ... what was given after the delay
function eddy.sleep(delay, ...) end

---Waits for x and returns all its results, or raises its error. A Coroutine runs in the calling task. What is no
---awaitable, and a function too, is returned as it is with what follows it, so that `await(eddy.sleep(1))` is right.
---What is done already is returned without a suspension.
---
---Raises what x raises, the same value; RuntimeError for a Coroutine that was awaited before, for the task itself and
---for a future of another loop; "bad argument" for an async function that was not called.
---Cancelling cancels the Task or Future that is awaited, and waits on until that has ended: it may refuse.
---@async
---@param x any
---@param ... any
---@return any ... results
function eddy.await(x, ...) end

---Makes an async function of f: calling that runs nothing and returns a Coroutine.
---@param f fun(...): ...
---@return fun(...): eddy.Coroutine
function eddy.async(f) end

---Whether v is an async function, one that `eddy.async` has made.
---@param v any
---@return boolean
function eddy.iscoroutinefunction(v) end

---Whether v is a Coroutine.
---@param v any
---@return boolean
function eddy.iscoroutine(v) end

-- --- Waiting for several --------------------------------------------------------------------------------------------

---Waits for all of them and lists their first results in the order of the arguments. Functions become tasks: the same
---function named twice is called twice. A Task, Future or Coroutine named twice is one.
---
---Without a suspension where all are done already. It waits itself; in the background it is
---`eddy.create_task(eddy.gather, ...)`.
---
---Raises the first error as soon as it is there; the others go on, and nobody is told of their later errors.
---With `return_exceptions` errors stand in the list instead, CancelledError too; an error that is not one of eddy's is
---wrapped in an eddy.Error whose `value` it is, so that `eddy.is_error` tells errors from results.
---"bad argument" when there is no argument at all, or for one that is no awaitable. `gather({})` is the empty list.
---Cancelling cancels all that are pending, waits until they have ended, and raises then: the error of the first that
---has failed meanwhile, else CancelledError.
---@async
---@param ... eddy.Awaitable
---@return table results With `n`, their number.
---@overload fun(list: eddy.Awaitable[], options?: { return_exceptions?: boolean }): table
function eddy.gather(...) end

---Calls `f(item)` for each item of the list, at most `concurrency` of them at a time, and lists the first results in
---order. Without the option all are started at once.
---
---Raises the first error, after the other calls were cancelled and have ended.
---Cancelling cancels the calls under way, waits for their end, and raises.
---@async
---@param f fun(item: any): any
---@param list table
---@param options? { concurrency?: integer }
---@return table results With `n`, their number.
function eddy.map(f, list, options) end

---Waits for the tasks and returns those that are done and those that are not, each in the order given. Functions and
---Coroutines become tasks and come out as such; one that is named twice counts once. Always suspends, if only for one
---turn.
---
---Never raises for what the tasks did, nor for the timeout, and cancels nothing. "bad argument" for an empty list.
---Cancelling leaves the tasks alone.
---@async
---@param list eddy.Awaitable[]
---@param options? eddy.WaitOptions
---@return eddy.Future[] done
---@return eddy.Future[] pending
function eddy.wait(list, options) end

---@class eddy.WaitOptions
---@field timeout? eddy.Seconds Default: for ever.
---@field return_when? "ALL_COMPLETED"|"FIRST_COMPLETED"|"FIRST_EXCEPTION" Default: "ALL_COMPLETED". "FIRST_EXCEPTION"
---does not count a cancelled one.

---Waits for aw, but no longer than `timeout`. Then it cancels aw, waits until that has ended, and raises TimeoutError.
---A function or Coroutine runs in the calling task.
---
---If aw swallows the cancellation and returns, that is what `wait_for` returns. A timeout of 0 or less never starts
---what has not started; a future that is done gives its result all the same.
---Raises what aw raises; TimeoutError.
---Cancelling cancels what aw waits for, as `await` does.
---@async
---@param aw eddy.Awaitable
---@param timeout? eddy.Seconds nil or math.huge: no limit.
---@param ... any Arguments of aw, if that is a function.
---@return any ... results
function eddy.wait_for(aw, timeout, ...) end

---An iterator over the tasks in the order in which they finish; for functions and Coroutines it gives the tasks that
---run them. Leave the loop by `break` and go on with the same iterator later, if you like.
---
---The step that waits longer than `timeout`, counted from this call on, raises TimeoutError. Nothing is cancelled.
---RuntimeError when a second task waits for the next one meanwhile.
---Cancelling a step leaves the tasks alone.
---@param list eddy.Awaitable[]
---@param options? { timeout?: eddy.Seconds }
---@return fun(): eddy.Future? next Waits (it is @async).
function eddy.as_completed(list, options) end

---Waits for aw; when the waiting task is cancelled, aw goes on.
---
---Raises what aw raises, CancelledError too when somebody else has cancelled aw.
---Cancelling ends the wait at once and leaves aw alone.
---@async
---@param aw eddy.Awaitable
---@return any ... results
function eddy.shield(aw) end

-- --- Timeouts -------------------------------------------------------------------------------------------------------

---A timeout scope: `local t <close> = eddy.timeout(5)`. When the time is over the task is cancelled, and at the end of
---the scope that CancelledError becomes a TimeoutError (its `cause` is the CancelledError). With a function: runs
---`f(...)` in such a scope and returns its results.
---
---Nothing is raised by a scope whose body never waits, or that swallows the cancellation; `t:expired()` tells. When
---somebody else has cancelled the task too, CancelledError passes. A scope that is not a `<close>` variable cancels the
---task all the same; a warning tells of it when the task ends.
---Raises RuntimeError outside of a task.
---@async
---@param seconds? eddy.Seconds nil: no deadline.
---@return eddy.Timeout scope
---@overload fun(seconds: eddy.Seconds?, f: (fun(...): ...), ...: any): ...
function eddy.timeout(seconds) end

---The same with a moment of the loop's clock instead of a length of time.
---@async
---@param when? eddy.Seconds nil: no deadline.
---@return eddy.Timeout scope
---@overload fun(when: eddy.Seconds?, f: (fun(...): ...), ...: any): ...
function eddy.timeout_at(when) end

---Runs `f(...)` for at most `seconds`. Returns true and its results; or false when time ran out, after f has unwound.
---
---Raises what f raises.
---@async
---@param seconds? eddy.Seconds nil: no limit.
---@param f fun(...): ...
---@param ... any
---@return boolean in_time
---@return any ... results
function eddy.move_on_after(seconds, f, ...) end

---A scope with a deadline, which `<close>` ends.
---@class eddy.Timeout
local Timeout = {}

---The deadline, a moment of the loop's clock; nil: none.
---@return eddy.Seconds?
function Timeout:when() end

---Another deadline, a moment of the loop's clock; nil: none.
---Raises RuntimeError when the scope has expired or ended.
---@param when? eddy.Seconds
function Timeout:reschedule(when) end

---Whether time has run out. Also to be asked after the scope's end.
---@return boolean
function Timeout:expired() end

-- --- Groups ---------------------------------------------------------------------------------------------------------

---A group of tasks that none of them outlives: `local tg <close> = eddy.TaskGroup()`. The end of the scope waits for
---all children. With a function: runs `f(tg)`, waits for the children, and returns what f returned.
---
---When a child fails, the others and the body are cancelled and awaited, and an ExceptionGroup of all errors is
---raised, the children's in the order of their failing, the body's last. A child that is cancelled is no failure. When
---the body fails, the children are cancelled and awaited first.
---Raises RuntimeError outside of a task, and when another task ends the scope than the one that has begun it.
---Cancelling at the end of the scope cancels the children and waits on: no child is left behind.
---@async
---@return eddy.TaskGroup
---@overload fun(f: fun(tg: eddy.TaskGroup): ...): ...
function eddy.TaskGroup() end

---@class eddy.TaskGroup
local TaskGroup = {}

---Like `eddy.create_task`, in the group. Works until the end of the scope has awaited all, also from a child.
---Raises RuntimeError when the group is shutting down or finished.
---@param f fun(...): ...|eddy.Coroutine|eddy.HasAwait
---@param ... any
---@return eddy.Task
function TaskGroup:create_task(f, ...) end

---Runs `f(started, ...)` as a child and waits until it calls `started(...)`; returns what it gives to that. From then
---on it is a child like any other.
---
---Raises what f raises before it has called `started`; RuntimeError when it returns without, when it calls it twice,
---and when the group takes no children.
---Cancelling before that cancels the child and waits for its end.
---@async
---@param f fun(started: fun(...: any), ...): ...
---@param ... any
---@return any ... what `started` was given
function TaskGroup:start(f, ...) end

---Ends the group: children and body are cancelled. No error follows from it: the function form returns nothing then;
---in the scope form a body that waits leaves with CancelledError. Twice, or after the end, is fine.
function TaskGroup:cancel() end

-- --- Futures and tasks ----------------------------------------------------------------------------------------------

---A result that comes later: any number of values, or an error. `loop:create_future()` makes one.
---@class eddy.Future
local Future = {}

---@return boolean
function Future:done() end

---@return boolean
function Future:cancelled() end

---Its results, or raises its error. Raises InvalidStateError when it is not done.
---@return any ...
function Future:result() end

---Its error; nil when it has ended well. Raises InvalidStateError when it is not done, CancelledError when it was
---cancelled.
---@return any
function Future:exception() end

---Settles it with these results. Raises InvalidStateError when it is done, RuntimeError for a Task.
---@param ... any
function Future:set_result(...) end

---Settles it with this error, which may be any value. Raises as `set_result`.
---@param err any
function Future:set_exception(err) end

---Cancels a future at once. For a Task it is a request: `cancelling()` counts it, and the task gets CancelledError at
---its next or current wait. What it waits for by `await` or `gather` is cancelled in its place, and the task hears
---when that has ended. A task that has not started never does.
---@param message? any The `message` of the CancelledError.
---@return boolean asked false: it was done already.
function Future:cancel(message) end

---Calls f(future) when it is done, from the loop, never from inside this call; in the order in which they were added.
---The future is kept alive until then. What f raises goes to the exception handler.
---Raises RuntimeError when the loop is closed.
---@param f fun(future: eddy.Future)
function Future:add_done_callback(f) end

---@param f fun(future: eddy.Future)
---@return integer removed How many there were.
function Future:remove_done_callback(f) end

---Its loop; nil when that was closed.
---@return eddy.Loop?
function Future:get_loop() end

---The same as `eddy.await(future)`.
---@async
---@return any ... results
function Future:await() end

---A function that runs in the loop, with its future. Its text tells its name, its state, and what it waits in and
---where: `<Task 'fetch' pending, waiting in sleep at app.lua:12>`.
---@class eddy.Task: eddy.Future
local Task = {}

---Its name; "Task-N" until it was set; "main" for what `run` runs.
---@return string
function Task:get_name() end

---@param name string
---@return eddy.Task self
function Task:set_name(name) end

---How many cancellations were asked for and not taken back.
---@return integer
function Task:cancelling() end

---Takes one cancellation back. At 0 one that was not delivered yet is dropped.
---@return integer left How many remain.
function Task:uncancel() end

---The Coroutine that it runs; nil when it was made from a function.
---@return eddy.Coroutine?
function Task:get_coro() end

---The context that it runs in: see context.lua.
---@return eddy.Context
function Task:get_context() end

---Where it is: a list of tables with `short_src`, `currentline`, `name`, … as `debug.getinfo` has them, innermost
---first. Lua functions only. Empty before its start and after its end.
---@return table[]
function Task:get_stack() end

---Writes `traceback()` to stderr.
function Task:print_stack() end

---Of a failed task: the text of its error, the traceback of where it was raised, and the chain of awaits that it has
---come through. Of one that lives: where it is now. Else "".
---@return string
function Task:traceback() end

---What a call of an async function makes. It runs when it is awaited, or given to `create_task`, `gather`, `wait_for`,
---`run`, …; once. One that is never awaited is warned of when it is collected.
---@class eddy.Coroutine
local Coroutine = {}

---The same as `eddy.await(coroutine)`.
---@async
---@return any ... results
function Coroutine:await() end

---Steps it by hand, without a loop: runs it until it yields (coroutine.yield, or sleep(0)) or ends. What is sent is
---what its yield returns; nothing can be sent to one that has not started.
---
---Raises what its function raises; RuntimeError when it has ended, runs, or was given to a task.
---@param ... any
---@return boolean suspended true: what it has yielded follows; false: its results.
---@return any ...
function Coroutine:send(...) end

---Ends it; one that `send` has started has its `<close>` variables closed. Those cannot wait.
---Raises what they raise; RuntimeError when it runs, or was given to a task.
function Coroutine:close() end

-- --- Generators and coroutines --------------------------------------------------------------------------------------

---Makes a generator function. A call of it runs nothing and returns what a generic `for` wants: the Generator, and the
---same as closing value, so that leaving the loop early unwinds the body. The body gets `yield` first, then the
---arguments of the call. It may wait between two yields. `yield(...)` gives its values to the loop (a bare `yield()`
---gives true) and returns what `asend` was given, nothing after other steps.
---
---What the body raises is raised in the loop. Generators that were begun and left open are closed at the end of `run`.
---@param body fun(yield: (fun(...: any): ...), ...)
---@return fun(...): eddy.Generator, nil, nil, eddy.Generator
function eddy.generator(body) end

---@class eddy.Generator
---@operator call: any
local Generator = {}

---The next values; nil at the end. Calling the Generator is the same.
---Raises what the body raises; RuntimeError when it runs already.
---@async
---@return any ...
function Generator:next() end

---The same, and the values are what the body's `yield` returns.
---Raises RuntimeError for values when the body has not begun.
---@async
---@param ... any
---@return any ...
function Generator:asend(...) end

---Ends it: CancelledError is raised in the body where it stands, so that its `<close>` variables are closed; they may
---wait. Twice is fine.
---Raises what the body raises meanwhile; RuntimeError when the body yields instead of ending, and when it runs.
---@async
function Generator:aclose() end

---Lua's coroutine library once more, with functions through which waiting passes: a coroutine that these have resumed
---inside a task may wait, and the task waits. `create`, `wrap` and `status`, `running`, `isyieldable` are as Lua's;
---`resume`, what `wrap` returns and `close` may wait. The `eddy` command has it as the global `coroutine`.
---
---`yield` in the task itself, outside of a coroutine, raises RuntimeError: nobody would ever resume it.
---@class eddy.coroutine: coroutinelib
eddy.coroutine = {}

---Makes these functions the global `coroutine`, and `require "coroutine"`.
function eddy.coroutine.install() end

---Sorts a list in place, as table.sort does; `before` may wait. Equal elements keep their order. The list is written
---when all is compared: if `before` raises, or the task is cancelled meanwhile, it is as it was.
---@async
---@generic T
---@param list T[]
---@param before? fun(a: T, b: T): boolean
function eddy.sort(list, before) end

---string.gsub, where `repl`, when it is a function, or the __index of a table, may wait.
---@async
---@param s string
---@param pattern string
---@param repl string|table|fun(...: string): any
---@param max? integer
---@return string result
---@return integer count
function eddy.gsub(s, pattern, repl, max) end

---Lua's require, where the main chunk of the module may wait. A second task that requires it meanwhile waits for it.
---@async
---@param name string
---@return any module
---@return any loader_data
function eddy.require(name) end

-- Locks and queues are in sync.lua, contexts in context.lua, streams and files in io.lua.

-- --- The loop -------------------------------------------------------------------------------------------------------

---@alias eddy.ExceptionHandler fun(loop: eddy.Loop, context: eddy.ExceptionContext)

---What nobody else has taken: an error of a callback, or of a task or future that nobody has looked at.
---@class eddy.ExceptionContext
---@field message string
---@field exception? any The error.
---@field traceback? string Of a callback's error.
---@field task? eddy.Task
---@field future? eddy.Future
---@field handle? eddy.Handle

---An event loop. `eddy.run` and `eddy.Runner` make one; `eddy.new_event_loop` makes one to drive by hand. All methods
---but `is_running`, `is_closed` and `close` raise RuntimeError when it is closed.
---@class eddy.Loop
local Loop = {}

---The loop's clock.
---@return eddy.Seconds
function Loop:time() end

---Calls f(...) at the next turn. A callback cannot wait; what it raises goes to the exception handler.
---@param f fun(...)
---@param ... any
---@return eddy.Handle
function Loop:call_soon(f, ...) end

---@param delay eddy.Seconds
---@param f fun(...)
---@param ... any
---@return eddy.Handle
function Loop:call_later(delay, f, ...) end

---@param when eddy.Seconds A moment of the loop's clock.
---@param f fun(...)
---@param ... any
---@return eddy.Handle
function Loop:call_at(when, f, ...) end

---@return eddy.Future
function Loop:create_future() end

---Like `eddy.create_task`, also while the loop does not run.
---@param f fun(...): ...|eddy.Coroutine|eddy.HasAwait
---@param ... any
---@return eddy.Task
function Loop:create_task(f, ...) end

---Turns the loop until `stop` is called. Raises RuntimeError when a loop runs; Interrupted for a SIGINT.
function Loop:run_forever() end

---Turns the loop until aw is done and returns its results.
---Raises what aw raises; RuntimeError when a loop runs or this one is stopped first; DeadlockError; Interrupted.
---@param aw eddy.Awaitable
---@return any ... results
function Loop:run_until_complete(aw) end

---Lets `run_forever` or `run_until_complete` end after this turn.
function Loop:stop() end

---Ends the tasks that are left, as the end of `eddy.run` does, and closes the loop. Twice is fine.
---Raises RuntimeError while a loop runs.
function Loop:close() end

---@return boolean
function Loop:is_running() end

---@return boolean
function Loop:is_closed() end

---@return boolean
function Loop:get_debug() end

---@param debug boolean
function Loop:set_debug(debug) end

---The handler gets what nobody else has taken. nil: the default one, which writes to stderr. If the handler fails
---itself, that is written to stderr, and the default one gets the context.
---@param handler? eddy.ExceptionHandler
function Loop:set_exception_handler(handler) end

---@return eddy.ExceptionHandler?
function Loop:get_exception_handler() end

---@param context eddy.ExceptionContext
function Loop:call_exception_handler(context) end

---Lets `factory(loop, f, ...)` make the tasks of this loop: it is called for each, with the function or Coroutine and
---the arguments, and returns the Task. What it calls meanwhile makes tasks the usual way. nil: the usual way again.
---@param factory? fun(loop: eddy.Loop, f: function|eddy.Coroutine, ...: any): eddy.Task
function Loop:set_task_factory(factory) end

---@return function? factory
function Loop:get_task_factory() end

---Closes the generators that were begun and left open, and waits for that.
---@async
function Loop:shutdown_asyncgens() end

---A call that was asked for with `call_soon`, `call_later` or `call_at`.
---@class eddy.Handle
local Handle = {}

---It will not be called. Twice, or too late, is fine.
function Handle:cancel() end

---@return boolean
function Handle:cancelled() end

---The moment of the loop's clock at which it is due; nil when it does not wait for one.
---@return eddy.Seconds?
function Handle:when() end

-- --- Errors ---------------------------------------------------------------------------------------------------------

---pcall that lets CancelledError through. (Lua's own pcall catches it: then the code has taken the cancellation.)
---@async
---@param f fun(...): ...
---@param ... any
---@return boolean ok
---@return any ... results, or the error
function eddy.pcall(f, ...) end

---Whether v is one of eddy's errors; with a class, whether it is of that class or of one below it.
---@param v any
---@param class? eddy.Error
---@return boolean
function eddy.is_error(v, class) end

---The class of all errors that eddy makes. A class is called to make an error, `error(eddy.TimeoutError("too slow"))`;
---`tostring` of that is "TimeoutError: too slow". An error is a table and may get any fields.
---@class eddy.Error
---@field message any What the class was called with.
---@field cause? any Of a TimeoutError: the CancelledError that it has become of.
---@field value? any In a list of `gather`: the error itself, when that is none of eddy's.
---@overload fun(message?: any): eddy.Error
eddy.Error = {}

---Whether it is of that class or of one below it.
---@param class eddy.Error
---@return boolean
function eddy.Error:is(class) end

---Makes a class below this one: `local NotFound = eddy.Error:extend("NotFound")`.
---@param name string
---@return eddy.Error
function eddy.Error:extend(name) end

---Raised in a task that was asked to stop, and where such a task is awaited. Catch it to clean up, and raise it again.
---@class eddy.CancelledError: eddy.Error
---@overload fun(message?: any): eddy.CancelledError
eddy.CancelledError = {}

---Time has run out: `wait_for`, `timeout`, `as_completed`.
---@class eddy.TimeoutError: eddy.Error
---@overload fun(message?: any): eddy.TimeoutError
eddy.TimeoutError = {}

---A future is not done yet, or done already.
---@class eddy.InvalidStateError: eddy.Error
---@overload fun(message?: any): eddy.InvalidStateError
eddy.InvalidStateError = {}

---A mistake in the use of the runtime: waiting outside of a task, a loop inside a loop, a closed loop.
---@class eddy.RuntimeError: eddy.Error
---@overload fun(message?: any): eddy.RuntimeError
eddy.RuntimeError = {}

---@class eddy.QueueEmpty: eddy.Error
---@overload fun(message?: any): eddy.QueueEmpty
eddy.QueueEmpty = {}

---@class eddy.QueueFull: eddy.Error
---@overload fun(message?: any): eddy.QueueFull
eddy.QueueFull = {}

---@class eddy.QueueShutDown: eddy.Error
---@overload fun(message?: any): eddy.QueueShutDown
eddy.QueueShutDown = {}

---@class eddy.BrokenBarrierError: eddy.RuntimeError
---@overload fun(message?: any): eddy.BrokenBarrierError
eddy.BrokenBarrierError = {}

---A stream has ended before the bytes were there that `read_exactly` or `read_until` wanted.
---@class eddy.IncompleteReadError: eddy.Error
---@field partial string What was there.
---@field expected? integer How many bytes were wanted; nil: as many as there are up to a separator.
---@overload fun(fields: table|any): eddy.IncompleteReadError
eddy.IncompleteReadError = {}

---A line, or what precedes a separator, is longer than the stream's limit.
---@class eddy.LimitOverrunError: eddy.Error
---@field consumed integer
---@overload fun(fields: table|any): eddy.LimitOverrunError
eddy.LimitOverrunError = {}

---@class eddy.BrokenWorkerError: eddy.Error
---@overload fun(message?: any): eddy.BrokenWorkerError
eddy.BrokenWorkerError = {}

---A SIGINT (Ctrl-C) has ended the run.
---@class eddy.Interrupted: eddy.Error
---@overload fun(message?: any): eddy.Interrupted
eddy.Interrupted = {}

---Every task waits, and nothing can ever wake one. The text lists them all, what they wait in and where.
---@class eddy.DeadlockError: eddy.Error
---@overload fun(message?: any): eddy.DeadlockError
eddy.DeadlockError = {}

---The operating system has refused something.
---@class eddy.OSError: eddy.Error
---@field code string Such as "ENOENT".
---@field errno integer
---@field syscall string The operation, such as "open".
---@field path? string What it was done to.
---@field other_path? string The second path, of rename, link, symlink and copy.
---@field address? string What it was done to.
---@overload fun(fields: table|any): eddy.OSError
eddy.OSError = {}

---Several errors at once: what a TaskGroup raises. Its text lists them.
---@class eddy.ExceptionGroup: eddy.Error
---@field errors any[]
---@overload fun(message: string, errors: any[]): eddy.ExceptionGroup
eddy.ExceptionGroup = {}

---Parts the group: what matches, and the rest, as groups of the same shape; nil for an empty half. The group itself is
---tried first.
---@param by eddy.Error|fun(err: any): boolean A class or a predicate.
---@return eddy.ExceptionGroup? matching
---@return eddy.ExceptionGroup? rest
function eddy.ExceptionGroup:split(by) end

---The first half of `split`.
---@param by eddy.Error|fun(err: any): boolean
---@return eddy.ExceptionGroup? matching
function eddy.ExceptionGroup:subgroup(by) end

-- --- The rest -------------------------------------------------------------------------------------------------------

---Wraps f: a call prints by `print` how long it took, or that it has failed, with the time, and is otherwise a call of
---f.
---@param f fun(...): ...
---@param name? string For the text. Default: the place of f.
---@return fun(...): ...
function eddy.async_timed(f, name) end

---The readable form of a value, as the prompt prints it: tables with their fields, two levels deep, sorted; strings as
---Lua reads them; errors with their traceback.
---Raises what the `__tostring` of the value itself raises.
---@param value any
---@return string
function eddy.repr(value) end

return eddy
