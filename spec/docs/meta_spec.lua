-- lua/eddy/meta against the module itself: what is described is there, and what is there is described.

local eddy = require "eddy"

local root = os.getenv("EDDY_ROOT") or "."

-- Reads the files. Returns, by class: its functions, the fields that are always there, and the class above it.
local function read_meta()
  local functions, fields, above, class_of = { eddy = {} }, {}, {}, {}
  local files = assert(io.popen("ls '" .. root .. "'/lua/eddy/meta/*.lua"))
  for path in files:lines() do
    local class
    class_of["eddy"] = "eddy"
    for line in io.lines(path) do
      local name, parent = line:match("^%-%-%-@class ([%w_.]+):? ?([%w_.]*)")
      if name then class, above[name] = name, parent ~= "" and parent or nil end
      local field = class and line:match("^%-%-%-@field ([%a_][%w_]*) ")
      if field then
        fields[class] = fields[class] or {}
        fields[class][field] = true
      end
      local variable = line:match("^local (%w+) = {}") or line:match("^(eddy%.[%w_]+) = {}")
      if variable and class then
        class_of[variable] = class
        functions[class] = functions[class] or {}
      end
      local value = line:match("^eddy%.([%w_]+) = ")
      if value then functions.eddy[value] = true end
      local owner, method = line:match("^function ([%w_.]-)[.:]([%w_]+)%(")
      if owner then functions[assert(class_of[owner], path .. ": whose is " .. line)][method] = true end
      if not line:find("^%-%-") then class = nil end
    end
    for variable in pairs(class_of) do
      if not variable:find(".", 1, true) then class_of[variable] = nil end
    end
  end
  files:close()
  return functions, fields, above
end

local functions, fields, above = read_meta()

-- One object of each class; `keep` gives back what it is given, and closes it after the test.
local makers = {
  ["eddy"] = function() return eddy end,
  ["eddy.Error"] = function() return eddy.Error("text") end,
  ["eddy.ExceptionGroup"] = function() return eddy.ExceptionGroup("text", { 1 }) end,
  ["eddy.Loop"] = function() return eddy.get_running_loop() end,
  ["eddy.Task"] = function() return eddy.current_task() end,
  ["eddy.Future"] = function() return eddy.get_running_loop():create_future() end,
  ["eddy.Handle"] = function() return eddy.get_running_loop():call_soon(type, 1) end,
  ["eddy.Coroutine"] = function(keep) return keep(eddy.async(type)(1)) end,
  ["eddy.Generator"] = function(keep) return keep((eddy.generator(type)()), "aclose") end,
  ["eddy.Runner"] = function(keep) return keep(eddy.Runner()) end,
  ["eddy.Timeout"] = function(keep)
    local scope = eddy.timeout(nil)
    keep(debug.getmetatable(scope).__close, scope)
    return scope
  end,
  ["eddy.TaskGroup"] = function() return eddy.TaskGroup() end,
  ["eddy.Lock"] = function() return eddy.Lock() end,
  ["eddy.Semaphore"] = function() return eddy.Semaphore(1) end,
  ["eddy.Event"] = function() return eddy.Event() end,
  ["eddy.Condition"] = function() return eddy.Condition() end,
  ["eddy.Barrier"] = function() return eddy.Barrier(1) end,
  ["eddy.Queue"] = function() return eddy.Queue() end,
  ["eddy.Channel"] = function() return eddy.Channel(1) end,
  ["eddy.ContextVar"] = function() return eddy.ContextVar("name") end,
  ["eddy.Context"] = function() return eddy.copy_context() end,
  ["eddy.Buffer"] = function() return eddy.buffer(1) end,
  ["eddy.ThreadPool"] = function(keep) return keep(eddy.ThreadPool { workers = 1 }) end,
  ["eddy.ProcessPool"] = function(keep) return keep(eddy.ProcessPool { workers = 1 }) end,
  ["eddy.StreamPair"] = function(keep)
    local near, far = eddy.stream_pair()
    keep(far)
    return keep(near)
  end,
  ["eddy.Pipe"] = function(keep)
    local reader, writer = eddy.pipe()
    keep(writer)
    return keep(reader)
  end,
  ["eddy.StandardStream"] = function() return eddy.stderr end,
  ["eddy.Server"] = function(keep) return keep(eddy.start_server(type, "127.0.0.1", 0)) end,
  ["eddy.TCP"] = function(keep)
    local server = keep(eddy.start_server(function(conn) conn:read() end, "127.0.0.1", 0))
    return keep(eddy.open_connection(server:address()))
  end,
  ["eddy.Datagram"] = function(keep) return keep(eddy.open_datagram { local_addr = { "127.0.0.1", 0 } }) end,
  ["eddy.File"] = function(keep) return keep(eddy.open("/dev/null")) end,
  ["eddy.Signals"] = function(keep) return keep(eddy.signals("SIGWINCH")) end,
  ["eddy.Process"] = function(keep)
    local process = eddy.create_subprocess_exec("true", {}, { stdin = "pipe", stdout = "pipe", stderr = "pipe" })
    for _, stream in ipairs { process.stdin, process.stdout, process.stderr } do keep(stream) end
    keep(process.wait, process)
    return process
  end,
  ["eddy.fs"] = function() return eddy.fs end,
  ["eddy.coroutine"] = function() return eddy.coroutine end,
}

