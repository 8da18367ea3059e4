-- eddy.stdin, stdout and stderr, whatever they are: each with the eddy command, in a shell.

local eddy = require "eddy"
local support = require "spec.command.support"

local sh = support.sh

-- The command line that runs `source`, which must not contain single quotes.
local function run(source)
  return ("\"$EDDY\" -e '%s'"):format(source)
end

-- What came out of the line; errors are shown when it fails.
local function output(line)
  local out, err, status = sh(line)
  assert.equal(0, status, err)
  assert.equal("", err)
  return out
end

local LINES = [[
  for line in eddy.stdin:lines() do print(line) end
  assert(eddy.stdin:at_eof() and eddy.stdin:read() == nil)
]]

describe("eddy.stdin #plain", function()
  it("reads a pipe", function()
    assert.equal("a\nb\n", output("printf 'a\\nb' | " .. run(LINES)))
  end)

  it("reads a file", function()
    assert.equal("a\nb\n", output("printf 'a\\nb' >/tmp/eddy-$$; " .. run(LINES) .. " </tmp/eddy-$$; rm /tmp/eddy-$$"))
    local count = run [[
      local size, lines = 0, 0
      while true do
        local line = eddy.stdin:read("L")
        if not line then break end
        size, lines = size + #line, lines + 1
      end
      print(size, lines)
    ]]
    local line = "seq 200000 >/tmp/eddy-$$; " .. count .. " </tmp/eddy-$$; rm /tmp/eddy-$$"
    assert.equal("1288895\t200000\n", output(line))
  end)

  it("reads lines of any length", function()
    local long = run "print(#eddy.stdin:read())"
    assert.equal("3000000\n", output("head -c 3000000 /dev/zero | tr '\\0' x | " .. long))
  end)

  it("reads a socket", function()
    local folder = support.folder {
      script = "eddy.stderr:write(eddy.stdin:read():upper(), '\\n') eddy.stdout:write('answer\\n')",
    }
    local out, err = sh(("echo hello | socat -t5 - EXEC:'%s %s/script'"):format(os.getenv "EDDY", folder))
    support.remove(folder)
    assert.same({ "answer\n", "HELLO\n" }, { out, err })
  end)

  it("reads nothing from /dev/null, and from what is closed", function()
    assert.equal("", output(run(LINES) .. " </dev/null"))
    assert.equal("", output(run(LINES) .. " <&-"))
  end)

  it("raises what the system says of a directory", function()
    local _, err, status = sh(run(LINES) .. " </")
    assert.equal(1, status)
    assert.matches("EISDIR", err)
  end)

  it("raises EBADF when it can only be written to", function()
    local source = "print(select(2, pcall(eddy.stdin.read, eddy.stdin)))"
    assert.matches("EBADF", output(run(source) .. " 0>/dev/null"))
    assert.matches("EBADF", output("mkfifo /tmp/eddy-$$; (cat /tmp/eddy-$$ & " .. run(source) ..
      " 0>/tmp/eddy-$$); rm /tmp/eddy-$$"))
  end)

  it("lets other tasks run while it waits", function()
    assert.equal("tick\ntick\ntick\ngot\tlate\n", output("(sleep 0.3; echo late) | " .. run [[
      local ticks = 0
      local task = eddy.create_task(function()
        while true do
          eddy.sleep(0.05)
          ticks = ticks + 1
          if ticks <= 3 then print "tick" end
        end
      end)
      print("got", eddy.stdin:read())
      task:cancel()
    ]]))
  end)

  it("loses nothing when a read is cancelled", function()
    assert.equal("false\nlate\n", output("(sleep 0.2; echo late) | " .. run [[
      print((eddy.move_on_after(0.05, eddy.stdin.read, eddy.stdin)))
      print(eddy.stdin:read())
    ]]))
  end)

  it("reads no more than is asked for, so a program that is started has the rest", function()
    assert.equal("first\nchild: second\n", output("(echo first; sleep 0.2; echo second) | " .. run [[
      print(eddy.stdin:read())
      eddy.sleep(0.3)
      io.stdout:flush()
      os.execute("read line; echo child: $line")
    ]]))
  end)

  it("goes on in the next run where the last one has stopped", function()
    for _, input in ipairs {
      "printf '1\\n2\\n3\\n' | %s",
      "printf '1\\n2\\n3\\n' >/tmp/eddy-$$; %s </tmp/eddy-$$; rm /tmp/eddy-$$",
    } do
      local line = run [[
        local stdin = eddy.stdin
        eddy.run(function() print(stdin:read()) end)
        eddy.run(function() print(stdin:read()) end)
        eddy.run(function() print(stdin:read("a")) end)
      ]]
      assert.equal("1\n2\n3\n\n", output(input:format(line)))
    end
  end)

  it("may be closed, and then the writer sees it", function()
    local out, err = sh("(yes; echo $? >&2) | " .. run [[
      eddy.stdin:read()
      eddy.stdin:close()
      eddy.stdin:wait_closed()
      print(eddy.stdin, eddy.stdin:read(), eddy.stdin:is_closing())
    ]])
    assert.same({ "<stdin, closed>\tnil\ttrue\n", "141\n" }, { out, err })
  end)

  it("can be selected, with nothing taken from it", function()
    assert.equal("2\n1\nlate\n", output("(sleep 0.2; echo late) | " .. run [[
      print((eddy.select { eddy.stdin, 0.05 }))
      print((eddy.select { eddy.stdin, 5 }))
      print(eddy.stdin:read())
    ]]))
  end)
end)

