---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- process.lua - signals, descriptors and child processes, for editors (LuaCATS) and for people. The functions are C;
-- nothing here runs. io.lua says what holds for all that is open to the world outside.
-- luacheck: ignore 241

---@class eddy
local eddy = {}

---@class eddy.Loop
local Loop = {}

-- --- Signals --------------------------------------------------------------------------------------------------------

---The name of a signal ("SIGTERM"), or its number.
---@alias eddy.Signal string|integer

---Signals that come, in their order. It is the iterator of a `for`, and its own `<close>`. What comes while nobody asks
---is kept, up to 128 of them; a storm of one kind is thinned out then, but no kind is forgotten. Any number of tasks ma
---wait; each signal goes to one of them. `eddy.select` takes it too and returns the name.
---@class eddy.Signals
---@operator call: string?
local Signals = {}

---The name of the signal that came first, waited for; nil when it is closed. Calling the object is the same.
---Cancelling: no signal is lost.
---@async
---@return string? name
function Signals:next() end

---The same without waiting: nil when none has come.
---@return string? name
function Signals:next_nowait() end

---Ends it: who waits gets nil. When nobody else in the process listens, the signal does what it did before. Twice is
---fine.
function Signals:close() end

---Listens to signals of the process, from now on: `for name in eddy.signals("SIGTERM", "SIGHUP") do`. Leaving the loop,
---also by `break` or an error, gives the signals back. Every iterator gets every signal, in all loops and threads.
---A SIGINT that is listened to does no more what `eddy.run` does with it.
---
---Raises "bad argument" for what is no signal, for SIGKILL and SIGSTOP, and for the faults of a program (SIGSEGV, …).
---@param name eddy.Signal
---@param ... eddy.Signal
---@return eddy.Signals, nil, nil, eddy.Signals
function eddy.signals(name, ...) end

---Calls f(...) in the loop for each such signal, until it is removed; replaces the handler that is there. What it
---raises goes to the exception handler. The end of the loop removes it.
---@param signal eddy.Signal
---@param f fun(...)
---@param ... any
function Loop:add_signal_handler(signal, f, ...) end

---Removes it; the signal does what it did before.
---@param signal eddy.Signal
---@return boolean removed whether there was one
function Loop:remove_signal_handler(signal) end

-- --- Descriptors of others -----------------------------------------------------------------------------------------

---A descriptor: its number, a file of Lua's `io`, an object with a method `fileno`.
---@alias eddy.Descriptor integer|file*|{ fileno: fun(self): integer }

---Calls f(...) again and again while something can be read from the descriptor, until it is removed; replaces the reade
---that is there. For C modules that have sockets of their own. Remove it before the descriptor is closed; if it is
---closed all the same, the reader is forgotten. Other holders of the descriptor see no change: it stays blocking if it
---was.
---
---Raises OSError: EBADF, and EPERM for a regular file, which is always ready. RuntimeError for a stream's descriptor.
---@param fd eddy.Descriptor
---@param f fun(...)
---@param ... any
function Loop:add_reader(fd, f, ...) end

---@param fd eddy.Descriptor
---@return boolean removed whether there was one
function Loop:remove_reader(fd) end

---The same while something can be written.
---@param fd eddy.Descriptor
---@param f fun(...)
---@param ... any
function Loop:add_writer(fd, f, ...) end

---@param fd eddy.Descriptor
---@return boolean removed whether there was one
function Loop:remove_writer(fd) end
