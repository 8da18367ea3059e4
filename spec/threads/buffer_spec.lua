local eddy = require "eddy"

local function filled(...) return eddy.buffer(string.char(...)) end

describe("eddy.buffer", function()
  it("is made of zeros or of a string", function()
    assert.equal("\0\0\0", tostring(eddy.buffer(3)))
    assert.equal("", tostring(eddy.buffer(0)))
    assert.equal("a\0b", tostring(eddy.buffer("a\0b")))
    assert.equal(3, #eddy.buffer("a\0b"))
  end)

  it("gives bytes as string.byte and string.sub do", function()
    local text = "hello"
    local b = eddy.buffer(text)
    for i = -7, 7 do
      assert.same({ text:byte(i) }, { b:byte(i) })
      assert.equal(text:sub(i), b:sub(i))
      for j = -7, 7 do
        assert.same({ text:byte(i, j) }, { b:byte(i, j) })
        assert.equal(text:sub(i, j), b:sub(i, j))
      end
    end
    assert.same({ 104 }, { b:byte() })
    assert.equal("", b:sub(math.maxinteger))
    assert.equal("hello", b:sub(math.mininteger))
  end)

  it("sets bytes that are there, or none", function()
    local b = filled(1, 2, 3)
    assert.equal(b, b:set(2, 20, 255):set(-3, 9))
    assert.same({ 9, 20, 255 }, { b:byte(1, -1) })
    assert.error_matches(function() b:set(3, 1, 2) end, "bad argument #1 to 'set' %(the bytes do not fit%)")
    assert.error_matches(function() b:set(4, 1) end, "bad argument #1 to 'set' %(position out of range%)")
    assert.error_matches(function() b:set(0, 1) end, "bad argument #1 to 'set' %(position out of range%)")
    assert.error_matches(function() b:set(1, 2, 256) end, "bad argument #3 to 'set' %(a byte is 0 to 255%)")
    assert.error_matches(function() b:set(1) end, "bad argument #2 to 'set'")
    assert.same({ 9, 20, 255 }, { b:byte(1, -1) })
  end)

  it("fills a range", function()
    assert.equal("xxxx", tostring(eddy.buffer(4):fill(120)))
    assert.equal("\0xx\0", tostring(eddy.buffer(4):fill(120, 2, -2)))
    assert.equal("\0\0", tostring(eddy.buffer(2):fill(120, 3)))
  end)

  it("takes bytes of strings and buffers, also its own", function()
    local b = eddy.buffer("abcdef")
    assert.equal("abXYef", tostring(b:copy(3, "XY")))
    assert.equal("abXYZf", tostring(b:copy(-2, eddy.buffer("xyZ"), 3)))
    assert.equal("aabXYZ", tostring(b:copy(2, b, 1, 5)))
    assert.equal("aabXYZ", tostring(b:copy(7, "")))
    assert.error_matches(function() b:copy(6, "12") end, "bad argument #2 to 'copy' %(the bytes do not fit%)")
    assert.error_matches(function() b:copy(1, 12) end,
      "bad argument #2 to 'copy' %(string or Buffer expected, got number%)")
  end)

  it("packs and unpacks numbers", function()
    local b = eddy.buffer(12)
    assert.equal(5, b:pack(1, "<i4", -2))
    assert.equal(13, b:pack(5, "<d", 0.5))
    assert.same({ -2, 0.5, 13 }, { b:unpack(1, "<i4d") })
    assert.same({ 0.5, 13 }, { b:unpack(-8, "<d") })
    assert.error_matches(function() b:pack(10, "i4", 1) end, "bad argument #2 to 'pack' %(the bytes do not fit%)")
    assert.error_matches(function() b:unpack(10, "i4") end, "the bytes end before the format does")
    assert.error_matches(function() b:unpack(1, "z") end, "variable")
  end)

  it("refuses sizes that cannot be", function()
    assert.error_matches(function() eddy.buffer(-1) end, "bad argument #1 to 'buffer' %(a size cannot be negative%)")
    assert.error_matches(function() eddy.buffer(1.5) end, "no integer representation")
    assert.error_matches(function() eddy.buffer {} end,
      "bad argument #1 to 'buffer' %(number or string expected, got table%)")
    local err = assert.error(function() eddy.buffer(math.maxinteger) end)
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.equal("ENOMEM", err.code)
  end)
end)
