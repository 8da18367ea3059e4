-- The programs that every asyncio tutorial teaches, on virtual time: what they print, in which order, and when.

local program = require "spec.support.program"

-- Runs one and returns its outcome; it must have ended without an error.
local function run(name, options)
  local outcome = program.run("examples/asyncio/" .. name .. ".lua", nil, options)
  assert.is_nil(outcome.error)
  return outcome
end

-- The times of the lines, to a hundredth.
local function times(outcome)
  local rounded = {}
  for i, time in ipairs(outcome.times) do rounded[i] = math.floor(time * 100 + 0.5) / 100 end
  return rounded
end

local function near(expected, duration)
  assert.is_true(math.abs(expected - duration) < 0.001, ("%g s were expected, not %g"):format(expected, duration))
end

describe("examples/asyncio #plain", function()
  it("01: prints four lines in order, with a second between", function()
    local outcome = run "01_hello"
    assert.same({ "main starts", "hello", "world", "main ends" }, outcome.lines)
    assert.same({ 0, 0, 1, 1 }, times(outcome))
  end)

  it("02: runs both tasks together, 2 s and not 3", function()
    local outcome = run "02_say_after"
    assert.same({ "started", "hello", "world", "finished after 2 s: 10 letters" }, outcome.lines)
    assert.same({ 0, 1, 2, 2 }, times(outcome))
  end)

  it("03: needs 6 s in a row and 3 s as tasks", function()
    local outcome = run "03_one_after_the_other"
    assert.same({
      "sleeping for 1 s", "done sleeping for 1 s", "sleeping for 3 s", "done sleeping for 3 s",
      "sleeping for 2 s", "done sleeping for 2 s", "in a row: 6 s of sleep in 6 s",
      "sleeping for 1 s", "sleeping for 3 s", "sleeping for 2 s",
      "done sleeping for 1 s", "done sleeping for 2 s", "done sleeping for 3 s", "as tasks: 6 s of sleep in 3 s",
    }, outcome.lines)
    near(9, outcome.duration)
  end)

  it("04: lists the results in the order of the arguments, after 3 s", function()
    local outcome = run "04_gather"
    assert.same({ "egg ready", "soup ready", "rice ready", "menu: rice, egg, soup" }, outcome.lines)
    assert.same({ 1, 2, 3, 3 }, times(outcome))
  end)

  it("05: puts the error into the list and tells it from results", function()
    local outcome = run "05_gather_errors"
    assert.equal("1\tresult\t2.0", outcome.lines[1])
    assert.matches("^2\terror\t.*05_gather_errors.lua:%d+: division by zero$", outcome.lines[2])
    assert.equal("3\tresult\t4.5", outcome.lines[3])
    assert.matches("^false\t.*: division by zero$", outcome.lines[4])
    near(2, outcome.duration)
  end)

  it("06: waits for the group's children, and ends them when one fails", function()
    local outcome = run "06_task_group"
    assert.same({
      "three started", "first is done", "third is done", "second is done", "all three are done", "fourth is done",
    }, { table.unpack(outcome.lines, 1, 6) })
    assert.matches("^fifth stops: CancelledError", outcome.lines[7])
    assert.equal("false\ttrue\t1\tthe boiler broke", outcome.lines[8])
    assert.same({ 0, 1, 1.5, 2, 2, 2.25, 2.5, 2.5 }, times(outcome))
  end)

  it("07: cancels what takes too long, all children of a gather too", function()
    local outcome = run "07_wait_for"
    assert.matches("^the cat was interrupted: CancelledError", outcome.lines[1])
    assert.matches("^in time:\tfalse\tTimeoutError", outcome.lines[2])
    assert.equal("task cancelled:\ttrue", outcome.lines[3])
    assert.equal("in time:\tthe mouse slept well", outcome.lines[4])
    assert.matches("^the dog was interrupted: CancelledError", outcome.lines[5])
    assert.matches("^the cow was interrupted: CancelledError", outcome.lines[6])
    assert.equal("in time:\tfalse\ttrue", outcome.lines[7])
    assert.equal("both cancelled:\ttrue", outcome.lines[8])
    assert.same({ 1, 1, 1, 1.5, 6.5, 6.5, 6.5, 6.5 }, times(outcome))
  end)

  it("08: lists who is done and who is pending; the pending ones run on", function()
    local outcome = run "08_wait"
    assert.same({
      "done:    task-1 task-2 task-3", "pending: task-4 task-5", "next:    task-4", "last:    task-5",
    }, outcome.lines)
    assert.same({ 3, 3, 3.5, 4.5 }, times(outcome))
  end)

  it("09: gives results in the order of completion, also after an error", function()
    local outcome = run "09_as_completed"
    assert.same({ "got\tfast after 1 s", "failed\tno answer from broken", "got\tslow after 2 s" },
      { table.unpack(outcome.lines, 1, 3) })
    assert.matches("^false\tTimeoutError", outcome.lines[4])
    assert.equal("still comes:\tlate after 2 s", outcome.lines[5])
    assert.same({ 1, 1.5, 2, 3, 4 }, times(outcome))
  end)

  it("10: cancels in 3 s what would sleep for 20,000", function()
    local outcome = run "10_cancel"
    assert.same({
      "Anna sleeps", "Anna ends: CancelledError: time to go", "caught:\ttrue\ttrue",
      "Bert sleeps", "Carl sleeps", "Dora sleeps", "Carl ends: CancelledError: found you",
      "main ends, and with it the others",
    }, { table.unpack(outcome.lines, 1, 8) })
    assert.matches("^Bert ends: CancelledError", outcome.lines[9])
    assert.matches("^Dora ends: CancelledError", outcome.lines[10])
    assert.same({ 0, 1, 1, 1, 1, 1, 2, 3, 3, 3 }, times(outcome))
  end)

  it("11: tells what happened in a failed task, and reports the one nobody asked", function()
    local outcome = run "11_task_result"
    assert.equal("done at once?\tfalse", outcome.lines[1])
    assert.matches("^InvalidStateError", outcome.lines[2])
    assert.same({
      "done later?\ttrue", "exception:\tpump\t42", "result raises:\ttrue\tthe same value:\ttrue", "main ends",
    }, { table.unpack(outcome.lines, 3) })
    assert.equal(1, #outcome.reports)
    assert.same({ what = "lamp", code = 42 }, outcome.reports[1].exception)
    assert.matches("never retrieved", outcome.reports[1].message)
  end)

  it("12: shows the failing line, the task and the chain of awaits", function()
    local outcome = run "12_which_one"
    local text = table.concat(outcome.lines, "\n")
    assert.same({ "A", "X", "B", "C", "good report: fine", "bad report: failed" },
      { table.unpack(outcome.lines, 1, 6) })
    assert.matches("12_which_one.lua:5: attempt to index a nil value %(local 'line'%)", text)
    assert.matches("12_which_one.lua:11:", text)                 -- where reader calls parse
    assert.matches("'reader'", text)
    assert.matches("awaited by task 'bad report' at [^\n]*12_which_one.lua:16", text)
    near(1.5, outcome.duration)
  end)

  it("13: gives the values as they come, and cleans up when the loop is left", function()
    local outcome = run "13_async_generator"
    assert.same({
      "1\ttick", "2\ttock", "the clock has run down", "1\ttick", "2\ttock", "the clock is stopped", "2\t1\tlift-off",
    }, outcome.lines)
    assert.same({ 1, 2, 2.5, 3.5, 4.5, 5, 7 }, times(outcome))
    near(7, outcome.duration)
  end)

  it("14: steps four coroutines in turn, without a loop", function()
    local outcome = run "14_by_hand"
    assert.same({
      "A 1", "B 1", "C 1", "D 1", "A 2", "B 2", "C has counted to 1", "D 2",
      "A has counted to 2", "B 3", "D has counted to 2", "B has counted to 3",
    }, outcome.lines)
    near(0, outcome.duration)
  end)

  it("17: shows the loop's time from two tasks, until the loop is stopped", function()
    local outcome = run "17_dates"
    assert.same({
      "loop: 1  time: 0.0", "loop: 2  time: 0.0", "loop: 1  time: 1.0", "loop: 2  time: 1.5", "loop: 1  time: 2.0",
      "loop: 2  time: 3.0", "loop: 1  time: 3.0", "loop: 1  time: 4.0", "loop: 2  time: 4.5", "loop: 1  time: 5.0",
      "stopped",
    }, outcome.lines)
    near(5.25, outcome.duration)
  end)

  it("18: writes and reads a file, which is closed whatever happens", function()
    local outcome = run "18_files"
    assert.same({
      "one", "two", "three", "4", "", "at 4: two", "long: three", "closed on error: true",
      "bytes: 16, 16 read at once",
    }, outcome.lines)
  end)

  it("19: answers what is typed, and ticks meanwhile", function()
    local script = "examples/asyncio/19_stdin.lua"
    local typed = "(echo one; sleep 1.5; echo two) | timeout 20"
    local output, status = program.command(script, typed)
    assert.equal(0, status)
    assert.equal("you typed: one\ntick 1\nyou typed: two\nbye\n", output)
  end)

  it("19: reads a file as well", function()
    assert.equal("you typed: /\nbye\n", (program.command("examples/asyncio/19_stdin.lua", "echo / |")))
  end)

  it("21: warns of each connection that was forgotten, with the line, and none leaks", function()
    local output, status = program.command("examples/asyncio/21_forgotten.lua")
    assert.equal(0, status)
    local warnings = select(2, output:gsub("ResourceWarning: unclosed TCP connection [^\n]* opened at [^\n]*:15\n", ""))
    assert.equal(100, warnings)
    assert.matches("leaked: 0\n", output)
  end)

  it("22: prints how long each call took", function()
    local outcome = run "22_timed"
    assert.same({ "delay took 2.0 s", "delay took 3.0 s", "slept: 2 s and 3 s", "main took 3.0 s" }, outcome.lines)
    near(3, outcome.duration)
  end)
end)

describe("the eddy command #plain", function()
  for _, name in ipairs { "14_by_hand", "18_files" } do   -- those that take no time
    it("runs " .. name .. " as well, with the same output", function()
      local output, status = program.command("examples/asyncio/" .. name .. ".lua")
      assert.equal(0, status)
      assert.equal(table.concat(run(name).lines, "\n") .. "\n", output)
    end)
  end
end)

describe("the holes of asyncio #plain", function()
  local eddy = require "eddy"

  it("warns of a coroutine that was never awaited, with its place", function()
    local outcome = program.command([[-e 'local hello = eddy.async(function() end) hello() collectgarbage()']],
      "EDDY_DEBUG=1")
    assert.matches("never awaited", outcome)
    assert.matches(":1", outcome)
  end)

  it("says that gather was given a result instead of something to await", function()
    local ok, err = pcall(eddy.run, function()
      eddy.gather(eddy.sleep(0, "done"))
    end)
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'gather' %(awaitable expected, got string", tostring(err))
  end)
end)

describe("each example", function()
  local names = {}
  local list = assert(io.popen(("cd '%s/examples/asyncio' && ls *.lua"):format(os.getenv("EDDY_ROOT") or ".")))
  for name in list:lines() do names[#names + 1] = "examples/asyncio/" .. name end
  list:close()

  for _, name in ipairs(names) do
    it("says how to start it and is short: " .. name, function()
      local first, count = program.header(name)
      assert.equal("-- script/run " .. name .. ":", first:gsub("^%-%- [%u_]+=%S+ ", "-- "):sub(1, #name + 15))
      assert.is_true(count < 60)
    end)
  end
end)
