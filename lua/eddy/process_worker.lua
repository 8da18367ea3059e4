-- process_worker.lua - the main function of a worker process: calls come through one pipe, results go through another.
-- A message is a letter, and for all but "X" what eddy._wire makes of values:
--   to the worker:  C a call (function, arguments)   X stop it
--   from it:        R results   E an error and its traceback

local eddy = require "eddy"
local wire = eddy._wire

-- How an error is told: the error, and the traceback of where it was raised, without what stands below the call.
local function pack_error(err, traceback)
  local packed, bytes = pcall(wire.pack, "error", "ProcessPool", err, traceback)
  if packed then return "E" .. bytes end
  local text = ("%s; its text: %s"):format(bytes, tostring(err))
  return "E" .. wire.pack("error", "ProcessPool", eddy.RuntimeError(text), traceback)
end

local traceback -- of the error that the call has raised

local function on_error(err)
  traceback = debug.traceback(nil, 2):gsub("\n[^\n]*\n[^\n]*\n[^\n]*$", "") -- xpcall, call, the task's function
  return err
end

-- Packs what came of a call; what cannot be moved is an error as well.
local function reply_for(ok, ...)
  if not ok then return pack_error((...), traceback) end
  local packed, bytes = pcall(wire.pack, "results", "ProcessPool", ...)
  return packed and "R" .. bytes or pack_error(bytes)
end

local function call(unpacked, f, ...)
  traceback = nil
  if not unpacked then return pack_error(f) end
  return reply_for(xpcall(f, on_error, ...))
end

return function(input_fd, output_fd)
  local input, output = eddy.open_pipe(input_fd), eddy.open_pipe(output_fd)
  local task
  eddy.get_running_loop():add_signal_handler("SIGINT", function() end) -- Ctrl-C: the pool's process decides
  wire.watch(input_fd)
  while true do
    local letter = input:read(1)
    if not letter then break end                 -- the pool is closed, or its process has ended
    if letter == "X" then
      if task then task:cancel() end
    else
      local head = input:read_exactly(wire.HEAD)
      local body = input:read_exactly(wire.size(head))
      task = eddy.create_task(function()
        local reply = call(pcall(wire.unpack, head, body))
        eddy.shield(function() output:write(reply):drain() end)
        task = nil
      end)
      eddy.sleep(0)                              -- it has begun when "X" comes: cancelled before, it would not reply
    end
  end
  os.exit(0, false)                              -- whatever goes on is nobody's any more
end
