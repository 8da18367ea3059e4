local stage = ...
local eddy = require "eddy"

-- eddy.coroutine: waits inside, nested, errors, close with handlers that wait, wrap.
return function()
  local co = eddy.coroutine
  local function resume(...)
    local results = table.pack(co.resume(...))
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
  end
  local thread = co.create(function(a)
    local _ <close> = stage.hold(0)
    local b = co.yield(a + 1)
    eddy.sleep(0.001)
    local inner = co.wrap(function()
      eddy.sleep(0)
      co.yield(1, 2)
      error("boom", 0)
    end)
    inner()
    stage.raises("boom", inner)
    return b
  end)
  stage.equal(2, resume(thread, 1), "the first yield")
  stage.equal(5, resume(thread, 5), "the end")
  stage.equal("dead", co.status(thread), "status")
  local open = co.create(function()
    local _ <close> = stage.hold(0.001)
    co.yield()
  end)
  resume(open)
  local ok, err = co.close(open)
  if not ok then error(err, 0) end
end
