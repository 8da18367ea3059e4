-- loop:add_reader and add_writer, on FIFOs that Lua's io has opened for both.

local eddy = require "eddy"
local support = require "spec.command.support"
local calls = require "spec.support.calls"

local function fifo()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkfifo " .. path))
  local file = assert(io.open(path, "r+"))
  file:setvbuf "no"
  os.remove(path)
  return file
end

local function loop() return eddy.get_running_loop() end

local function watched() return table.concat(eddy._handles(), " ") end

local function settle()
  for _ = 1, 3 do eddy.sleep(0.001) end
end

describe("loop:add_reader", function()
  it("calls the function with its arguments while there is something to read", function()
    local file, got, event = fifo(), {}, eddy.Event()
    loop():add_reader(file, function(name)
      got[#got + 1] = name .. file:read(1)
      if #got == 3 then event:set() end
    end, "byte ")
    settle()
    assert.same({}, got)
    file:write "abc"
    event:wait()
    assert.same({ "byte a", "byte b", "byte c" }, got)
    assert.is_true(loop():remove_reader(file))
    assert.is_false(loop():remove_reader(file))
    file:close()
  end)

  it("wakes a loop that waits in the kernel", function()
    local pipe, event = io.popen("sleep 0.02; echo line"), eddy.Event()
    loop():add_reader(pipe, function()
      loop():remove_reader(pipe)
      event:set()
    end)
    event:wait()
    assert.equal("line", pipe:read())
    pipe:close()
  end)

  it("tells of the end", function()
    local pipe, event = io.popen("exit 0"), eddy.Event()
    loop():add_reader(pipe, event.set, event)
    event:wait()
    assert.is_nil(pipe:read())
    loop():remove_reader(pipe)
    pipe:close()
  end)

  it("replaces the function that is there", function()
    local file, event = fifo(), eddy.Event()
    loop():add_reader(file, error, "the first one was called")
    loop():add_reader(file, event.set, event)
    file:write "x"
    event:wait()
    loop():remove_reader(file)
    file:close()
  end)

  it("takes numbers, files, and objects with a fileno", function()
    local file, event = fifo(), eddy.Event()
    loop():add_reader(file, event.set, event)
    local fd = tonumber(watched():match "reader of descriptor (%d+)")
    local object = { fileno = function() return fd end }
    assert.is_true(loop():remove_reader(fd))
    loop():add_reader(object, event.set, event)
    file:write "x"
    event:wait()
    loop():add_reader(fd, event.set, event)
    assert.is_true(loop():remove_reader(object))
    assert.is_false(loop():remove_reader(fd))
    file:close()
  end)

  it("leaves the descriptor blocking for others who have it", function()
    local out = support.sh [[mkfifo_path=$(mktemp -u); mkfifo "$mkfifo_path"; exec 5<>"$mkfifo_path"; rm "$mkfifo_path"
      flags() { grep flags: /proc/self/fdinfo/5; }
      before=$(flags)
      "$EDDY" -e 'eddy.get_running_loop():add_reader(5, print) eddy.sleep(0)
        io.write(io.open("/proc/self/fdinfo/5"):read("a"):match("flags:[^\n]*"))'
      echo; echo "$before"]]
    local during, before = out:match "(.-)\n(.-)\n"
    assert.equal(before, during)
  end)

  it("is gone with its loop #plain", function()
    local file = fifo()
    local other = eddy.new_event_loop()
    other:add_reader(file, print)
    assert.matches("reader of descriptor", eddy._handles(other)[1])
    other:close()
    file:close()
  end)

  it("may remove itself and add itself again from inside, and close the descriptor", function()
    local file, n, event = fifo(), 0, eddy.Event()
    local function reader()
      n = n + 1
      loop():remove_reader(file)
      if n < 3 then
        loop():add_reader(file, reader)
      else
        file:close()
        event:set()
      end
    end
    loop():add_reader(file, reader)
    file:write "x"
    event:wait()
    settle()
    assert.equal(3, n)
  end)

  it("gives errors to the exception handler and goes on", function()
    local file, told, event = fifo(), 0, eddy.Event()
    local before = loop():get_exception_handler()
    loop():set_exception_handler(function(_, context)
      assert.equal("oops", context.exception)
      told = told + 1
      if told == 2 then event:set() end
    end)
    finally(function() loop():set_exception_handler(before) end)
    loop():add_reader(file, error, "oops")
    file:write "x"
    event:wait()
    loop():remove_reader(file)
    file:close()
  end)

  it("does not keep others from running, however often it is called", function()
    local file, n = fifo(), 0
    loop():add_reader(file, function() n = n + 1 end)
    file:write "x"
    eddy.sleep(0.01)
    for _ = 1, 1000 do eddy.sleep(0) end
    assert.is_true(n > 1)
    loop():remove_reader(file)
    file:close()
  end)
end)

describe("loop:add_writer", function()
  it("calls the function while something can be written", function()
    local file, event = fifo(), eddy.Event()
    loop():add_writer(file, event.set, event)
    event:wait()
    assert.is_true(loop():remove_writer(file))
    assert.is_false(loop():remove_writer(file))
    file:close()
  end)

  it("shares the descriptor with a reader", function()
    local file, read, wrote = fifo(), eddy.Event(), eddy.Event()
    loop():add_reader(file, function()
      read:set()
      loop():remove_reader(file)
    end)
    settle()
    loop():add_writer(file, function()
      wrote:set()
      loop():remove_writer(file)
      file:write "x"
    end)
    assert.matches("<reader and writer of descriptor %d+>", watched())
    wrote:wait()
    read:wait()
    assert.equal("x", file:read(1))
    assert.is_false(loop():remove_reader(file))
    file:close()
  end)

  it("tells of a reader that is gone", function()
    local pipe, n, event = io.popen("exec <&-; read x </dev/null; exit 0", "w"), 0, eddy.Event()
    eddy.sleep(0.01)
    loop():add_writer(pipe, function()
      n = n + 1
      if n == 3 then event:set() end
    end)
    event:wait()
    loop():remove_writer(pipe)
    pipe:close()
  end)
end)

describe("A descriptor that is closed behind add_reader", function()
  it("wakes who waits for it, and is forgotten", function()
    local file, event, n = fifo(), eddy.Event(), 0
    local function called()
      n = n + 1
      event:set()
    end
    loop():add_reader(file, called)
    file:close()          -- before libuv has been told
    event:wait()
    settle()
    assert.equal("", watched())
    assert.equal(1, n)
    file = fifo()
    event:clear()
    loop():add_reader(file, called)
    settle()
    local waiting = eddy.create_task(event.wait, event)
    eddy.sleep(0)
    file:close()          -- after
    waiting:await()
    settle()
    assert.equal("", watched())
    assert.equal(2, n)
    assert.is_false(loop():remove_reader(0x7ffffff))
  end)

  it("tells the reader and the writer, once each", function()
    local file, called = fifo(), {}
    loop():add_reader(file, table.insert, called, "reader")
    local fd = tonumber(watched():match "reader of descriptor (%d+)")
    file:close()
    file = fifo()         -- its number is another's at once
    loop():add_writer(file, function()
      called[#called + 1] = "writer"
      loop():remove_writer(fd)
    end)
    assert.matches("<writer of descriptor " .. fd .. ">", watched())
    while not called[2] do eddy.sleep(0) end
    settle()
    assert.same({ "reader", "writer" }, called)
    assert.equal("", watched())
    file:close()
  end)

  it("is not called when it was removed before", function()
    local file = fifo()
    loop():add_reader(file, error, "called")
    settle()
    local fd = tonumber(watched():match "reader of descriptor (%d+)")
    file:close()
    assert.is_true(loop():remove_reader(fd))
    settle()
    assert.equal("", watched())
  end)

  it("is told of when a stream of eddy's closes it", function()
    local reader, writer = eddy.pipe()
    local path, event = "/proc/self/fd/" .. reader:fileno(), eddy.Event()
    local file = assert(io.open(path))
    loop():add_reader(file, event.set, event)
    local fd = tonumber(watched():match "reader of descriptor (%d+)")
    local stream = eddy.open_pipe(fd)   -- it is the stream's now
    settle()
    assert.is_false(event:is_set())
    stream:close()
    event:wait()
    settle()
    assert.not_matches("of descriptor", watched())
    assert.same({ nil, "Bad file descriptor", 9 }, { file:close() })
    reader:close()
    writer:close()
  end)

  it("does not keep a child waiting that writes into it", function()
    local out = support.sh([[timeout 5 "$EDDY" -e '
      local pipe, loop, n = io.popen("yes; exit 7"), eddy.get_running_loop(), 0
      loop:add_reader(pipe, function() n = n + 1 end)
      repeat eddy.sleep(0.001) until n > 0
      pipe:close()                      -- waits for the child, which ends as nobody reads
      print("closed")'; echo $?]])
    assert.equal("closed\n0\n", out)
  end)

  it("does not keep the other end from seeing it", function()
    local pipe = io.popen("cat >/dev/null; kill -USR1 $PPID", "w")
    local signals <close> = eddy.signals "SIGUSR1"
    loop():add_writer(pipe, function() end)
    settle()
    local closing = eddy.create_task(function() assert.equal("SIGUSR1", signals()) end)
    eddy.sleep(0)
    pipe:close()          -- waits for the shell, which waits for the end of its input
    closing:await()
  end)

  it("may be another one by then, which is left alone", function()
    local file = fifo()
    loop():add_reader(file, function() end)
    settle()
    local fd = tonumber(watched():match "reader of descriptor (%d+)")
    file:close()
    local other, event = fifo(), eddy.Event()
    assert.equal(fd, (function()
      loop():add_reader(other, event.set, event)
      return tonumber(watched():match "reader of descriptor (%d+)")
    end)())
    other:write "x"
    event:wait()
    assert.is_true(loop():remove_reader(fd))
    other:close()
  end)

  it("may be another one that is not watched", function()
    local file = fifo()
    loop():add_reader(file, function() end)
    settle()
    file:close()
    local other = fifo()
    other:write "x"
    settle()
    assert.equal("x", other:read(1))
    assert.equal("", watched())
    other:close()
  end)
end)

describe("add_reader refuses", function()
  local function code(f, ...)
    local err = calls.raised_as(eddy.OSError, f, ...)
    return err.code, err.syscall
  end

  it("what is no open descriptor", function()
    assert.error_matches(function() loop():add_reader(9999, print) end,
      "^bad argument #1 to 'add_reader' %(descriptor 9999: bad file descriptor%)")
    assert.error_matches(function() loop():add_writer(9999, print) end,
      "bad argument #1 to 'add_writer' %(descriptor 9999: bad file descriptor%)")
    assert.is_false(loop():remove_reader(9999))
    assert.equal("", watched())
  end)

  it("a regular file, which is always ready", function()
    local file <close> = io.tmpfile()
    assert.same({ "EPERM", "add_reader" }, { code(loop().add_reader, loop(), file, print) })
    local _, err = pcall(loop().add_reader, loop(), file, print)
    assert.matches("^cannot add_reader 'descriptor %d+': operation not permitted", err.message)
    assert.equal("", watched())
  end)

  it("to go on when a finalizer removes it meanwhile, and keeps nothing then", function()
    local file, mode = fifo(), collectgarbage "generational"
    finally(function() collectgarbage(mode) end)
    local functions = { function() return file end }
    local weak = setmetatable({ functions[1] }, { __mode = "v" })
    loop():add_reader(file, print)
    settle()
    collectgarbage()
    collectgarbage "stop"
    setmetatable({}, { __gc = function() loop():remove_reader(file) end })
    local this, add = loop(), loop().add_reader
    collectgarbage "restart"
    local _, err = pcall(add, this, file, functions[1])
    settle()
    assert.equal("ECANCELED", err.code)
    assert.equal("", watched())
    functions[1] = nil
    collectgarbage()
    assert.is_nil(weak[1])
    local event = eddy.Event()
    loop():add_writer(file, event.set, event)
    event:wait()
    file:close()
    settle()
  end)

  it("the descriptor of a stream", function()
    local reader, writer = eddy.pipe()
    for _, stream in ipairs { reader, writer, reader:fileno(), writer:fileno() } do
      local err = calls.raised_as(eddy.RuntimeError, loop().add_reader, loop(), stream, print)
      assert.matches("'add_reader': descriptor %d+ is that of a stream", err.message)
    end
    reader:close()
    writer:close()
  end)

  it("wrong arguments", function()
    assert.error_matches(function() loop():add_reader() end, "bad argument #1 to 'add_reader' %(value expected")
    assert.error_matches(function() loop():add_reader(0) end, "bad argument #2 to 'add_reader' %(function expected")
    assert.error_matches(function() loop():add_reader("0", print) end, "descriptor expected, got string")
    assert.error_matches(function() loop():add_reader({}, print) end, "descriptor expected, got table")
    assert.error_matches(function() loop():add_reader(-1, print) end, "not negative")
    assert.error_matches(function() loop():add_reader(0.5, print) end, "no integer")
    assert.error_matches(function() loop():add_reader({ fileno = tostring }, print) end, "no integer")
    local file = io.tmpfile()
    file:close()
    assert.error_matches(function() loop():add_reader(file, print) end, "a closed file")
  end)
end)
