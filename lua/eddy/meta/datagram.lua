---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- datagram.lua - UDP and names, for editors (LuaCATS) and for people. The functions are C; nothing here runs.
-- io.lua says what holds for all that is open to the world outside; getaddrinfo stands there.
-- luacheck: ignore 241

---@class eddy
local eddy = {}

-- --- Datagrams -----------------------------------------------------------------------------------------------------

---A UDP socket. Datagrams are whole or not there: none is cut off, an empty one is "". What comes while nobody takes it
---is kept, about 256 KiB of it, beside what the system keeps; more is lost, as datagrams are.
---
---It is its own `<close>`. `eddy.select` takes it and receives.
---@class eddy.Datagram
local Datagram = {}

---Receives a datagram; nil when the socket is closed. Several tasks may wait: first come, first served.
---
---On a connected socket OSError ECONNREFUSED (`syscall = "recv"`) says that nobody listens at its peer; the next call
---receives again. Cancelling: nothing is lost.
---@async
---@return string? data
---@return string host of the sender
---@return integer port
function Datagram:recv() end

---The same without waiting: nil when nothing has come.
---@return string? data
---@return string host
---@return integer port
function Datagram:recv_nowait() end

---An iterator that receives until the socket is closed.
---@return fun(): string?, string, integer
function Datagram:datagrams() end

---Sends a datagram, to the peer of a connected socket (which may be named again) or to host and port; a name is looked
---up first. Waits only while the system takes no more.
---
---Raises OSError (`syscall = "send"`, with `address`): EMSGSIZE for more than 65,507 bytes (65,527 with IPv6), EISCONN
---for another than the peer, ECONNREFUSED when an earlier datagram was refused. Cancelling: a datagram that waits is
---sent.
---@async
---@param data string|number
---@param host? string
---@param port? integer
---@return eddy.Datagram self
function Datagram:send(data, host, port) end

---Hears what is sent to a group; `interface` is an address of this host (for IPv6 "::%eth0").
---@param group string
---@param interface? string
function Datagram:join(group, interface) end

---@param group string
---@param interface? string
function Datagram:leave(group, interface) end

---@param hops integer 1 to 255
function Datagram:set_ttl(hops) end

---How far datagrams to groups go.
---@param hops integer 1 to 255
function Datagram:set_multicast_ttl(hops) end

---@param address string
function Datagram:set_multicast_interface(address) end

---Whether sockets of this host hear what it sends to groups; they do at first.
---@param on boolean
function Datagram:set_loop(on) end

---@return string host
---@return integer port
function Datagram:sockname() end

---Of a connected socket.
---@return string? host
---@return integer port
function Datagram:peername() end

---@return integer descriptor
function Datagram:fileno() end

---@return boolean
function Datagram:is_closing() end

---Closes it at once. Twice is fine.
function Datagram:close() end

---@class eddy.DatagramOptions
---@field local_addr? { [1]: string?, [2]: integer? } host and port; any of both by default
---@field remote_addr? { [1]: string, [2]: integer? } connects it: it receives from that peer only
---@field family? "inet"|"inet6" by default that of the addresses, else "inet"
---@field broadcast? boolean it may send to broadcast addresses
---@field reuse_port? boolean others that say so too may have the same port

---Opens a UDP socket. Names are looked up first; the task waits for that only.
---
---Raises OSError: `syscall` is "getaddrinfo", "bind" (EADDRINUSE, …) or "connect".
---@async
---@param options? eddy.DatagramOptions
---@return eddy.Datagram
function eddy.open_datagram(options) end

-- --- Names ---------------------------------------------------------------------------------------------------------

---The name of an address and of a port; the numbers themselves where there is none.
---
---Raises OSError with `syscall = "getnameinfo"`.
---@async
---@param host string a numeric address
---@param port? integer
---@return string host
---@return string service
function eddy.getnameinfo(host, port) end

---@class eddy.DnsCacheOptions
---@field ttl? eddy.Seconds how long an answer is kept (60)
---@field max? integer how many are (256); the oldest goes first

---Keeps the answers of look-ups in this Lua state from now on, and forgets those that are there; nil ends that. At
---first none are kept: the system's resolver may do that already. Errors are never kept.
---
---Without it too, those who ask the same at the same time share one look-up, and numeric addresses are answered at
---once. At most two look-ups (half of libuv's threads) are under way at once; the others wait in their order. One that
---is cancelled leaves the line at once.
---@param options? eddy.DnsCacheOptions
function eddy.set_dns_cache(options) end
