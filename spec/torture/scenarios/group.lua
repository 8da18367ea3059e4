local stage = ...
local eddy = require "eddy"

-- TaskGroup: as a scope, as a function, start, a child that fails, a group that cancels itself.
return function()
  local out = {}
  do
    local group <close> = eddy.TaskGroup()
    for i = 1, 3 do
      group:create_task(function()
        local _ <close> = stage.hold()
        eddy.sleep(i * 0.001)
        out[#out + 1] = i
      end)
    end
    local port = group:start(function(started, value)
      started(value + 1)
      eddy.sleep(0.001)
    end, 41)
    stage.equal(42, port, "what start returns")
  end
  stage.equal("1 2 3", table.concat(out, " "), "all have ended")

  local err = stage.raises(eddy.ExceptionGroup, eddy.TaskGroup, function(group)
    group:create_task(function()
      local _ <close> = stage.hold(0.001)
      eddy.sleep(5)
    end)
    group:create_task(function()
      eddy.sleep(0.001)
      error("boom", 0)
    end)
    eddy.sleep(5)
  end)
  for _, e in ipairs(err.errors) do
    if e ~= "boom" then error(err, 0) end
  end
  eddy.TaskGroup(function(group)
    group:create_task(eddy.sleep, 5)
    group:cancel()
  end)
  stage.raises(eddy.ExceptionGroup, eddy.TaskGroup, function(group)
    group:start(function() error("boom", 0) end)
  end)
end
