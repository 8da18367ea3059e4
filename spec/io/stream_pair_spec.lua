-- What eddy.stream_pair has beside other streams (those are in stream_conformance_spec.lua): a seed and bad manners.

local eddy = require "eddy"

local opened = {}

-- A pair that is closed with the test.
local function pair(options)
  local a, b = eddy.stream_pair(options)
  table.insert(opened, a)
  table.insert(opened, b)
  finally(function()
    for _, stream in ipairs(opened) do stream:abort() end
    while #opened > 0 do pcall(opened[1].wait_closed, table.remove(opened)) end
  end)
  return a, b
end

-- Sends `text` through a new pair. Returns the pieces in which it came and when.
local function pieces(options, text)
  local a, b = pair(options)
  local list, start = {}, eddy.time()
  eddy.create_task(function() a:write(text):close() end)
  for piece in function() return b:read(1 << 20) end do
    list[#list + 1] = ("%.9f %s"):format(eddy.time() - start, piece)
  end
  return list
end

local TEXT = ("0123456789"):rep(2000)

describe("eddy.stream_pair #virtual", function()
  it("gives two streams that are each other's peer", function()
    local a, b = pair()
    a:write("question\n")
    b:write(b:read():upper(), "\n")
    assert.equal("QUESTION", a:read())
    assert.equal("<stream of a pair>", tostring(a))
    assert.is_nil(a:peername())
    assert.is_nil(b:sockname())
  end)

  it("delivers at once, and whole, when nothing else is asked for", function()
    assert.same({ "0.000000000 " .. TEXT }, pieces({}, TEXT))
  end)

  it("delivers at most a chunk at once", function()
    local list = pieces({ chunk = 3000 }, TEXT)
    assert.equal(7, #list)
    assert.equal("0.000000000 " .. TEXT:sub(1, 3000), list[1])
  end)

  it("delays every piece", function()
    local list = pieces({ chunk = 5000, delay = 0.25 }, TEXT)
    assert.same({ "0.25", "0.50", "0.75", "1.00" },
      { list[1]:sub(1, 4), list[2]:sub(1, 4), list[3]:sub(1, 4), list[4]:sub(1, 4) })
  end)

  it("splits and delays the same way for the same seed", function()
    local options = { seed = 42, delay = { 0.001, 0.1 } }
    local first = pieces(options, TEXT)
    assert.same(first, pieces(options, TEXT))
    assert.is_true(#first > 3)
    assert.not_same(first, pieces({ seed = 43, delay = { 0.001, 0.1 } }, TEXT))
  end)

  it("delivers all of it in order, whatever the seed and the options are", function()
    for seed = 1, 60 do
      local random = seed
      local function pick(list)
        random = (random * 1103515245 + 12345) & 0x7fffffff
        return list[1 + (random >> 8) % #list]
      end
      local a, b = pair {
        seed = pick { seed, nil }, chunk = pick { 1, 7, 4096 }, delay = pick { 0, 0.001, { 0, 1 } },
        buffer = pick { 0, 1, 100, 65536 }, high_water = pick { 0, 10, 65536 }, limit = pick { 5, 1000 },
      }
      local sent, received = {}, {}
      local writer = eddy.create_task(function()
        for i = 1, 30 do
          sent[i] = tostring(i):rep(pick { 0, 1, 50 })
          a:write(sent[i], pick { "", "\n", { "x", "y" } })
        end
        a:close()
      end)
      for piece in function() return b:read(pick { 1, 3, 1000 }) end do received[#received + 1] = piece end
      writer:await()
      local text = table.concat(received):gsub("xy", ""):gsub("\n", "")
      assert.equal(table.concat(sent), text)
    end
  end)

  it("resets both ends after so many bytes of both", function()
    local a, b = pair { reset_after = 10 }
    a:write("1234")
    assert.equal("1234", b:read(4))
    b:write("567890 and more")
    local _, err = pcall(a.read, a, "a")
    assert.same({ "ECONNRESET", "read" }, { err.code, err.syscall })
    assert.equal("567890", a:read(100))
    for _, stream in ipairs { a, b } do
      assert.error_matches(function() stream:read(1) end, "ECONNRESET")
      assert.error_matches(function() stream:write("x") end, "ECONNRESET")
    end
  end)

  it("resets at a place that the seed chooses", function()
    local function come(seed)
      local a, b = pair { seed = seed, reset_after = { 1, 60000 } }
      a:write(("x"):rep(60000))
      pcall(b.read, b, "a")
      return #b:read(1 << 20)
    end
    assert.equal(come(1), come(1))
    assert.not_equal(come(1), come(2))
  end)

  it("wakes with the reset who waits in a write", function()
    local a, b = pair { reset_after = 1000, buffer = 0 }
    local writer = eddy.create_task(a.write, a, ("x"):rep(1 << 20))
    pcall(b.read, b, "a")
    assert.error_matches(function() writer:await() end, "ECONNRESET")
    assert.equal(1000, #b:read(1 << 20))
  end)

  it("may be reset from the start", function()
    local a, b = pair { reset_after = 0 }
    assert.error_matches(function() a:read(1) end, "ECONNRESET")
    assert.error_matches(function() b:write("x") end, "ECONNRESET")
  end)

  it("ends each direction after so many bytes", function()
    local a, b = pair { end_after = 5 }
    a:write("1234567"):write("8")
    assert.equal("12345", b:read("a"))
    b:write("back")
    assert.equal("back", a:read(10))
    a:write("nobody hears this")
    b:write("!?")
    assert.equal("!", a:read("a"))
  end)

  it("may be at its end from the start", function()
    local a, b = pair { end_after = 0 }
    a:write("lost")
    assert.is_nil(a:read())
    assert.is_nil(b:read())
  end)

  it("takes as sent what its buffer holds", function()
    local a, b = pair { buffer = 100, high_water = 10 }
    a:write(("x"):rep(110))
    local task = eddy.create_task(a.write, a, "y")
    eddy.sleep(1)
    assert.is_false(task:done())
    assert.equal(110, #b:read_exactly(110))
    task:await()
    a:close()
    a:wait_closed()
    assert.equal("y", b:read("a"))
  end)

  it("gives what was sent to a reader that comes after the close", function()
    local a, b = pair { delay = 3 }
    a:write("last words"):close()
    a:wait_closed()
    assert.equal("last words", b:read("a"))
    assert.equal(3, eddy.time())
  end)

  it("resets the writer of what is not read any more", function()
    local a, b = pair()
    a:write("unread")
    b:close()
    assert.error_matches(function() a:read() end, "ECONNRESET")
    assert.error_matches(function() a:write("x") end, "ECONNRESET")
  end)

  it("loses what an abort leaves unsent, and the reader sees the end", function()
    local a, b = pair { buffer = 10 }
    local task = eddy.create_task(a.write, a, ("x"):rep(1 << 20))
    eddy.sleep(0)
    a:abort()
    assert.error(function() task:await() end)
    assert.equal(10, #b:read("a"))
  end)

  it("lets a protocol time out in no time", function()
    local a, b = pair { delay = 3600 }
    a:write("late\n")
    assert.is_false((eddy.move_on_after(60, b.read, b)))
    assert.equal("late", b:read())
    assert.equal(3600, eddy.time())
  end)

  it("checks its options", function()
    for text, options in pairs {
      ["unknown option 'sed'"] = { sed = 1 }, ["option 'chunk'"] = { chunk = 0 }, ["option 'seed'"] = { seed = "x" },
      ["option 'delay': 0 <= min <= max expected"] = { delay = { 2, 1 } },
      ["option 'delay': number or {min, max} expected"] = { delay = { 1 } },
      ["option 'delay': number or {min, max} expected, got string"] = { delay = "1" },
      ["option 'reset_after': a number of bytes"] = { reset_after = 0.5 },
      ["option 'end_after': 0 <= min"] = { end_after = -1 },
      ["option 'buffer'"] = { buffer = -1 }, ["option 'limit'"] = { limit = 0 },
    } do
      local _, err = pcall(eddy.stream_pair, options)
      assert.equal("string", type(err))
      assert.truthy(err:find("bad argument #1 to 'stream_pair'", 1, true), err)
      assert.truthy(err:find(text, 1, true), err)
    end
    assert.error_matches(function() eddy.stream_pair { delay = 0 / 0 } end, "delay")
    assert.error_matches(function() eddy.stream_pair { delay = math.huge } end, "delay")
  end)
end)

describe("eddy.stream_pair #plain", function()
  it("needs a running loop", function()
    local _, err = pcall(eddy.stream_pair)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
  end)

  it("is a deadlock when both wait for the other", function()
    local _, err = pcall(eddy.run, function()
      local a, b = eddy.stream_pair()
      local _ <close> = a
      local _ <close> = b
      eddy.gather(function() return a:read() end, function() return b:read() end)
    end)
    assert.is_true(eddy.is_error(err, eddy.DeadlockError))
  end)
end)
