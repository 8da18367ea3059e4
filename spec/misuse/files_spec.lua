-- Wrong calls of files and of eddy.fs: every function with every argument wrong in many ways, closed files, the methods
-- of one type called with objects of others.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

require("eddy.busted").timeout = 30

local folder

setup(function()
  folder = eddy.fs.mkdtemp("/tmp/eddy-misuse-XXXXXX")
  eddy.fs.write_file(folder .. "/f", "contents\n")
end)

teardown(function() eddy.fs.remove(folder, { recursive = true }) end)

local STRANGERS = { "nil", "true", "1", "'x'", "{}", "print", "file", "light", "lock", "thread", "io.stdout", "future" }

-- Functions whose first argument is a path, with what else they need.
local PATHS = {
  stat = "", lstat = "", exists = "", read_file = "", write_file = ", 'x'", scandir = "", mkdir = "",
  rmdir = "", remove = "",
  rename = ", 'x'", copy = ", 'x'", link = ", 'x'", symlink = ", 'x'", readlink = "", realpath = "", chmod = ", 0",
  chown = "", utime = "", access = "", mkdtemp = "", mkstemp = "", truncate = "", statfs = "", walk = "", watch = "",
}

-- Arguments of other kinds: function, place, a call with %s in it, what is wrong.
local INTEGERS = { "math.mininteger", "-1", "0.5", "1 << 31", "1 << 53", "math.maxinteger", "1e30", "0/0", "1/0", "'x'",
  "{}", "true" }
local OTHERS = {
  { "chmod", 2, "eddy.fs.chmod('/none', %s)", INTEGERS },
  { "chown", 2, "eddy.fs.chown('/none', %s)", { "-1", "0.5", "1 << 32", "'x'", "{}" } },
  { "chown", 3, "eddy.fs.chown('/none', 0, %s)", { "-1", "0.5", "1 << 32", "'x'", "{}" } },
  { "truncate", 2, "eddy.fs.truncate('/none', %s)", { "-1", "0.5", "1e30", "0/0", "'x'", "{}" } },
  { "utime", 2, "eddy.fs.utime('/none', %s)", { "0/0", "1/0", "1e30", "'x'", "{}", "true" } },
  { "utime", 3, "eddy.fs.utime('/none', 0, %s)", { "0/0", "-1/0", "1e30", "'x'", "{}", "true" } },
  { "access", 2, "eddy.fs.access('/none', %s)", { "'q'", "'rwz'", "{}", "true" } },
  { "write_file", 2, "eddy.fs.write_file('/none/x', %s)", { "nil", "{}", "true", "print" } },
  { "write_file", 3, "eddy.fs.write_file('/none/x', '', %s)", { "1", "'x'", "{ a = 1 }", "{ mode = -1 }",
    "{ mode = 4096 }", "{ mode = 0.5 }", "{ atomic = 1 }", "{ append = 'x' }", "{ atomic = true, append = true }" } },
  { "mkdir", 2, "eddy.fs.mkdir('/none/x', %s)", { "1", "{ mode = 1 << 20 }", "{ parents = 1 }", "{ x = 1 }" } },
  { "remove", 2, "eddy.fs.remove('/none/x', %s)", { "true", "{ recursive = 1 }", "{ recurse = true }" } },
  { "copy", 3, "eddy.fs.copy('/none/x', '/none/y', %s)", { "true", "{ exclusive = 1 }", "{ x = true }" } },
  { "symlink", 3, "eddy.fs.symlink('x', '/none/y', %s)", { "true", "{ type = 'x' }", "{ type = 1 }" } },
  { "walk", 2, "eddy.fs.walk('/none/x', %s)", { "true", "{ follow = 1 }", "{ on_error = 1 }", "{ x = 1 }" } },
  { "open", 1, "eddy.open(%s)", { "nil", "1", "{}", "'a\\0b'" } },
  { "open", 2, "eddy.open('/none/x', %s)", { "1", "'q'", "'rw'", "'r++'", "'wx'", "{}", "true" } },
  { "lines", 1, "eddy.lines(%s)", { "nil", "1", "{}", "'a\\0b'" } },
  { "lines", 2, "eddy.lines('/none/x', %s)", { "'q'", "-1", "0.5", "{}", "true" } },
  { "read", 1, "f:read(%s)", { "'q'", "''", "-1", "0.5", "1e30", "0/0", "{}", "true", "nil" } },
  { "read", 2, "f:read('l', %s)", { "'q'", "-1", "{}" } },
  { "lines", 1, "f:lines(%s)", { "'q'", "-1", "{}" } },
  { "read_exactly", 1, "f:read_exactly(%s)", { "nil", "-1", "0.5", "'x'", "{}" } },
  { "read_until", 1, "f:read_until(%s)", { "nil", "''", "{}", "{ 1 }", "{ '' }", "1" } },
  { "write", 1, "f:write(%s)", { "nil", "true", "print", "{ true }", "{ {} }" } },
  { "write", 2, "f:write('x', %s)", { "true", "{ print }" } },
  { "seek", 1, "f:seek(%s)", { "'x'", "1", "{}" } },
  { "seek", 2, "f:seek('set', %s)", { "'x'", "0.5", "1e30", "0/0", "{}" } },
  { "truncate", 1, "f:truncate(%s)", { "-1", "0.5", "'x'", "{}" } },
  { "setvbuf", 1, "f:setvbuf(%s)", { "nil", "'x'", "1" } },
  { "setvbuf", 2, "f:setvbuf('no', %s)", { "'x'", "0.5", "{}" } },
}

