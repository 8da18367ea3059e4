/* SPDX-License-Identifier: MIT */
/*
 * raw_close.c - a host that closes descriptors behind the back of streams: an OSError, and nobody else's descriptor is
 * touched.
 */
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

static int l_close(lua_State *L) {
  lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
  return 1;
}

static int l_dup(lua_State *L) {
  lua_pushinteger(L, dup((int)luaL_checkinteger(L, 1)));
  return 1;
}

static int l_is_open(lua_State *L) {
  int copy = dup((int)luaL_checkinteger(L, 1));
  if (copy >= 0) close(copy);
  lua_pushboolean(L, copy >= 0);
  return 1;
}

static const char script[] =
  "local eddy = require 'eddy'\n"
  "local make = {}\n"
  "function make.tcp()\n"
  "  local arrived = eddy.get_running_loop():create_future()\n"
  "  local gate = eddy.Event()\n"
  "  local server = eddy.start_server(function(c) arrived:set_result(c) gate:wait() end, '127.0.0.1', 0)\n"
  "  local near = eddy.open_connection(server:address())\n"
  "  return near, arrived:await(), function() gate:set() server:close() server:wait_closed() end\n"
  "end\n"
  "function make.unix()\n"
  "  local arrived = eddy.get_running_loop():create_future()\n"
  "  local gate, name = eddy.Event(), '\\0eddy-raw-' .. eddy.time()\n"
  "  local server = eddy.start_unix_server(function(c) arrived:set_result(c) gate:wait() end, name)\n"
  "  local near = eddy.open_unix_connection(name)\n"
  "  return near, arrived:await(), function() gate:set() server:close() server:wait_closed() end\n"
  "end\n"
  "function make.pipe() local r, w = eddy.pipe() return r, w, function() end end\n"
  "local function raises_ebadf(f, ...)\n"
  "  local ok, err = pcall(f, ...)\n"
  "  assert(not ok and eddy.is_error(err, eddy.OSError), tostring(err))\n"
  "  assert(err.code == 'EBADF', tostring(err))\n"
  "end\n"
  "for name, open in pairs(make) do\n"
  "  -- closed, and its number is free\n"
  "  local near, far, over = open()\n"
  "  assert(raw.close(near:fileno()) and raw.close(far:fileno()))\n"
  "  raises_ebadf(near.read, near)\n"
  "  raises_ebadf(far.write, far, 'x')\n"
  "  near:close() far:abort()\n"
  "  near:wait_closed() over()\n"
  "  -- closed, and its number is another's\n"
  "  for _, path in ipairs { '/dev/null', '/proc/self/stat' } do\n"
  "    near, far, over = open()\n"
  "    local fd = near:fileno()\n"
  "    assert(raw.close(fd))\n"
  "    local file = assert(io.open(path))\n"
  "    local other = fd\n"
  "    raises_ebadf(near.read, near)\n"
  "    near:close()\n"
  "    near:wait_closed()\n"
  "    assert(raw.is_open(other), name)\n"
  "    assert(file:close())\n"
  "    assert(not raw.is_open(other), name)\n"
  "    far:abort() over()\n"
  "  end\n"
  "  -- closed while a task reads, and a copy of it is still open somewhere: the system may go on telling of it\n"
  "  near, far, over = open()\n"
  "  local copy = raw.dup(near:fileno())\n"
  "  local reading = eddy.create_task(pcall, near.read, near)\n"
  "  eddy.sleep(0)\n"
  "  assert(raw.close(near:fileno()))\n"
  "  near:abort() near:wait_closed() reading:await()\n"
  "  near, reading = nil, nil\n"
  "  collectgarbage() collectgarbage()\n"
  "  far:write('x')\n"
  "  for _ = 1, 10 do eddy.sleep(0) end\n"
  "  raw.close(copy) far:abort() over()\n"
  "  -- the loop goes on\n"
  "  near, far, over = open()\n"
  "  far:write('fine\\n')\n"
  "  assert(near:read() == 'fine')\n"
  "  near:close() far:close() over()\n"
  "end\n"
  "-- a datagram socket, and one that listens\n"
  "for _, reused in ipairs { false, true } do\n"
  "  local socket = eddy.open_datagram { local_addr = { '127.0.0.1', 0 } }\n"
  "  local fd = socket:fileno()\n"
  "  assert(raw.close(fd))\n"
  "  local file = reused and assert(io.open '/dev/null')\n"
  "  raises_ebadf(socket.recv, socket)\n"
  "  assert(not pcall(socket.send, socket, 'x', '127.0.0.1', 9))\n"
  "  socket:close() eddy.sleep(0.001)\n"
  "  assert(raw.is_open(fd) == reused)\n"
  "  if file then file:close() end\n"
  "  local server = eddy.start_server(print, '127.0.0.1', 0)\n"
  "  fd = server:sockets()[1].fd\n"
  "  assert(raw.close(fd))\n"
  "  file = reused and assert(io.open '/dev/null')\n"
  "  server:close() server:wait_closed() eddy.sleep(0.001)\n"
  "  assert(raw.is_open(fd) == reused)\n"
  "  if file then file:close() end\n"
  "  -- while it does not accept, as there are as many as may be\n"
  "  local gate = eddy.Event()\n"
  "  server = eddy.start_server(function() gate:wait() end, '127.0.0.1', 0, { max_connections = 1 })\n"
  "  local one, two = eddy.open_connection(server:address()), eddy.open_connection(server:address())\n"
  "  eddy.sleep(0.002)\n"
  "  fd = server:sockets()[1].fd\n"
  "  assert(raw.close(fd))\n"
  "  file = reused and assert(io.open '/dev/null')\n"
  "  gate:set() eddy.sleep(0.01)\n"
  "  server:close() server:wait_closed() one:abort() two:abort() eddy.sleep(0.001)\n"
  "  assert(raw.is_open(fd) == reused)\n"
  "  if file then file:close() end\n"
  "end\n"
  "-- with many connections, that end one after the other: it is told once\n"
  "local told = {}\n"
  "eddy.get_running_loop():set_exception_handler(function(_, context) told[#told + 1] = context.message end)\n"
  "local gates, conns = {}, {}\n"
  "local server = eddy.start_server(function()\n"
  "  local gate = eddy.Event()\n"
  "  gates[#gates + 1] = gate\n"
  "  gate:wait()\n"
  "end, '127.0.0.1', 0, { max_connections = 3 })\n"
  "for i = 1, 3 do conns[i] = eddy.open_connection(server:address()) end\n"
  "while #gates < 3 do eddy.sleep(0) end\n"
  "assert(raw.close(server:sockets()[1].fd))\n"
  "for i = 1, 3 do gates[i]:set() eddy.sleep(0.001) conns[i]:abort() end\n"
  "assert(#told == 1 and told[1]:find('somebody has closed its socket', 1, true), table.concat(told, ' '))\n"
  "server:close() server:wait_closed()\n"
  "-- one that the end of the loop closes\n"
  "server = eddy.start_server(print, '127.0.0.1', 0)\n"
  "left = server:sockets()[1].fd\n"
  "eddy.sleep(0.001)\n"
  "assert(raw.close(left))\n"
  "stays = assert(io.open '/dev/null')\n"
  "return 'done'\n";

int main(void) {
  static const luaL_Reg raw[] = {
    {"close", l_close}, {"dup", l_dup}, {"is_open", l_is_open}, {NULL, NULL}};
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  luaL_newlib(L, raw);
  lua_setglobal(L, "raw");
  spawn(loop, L, "=script", script);
  int status = eddy_run(loop, L, 1);
  if (status != EDDY_OK) fprintf(stderr, "%s\n", eddy_error_text(L, 1));
  CHECK_INT(EDDY_OK, status);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_getglobal(L, "left");
  CHECK(fcntl((int)lua_tointeger(L, -1), F_GETFD) >= 0);
  lua_close(L);
  return 0;
}
