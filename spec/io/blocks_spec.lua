-- The pool of memory that streams and files receive into.

local eddy = require "eddy"

describe("the pool of blocks", function()
  it("is not harmed by a script that calls its finalizer", function()
    local path = os.tmpname()
    eddy.fs.write_file(path, "text")
    finally(function() os.remove(path) end)
    for line in eddy.lines(path) do assert.equal("text", line) end -- there is a pool from here on
    local found = 0
    for key, value in pairs(debug.getregistry()) do
      local meta = type(key) == "userdata" and type(value) == "userdata" and debug.getmetatable(value)
      local gc = meta and not meta.__name and not meta.__index and meta.__gc
      if gc then
        found = found + 1
        for _, wrong in ipairs { {}, "text", 7, true, io.stdout, coroutine.create(print), print } do gc(wrong) end
        gc()
        gc(nil)
      end
    end
    assert.is_true(found > 0)
    for line in eddy.lines(path) do assert.equal("text", line) end
  end)
end)
