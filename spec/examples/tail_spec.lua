-- examples/tail.lua with the eddy command; the files change here.

local eddy = require "eddy"
local fs = eddy.fs

local root = os.getenv("EDDY_ROOT") or "."
local command = os.getenv("EDDY") or root .. "/build/release/eddy"

describe("examples/tail.lua", function()
  it("prints what is added to several files, also to new ones in their place", function()
    local dir = fs.mkdtemp("/tmp/eddy-tail-XXXXXX")
    fs.write_file(dir .. "/a", "old\n")
    local out = dir .. "/out"
    assert(os.execute("mkfifo " .. out))
    local start = ("cd '%s' && echo $$ && exec '%s' '%s/examples/tail.lua' a b > out 2>&1"):format(dir, command, root)
    local pipe = assert(io.popen(start))
    local pid = pipe:read("n")
    local output = eddy.open(out)
    finally(function()
      os.execute("kill " .. pid)
      pipe:close()
      output:close()
      fs.remove(dir, { recursive = true })
    end)
    -- It is watching once a new line comes through: until then, more lines.
    local more = eddy.create_task(function()
      while true do
        fs.write_file(dir .. "/a", "first\n", { append = true })
        eddy.sleep(0.02)
      end
    end)
    assert.equal("a: first", output:read())
    more:cancel()
    eddy.wait { more }
    local function next_line()
      local line
      repeat line = output:read() until line ~= "a: first"
      return line
    end
    fs.write_file(dir .. "/a", "half", { append = true })
    fs.write_file(dir .. "/b", "new file\n")
    assert.equal("b: new file", next_line())
    fs.write_file(dir .. "/a", " a line\n", { append = true })
    assert.equal("a: half a line", next_line())
    fs.rename(dir .. "/a", dir .. "/a.1")
    fs.write_file(dir .. "/a", "rotated\n")
    assert.equal("a: rotated", next_line())
    fs.write_file(dir .. "/b", "")
    fs.write_file(dir .. "/b", "cut\n")
    assert.equal("b: cut", next_line())
  end)
end)
