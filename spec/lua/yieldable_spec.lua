-- eddy.sort, eddy.gsub, eddy.require: Lua's functions, with callbacks that wait.

local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

local raised = calls.raised

local function slow_less(a, b)
  eddy.sleep(1)
  return a < b
end

describe("eddy.sort #virtual", function()
  it("sorts with a comparison that waits", function()
    local list = { 3, 1, 2 }
    eddy.sort(list, slow_less)
    assert.same({ 1, 2, 3 }, list)
    assert.is_true(eddy.time() >= 2)
  end)

  it("sorts as table.sort does, for lists of every length up to 40", function()
    math.randomseed(42)
    for n = 0, 40 do
      local mine, theirs = {}, {}
      for i = 1, n do
        mine[i] = math.random(10)
        theirs[i] = mine[i]
      end
      eddy.sort(mine)
      table.sort(theirs)
      assert.same(theirs, mine)
    end
  end)

  it("keeps the order of equal elements", function()
    local list = {}
    for i = 1, 20 do list[i] = { key = i % 3, place = i } end
    eddy.sort(list, function(a, b) return a.key < b.key end)
    for i = 2, 20 do
      assert.is_true(list[i - 1].key < list[i].key or list[i - 1].place < list[i].place)
    end
  end)

  it("leaves the list as it was when the comparison raises or the task is cancelled", function()
    local list = { 3, 2, 1 }
    assert.equal("no", raised(eddy.sort, list, function() error("no", 0) end))
    assert.same({ 3, 2, 1 }, list)
    local task = eddy.create_task(eddy.sort, list, slow_less)
    eddy.sleep(0.5)
    task:cancel()
    eddy.wait { task }
    assert.is_true(task:cancelled())
    assert.same({ 3, 2, 1 }, list)
  end)

  it("names a wrong argument", function()
    assert.matches("bad argument #1 to 'sort' %(table expected, got nil%)", raised(eddy.sort))
    assert.matches("bad argument #2 to 'sort' %(function expected, got number%)", raised(eddy.sort, {}, 1))
    assert.matches("attempt to compare", raised(eddy.sort, { 1, {} }))
  end)
end)

describe("eddy.gsub #virtual", function()
  it("replaces by what a function that waits returns", function()
    assert.same({ "<a> <b>", 2 }, { eddy.gsub("a b", "%a", function(c)
      eddy.sleep(1)
      return "<" .. c .. ">"
    end) })
    assert.equal(2, eddy.time())
  end)

  it("does what string.gsub does", function()
    local subjects = { "", "abc", "hello world", "x=1, y=2", "aaa", "THE (quick) fox" }
    local patterns = { "", "x*", "%w+", "(%w+)=(%w+)", "^a", "a", "()", "%f[%w]%w+", ".-", "$", "l+", "%((%a+)%)" }
    local function shout(...) return "<" .. table.concat({ ... }, ",") .. ">" end
    local replacements = { shout, { a = "1", hello = 2, quick = false }, "%0%0", function() end }
    for _, s in ipairs(subjects) do
      for _, pattern in ipairs(patterns) do
        for i, repl in ipairs(replacements) do
          for _, max in ipairs { false, 0, 1, 2 } do
            assert.same({ string.gsub(s, pattern, repl, max or nil) }, { eddy.gsub(s, pattern, repl, max or nil) },
              ("gsub(%q, %q, #%d, %s)"):format(s, pattern, i, max))
          end
        end
      end
    end
  end)

  it("names a wrong argument or replacement", function()
    assert.matches("bad argument #1 to 'gsub' %(string expected, got nil%)", raised(eddy.gsub))
    assert.matches("bad argument #2 to 'gsub' %(string expected, got table%)", raised(eddy.gsub, "", {}))
    assert.matches("invalid replacement value %(a table%)", raised(eddy.gsub, "a", "a", function() return {} end))
  end)
end)

describe("eddy.require #virtual", function()
  local folder, path
  setup(function()
    folder = support.folder {
      ["slow.lua"] = "local eddy = require 'eddy' eddy.sleep(5) loads = (loads or 0) + 1 return { name = ... }",
      ["self.lua"] = "return require('eddy').require 'self'",
      ["broken.lua"] = "local eddy = require 'eddy' eddy.sleep(1) error('broken', 0)",
    }
    path = package.path
    package.path = folder .. "/?.lua;" .. path
  end)
  teardown(function()
    package.path = path
    support.remove(folder)
  end)
  after_each(function() package.loaded.slow = nil end)

  it("loads a module whose main chunk waits", function()
    local start = eddy.time()
    assert.equal("slow", eddy.require("slow").name)
    assert.equal(5, eddy.time() - start)
    assert.equal(package.loaded.slow, eddy.require "slow")
  end)

  it("loads it once for two tasks", function()
    local start = eddy.time()
    local list = eddy.gather(function() return eddy.require "slow" end, function() return eddy.require "slow" end)
    assert.equal(list[1], list[2])
    assert.equal(5, eddy.time() - start)
  end)

  it("can be cancelled while another task loads the module", function()
    local first = eddy.create_task(eddy.require, "slow")
    eddy.sleep(1)
    local second = eddy.create_task(eddy.require, "slow")
    eddy.sleep(1)
    second:cancel()
    assert.is_true(eddy.is_error(raised(eddy.await, second), eddy.CancelledError))
    assert.equal("slow", first:await().name)
  end)

  it("raises what the module raises, to each, and tries again the next time", function()
    assert.equal("broken", raised(eddy.require, "broken"))
    assert.equal("broken", raised(eddy.require, "broken"))
  end)

  it("refuses a module that requires itself, and one that is not there", function()
    assert.matches("module 'self' requires itself", raised(eddy.require, "self"))
    assert.matches("module 'no.such' not found:.*no file", raised(eddy.require, "no.such"))
    assert.matches("bad argument #1 to 'require' %(string expected, got nil%)", raised(eddy.require))
  end)
end)
