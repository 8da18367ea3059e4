-- move.lua - what moves between states, and what does not; run by move.c, which gives the functions that move values.
local host = ...
local eddy = require "eddy"
local move, call, pack = host.move, host.call, host.pack

-- There and back as bytes.
local function wire(trust, ...) return host.receive(trust, host.bytes(...)) end

local VALUES <const>, ARGUMENTS <const>, RESULTS <const>, ERROR <const> = 0, 1, 3, 4
local PROCESS <const>, STRIP <const> = 0x10, 0x20
local DATA, NAMES, CODE = 0, 1, 2

local function same(expected, got, what)
  if not rawequal(expected, got) then
    error(("%s: expected %s, got %s"):format(what or "value", tostring(expected), tostring(got)), 2)
  end
end

-- What calling f raises, as text.
local function raised(f, ...)
  local ok, err = pcall(f, ...)
  if ok then error("no error was raised", 2) end
  return tostring(err)
end

local function has(part, text)
  if not text:find(part, 1, true) then error(("no '%s' in: %s"):format(part, text), 2) end
end

local function test(_, f) f() end

test("scalars", function()
  same(0, select("#", move()))
  local n = select("#", move(nil, nil))
  same(2, n)
  for _, v in ipairs { true, false, 0, 1, 63, 64, -1, 127, 128, -128, -129, 32767, 32768, -32768, -32769, 2147483647,
      2147483648, -2147483648, -2147483649, math.maxinteger, math.mininteger, 0.5, -0.0, 1 / 0, -1 / 0, 3.0, "",
      "x", ("x"):rep(127), ("x"):rep(128), ("x"):rep(1023), ("x"):rep(100000), "\0\255" } do
    local w = move(v)
    same(v, w)
    same(math.type(v), math.type(w))
  end
  for _, bits in ipairs { 0x7ff8000000000000, 0x7ff8000000000123, -1, 0x7ff0000000000001 } do
    same(bits, (string.unpack("j", string.pack("n", (move(string.unpack("n", string.pack("j", bits))))))))
  end
end)

