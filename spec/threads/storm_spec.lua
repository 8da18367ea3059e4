-- A storm: threads that send, receive and are cancelled at random. EDDY_DEEP_MESSAGES=1000000 for the long one.

local eddy = require "eddy"

require("eddy.busted").timeout = 600

describe("eight threads", function()
  it("hand over every message once, while tasks are cancelled at random", function()
    local total <const> = tonumber(os.getenv "EDDY_DEEP_MESSAGES") or 4000
    local senders <const>, receivers <const> = 4, 4
    local each = total // senders
    local ch, results = eddy.Channel(64), eddy.Channel(receivers)

    local function send_all(c, first, n, seed)
      local function random()
        seed = (seed * 1103515245 + 12345) % 2147483648
        return seed
      end
      local i = 0
      while i < n do
        local task = eddy.create_task(function()
          local burst = random() % 100
          while i < n and burst > 0 do
            burst = burst - 1
            c:send({ first + i, "text" })
            i = i + 1                            -- never reached by a send that was cancelled
          end
        end)
        if random() % 4 == 0 then
          if random() % 2 == 0 then eddy.sleep(0) end
          task:cancel()
        end
        eddy.wait { task }
      end
    end

    local function receive_all(c, r, seed)
      local function random()
        seed = (seed * 1103515245 + 12345) % 2147483648
        return seed
      end
      local sum, n, over = 0, 0, false
      while not over do
        local task = eddy.create_task(function()
          for _ = 1, random() % 100 do
            local message = c:recv()
            if not message then
              over = true
              return
            end
            sum, n = sum + message[1], n + 1
          end
        end)
        if random() % 4 == 0 then
          if random() % 2 == 0 then eddy.sleep(0) end
          task:cancel()
        end
        eddy.wait { task }
      end
      r:send({ sum, n })
    end

    local sending, receiving = {}, {}
    for i = 1, senders do sending[i] = eddy.thread(send_all, ch, (i - 1) * each, each, i) end
    for i = 1, receivers do receiving[i] = eddy.thread(receive_all, ch, results, 100 + i) end
    for _, thread in ipairs(sending) do thread:await() end
    ch:close()
    local sum, n = 0, 0
    for _ = 1, receivers do
      local part = results:recv()
      sum, n = sum + part[1], n + part[2]
    end
    eddy.gather(receiving)
    assert.same({ senders * each, senders * each * (senders * each - 1) // 2 }, { n, sum })
  end)

  it("carry out calls of many tasks, which are cancelled at random", function()
    local pool <close> = eddy.ThreadPool { workers = 8 }
    local seed, done, cancelled = 7, 0, 0
    local function random()
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed
    end
    local rounds <const> = (tonumber(os.getenv "EDDY_DEEP_MESSAGES") or 8000) // 40
    for _ = 1, rounds do
      local tasks = {}
      for i = 1, 8 do
        tasks[i] = eddy.create_task(eddy.run_in_executor, pool, function(k)
          if k % 3 == 0 then eddy.sleep(0.0005) end
          local sum = 0
          for j = 1, k * 50 do sum = sum + j end
          return k
        end, i)
      end
      if random() % 2 == 0 then eddy.sleep(random() % 300 / 1e6) end
      for i = 1, 8 do
        if random() % 3 == 0 then tasks[i]:cancel() end
      end
      eddy.wait(tasks)
      for i = 1, 8 do
        if tasks[i]:cancelled() then
          cancelled = cancelled + 1
        else
          assert.equal(i, tasks[i]:result())
          done = done + 1
        end
      end
    end
    assert.equal(rounds * 8, done + cancelled)
  end)

  it("wake each other whenever one of them has just gone to sleep, or is about to", function()
    local seed = 3
    local function random(n)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed // 65536 % n
    end
    local function busy(us)                      -- for so long
      local until_then = os.clock() + us / 1e6
      while os.clock() < until_then do end
      return us
    end
    local rounds <const> = (tonumber(os.getenv "EDDY_DEEP_MESSAGES") or 8000) // 8
    for workers = 1, 3 do
      local pool <close> = eddy.ThreadPool { workers = workers }
      for _ = 1, rounds // 3 do
        local calls = {}
        for i = 1, 1 + random(random(8) == 0 and 16 or 3) do
          local us = random(3) == 0 and random(100) or 0
          calls[i] = function() assert.equal(us, eddy.run_in_executor(pool, busy, us)) end
        end
        eddy.timeout(30, eddy.gather, calls)     -- one that is not woken waits for ever
        if random(2) == 0 then busy(random(100)) end
        if random(16) == 0 then eddy.sleep(random(200) / 1e6) end
      end
    end
  end)

  it("wake a worker that goes to sleep in this very moment", function()
    local pool <close> = eddy.ThreadPool { workers = 1 }
    local function steps(n) for _ = 1, n do end return n end
    local rounds <const> = (tonumber(os.getenv "EDDY_DEEP_MESSAGES") or 8000) // 200
    for _ = 1, rounds do
      eddy.timeout(30, function()
        for i = 1, 200 do                        -- the second call comes while the first one ends, or a little later
          local first = pool:submit(steps, 0)
          steps(i * 8)
          local second = pool:submit(steps, 1)
          assert.equal(0, first:await())
          assert.equal(1, second:await())
        end
      end)
    end
  end)
end)
