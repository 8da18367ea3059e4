-- examples/echo_server.lua with the eddy command, and clients here.

local eddy = require "eddy"

local root = os.getenv("EDDY_ROOT") or "."
local command = os.getenv("EDDY") or root .. "/build/release/eddy"

describe("examples/echo_server.lua", function()
  it("sends every line back, to several clients at once", function()
    local start = ("cd '%s' && echo $$ && exec '%s' examples/echo_server.lua 2>&1"):format(root, command)
    local pipe = assert(io.popen(start))
    local pid = pipe:read("n", "l")
    finally(function()
      os.execute("kill " .. pid)
      pipe:close()
    end)
    local host, port = pipe:read("l"):match("^listening on\t(%S+)\t(%d+)$")

    local echoed = eddy.map(function(word)
      local conn <close> = eddy.open_connection(host, tonumber(port))
      conn:write(word, "\n", word, " again\n", "unfinished")
      conn:shutdown()
      return conn:read("a")
    end, { "one", "two", "three" }, { concurrency = 3 })

    assert.same({ "one\none again\nunfinished", "two\ntwo again\nunfinished", "three\nthree again\nunfinished" },
      { table.unpack(echoed) })
  end)
end)
