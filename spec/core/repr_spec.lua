-- eddy.repr: values as a person wants to read them.

local eddy = require "eddy"
local repr = eddy.repr

describe("eddy.repr #virtual", function()
  it("tells plain values as tostring does", function()
    assert.equal("nil", repr(nil))
    assert.equal("true", repr(true))
    assert.equal("1", repr(1))
    assert.equal("1.0", repr(1.0))
    assert.equal(tostring(print), repr(print))
    assert.equal(tostring(io.stdout), repr(io.stdout))
  end)

  it("wants a value", function()
    assert.error_matches(function() repr() end, "value expected")
  end)

  it("quotes strings, so that Lua reads them back", function()
    assert.equal('"a\\n\\"b\\"\\\\"', repr 'a\n"b"\\')
    assert.equal('"\\x00\\x7F\\x1B"', repr "\0\127\27")
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local all = table.concat(bytes)
    assert.equal(all, load("return " .. repr(all))())
  end)

  it("leaves characters in UTF-8 as they are, and shows the bytes of what is none", function()
    assert.equal('"äöü – 😀"', repr "äöü – 😀")
    assert.equal('"\\xE4\\xC3"', repr "\xE4\xC3")
    assert.equal('"\\xC2\\x9B"', repr "\u{9B}")
  end)

  it("shows the fields of a table, its list first and then sorted", function()
    assert.equal("{}", repr {})
    assert.equal('{ 1, "a", nil, false }', repr { 1, "a", nil, false })
    assert.equal('{ 10, [-1] = 3, [0] = 2, [1.5] = 4, a = 1, b = 2, [true] = 5 }',
      repr { 10, b = 2, a = 1, [0] = 2, [-1] = 3, [1.5] = 4, [true] = 5 })
  end)

  it("puts keys that are no names into brackets", function()
    assert.equal('{ [""] = 1, ["\\n"] = 6, ["1a"] = 2, ["a b"] = 3, ["end"] = 4, ends = 5 }',
      repr { [""] = 1, ["1a"] = 2, ["a b"] = 3, ["end"] = 4, ends = 5, ["\n"] = 6 })
  end)

  it("shows tables in a table, and that there are others in these", function()
    assert.equal("{ a = { b = {...}, c = {} } }", repr { a = { b = { 1 }, c = {} } })
  end)

  it("sees when a table holds itself", function()
    local t = { x = 1 }
    t.me = t
    assert.equal("{ me = <cycle>, x = 1 }", repr(t))
    local inner = { t }
    inner[2] = inner
    t.me = inner
    assert.equal("{ me = { <cycle>, <cycle> }, x = 1 }", repr(t))
  end)

  it("leaves out what is too much", function()
    local list, set = {}, {}
    for i = 1, 250 do list[i], set["k" .. i] = 0, 0 end
    assert.matches("^{\n  0, 0, .*0, %.%.%. 150 more\n}$", (repr(list):gsub(",\n  %.%.%.", ", ...")))
    assert.equal(100, select(2, repr(list):gsub("0,", "")))
    assert.matches("  k1 = 0,\n  k10 = 0,.*\n  %.%.%. 150 more\n}$", repr(set))
    assert.equal(100, select(2, repr(set):gsub("= 0", "")))
    assert.equal("{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ... 240 more } }", repr { list })
  end)

  it("puts what is long on several lines", function()
    local long = ("x"):rep(40)
    assert.equal(('{\n  a = "%s",\n  b = "%s"\n}'):format(long, long), repr { a = long, b = long })
    local list = {}
    for i = 1, 90 do list[i] = i * 1000 end
    for line in repr(list):gmatch "[^\n]+" do assert.is_true(#line <= 80, line) end
  end)

  it("lets __tostring speak, and __name in front of the fields", function()
    local Speaks = { __tostring = function(self) return "<" .. self.name .. ">" end }
    assert.equal("<a>", repr(setmetatable({ name = "a" }, Speaks)))
    assert.equal("{ <a> }", repr { setmetatable({ name = "a" }, Speaks) })
    assert.equal("Point { x = 1 }", repr(setmetatable({ x = 1 }, { __name = "Point" })))
  end)

  it("reads fields raw", function()
    local t = setmetatable({ a = 1 }, {
      __index = function() error "asked" end,
      __pairs = function() error "asked" end,
      __len = function() error "asked" end,
    })
    assert.equal("{ a = 1 }", repr(t))
  end)

  it("shows the rest of a table in which a __tostring fails", function()
    local shy = setmetatable({}, { __tostring = function() error "shy" end })
    assert.equal("{ <table whose __tostring fails>, 1 }", repr { shy, 1 })
    assert.error_matches(function() repr(shy) end, "shy")
  end)

  it("bears a table that a __tostring changes meanwhile", function()
    local t = {}
    for i = 1, 20 do t["k" .. i] = i end
    t.a = setmetatable({}, { __tostring = function()
      for key in pairs(t) do t[key] = nil end
      collectgarbage()
      return "gone"
    end })
    assert.matches("^{\n  a = gone,\n  k1 = nil,", repr(t))
  end)

  it("tells tasks and errors as tostring does, and an error's traceback after it", function()
    local err = eddy.TimeoutError "too late"
    assert.equal(tostring(err), repr(err))
    assert.equal("{ " .. tostring(err) .. " }", repr { err })
    err.traceback = "stack traceback:\n\there"
    assert.equal(tostring(err) .. "\nstack traceback:\n\there", repr(err))
    local task = eddy.create_task(function() end)
    assert.equal(tostring(task), repr(task))
    task:await()
  end)
end)
