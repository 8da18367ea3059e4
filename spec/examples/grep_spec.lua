-- examples/grep.lua with the eddy command, on a tree made here.

local eddy = require "eddy"
local fs = eddy.fs

local root = os.getenv("EDDY_ROOT") or "."
local command = os.getenv("EDDY") or root .. "/build/release/eddy"

-- The lines that it prints, sorted, and its exit status.
local function grep(dir, arguments)
  local start = ("cd '%s' && '%s' '%s/examples/grep.lua' %s 2>&1"):format(dir, command, root, arguments)
  local pipe = assert(io.popen(start))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  local _, _, status = pipe:close()
  table.sort(lines)
  return lines, status
end

describe("examples/grep.lua", function()
  it("finds lines in a tree", function()
    local dir = fs.mkdtemp("/tmp/eddy-grep-XXXXXX")
    finally(function() fs.remove(dir, { recursive = true }) end)
    for path, text in pairs {
      ["a.txt"] = "one\ntwo\nthree\n", ["sub/b.txt"] = "two\n\ntwo and two", ["sub/deep/c"] = "nothing",
      [".git/hidden"] = "two\n", ["binary"] = "two\0two\n",
    } do
      fs.mkdir((dir .. "/" .. path):match("^(.*)/"), { parents = true })
      fs.write_file(dir .. "/" .. path, text)
    end
    local lines, status = grep(dir, "'^tw.'")
    assert.same({ "a.txt:2: two", "sub/b.txt:1: two", "sub/b.txt:3: two and two" }, lines)
    assert.equal(0, status)
    lines, status = grep(dir, "'no such' sub")
    assert.same({ {}, 1 }, { lines, status })
    lines, status = grep(dir, "one " .. dir .. "/none")
    assert.matches("ENOENT", lines[1])
    assert.equal(1, status)
  end)
end)
