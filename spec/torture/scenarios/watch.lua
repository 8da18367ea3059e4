local stage = ...
local eddy = require "eddy"

-- A watch: one who waits, events in between, the end.
return function()
  local dir = stage.folder()
  eddy.fs.mkdir(dir)
  local watch <close> = eddy.fs.watch(dir)
  local waiting = eddy.create_task(function() return (watch()) end)
  eddy.sleep(0)
  assert(os.execute("mkdir " .. dir .. "/one"))
  stage.equal("one", waiting:await(), "the first", true)
  assert(os.execute("mkdir " .. dir .. "/two"))
  for name in watch do
    if name == "two" then break end
  end
  watch:close()
  stage.equal(nil, (watch()), "after the end")
end
