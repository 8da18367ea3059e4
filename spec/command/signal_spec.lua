local support = require "spec.command.support"
local eddy, sh = support.eddy, support.sh

-- A script sends itself the signal: it has arrived when close() returns, as the shell has ended then.
-- (Not by os.execute, which has its caller ignore SIGINT meanwhile.)
local interrupt = "local function interrupt() io.popen('kill -INT $PPID'):close() end "

describe("SIGINT", function()
  it("ends a script that waits with status 130", function()
    local out, err, status = eddy { "-e", interrupt .. "interrupt() print(eddy.sleep(3600))" }
    assert.same({ "", 130 }, { out, status })
    assert.matches("^eddy: Interrupted", err)
    assert.is_nil(err:find("\n.*\n")) -- whoever pressed the keys knows why it ends
  end)

  it("ends a script that computes with status 130", function()
    assert.equal(130, (select(3, eddy { "-e", interrupt .. "interrupt() while true do end" })))
  end)

  it("ends a script whose other task computes", function()
    assert.equal(130, (select(3, eddy { "-e", interrupt .. [[
      eddy.create_task(function() interrupt() while true do end end)
      eddy.sleep(3600)]] })))
  end)

  it("ends a script that is in eddy.run", function()
    local _, _, status = eddy { "-e", interrupt .. "eddy.run(function() interrupt() eddy.sleep(3600) end)" }
    assert.equal(130, status)
  end)

  it("lets the script clean up", function()
    local out, _, status = eddy { "-e", interrupt .. [[
      local _ <close> = setmetatable({}, { __close = function() eddy.sleep(0.001) print "cleaned up" end })
      interrupt()
      eddy.sleep(3600)]] }
    assert.same({ "cleaned up\n", 130 }, { out, status })
  end)

  it("may be taken by the script, which then ends as it likes", function()
    local out, err, status = eddy { "-e", interrupt .. [[
      interrupt()
      local ok, why = pcall(eddy.sleep, 3600)
      print(ok, eddy.is_error(why, eddy.CancelledError))]] }
    assert.same({ "false\ttrue\n", "", 0 }, { out, err, status })
  end)

  it("sent twice ends a script that will not clean up", function()
    local _, _, status = eddy { "-e", interrupt .. [[
      local _ <close> = setmetatable({}, { __close = function() interrupt() eddy.sleep(3600) end })
      interrupt()
      eddy.sleep(3600)]] }
    assert.equal(130, status)
  end)

  it("ends tasks that are left and will not end", function()
    local _, _, status = eddy { "-e", interrupt .. [[
      eddy.create_task(function()
        local _ <close> = setmetatable({}, { __close = function() interrupt() interrupt() eddy.sleep(3600) end })
        eddy.sleep(3600)
      end)
      eddy.sleep(0)]] }
    assert.equal(130, status)
  end)

  it("keeps the scripts that follow from running", function()
    local out, _, status = eddy { "-e", interrupt .. "interrupt() eddy.sleep(3600)", "-e", "print 'not run'" }
    assert.same({ "", 130 }, { out, status })
  end)
end)

describe("A reader of standard output that goes away", function()
  -- What the command says and how it ends, when `head -1` reads what it writes.
  local function piped_to_head(code)
    local command = ([[{ "$EDDY" -e '%s'; echo "status $?" >&2; } | head -1]]):format(code)
    return sh(command)
  end

  it("ends a script that prints, quietly, with status 141", function()
    assert.same({ "y\n", "status 141\n", 0 }, { piped_to_head "while true do print(\"y\") end" })
  end)

  it("ends one that uses io.write, and one that waits in between", function()
    assert.same({ "y\n", "status 141\n", 0 }, { piped_to_head "while true do io.write(\"y\\n\") end" })
    assert.same({ "y\n", "status 141\n", 0 }, { piped_to_head "while true do print(\"y\") eddy.sleep(0) end" })
  end)

  it("is noticed at the end of the script as well", function()
    -- The reader has ended before the script's buffered output is written.
    local out, err, status = sh [[
      d=$(mktemp -d); cd "$d"; mkfifo out go
      "$EDDY" -e 'io.write(1) io.open("go"):close()' >out &
      exec 3<out 3<&-
      : >go
      wait $!; status=$?
      rm -r "$d"; exit $status]]
    assert.same({ "", "", 141 }, { out, err, status })
  end)

  it("of another pipe does not end the script", function()
    local out, err, status = eddy { "-e", [[
      local pipe = io.popen("exec <&-", "w")
      for i = 1, 1000 do
        local ok, why = pipe:write(("x"):rep(10000))
        if not ok then print(why) break end
      end]] }
    assert.same({ "Broken pipe\n", "", 0 }, { out, err, status })
  end)

  it("ends the programs that the script starts, as ever", function()
    assert.same({ "y\n", "", 0 }, { eddy { "-e", "os.execute('yes | head -1')" } })
  end)
end)
