local support = require "spec.command.support"
local eddy = support.eddy

local function run(code, ...) return eddy({ "-", ... }, { stdin = code }) end

describe("A script run by eddy", function()
  it("may wait at top level", function()
    assert.same({ "1\n2\n", "", 0 }, { run "print(1) eddy.sleep(0.001) print(2)" })
  end)

  it("finds eddy as a global, the same that require gives it", function()
    assert.equal("true\n", (run "print(require 'eddy' == eddy)"))
  end)

  it("needs no file beside the command: what is written in Lua travels in it", function()
    local root = assert(os.getenv("EDDY_ROOT"))
    local files = assert(io.popen("ls '" .. root .. "/lua/eddy'")):read("a")
    local code, count = "package.path, package.cpath = '', ''\n", 0
    for name in files:gmatch("([%w_]+)%.lua") do
      code, count = code .. ("assert(package.preload['eddy.%s'])\n"):format(name), count + 1
    end
    assert.is_true(count > 5)
    assert.same({ "1 4\n", "", 0 }, { run(code .. [[
      local list = { 4, 1 }
      eddy.sort(list, function(a, b) eddy.sleep(0) return a < b end)
      print(table.concat(list, " "))]]) })
  end)

  it("may call what loads such a module, by its name alone", function()
    local code = "print(pcall(package.preload['eddy.pool'], %q))"
    for _, name in ipairs { "", "x", "pool", "eddy_pool", "eddy.none" } do
      assert.same({ ("false\teddy has no module '%s'\n"):format(name), "", 0 }, { run(code:format(name)) })
    end
    assert.truthy(run(code:format("eddy.pool")):find("^true\ttable"))
  end)

  it("may start with a line for the shell", function()
    assert.equal("ok\n", (run "#!/usr/bin/env eddy\nprint 'ok'"))
  end)

  it("may be compiled", function()
    local folder = support.folder {}
    finally(function() support.remove(folder) end)
    support.write(folder .. "/script.luac", string.dump(load "eddy.sleep(0) print('compiled', ...)"))
    assert.same({ "compiled\tx\n", "", 0 }, { eddy { folder .. "/script.luac", "x" } })
  end)

  it("may call eddy.run", function()
    local out, err, status = run [[
      print(eddy.run(function(a, b) eddy.sleep(0.001) return a + b end, 3, 4))
      print(eddy.run(function() return "twice" end))]]
    assert.same({ "7\ntwice\n", "", 0 }, { out, err, status })
  end)

  it("may call eddy.run before it waits itself", function()
    assert.equal("in run\nafter\n", (run [[
      eddy.run(function() eddy.sleep(0.001) print "in run" end)
      eddy.sleep(0.001) print "after"]]))
  end)

  it("may call eddy.run after others have run before it, if they have left no task", function()
    assert.same({ "1\n2\n", "", 0 }, { eddy { "-e", "x = eddy.sleep(0.001, 1)",
      "-e", "eddy.run(function() print(x) end)", "-e", "eddy.run(function() print(x + 1) end)" } })
  end)

  it("cannot call eddy.run any more once it has waited", function()
    local out = run "eddy.sleep(0) print(pcall(eddy.run, function() end))"
    assert.matches("^false\tRuntimeError", out)
  end)

  it("has what is left of its tasks cancelled at its end, and awaited", function()
    local out, err, status = run [[
      eddy.create_task(function()
        local _ <close> = setmetatable({}, { __close = function() eddy.sleep(0.001) print "cleaned up" end })
        eddy.sleep(3600)
      end)
      eddy.sleep(0)
      print "the end"]]
    assert.same({ "the end\ncleaned up\n", "", 0 }, { out, err, status })
  end)

  it("has Lua's warnings on", function()
    assert.equal("Lua warning: look out\n", (select(2, run "warn 'look out'")))
  end)

  it("may leave by os.exit, in its main task and in others", function()
    assert.same({ "out\n", "", 7 }, { run "io.write 'out\\n' os.exit(7)" })
    assert.same({ "out\n", "", 8 }, { run "eddy.sleep(0) print 'out' os.exit(8)" })
    assert.same({ "", "", 0 }, { run "eddy.create_task(os.exit, true) eddy.sleep(3600)" })
    assert.same({ "", "", 1 }, { run "eddy.create_task(os.exit, false) eddy.sleep(3600)" })
  end)

  it("may leave by os.exit and have the state closed", function()
    assert.same({ "collected\n", "", 9 }, { run [[
      kept = setmetatable({}, { __gc = function() print "collected" end })
      eddy.create_task(eddy.sleep, 3600)
      eddy.sleep(0)
      os.exit(9, true)]] })
  end)

  it("may return anything", function()
    assert.same({ "", "", 0 }, { run "return false, nil, 'x'" })
  end)

  it("has a GC that runs at the end", function()
    assert.equal("collected\n", (run "x = setmetatable({}, { __gc = function() print 'collected' end })"))
  end)

  it("prints to nobody when standard output is closed, and not into what is opened later", function()
    local code = 'local f = io.tmpfile() print(1) io.stderr:write(f:seek("end"))'
    local out, err, status = support.sh(([["$EDDY" -e '%s' >&-]]):format(code))
    assert.same({ "", "0", 0 }, { out, err, status })
  end)

  it("shows that standard output could not be written", function()
    if not io.open("/dev/full", "w") then pending "no /dev/full here" return end
    local _, err, status = support.sh [["$EDDY" -e 'print(1)' >/dev/full]]
    assert.matches("^eddy: cannot write to standard output: ", err)
    assert.equal(1, status)
  end)
end)
