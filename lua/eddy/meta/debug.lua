---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- debug.lua - looking into a program that runs: who awaits whom, and where. For editors (LuaCATS) and for people.
-- Nothing here runs.
-- luacheck: ignore 241

---@class eddy
local eddy = {}

---One frame of a call stack: what `debug.getinfo` says of a Lua function.
---@class eddy.Frame
---@field source string
---@field short_src string
---@field what "Lua"|"main"
---@field currentline integer
---@field linedefined integer
---@field name? string
---@field namewhat string

---A future in a call graph. Two ways that lead to the same task lead to the same node. `call_stack`: innermost first,
---also of a coroutine inside the task; empty for a plain future, and for a task that has not begun or has ended.
---`awaited_by`: the tasks that wait for it now, by `await`, `gather`, `wait`, `wait_for`, `shield`, `select`,
---`as_completed`, `map`, in the order in which they came; and the task whose TaskGroup it is in.
---@class eddy.CallGraph
---@field future eddy.Future
---@field call_stack eddy.Frame[]
---@field awaited_by eddy.CallGraph[]

---@class eddy.CallGraphOptions
---@field limit? integer At most so many frames of each call stack; all by default.

---Who awaits the future, who awaits those, and so on; and where each stands. Nothing is recorded for it while the
---program runs.
---
---Raises RuntimeError outside of a loop when no future is given. A future of another loop, or of one that is closed, is
---fine: of the latter nobody awaits it.
---@param future? eddy.Future The task that runs by default.
---@param options? eddy.CallGraphOptions
---@return eddy.CallGraph? graph nil in a callback of the loop, when no future is given.
function eddy.capture_call_graph(future, options) end

---The same as a text: each task with its call stack, and below it, further to the right, who awaits it. "" where
---`capture_call_graph` returns nil. Awaits beyond the fiftieth, one inside the other, are "...".
---@param future? eddy.Future The task that runs by default.
---@param options? eddy.CallGraphOptions
---@return string text
function eddy.format_call_graph(future, options) end

---Prints that text, by the global `print`.
---@param future? eddy.Future The task that runs by default.
---@param options? eddy.CallGraphOptions
function eddy.print_call_graph(future, options) end
