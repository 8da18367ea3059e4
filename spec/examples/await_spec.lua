-- The programs that every asyncio tutorial teaches, written with async and await, beside their twins in the plain
-- style: both print the same lines at the same times.

local program = require "spec.support.program"

local directory = "examples/asyncio/await/"

local names = {
  "01_hello", "02_say_after", "03_one_after_the_other", "04_gather", "05_gather_errors", "06_task_group", "07_wait_for",
  "08_wait", "09_as_completed", "10_cancel", "11_task_result", "12_which_one", "17_dates", "18_files",
  "20_queue_and_locks", "22_timed",
}

-- How long their loops run.
local durations = {
  ["01_hello"] = 1, ["02_say_after"] = 2, ["03_one_after_the_other"] = 9, ["04_gather"] = 3, ["05_gather_errors"] = 2,
  ["06_task_group"] = 2.5, ["07_wait_for"] = 6.5, ["08_wait"] = 4.5, ["09_as_completed"] = 4, ["10_cancel"] = 3,
  ["11_task_result"] = 0.4, ["12_which_one"] = 1.5, ["17_dates"] = 5.25, ["20_queue_and_locks"] = 4.1,
  ["22_timed"] = 3,
}

-- Runs one, which must end without an error.
local function run(path)
  local outcome = program.run(path)
  assert.is_nil(outcome.error)
  return outcome
end

-- The twins' texts differ in their paths and line numbers only.
local function placeless(lines)
  local texts = {}
  for i, line in ipairs(lines) do
    texts[i] = line:gsub("%S*examples/asyncio/", ""):gsub("await/", ""):gsub("%.lua:%d+", ".lua:N")
  end
  return texts
end

-- To a thousandth.
local function rounded(times)
  local list = {}
  for i, time in ipairs(times) do list[i] = math.floor(time * 1000 + 0.5) / 1000 end
  return list
end

local function text_of(path)
  local file <close> = assert(io.open((os.getenv("EDDY_ROOT") or ".") .. "/" .. path))
  return file:read("a")
end

describe("examples/asyncio/await #plain", function()
  for _, name in ipairs(names) do
    it("prints what its twin prints, and when: " .. name, function()
      local outcome, twin = run(directory .. name .. ".lua"), run("examples/asyncio/" .. name .. ".lua")
      assert.is_true(#outcome.lines > 0)
      assert.same(placeless(twin.lines), placeless(outcome.lines))
      if durations[name] then                    -- the others wait for real: for files
        assert.same(rounded(twin.times), rounded(outcome.times))
        assert.same(rounded { durations[name], durations[name] }, rounded { twin.duration, outcome.duration })
      end
      assert.equal(#twin.reports, #outcome.reports)
    end)
  end

  it("11: reports the task that nobody asked, with its error", function()
    local reports = run(directory .. "11_task_result.lua").reports
    assert.equal(1, #reports)
    assert.same({ what = "lamp", code = 42 }, reports[1].exception)
    assert.matches("never retrieved", reports[1].message)
  end)

  it("12: shows the failing line, the async function, the task and the chain of awaits", function()
    local path = directory .. "12_which_one.lua"
    local text = table.concat(run(path).lines, "\n")
    local number, line_of = 0, {}
    local places = { parse = "line:upper", reader = "print(parse(", report = "await(eddy.create_task(" }
    for line in text_of(path):gmatch("([^\n]*)\n") do
      number = number + 1
      for key, code in pairs(places) do
        if line:find(code, 1, true) then line_of[key] = number end
      end
    end
    assert.matches(("which_one.lua:%d: attempt to index a nil value %%(local 'line'%%)"):format(line_of.parse), text)
    assert.matches(("traceback of task 'reader'.-which_one.lua:%d:"):format(line_of.reader), text)
    assert.matches(("awaited by task 'bad report' at [^\n]*which_one.lua:%d"):format(line_of.report), text)
  end)

  it("forgets no Coroutine: no warning comes", function()
    local code = 'for _, name in ipairs { "%s" } do require("spec.support.program").run("%s" .. name .. ".lua") end'
    local output, status = program.command(
      ("-e '%s'"):format(code:format(table.concat(names, '", "'), directory)))
    assert.equal("", output)
    assert.equal(0, status)
  end)

  it("runs under the eddy command as well, with the same output", function()
    local path = directory .. "18_files.lua"
    local output, status = program.command(path)
    assert.equal(0, status)
    assert.equal(table.concat(run(path).lines, "\n") .. "\n", output)
  end)

  it("is all of the programs there, each with a twin", function()
    local list <close> = assert(io.popen("ls '" .. (os.getenv("EDDY_ROOT") or ".") .. "/" .. directory .. "'"))
    local found = {}
    for file in list:lines() do found[#found + 1] = file:gsub("%.lua$", "") end
    assert.same(names, found)
  end)

  for _, name in ipairs(names) do
    it("says how to start it, is short, and speaks of async and await: " .. name, function()
      local path = directory .. name .. ".lua"
      local first, count = program.header(path)
      assert.equal("-- script/run " .. path .. ": ", first:sub(1, #path + 16))
      assert.is_true(count < 60)
      local text = text_of(path)
      assert.matches("local async, await = eddy.async, eddy.await\n", text, 1, true)
      assert.is_nil(text:match("create_task%([%w_]+,"))     -- Coroutine objects, not functions and their arguments
      assert.is_nil(text:match("\n%s+eddy%.sleep"))         -- each wait has its await
    end)
  end
end)
