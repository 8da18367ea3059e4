-- The examples as a newcomer may start them: without arguments, with wrong ones, where a port is taken or a file is not
-- there, and ended by Ctrl-C. They say what is wrong in a line.

local eddy = require "eddy"
local program = require "spec.support.program"

local root = os.getenv("EDDY_ROOT") or "."
local command = os.getenv("EDDY") or root .. "/build/release/eddy"

-- The arguments, what is printed, the status; `%d` is a port that is taken.
local CASES = {
  { "chat_server.lua foo", "^usage: chat_server.lua %[PORT%]\n$", 2 },
  { "chat_server.lua %d", "^OSError: cannot bind to '127.0.0.1:%d+': address already in use %(EADDRINUSE%)\n$", 1 },
  { "echo_server.lua 1.5", "^usage: echo_server.lua %[PORT%]\n$", 2 },
  { "echo_server.lua %d", "^OSError: cannot bind to '127.0.0.1:%d+': address already in use %(EADDRINUSE%)\n$", 1 },
  { "graceful_server.lua x", "^usage: graceful_server.lua %[PORT%]\n$", 2 },
  { "graceful_server.lua %d", "^OSError: cannot bind to '127.0.0.1:%d+': address already in use %(EADDRINUSE%)\n$", 1 },
  { "port_forwarder.lua", "^usage: port_forwarder.lua PORT HOST PORT\n$", 2 },
  { "port_forwarder.lua 0 localhost", "^usage: port_forwarder.lua PORT HOST PORT\n$", 2 },
  { "port_forwarder.lua x localhost y", "^usage: port_forwarder.lua PORT HOST PORT\n$", 2 },
  { "port_forwarder.lua %d localhost 1", "^OSError: cannot bind to .*EADDRINUSE%)\n$", 1 },
  { "tail.lua", "^usage: tail.lua FILE...\n$", 2 },
  { "tail.lua /none/file", "^OSError: cannot watch '/none/': no such file or directory %(ENOENT%)\n$", 1 },
  { "tail.lua /none/a /none/b", "^OSError: [^\n]+\nOSError: [^\n]+\n$", 1 },
  { "grep.lua", "^usage: grep.lua PATTERN %[DIR...%]\n$", 2 },
  { "grep.lua [", "malformed pattern %(missing ']'%)\n$", 2 },
  { "grep.lua x /none", "^OSError: cannot open '/none': no such file or directory %(ENOENT%)\n$", 1 },
}

describe("An example that is started wrongly says so:", function()
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local server <close> = eddy.start_server(print, "127.0.0.1", 0)
      local arguments = case[1]:gsub("%%d", select(2, server:address()))
      local output, status = program.command("examples/" .. arguments)
      assert.matches(case[2], output)
      assert.equal(case[3], status)
    end)
  end
end)

describe("Ctrl-C ends", function()
  for _, name in ipairs { "chat_server.lua", "echo_server.lua", "port_forwarder.lua 0 127.0.0.1 1" } do
    it(name, function()
      local process <close> = eddy.create_subprocess_shell(("exec '%s' examples/%s"):format(command, name),
        { cwd = root, stdout = "pipe", stderr = "stdout" })
      assert.matches("^listening on", process.stdout:read())
      process:send_signal "SIGINT"
      assert.equal("eddy: Interrupted\n", process.stdout:read "a")
      assert.equal(130, process:wait())
    end)
  end
end)
