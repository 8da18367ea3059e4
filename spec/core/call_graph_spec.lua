-- Who awaits whom, and where: eddy.capture_call_graph, format_call_graph, print_call_graph.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local tasks   -- the tasks of a test, which end with it

local function start(name, f, ...)
  local task = eddy.create_task(f, ...):set_name(name)
  tasks[#tasks + 1] = task
  return task
end

-- Lets all of them come to their waits.
local function settle() for _ = 1, 4 do eddy.sleep(0) end end

local function sleeper() eddy.sleep(100) end

-- The graph as nested lists of names: { "inner", { "outer", ... }, ... }.
local function names(node)
  local list = { node.future.get_name and node.future:get_name() or "future" }
  for _, outer in ipairs(node.awaited_by) do list[#list + 1] = names(outer) end
  return list
end

local function awaited_by(...) return { "inner", ... } end

describe("eddy.capture_call_graph #virtual", function()
  before_each(function() tasks = {} end)
  after_each(function()
    for _, task in ipairs(tasks) do task:cancel() end
    for _, task in ipairs(tasks) do pcall(eddy.await, task) end
  end)

  local inner
  before_each(function() inner = start("inner", sleeper) end)

  local waits = {
    await = function() eddy.await(inner) end,
    ["task:await"] = function() inner:await() end,
    gather = function() eddy.gather(inner) end,
    ["gather of a list with others"] = function()
      eddy.gather({ inner, function() eddy.sleep(1000) end, inner }, { return_exceptions = true })
    end,
    wait = function() eddy.wait({ inner }, { timeout = 50 }) end,
    wait_for = function() eddy.wait_for(inner, 50) end,
    timeout = function() eddy.timeout(50, eddy.await, inner) end,
    shield = function() eddy.shield(inner) end,
    select = function() eddy.select { inner, 50 } end,
    as_completed = function() for _ in eddy.as_completed { inner } do eddy.sleep(0) end end,
    ["a generator"] = function()
      local each = eddy.generator(function(yield) eddy.await(inner) yield(1) end)
      for _ in each() do eddy.sleep(0) end
    end,
    ["a coroutine deep inside others"] = function()
      local function nest(n)
        if n == 0 then return eddy.await(inner) end
        return eddy.coroutine.wrap(nest)(n - 1)
      end
      nest(40)
    end,
    ["an async function"] = eddy.async(function() eddy.await(eddy.async(function() eddy.await(inner) end)()) end),
  }
  for name, f in pairs(waits) do
    it("sees who waits by " .. name, function()
      start("outer", f)
      settle()
      assert.same(awaited_by { "outer" }, names(eddy.capture_call_graph(inner)))
    end)
  end

  it("sees who waits by map", function()
    start("outer", eddy.map, function() eddy.sleep(0) return eddy.await(inner) end, { 1 })
    settle()
    local graph = eddy.capture_call_graph(inner)
    assert.equal("outer", graph.awaited_by[1].awaited_by[1].future:get_name())
  end)

  it("sees the task whose group it is in, whatever that does now", function()
    start("outer", function()
      local group <close> = eddy.TaskGroup()
      group:create_task(function() eddy.await(inner) end):set_name "child"
      eddy.sleep(1)
    end)
    settle()
    assert.same(awaited_by { "child", { "outer" } }, names(eddy.capture_call_graph(inner)))
    eddy.sleep(2)
    assert.same(awaited_by { "child", { "outer" } }, names(eddy.capture_call_graph(inner)))
  end)

  it("lists all who wait, in the order in which they came, each once", function()
    for i = 1, 3 do start("outer " .. i, eddy.gather, inner, inner) end
    settle()
    assert.same(awaited_by({ "outer 1" }, { "outer 2" }, { "outer 3" }), names(eddy.capture_call_graph(inner)))
  end)

  it("is of futures too", function()
    local future = eddy.get_running_loop():create_future()
    start("outer", eddy.await, future)
    settle()
    local graph = eddy.capture_call_graph(future)
    assert.equal(future, graph.future)
    assert.same({}, graph.call_stack)
    assert.same({ "future", { "outer" } }, names(graph))
  end)

  it("has one node for a task that is reached in two ways", function()
    local left, right = start("left", eddy.await, inner), start("right", eddy.await, inner)
    start("top", eddy.gather, left, right)
    settle()
    local graph = eddy.capture_call_graph(inner)
    assert.equal("top", graph.awaited_by[1].awaited_by[1].future:get_name())
    assert.equal(graph.awaited_by[1].awaited_by[1], graph.awaited_by[2].awaited_by[1])
  end)

  it("does not see callbacks, those who wait no more, and those who do something else", function()
    inner:add_done_callback(print)
    start("timed", eddy.move_on_after, 1, eddy.await, inner)
    start("watching", function() eddy.wait({ inner }, { timeout = 1 }) sleeper() end)
    local iterator = eddy.as_completed { inner }
    settle()
    inner:remove_done_callback(print)
    eddy.sleep(2)
    assert.same(awaited_by(), names(eddy.capture_call_graph(inner)))
    assert.is_not_nil(iterator)
  end)

  it("ends at a ring of awaits", function()
    local a, b
    a = start("a", function() eddy.sleep(0) eddy.await(b) end)
    b = start("b", function() eddy.sleep(0) eddy.await(a) end)
    settle()
    local graph = eddy.capture_call_graph(a)
    assert.equal("b", graph.awaited_by[1].future:get_name())
    assert.equal(graph, graph.awaited_by[1].awaited_by[1])
    assert.matches("<Task 'a' [^\n]*, as above$", eddy.format_call_graph(a))
  end)

  it("has the frames of each, innermost first, through coroutines", function()
    local function deep() eddy.await(inner) end
    local line = debug.getinfo(deep, "S").linedefined
    start("outer", function() eddy.coroutine.wrap(function() deep() end)() end)
    settle()
    local outer = eddy.capture_call_graph(inner).awaited_by[1]
    local lines = {}
    for i, frame in ipairs(outer.call_stack) do
      assert.matches("call_graph_spec.lua$", frame.short_src)
      lines[i] = frame.currentline
    end
    assert.same({ line, line + 2, line + 2 }, lines)
    assert.same({ line }, { eddy.capture_call_graph(inner, { limit = 1 }).awaited_by[1].call_stack[1].currentline })
    assert.equal(1, #eddy.capture_call_graph(inner, { limit = 1 }).awaited_by[1].call_stack)
    assert.same({}, eddy.capture_call_graph(inner, { limit = 0 }).awaited_by[1].call_stack)
  end)

  it("without an argument is of the task that runs", function()
    local graph = eddy.capture_call_graph()
    assert.equal(eddy.current_task(), graph.future)
    assert.matches("call_graph_spec.lua$", graph.call_stack[1].short_src)
  end)

  it("without an argument is nil in a callback of the loop", function()
    local future = eddy.get_running_loop():create_future()
    eddy.get_running_loop():call_soon(function()
      future:set_result(eddy.capture_call_graph(), eddy.format_call_graph(), select("#", eddy.print_call_graph()))
    end)
    assert.same({ nil, "", 0, n = 3 }, table.pack(eddy.await(future)))
  end)

  it("of a task that is done, or has not begun, is that alone", function()
    local done = start("done", function() end)
    eddy.await(done)
    local new = eddy.create_task(sleeper):set_name "new"
    for _, task in ipairs { done, new } do
      local graph = eddy.capture_call_graph(task)
      assert.same({}, graph.call_stack)
      assert.same({}, graph.awaited_by)
    end
    tasks[#tasks + 1] = new
  end)

  it("of a child whose group was never closed, and whose parent has ended, is that alone", function()
    local group, child
    eddy.await(start("parent", function()
      group = eddy.TaskGroup()
      child = group:create_task(sleeper)
    end))
    start("another", sleeper) -- takes the place that the parent had
    eddy.sleep(0)
    assert.same({}, eddy.capture_call_graph(child).awaited_by)
    child:cancel()
    eddy.wait({ child }, { timeout = 1 })
  end)

  it("may be captured while a finalizer settles the future", function()
    for _ = 1, 5 do
      local future = eddy.get_running_loop():create_future()
      for i = 1, 8 do start("waits " .. i, eddy.await, future) end
      settle()
      local function settle_late() if not future:done() then future:set_result() end end
      local function forget() setmetatable({}, { __gc = settle_late }) end
      collectgarbage()
      forget()
      repeat eddy.capture_call_graph(future) until future:done()
    end
  end)

  it("is found in a chain of ten thousand awaits", function()
    local last = inner
    for i = 1, 10000 do last = start("outer " .. i, eddy.await, last) end
    settle()
    local node, n = eddy.capture_call_graph(inner), 0
    while node.awaited_by[1] do node, n = node.awaited_by[1], n + 1 end
    assert.equal(10000, n)
    assert.is_true(#eddy.format_call_graph(inner) < 100000)
  end)
end)

describe("eddy.capture_call_graph #plain", function()
  it("needs a loop that runs, or a future", function()
    for _, f in ipairs { eddy.capture_call_graph, eddy.format_call_graph, eddy.print_call_graph } do
      calls.raised_as(eddy.RuntimeError, f)
    end
    local task = eddy.run(eddy.current_task)
    assert.same({}, eddy.capture_call_graph(task).awaited_by)
  end)
end)

describe("eddy.format_call_graph #virtual", function()
  it("writes who waits where, and who awaits that", function()
    local function wait_long() eddy.sleep(100) end
    local line = debug.getinfo(1, "l").currentline
    local inner = eddy.create_task(function() wait_long() end):set_name "inner"
    local outer = eddy.create_task(function() eddy.gather(inner, function() end) end):set_name "outer"
    settle()
    local text = eddy.format_call_graph(inner)
    inner:cancel()
    pcall(eddy.await, outer)
    local file = debug.getinfo(1, "S").short_src
    assert.equal(([[
* <Task 'inner' pending, waiting in sleep at FILE:A>
  + call stack:
  |   FILE:A: in upvalue 'wait_long'
  |   FILE:B: in function <FILE:B>
  + awaited by:
    * <Task 'outer' pending, waiting in gather at FILE:C>
      + call stack:
      |   FILE:C: in function <FILE:C>]])
      :gsub("FILE", file):gsub("A", line - 1):gsub("B", line + 1):gsub("C", line + 2), text)
  end)

  it("is what print_call_graph prints", function()
    local printed
    local print_before = print
    _G.print = function(...) printed = table.pack(...) end
    local ok, err = pcall(function() eddy.print_call_graph(nil, { limit = 1 }) end)
    _G.print = print_before
    assert.is_true(ok, err)
    assert.same({ eddy.format_call_graph(nil, { limit = 0 }), n = 1 },
      { printed[1]:match("^[^\n]*"), n = printed.n })
  end)
end)