makers["eddy.Stream"] = makers["eddy.StreamPair"]   -- there is none that is nothing but a stream

local NOT_ALWAYS = { returncode = true }   -- fields that are nil at first

-- Every name that the object answers to, but for private ones.
local function names_of(object)
  local names = {}
  local function add(t)
    for name in pairs(t) do
      if type(name) == "string" and name:sub(1, 1) ~= "_" then names[name] = true end
    end
  end
  if type(object) == "table" and rawequal(object, eddy) then add(object) end
  local index = (debug.getmetatable(object) or {}).__index
  if type(index) == "table" then add(index) end
  if type(index) == "function" then
    for i = 1, math.huge do
      local name, value = debug.getupvalue(index, i)
      if not name then break end
      if type(value) == "table" and not rawequal(value, eddy) then add(value) end
    end
  end
  if debug.getmetatable(object) == nil then add(object) end
  return names
end

local function is_described(class, name)
  while class do
    if functions[class] and functions[class][name] or fields[class] and fields[class][name] then return true end
    class = above[class]
  end
  return false
end

-- Calls test(object), and closes what was made for it.
local function with(class, test)
  local ends = {}
  local function keep(object, method)
    if type(object) == "function" then ends[#ends + 1] = { object, method }
    else ends[#ends + 1] = { object[method or "close"], object } end
    return object
  end
  local ok, err = pcall(function() test(assert(makers[class], "no object of " .. class)(keep)) end)
  for i = #ends, 1, -1 do ends[i][1](ends[i][2]) end
  if not ok then error(err, 0) end
end

describe("lua/eddy/meta", function()
  for class, names in pairs(functions) do
    local is_error = class ~= "eddy.Error" and class ~= "eddy.ExceptionGroup" and next(names) == nil
    if not is_error then
      it("describes of " .. class .. " what is there", function()
        with(class, function(object)
          for name in pairs(names) do
            assert.is_true(object[name] ~= nil, class .. " has no " .. name)
          end
          for name in pairs(class ~= "eddy.Error" and fields[class] or {}) do
            assert.is_true(NOT_ALWAYS[name] or object[name] ~= nil, class .. " has no field " .. name)
          end
        end)
      end)

      if class ~= "eddy.Stream" then
        it("describes of " .. class .. " all that is there", function()
          with(class, function(object)
            local parent = class == "eddy.coroutine" and coroutine or {}
            for name in pairs(names_of(object)) do
              local is_class = class == "eddy" and functions["eddy." .. name] ~= nil
              assert.is_true(is_class or parent[name] ~= nil or is_described(class, name),
                class .. "." .. name .. " is not described")
            end
          end)
        end)
      end
    end
  end

  it("describes the functions that are loaded when they are asked for", function()
    for _, name in ipairs { "sort", "gsub", "require", "exec", "ProcessPool" } do
      assert.is_true(eddy[name] ~= nil and is_described("eddy", name), name)
    end
  end)
end)
