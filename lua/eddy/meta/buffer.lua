---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- buffer.lua - what src/threads/buffer.c gives to Lua, for editors (LuaCATS) and for people.
-- The functions are C; nothing here runs.
-- luacheck: ignore 241

---@class eddy
local eddy = {}

---A buffer: bytes that can be changed, of a size that cannot. Made of `size` zeros, or of the bytes of a string.
---
---A buffer moves to another thread as every value does: what arrives is a copy, and what one side writes the other does
---not see. The bytes are only copied when one of the two writes while the other still has its buffer; so sending a
---buffer of any size takes no time. To another process the bytes themselves go.
---
---`#buffer` is its size, `tostring(buffer)` its bytes. Positions are those of `string.sub`: 1 is the first byte, -1 the
---last.
---Raises OSError ENOMEM when there is not so much memory.
---@param size_or_bytes integer|string
---@return eddy.Buffer
function eddy.buffer(size_or_bytes) end

---@class eddy.Buffer
---@operator len: integer
local Buffer = {}

---The bytes from i (1) to j (i), as numbers; those that are there, as `string.byte` does it.
---@param i? integer
---@param j? integer
---@return integer ...
function Buffer:byte(i, j) end

---Sets the bytes from i on. They must all be there; else none is set.
---@param i integer
---@param ... integer 0 to 255
---@return eddy.Buffer self
function Buffer:set(i, ...) end

---The bytes from i (1) to j (-1) as a string; those that are there, as `string.sub` does it.
---@param i? integer
---@param j? integer
---@return string
function Buffer:sub(i, j) end

---Sets the bytes from i (1) to j (-1) to one value.
---@param byte integer 0 to 255
---@param i? integer
---@param j? integer
---@return eddy.Buffer self
function Buffer:fill(byte, i, j) end

---Copies the bytes from i (1) to j (-1) of the source to position `at` and behind, where they must fit. The source may
---be the buffer itself.
---@param at integer
---@param source string|eddy.Buffer
---@param i? integer
---@param j? integer
---@return eddy.Buffer self
function Buffer:copy(at, source, i, j) end

---Puts what `string.pack(format, ...)` gives at position `at`, where it must fit. Returns the position behind.
---@param at integer
---@param format string
---@param ... number|string
---@return integer next
function Buffer:pack(at, format, ...) end

---What `string.unpack` finds at position `at`, and the position behind. The format must be one of a fixed size.
---@param at integer
---@param format string
---@return any ... values and next
function Buffer:unpack(at, format) end
