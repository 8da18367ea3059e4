/* SPDX-License-Identifier: MIT */
/*
 * misuse.c - what a host does wrong is answered by a status and a message; what ends early ends in
 *            order.
 */
#include "check.h"

static eddy_loop *the_loop; /* of the test that runs: its C functions need it */

/* From Lua, in a task: each call that may not be made there. Nothing of it changes anything. */
static int l_call_from_inside(lua_State *L) {
  lua_getglobal(L, "task");
  int top = lua_gettop(L);
  CHECK_INT(EDDY_MISUSE, eddy_run(the_loop, L, top));
  CHECK_INT(top + 1, lua_gettop(L));
  CHECK(lua_tostring(L, -1) != NULL);
  lua_settop(L, top);
  CHECK_INT(EDDY_MISUSE, eddy_pump(the_loop, L, 0));
  CHECK_INT(EDDY_MISUSE, eddy_close(the_loop, L));
  lua_settop(L, top);
  /* But this may be: */
  CHECK_INT(LUA_OK, luaL_loadstring(L, "return 'spawned inside'"));
  CHECK_INT(EDDY_OK, eddy_spawn(the_loop, L, 0));
  CHECK_INT(EDDY_PENDING, eddy_status(L, -1));
  return 1;
}

static void call_from_inside(void) {
  lua_State *L = new_state();
  the_loop = open_loop(L, NULL);
  lua_register(L, "call_from_inside", l_call_from_inside);
  spawn(the_loop, L, "=inside", "return call_from_inside():await()");
  lua_pushvalue(L, -1);
  lua_setglobal(L, "task");
  CHECK_INT(EDDY_OK, eddy_run(the_loop, L, 1));
  CHECK_HAS("spawned inside", lua_tostring(L, -1));
  CHECK_INT(EDDY_OK, eddy_close(the_loop, L));
  lua_close(L);
}

static void wrong_options(void) {
  lua_State *L = new_state();
  eddy_options options = {.size = 0};
  CHECK(eddy_open(L, &options) == NULL);
  CHECK_INT(1, lua_gettop(L));
  CHECK(lua_tostring(L, 1) != NULL);
  lua_close(L);
}

