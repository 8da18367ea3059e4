local stage = ...
local eddy = require "eddy"

-- wait: time runs out, the first that completes, the first that fails, all.
return function()
  local tasks = {}
  for i = 1, 3 do
    tasks[i] = eddy.create_task(function()
      eddy.sleep(i * 0.002)
      return i
    end)
  end
  local done, pending = eddy.wait(tasks, { timeout = 0.001 })
  stage.equal("0 3", #done .. " " .. #pending, "at first", true)
  done, pending = eddy.wait(tasks, { return_when = "FIRST_COMPLETED" })
  stage.check(#done + #pending == 3 and #done >= 1, "then")
  done = #pending > 0 and eddy.wait(pending) or {}
  stage.equal(#pending, #done, "at last")
  for i, task in ipairs(tasks) do stage.equal(i, task:result(), "a result") end

  local failing = eddy.create_task(function()
    eddy.sleep(0.001)
    error("boom", 0)
  end)
  local slow = eddy.create_task(eddy.sleep, 1)
  done, pending = eddy.wait({ failing, slow }, { return_when = "FIRST_EXCEPTION" })
  if slow:done() then slow:result() end
  stage.check(#done == 1 and #pending == 1, "one has failed")
  slow:cancel()
  eddy.wait { slow }
  stage.raises("boom", failing.result, failing)
end
