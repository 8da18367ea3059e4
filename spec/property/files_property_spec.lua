local eddy = require "eddy"

-- The same steps for Lua's io and for eddy, on two files with the same contents: the same results.

require("eddy.busted").timeout = 60

local seed = tonumber(os.getenv("SEED")) or os.time()

local function contents(random)
  local pieces = {}
  local kinds = {
    function() return ("word"):rep(random(0, 30)) .. "\n" end,
    function() return tostring(random(-1000, 1000)) .. (" "):rep(random(0, 3)) end,
    function() return ("%.3f"):format(random(-100, 100) / 7) .. "\n" end,
    function() return ("0x%x "):format(random(0, 65535)) end,
    function()
      return ({ "0x", "1e", "-", "+.5", ".", "1e+5", "0x.8p1", "nan", "1e400", "\0", "\r\n", "12abc" })[random(1, 12)]
    end,
    function() return ("9"):rep(random(150, 260)) .. " " end,
    function() return ("\n"):rep(random(0, 4)) end,
    function() return ("long"):rep(random(0, 40000)) .. (random(2) == 1 and "\n" or "") end,
  }
  for i = 1, random(0, 60) do pieces[i] = kinds[random(1, random(1, 4) == 1 and 8 or 7)]() end
  return table.concat(pieces)
end

local function formats(random)
  local list = {}
  for i = 1, random(1, 4) do
    list[i] = ({ "l", "L", "n", "a", 0, 1, random(0, 100), random(0, 200000), "*l", "*n" })[random(1, 10)]
    if list[i] == "a" and random(1, 3) > 1 then list[i] = "l" end
  end
  return list
end

local function same(a, b)
  if a.n ~= b.n then return false end
  for i = 1, a.n do
    if a[i] ~= b[i] or math.type(a[i]) ~= math.type(b[i]) then
      if a[i] == a[i] or b[i] == b[i] then return false end   -- two NaN are the same
    end
  end
  return true
end

local function show(values)
  local list = {}
  for i = 1, values.n do list[i] = ("%q"):format(tostring(values[i]):sub(1, 60)) end
  return table.concat(list, ", ")
end

-- The steps: name, and what does it to a file of either kind.
local function steps(random)
  local list = {}
  for i = 1, random(1, 40) do
    local kind = random(1, 10)
    if kind <= 6 then
      local wanted = formats(random)
      list[i] = { "read(" .. table.concat(wanted, ", ") .. ")", function(f) return f:read(table.unpack(wanted)) end }
    elseif kind == 7 then
      local whence, offset = ({ "set", "cur", "end" })[random(1, 3)], random(-3000, 3000)
      list[i] = { ("seek(%s, %d)"):format(whence, offset), function(f)
        local size = f:seek("end")
        f:seek("set", math.min(math.abs(offset) * 3, size))
        local here = f:seek()
        local target = whence == "set" and offset or whence == "cur" and here + offset or size + offset
        return target >= 0 and f:seek(whence, offset) or f:seek("set", 0)
      end }
    elseif kind == 8 then
      local n, format = random(1, 5), ({ "l", "L", 7, 70000 })[random(1, 4)]
      list[i] = { "lines(" .. format .. ")", function(f)
        local got = {}
        for line in f:lines(format) do
          got[#got + 1] = line
          if #got == n then break end
        end
        return table.unpack(got)
      end }
    else
      local data = ("w"):rep(({ 0, 1, 10, 5000, 70000 })[random(1, 5)])
      list[i] = { "write(" .. #data .. ")", function(f)
        f:seek("cur", 0)                      -- C wants it between a read and a write
        f:write(data, 12)
        return f:seek("cur", 0)
      end }
    end
  end
  return list
end

describe("files", function()
  it("read, write and seek as Lua's own do", function()
    local theirs_path, ours_path = os.tmpname(), os.tmpname()
    finally(function()
      os.remove(theirs_path)
      os.remove(ours_path)
    end)
    for round = 1, 150 do
      math.randomseed(seed, round)
      local data = contents(math.random)
      for _, path in ipairs { theirs_path, ours_path } do
        local f <close> = assert(io.open(path, "wb"))
        f:write(data)
      end
      local theirs <close> = assert(io.open(theirs_path, "r+b"))
      local ours <close> = eddy.open(ours_path, "r+b")
      for i, step in ipairs(steps(math.random)) do
        local a, b = table.pack(step[2](theirs)), table.pack(step[2](ours))
        if not same(a, b) then
          error(("SEED=%d, round %d, step %d, %s: Lua has %s, eddy has %s"):format(seed, round, i, step[1], show(a),
            show(b)))
        end
      end
      theirs:flush()
      ours:flush()
      assert.is_true(eddy.fs.read_file(theirs_path) == eddy.fs.read_file(ours_path), "SEED=" .. seed)
    end
  end)
end)