static void not_a_task(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  lua_pushliteral(L, "no task");
  CHECK_INT(EDDY_MISUSE, eddy_status(L, 1));
  CHECK_INT(0, eddy_cancel(L, 1));
  CHECK_INT(EDDY_MISUSE, eddy_run(loop, L, 1));
  CHECK_INT(2, lua_gettop(L));
  CHECK(lua_tostring(L, 2) != NULL);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* A task of one loop cannot be run on another. */
static void foreign_task(void) {
  lua_State *L = new_state();
  eddy_loop *one = open_loop(L, NULL), *other = open_loop(L, NULL);
  spawn(one, L, "=one", "return 1");
  CHECK_INT(EDDY_MISUSE, eddy_run(other, L, 1));
  lua_settop(L, 1);
  CHECK_INT(EDDY_OK, eddy_run(one, L, 1));
  CHECK_INT(EDDY_OK, eddy_close(other, L));
  CHECK_INT(EDDY_OK, eddy_close(one, L));
  lua_close(L);
}

/* After a failure all goes on as before. */
static void fail_and_go_on(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  for (int i = 0; i < 3; i++) {
    spawn(loop, L, "=fails", "error({code = 7})");
    CHECK_INT(EDDY_FAILED, eddy_run(loop, L, 1));
    CHECK_INT(2, lua_gettop(L));
    lua_getfield(L, 2, "code"); /* the same value that was raised */
    CHECK_INT(7, lua_tointeger(L, -1));
    CHECK_INT(EDDY_FAILED, eddy_status(L, 1));
    lua_settop(L, 0);
    spawn(loop, L, "=works", "require('eddy').sleep(0.001); return 'works'");
    CHECK_INT(EDDY_OK, eddy_run(loop, L, 1));
    CHECK_HAS("works", lua_tostring(L, 2));
    lua_settop(L, 0);
  }
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

static void cancel(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=sleeper",
        "local _ <close> = setmetatable({}, {__close = function()\n"
        "  require('eddy').sleep(0.001); closed = true end})\n"
        "require('eddy').sleep(3600)");
  CHECK_INT(EDDY_PENDING, eddy_pump(loop, L, 0));
  CHECK(eddy_cancel(L, 1) != 0);
  CHECK_INT(EDDY_PENDING, eddy_status(L, 1));
  CHECK_INT(EDDY_CANCELLED, eddy_run(loop, L, 1));
  CHECK_INT(2, lua_gettop(L));
  CHECK_HAS("CancelledError", eddy_error_text(L, 2));
  CHECK_INT(EDDY_CANCELLED, eddy_status(L, 1));
  CHECK_INT(0, eddy_cancel(L, 1)); /* it has ended already */
  CHECK(lua_getglobal(L, "closed") == LUA_TBOOLEAN);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* The tasks left are cancelled in the order of their creation, and may wait while they clean up. */
static void close_with_tasks_left(void) {
  static const char leave[] =
    "local eddy = require 'eddy'\n"
    "order = ''\n"
    "for i = 1, 3 do\n"
    "  eddy.create_task(function()\n"
    "    local _ <close> = setmetatable({}, {__close = function()\n"
    "      eddy.sleep(0.001 * i); order = order .. i end})\n"
    "    eddy.sleep(3600)\n"
    "  end)\n"
    "end\n"
    "eddy.sleep(0)\n";
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=leave", leave);
  CHECK_INT(EDDY_OK, eddy_run(loop, L, 1));
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_getglobal(L, "order");
  CHECK_HAS("123", lua_tostring(L, -1));
  lua_close(L);
}

/* A value that cannot be called is an error of the task, like any other. */
static void spawn_a_number(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  lua_pushinteger(L, 42);
  int status = eddy_spawn(loop, L, 0);
  CHECK_INT(1, lua_gettop(L));
  if (status == EDDY_OK) status = eddy_run(loop, L, 1);
  CHECK(status == EDDY_FAILED || status == EDDY_MISUSE);
  CHECK_HAS("number", lua_tostring(L, -1));
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* A run that can never end says so, and the host goes on. */
static void deadlock(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=stuck", "require('eddy').get_running_loop():create_future():await()");
  CHECK_INT(EDDY_FAILED, eddy_run(loop, L, 1));
  CHECK_HAS("DeadlockError", eddy_error_text(L, -1));
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

/* Userdata of another library in memory that was eddy's, left as it is, are not taken for eddy's. */
static void unwritten_userdata(void) {
  static const char try[] = "return pcall(event.is_set, stranger) or pcall(queue.qsize, stranger) or "
                            "pcall(lock.locked, stranger)";
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  size_t sizes[3];
  CHECK_INT(LUA_OK, luaL_dostring(L, "eddy = require 'eddy' "
                                     "event, queue, lock = eddy.Event(), eddy.Queue(), eddy.Lock() "
                                     "return event, queue, lock"));
  for (int i = 0; i < 3; i++) sizes[i] = (size_t)lua_rawlen(L, i - 3) / 8 * 8;
  lua_settop(L, 0);
  for (int i = 0; i < 3; i++) {
    CHECK_INT(LUA_OK, luaL_dostring(L, "for i = 1, 300 do eddy.Event() eddy.Queue() eddy.Lock() end collectgarbage()"));
    for (int k = 0; k < 300; k++) {
      lua_newuserdatauv(L, sizes[i], 0);
      lua_setglobal(L, "stranger");
      CHECK_INT(LUA_OK, luaL_dostring(L, try));
      CHECK_INT(0, lua_toboolean(L, -1));
      lua_settop(L, 0);
    }
  }
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
}

int main(void) {
  call_from_inside();
  wrong_options();
  not_a_task();
  foreign_task();
  fail_and_go_on();
  cancel();
  close_with_tasks_left();
  spawn_a_number();
  deadlock();
  unwritten_userdata();
  return 0;
}
