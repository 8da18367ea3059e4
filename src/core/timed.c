/* SPDX-License-Identifier: MIT */
/*
 * timed.c - async_timed: wraps any function, waiting or not, and logs how long it ran; see timed.h.
 * Touch:  freely.
 */
#include "core/timed.h"

#include <lauxlib.h>

#include "base/args.h"
#include "core/coroutine.h"
#include "core/loop.h"

/* [-0, +1, -] */
static void push_now(lua_State *L) {
  eddy__loop *loop = eddy__runtime_of(L)->loop;
  lua_pushnumber(L, eddy__clock_seconds(loop != NULL ? eddy__clock_now(&loop->clock) : uv_hrtime()));
}

/* Prints "name(...) took 1.00 s" by the print of the script.   [-0, +0, e] */
static void print_time(lua_State *L, lua_Number seconds, const char *how) {
  luaL_checkstack(L, 6, NULL);
  lua_getglobal(L, "print");
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_pushfstring(L, "%s %s in %f s", lua_tostring(L, -1), how, (LUAI_UACNUMBER)seconds);
  lua_remove(L, -2);
  lua_call(L, 1, 0);
}

/* 1: when it began, then results or the error. */
static int k_timed(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  push_now(L);
  lua_Number seconds = lua_tonumber(L, -1) - lua_tonumber(L, 1);
  lua_pop(L, 1);
  bool failed = status != LUA_OK && status != LUA_YIELD;
  print_time(L, seconds, failed ? "failed" : "finished");
  return failed ? lua_error(L) : lua_gettop(L) - 1;
}

/* Upvalues: the record, the function, its name.   [-n, +m, y] */
static int l_timed(lua_State *L) {
  int n = lua_gettop(L);
  push_now(L);
  lua_insert(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 2);
  return k_timed(L, lua_pcallk(L, n, LUA_MULTRET, 0, 0, k_timed), 0);
}

/* eddy.async_timed(f [, name]) -> function   [-0, +1, v] */
static int l_async_timed(lua_State *L) {
  eddy__check_function(L, 1);
  lua_Debug ar = {0};
  if (!lua_isnoneornil(L, 2) && lua_type(L, 2) != LUA_TSTRING)
    return eddy__arg_expected(L, 2, "string");
  lua_settop(L, 2);
  eddy__coroutine_unwrap(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  if (!lua_isnil(L, 2)) {
    lua_pushvalue(L, 2);
  } else if (lua_isfunction(L, 1)) {
    lua_pushvalue(L, 1);
    lua_getinfo(L, ">S", &ar);
    lua_pushfstring(L, "function <%s:%d>", ar.short_src, ar.linedefined);
  } else {
    lua_pushliteral(L, "function");
  }
  lua_pushcclosure(L, l_timed, 3);
  return 1;
}

/* [-0, +0, m] */
void eddy__timed_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"async_timed", l_async_timed}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
