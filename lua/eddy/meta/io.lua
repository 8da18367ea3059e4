---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- io.lua - what src/io gives to Lua, for editors (LuaCATS) and for people. The functions are C; nothing here runs.
-- core.lua says what holds for all of eddy: what @async means, what cancelling does, what times are.
--
-- Said once for all of them:
--   * Errors of the system are OSErrors: `err.code` ("ECONNREFUSED"), `err.syscall` ("connect"), `err.path` or
--     `err.address`. They are raised, never returned; nil means the end of the data.
--   * Cancelling leaves nothing open and loses no byte: what was read and not returned is there for the next read; a
--     file that was opened too late is closed; a job that a thread has begun ends by itself.
--   * What is open and forgotten is closed when it is collected, or by the end of the run, with a ResourceWarning
--     through Lua's `warn` that names it and where it was opened.
-- luacheck: ignore 241

---@class eddy
local eddy = {}

-- --- Streams --------------------------------------------------------------------------------------------------------

---What a read asks for: a count (at most so many bytes, at least 1; 0 asks whether there is more, with "" or nil), "l"
---(a line without its end), "L" (with it), "a" (all that is left, "" at the end), "n" (a numeral).
---@alias eddy.ReadFormat integer|"l"|"L"|"a"|"n"

---What a write takes: strings, numbers, and lists of them.
---@alias eddy.WriteData string|number|(string|number)[]

---A connection, pipe or terminal. Its value is its own `<close>`: the end of the scope closes it and waits for that; a
---scope that is left by a CancelledError does not wait for a peer that does not read, it aborts.
---
---One task reads at a time: a second one gets a RuntimeError. Any number may write.
---@class eddy.Stream
local Stream = {}

---Reads one value for each format; a line when there is none. As in Lua's io, a format that cannot be answered gives
---nil and is the last one answered.
---
---Raises LimitOverrunError when a line is longer than the stream's `limit` (64 KiB, without its end): nothing is lost,
---and `err.consumed` bytes may be read as a count. After a reset what had come is read first, then OSError with
---`syscall = "read"` is raised; a line, "a" or `read_exactly` that is cut short raises and leaves what is there.
---A closed stream, also one that is closed while a task reads, gives nil.
---
---Cancelling: nothing is lost, not even what the first of several formats had been given.
---@async
---@param ... eddy.ReadFormat
---@return string|number|nil ...
function Stream:read(...) end

---Reads exactly n bytes. Raises IncompleteReadError with `partial` and `expected` when the end comes first.
---@async
---@param n integer
---@return string
function Stream:read_exactly(n) end

---Reads up to and with the separator, or with that of a list which ends first. Raises IncompleteReadError with
---`partial` and no `expected` when the end comes first, LimitOverrunError when more than `limit` bytes stand before it.
---@async
---@param separator string|string[]
---@return string
function Stream:read_until(separator) end

---An iterator that calls `read(...)`, until that gives nil.
---@param ... eddy.ReadFormat
---@return fun(): string|number|nil, ...
function Stream:lines(...) end

---Whether all was read and the end has been seen, as far as is known without waiting.
---@return boolean
function Stream:at_eof() end

---Sends its arguments, in their order, with one call to the system if they are few. What the system does not take at
---once is queued, long strings without being copied; the task waits while more than the high-water mark (64 KiB) is
---queued, until it is below the low one.
---
---Raises RuntimeError on a closed stream and after `shutdown`, and the OSError with `syscall = "write"` that an earlier
---write has met.
---
---Cancelling: what is queued stays queued and is sent.
---@async
---@param ... eddy.WriteData
---@return eddy.Stream self
function Stream:write(...) end

---Waits like a write of nothing: while more than the high-water mark is queued.
---@async
---@return eddy.Stream self
function Stream:drain() end

---Sends a file, or `count` bytes of it from `offset` on, behind what was written before; on Linux they do not pass
---through the program. Returns how many bytes that were: fewer than `count` when the file ends before, or has become
---shorter.
---
---Until it has ended, other tasks that write to the stream or shut it down get a RuntimeError. Raises OSError with
---`path` when the file cannot be opened (EISDIR, EINVAL for what is no regular file), which changes nothing; with
---`syscall = "send"` when the connection fails; RuntimeError when the stream is closed, also meanwhile.
---
---Cancelling: what was sent is sent, the rest is not; the stream can be written to.
---@async
---@param path string
---@param offset? integer 0
---@param count? integer to the end
---@return integer sent
function Stream:send_file(path, offset, count) end

---Sets the marks, in bytes. `low` is a quarter of `high` when it is nil, `high` four times `low`, or 64 KiB.
---@param high? integer
---@param low? integer at most `high`
function Stream:set_write_buffer_limits(high, low) end

---Half-close: the peer sees the end after what is queued. Reading goes on. Does not wait; twice is fine.
function Stream:shutdown() end

---Closes the stream when what is queued has gone out. Does not wait; twice is fine.
function Stream:close() end

