-- compare.lua - runs the questions for eddy and its peers in turn, writes the table. Started by bench/run.
-- usage: compare.lua ROUNDS PEERS|all OUTPUT NAMES...
local rounds, wanted, output = tonumber(arg[1]), "," .. arg[2] .. ",", arg[3]
local names = { table.unpack(arg, 4) }
local bin, lua = os.getenv("BENCH_BIN"), os.getenv("BENCH_LUA")

-- The lines of a command's output, and whether it succeeded.
local function lines_of(command)
  local pipe, lines = io.popen(command), {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  return lines, pipe:close() == true
end

-- The Python that has uvloop: a package of the system may be seen by its own Python only.
local uv_python = "python3"
for _, path in ipairs { "python3", "/usr/bin/python3" } do
  local _, found = lines_of(path .. " -c 'import uvloop' 2>/dev/null")
  if found then uv_python = path break end
end

-- Each peer: what says its version (and fails where it is missing), and what asks it the question %s; `files`: a
-- question about files, if that is another program.
local peers = {
  { name = "eddy", version = bin .. "/eddy --version", ask = bin .. "/eddy bench/%s.lua" },
  { name = "resume", version = "test -x " .. bin .. "/resume && echo bare lua_resume", ask = bin .. "/resume %s",
    only = "programs" },
  { name = "lua", version = lua .. " -e 'print(_VERSION)'", files = lua .. " bench/peers/lua.lua %s", only = "files" },
  { name = "read()", version = "test -x " .. bin .. "/files && echo read in C", only = "files",
    files = bin .. "/files \"read()\" %s" },
  { name = "libuv", version = "test -x " .. bin .. "/libuv && echo bare libuv", ask = bin .. "/libuv %s",
    files = bin .. "/files libuv %s" },
  { name = "luv", version = lua .. [[ -e 'print("luv on libuv " .. require("luv").version_string())']],
    ask = lua .. " bench/peers/luv.lua %s" },
  { name = "cqueues", version = lua .. [[ -e 'print("cqueues " .. require("cqueues").VERSION)']],
    ask = lua .. " bench/peers/cqueues.lua %s" },
  { name = "asyncio", version = [[python3 -c 'import platform; print("Python", platform.python_version())']],
    ask = "python3 bench/peers/python.py asyncio %s" },
  { name = "uvloop", version = uv_python .. [[ -c 'import uvloop; print("uvloop", uvloop.__version__)']],
    ask = uv_python .. " bench/peers/python.py uvloop %s" },
  { name = "go", version = "test -x " .. bin .. "/go && go version", ask = bin .. "/go %s",
    files = bin .. "/files-go %s" },
  { name = "node", version = "node -p '\"Node \" + process.versions.node'", ask = "node bench/peers/node.js %s" },
}

local function read_file(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

local function load() return read_file("/proc/loadavg"):match("^%S+") end

local _, has_taskset = lines_of("command -v taskset")
local function on_core(n, command)
  return has_taskset and ("taskset -c %s %s"):format(n, command) or command
end

-- Questions to servers: what echoload is told, by the end of the value's name. The server is that of echo_throughput.
local loads = {
  echo_throughput = {},
  connections = { { "", "-c", 50, 64, 1.5 } },
  idle_connections = { { "", "-i", 10000, 64, 0 } },
}
for _, size in ipairs { { "64B", 64 }, { "1K", 1024 }, { "16K", 16384 } } do
  for _, count in ipairs { 1, 10, 100 } do
    table.insert(loads.echo_throughput, { ("%s.%d"):format(size[1], count), "", count, size[2], 0.7 })
  end
end

local function is_files(name) return name:find("^files_") ~= nil end

local function is_threads(name) return name:find("^threads_") ~= nil end

local function is_for(peer, name)
  if is_files(name) and (peer.files or peer.only) then return peer.files ~= nil end
  return peer.only == nil or peer.only == (loads[name] and "servers" or "programs")
end

-- What one peer is asked for one question: on core 0; threads have two. A server is loaded from the next one.
local function command_for(peer, name)
  local program = is_files(name) and peer.files or peer.ask
  local pool = name == "threads_fib" and "UV_THREADPOOL_SIZE=2 " or ""
  local command = ("env %sGOMAXPROCS=%d %s"):format(pool, is_threads(name) and 2 or 1,
    on_core(is_threads(name) and "0,1" or "0", program:format(loads[name] and "echo_throughput" or name)))
  if not loads[name] then return command end
  local commands = {}
  for i, told in ipairs(loads[name]) do
    local label = name .. (told[1] ~= "" and "." or "") .. told[1]
    commands[i] = on_core(1, ("%s/echoload %s %s %s %d %d %g %s"):format(bin, told[2], peer.name, label, told[3],
      told[4], told[5], command))
  end
  return table.concat(commands, " && ")
end

-- --- Measure: results[value's name][peer] is a list of numbers ------------------------------------------------------
-- shares[question][peer] is a list, too: how much of a core the program had, in percent.
local results, units, order, versions, shares = {}, {}, {}, {}, {}

local function add(where, name, peer, value)
  where[name] = where[name] or {}
  where[name][peer] = where[name][peer] or {}
  table.insert(where[name][peer], tonumber(value))
end

-- Asks once. bash says how much of a core the command had; a peer that does not know the question prints nothing.
local function ask(peer, name)
  local timed = [[TIMEFORMAT="core %%P"; { time { %s; } 2>&3; } 3>&2 2>&1]]
  local lines, ok = lines_of(("bash -c '%s'"):format(timed:format(command_for(peer, name))))
  for _, line in ipairs(lines) do
    local what, _, value, unit = line:match("^([^\t]+)\t([^\t]+)\t([^\t]+)\t([^\t]+)$")
    if what and not units[what] then
      units[what] = unit
      order[#order + 1] = what
    end
    if what then add(results, what, peer.name, value) end
    local share = line:match("^core (%S+)$")
    if share then add(shares, name, peer.name, share) end
  end
  if not ok then io.stderr:write(peer.name, " failed at ", name, "\n") end
end

local present = {}
for _, peer in ipairs(peers) do
  local selected = peer.name == "eddy" or wanted == ",all," or wanted:find("," .. peer.name .. ",", 1, true)
  local version, found = lines_of("{ " .. peer.version .. "; } 2>/dev/null")
  if selected and found then
    present[#present + 1], versions[#versions + 1] = peer, version[1]
  end
end

local load_before = load()
for round = 1, rounds do
  for _, name in ipairs(names) do
    io.stderr:write(("round %d of %d: %s\n"):format(round, rounds, name))
    for _, peer in ipairs(present) do
      if is_for(peer, name) then ask(peer, name) end
    end
  end
end

-- --- The table ------------------------------------------------------------------------------------------------------
local function median(values)
  table.sort(values)
  local middle = #values // 2
  return #values % 2 == 1 and values[middle + 1] or (values[middle] + values[middle + 1]) / 2
end

local function spread(values)
  local middle = median(values)                  -- sorts them
  return math.abs((values[#values] - values[1]) / middle * 50)
end

local function readable(value)
  if value >= 1e6 then return ("%.2f M"):format(value / 1e6) end
  if value >= 1e4 then return ("%.0f k"):format(value / 1e3) end
  return (value < 100 and "%.2f" or "%.0f"):format(value)
end

local file = assert(io.open(output, "w"))
local function write(format, ...) file:write(format:format(...), "\n") end

local cpuinfo = read_file("/proc/cpuinfo")
local _, cores = cpuinfo:gsub("processor%s*:", "")
write("# Results\n\nBy `%s` on %s.\n", os.getenv("BENCH_COMMAND"), os.date("%Y-%m-%d"))
write("Machine: %d × %s%s; load %s before, %s after.\nVersions: %s.\n", cores,
  cpuinfo:match("model name%s*:%s*([^\n]+)") or "unknown processor",
  cpuinfo:find("hypervisor", 1, true) and " (virtual machine)" or "", load_before, load(), table.concat(versions, "; "))
write([[
Medians of %d runs in turn; ± is half the distance from the lowest to the highest. Where less is better, ↓ says so.
Every program is kept on one core, those of threads on two; *core* is how much processor time the program had, in
percent of one core (who sleeps wants less than 100 %%; for servers it is they and their load together).
[README.md](README.md) tells how far the peers answer the same question.]], rounds)

local function write_rows(name, what)
  local ours, unit = results[what].eddy, units[what]
  local title = ("%s, %s%s"):format(what, unit, (unit:find("/s$") or unit == "times") and "" or " ↓")
  for _, peer in ipairs(present) do
    local values = results[what][peer.name]
    if values then
      write("| %s | %s | %s | %.0f %% | %.0f %% | %s |", title, peer.name, readable(median(values)), spread(values),
        median(shares[name][peer.name]),
        ours and peer.name ~= "eddy" and ("%.2f"):format(median(ours) / median(values)) or "")
      title = ""                                 -- once for all its rows
    end
  end
end

for _, name in ipairs(names) do
  local question = read_file("bench/" .. name .. ".lua"):match("^[^\n]- %- ([^\n]*)")
  write("\n## %s\n\n%s\n\n| what | peer | median | ± | core | eddy / peer |", name, question)
  write("|---|---|---:|---:|---:|---:|")
  for _, what in ipairs(order) do
    if what == name or what:sub(1, #name + 1) == name .. "." then write_rows(name, what) end
  end
end
file:close()
