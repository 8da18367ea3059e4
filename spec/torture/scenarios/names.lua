local stage = ...
local eddy = require "eddy"

-- Look-ups that are shared, cancelled, cached; names of addresses.
return function()
  local function look_up() return eddy.getaddrinfo("localhost", 80, { family = "inet", type = "stream" })[1].address end
  local one, two = eddy.create_task(look_up), eddy.create_task(look_up)
  eddy.sleep(0)
  one:cancel()
  stage.equal("127.0.0.1", two:await(), "the address")
  eddy.wait { one }
  eddy.set_dns_cache { ttl = 10, max = 1 }
  local _ <close> = setmetatable({}, { __close = function() eddy.set_dns_cache() end })
  look_up()
  stage.equal("127.0.0.1", look_up(), "the address that was kept")
  eddy.getaddrinfo("localhost", 81)
  stage.equal("192.0.2.1", eddy.getaddrinfo("192.0.2.1", 80)[1].address, "a numeric address")
  stage.equal("localhost", (eddy.getnameinfo("127.0.0.1", 80)), "the name")
end
