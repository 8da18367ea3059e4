-- lua.lua - the same questions for Lua's own io, which blocks.
-- usage: lua5.4 lua.lua QUESTION
local function say(name, value, unit) print(("%s\tlua\t%.0f\t%s"):format(name, value, unit)) end

-- Lua has no clock that is fine enough.
local function now()
  local pipe = io.popen("date +%s.%N")
  local time = pipe:read("n")
  pipe:close()
  return time
end

local questions = {}

function questions.files_lines()
  local path = os.getenv("BENCH_LARGE")
  local function count()
    local n = 0
    for _ in io.lines(path) do n = n + 1 end
    return n
  end
  count()
  local start = now()
  local n = count()
  say("files_lines", n / (now() - start), "lines/s")
end

function questions.files_read()
  local function read_all(path)
    local total = 0
    for _ = 1, 4 do
      local file <close> = assert(io.open(path, "rb"))
      while true do
        local data = file:read(65536)
        if not data then break end
        total = total + #data
      end
    end
    return total
  end
  for name, path in pairs { disk = os.getenv("BENCH_LARGE"), memory = os.getenv("BENCH_LARGE_MEMORY") } do
    read_all(path)
    local start = now()
    say("files_read." .. name, read_all(path) / (now() - start) / 1e6, "MB/s")
  end
end

local question = questions[arg[1]]
if question then question() end
