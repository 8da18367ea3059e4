-- The examples that compute in threads, with the eddy command: their time is real.

local root = os.getenv("EDDY_ROOT") or "."
local command = os.getenv("EDDY") or root .. "/build/release/eddy"

-- What it prints, without stderr.
local function run(arguments)
  local path = ("LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;;'"):format(root, root)
  local pipe = assert(io.popen(("cd '%s' && %s '%s' %s 2>/dev/null"):format(root, path, command, arguments)))
  local output = pipe:read("a")
  assert.is_true(pipe:close())
  return output
end

local function temporary(finally)
  local path = os.tmpname()
  finally(function() os.remove(path) end)
  return path
end

describe("examples", function()
  it("asyncio/15: a call in a thread lets the ticks go on, a direct one does not", function()
    local output = run "examples/asyncio/15_blocking.lua"
    assert.matches("called directly: computed, ticks meanwhile: 0\n", output, 1, true)
    assert.is_true(tonumber(output:match("in a thread: computed, ticks meanwhile: (%d+)")) > 0)
  end)

  it("asyncio/16: computes the same in line, in threads and in processes", function()
    local output = run "examples/asyncio/16_parallel.lua"
    for _, what in ipairs { "in line", "in threads", "in two processes" } do
      assert.matches(what .. ": 8 sums, each 333333833333500000, in ", output, 1, true)
    end
  end)

  it("threads/checksums: has the checksums of a tree", function()
    local directory = os.tmpname()
    os.remove(directory)
    os.execute(("mkdir -p '%s/sub'"):format(directory))
    finally(function() os.execute(("rm -r '%s'"):format(directory)) end)
    for name, text in pairs { a = "Wikipedia", ["sub/b"] = "", ["sub/c"] = ("x"):rep(100000) } do
      local file <close> = assert(io.open(directory .. "/" .. name, "wb"))
      file:write(text)
    end
    local output = run("examples/threads/checksums.lua " .. directory)
    assert.matches("11e60398  " .. directory .. "/a\n", output, 1, true)
    assert.matches("00000001  " .. directory .. "/sub/b\n", output, 1, true)
    assert.matches("3 files, 100009 bytes, ", output, 1, true)
  end)

  it("threads/mandelbrot: draws a picture", function()
    local path = temporary(finally)
    run("examples/threads/mandelbrot.lua 40 " .. path)
    local file <close> = assert(io.open(path, "rb"))
    local header = "P6\n40 40\n255\n"
    local picture = file:read("a")
    assert.equal(header, picture:sub(1, #header))
    assert.equal(#header + 3 * 40 * 40, #picture)
    local function pixel(x, y) return picture:sub(#header + 1 + 3 * (40 * y + x), #header + 3 + 3 * (40 * y + x)) end
    assert.equal("\0\0\0", pixel(30, 20))   -- 0 + 0i is in the set
    assert.are_not.equal("\0\0\0", pixel(0, 0))
  end)

  it("threads/word_count: counts the words of several files", function()
    local a, b = temporary(finally), temporary(finally)
    for path, text in pairs { [a] = "The cat and the dog.\n", [b] = "The end\n" } do
      local file <close> = assert(io.open(path, "w"))
      file:write(text)
    end
    local output = run(("examples/threads/word_count.lua %s %s"):format(a, b))
    assert.matches("2 files, 5 different words\n     3  the\n     1  and\n", output, 1, true)
  end)
end)
