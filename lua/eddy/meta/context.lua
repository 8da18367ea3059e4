---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- context.lua - what src/core/context.c gives to Lua, for editors (LuaCATS) and for people. Nothing here runs.
-- The model is PEP 567's (https://peps.python.org/pep-0567/).
-- luacheck: ignore 241

---@class eddy
local eddy = {}

---A variable that each task has a value of its own of. A task begins with what its creator sees at that moment; what
---it sets afterwards, only it and the tasks that it makes see. Callbacks run in the context in which
---they were scheduled.
---@class eddy.ContextVar
local ContextVar = {}

---What undoes one `set`.
---@class eddy.Token

---The values of all variables at one moment, in which functions can be run.
---@class eddy.Context
local Context = {}

---Makes a variable. `name` is for texts.
---@param name string
---@param default? any what `get` returns where it was not set
---@return eddy.ContextVar
function eddy.ContextVar(name, default) end

---The value in the running code's context; where it was not set, `default`, or else the variable's own default.
---@param default? any
---@return any
function ContextVar:get(default) end

---Sets it in the running code's context.
---@param value any nil too
---@return eddy.Token token for `reset`
function ContextVar:set(value) end

---Makes it what it was before the `set` that gave the token. Raises RuntimeError for a token that was used before, or
---was made in another task; a bad argument for one of another variable.
---@param token eddy.Token
function ContextVar:reset(token) end

---A copy of the running code's context.
---@return eddy.Context
function eddy.copy_context() end

---Runs `f(...)` in the context, and returns its results. What it sets stays in the context and does not
---reach the caller. If f is in a generator or coroutine and yields, the task stays in the context until f has ended:
---who takes the values sees it too, as with what asyncio's generators set.
---Raises RuntimeError when the context is entered already.
---@async
---@param f fun(...: any): ...
---@param ... any
---@return any ...
function Context:run(f, ...) end

---The value of a variable there; nil where it was not set.
---@param var eddy.ContextVar
---@return any
function Context:get(var) end

---@return eddy.Context
function Context:copy() end

return eddy
