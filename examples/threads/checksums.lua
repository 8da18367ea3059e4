-- script/run examples/threads/checksums.lua [DIRECTORY]: the Adler-32 checksums of all files in a tree, computed on all
-- cores. The last line tells how many bytes there were and how long it took.
local eddy = require "eddy"

-- Runs in a thread: it may read the way Lua does, as nobody else waits there.
local function checksum(path)
  local file <close>, why = io.open(path, "rb")
  if not file then return path, nil, why end
  local a, b, size = 1, 0, 0
  for block in file:lines(4096) do
    for i = 1, #block, 64 do
      local n = math.min(64, #block - i + 1)
      local bytes = { block:byte(i, i + n - 1) }
      for k = 1, n do
        a = a + bytes[k]
        b = b + a
      end
      a, b = a % 65521, b % 65521
    end
    size = size + #block
  end
  return path, b << 16 | a, size
end

local function main(root)
  local start, tasks = eddy.time(), {}
  local pool <close> = eddy.ThreadPool()
  for dir, _, files in eddy.fs.walk(root) do
    for _, name in ipairs(files) do
      local path = dir .. "/" .. name
      if eddy.fs.lstat(path).type == "file" then tasks[#tasks + 1] = pool:submit(checksum, path) end
    end
  end
  local total = 0
  for _, task in ipairs(tasks) do                -- in the order of the walk, whichever is ready first
    local path, sum, size = task:await()
    print(sum and ("%08x  %s"):format(sum, path) or size)
    if sum then total = total + size end
  end
  print(("%d files, %d bytes, %.2f s"):format(#tasks, total, eddy.time() - start))
end

eddy.run(main, arg[1] or "examples")
