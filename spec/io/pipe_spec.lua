-- Pipes, FIFOs and other descriptors as streams. What needs descriptors that are open at the start runs with the eddy
-- command.

local eddy = require "eddy"

local command = os.getenv("EDDY") or (os.getenv("EDDY_ROOT") or ".") .. "/build/release/eddy"

-- A pipe whose two ends are closed with the test.
local function pipe(options)
  local reader, writer = eddy.pipe(options)
  finally(function()
    reader:abort()
    writer:abort()
    reader:wait_closed()
    writer:wait_closed()
  end)
  return reader, writer
end

-- A shell that runs `line`, in which "$EDDY" is the command, in an empty folder; returns its output and its status.
local function sh(line)
  local folder = os.tmpname()
  os.remove(folder)
  local script = ("mkdir %s && cd %s && EDDY='%s' && { %s\n} 2>&1; s=$?; rm -rf %s; exit $s"):format(
    folder, folder, command, line, folder)
  local out = assert(io.popen(("timeout 20 sh -c '%s'"):format(script:gsub("'", "'\\''"))))
  local text = out:read("a")
  local _, _, status = out:close()
  return text, status
end

-- The command line that runs this as a script.
local function run(source)
  return ("\"$EDDY\" -e '%s'"):format(source)
end

-- The numbers of our descriptors that are open on something of that kind.
local function descriptors(kind)
  local list = {}
  local out = assert(io.popen("for f in /proc/$PPID/fd/*; do echo ${f##*/} $(readlink $f); done"))
  for number, target in out:read("a"):gmatch("(%d+) (%S+)") do
    if target:find(kind, 1, true) then list[#list + 1] = tonumber(number) end
  end
  out:close()
  return list
end

describe("eddy.pipe", function()
  it("gives an end to read and one to write", function()
    local reader, writer = pipe()
    local task = eddy.create_task(reader.read, reader)
    writer:write("one\ntwo")
    assert.equal("one", task:await())
    writer:close()
    assert.equal("two", reader:read())
    assert.is_nil(reader:read())
    assert.is_true(reader:at_eof())
  end)

  it("gives the end to the reader when it is shut down, which closes it", function()
    local reader, writer = pipe()
    writer:write("x"):shutdown()
    assert.equal("x", reader:read("a"))
    writer:wait_closed()
    assert.is_true(writer:is_closing())
  end)

  it("is as large as the system says, and then the writer waits", function()
    local reader, writer = pipe()
    local data = ("0123456789"):rep(100000)
    local task = eddy.create_task(function() writer:write(data):close() end)
    eddy.sleep(0)
    assert.is_false(task:done())
    assert.is_true(reader:read("a") == data)
    task:await()
  end)

  it("raises EPIPE when nobody reads any more", function()
    local reader, writer = pipe()
    reader:close()
    reader:wait_closed()
    local _, err = pcall(writer.write, writer, "x")
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.same({ "EPIPE", "write" }, { err.code, err.syscall })
    _, err = pcall(writer.drain, writer)
    assert.equal("EPIPE", err.code)
  end)

  it("raises EBADF for the direction that an end has not", function()
    local reader, writer = pipe()
    local _, err = pcall(writer.read, writer)
    assert.same({ "EBADF", "read" }, { err.code, err.syscall })
    _, err = pcall(reader.write, reader, "x")
    assert.same({ "EBADF", "write" }, { err.code, err.syscall })
    _, err = pcall(eddy.select, { writer })
    assert.equal("EBADF", err.code)
  end)

  it("has no names, but a descriptor", function()
    local reader, writer = pipe()
    assert.is_nil(reader:peername())
    assert.is_nil(reader:sockname())
    assert.equal("integer", math.type(writer:fileno()))
    assert.equal(("<pipe %d <- %d>"):format(reader:fileno(), writer:fileno()), tostring(reader))
    reader:close()
    assert.error_matches(function() reader:fileno() end, "'fileno' on a closed stream")
  end)

  it("takes a limit", function()
    local reader, writer = pipe { limit = 4 }
    writer:write("too long\n")
    local _, err = pcall(reader.read, reader)
    assert.is_true(eddy.is_error(err, eddy.LimitOverrunError))
  end)

  it("leaves no descriptor open", function()
    local before = #descriptors("pipe:")
    for _ = 1, 10 do
      local reader, writer = eddy.pipe()
      reader:close()
      writer:close()
      reader:wait_closed()
      writer:wait_closed()
    end
    assert.equal(before, #descriptors("pipe:"))
  end)

  it("checks its options", function()
    assert.error_matches(function() eddy.pipe { size = 1 } end, "unknown option 'size'")
    assert.error_matches(function() eddy.pipe(5) end, "bad argument #1 to 'pipe'")
    assert.error_matches(function() eddy.pipe { limit = 0 } end, "limit")
  end)

  it("needs a running loop #plain", function()
    local _, err = pcall(eddy.pipe)
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
  end)
end)

describe("eddy.open_pipe", function()
  it("reads and writes the descriptors that the command was started with", function()
    local text = sh("mkfifo in out; (echo hello >in; cat out) & " .. run [[
      local input, output = eddy.open_pipe(3), eddy.open_pipe(4)
      output:write(input:read():upper(), "\n")
      assert(input:read() == nil)
      input:close() output:close()
    ]] .. " 3<in 4>out; wait")
    assert.equal("HELLO\n", text)
  end)

  it("opens both directions of a FIFO, a socket, a terminal", function()
    local text = sh("mkfifo both; " .. run [[
      local stream <close> = eddy.open_pipe(3)
      print(stream:write("to myself\n"):read())
    ]] .. " 3<>both")
    assert.equal("to myself\n", text)
  end)

  it("gives the descriptor back as it was", function()
    local flags = "grep flags /proc/self/fdinfo/3 | tail -c 5"
    local text = sh("mkfifo both; exec 3<>both; " .. flags .. "; " .. run([[
      local stream = eddy.open_pipe(3)
      stream:write("x")
      os.execute("]] .. flags .. [[")
      stream:close()
      stream:wait_closed()
    ]]) .. "; " .. flags)
    assert.equal("0002\n4002\n0002\n", text)
  end)

  it("refuses what cannot be polled, and leaves it open", function()
    local text = sh(run [[
      for _, fd in ipairs { 3, 4, 5 } do
        local ok, err = pcall(eddy.open_pipe, fd)
        print(ok, err)
      end
      print(io.open("/proc/self/fdinfo/3") ~= nil)
    ]] .. " 3</dev/null 4</etc/passwd 5</")
    local line = "false\tbad argument #1 to 'open_pipe' (a pipe, socket or terminal expected)\n"
    assert.equal(line:rep(3) .. "true\n", text)
  end)

  it("reads all of a pipe that gives one packet at a time, also when its writer has gone", function()
    local packets = [[perl -MFcntl -e '
      fcntl(STDOUT, F_SETFL, O_WRONLY | O_DIRECT);
      syswrite(STDOUT, "0123456789") for 1..10
    ']]
    local text = sh(packets .. " | (sleep 0.1; " .. run [[
      local near <close> = eddy.open_pipe(0)
      eddy.sleep(0.01)
      print(#near:read("a"))
    ]] .. ")")
    assert.equal("100\n", text)
  end)

  it("raises EBADF for what is not open", function()
    local _, err = pcall(eddy.open_pipe, 9999)
    assert.is_true(eddy.is_error(err, eddy.OSError))
    assert.same({ "EBADF", "open_pipe" }, { err.code, err.syscall })
  end)

  it("refuses the descriptor of another stream", function()
    local reader = pipe()
    local _, err = pcall(eddy.open_pipe, reader:fileno())
    assert.is_true(eddy.is_error(err, eddy.RuntimeError))
    assert.matches("is a stream already", err.message)
  end)

  it("checks its arguments", function()
    for _, bad in ipairs { -1, 0.5, 1 << 40, "x", {}, print } do
      assert.error_matches(function() eddy.open_pipe(bad) end, "bad argument #1 to 'open_pipe'")
    end
    assert.error_matches(function() eddy.open_pipe(3, { x = 1 }) end, "unknown option 'x'")
    assert.error_matches(function() eddy.open_pipe() end, "bad argument #1 to 'open_pipe'")
  end)

  it("warns of one that is forgotten", function()
    local text = sh("mkfifo both; " .. run [[
      eddy.open_pipe(3)
      collectgarbage() collectgarbage()
      eddy.sleep(0)
    ]] .. " 3<>both")
    assert.matches("ResourceWarning: unclosed pipe 3 opened at", text)
  end)
end)
