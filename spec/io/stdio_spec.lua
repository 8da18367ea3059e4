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

-- The same with a FIFO as standard input, to which the program itself writes: `feed` is a stream.
local function fed(source)
  return output(("mkfifo /tmp/eddy-$$; %s 3<>/tmp/eddy-$$ </tmp/eddy-$$; rm /tmp/eddy-$$"):format(
    run("local feed <close> = eddy.open_pipe(3)" .. source)))
end

-- A reader of standard output that does not begin before the program calls `go()`.
local function late(source, reader)
  local gate = os.tmpname()
  os.remove(gate)
  local go = ("local function go() io.open(\"%s\", \"w\"):close() end "):format(gate)
  local line = "%s | (while ! test -e %s; do sleep 0.01; done; %s)"
  local out, err = sh(line:format(run(go .. source), gate, reader))
  os.remove(gate)
  return out, err
end

local LINES = [[
  for line in eddy.stdin:lines() do print(line) end
  assert(eddy.stdin:at_eof() and eddy.stdin:read() == nil)
]]

describe("eddy.stdin #plain", function()
  it("reads a pipe", function()
    assert.equal("a\nb\n", output("printf 'a\\nb' | " .. run(LINES)))
  end)

  it("does not block when somebody else takes what has come", function()
    assert.equal("others run\n", fed [[
      local mine = eddy.create_task(eddy.stdin.read, eddy.stdin, 5)
      eddy.sleep(0.01)
      local theirs = eddy.create_task(feed.read_exactly, feed, 100000) -- received as it comes
      eddy.sleep(0.01)
      feed:write("12345")
      eddy.sleep(0.01)
      print("others run")
      mine:cancel()
      theirs:cancel()
    ]])
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
    assert.equal("tick\ntick\ntick\ngot\tlate\n", fed [[
      eddy.create_task(function()
        for _ = 1, 3 do
          eddy.sleep(0.01)
          print "tick"
        end
        feed:write("late\n")
      end)
      print("got", eddy.stdin:read())
    ]])
  end)

  it("loses nothing when a read is cancelled", function()
    assert.equal("false\nlate\n", fed [[
      print((eddy.move_on_after(0.01, eddy.stdin.read, eddy.stdin)))
      feed:write("late\n")
      print(eddy.stdin:read())
    ]])
  end)

  it("does not hide a deadlock, once what was asked for is there, or is not wanted any more", function()
    for _, ask in ipairs {
      [[feed:write("x\n") eddy.stdin:read()]], "eddy.move_on_after(0.01, eddy.stdin.read, eddy.stdin)",
    } do
      local script = "local feed = eddy.open_pipe(3) " .. ask .. " eddy.get_running_loop():create_future():await()"
      local line = "mkfifo /tmp/eddy-$$; timeout 10 %s 3<>/tmp/eddy-$$ </tmp/eddy-$$; rm /tmp/eddy-$$"
      local _, err = sh(line:format(run(script)))
      assert.matches("DeadlockError", err)
    end
  end)

  it("reads no more than is asked for, so a program that is started has the rest", function()
    assert.equal("first\nchild: second\n", fed [[
      feed:write("first\n")
      print(eddy.stdin:read())
      feed:write("second\n")
      eddy.sleep(0.05)
      io.stdout:flush()
      os.execute("read line; echo child: $line")
    ]])
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
    assert.equal("2\n1\nlate\n", fed [[
      print((eddy.select { eddy.stdin, 0.01 }))
      eddy.get_running_loop():call_later(0.01, function() eddy.create_task(feed.write, feed, "late\n") end)
      print((eddy.select { eddy.stdin, 60 }))
      print(eddy.stdin:read())
    ]])
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
    local out, err = late([[
      local ticks = 0
      eddy.create_task(function()
        repeat
          eddy.sleep(0.001)
          ticks = ticks + 1
        until ticks == 10
        go()
      end)
      eddy.stdout:write(("x"):rep(1 << 20), "\n")
      io.stderr:write(ticks)
    ]], "wc -c")
    assert.same({ "1048577\n", "10" }, { out, err })
  end)

  it("is lost with what is queued when it is aborted, and print goes on", function()
    local out, err = late([[
      local task = eddy.create_task(pcall, eddy.stdout.write, eddy.stdout, ("x"):rep(1 << 20))
      eddy.sleep(0)
      eddy.stdout:abort()
      print("lost")
      eddy.stdout:wait_closed()
      print("lost")
      io.stderr:write(tostring(task:await()))
      go()
    ]], "cat | tr -d x")
    assert.same({ "", "false" }, { out, err })
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
      local ok, err
      repeat
        ok, err = pcall(eddy.stderr.write, eddy.stderr, "x")
        eddy.sleep(0.001)
      until not ok
      print(err.code)
    ]]
    assert.equal("EPIPE\n", output(("(%s 2>&1 >&3 | true) 3>&1 | cat"):format(run(source))))
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
    local out, err = late([[
      local task = eddy.create_task(eddy.stdout.write, eddy.stdout, ("x"):rep(200000))
      eddy.sleep(0)
      local before = task:done()
      eddy.stdout:set_write_buffer_limits(1 << 20)
      local other = eddy.create_task(eddy.stdout.write, eddy.stdout, "y")
      eddy.sleep(0)
      io.stderr:write(tostring(before), " ", tostring(other:done()))
      go()
      task:await()
    ]], "wc -c")
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

