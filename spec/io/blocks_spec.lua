-- The pool of memory that streams and files receive into.

local eddy = require "eddy"

describe("the pool of blocks", function()
  it("is memory that the collector knows of: short-lived strings do not make it run for every few of them", function()
    local script = ("package.path, package.cpath = %q, %q\n"):format(package.path, package.cpath) .. [[
      local eddy = require "eddy"
      collectgarbage "generational"
      eddy.run(function()
        local a, b = eddy.stream_pair()
        local message, runs = ("x"):rep(16384), 0
        local function turn() a:write(message) assert(#b:read_exactly(16384) == 16384) end
        for _ = 1, 50 do turn() end
        local function watch() setmetatable({}, { __gc = function() runs = runs + 1 watch() end }) end
        watch()
        for _ = 1, 200 do turn() end
        print(runs)
        a:abort() b:abort()
      end)
    ]]
    local runs = tonumber((eddy.exec(os.getenv "EDDY_LUA" or "lua5.4", { "-e", script })))
    assert.is_true(runs <= 40, runs .. " runs for 200 strings of 16 KiB")
  end)

  it("has more blocks than it keeps, as long as they are needed", function()
    local pairs_of_streams, message = {}, ("x"):rep(20000)
    for i = 1, 40 do
      local a, b = eddy.stream_pair()
      pairs_of_streams[i] = { a, b }
      a:write(message)
    end
    for _, pair in ipairs(pairs_of_streams) do assert.equal("x", pair[2]:read(1)) end -- each holds a block now
    for _, pair in ipairs(pairs_of_streams) do assert.equal(message:sub(2), pair[2]:read_exactly(#message - 1)) end
    for _, pair in ipairs(pairs_of_streams) do
      pair[1]:abort()
      pair[2]:abort()
    end
  end)
end)
