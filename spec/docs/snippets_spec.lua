-- The programs in README.md and docs/tutorial.md: each runs with the eddy command and prints what stands below it.
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

for _, path in ipairs { "README.md", "docs/tutorial.md" } do
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
