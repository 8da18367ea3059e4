-- loop:set_task_factory, loop:shutdown_asyncgens.

local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised = calls.raised

describe("loop:set_task_factory #virtual", function()
  it("asks the factory for each task, with the function and its arguments", function()
    local loop, seen = eddy.get_running_loop(), {}
    loop:set_task_factory(function(given, f, ...)
      assert.equal(loop, given)
      seen[#seen + 1] = table.concat({ ... }, " ")
      return loop:create_task(f, ...):set_name "made by the factory"
    end)
    local task = eddy.create_task(function(...) return select("#", ...) end, "a", "b")
    local group <close> = eddy.TaskGroup()
    local child = group:create_task(function() end, "c")
    assert.equal("made by the factory", task:get_name())
    assert.equal("made by the factory", child:get_name())
    assert.equal(2, task:await())
    assert.same({ "a b", "c" }, seen)
    loop:set_task_factory(nil)
    assert.is_nil(loop:get_task_factory())
    local plain = eddy.create_task(function() end)
    assert.matches("^Task%-", plain:get_name())
    plain:await()
  end)

  it("may be taken away by the factory itself", function()
    local loop = eddy.get_running_loop()
    loop:set_task_factory(function(_, f, ...)
      loop:set_task_factory(nil)
      return loop:create_task(f, ...):set_name "the only one"
    end)
    assert.equal("the only one", eddy.create_task(print):get_name())
    assert.equal(1, eddy.create_task(function() return 1 end):await())
  end)

  it("raises what the factory raises, and refuses what is no task of the loop", function()
    local loop = eddy.get_running_loop()
    loop:set_task_factory(function() error("no tasks today", 0) end)
    assert.equal("no tasks today", raised(eddy.create_task, print))
    loop:set_task_factory(function() return 42 end)
    assert.matches("the task factory must return a Task of its loop", tostring(raised(eddy.create_task, print)))
    loop:set_task_factory()
    assert.matches("bad argument #%d to 'set_task_factory' %(function expected, got number%)",
      raised(loop.set_task_factory, loop, 1))
  end)
end)

describe("loop:shutdown_asyncgens #virtual", function()
  it("closes the generators that were left open, and waits for that", function()
    local closed = 0
    local numbers = eddy.generator(function(yield)
      local _ <close> = setmetatable({}, { __close = function()
        eddy.sleep(1)
        closed = closed + 1
      end })
      for i = 1, 3 do yield(i) end
    end)
    local a, b = numbers(), numbers()
    a()
    b()
    eddy.get_running_loop():shutdown_asyncgens()
    assert.equal(2, closed)
    assert.equal(1, eddy.time())
    assert.is_nil(a())
  end)
end)
