-- process_worker.lua - the main function of a worker process: calls come through one pipe, results go through another.
-- A message is a letter, and for all but "X" what eddy._wire makes of values:
--   to the worker:  C a call (function, arguments)   X stop it
--   from it:        R results   E an error and its traceback

local eddy = require "eddy"
local wire = eddy._wire

-- Packs what came of a call; what cannot be moved is an error as well.
local function reply_for(ok, ...)
  if ok then
    local packed, bytes = pcall(wire.pack, "results", "ProcessPool", ...)
    if packed then return "R" .. bytes end
    return "E" .. wire.pack("error", "ProcessPool", bytes)
  end
  local packed, bytes = pcall(wire.pack, "error", "ProcessPool", ...)
  if packed then return "E" .. bytes end
  local text = ("%s; its text: %s"):format(bytes, tostring((...)))
  return "E" .. wire.pack("error", "ProcessPool", eddy.RuntimeError(text))
end

local function apply(f, ...) return f(...) end

local function call(head, body)
  return reply_for(pcall(function() return apply(wire.unpack(head, body)) end))
end

return function(input_fd, output_fd)
  local input, output = eddy.open_pipe(input_fd), eddy.open_pipe(output_fd)
  local task
  while true do
    local letter = input:read(1)
    if not letter then break end                 -- the pool is closed, or its process has ended
    if letter == "X" then
      if task then task:cancel() end
    else
      local head = input:read_exactly(wire.HEAD)
      local body = input:read_exactly(wire.size(head))
      task = eddy.create_task(function()
        local reply = call(head, body)
        eddy.shield(function() output:write(reply):drain() end)
        task = nil
      end)
      eddy.sleep(0)                              -- it has begun when "X" comes: cancelled before, it would not reply
    end
  end
  os.exit(0, false)                              -- whatever goes on is nobody's any more
end
