-- Reads that are cancelled at random, and begun again: no byte is lost, none comes twice, whatever the pieces in which
-- they are sent. EDDY_SEED=n repeats a run, EDDY_CASES=n makes it longer or shorter.

local eddy = require "eddy"

local CASES = math.tointeger(tonumber(os.getenv("EDDY_CASES"))) or 10000
local seed = math.tointeger(tonumber(os.getenv("EDDY_SEED"))) or os.time() * 1000 % 1000003
require("eddy.busted").timeout = 300 -- under the sanitizers

-- Random numbers of our own: busted shuffles with Lua's.
local state

local function random(n) -- 1..n
  state = state * 6364136223846793005 + 1442695040888963407
  return (state >> 33) % n + 1
end

local letters = { "a", "b", "c", "\n", ";", "7", " " }

local function text(n)
  local t = {}
  for i = 1, n do t[i] = letters[random(#letters)] end
  return table.concat(t)
end

-- A way to read, by its name, and what makes it: what it gives is a prefix of what is there.
local reads = {
  function(s) local n = random(40) return "count " .. n, function() return s:read(n) end end,
  function(s) local n = random(40) return "exactly " .. n, function() return s:read_exactly(n) end end,
  function(s) return "L", function() return s:read("L") end end,
  function(s) return "until ;", function() return s:read_until(";") end end,
  function(s) return "until ;7, ab or newline", function() return s:read_until { ";7", "ab", "\n" } end end,
  function(s)
    local n = random(9)
    return "count " .. n .. " and L", function()
      local a, b = s:read(n, "L")
      return a .. (b or "")
    end
  end,
  function(s) return "0 and L", function() return (select(2, s:read(0, "L"))) end end,
}

local function connected()
  local arrived = eddy.get_running_loop():create_future()
  local over = eddy.get_running_loop():create_future()
  local server = eddy.start_server(function(conn)
    arrived:set_result(conn)
    over:await()
  end, "127.0.0.1", 0)
  local near = eddy.open_connection(server:address())
  finally(function()
    near:abort()
    over:set_result()
    server:close()
    server:wait_closed()
  end)
  return near, arrived:await()
end

-- Sends `data` in random pieces, some of them a turn or more apart.
local function send(far, data)
  local at = 1
  for _ = 1, random(4) - 1 do eddy.sleep(0) end
  while at <= #data do
    local n = random(30)
    far:write(data:sub(at, at + n - 1))
    at = at + n
    for _ = 1, random(3) - 1 do eddy.sleep(0) end
  end
end

describe("reads that are cancelled and begun again", function()
  it("lose nothing and give nothing twice", function()
    state = seed
    local near, far = connected()
    local sent, taken = "", 0 -- what is on its way or there, and how much of it was read
    local cancelled, whole = 0, 0
    for case = 1, CASES do
      local data = text(random(25))
      sent = sent .. data
      local sender = eddy.create_task(send, far, data)
      local name, read = reads[random(#reads)](near)
      local reader = eddy.create_task(read)
      for _ = 1, random(5) - 1 do eddy.sleep(0) end
      if random(4) > 1 then reader:cancel() end
      sender:await()
      if not reader:done() and #sent < 400 then reader:cancel() end
      if #sent >= 400 and not reader:done() then -- it may wait for what does not come any more
        far:write(";7\n", ("x"):rep(40))
        sent = sent .. ";7\n" .. ("x"):rep(40)
      end
      local ok, got = pcall(reader.await, reader)
      if ok then
        whole = whole + 1
        assert(got == sent:sub(1, #got), ("seed %d, case %d, %s: %q is not the beginning of %q"):format(seed, case,
          name, got, sent))
        sent = sent:sub(#got + 1)
        taken = taken + #got
      else
        cancelled = cancelled + 1
        assert(eddy.is_error(got, eddy.CancelledError), ("seed %d, case %d, %s: %s"):format(seed, case, name, got))
      end
      if #sent > 600 then
        local n = #sent - random(100)
        assert.equal(sent:sub(1, n), near:read_exactly(n))
        sent = sent:sub(n + 1)
      end
    end
    far:shutdown()
    assert(near:read("a") == sent, "what is left differs, seed " .. seed)
    print(("stream property: seed %d, %d cases: %d reads, %d cancelled, %d bytes"):format(seed, CASES, whole, cancelled,
      taken))
    assert.is_true(CASES < 100 or (whole > CASES / 10 and cancelled > CASES / 10))
  end)
end)
