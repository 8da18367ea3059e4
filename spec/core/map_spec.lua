local eddy = require "eddy"
local calls = require "spec.support.calls"

local raised, now = calls.raised, calls.now

-- A function that sleeps as long as its item says, and counts how many of it run at once.
local function counting_sleep()
  local counts = { running = 0, most = 0, started = 0 }
  return function(seconds)
    counts.running = counts.running + 1
    counts.started = counts.started + 1
    counts.most = math.max(counts.most, counts.running)
    local _ <close> = setmetatable({}, { __close = function() counts.running = counts.running - 1 end })
    return eddy.sleep(seconds, seconds * 10)
  end, counts
end

describe("eddy.map #virtual", function()
  it("lists results in the order of the items", function()
    local f = counting_sleep()
    assert.same({ 30, 10, 20, n = 3 }, eddy.map(f, { 3, 1, 2 }))
  end)

  it("runs all at once by default", function()
    local f, counts = counting_sleep()
    eddy.map(f, { 3, 1, 2 })
    assert.equal(3, counts.most)
    assert.equal(3, now())
  end)

  it("runs at most as many at once as it is told", function()
    local f, counts = counting_sleep()
    eddy.map(f, { 1, 1, 1, 1, 1 }, { concurrency = 2 })
    assert.equal(2, counts.most)
    assert.equal(3, now())
  end)

  it("goes on with the next item as soon as one is done", function()
    local f = counting_sleep()
    eddy.map(f, { 3, 1, 1, 1 }, { concurrency = 2 })
    assert.equal(3, now())
  end)

  it("gives an empty list for an empty list", function()
    assert.same({ n = 0 }, eddy.map(counting_sleep(), {}))
  end)

  it("keeps the first result of each, with n set", function()
    local results = eddy.map(function(item)
      if item == 2 then return end
      return item, "more"
    end, { 1, 2, 3, 2 })
    assert.same({ 1, nil, 3, n = 4 }, results)
  end)

  it("takes an async function", function()
    assert.same({ 10, 20, n = 2 }, eddy.map(eddy.async((counting_sleep())), { 1, 2 }))
  end)

  it("minds the list as it was when it was called", function()
    local list = { 1, 2, 3 }
    eddy.create_task(function() list[2], list[4] = "changed", 4 end)
    assert.same({ 10, 20, 30, n = 3 }, eddy.map(counting_sleep(), list, { concurrency = 1 }))
  end)
end)

describe("eddy.map with errors #virtual", function()
  it("raises the first error, cancels the rest and waits for their end", function()
    local log = {}
    local err = raised(eddy.map, function(item)
      local _ <close> = setmetatable({}, { __close = function(_, why)
        if item == "good" then eddy.sleep(1) end
        log[#log + 1] = item .. (eddy.is_error(why, eddy.CancelledError) and " cancelled" or " failed")
      end })
      eddy.sleep(item == "bad" and 1 or 60)
      error("boom", 0)
    end, { "good", "bad" })
    assert.equal("boom", err)
    assert.same({ "bad failed", "good cancelled" }, log)
    assert.equal(2, now())
    assert.equal(1, #eddy.all_tasks())
  end)

  it("starts no other item after the first error", function()
    local f, counts = counting_sleep()
    raised(eddy.map, function(item)
      f(item)
      error "boom"
    end, { 1, 2, 3, 4, 5 }, { concurrency = 2 })
    assert.equal(2, counts.started)
  end)

  it("raises the same value", function()
    local err = { code = 7 }
    assert.equal(err, (raised(eddy.map, error, { err })))
  end)

  it("is not reported for the errors that come after the first", function()
    local reports = 0
    eddy.get_running_loop():set_exception_handler(function() reports = reports + 1 end)
    raised(eddy.map, function(item)
      pcall(eddy.sleep, item)
      error(item)
    end, { 1, 2, 3 })
    collectgarbage()
    collectgarbage()
    assert.equal(0, reports)
  end)
end)

describe("Cancelling a map #virtual", function()
  it("cancels what runs, waits for its end, starts nothing more", function()
    local f, counts = counting_sleep()
    local mapping = eddy.create_task(eddy.map, f, { 5, 5, 5, 5 }, { concurrency = 2 })
    eddy.sleep(1)
    mapping:cancel("enough")
    assert.equal("enough", raised(eddy.await, mapping).message)
    assert.equal(1, now())
    assert.equal(0, counts.running)
    assert.equal(2, counts.started)
  end)

  it("while it ends because of an error raises that error, and the request reaches the next wait", function()
    local err
    local mapping = eddy.create_task(function()
      err = raised(eddy.map, function(delay)
        local _ <close> = setmetatable({}, { __close = function() eddy.sleep(5) end })
        eddy.sleep(delay)
        error("boom", 0)
      end, { 1, 50 })
      eddy.sleep(50)
    end)
    eddy.sleep(8)
    mapping:cancel()
    raised(eddy.await, mapping)
    assert.equal("boom", err)
    assert.is_true(mapping:cancelled())
    assert.equal(8, now())
  end)
end)

describe("eddy.map, given something else #virtual", function()
  it("raises a bad argument", function()
    assert.matches("bad argument #1 to 'map' %(function expected, got nil%)", raised(function() eddy.map(nil, {}) end))
    assert.matches("bad argument #2 to 'map' %(table expected, got number%)", raised(function() eddy.map(print, 1) end))
  end)

  it("knows its options", function()
    assert.matches("bad argument #3 to 'map' %(unknown option 'concurency'%)",
      raised(function() eddy.map(print, {}, { concurency = 2 }) end))
    assert.matches("concurrency", raised(eddy.map, print, {}, { concurrency = 0 }))
    assert.matches("concurrency", raised(eddy.map, print, {}, { concurrency = 1.5 }))
  end)
end)
