-- examples/echo_server.lua with the eddy command, and clients here.

local eddy = require "eddy"
local program = require "spec.support.program"


describe("examples/echo_server.lua", function()
  it("sends every line back, to several clients at once", function()
    local host, port = program.serving(finally, "examples/echo_server.lua")

    local echoed = eddy.map(function(word)
      local conn <close> = eddy.open_connection(host, port)
      conn:write(word, "\n", word, " again\n", "unfinished")
      conn:shutdown()
      return conn:read("a")
    end, { "one", "two", "three" }, { concurrency = 3 })

    assert.same({ "one\none again\nunfinished", "two\ntwo again\nunfinished", "three\nthree again\nunfinished" },
      { table.unpack(echoed) })
  end)
end)
