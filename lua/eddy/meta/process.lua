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

---Calls f(...) again and again while something can be read from the descriptor, until it is removed; replaces the
---reader that is there. For C modules that have sockets of their own. Other holders of the descriptor see no change: it
---stays blocking if it was.
---
---Remove it before the descriptor is closed. If it is closed all the same, f is called once more, so that who waits
---goes on and finds out, and then forgotten. That is noticed before the loop polls the next time: at once for a close
---in the loop's own thread; one in another thread does not wake a loop that waits. What the number means by then is for
---f to know.
---
---Raises: a bad argument for what is no open descriptor; OSError EPERM for a regular file, which is always ready;
---RuntimeError for a stream's descriptor.
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

-- --- Child processes ---------------------------------------------------------------------------------------------

---What a stream of the child is: "inherit" (that of eddy, the default), "pipe" (then it is a field of the Process),
---"null" (nothing), a stream or file of the caller's; for stderr also "stdout", where the other goes.
---@alias eddy.Stdio "inherit"|"pipe"|"null"|"stdout"|eddy.Stream|eddy.Descriptor

---@class eddy.ProcessOptions
---@field stdin? eddy.Stdio
---@field stdout? eddy.Stdio
---@field stderr? eddy.Stdio
---@field cwd? string the folder in which it starts; a program with a slash is looked for there
---@field env? table<string, string|number> the whole environment; `eddy.environ()` is what to begin with
---@field uid? integer
---@field gid? integer
---@field detached? boolean in a session of its own; it lives on when the run ends
---@field group? boolean it leads a process group: signals go to all that it starts as well
---@field pass_fds? eddy.Descriptor[] more descriptors that it has, under the numbers that they have here
---@field limit? integer of the lines of its pipes (64 KiB)

---A child process. It has no descriptors but 0 to 2 and those of `pass_fds`. Signals do in it what they do by default.
---
---It goes on when nobody holds the object. The end of its `<close>` scope kills it and waits for that; so does the end
---of the run, with a ResourceWarning, unless it is detached.
---@class eddy.Process
---@field pid integer
---@field returncode? integer nil while it runs; the negative number of the signal that has ended it; 255 when somebody
---else in the process has waited for it
---@field stdin? eddy.Stream
---@field stdout? eddy.Stream
---@field stderr? eddy.Stream
local Process = {}

---Waits for its end. A child that fills a pipe that nobody reads never ends: read, or use `communicate`.
---Cancelling: the process goes on.
---@async
---@return integer returncode
function Process:wait() end

---Sends it the input (a child that does not read it is no error), reads its outputs to their end, waits for it.
---The end of the outputs comes when all who hold them have ended, so a grandchild may delay it.
---Cancelling: the process goes on; what was read so far may be lost.
---@async
---@param input? string
---@return string? stdout nil if that is no pipe
---@return string? stderr
function Process:communicate(input) end

---Raises OSError ESRCH after its end, also when that was not noticed yet.
---@param signal eddy.Signal
function Process:send_signal(signal) end

---Sends SIGTERM.
function Process:terminate() end

---Sends SIGKILL.
function Process:kill() end

---Starts a program: a path, or a name that is looked for in the PATH of its environment. The arguments are passed as
---they are, without a shell.
---
---Raises OSError with `path`: ENOENT, EACCES (`syscall = "execve"`), E2BIG, EAGAIN; the errors of `cwd` with
---`syscall = "chdir"`.
---@param program string
---@param arguments? (string|number)[]
---@param options? eddy.ProcessOptions
---@return eddy.Process
function eddy.create_subprocess_exec(program, arguments, options) end

---The same with /bin/sh: the command is a line of shell.
---@param command string
---@param options? eddy.ProcessOptions
---@return eddy.Process
function eddy.create_subprocess_shell(command, options) end

---@class eddy.ExecOptions: eddy.ProcessOptions
---@field input? string what it reads; nothing by default
---@field grace? eddy.Seconds between SIGTERM and SIGKILL when the wait is cancelled (2)

---Runs a program to its end and returns what it has written. A code other than 0 is no error.
---
---It runs in a process group of its own. Cancelling: the group gets SIGTERM, SIGKILL after the grace, and is gone when
---the CancelledError is raised.
---@async
---@param program string
---@param arguments? (string|number)[]
---@param options? eddy.ExecOptions
---@return string? stdout
---@return string? stderr
---@return integer returncode
function eddy.exec(program, arguments, options) end

---A copy of the environment of this process.
---@return table<string, string>
function eddy.environ() end
