-- support.lua - runs the command that the environment's EDDY names, and waits for its end.
local support = {}

local command = assert(os.getenv("EDDY"), "the environment's EDDY names no command: start script/test")

-- A command that hangs must not hang the specs. macOS has no timeout.
local guard = os.execute("command -v timeout >/dev/null 2>&1") and "timeout 30 " or ""

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function take_file(path)
  local file <close> = assert(io.open(path, "rb"))
  local text = file:read("a")
  os.remove(path)
  return text
end

---Writes text to a file.
function support.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

---A new folder that holds the files given, name to text. Who asks for it removes it.
function support.folder(files)
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir " .. quote(path)))
  for name, text in pairs(files) do support.write(path .. "/" .. name, text) end
  return path
end

function support.remove(path)
  os.execute("rm -rf " .. quote(path))
end

---Runs a line of shell, in which "$EDDY" is the command; returns what came out of it on standard output and standard
---error, and its exit status (128 + n when signal n ended it).
function support.sh(line)
  local out, err = os.tmpname(), os.tmpname()
  -- The line in a shell of its own: whatever ends it, the redirections are ours.
  local _, how, code = os.execute(("EDDY=%s %s sh -c %s >%s 2>%s"):format(
    quote(command), guard, quote(line), out, err))
  return take_file(out), take_file(err), how == "signal" and 128 + code or code
end

---Runs a chunk, app.lua in that folder, with the Lua that has no command around it; returns what sh does.
function support.plain(folder, code)
  support.write(folder .. "/app.lua", code)
  return support.sh((os.getenv "EDDY_LUA" or "lua5.4") .. " " .. folder .. "/app.lua")
end

---Runs the command with these words. options: stdin, its text (default: nothing); env, a string of NAME=value words.
function support.eddy(words, options)
  options = options or {}
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = quote(word) end
  local input = os.tmpname()
  support.write(input, options.stdin or "")
  local line = ('exec env %s "$EDDY" %s <%s'):format(options.env or "", table.concat(quoted, " "), input)
  local out, err, status = support.sh(line)
  os.remove(input)
  return out, err, status
end

return support