local opened

-- Starts a line of shell in a terminal of its own.
local function terminal(line)
  local folder = support.folder { command = "stty rows 30 cols 90\n" .. line }
  assert(os.execute("mkfifo " .. folder .. "/keys"))
  local self = { seen = "" }
  local shown = assert(io.popen(("timeout 30 script -qfec 'EDDY=%s sh %s/command' /dev/null <%s/keys 2>&1"):format(
    os.getenv "EDDY", folder, folder)))
  local keys = assert(io.open(folder .. "/keys", "w"))
  keys:setvbuf "no"

  -- Waits until what has come since the last match matches, and returns the captures.
  function self.expect(pattern)
    while true do
      local found = table.pack(self.seen:match(pattern))
      if found[1] then
        self.seen = ""
        return table.unpack(found, 1, found.n)
      end
      local byte = shown:read(1)
      if not byte then error(("waiting for %q, got %q"):format(pattern, self.seen), 2) end
      if byte ~= "\r" then self.seen = self.seen .. byte end
    end
  end

  function self.type(text) keys:write(text) end

  -- The rest of what was shown, when the line has ended.
  function self.rest() return self.seen .. shown:read("a"):gsub("\r", "") end

  function self.close()
    keys:close()
    shown:close()
    support.remove(folder)
  end

  opened = self
  return self
end

local FLAGS = "grep -o 'flags.*' /proc/self/fdinfo/0"
local MODE = "stty -a | grep -o '[- ]icanon'"

describe("a terminal #plain", function()
  if not os.execute("timeout 30 script -qec true /dev/null </dev/null >/dev/null 2>&1") then
    pending "no terminal can be made here"
    return
  end

  after_each(function() opened.close() end)

  it("is read line by line, and written to in order", function()
    local t = terminal(run [[
      print("name?")
      eddy.stdout:write("hello ", eddy.stdin:read(), "\n")
      print("bye", eddy.stdin:read())
    ]])
    t.expect "name%?\n"
    t.type "Ada\n"
    t.expect "hello Ada\n"
    t.type "\4"
    t.expect "bye\tnil\n"
  end)

  it("goes on after Ctrl-D, when it is read again", function()
    local t = terminal(run [[
      print("read", eddy.stdin:read(), eddy.stdin:at_eof())
      print("read", eddy.stdin:read())
    ]])
    t.type "\4"
    t.expect "read\tnil\ttrue\n"
    t.type "more\n"
    t.expect "read\tmore\n"
  end)

  it("has a size", function()
    terminal(run [[
      local columns, rows = eddy.stdout:winsize()
      print(columns, rows, eddy.stdin:isatty())
    ]]).expect "90\t30\ttrue\n"
  end)

  it("gives single keys in raw mode, and is as before when the process exits", function()
    local t = terminal(MODE .. "; " .. run [[
      eddy.stdin:set_mode("raw")
      print("ready")
      print("key", eddy.stdin:read(1))
      print("key", eddy.stdin:read(1):byte())
      eddy.stdin:set_mode("normal")
      eddy.stdin:set_mode("raw")
      os.exit(0)
    ]] .. "; " .. MODE)
    t.expect " icanon\nready\n"
    t.type "q"
    t.expect "^key\tq\n"
    t.type "\3"
    t.expect "^key\t3\n"
    assert.equal(" icanon\n", t.rest())
  end)

  for name, how in pairs { ["the end of the run"] = "", ["an error"] = "error(\"oops\")",
    ["the close"] = "eddy.stdin:close() print(\"closed\") os.execute(\"kill -9 $PPID\")" } do
    it("is not left in raw mode by " .. name, function()
      local t = terminal(run("eddy.stdin:set_mode(\"raw\") eddy.move_on_after(0, eddy.stdin.read, eddy.stdin) "
        .. how) .. "; " .. MODE)
      assert.matches(" icanon\n$", t.rest())
    end)
  end

  it("is not non-blocking for the shell, before and after", function()
    local t = terminal(FLAGS .. "; " .. run([[
      eddy.stdout:write("")
      eddy.move_on_after(0.01, eddy.stdin.read, eddy.stdin)
      os.execute(]] .. ("%q"):format(FLAGS):gsub("'", "") .. [[)
    ]]) .. "; " .. FLAGS)
    local first, second, third = t.rest():match("(flags[^\n]*)\n(flags[^\n]*)\n(flags[^\n]*)\n")
    assert.same({ first, first }, { second, third })
  end)
end)
