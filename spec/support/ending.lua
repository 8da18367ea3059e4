-- What a test has begun ends with it, in reverse order.

local undone = {}

local function end_all()
  while #undone > 0 do table.remove(undone)() end
end

---Calls f when the test ends, whose `finally` is given.
return function(finally, f)
  table.insert(undone, f)
  finally(end_all)
end