local METHODS = { "read", "read_exactly", "read_until", "lines", "write", "flush", "setvbuf", "sync", "truncate",
  "seek", "stat", "close" }
local ARGUMENTS = { read_exactly = ", 1", read_until = ", 'x'", write = ", 'x'", setvbuf = ", 'no'" }

describe("a path", function()
  it("covers all of eddy.fs", function()
    for name in pairs(eddy.fs) do assert.is_string(PATHS[name], name) end
  end)

  for name, rest in pairs(PATHS) do
    it("that is none is refused by " .. name, function()
      for _, bad in ipairs { "nil", "true", "1", "{}", "print", "file", "light", "future", "'a\\0b'" } do
        misuse.assert_bad_argument(misuse.try(("eddy.fs.%s(%s%s)"):format(name, bad, rest)), 1, name)
      end
      if rest == ", 'x'" and name ~= "write_file" then
        misuse.assert_bad_argument(misuse.try(("eddy.fs.%s('x', %s)"):format(name, "'a\\0b'")), 2, name)
        misuse.assert_bad_argument(misuse.try(("eddy.fs.%s('x')"):format(name)), 2, name)
      end
    end)
  end
end)

describe("an argument", function()
  for _, case in ipairs(OTHERS) do
    it(("#%d of %s is refused when it is wrong: %s"):format(case[2], case[1], case[3]), function()
      local f <close> = eddy.open(folder .. "/f", "r+")
      for _, bad in ipairs(case[4]) do
        misuse.assert_bad_argument(misuse.try(case[3]:format(bad), { f = f }), case[2], case[1])
      end
      assert.equal("contents", f:read("l"))
    end)
  end
end)

describe("a method of files", function()
  for _, name in ipairs(METHODS) do
    it(name .. " is for files alone, and names itself on a closed one", function()
      local f = eddy.open(folder .. "/f", "r+")
      for _, stranger in ipairs(STRANGERS) do
        local outcome = misuse.try(("method(%s%s)"):format(stranger, ARGUMENTS[name] or ""), { method = f[name] })
        assert.is_true(outcome.raised, stranger)
        assert.matches("File expected", tostring(outcome.error))
      end
      f:close()
      local outcome = misuse.try(("f:%s(%s)"):format(name, (ARGUMENTS[name] or ""):sub(3)), { f = f })
      misuse.assert_error(outcome, eddy.RuntimeError, ("'%s' on a closed file"):format(name))
    end)
  end

  it("hides the metatable, and bears what is called by hand", function()
    local f = eddy.open(folder .. "/f")
    assert.is_false(pcall(setmetatable, f, {}))
    local meta = debug.getmetatable(f)
    for _, name in ipairs { "__gc", "__close", "__tostring" } do
      for _, stranger in ipairs(STRANGERS) do pcall(meta[name], load("return " .. stranger, "", "t", _G)()) end
    end
    meta.__gc(f)
    meta.__gc(f)
    for _, name in ipairs(METHODS) do
      local outcome = misuse.try(("f:%s(%s)"):format(name, (ARGUMENTS[name] or ""):sub(3)), { f = f })
      assert.is_true(outcome.raised)
    end
    pcall(tostring, f)
    pcall(meta.__close, f)
  end)
end)

describe("walks and watches", function()
  it("bear what is called by hand", function()
    local walk, watch = eddy.fs.walk(folder), eddy.fs.watch(folder)
    for _, object in ipairs { walk, watch } do
      local meta = debug.getmetatable(object)
      for _, name in ipairs { "__call", "__gc", "__close", "__tostring" } do
        for _, stranger in ipairs(STRANGERS) do
          local ok, err = pcall(meta[name], load("return " .. stranger, "", "t", _G)())
          if name == "__call" or name == "__close" then assert.is_false(ok, tostring(err)) end
        end
      end
    end
    assert.is_false(pcall(walk.close, watch))
    assert.is_false(pcall(watch.close, walk))
    debug.getmetatable(walk).__gc(walk)
    assert.is_nil(walk())
    warn("@off")
    debug.getmetatable(watch).__gc(watch)
    warn("@on")
    assert.is_false(pcall(watch))
    assert.is_false(pcall(watch.close, watch))
  end)

  it("need a task #plain", function()
    for _, call in ipairs { "eddy.fs.walk('/')", "eddy.fs.stat('/')", "eddy.open('/')", "eddy.lines('/')",
      "eddy.fs.read_file('/')", "eddy.fs.remove('/none')" } do
      misuse.assert_error(misuse.try(call), eddy.RuntimeError, "needs a running task")
    end
  end)
end)
