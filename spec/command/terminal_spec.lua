-- The prompt on a terminal: what the line editor adds. The terminal is that of script, which util-linux has.
local support = require "spec.command.support"

-- It must be able to make a terminal, too: not every container has /dev/pts.
local has_script = os.execute("script --version 2>/dev/null | grep -q util-linux") and
  os.execute("timeout 30 script -qec true /dev/null </dev/null >/dev/null 2>&1")

-- Terminals that a spec has opened, and the folder of each.
local opened = {}

local Terminal = {}
Terminal.__index = Terminal

---Starts the command in a terminal of its own, and waits for its prompt.
---options: words, those of the command; env, NAME=value words; home, a folder that is there already.
local function open(options)
  options = options or {}
  local folder = support.folder {}
  local home = options.home or folder
  -- Only what is named here decides what the editor does.
  local command = ("stty rows 24 cols 80; env -u EDDY_HISTORY -u XDG_STATE_HOME HOME=%s INPUTRC=/dev/null " ..
    "EDITRC=/dev/null TERM=xterm %s %s -i %s; status=$?; stty -a; exit $status"):format(
    home, options.env or "", os.getenv "EDDY", options.words or "")
  support.write(folder .. "/command", command)
  assert(os.execute("mkfifo " .. folder .. "/keys"))
  local self = setmetatable({ folder = folder, seen = "" }, Terminal)
  self.output = assert(io.popen(("timeout 30 script -qfec 'sh %s/command' /dev/null <%s/keys 2>&1"):format(
    folder, folder)))
  self.keys = assert(io.open(folder .. "/keys", "w")) -- waits until script reads it
  self.keys:setvbuf "no"
  opened[#opened + 1] = self
  self:expect("eddy %d[^\n]*\n.*> $")
  return self
end

---Waits until what has come since the last match is so (a pattern, for the text without escape sequences unless it
---has one), and returns its captures. Fails with what there is when the command ends before, as it does after 30
---seconds.
function Terminal:expect(pattern)
  while true do
    local plain = self.seen:gsub("\r", "")
    if not pattern:find "\27" then plain = plain:gsub("\27%[[%d;?]*%a", "") end
    local found = table.pack(plain:match(pattern))
    if found[1] then
      self.seen = ""
      return table.unpack(found, 1, found.n)
    end
    local byte = self.output:read(1)
    if not byte then error(("waiting for %q, got %q"):format(pattern, self.seen), 2) end
    self.seen = self.seen .. byte
  end
end

---Presses keys.
function Terminal:type(text) self.keys:write(text) end

---Presses keys and waits until what comes after them matches.
function Terminal:press(keys, pattern)
  self:type(keys)
  return self:expect(pattern)
end

---Types a line and waits until what comes after it matches, and the next prompt.
function Terminal:line(text, pattern)
  return self:press(text .. "\r", "\n" .. pattern .. "> $")
end

---Ends the input by Ctrl-D; the rest of what was shown, and the exit status.
function Terminal:close()
  self:type "\4"
  local rest = self.output:read "a"
  local _, _, status = self.output:close()
  self.output = nil
  return rest, status
end

-- Whether this command has a line editor: then Ctrl-A goes to the start of the line.
local has_editor
if has_script then
  local terminal = open { env = "EDDY_HISTORY=" }
  terminal:type "2\0014\r"
  has_editor = terminal:expect("\n([^\n]+)\n> $") == "42"
  terminal:close()
end

describe("The prompt on a terminal", function()
  if not has_editor then
    pending(has_script and "the command has no line editor" or "there is no script of util-linux here")
    return
  end

  after_each(function()
    while #opened > 0 do
      local terminal = table.remove(opened)
      terminal.keys:close()
      if terminal.output then
        terminal.output:read "a" -- without its input it ends
        terminal.output:close()
      end
      support.remove(terminal.folder)
    end
  end)

  it("edits lines, and ends by Ctrl-D", function()
    local terminal = open()
    terminal:line("+ 2\0011 \5 + 3", "6\n")
    terminal:line("12\1273", "13\n")
    terminal:press("7", "7$")
    terminal:press("\27[D6\r", "\n67\n> $") -- the key to the left
    local rest, status = terminal:close()
    assert.matches(" icanon.* echo .*%-noflsh", rest) -- as stty tells at the end
    assert.equal(0, status)
  end)

  it("brings earlier lines back", function()
    local terminal = open()
    terminal:line("n = (n or 0) + 1", "")
    terminal:line("\27[A", "")
    terminal:line("n", "2\n")
    terminal:line("\27[A\27[A", "")
    terminal:line("n", "3\n")
  end)

  it("reads on while the input is unfinished", function()
    local terminal = open()
    terminal:press("(function()\r", "\n>> $")
    terminal:press("return 5\r", "\n>> $")
    terminal:line("end)()", "5\n")
  end)

  it("forgets the line at Ctrl-C, and all lines of unfinished input", function()
    local terminal = open()
    terminal:press("error 'not run'", "not run'$")
    terminal:press("\3", "\n> $")
    terminal:line("1", "1\n")
    terminal:press("do\r", "\n>> $")
    terminal:press("\3", "\n> $")
    terminal:line("2", "2\n")
  end)

  it("ends what runs at Ctrl-C, not itself", function()
    local terminal = open()
    terminal:press("print 'runs' eddy.sleep(3600)\r", "\nruns\n$")
    terminal:press("\3", "Interrupted\n> $")
    terminal:line("3", "3\n")
  end)

  it("completes globals, fields and methods", function()
    local terminal = open()
    terminal:line("tost\t == tostring", "true\n")
    terminal:line("eddy.create_ta\t == eddy.create_task", "true\n")
    terminal:line("eddy.so\t == eddy.sort", "true\n") -- which is loaded when it is first used
    terminal:line("eddy.stdi\t == eddy.stdin", "true\n")
    terminal:line("1 ..string.rev\t'ab'", '"?1ba"?\n') -- as a person would
    terminal:line("task = eddy.create_task(eddy.sleep, 3600)", "")
    terminal:line("task:canc\t()", "true\n")
    terminal:line("('x'):rep(1) text = 'ab'", "")
    terminal:line("text:rev\t()", '"?ba"?\n')
    terminal:line("local own_name = { inner = { field = 1 } }", "")
    terminal:line("own_n\t.inn\t.fi\t + 1", "2\n")
  end)

  it("lists what there is when a name may go on in several ways", function()
    local terminal = open()
    terminal:press("coroutine.\t\t", "close.*wrap.*yield.*> coroutine%.$")
    terminal:press("\3", "\n> $")
  end)

  it("calls nothing while it completes", function()
    local terminal = open()
    terminal:line("called = 0", "")
    terminal:line("function call() called = called + 1 return { field = 1 } end", "")
    terminal:line("lazy = setmetatable({}, { __index = call, __pairs = call })", "")
    terminal:press("lazy.inner.fi\t\t", "lazy.inner.fi")
    terminal:press("\3", "\n> $")
    terminal:press("call().fi\t\t", "call%(%).fi")
    terminal:press("\3", "\n> $")
    terminal:line("called", "0\n")
  end)

  it("follows tables that go round in circles to no end", function()
    local terminal = open()
    terminal:line("t = { name = 1 } t.__index = t setmetatable(t, t)", "")
    terminal:press("t.nosuch.na\t\3", "\n> $")
    terminal:line("t.na\t", "1\n")
  end)

  it("puts what tasks print above the line, which stays", function()
    local terminal = open()
    local go = terminal.folder .. "/go"
    terminal:line(("task = eddy.create_task(function() while not io.open '%s' do eddy.sleep(0.001) end " ..
      "print 'from a task' io.write 'no newline' io.stderr:write 'an error\\n' end)"):format(go), "")
    terminal:press("1 + 2", "1 %+ 2$")
    support.write(go, "")
    terminal:expect "\27%[Jfrom a task\n" -- the line has gone
    terminal:expect "> 1 %+ 2$"
    terminal:line(" + 3", "6\n")
  end)

  it("keeps up with typing while a task computes", function()
    local terminal = open()
    terminal:line("task = eddy.create_task(function() while true do for i = 1, 1e4 do end eddy.sleep(0) end end)",
      "")
    terminal:line("1 + 1", "2\n")
    terminal:line("task:cancel()", "true\n")
  end)

  it("gives the terminal back when a task leaves by os.exit", function()
    local terminal = open()
    local go = terminal.folder .. "/go"
    terminal:line(("task = eddy.create_task(function() while not io.open '%s' do eddy.sleep(0.001) end " ..
      "os.exit(7) end)"):format(go), "")
    support.write(go, "")
    assert.matches(" icanon.* echo .*%-noflsh", terminal.output:read "a") -- as stty tells at the end
    local _, _, status = terminal.output:close()
    terminal.output = nil
    assert.equal(7, status)
  end)

  describe("with its history", function()
    local function read(path)
      local file = io.open(path, "r")
      if not file then return nil end
      local text = file:read "a"
      file:close()
      return text
    end

    local function mode(path)
      local pipe <close> = assert(io.popen("ls -l " .. path))
      return pipe:read(10)
    end

    it("in the folder of states, for its owner only", function()
      local terminal = open()
      terminal:line("'one'", "[^\n]*\n")
      terminal:line("'one'", "[^\n]*\n")
      terminal:line("'two'", "[^\n]*\n")
      terminal:close()
      local path = terminal.folder .. "/.local/state/eddy/history"
      assert.equal("'one'\n'two'\n", read(path))
      assert.equal("-rw-------", mode(path))
      local second = open { home = terminal.folder }
      second:press("\27[A\27[A\r", "\n[^\n]*one[^\n]*\n> $")
    end)

    it("in XDG_STATE_HOME, or where EDDY_HISTORY says", function()
      local folder = support.folder {}
      finally(function() support.remove(folder) end)
      local terminal = open { env = "XDG_STATE_HOME=" .. folder .. "/state" }
      terminal:line("1", "1\n")
      assert.equal("1\n", read(folder .. "/state/eddy/history"))
      terminal = open { env = "EDDY_HISTORY=" .. folder .. "/mine" }
      terminal:line("2", "2\n")
      assert.equal("2\n", read(folder .. "/mine"))
    end)

    it("nowhere, when EDDY_HISTORY is empty, with -E, and when it cannot be written", function()
      local terminal = open { env = "EDDY_HISTORY=" }
      terminal:line("1", "1\n")
      assert.is_nil(read(terminal.folder .. "/.local/state/eddy/history"))
      terminal = open { words = "-E" }
      terminal:line("1", "1\n")
      assert.is_nil(read(terminal.folder .. "/.local/state/eddy/history"))
      terminal = open { env = "EDDY_HISTORY=/nonexistent/history" }
      terminal:line("1", "1\n")
    end)
  end)

  it("is the plain one when TERM is dumb", function()
    local terminal = open { env = "TERM=dumb" }
    terminal:press("1 + 1\r", "\n2\n> $")
    assert.is_nil(terminal:close():find "\27")
  end)
end)
