/* SPDX-License-Identifier: MIT */
/*
 * drafts.c - strings that are received where they are going to be, in a state with an arena: they are what was sent,
 *            they share memory with nobody, and nothing is lost when memory is short.
 * Uses:   base/arena.h.
 */
#include "base/arena.h"

#include <string.h>
#include <sys/socket.h>

#include "check.h"

/* How often the system was asked for bytes: the streams call this one. */
static int asked;
ssize_t recv(int fd, void *memory, size_t size, int flags) {
  asked++;
  return recvfrom(fd, memory, size, flags, NULL, NULL);
}

static int l_asked(lua_State *L) {
  lua_pushinteger(L, asked);
  return 1;
}

/* A state on an arena, under the sanitizers too. */
static lua_State *arena_state(void) {
  eddy__arena *a = eddy__arena_new();
  CHECK(a != NULL);
  lua_State *L = lua_newstate(eddy__arena_alloc, a);
  CHECK(L != NULL);
  eddy__arena_own(a, lua_getextraspace(L));
  luaL_openlibs(L);
  luaL_requiref(L, "eddy", luaopen_eddy, 0);
  lua_pop(L, 1);
  lua_register(L, "asked", l_asked);
  eddy__draft_prepare(L);
  return L;
}

/* A string of n bytes that begins with `first`, by a draft for `size` if that can be. Returns whether it could. */
static bool push(lua_State *L, size_t size, size_t n, char first) {
  eddy__draft d;
  if (!eddy__draft_begin(L, size, &d)) return false;
  CHECK(d.room > size && d.room < size + 600);
  CHECK(n <= d.room);
  memset(d.bytes, 'x', n);
  d.bytes[0] = first;
  if (!eddy__draft_is_full(&d, n)) {
    eddy__draft_drop(L, &d);
    return false;
  }
  const char *bytes = d.bytes;
  eddy__draft_push(L, &d, n);
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  CHECK(text == bytes);
  CHECK_INT((long long)n, (long long)length);
  CHECK(text[0] == first && text[n - 1] == 'x' && text[n] == '\0');
  return true;
}

static void makes_strings(void) {
  lua_State *L = arena_state();
  int top = lua_gettop(L);
  CHECK(!push(L, 100, 100, 'a'));       /* too short for it */
  CHECK(!push(L, 20000, 4000, 'a'));    /* it would waste the memory */
  CHECK(push(L, 5000, 5000, 'a'));
  CHECK(push(L, 16384, 16385, 'b'));    /* one more than was expected */
  CHECK(push(L, 16384, 9000, 'c'));
  CHECK(push(L, 1 << 20, 1 << 20, 'd'));
  for (int i = 0; i < 1000; i++) {
    CHECK(push(L, 16384, (size_t)(16384 - i % 3), (char)('0' + i % 10)));
    lua_rawseti(L, LUA_REGISTRYINDEX, 1000 + i % 50); /* some stay */
    if (i % 7 == 0) lua_gc(L, LUA_GCSTEP, 100);
  }
  for (int i = 950; i < 1000; i++) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, 1000 + i % 50);
    CHECK(lua_tostring(L, -1)[0] == '0' + i % 10);
    lua_pop(L, 1);
  }
  CHECK(lua_tostring(L, top + 1)[0] == 'a' && lua_tostring(L, top + 4)[0] == 'd');
  lua_close(L);
  L = luaL_newstate(); /* no arena */
  eddy__draft d;
  CHECK(!eddy__draft_begin(L, 16384, &d));
  lua_close(L);
}

/* Messages of many sizes, there and back, over TCP, a Unix socket and a pipe, while a collector that is always at work
 * runs finalizers that make large strings themselves. */
