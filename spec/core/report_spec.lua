local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

local raised = calls.raised

local function collect()
  collectgarbage()
  collectgarbage()
end

-- Contexts that the handler of the running loop is given from now on.
local function collect_reports()
  local reports = {}
  eddy.get_running_loop():set_exception_handler(function(_, ctx) reports[#reports + 1] = ctx end)
  return reports
end

-- Lets look(task) look at a task that has failed, and forgets the task.
local function fail_and(look)
  eddy.await(eddy.create_task(function()
    local task = eddy.create_task(error, "boom", 0)
    eddy.sleep(0)
    look(task)
  end))
  collect()
end

describe("An error of a task that nobody looks at #virtual", function()
  it("is reported when the task is collected", function()
    local reports = collect_reports()
    eddy.create_task(error, "boom", 0):set_name("worker")
    eddy.sleep(0)
    collect()
    assert.equal(1, #reports)
    assert.equal("Task exception was never retrieved", reports[1].message)
    assert.equal("boom", reports[1].exception)
    assert.equal("worker", reports[1].task:get_name())
  end)

  it("is reported once", function()
    local reports = collect_reports()
    eddy.create_task(error, "boom", 0)
    eddy.sleep(0)
    for _ = 1, 5 do
      collect()
      eddy.sleep(1)
    end
    assert.equal(1, #reports)
  end)

  it("is not reported while somebody holds the task", function()
    local reports = collect_reports()
    local task = eddy.create_task(error, "boom", 0)
    eddy.sleep(0)
    collect()
    assert.same({}, reports)
    assert.equal("boom", task:exception())
  end)

  for what, look in pairs {
    ["await"] = function(task) pcall(eddy.await, task) end,
    ["result()"] = function(task) pcall(task.result, task) end,
    ["exception()"] = function(task) task:exception() end,
    ["gather"] = function(task) pcall(eddy.gather, task) end,
    ["shield"] = function(task) pcall(eddy.shield, task) end,
    ["wait_for"] = function(task) pcall(eddy.wait_for, task, 1) end,
  } do
    it("is not reported after " .. what, function()
      local reports = collect_reports()
      fail_and(look)
      assert.same({}, reports)
    end)
  end

  for what, look in pairs {
    ["done()"] = function(task) task:done() end,
    ["tostring"] = function(task) tostring(task) end,
    ["wait"] = function(task) eddy.wait { task } end,
    ["as_completed"] = function(task) eddy.as_completed({ task })() end,
    ["cancel, which comes too late"] = function(task) task:cancel() end,
  } do
    it("is reported all the same after " .. what, function()
      local reports = collect_reports()
      fail_and(look)
      assert.equal(1, #reports)
    end)
  end

  it("is reported, whatever value it is", function()
    local reports = collect_reports()
    local value = { code = 7 }
    eddy.create_task(error, value)
    eddy.create_task(error, false)
    eddy.create_task(error, nil)
    eddy.sleep(0)
    collect()
    assert.equal(3, #reports)
    local values, nils = {}, 0
    for _, ctx in ipairs(reports) do
      if ctx.exception == nil then nils = nils + 1 else values[ctx.exception] = true end
    end
    assert.same({ [value] = true, [false] = true }, values)
    assert.equal(1, nils)
  end)

  it("is not there when the task was cancelled", function()
    local reports = collect_reports()
    eddy.create_task(eddy.sleep, 60):cancel()
    eddy.create_task(function() error(eddy.CancelledError "by myself") end)
    eddy.sleep(1)
    collect()
    assert.same({}, reports)
  end)

  it("is reported when it happens in a group that was never closed", function()
    local reports = collect_reports()
    eddy.await(eddy.create_task(function()
      local tg = eddy.TaskGroup()   -- without <close>
      tg:create_task(error, "boom", 0)
    end))
    eddy.sleep(1)
    collect()
    assert.equal(1, #reports)
    assert.equal("boom", reports[1].exception)
  end)
end)

describe("An exception of a future that nobody looks at #virtual", function()
  it("is reported when the future is collected", function()
    local reports = collect_reports()
    eddy.get_running_loop():create_future():set_exception("boom")
    collect()
    assert.equal(1, #reports)
    assert.equal("Future exception was never retrieved", reports[1].message)
    assert.equal("boom", reports[1].exception)
    assert.is_true(reports[1].future:done())
  end)

  it("is not reported when the future is awaited", function()
    local reports = collect_reports()
    eddy.await(eddy.create_task(function()
      local future = eddy.get_running_loop():create_future()
      future:set_exception("boom")
      assert.equal("boom", raised(eddy.await, future))
    end))
    collect()
    assert.same({}, reports)
  end)
end)

describe("An error that nobody looks at #plain", function()
  it("is reported at the latest when the loop ends", function()
    local reports = {}
    local runner = eddy.Runner { exception_handler = function(_, ctx) reports[#reports + 1] = ctx.exception end }
    runner:run(function()
      eddy.create_task(error, "boom", 0)
      eddy.sleep(0)
    end)
    runner:close()
    assert.same({ "boom" }, reports)
  end)

  it("is not reported when the task is still held after the end of the loop, and looked at then", function()
    local reports, task = 0, nil
    local runner = eddy.Runner { exception_handler = function() reports = reports + 1 end }
    runner:run(function()
      task = eddy.create_task(error, "boom", 0)
      eddy.sleep(0)
    end)
    runner:close()
    assert.equal("boom", task:exception())
    assert.equal(0, reports)
  end)
end)

describe("An exception handler #virtual", function()
  it("is called with the loop and the context", function()
    local loop = eddy.get_running_loop()
    local got
    loop:set_exception_handler(function(...) got = table.pack(...) end)
    local ctx = { message = "mine", more = 1 }
    loop:call_exception_handler(ctx)
    assert.equal(2, got.n)
    assert.equal(loop, got[1])
    assert.equal(ctx, got[2])
  end)

  it("is given the error of a callback, its traceback and its handle", function()
    local reports = collect_reports()
    local handle = eddy.get_running_loop():call_soon(function() error("boom", 0) end)
    eddy.sleep(0)
    assert.equal(1, #reports)
    assert.equal("boom", reports[1].exception)
    assert.equal(handle, reports[1].handle)
    assert.matches("error in callback at .*report_spec.lua:%d+", reports[1].message)
    assert.matches("report_spec.lua:%d+: in ", reports[1].traceback)
  end)

  it("is given the error of a done callback, and the others run", function()
    local reports, ran = collect_reports(), false
    local task = eddy.create_task(function() end)
    task:add_done_callback(function() error("boom", 0) end)
    task:add_done_callback(function() ran = true end)
    eddy.sleep(0)
    eddy.sleep(0)
    assert.equal("boom", reports[1].exception)
    assert.is_true(ran)
  end)

  it("may be asked for, and taken away", function()
    local loop = eddy.get_running_loop()
    local function handler() end
    assert.is_nil(loop:get_exception_handler())
    loop:set_exception_handler(handler)
    assert.equal(handler, loop:get_exception_handler())
    loop:set_exception_handler(nil)
    assert.is_nil(loop:get_exception_handler())
  end)

  it("may look at the error and start a task", function()
    local loop, log = eddy.get_running_loop(), {}
    loop:set_exception_handler(function(_, ctx)
      eddy.create_task(function()
        eddy.sleep(1)
        log[#log + 1] = ctx.task:exception()
      end)
    end)
    eddy.create_task(error, "boom", 0)
    eddy.sleep(0)
    collect()
    eddy.sleep(2)
    assert.same({ "boom" }, log)
  end)

  it("is a bad argument when it is no function", function()
    local loop = eddy.get_running_loop()
    assert.matches("function expected, got number", raised(loop.set_exception_handler, loop, 1))
    assert.matches("table expected", raised(loop.call_exception_handler, loop, "text"))
  end)
end)

describe("What is reported #plain", function()
  local folder
  setup(function() folder = support.folder {} end)
  teardown(function() support.remove(folder) end)

  -- What a script writes on stderr; it must end well.
  local function stderr_of(code)
    local _, err, status = support.plain(folder, "local eddy = require 'eddy'\n" .. code)
    assert.equal(0, status, err)
    return err
  end

  it("goes to stderr, with the task's traceback, when there is no handler", function()
    local err = stderr_of [[
      local function fail() error "boom" end
      eddy.run(function() eddy.create_task(function() fail() end):set_name("worker") eddy.sleep(0) end)]]
    assert.matches("eddy: Task exception was never retrieved\n", err)
    assert.matches("app.lua:2: boom\n", err)
    assert.matches("stack traceback of task 'worker':\n\t[^\n]*'error'", err)
    assert.matches("app.lua:2: in [^\n]*'fail'", err)
  end)

  it("goes to stderr with the lines of Lua alone, when it is a callback's", function()
    local err = stderr_of [[
      local function fail() error "boom" end
      eddy.run(function() eddy.get_running_loop():call_soon(function() fail() end) eddy.sleep(0) end)]]
    assert.matches("^eddy: error in callback at [^\n]*app.lua:3\n", err)
    assert.matches("app.lua:2: boom\nstack traceback:\n\t[^\n]*'error'", err)
    assert.matches("app.lua:2: in [^\n]*'fail'", err)
    assert.not_matches("[C]: in ?", err, 1, true)
  end)

  it("goes to stderr as well when the handler fails, with its error", function()
    local err = stderr_of [[
      local runner <close> = eddy.Runner { exception_handler = function() error "handler" end }
      runner:run(function()
        eddy.get_running_loop():call_soon(error, "boom")
        eddy.sleep(0)
      end)]]
    assert.matches("the exception handler has failed: [^\n]*app.lua:2: handler", err)
    assert.matches("error in callback", err)
    assert.matches("boom", err)
  end)

  it("shows the fields of an error that is a table", function()
    local err = stderr_of "eddy.run(function() eddy.create_task(error, { code = 7 }) eddy.sleep(0) end)"
    assert.matches("code = 7", err)
  end)

  it("does not break on an error whose __tostring fails, or waits", function()
    local err = stderr_of [[
      eddy.run(function()
        for _, f in ipairs { function() error "worse" end, function() eddy.sleep(1) end, function() return 42 end } do
          eddy.create_task(error, setmetatable({}, { __tostring = f }))
        end
        eddy.sleep(0)
      end)]]
    assert.equal(3, select(2, err:gsub("never retrieved", "")))
  end)
end)