describe("eddy.stdout #plain", function()
  local MIXED = run [[
    print "1"
    eddy.stdout:write("2\n")
    io.write("3\n")
    eddy.stdout:write("4\n")
    io.stdout:write("5\n")
    eddy.stdout:write("6\n")
    io.stdout:write("7"):write("8\n")
  ]]

  it("and print come out in their order, whatever it is", function()
    local expected = "1\n2\n3\n4\n5\n6\n78\n"
    assert.equal(expected, output(MIXED))
    assert.equal(expected, output(MIXED .. " | cat"))
    assert.equal(expected, output(MIXED .. " >/tmp/eddy-$$; cat /tmp/eddy-$$; rm /tmp/eddy-$$"))
    assert.equal("", output(MIXED .. " >/dev/null"))
    assert.equal("", output(MIXED .. " >&-"))
  end)

  it("and print come out in their order when the reader is slow, from several tasks", function()
    local line = run [[
      local long = ("x"):rep(200000) .. "\n"
      eddy.create_task(function() eddy.stdout:write("1 ", long) print "2" end)
      eddy.create_task(function() eddy.sleep(0) print "3" io.write("4\n") eddy.stdout:write("5 ", long) end)
      eddy.create_task(function() eddy.sleep(0.1) io.stdout:write("6\n") print "7" end)
      eddy.sleep(0.2)
    ]] .. " | (sleep 0.05; cut -c 1-5)"
    local seen = {}
    for number in output(line):gmatch("(%d)") do seen[#seen + 1] = number end
    assert.equal("134", table.concat(seen):gsub("[2567]", ""))
    assert.equal(7, #seen)
  end)

  it("waits for a slow reader, and others go on", function()
    local out, err = sh(run [[
      local ticks, done = 0, false
      local task = eddy.create_task(function()
        while not done do
          eddy.sleep(0.01)
          ticks = ticks + 1
        end
      end)
      eddy.stdout:write(("x"):rep(1 << 20), "\n")
      done = true
      task:await()
      io.stderr:write(ticks > 10 and "went on" or "stood still")
    ]] .. " | (sleep 0.3; wc -c)")
    assert.equal("1048577\n", out)
    assert.equal("went on", err)
  end)

  it("sends what is queued before the command ends", function()
    assert.equal("1048576\n", output(run [[
      local task = eddy.create_task(eddy.stdout.write, eddy.stdout, ("x"):rep(1 << 20))
      eddy.sleep(0)
      task:cancel()
    ]] .. " | (sleep 0.2; wc -c)"))
  end)

  it("ends the command quietly when nobody reads any more", function()
    local out, err = sh(("(%s; echo $? >&2) | head -1"):format(run [[
      for i = 1, 1000000 do eddy.stdout:write("line ", i, "\n") end
    ]]))
    assert.same({ "line 1\n", "141\n" }, { out, err })
    out, err = sh(("(%s; echo $? >&2) | sleep 0.2"):format(run [[eddy.stdout:write(("x"):rep(1 << 20))]]))
    assert.same({ "", "141\n" }, { out, err })
  end)

  it("raises EPIPE for standard error", function()
    local source = [[
      eddy.sleep(0.2)
      local ok, err = pcall(eddy.stderr.write, eddy.stderr, "x")
      print(ok, err.code)
    ]]
    assert.equal("false\tEPIPE\n", output(("(%s 2>&1 >&3 | sleep 0.05) 3>&1 | cat"):format(run(source))))
  end)

  it("raises what the system says of a full disk", function()
    assert.equal("ENOSPC", output(run [[
      local ok, err = pcall(eddy.stdout.write, eddy.stdout, "x")
      io.stderr:write(err.code)
    ]] .. " 2>&1 >/dev/full"))
  end)

  it("may be closed, and then the reader sees the end", function()
    assert.equal("before\nend\n", output(("(%s) | (cat; echo end)"):format(run [[
      print("before")
      eddy.stdout:close()
      eddy.stdout:wait_closed()
      print("lost")
      local ok, err = pcall(eddy.stdout.write, eddy.stdout, "x")
      assert(err.message:find("closed stream", 1, true), err)
    ]])))
  end)

  it("takes a scope, which closes it", function()
    assert.equal("x\n", output(run [[
      do local out <close> = eddy.stdout out:write("x\n") end
      print("lost")
    ]]))
  end)

  it("has the marks of all streams: at first a write waits until all has gone", function()
    local out, err = sh(run [[
      local task = eddy.create_task(eddy.stdout.write, eddy.stdout, ("x"):rep(200000))
      eddy.sleep(0)
      local before = task:done()
      eddy.stdout:set_write_buffer_limits(1 << 20)
      local other = eddy.create_task(eddy.stdout.write, eddy.stdout, "y")
      eddy.sleep(0)
      io.stderr:write(tostring(before), " ", tostring(other:done()))
      task:await()
    ]] .. " | (sleep 0.1; wc -c)")
    assert.same({ "200001\n", "false true" }, { out, err })
  end)

  it("leaves arguments of print and io.write as they are", function()
    local out, err, status = sh(run [[
      print(select("#", print(nil, 1, "x")))
      print(io.write() == io.stdout, io.stdout:write("a", 1, 2.5) == io.stdout)
      print(pcall(io.write, {}))
      print(pcall(function() io.stdout:write(nil) end))
      print(pcall(io.stdout.write, 1))
      print(setmetatable({}, { __tostring = function() eddy.sleep(0) return "x" end }) and "ok")
    ]])
    assert.equal(0, status, err)
    assert.equal(table.concat({
      "nil\t1\tx", "0", "a12.5true\ttrue", "false\tbad argument #1 to 'write' (string expected, got table)",
      "false\t(command line):4: bad argument #1 to 'write' (string expected, got nil)",
      "false\tbad argument #1 to 'write' (FILE* expected, got number)", "ok", "" }, "\n"), out)
  end)
end)

describe("the standard streams #plain", function()
  it("cost nothing until they are used", function()
    assert.equal("<stdin>\t<stdout>\t<stderr>\t0\ttrue\n", output(run [[
      print(eddy.stdin, eddy.stdout, eddy.stderr, #eddy._handles(), eddy.stdin == eddy.stdin)
    ]]))
  end)

  it("are no handles that somebody has left open", function()
    assert.equal("x0\n", output(run [[
      eddy.stdout:write("x")
      print(#eddy._handles())
    ]]))
  end)

  it("leave the flags of their descriptors as they are", function()
    local flags = "for i in 0 1 2; do grep flags /proc/self/fdinfo/$i; done"
    local use = run [[
      eddy.move_on_after(0.01, eddy.stdin.read, eddy.stdin)
      eddy.stdout:write("")
      eddy.stderr:write("")
    ]]
    local before = output(("(sleep 0.3) | (%s) 2>&1 | cat"):format(flags))
    assert.equal(before, output(("(sleep 0.3) | (%s; %s) 2>&1 | cat"):format(use, flags)))
  end)

  it("are one object in all copies of the module, and in all runs", function()
    local before = eddy.stdin
    package.loaded.eddy = nil
    local again = require "eddy"
    package.loaded.eddy = eddy
    assert.equal(before, again.stdin)
    assert.equal(before, again.run(function() return again.stdin end))
  end)

  it("need a loop to be used", function()
    local out = output("lua=$(command -v \"$EDDY_LUA\" || echo lua5.4); \"$lua\" -e '" .. [[
      local eddy = require "eddy"
      local stdin, stdout = eddy.stdin, eddy.stdout
      print(stdin, stdin:fileno(), stdin:isatty())
      local ok, err = pcall(stdin.read, stdin)
      print(ok, eddy.is_error(err, eddy.RuntimeError))
      print(eddy.run(function() return stdin:read("a") end))
      eddy.run(function() stdout:write("written\n") end)
    ]] .. "' </dev/null")
    assert.equal("<stdin>\t0\tfalse\nfalse\ttrue\n\nwritten\n", out)
  end)

  it("survive being closed at the start, all three", function()
    local _, _, status = sh(run [[
      eddy.stdin:read()
      eddy.stdout:write("x")
      eddy.stderr:write("x")
      print("y")
      local a <close>, b = eddy.stream_pair()
      b:close()
    ]] .. " <&- >&- 2>&-")
    assert.equal(0, status)
  end)

  it("survive being closed at the start of a program that uses the library", function()
    local out = output("lua=$(command -v \"$EDDY_LUA\" || echo lua5.4); \"$lua\" -e '" .. [[
      local eddy = require "eddy"
      eddy.run(function() print(eddy.stdin:read()) end)
    ]] .. "' <&- 2>&-")
    assert.equal("nil\n", out)
  end)

  it("have no size and no mode when they are no terminals", function()
    assert.equal("ENOTTY\tENOTTY\tfalse\n", output(run [[
      local _, a = pcall(eddy.stdout.winsize, eddy.stdout)
      local _, b = pcall(eddy.stdin.set_mode, eddy.stdin, "raw")
      print(a.code, b.code, eddy.stderr:isatty())
    ]]))
    assert.error_matches(function() eddy.stdin:set_mode("cooked") end, "bad argument #1 to 'set_mode'")
    assert.error_matches(function() eddy.stdin:set_mode() end, "string expected, got no value")
    assert.error_matches(function() eddy.stdin.read(5) end, "StandardStream expected, got number")
  end)
end)

-- Runs a line of shell in a terminal with what is typed there. Returns what is seen.
local function in_terminal(line, typed)
  local folder = support.folder { command = line }
  local out = sh(("(%s) | script -qfec 'stty rows 30 cols 90; sh %s/command' /dev/null"):format(typed, folder))
  support.remove(folder)
  return (out:gsub("\r", ""))
end

describe("a terminal #plain", function()
  if not os.execute("timeout 30 script -qec true /dev/null </dev/null >/dev/null 2>&1") then
    pending "no terminal can be made here"
    return
  end

  it("is read line by line, and written to in order", function()
    local seen = in_terminal(run [[
      print("name?")
      eddy.stdout:write("hello ", eddy.stdin:read(), "\n")
      print("bye ", eddy.stdin:read())
    ]], "sleep 0.3; echo Ada; sleep 0.1; printf '\\004'; sleep 0.2")
    assert.matches("name%?\n.*hello Ada\nbye \tnil\n", seen)
  end)

  it("has a size", function()
    local seen = in_terminal(run [[
      local columns, rows = eddy.stdout:winsize()
      print(columns, rows, eddy.stdin:isatty())
    ]], "sleep 0.5")
    assert.matches("90\t30\ttrue", seen)
  end)

  it("gives single keys in raw mode, and is as before afterwards", function()
    local seen = in_terminal("stty -a | grep -o '.icanon'; " .. run [[
      eddy.stdin:set_mode("raw")
      print("ready")
      print("key", eddy.stdin:read(1), eddy.stdin:read(1):byte())
      eddy.stdin:set_mode("normal")
      eddy.stdin:set_mode("raw")
      os.exit(0)
    ]] .. "; stty -a | grep -o '.icanon'", "sleep 0.4; printf 'q'; sleep 0.1; printf '\\003'; sleep 0.3")
    assert.matches("ready\nkey\tq\t3\n", seen)
    assert.equal(2, select(2, seen:gsub(" icanon", "")))
  end)

  it("is not left in raw mode by the end of the run, or an error", function()
    for _, how in ipairs { "", "error(\"oops\")", "eddy.stdin:close()" } do
      local seen = in_terminal(run("eddy.stdin:set_mode(\"raw\") eddy.move_on_after(0, eddy.stdin.read, eddy.stdin) "
        .. how) .. "; stty -a | grep -o '.icanon'", "sleep 0.5")
      assert.matches(" icanon", seen)
    end
  end)

  it("is not non-blocking for the shell afterwards", function()
    local flags = "grep flags /proc/self/fdinfo/0"
    local seen = in_terminal(flags .. "; " .. run [[
      eddy.stdout:write("")
      eddy.move_on_after(0.01, eddy.stdin.read, eddy.stdin)
    ]] .. "; " .. flags, "sleep 0.5")
    local before, after = seen:match("(flags[^\n]*)\n.*(flags[^\n]*)\n")
    assert.equal(before, after)
  end)
end)
