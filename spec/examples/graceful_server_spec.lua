-- examples/graceful_server.lua with the eddy command, and clients here.

local eddy = require "eddy"

local root = os.getenv("EDDY_ROOT") or "."
local command = os.getenv("EDDY") or root .. "/build/release/eddy"

describe("examples/graceful_server.lua", function()
  local function start()
    local pipe = assert(io.popen(("cd '%s' && echo $$ && exec '%s' examples/graceful_server.lua 2>&1"):format(root,
      command)))
    local pid = pipe:read("n", "l")
    finally(function()
      os.execute(("kill -KILL %d 2>/dev/null"):format(pid))
      pipe:close()
    end)
    local host, port = pipe:read("l"):match("^listening on\t(%S+)\t(%d+)$")
    return pipe, pid, host, tonumber(port)
  end

  it("lets those finish who are there when it is told to stop, and nobody else in", function()
    local pipe, pid, host, port = start()
    local conn <close> = eddy.open_connection(host, port)
    conn:write("before\n")
    assert.equal("before", conn:read())
    os.execute("kill -TERM " .. pid)
    assert.equal("SIGTERM: stopping", pipe:read("l"))
    conn:write("after\n")
    assert.equal("after", conn:read())
    local ok, late = pcall(eddy.open_connection, host, port, { timeout = 5 })
    if ok then late:abort() end
    assert.is_true(eddy.is_error(late, eddy.OSError))
    conn:shutdown()
    assert.is_nil(conn:read())
    assert.equal("stopped", pipe:read("l"))
  end)

  it("stops at once when nobody is there", function()
    local pipe, pid = start()
    os.execute("kill -INT " .. pid)
    assert.equal("SIGINT: stopping", pipe:read("l"))
    assert.equal("stopped", pipe:read("l"))
  end)
end)
