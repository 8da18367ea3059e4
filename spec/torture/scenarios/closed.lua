local stage = ...
local eddy = require "eddy"

-- Coroutines inside tasks that Lua's own coroutine.close ends while they wait: what they waited for may go before the
-- task does, or after it. Nothing here minds an error that is explained.
local try = stage.try

-- The task waits, by `wait`, in a coroutine that is closed; then it is cancelled.
local function leave(wait)
  local inner
  local task = eddy.create_task(function()
    inner = eddy.coroutine.create(wait)
    eddy.coroutine.resume(inner)
  end)
  try(eddy.sleep, 0)
  if inner and coroutine.status(inner) == "suspended" then coroutine.close(inner) end
  inner = nil -- luacheck: ignore
  try(collectgarbage)
  task:cancel()
  try(eddy.wait, { task })
end

return function()
  local loop, queue = eddy.get_running_loop(), eddy.Queue()
  local future, reader, writer = loop:create_future(), eddy.stream_pair()
  try(leave, function() eddy.sleep(1) end)
  try(leave, function() future:await() end)
  try(leave, function() for _ in eddy.as_completed { future } do queue:empty() end end)
  try(leave, function() queue:get() end)
  try(leave, function() reader:read(1) end)
  try(leave, function() eddy.getaddrinfo("localhost", 80) end)
  if not future:done() then future:set_result() end
  try(queue.put_nowait, queue, 1)
  reader:close()
  writer:close()
end
