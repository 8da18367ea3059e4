---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- pipes.lua - the streams beside TCP, for editors (LuaCATS) and for people. The functions are C; nothing here runs.
-- io.lua has eddy.Stream, whose methods all of them share, and eddy.Server.
-- luacheck: ignore 241

---@class eddy
local eddy = {}

-- --- Pipes ----------------------------------------------------------------------------------------------------------

---An end of a pipe, a FIFO, a Unix socket: a stream over a descriptor.
---@class eddy.Pipe: eddy.Stream
local Pipe = {}

---The path of the other end, of a Unix socket that has one; also after the close. An abstract name begins with "\0".
---@return string? path
function Pipe:peername() end

---The own path, of a Unix socket that has one; also after the close.
---@return string? path
function Pipe:sockname() end

---The descriptor. Raises RuntimeError when the stream is closed.
---@return integer
function Pipe:fileno() end

---@class eddy.PipeOptions
---@field limit? integer of a line, 65536

---Makes a stream of an open descriptor, which it takes over: a pipe, a FIFO, a stream socket, a terminal. What can be
---read and written is as the descriptor was opened. It is non-blocking until the stream is closed; the descriptors 0 to
---2 stay open then, others are closed.
---
---Raises OSError (`EBADF`), RuntimeError for the descriptor of another stream; a file, /dev/null or a directory is a
---bad argument.
---@param fd integer
---@param options? eddy.PipeOptions
---@return eddy.Pipe
function eddy.open_pipe(fd, options) end

---A new pipe: what is written to the second stream is read from the first. `shutdown` of the writer closes it, as a
---pipe has no other end.
---@param options? eddy.PipeOptions
---@return eddy.Pipe reader, eddy.Pipe writer
function eddy.pipe(options) end

-- --- Unix sockets ---------------------------------------------------------------------------------------------------

---@class eddy.UnixConnectOptions
---@field timeout? eddy.Seconds none
---@field limit? integer of a line, 65536

---Connects to a Unix socket: a path of at most 107 bytes, or, on Linux, an abstract name of at most 108 that begins
---with "\0" (shown as "@name" in texts). Waits while the server's backlog is full. Raises OSError with `path`,
---TimeoutError; a path that is too long or contains a zero byte is a bad argument.
---@async
---@param path string
---@param options? eddy.UnixConnectOptions
---@return eddy.Pipe
function eddy.open_unix_connection(path, options) end

---@class eddy.UnixServerOptions
---@field backlog? integer how many connections may wait to be accepted, 1024
---@field max_connections? integer how many are served at once; more wait in the backlog; no limit
---@field mode? integer permission bits of the socket's file; as the umask says
---@field limit? integer of a line, 65536

---Listens at a path or abstract name, like `start_server` in all else. A socket's file at which nobody listens any more
---is replaced; any other file, and a server that lives, is `EADDRINUSE`, and nothing happens to it. When the server is
---closed its file is removed, if it is still the one that it made.
---
---`address()` is the path; `sockets()` has `family = "unix"` and no port.
---@async
---@param handler fun(connection: eddy.Pipe)
---@param path string
---@param options? eddy.UnixServerOptions
---@return eddy.Server
function eddy.start_unix_server(handler, path, options) end

-- --- Standard streams -----------------------------------------------------------------------------------------------

---Standard input, output or error, whatever it is: a terminal, a pipe, a socket, a file, /dev/null. Each is one object
---for the whole program, which is used in the loop that runs and goes on in the next one; nobody has to close it.
---
---Reading: nothing is read ahead of those who want to read, so a program that is started has the rest. A line has no
---limit. Bytes that a read has left are there for the next one, also in another run; `io.read` does not see them.
---
---Writing: what `print` and `io.write` have printed before comes before. A write waits until the system has all of it
---(the high-water mark is 0), so what is printed after it comes after it; other tasks go on meanwhile. With the `eddy`
---command that holds for what other tasks print, too.
---
---The descriptors stay as they are: blocking, and what a terminal's mode was. Closing one gives it up: the process has
---/dev/null in its place (but standard error stays), and the other end of a pipe sees the end.
---@class eddy.StandardStream: eddy.Stream
local StandardStream = {}

---@return integer 0, 1 or 2
function StandardStream:fileno() end

---It has no names.
---@return nil
function StandardStream:peername() end

---@return nil
function StandardStream:sockname() end

---Whether it is a terminal.
---@return boolean
function StandardStream:isatty() end

---The size of the terminal. Raises OSError (`ENOTTY`) when it is none.
---@return integer columns, integer rows
function StandardStream:winsize() end

---"raw": keys come one by one, at once, and are not shown; Ctrl-C is one of them (3). "normal" is what the terminal was
---before, as it is again when the stream is closed, at the end of the run and at the end of the process. Raises
---OSError: `ENOTTY` when it is no terminal, `EBUSY` when another one is raw.
---@param mode "raw"|"normal"
---@return eddy.StandardStream self
function StandardStream:set_mode(mode) end

---@type eddy.StandardStream
eddy.stdin = nil

---@type eddy.StandardStream
eddy.stdout = nil

---@type eddy.StandardStream
eddy.stderr = nil

-- --- In memory ------------------------------------------------------------------------------------------------------

---A stream of a pair. It has no names and no descriptor: `fileno` raises RuntimeError.
---@class eddy.StreamPair: eddy.Stream
local StreamPair = {}

---@return nil
function StreamPair:peername() end

---@return nil
function StreamPair:sockname() end

function StreamPair:fileno() end

---What may happen to the bytes of a pair, the same in both directions. The same seed gives the same pieces, delays and
---places, on a virtual clock at the same times.
---@class eddy.StreamPairOptions
---@field seed? integer splits what is written at random; chooses from ranges
---@field chunk? integer at most so many bytes are delivered at once
---@field delay? eddy.Seconds|eddy.Seconds[] before each piece: so long, or of a range {min, max}, like the next two
---@field reset_after? integer|integer[] both ends are reset (ECONNRESET) when so many bytes have come, of both
---@field end_after? integer|integer[] a direction ends when so many bytes have come; what is written then is lost
---@field buffer? integer so many bytes that are under way count as sent, 65536; more are queued by the writer
---@field limit? integer of a line, 65536
---@field high_water? integer the mark above which a write waits, 65536

---Two connected streams in memory, for tests of protocols: what is written to one is read from the other. They do what
---sockets do: half-close, back-pressure, a reset for who has not been read to the end, EPIPE. No descriptor is used, so
---they work on a virtual clock and two that wait for each other are a deadlock that is found.
---@param options? eddy.StreamPairOptions
---@return eddy.StreamPair, eddy.StreamPair
function eddy.stream_pair(options) end

return eddy
