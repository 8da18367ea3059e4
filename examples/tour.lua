-- script/run [examples/tour.lua DIRECTORY]: counts the lines of a source tree (this one) many files at a time, serves
-- the counts over TCP to 50 clients, which check them against a second reading, and prints a table.
local eddy = require "eddy"

local MAX_OPEN, CLIENTS, PATIENCE = 64, 50, 60
local SKIP = { [".git"] = true, build = true }

-- Calls f(...), which may fail where the file system does: says so, goes on, and returns nil then.
local function attempt(f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  if not eddy.is_error(result, eddy.OSError) then error(result, 0) end   -- not ours: a cancellation, a mistake
  io.stderr:write("skipped: ", tostring(result), "\n")
end

local function find_files(dir, found)
  for name, type in eddy.fs.scandir(dir) do
    local path = dir .. "/" .. name
    if type == "unknown" then type = eddy.fs.lstat(path).type end   -- some file systems do not tell
    if type == "file" then
      table.insert(found, path)
    elseif type == "directory" and not SKIP[name] then
      attempt(find_files, path, found)
    elseif type == "link" then
      attempt(eddy.fs.stat, path)   -- not followed, but a broken one is worth a word
    end
  end
  return found
end

local function count_lines(text)
  local lines, start = 0, 1
  while start <= #text do
    lines = lines + 1
    start = (text:find("\n", start, true) or #text) + 1
  end
  return lines
end

-- A line on the terminal, redrawn by a task of its own while others work.
local function show_progress(progress)
  while true do
    io.write(("\r%d of %d files"):format(progress.done, progress.total))
    io.flush()
    eddy.sleep(0.05)
  end
end

local function is_terminal()
  local ok, stat = pcall(eddy.fs.stat, "/dev/stdout")
  return os.getenv("TERM") and ok and stat.type == "char"
end

-- Reads them all, up to MAX_OPEN at once. Returns a table: path -> { lines, bytes }.
local function read_together(paths)
  local counts, progress = {}, { done = 0, total = #paths }
  local ticker = is_terminal() and eddy.create_task(show_progress, progress)
  eddy.map(function(path)
    local text = attempt(eddy.fs.read_file, path)
    if text then counts[path] = { lines = count_lines(text), bytes = #text } end
    progress.done = progress.done + 1
  end, paths, { concurrency = MAX_OPEN })
  if ticker then
    ticker:cancel()
    io.write("\r\27[K")   -- clears its line
  end
  return counts
end

-- Reads them one after the other, line by line. Returns a table: path -> lines.
local function read_one_by_one(paths)
  local lines = {}
  for _, path in ipairs(paths) do
    lines[path] = attempt(function()
      local file <close> = eddy.open(path)
      local n = 0
      for _ in file:lines() do n = n + 1 end
      return n
    end)
  end
  return lines
end

-- The protocol: a path on a line, its count on a line. What would break a line travels as %0A.
local function encode(path) return (path:gsub("[%%\r\n]", function(c) return ("%%%02X"):format(c:byte()) end)) end
local function decode(line) return (line:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)) end

local function serve(counts)
  return eddy.start_server(function(conn)
    for line in conn:lines() do
      local count = counts[decode(line)]
      conn:write(count and count.lines or "unknown", "\n")
    end
  end, "127.0.0.1", 0)
end

-- One client: asks for every CLIENTS-th file and puts those into `wrong` whose count is another.
local function ask(server, first, paths, expected, wrong)
  local host, port = server:address()
  local conn <close> = eddy.open_connection(host, port)
  for i = first, #paths, CLIENTS do
    local path = paths[i]
    conn:write(encode(path), "\n")
    if tonumber(conn:read("l")) ~= expected[path] then table.insert(wrong, path) end
  end
end

local function ask_together(paths, counts, expected)
  local wrong = {}
  local server <close> = serve(counts)
  local _ <close> = eddy.timeout(PATIENCE)
  local clients <close> = eddy.TaskGroup()   -- the scope waits for them; if one fails the others end
  for i = 1, CLIENTS do clients:create_task(ask, server, i, paths, expected, wrong) end
  return wrong
end

local function print_table(counts)
  local rows, total = {}, { kind = "all", files = 0, lines = 0, bytes = 0 }
  for path, count in pairs(counts) do
    local kind = path:match("[^/]%.([^./]+)$") or "none"
    local row = rows[kind] or { kind = kind:gsub("%G", "?"), files = 0, lines = 0, bytes = 0 }
    if not rows[kind] then rows[kind], rows[#rows + 1] = row, row end
    for _, sum in ipairs { row, total } do
      sum.files, sum.lines, sum.bytes = sum.files + 1, sum.lines + count.lines, sum.bytes + count.bytes
    end
  end
  table.sort(rows, function(a, b) return a.lines > b.lines or a.lines == b.lines and a.kind < b.kind end)
  table.insert(rows, total)
  print(("%-12s %8s %10s %12s"):format("extension", "files", "lines", "bytes"))
  for _, row in ipairs(rows) do print(("%-12s %8d %10d %12d"):format(row.kind, row.files, row.lines, row.bytes)) end
end

local function timed(f, ...)
  local start = eddy.time()
  return f(...), (eddy.time() - start) * 1000
end

local function main(root)
  local paths = find_files(root, {})
  table.sort(paths)
  local counts, together = timed(read_together, paths)
  local expected, one_by_one = timed(read_one_by_one, paths)
  local wrong, asked = timed(ask_together, paths, counts, expected)

  print_table(counts)
  print(("read %d at a time in %.0f ms; one by one, line by line, in %.0f ms; asked for by %d clients in %.0f ms")
    :format(MAX_OPEN, together, one_by_one, CLIENTS, asked))
  if #wrong > 0 then error("counts differ: " .. table.concat(wrong, ", "), 0) end
  print("all counts agree")
end

eddy.run(main, arg[1] or (arg[0]:match("^(.*)/") or ".") .. "/..")
