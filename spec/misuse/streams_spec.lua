-- Wrong calls of streams and of what makes them: the error names the argument and the function, at the caller, and
-- nothing is left or changed.

local eddy = require "eddy"
local misuse = require "spec.support.misuse"

-- The call, the argument that is wrong, the function, the beginning of the reason.
local WRONG = {
  { "stream:read('z')", 1, "read", "invalid format" },
  { "stream:read('l', 'z')", 2, "read", "invalid format" },
  { "stream:read(-1)", 1, "read", "a count cannot be negative" },
  { "stream:read(0.5)", 1, "read", "number has no integer representation" },
  { "stream:read(true)", 1, "read", "format expected, got boolean" },
  { "stream:read(nil)", 1, "read", "format expected, got nil" },
  { "stream:lines('z')", 1, "lines", "invalid format" },
  { "stream:read_exactly()", 1, "read_exactly", "number expected, got no value" },
  { "stream:read_exactly('1')", 1, "read_exactly", "number expected, got string" },
  { "stream:read_exactly(-1)", 1, "read_exactly", "a count cannot be negative" },
  { "stream:read_until()", 1, "read_until", "string or table expected" },
  { "stream:read_until('')", 1, "read_until", "a separator cannot be empty" },
  { "stream:read_until({})", 1, "read_until", "no separator" },
  { "stream:read_until({ 1 })", 1, "read_until", "a separator must be a string" },
  { "stream:write(nil)", 1, "write", "string, number or table of strings expected, got nil" },
  { "stream:write('a', print)", 2, "write", "string, number or table of strings expected, got function" },
  { "stream:write({ true })", 1, "write", "a table of strings expected" },
  { "stream:set_write_buffer_limits(-1)", 1, "set_write_buffer_limits", "a limit cannot be negative" },
  { "stream:set_write_buffer_limits(1, 2)", 2, "set_write_buffer_limits", "low cannot be above high" },
  { "stream:set_write_buffer_limits('1')", 1, "set_write_buffer_limits", "number expected, got string" },
  { "stream:send_file()", 1, "send_file", "string expected, got no value" },
  { "stream:send_file('a\\0b')", 1, "send_file", "a path cannot contain a zero byte" },
  { "stream:send_file('/', -1)", 2, "send_file", "an offset cannot be negative" },
  { "stream:send_file('/', 0, -1)", 3, "send_file", "a count cannot be negative" },

  { "eddy.open_pipe()", 1, "open_pipe", "number expected, got no value" },
  { "eddy.open_pipe('0')", 1, "open_pipe", "number expected, got string" },
  { "eddy.open_pipe(-1)", 1, "open_pipe", "a descriptor is not negative" },
  { "eddy.open_pipe(math.maxinteger)", 1, "open_pipe", "a descriptor is not negative" },
  { "eddy.open_pipe(0, { limt = 1 })", 2, "open_pipe", "unknown option 'limt'" },
  { "eddy.open_pipe(0, { limit = 0 })", 2, "open_pipe", "option 'limit'" },
  { "eddy.open_pipe(0, 5)", 2, "open_pipe", "table expected, got number" },
  { "eddy.pipe(5)", 1, "pipe", "table expected, got number" },
  { "eddy.pipe({ seed = 1 })", 1, "pipe", "unknown option 'seed'" },
  { "eddy.stream_pair(5)", 1, "stream_pair", "table expected, got number" },
  { "eddy.stream_pair({ sed = 1 })", 1, "stream_pair", "unknown option 'sed'" },
  { "eddy.stream_pair({ seed = 'x' })", 1, "stream_pair", "option 'seed'" },
  { "eddy.stream_pair({ chunk = 0.5 })", 1, "stream_pair", "option 'chunk'" },
  { "eddy.stream_pair({ delay = {} })", 1, "stream_pair", "option 'delay': number or {min, max} expected" },
  { "eddy.stream_pair({ delay = 0/0 })", 1, "stream_pair", "option 'delay': 0 <= min <= max expected" },
  { "eddy.stream_pair({ reset_after = true })", 1, "stream_pair", "option 'reset_after': number or {min, max}" },
  { "eddy.stream_pair({ end_after = { 2, 1 } })", 1, "stream_pair", "option 'end_after': 0 <= min <= max expected" },
  { "eddy.open_unix_connection()", 1, "open_unix_connection", "string expected, got no value" },
  { "eddy.open_unix_connection(1)", 1, "open_unix_connection", "string expected, got number" },
  { "eddy.open_unix_connection('')", 1, "open_unix_connection", "the path is empty" },
  { "eddy.open_unix_connection('a\\0')", 1, "open_unix_connection", "the path contains a zero byte" },
  { "eddy.open_unix_connection(('x'):rep(108))", 1, "open_unix_connection", "the path has 108 bytes" },
  { "eddy.open_unix_connection('/x', { port = 1 })", 2, "open_unix_connection", "unknown option 'port'" },
  { "eddy.open_unix_connection('/x', { timeout = true })", 2, "open_unix_connection", "option 'timeout'" },
  { "eddy.start_unix_server()", 1, "start_unix_server", "function expected, got no value" },
  { "eddy.start_unix_server('/x', print)", 1, "start_unix_server", "function expected, got string" },
  { "eddy.start_unix_server(print)", 2, "start_unix_server", "string expected, got no value" },
  { "eddy.start_unix_server(print, '\\0')", 2, "start_unix_server", "the abstract name is empty" },
  { "eddy.start_unix_server(print, '/x', { mode = 4096 })", 3, "start_unix_server", "option 'mode'" },
  { "eddy.start_unix_server(print, '/x', { reuse_port = true })", 3, "start_unix_server", "unknown option" },

  { "eddy.set_dns_cache(-1)", 1, "set_dns_cache", "table expected, got number" },
  { "eddy.set_dns_cache { tt1 = 1 }", 1, "set_dns_cache", "unknown option 'tt1'" },
  { "eddy.set_dns_cache { ttl = 0/0 }", 1, "set_dns_cache", "option 'ttl': NaN is not a time" },
  { "eddy.set_dns_cache { ttl = '1' }", 1, "set_dns_cache", "option 'ttl': number expected, got string" },
  { "eddy.ProcessPool(1)", 1, "ProcessPool", "table expected, got number" },
  { "eddy.ProcessPool { workers = 0 }", 1, "ProcessPool", "option 'workers': 0 is out of range" },
  { "eddy.ProcessPool { workers = 'x' }", 1, "ProcessPool", "option 'workers': integer expected, got string" },
  { "eddy.ProcessPool { worker = 1 }", 1, "ProcessPool", "unknown option 'worker'" },

  { "eddy.stdin:set_mode()", 1, "set_mode", "string expected, got no value" },
  { "eddy.stdin:set_mode('cooked')", 1, "set_mode", "\"raw\" or \"normal\" expected" },
  { "eddy.stdin:read('z')", 1, "read", "invalid format" },
  { "eddy.stdout:write(nil)", 1, "write", "string, number or table of strings expected, got nil" },
}