static const char script[] =
  "local eddy = require 'eddy'\n"
  "local seed = 7\n"
  "local function random(n) seed = (seed * 1103515245 + 12345) % 2147483648 return seed // 8 % n end\n"
  "local sizes = {1, 100, 4071, 4095, 4096, 5000, 16384, 16384, 16384, 65536, 65537, 100000, 300000}\n"
  "local litter\n"
  "function litter()\n"
  "  setmetatable({}, {__gc = function() litter() return #('g'):rep(4000 + random(60000)) end})\n"
  "end\n"
  "local kept = {}\n"
  "local function exchange(there, back)\n"
  "  local echo = eddy.create_task(function()\n"
  "    for data in back:lines(65536) do back:write(data) end\n"
  "  end)\n"
  "  local rest = ''\n"
  "  for i = 1, 300 do\n"
  "    local size = i <= 100 and 16384 or sizes[1 + random(#sizes)]\n"
  "    local function letters(n) return string.char(97 + random(26)):rep(n) end\n"
  "    local message = letters(size // 2) .. i .. letters(size - size // 2)\n"
  "    local sending = eddy.create_task(there.write, there, message)\n"
  "    local answer = {}\n"
  "    local left = #message\n"
  "    while left > 0 do\n"
  "      local text = assert(there:read(math.min(left, i % 3 == 0 and 1 + random(100000) or 1 << 20)))\n"
  "      answer[#answer + 1] = text\n"
  "      left = left - #text\n"
  "    end\n"
  "    sending:await()\n"
  "    assert(table.concat(answer) == message, i)\n"
  "    if i % 10 == 0 then kept[#kept + 1] = { answer, message } end\n"
  "  end\n"
  "  there:close()\n"
  "  echo:await()\n"
  "end\n"
  "collectgarbage('incremental', 100, 400)\n"
  "litter()\n"
  "local function served(start, connect)\n"
  "  local arrived, gate = eddy.get_running_loop():create_future(), eddy.Event()\n"
  "  local server <close> = start(function(conn) arrived:set_result(conn) gate:wait() end)\n"
  "  local there = connect(server)\n"
  "  exchange(there, arrived:await())\n"
  "  gate:set()\n"
  "end\n"
  "served(function(f) return eddy.start_server(f, '127.0.0.1', 0) end,\n"
  "  function(server) return eddy.open_connection(server:address()) end)\n"
  "local name = '\\0eddy-drafts-' .. eddy.time()\n"
  "served(function(f) return eddy.start_unix_server(f, name) end,\n"
  "  function() return eddy.open_unix_connection(name) end)\n"
  "collectgarbage('generational')\n"
  "served(function(f) return eddy.start_server(f, '127.0.0.1', 0) end,\n"
  "  function(server) return eddy.open_connection(server:address()) end)\n"
  "for i, pair in ipairs(kept) do assert(table.concat(pair[1]) == pair[2], i) end\n"
  "return #kept\n";

static void run(const char *text, int result) {
  lua_State *L = arena_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=script", text);
  int status = eddy_run(loop, L, 1);
  if (status != EDDY_OK) fprintf(stderr, "%s\n", eddy_error_text(L, 1));
  CHECK_INT(EDDY_OK, status);
  CHECK_INT(result, lua_tointeger(L, -1));
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* Both ends of a connection, and a message. */
#define CONNECTED                                                                           \
  "local eddy = require 'eddy'\n"                                                           \
  "local arrived, gate = eddy.get_running_loop():create_future(), eddy.Event()\n"           \
  "local function keep(conn) arrived:set_result(conn) gate:wait() end\n"                    \
  "local server <close> = eddy.start_server(keep, '127.0.0.1', 0)\n"                        \
  "local there <close> = eddy.open_connection(server:address())\n"                          \
  "local back <close> = arrived:await()\n"                                                  \
  "local message = ('m'):rep(16384)\n"

/* Finalizers wait to run when the second message comes, and the first that does so in the task that reads would close
 * the stream. None may before the bytes have been taken: their descriptor might be another's by then. */
static const char closing[] =
  CONNECTED
  "back:write(message)\n"
  "assert(there:read(65536) == message)\n"
  "local reader, reading\n"
  "local runs = 0\n"
  "collectgarbage('stop')\n"
  "for i = 1, 2000 do\n"
  "  setmetatable({}, {__gc = function()\n"
  "    runs = runs + 1\n"
  "    if reading and coroutine.running() == reader then reading = false there:abort() end\n"
  "  end})\n"
  "end\n"
  "collectgarbage('incremental', 1, 100, 1)\n"
  "collectgarbage('restart')\n"
  "local task = eddy.create_task(function()\n"
  "  reader = coroutine.running()\n"
  "  while runs == 0 do collectgarbage('step', 1) end\n"
  "  reading = true\n"
  "  local text = there:read(65536)\n"
  "  reading = false\n"
  "  return text\n"
  "end)\n"
  "eddy.sleep(0.01)\n"
  "assert(runs > 0 and runs < 1900)\n"
  "back:write(message)\n"
  "assert(task:await() == message)\n"
  "gate:set()\n"
  "return 1\n";

/* A message that is just as long as was asked for is received at once, without a question whether there is more; and
 * who reads many bytes in small pieces has the system called for many of them at once. */
static const char few_calls[] =
  CONNECTED
  "local echo = eddy.create_task(function()\n"
  "  for i = 1, 200 do back:write(back:read_exactly(16384)) end\n"
  "end)\n"
  "local before = asked()\n"
  "for i = 1, 200 do\n"
  "  there:write(message)\n"
  "  local n = 0\n"
  "  while n < 16384 do n = n + #there:read(16384) end\n"
  "end\n"
  "assert(asked() - before < 500, asked() - before)\n"
  "echo:await()\n"
  "local sending = eddy.create_task(function() for i = 1, 32 do back:write(message:rep(4)) end end)\n"
  "before = asked()\n"
  "local n = 0\n"
  "while n < 32 * 65536 do n = n + #there:read(4096) end\n"
  "assert(asked() - before < 256, asked() - before)\n"
  "sending:await()\n"
  "gate:set()\n"
  "return 1\n";

int main(void) {
  makes_strings();
  run(script, 90);
  run(closing, 1);
  run(few_calls, 1);
  return 0;
}