---Waits until the stream is closed. Raises the OSError of data that could not be sent, unless a write has raised it.
---@async
function Stream:wait_closed() end

---Closes the stream now. What is queued is lost.
function Stream:abort() end

---Whether it is closed or closing.
---@return boolean
function Stream:is_closing() end

-- --- TCP ------------------------------------------------------------------------------------------------------------

---A TCP connection.
---@class eddy.TCP: eddy.Stream
local TCP = {}

---The other end's address; also after the close.
---@return string host, integer port
function TCP:peername() end

---The own address; also after the close.
---@return string host, integer port
function TCP:sockname() end

---Whether small writes are sent at once (they are, unless it is set to false).
---@param on boolean
function TCP:set_nodelay(on) end

---Whether the system asks an idle peer whether it is still there, after so many seconds (60 for true).
---@param on boolean|number
function TCP:set_keepalive(on) end

---The descriptor. Raises RuntimeError when the connection is closed.
---@return integer
function TCP:fileno() end

---@class eddy.ConnectOptions
---@field timeout? eddy.Seconds for the look-up and all addresses together; none
---@field family? "inet"|"inet6" any
---@field local_addr? table `{host, port}`, either may be nil; a numeric host
---@field nodelay? boolean true
---@field keepalive? boolean|number false
---@field limit? integer of a line, 65536

---Connects to a name or address. The addresses race, as RFC 8305 has it: IPv6 and IPv4 take turns, the next one starts
---250 ms after the last or when one has failed; the first that answers is taken and the others are closed. When all
---fail, the OSError that they have in common is raised, or an ExceptionGroup of all. Raises TimeoutError when time is
---up.
---@async
---@param host string|string[] a list holds numeric addresses, of one host
---@param port integer
---@param options? eddy.ConnectOptions
---@return eddy.TCP
function eddy.open_connection(host, port, options) end

---@class eddy.ServerOptions
---@field backlog? integer how many connections may wait to be accepted, 1024
---@field max_connections? integer how many are served at once; more wait in the backlog; no limit
---@field reuse_port? boolean whether other sockets may listen at the same address, false
---@field nodelay? boolean true
---@field keepalive? boolean|number false
---@field limit? integer of a line, 65536

---Listens, and runs `handler(connection)` in a task of its own for each connection, which is closed after it. An error
---of the handler goes to the loop's exception handler. Without descriptors or memory accepting pauses, until a
---connection has ended or a second has passed; those who come meanwhile wait, none is dropped.
---
---The loop keeps the server until it is closed and its connections have ended.
---@async
---@param handler fun(connection: eddy.TCP)
---@param host? string nil: all interfaces, IPv4 and IPv6; a name: all its addresses
---@param port integer 0: any free one
---@param options? eddy.ServerOptions
---@return eddy.Server
function eddy.start_server(handler, host, port, options) end

---A server. The end of `local server <close>` closes it; a scope that ends without an error also waits for the
---connections.
---@class eddy.Server
local Server = {}

---Waits until the server is closed. Raises RuntimeError on a closed server and in a second task.
---
---Cancelling closes the server, and does not wait for the connections.
---@async
function Server:serve_forever() end

---Stops listening. Connections go on. Twice is fine.
function Server:close() end

---Waits until the server is closed and the tasks of all connections have ended.
---@async
function Server:wait_closed() end

---Closes all connections when what is queued in them has gone out. Their handlers go on, and read nil.
function Server:close_clients() end

---Closes all connections now. Their handlers go on, and read nil.
function Server:abort_clients() end

---The sockets that it listens at; none once it is closed.
---@return { family: "inet"|"inet6"|"unix", address: string, port?: integer, fd: integer }[]
function Server:sockets() end

---The address of the first socket, or its path; also after the close.
---@return string host, integer? port
function Server:address() end

---Whether it accepts connections.
---@return boolean
function Server:is_serving() end

-- --- Names ----------------------------------------------------------------------------------------------------------

---@class eddy.AddressInfo
---@field family "inet"|"inet6"
---@field type "stream"|"dgram"|"raw"|nil
---@field address string
---@field port integer
---@field canonname? string on the first, with the flag "canonname"

---@alias eddy.AddressFlag "passive"|"canonname"|"numerichost"|"numericserv"|"v4mapped"|"all"|"addrconfig"

---@class eddy.AddressOptions
---@field family? "inet"|"inet6"
---@field type? "stream"|"dgram"|"raw" any: the system then lists each address several times
---@field flags? eddy.AddressFlag|eddy.AddressFlag[]

---The addresses of a name, in the order in which they should be tried. Raises OSError with a code like "EAI_NONAME" and
---`syscall = "getaddrinfo"`.
---@async
---@param host? string nil: this machine
---@param port? integer|string a number or the name of a service
---@param options? eddy.AddressOptions
---@return eddy.AddressInfo[]
function eddy.getaddrinfo(host, port, options) end

return eddy
