-- script/run examples/asyncio/06_task_group.lua: a group waits for its children; one that fails ends all (2.5 s).
local eddy = require "eddy"

local function work(name, seconds)
  local _ <close> = setmetatable({}, { __close = function(_, err)
    print(name .. (err and " stops: " .. tostring(err) or " is done"))
  end })
  eddy.sleep(seconds)
end

local function fail(seconds, message)
  eddy.sleep(seconds)
  error(message, 0)
end

local function all_well()
  local tg <close> = eddy.TaskGroup()
  tg:create_task(work, "first", 1)
  tg:create_task(work, "second", 2)
  tg:create_task(work, "third", 1.5)
  print("three started")
end                                      -- the scope's end waits for them

local function one_fails()
  local tg <close> = eddy.TaskGroup()
  tg:create_task(work, "fourth", 0.25)
  tg:create_task(work, "fifth", 20)
  tg:create_task(fail, 0.5, "the boiler broke")
end

local function main()
  all_well()
  print("all three are done")

  local ok, err = pcall(one_fails)
  print(ok, eddy.is_error(err, eddy.ExceptionGroup), #err.errors, err.errors[1])
end

eddy.run(main)