test("tables", function()
  local t = move({ 1, 2, 3, id = 1, [true] = "x", [2.5] = {}, [-1] = false })
  same(3, #t)
  same(3, t[3])
  same(1, t.id)
  same("x", t[true])
  same("table", type(t[2.5]))
  same(false, t[-1])
  t = move({ 1, nil, nil, 4, nil, 6 })
  same(1, t[1]) same(nil, t[2]) same(4, t[4]) same(6, t[6])
  local a = {}
  a.me, a[a] = a, a
  local b = { a, a, x = a }
  local c, d = move(b, b)
  same(c, d)
  same(c[1], c[2])
  same(c[1], c.x)
  same(c[1], c[1].me)
  same(c[1], c[1][c[1]])
end)

test("many and deep", function()
  local list
  for i = 1, 300000 do list = { next = list, i } end
  local l, n = move(list), 0
  while l do
    n, l = n + 1, l.next
  end
  same(300000, n)
  local wide = {}
  for i = 1, 100000 do wide[i] = { i } end
  local w = move(wide)
  same(100000, #w)
  for i = 1, 100000 do same(i, w[i][1]) end
  same(200000, select("#", move(table.unpack(wide, 1, 100000), table.unpack(wide, 1, 100000))) + 99999)
end)

test("very many values", function()
  for _, n in ipairs { 250, 8000, 200000, 400000 } do
    same(n, select("#", move(table.unpack({}, 1, n))))
  end
  local ok, err = pcall(function() return select("#", move(table.unpack({}, 1, 999000))) end)
  if not ok then has("stack overflow", err) end
  same(1, (move(1)))
end)

test("strings that come again", function()
  local long = ("y"):rep(5000)
  same(true, pack(VALUES, long, long, { long, long }) < 6000)
  local a, b, c = move(long, long, { long, k = long, [long] = 1 })
  same(long, a) same(long, b) same(long, c[1]) same(long, c.k) same(1, c[long])
  local huge = ("z"):rep(100 * 2^20)
  same(true, huge == move(huge))
  huge = nil   -- luacheck: ignore
  collectgarbage()
  local records = {}
  for i = 1, 100 do records[i] = { identifier = i, name = "name", ["k" .. i] = "name" } end
  local r = move(records)
  for i = 1, 100 do
    same(i, r[i].identifier)
    same("name", r[i].name)
    same("name", r[i]["k" .. i])
  end
end)

test("functions", function()
  same(7, call(function(a, b) return a + b end, 3, 4))
  local function factorial(n) return n < 2 and 1 or n * factorial(n - 1) end
  same(120, call(factorial, 5))
  local odd
  local function even(n) return n == 0 or odd(n - 1) end
  function odd(n) return n ~= 0 and even(n - 1) end
  same(true, call(even, 10))
  local count = 0
  local function add() count = count + 1 return count end
  local function get() return count end
  local f, g = move(add, get)
  f() f()
  same(2, g())
  same(0, count)
  same(42, call(function(t) return t.f(41) end, { f = function(x) return x + 1 end }))
  same("number", call(function() return type(math.pi) end))
  same(nil, rawget(_G, "leaked"))
  call(function() leaked = 1 end)   -- luacheck: ignore
  same(nil, rawget(_G, "leaked"))
end)

test("async functions, generators, context variables", function()
  local fib
  fib = eddy.async(function(n) return n < 2 and n or eddy.await(fib(n - 1)) + eddy.await(fib(n - 2)) end)
  same(8, call(function() return eddy.run(fib, 6) end))
  local f, g = move(fib, { fib })
  same(f, g[1])
  same(true, eddy.iscoroutinefunction(f))
  local count = eddy.generator(function(yield, n) for i = 1, n do yield(i) end end)
  same(6, call(function()
    local sum = 0
    for i in count(3) do sum = sum + i end
    return sum
  end))
  local var = eddy.ContextVar("user", { name = "nobody" })
  same("nobody", call(function() return var:get().name end))
  has("the default of argument 1.v: userdata cannot", raised(pack, ARGUMENTS, { v = eddy.ContextVar("x", io.stdout) }))
end)

test("what each state has of its own", function()
  local format, rep, concat = string.format, string.rep, table.concat
  same("aa 1", call(function() return concat({ rep("a", 2), format("%d", 1) }, " ") end))
  same(true, call(function(s, t, g) return s == string and t == table and g == _G end, string, table, _G))
  same(string, (move(string)))
  same(print, (move(print)))
  same(_G, (move(_G)))
  same(package.loaded, (move(package.loaded)))
  same(require, (move(require)))
  same(eddy, (move(eddy)))
  same(eddy.sleep, (move(eddy.sleep)))
  same(true, call(function() return eddy == require "eddy" end))
  local own <const> = { f = function() end, x = 1 }
  package.loaded.own_module = own
  has("module 'own_module' not found", raised(call, function() return own.x end))
  call(function() package.preload.own_module = function() return { x = "theirs" } end end)
  same("theirs", call(function() return own.x end))
  same(own, (move(own, own.f)))
  call(function() package.loaded.own_module = nil end)
  package.loaded.own_module = nil
end)

test("errors", function()
  local e = move(eddy.TimeoutError("late"))
  same(true, eddy.is_error(e, eddy.TimeoutError))
  same("late", e.message)
  same("TimeoutError: late", tostring(e))
  local _, e2 = call(function() error(eddy.OSError { code = "ENOENT", path = "/x", message = "no" }) end)
  same("ENOENT", e2.code)
  same("/x", e2.path)
  same(true, e2:is(eddy.OSError))
  local group = move(eddy.ExceptionGroup("several", { eddy.Error("a"), "b" }))
  same(true, group:is(eddy.ExceptionGroup))
  same("a", group.errors[1].message)
  same(eddy.Error, (move(eddy.Error)))
  local Mine = eddy.RuntimeError:extend("Mine")
  Mine.code = 5
  function Mine:twice() return self.message .. self.message end
  local _, mine = call(function() error(Mine("x")) end)
  same(Mine, getmetatable(mine))
  same("xx", mine:twice())
  same("Mine: x", tostring(mine))
  same(true, call(function()
    return Mine("y"):is(eddy.RuntimeError) and Mine.code == 5 and tostring(Mine("y")) == "Mine: y"
  end))
  local Sub = Mine:extend("Sub")
  same(true, call(function() return Sub("z"):is(Mine) and Sub("z"):is(eddy.Error) and Sub("z"):twice() == "zz" end))
end)

test("metatables", function()
  local Point = {}
  Point.__index = Point
  function Point.new(x) return setmetatable({ x = x }, Point) end
  function Point:double() return Point.new(self.x * 2) end
  Point.__eq = function(a, b) return a.x == b.x end
  local p = move(Point.new(4))
  same(8, p:double().x)
  same(8, call(function() return Point.new(4):double().x end))
  local q = call(function(point) return point:double() end, Point.new(3))
  same(6, q.x)
  local log = {}
  local mean = setmetatable({ 1 }, { __index = function() log[1] = 1 end, __pairs = function() log[2] = 1 end,
    __len = function() log[3] = 1 return 0 end, __newindex = error, __gc = function() end, __metatable = "no" })
  same(1, rawget(move(mean), 1))
  same(nil, next(log))
end)

test("metatables that are registered", function()
  local function register() debug.getregistry()["a kind"] = { __name = "a kind", __index = { x = io.stdout } } end
  local registry = debug.getregistry()
  register()
  local object = setmetatable({}, registry["a kind"])
  has("which this state lacks", raised(call, function() return object end))
  call(register)
  same(registry["a kind"], getmetatable((move(object))))
  same(true, call(function() return getmetatable(object) == debug.getregistry()["a kind"] end))
  registry["a kind"] = nil
  has("userdata cannot be moved", raised(move, object))
end)

test("no finalizer and no hook while values are looked at", function()
  local big, finalized, hooked = {}, 0, 0
  for i = 1, 5000 do big[i] = { i } end
  local function litter()   -- garbage whose finalizers change what is packed
    for _ = 1, 200 do
      setmetatable({}, { __gc = function()
        finalized = finalized + 1
        big["key" .. finalized] = finalized
      end })
    end
  end
  local pause = collectgarbage("setpause", 0)
  local function hook()
    hooked = hooked + 1
    big.hooked = hooked
  end
  local run = 0   -- finalizers that ran meanwhile
  for _ = 1, 20 do
    litter()
    debug.sethook(hook, "c")
    local hooks, before = hooked, finalized
    pack(VALUES, big, print)
    local calls, after = hooked - hooks, finalized
    debug.sethook()
    run = run + after - before
    same(1, calls, "calls that the hook saw")   -- that of pack
  end
  same(0, run, "finalizers")
  collectgarbage("setpause", pause)
  same(true, finalized > 0)
end)

test("buffers", function()
  local b = eddy.buffer("hello")
  local c, d = move(b, { b })
  same("hello", tostring(c))
  same(c, d[1])
  c:set(1, 72)
  same("Hello", tostring(c))
  same("hello", tostring(b))
  same("hello", tostring((wire(DATA, b))))
  same(true, pack(VALUES, eddy.buffer(10000000)) < 1000)   -- its bytes are not copied
end)

test("the wire", function()
  local t = wire(DATA, { 1, "x", { y = 2.5 } })
  same(2.5, t[3].y)
  same(true, eddy.is_error(wire(DATA, eddy.Error "x")))
  same(3, wire(CODE, function() return 3 end)())
  has("functions are not accepted", raised(wire, NAMES, function() end))
  has("names are not accepted", raised(wire, DATA, print))
  same(print, (wire(NAMES, print)))
  local bytes = host.bytes({ 1, 2, "three" }, 0.5)
  for i = 1, #bytes do   -- not one bit may be wrong
    for bit = 0, 7 do
      local wrong = bytes:sub(1, i - 1) .. string.char(bytes:byte(i) ~ 1 << bit) .. bytes:sub(i + 1)
      if i <= host.head then same(0, select("#", host.receive(CODE, wrong)))
      else has("RuntimeError: damaged parcel", raised(host.receive, CODE, wrong))
      end
    end
  end
end)

test("what cannot move", function()
  local co, file, light = coroutine.create(print), io.stdout, debug.upvalueid(raised, 1)
  has("pack: argument 1: userdata cannot be moved", raised(pack, ARGUMENTS, file))
  has("pack: argument 2: coroutine cannot be moved", raised(pack, ARGUMENTS, 1, co))
  has("pack: result 1: light userdata cannot be moved", raised(pack, RESULTS, light))
  has("pack: the error.cause: userdata cannot be moved", raised(pack, ERROR, { cause = file }))
  has("pack: argument 2.config.handlers[3]: userdata cannot be moved",
    raised(pack, ARGUMENTS, 1, { config = { handlers = { 1, 2, file } } }))
  has([[pack: argument 1["a b"][1.5][true]: userdata cannot be moved]],
    raised(pack, ARGUMENTS, { ["a b"] = { [1.5] = { [true] = file } } }))
  has([[pack: argument 1["a\"\010"]: userdata]], raised(pack, ARGUMENTS, { ["a\"\n"] = file }))
  has("pack: a key of argument 1.x: userdata cannot be moved", raised(pack, ARGUMENTS, { x = { [file] = 1 } }))
  has("pack: (a key of argument 1).y: userdata cannot be moved", raised(pack, ARGUMENTS, { [{ y = file }] = 1 }))
  has("pack: argument 1[<table>]: userdata cannot be moved", raised(pack, ARGUMENTS, { [{}] = file }))
  has("pack: (the metatable of argument 1).__index: userdata cannot be moved",
    raised(pack, ARGUMENTS, setmetatable({}, { __index = file })))
  local db = file
  local f, line = function() return db end, debug.getinfo(1, "l").currentline
  has(("call: upvalue 'db' of function <spec/embed/move.lua:%d>: userdata cannot be moved"):format(line),
    raised(call, f))
  has(("pack: upvalue 'db' of function <spec/embed/move.lua:%d> in argument 1.cb: userdata cannot be moved")
    :format(line), raised(pack, ARGUMENTS, { cb = f }))
  local helper = { deep = { f } }
  local g, gline = function() return helper end, debug.getinfo(1, "l").currentline
  has(("call: upvalue 'db' of function <spec/embed/move.lua:%d> in upvalue 'helper'.deep[1] of function " ..
    "<spec/embed/move.lua:%d>: userdata cannot be moved"):format(line, gline), raised(call, g))
  has("C function cannot be moved", raised(pack, ARGUMENTS, (string.gmatch("x", "x"))))
  has("the function: userdata cannot be moved", raised(call, file))
  local deep = { file }
  for _ = 1, 100000 do deep = { n = deep } end
  has("argument 1.n.n.n.n.n.n.n.n ... .n.n.n.n.n.n.n[1]: userdata cannot be moved", raised(pack, ARGUMENTS, deep))
  local code = function() return 1 end
  same(true, pack(STRIP, code) < pack(VALUES, code))
  has("pack: value 1: userdata cannot be moved", raised(pack, PROCESS, file))
  -- Nothing stays behind: the next one is as good as the first.
  same(5, (move(5)))
end)
