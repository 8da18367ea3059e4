/* SPDX-License-Identifier: MIT */
/*
 * hello.c - the smallest host: open, spawn, run, close; arguments go in and results come out.
 */
#include "check.h"

static const char greet[] =
  "local eddy = require 'eddy'\n"
  "local name, n = ...\n"
  "eddy.sleep(0.001)\n"
  "return 'hello ' .. name, n + 1, nil\n";

/* With a loop that is opened before the module, and one after. */
static void run_twice_in_one_state(void) {
  lua_State *L = luaL_newstate();
  CHECK(L != NULL);
  luaL_openlibs(L);
  for (int i = 0; i < 2; i++) {
    eddy_loop *loop = open_loop(L, NULL);
    CHECK_INT(0, lua_gettop(L));
    luaL_requiref(L, "eddy", luaopen_eddy, 0);
    lua_pop(L, 1);

    CHECK_INT(LUA_OK, luaL_loadstring(L, greet));
    lua_pushliteral(L, "host");
    lua_pushinteger(L, 41);
    CHECK_INT(EDDY_OK, eddy_spawn(loop, L, 2));
    CHECK_INT(1, lua_gettop(L));
    CHECK_INT(EDDY_PENDING, eddy_status(L, 1));

    CHECK_INT(EDDY_OK, eddy_run(loop, L, 1));
    CHECK_INT(4, lua_gettop(L));
    CHECK_HAS("hello host", lua_tostring(L, 2));
    CHECK_INT(42, lua_tointeger(L, 3));
    CHECK(lua_isnil(L, 4));
    CHECK_INT(EDDY_OK, eddy_status(L, 1));

    CHECK_INT(EDDY_OK, eddy_close(loop, L));
    CHECK_INT(4, lua_gettop(L));
    lua_settop(L, 0);
  }
  lua_close(L);
}

/* A task that never starts, and a loop that never turns. */
static void close_at_once(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  loop = open_loop(L, NULL);
  spawn(loop, L, "=unstarted", "started = true");
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  CHECK_INT(EDDY_CANCELLED, eddy_status(L, 1));
  CHECK_INT(LUA_TNIL, lua_getglobal(L, "started"));
  lua_close(L);
}

/* The state may go first: the loop goes with it, and eddy_close must not be called then. */
static void forget_to_close(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=sleeper", "require('eddy').sleep(3600)");
  CHECK_INT(EDDY_PENDING, eddy_pump(loop, L, 0));
  lua_close(L);
}

int main(void) {
  run_twice_in_one_state();
  close_at_once();
  forget_to_close();
  return 0;
}
