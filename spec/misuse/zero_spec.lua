-- A zero byte in what the system takes as text: refused, with the argument named, and never the end of it.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

require("eddy.busted").timeout = 5

-- The call, the number of the argument, the function.
local CALLS = {
  { "eddy.open('/tmp/x\\0y')", 1, "open" }, { "eddy.open('/dev/null', 'r\\0')", 2, "open" },
  { "eddy.open('/dev/null', 'r\\0b')", 2, "open" }, { "eddy.open('/dev/null', 'rb+\\0')", 2, "open" },
  { "eddy.open('/dev/null', '\\0')", 2, "open" }, { "eddy.lines('/dev/null\\0')", 1, "lines" },
  { "null:seek('cur\\0')", 1, "seek" }, { "null:setvbuf('no\\0')", 1, "setvbuf" },
  { "eddy.fs.read_file('x\\0')", 1, "read_file" }, { "eddy.fs.write_file('\\0', 'data')", 1, "write_file" },
  { "eddy.fs.write_file('x', 'data', { ['append\\0'] = true })", 3, "write_file" },
  { "eddy.fs.copy('x\\0', 'y')", 1, "copy" }, { "eddy.fs.copy('x', 'y\\0')", 2, "copy" },
  { "eddy.fs.rename('x\\0', 'y')", 1, "rename" }, { "eddy.fs.rename('x', 'y\\0')", 2, "rename" },
  { "eddy.fs.link('x\\0', 'y')", 1, "link" }, { "eddy.fs.link('x', 'y\\0')", 2, "link" },
  { "eddy.fs.symlink('x\\0', 'y')", 1, "symlink" }, { "eddy.fs.symlink('x', 'y\\0')", 2, "symlink" },
  { "eddy.fs.symlink('x', 'y', { type = 'file\\0' })", 3, "symlink" },
  { "eddy.fs.access('/tmp', 'r\\0')", 2, "access" }, { "eddy.fs.access('/tmp', '\\0')", 2, "access" },
  { "eddy.fs.mkdir('x\\0')", 1, "mkdir" }, { "eddy.fs.mkdtemp('/tmp/\\0XXXXXX')", 1, "mkdtemp" },
  { "eddy.fs.mkstemp('/tmp/\\0XXXXXX')", 1, "mkstemp" }, { "eddy.fs.stat('\\0')", 1, "stat" },
  { "eddy.fs.remove('x\\0')", 1, "remove" }, { "eddy.fs.watch('/tmp\\0')", 1, "watch" },
  { "eddy.fs.walk('/tmp\\0')", 1, "walk" }, { "eddy.fs.scandir('/tmp\\0')", 1, "scandir" },
  { "stream:send_file('/dev/null\\0')", 1, "send_file" },
  { "eddy.open_connection('localhost\\0', 1)", 1, "open_connection" },
  { "eddy.open_connection({ '127.0.0.1\\0' }, 1)", 1, "open_connection" },
  { "eddy.open_connection('127.0.0.1', 1, { family = 'inet\\0' })", 3, "open_connection" },
  { "eddy.open_connection('127.0.0.1', 1, { local_addr = { '127.0.0.1\\0' } })", 3, "open_connection" },
  { "eddy.open_connection('127.0.0.1', 1, { ['timeout\\0'] = 1 })", 3, "open_connection" },
  { "eddy.start_server(noop, '127.0.0.1\\0', 0)", 2, "start_server" },
  { "eddy.start_unix_server(noop, '/tmp/x\\0y')", 2, "start_unix_server" },
  { "eddy.open_unix_connection('/tmp/x\\0y')", 1, "open_unix_connection" },
  { "eddy.open_datagram { local_addr = { '127.0.0.1\\0' } }", 1, "open_datagram" },
  { "eddy.open_datagram { remote_addr = { 'localhost\\0', 9 } }", 1, "open_datagram" },
  { "udp:send('x', '127.0.0.1\\0', 9)", 2, "send" }, { "udp:join('239.0.0.1\\0')", 1, "join" },
  { "udp:join('239.0.0.1', '127.0.0.1\\0')", 2, "join" }, { "udp:leave('239.0.0.1\\0')", 1, "leave" },
  { "udp:set_multicast_interface('127.0.0.1\\0')", 1, "set_multicast_interface" },
  { "eddy.getaddrinfo('localhost\\0')", 1, "getaddrinfo" }, { "eddy.getaddrinfo('x', 'http\\0')", 2, "getaddrinfo" },
  { "eddy.getaddrinfo('x', nil, { family = 'inet\\0' })", 3, "getaddrinfo" },
  { "eddy.getaddrinfo('x', nil, { type = 'stream\\0' })", 3, "getaddrinfo" },
  { "eddy.getaddrinfo('x', nil, { flags = 'passive\\0' })", 3, "getaddrinfo" },
  { "eddy.getaddrinfo('x', nil, { flags = { 'passive\\0' } })", 3, "getaddrinfo" },
  { "eddy.getnameinfo('127.0.0.1\\0', 1)", 1, "getnameinfo" },
  { "eddy.create_subprocess_exec('true\\0')", 1, "create_subprocess_exec" },
  { "eddy.create_subprocess_exec('true', { 'x\\0' })", 2, "create_subprocess_exec" },
  { "eddy.create_subprocess_exec('true', {}, { stdout = 'null\\0' })", 3, "create_subprocess_exec" },
  { "eddy.create_subprocess_exec('true', {}, { cwd = '/\\0' })", 3, "create_subprocess_exec" },
  { "eddy.create_subprocess_exec('true', {}, { env = { A = 'x\\0' } })", 3, "create_subprocess_exec" },
  { "eddy.create_subprocess_exec('true', {}, { env = { ['A\\0'] = 'x' } })", 3, "create_subprocess_exec" },
  { "eddy.create_subprocess_exec('true', {}, { env = { ['A\\0=B'] = 'x' } })", 3, "create_subprocess_exec" },
  { "eddy.create_subprocess_exec('true', {}, { ['cwd\\0'] = '/' })", 3, "create_subprocess_exec" },
  { "eddy.exec('true\\0')", 1, "exec" }, { "eddy.exec('true', { '\\0' })", 2, "exec" },
  { "eddy.create_subprocess_shell('true\\0')", 1, "create_subprocess_shell" },
  { "eddy.signals('SIGUSR1\\0')", 1, "signals" },
  { "loop:add_signal_handler('SIGUSR1\\0', noop)", 1, "add_signal_handler" },
  { "loop:remove_signal_handler('SIGUSR1\\0')", 1, "remove_signal_handler" },
  { "process:send_signal('SIGTERM\\0')", 1, "send_signal" },
  { "eddy.wait({ noop }, { return_when = 'ALL_COMPLETED\\0' })", 2, "wait" },
  { "eddy.Runner { clock = 'virtual\\0' }", 1, "Runner" }, { "eddy.Runner { ['clock\\0'] = 'virtual' }", 1, "Runner" },
  { "eddy.stdout:set_mode('normal\\0')", 1, "set_mode" },
}

describe("A zero byte", function()
  local given
  before_each(function()
    given = { null = eddy.open("/dev/null"), udp = eddy.open_datagram { local_addr = { "127.0.0.1", 0 } },
      process = eddy.create_subprocess_exec("sleep", { 100 }) }
  end)
  after_each(function()
    given.null:close()
    given.udp:close()
    given.process:kill()
    given.process:wait()
    eddy.sleep(0.001)
  end)

  it("is refused wherever text is for the system, or one of a few words", function()
    for _, call in ipairs(CALLS) do misuse.assert_bad_argument(misuse.try(call[1], given), call[2], call[3]) end
  end)

  it("is no end of a field's name", function()
    assert.is_nil(given.process["pid\0"])
    assert.is_nil(eddy.Barrier(1)["parties\0"])
    assert.is_nil(eddy["stdout\0"])
  end)

  it("is a part of an abstract name, and of data", function()
    local name = "\0eddy\0zero" .. eddy.time()
    local server = eddy.start_unix_server(function(conn) conn:write(conn:read(3)) end, name)
    local conn <close> = eddy.open_unix_connection(name)
    conn:write "a\0b"
    assert.equal("a\0b", conn:read "a")
    server:close()
    server:wait_closed()
  end)
end)