describe("a wrong call", function()
  for _, case in ipairs(WRONG) do
    local source, n, name, reason = table.unpack(case)
    it("is told of: " .. source:gsub("%c", "."), function()
      misuse.assert_bad_argument(misuse.try(source), n, name, reason)
    end)
  end

  for _, method in ipairs { "read", "read_exactly", "read_until", "write", "drain", "close", "abort", "is_closing",
    "wait_closed", "shutdown", "lines", "at_eof", "set_write_buffer_limits", "send_file", "peername", "sockname",
    "fileno", "isatty", "winsize", "set_mode" } do
    it("of the method of another object is told of: " .. method, function()
      local source = ("eddy.stdin.%s(stream)"):format(method)
      misuse.assert_bad_argument(misuse.try(source), 1, method, "StandardStream expected, got StreamPair")
    end)
  end
end)

describe("outside a task #plain", function()
  for _, case in ipairs {
    { "eddy.open_pipe(0)", "open_pipe" }, { "eddy.pipe()", "pipe" }, { "eddy.stream_pair()", "stream_pair" },
    { "eddy.open_unix_connection('/x')", "open_unix_connection" },
    { "eddy.start_unix_server(print, '/x')", "start_unix_server" },
    { "eddy.stdin:read()", "read" }, { "eddy.stdout:write('x')", "write" }, { "eddy.stderr:close()", "close" },
  } do
    it("is told of: " .. case[1], function()
      misuse.assert_error(misuse.try(case[1]), eddy.RuntimeError, "'" .. case[2] .. "'")
    end)
  end

  it("standard streams tell what they are", function()
    assert.equal("<stdin>", tostring(eddy.stdin))
    assert.equal(0, eddy.stdin:fileno())
    assert.equal("boolean", type(eddy.stdin:isatty()))
  end)
end)
