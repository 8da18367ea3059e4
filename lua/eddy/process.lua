-- process:communicate and eddy.exec, which are made of what processes and streams offer. Loaded when first asked for.
local eddy = require "eddy"

---@class eddy.process
local M = {}

-- Feeds a child that may not want it, or not all of it.
local function feed(stream, input)
  local ok, err = eddy.pcall(function()
    if input then stream:write(input) end
    stream:close()
    stream:wait_closed()
  end)
  if ok then return end
  stream:abort()
  if not (eddy.is_error(err, eddy.OSError) and (err.code == "EPIPE" or err.code == "ECONNRESET")) then error(err, 0) end
end

local function read_all(stream)
  local data = stream:read "a"
  stream:close()
  return data
end

---Sends `input` to the child's standard input, reads its outputs to their end, and waits for its end.
---@async
---@param process eddy.Process
---@param input? string
---@return string? stdout, string? stderr
function M.communicate(process, input)
  local tasks, out, err = {}, nil, nil
  local function start(f, ...)
    local task = eddy.create_task(f, ...)
    tasks[#tasks + 1] = task
    return task
  end
  if input and not process.stdin then
    error(eddy.RuntimeError "'communicate': there is input, but the process has no pipe for it", 2)
  end
  if process.stdin and not process.stdin:is_closing() then start(feed, process.stdin, input) end
  if process.stdout then out = start(read_all, process.stdout) end
  if process.stderr then err = start(read_all, process.stderr) end
  local ok, failure = pcall(eddy.gather, tasks)
  if not ok then
    for _, task in ipairs(tasks) do task:cancel() end
    error(failure, 0)
  end
  process:wait()
  return out and out:result(), err and err:result()
end

-- What is its own among the options of exec.
local function split(options)
  local rest = {}
  for key, value in pairs(options or {}) do rest[key] = value end
  local input, grace = rest.input, rest.grace
  rest.input, rest.grace = nil, nil
  if input ~= nil and type(input) ~= "string" then
    error(("bad argument #3 to 'exec' (option 'input': string expected, got %s)"):format(type(input)), 3)
  end
  if grace ~= nil and (type(grace) ~= "number" or grace ~= grace) then
    error(("bad argument #3 to 'exec' (option 'grace': number expected, got %s)"):format(type(grace)), 3)
  end
  if input and rest.stdin then
    error("bad argument #3 to 'exec' (options 'input' and 'stdin' exclude each other)", 3)
  end
  rest.stdin = input and "pipe" or rest.stdin or "null"
  rest.stdout = rest.stdout or "pipe"
  rest.stderr = rest.stderr or "pipe"
  rest.group = true
  return rest, input, grace or 2
end

-- Asks the group of a child to end, and sees to it that it does; what follows it goes with it.
local function stop(process, grace)
  if process.returncode then return end
  process:_end_group()
  if not pcall(process.terminate, process) then return end
  eddy.move_on_after(grace, process.wait, process)
end

-- Calls f; its bad arguments are the caller's of exec.
local function create(program, arguments, options)
  local results = table.pack(pcall(eddy.create_subprocess_exec, program, arguments, options))
  if results[1] then return results[2] end
  local err = results[2]
  if type(err) == "string" then err = err:gsub("^.-(bad argument #%d+ to ')create_subprocess_exec'", "%1exec'") end
  error(err, type(err) == "string" and 3 or 0)
end

---Runs a program to its end. See lua/eddy/meta/process.lua.
---@async
function M.exec(program, arguments, options)
  if options ~= nil and type(options) ~= "table" then
    error(("bad argument #3 to 'exec' (table expected, got %s)"):format(type(options)), 2)
  end
  local rest, input, grace = split(options)
  local process <close> = create(program, arguments, rest)   -- ends it whatever happens below
  local _ <close> = setmetatable({}, { __close = function() stop(process, grace) end })
  local out, err = M.communicate(process, input)
  return out, err, process.returncode
end

return M
