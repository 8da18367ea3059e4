-- examples/tour.lua with the eddy command, on trees made for it.

local program = require "spec.support.program"

-- Makes a tree below a new directory: name -> contents. Returns its path; it goes when the test has ended.
local function make_tree(files, finally)
  local pipe = assert(io.popen("mktemp -d"))
  local dir = pipe:read("l")
  pipe:close()
  finally(function() os.execute("rm -rf '" .. dir .. "'") end)
  for name, contents in pairs(files) do
    local parent = name:match("^(.*)/")
    if parent then os.execute(("mkdir -p '%s/%s'"):format(dir, parent)) end
    local file = assert(io.open(dir .. "/" .. name, "wb"))
    file:write(contents)
    file:close()
  end
  return dir
end

local function tour(dir) return program.command("examples/tour.lua '" .. dir .. "'") end

describe("examples/tour.lua #plain", function()
  it("counts the files of a tree and sums them up by extension", function()
    local output, status = tour(make_tree({
      ["a.lua"] = "one\ntwo\n", ["deep/er/b.lua"] = "three", ["c.txt"] = "", ["README"] = "\n\n\n",
      [".git/config"] = "not counted\n", ["build/x.lua"] = "not counted\n",
    }, finally))
    assert.equal(0, status, output)
    assert.matches("lua +2 +3 +13\n", output)
    assert.matches("none +1 +3 +3\n", output)
    assert.matches("txt +1 +0 +0\n", output)
    assert.matches("all +4 +6 +16\n", output)
    assert.matches("\nall counts agree\n$", output)
  end)

  it("takes more files than it has open at once or clients", function()
    local files = {}
    for i = 1, 300 do files[("d%d/f%d.c"):format(i % 7, i)] = ("line\n"):rep(i) end
    local output, status = tour(make_tree(files, finally))
    assert.equal(0, status, output)
    assert.matches("c +300 +45150 +225750\n", output)
  end)

  it("is at home with strange names", function()
    local output, status = tour(make_tree({
      ["new\nline.lua"] = "1\n", ["\xff\xfe.lua"] = "1\n2\n", ["%0A.lua"] = "1\n2\n3\n", ["sp ace\r.x\ny"] = "4\n",
    }, finally))
    assert.equal(0, status, output)
    assert.matches("lua +3 +6 +12\n", output)
    assert.matches("x%?y +1 +1 +2\n", output)
  end)

  it("says that a link is broken and goes on", function()
    local dir = make_tree({ ["a.c"] = "1\n" }, finally)
    os.execute(("ln -s nowhere '%s/broken' && ln -s . '%s/round'"):format(dir, dir))
    local output, status = tour(dir)
    assert.equal(0, status, output)
    assert.matches("skipped: [^\n]*/broken'[^\n]*ENOENT", output)
    assert.matches("all +1 +1 +2\n", output)
  end)

  it("takes an empty tree", function()
    local output, status = tour(make_tree({}, finally))
    assert.equal(0, status, output)
    assert.matches("all +0 +0 +0\n", output)
  end)

  it("names a path that does not exist", function()
    local output, status = tour("/no/such/tree")
    assert.equal(1, status)
    assert.matches("ENOENT", output)
    assert.matches("/no/such/tree", output, 1, true)
  end)

  it("fails when the counts of the two readings differ", function()
    local dir = make_tree({ ["a.c"] = "1\n", ["b.c"] = "" }, finally)
    local source = assert(io.open((os.getenv("EDDY_ROOT") or ".") .. "/examples/tour.lua")):read("a")
    local copy = assert(io.open(dir .. "/tour.lua", "w"))
    copy:write((source:gsub("lines = lines %+ 1", "lines = lines + 2")))
    copy:close()
    local output, status = program.command(("'%s/tour.lua' '%s'"):format(dir, dir))
    assert.equal(1, status)
    assert.matches("counts differ: [^\n]*/a.c", output)
    assert.not_matches("b.c", output, 1, true)
    assert.not_matches("all counts agree", output)
  end)

  it("counts its own tree by default", function()
    local output, status = program.command("examples/tour.lua")
    assert.equal(0, status, output)
    assert.matches("lua +%d+", output)
    assert.matches("\nall counts agree\n$", output)
  end)
end)
