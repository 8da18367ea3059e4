-- The programs in README.md, docs/tutorial.md and docs/guide: each runs with the eddy command and prints what stands
-- below it. And the names in docs/guide/from-asyncio.md.
--
-- A ```lua block is a whole program, unless its first line is "-- fragment": then it must compile, no more. If its
-- first line is a file's name ("-- app.lua"), that is its name. A ```text block after it, with nothing but blank lines
-- between them, is what it prints, stderr included; "```text status=1" if it ends with another status than 0.

local function output_of(shell_command)
  local pipe = assert(io.popen(shell_command))
  local output = pipe:read("a")
  local _, _, status = pipe:close()
  return output, status
end

local root = os.getenv("EDDY_ROOT") or output_of("pwd"):match("[^\n]*")
local command = os.getenv("EDDY") or root .. "/build/release/eddy"
local guard = os.execute("command -v timeout >/dev/null 2>&1") and "timeout 30 " or ""

-- Lists the fenced blocks of a file: { kind, info, text, line, next = the block after it if nothing stands between }.
local function blocks_of(path)
  local blocks, block, last, n = {}, nil, nil, 0
  for line in io.lines(root .. "/" .. path) do
    n = n + 1
    local info = line:match("^```(.*)$")
    if block and info then
      block.text = table.concat(block.text, "\n") .. "\n"
      blocks[#blocks + 1], last, block = block, block, nil
    elseif block then
      table.insert(block.text, line)
    elseif info then
      block = { kind = info:match("^%w*"), info = info, text = {}, line = n }
      if last then last.next = block end
    elseif line:find("%S") then
      last = nil
    end
  end
  assert(not block, path .. ": a block that does not end")
  return blocks
end

local function write_file(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- Runs the program in a directory of its own. Returns its output and its exit status.
local function run(name, text, finally)
  local dir = output_of("mktemp -d"):match("[^\n]*")
  finally(function() os.execute("rm -rf '" .. dir .. "'") end)
  write_file(dir .. "/" .. name, text)
  return output_of(("cd '%s' && LUA_PATH=\"${LUA_PATH:-%s/lua/?.lua;;}\" %s'%s' %s 2>&1 </dev/null")
    :format(dir, root, guard, command, name))
end

local paths = { "README.md", "docs/tutorial.md" }
for name in output_of("ls '" .. root .. "/docs/guide'"):gmatch("[^\n]+%.md") do
  paths[#paths + 1] = "docs/guide/" .. name
end

for _, path in ipairs(paths) do
  describe(path .. " #plain", function()
    for _, block in ipairs(blocks_of(path)) do
      if block.kind == "lua" then
        local first = block.text:match("^[^\n]*")
        if first == "-- fragment" then
          it("line " .. block.line .. ": compiles", function() assert(load(block.text)) end)
        else
          it("line " .. block.line .. ": runs, and prints what it should", function()
            local after = block.next and block.next.kind == "text" and block.next
            local output, status = run(first:match("^%-%- ([%w_]+%.lua)") or "snippet.lua", block.text, finally)
            if after then assert.equal(after.text, output) end
            assert.equal(tonumber(after and after.info:match("status=(%d+)")) or 0, status, output)
          end)
        end
      end
    end
  end)
end

describe("docs/guide/from-asyncio.md names", function()
  local eddy = require "eddy"

  -- What the names before a colon or dot stand for in its tables.
  local function examples(finally)
    local loop, lock = eddy.get_running_loop(), eddy.Lock()
    local server = eddy.start_server(function() end, "127.0.0.1", 0)
    local stream = eddy.open_connection(server:address())
    local runner = eddy.Runner()
    finally(function()
      stream:close()
      server:close()
      runner:close()
    end)
    return {
      eddy = eddy, loop = loop, lock = lock, server = server, stream = stream, runner = runner,
      task = eddy.current_task(), future = loop:create_future(), handle = loop:call_soon(type, 1),
      scope = eddy.timeout(nil), group = eddy.TaskGroup(), event = eddy.Event(), condition = eddy.Condition(lock),
      barrier = eddy.Barrier(1), queue = eddy.Queue(),
    }
  end

  -- Calls f(object, name, whether the row says "not yet", row) for each name in the column of eddy.
  local function each_name(objects, f)
    for line in io.lines(root .. "/docs/guide/from-asyncio.md") do
      local column = line:match("^|[^|]*|([^|]*)|")
      for before, name in (column or ""):gmatch("`(%l+)[.:]([%w_]+)`") do
        f(assert(objects[before], "what is " .. before .. "?"), name, column:find("not yet", 1, true), line)
      end
    end
  end

  it("what is there, and nothing that is not", function()
    local count = 0
    each_name(examples(finally), function(object, name, is_missing, line)
      local _, value = pcall(function() return object[name] end)
      count = count + 1
      assert.equal(not is_missing, value ~= nil, line)
    end)
    assert.is_true(count > 100)
  end)
end)
