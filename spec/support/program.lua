-- Runs an example program as a spec wants it: on virtual time, with its output caught. For #plain tests, as the
-- program starts a loop of its own.

local eddy = require "eddy"

local program = {}

local root = os.getenv("EDDY_ROOT") or "."

-- An eddy whose loops have a virtual clock and whose runs note what happened.
local function sandboxed_eddy(outcome, options)
  local box = setmetatable({}, { __index = eddy })

  local function with_clock(given)
    local all = { clock = "virtual", exception_handler = function(_, context)
      table.insert(outcome.reports, context)
    end }
    for key, value in pairs(options) do all[key] = value end
    for key, value in pairs(given or {}) do all[key] = value end
    return all
  end

  -- Calls f, which turns the loop; `finish` may turn it as well, and that counts no longer.
  local function timed(loop, f, finish)
    local start = loop:time()
    outcome.loop = loop
    local results = table.pack(pcall(f))
    outcome.duration = outcome.duration + loop:time() - start
    if finish then finish() end
    outcome.loop = nil
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end

  function box.run(...)
    local runner, arguments = eddy.Runner(with_clock()), table.pack(...)
    return timed(runner:get_loop(), function()
      return runner:run(table.unpack(arguments, 1, arguments.n))
    end, function() runner:close() end)
  end

  function box.new_event_loop(given)
    local loop = eddy.new_event_loop { clock = with_clock(given).clock }
    local methods = setmetatable({}, { __index = function(_, name)
      return function(_, ...) return loop[name](loop, ...) end
    end })
    function methods.run_forever() return timed(loop, function() return loop:run_forever() end) end
    function methods.run_until_complete(_, aw) return timed(loop, function() return loop:run_until_complete(aw) end) end
    return methods
  end

  return box
end

---Runs the program at `path` (from the root of the tree) with `args`. Returns
---{ lines, times = the loop's time of each line, duration = how long its loops ran, reports = contexts that the
---exception handler was given, error = what left the program }. `options` go to its Runner.
function program.run(path, args, options)
  local outcome = { lines = {}, times = {}, reports = {}, duration = 0 }
  local pending = ""

  local function write(text)
    pending = pending .. text
    for line, rest in pending:gmatch("([^\n]*)\n()") do
      table.insert(outcome.lines, line)
      table.insert(outcome.times, outcome.loop and outcome.loop:time() or 0)
      outcome.rest = rest
    end
    pending = pending:sub(outcome.rest or 1)
    outcome.rest = nil
  end

  local box = sandboxed_eddy(outcome, options or {})
  local env = setmetatable({
    eddy = box,
    arg = { [0] = path, table.unpack(args or {}) },
    require = function(name) return name == "eddy" and box or require(name) end,
    print = function(...)
      local texts = table.pack(...)
      for i = 1, texts.n do texts[i] = tostring(texts[i]) end
      write(table.concat(texts, "\t") .. "\n")
    end,
    io = setmetatable({ write = function(...)
      write(table.concat({ ... }))
      return io.stdout
    end }, { __index = io }),
  }, { __index = _G })

  local chunk = assert(loadfile(root .. "/" .. path, "t", env))
  local ok, err = pcall(chunk, table.unpack(args or {}))
  if not ok then outcome.error = err end
  if pending ~= "" then table.insert(outcome.lines, pending) end
  collectgarbage()   -- errors that nobody has looked at are reported when they are collected
  collectgarbage()
  return outcome
end

---Whether the first line of the program says how to start it, and the program is short.
function program.header(path)
  local lines = {}
  for line in io.lines(root .. "/" .. path) do lines[#lines + 1] = line end
  return lines[1], #lines
end

---Runs the program with the eddy command, for real. Returns its output (stderr included) and its exit status.
function program.command(arguments, environment)
  local command = os.getenv("EDDY") or root .. "/build/release/eddy"
  local pipe = assert(io.popen(("cd '%s' && %s '%s' %s 2>&1"):format(root, environment or "", command, arguments)))
  local output = pipe:read("a")
  local _, _, status = pipe:close()
  return output, status
end

---Starts an example with the eddy command that prints where it listens; returns host, port and its output. It ends
---with the test, whose `finally` is given.
function program.serving(finally, arguments)
  local command = os.getenv("EDDY") or root .. "/build/release/eddy"
  local pipe = assert(io.popen(("cd '%s' && echo $$ && exec '%s' %s 2>&1"):format(root, command, arguments)))
  local pid = pipe:read("n", "l")
  finally(function()
    os.execute("kill " .. pid)
    pipe:close()
  end)
  local host, port = pipe:read("l"):match("^listening on\t(%S+)\t(%d+)$")
  return host, tonumber(port), pipe
end

return program
