/* SPDX-License-Identifier: MIT */
/*
 * nested.c - coroutines inside a task through which waiting passes; see nested.h.
 * Touch:  with care. While a coroutine of these runs, rt->leaf is its thread: that is where the task may be suspended.
 *         A wait suspends it like a yield; whoever resumed it sees that the task is not running any more, suspends
 *         itself with a continuation, and so on down to the task's own thread. When the task is woken the continuations
 *         resume their coroutines again, outermost first.
 */
#include "core/nested.h"

#include <lauxlib.h>
#include <lualib.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/coroutine.h"

static const char raise_key; /* registry: what eddy__nested_raise is about to raise */

/* [-0, +0, -] */
int eddy__nested_resume(lua_State *L, lua_State *co, int n, bool again, int *nresults) {
  eddy__runtime *rt = eddy__runtime_of(L);
  eddy__task *task = rt->current;
  lua_State *outer = rt->leaf;
  bool may_wait = task != NULL && outer == L && lua_isyieldable(L);
  if (may_wait) rt->leaf = co;
  rt->refused = false;
  int rc = lua_resume(co, L, n, nresults);
  rt->leaf = outer;
  if (rc != LUA_YIELD) return rc;
  if (may_wait && task->phase != EDDY_T_RUNNING) return EDDY_NESTED_WAITS;
  if (!rt->refused) return rc;
  rt->refused = false; /* it waits for a task, and it was not that task which resumed it */
  *nresults = 0;
  return again ? EDDY_NESTED_WAITS : LUA_ERRRUN;
}

/* [-0, +n, y] */
static int k_body(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - 1;
}

/* [-n, +m, y] */
int eddy__nested_body(lua_State *L) {
  lua_pushcfunction(L, eddy__task_msgh);
  lua_insert(L, 1);
  return k_body(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, k_body), 0);
}

static void on_instruction(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &raise_key);
  lua_error(L);
}

/* [-1, +0, m] */
void eddy__nested_raise(lua_State *L, lua_State *co) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &raise_key);
  lua_sethook(co, on_instruction, LUA_MASKCOUNT | LUA_MASKRET, 1); /* as its yield returns */
}

/* --- the functions of Lua's coroutine library -------------------------------------------------------- */

/* [-0, +0, v] */
static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (co == NULL) eddy__arg_expected(L, 1, "coroutine");
  return co;
}

/* Why co cannot be resumed or closed, or NULL.   [-0, +0, -] */
static const char *not_suspended(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (L == co) return "running";
  if (lua_status(co) == LUA_YIELD) return NULL;
  if (lua_status(co) != LUA_OK) return "dead";
  if (lua_getstack(co, 0, &ar)) return "normal";
  return lua_gettop(co) == 0 ? "dead" : NULL;
}

/* Pushes what makes Lua's resume return false.   [-0, +1, m] */
static void push_refusal(lua_State *L, const char *status) {
  lua_pushfstring(L, "cannot resume %s coroutine", *status == 'd' ? status : "non-suspended");
}

/* Moves the n values at the top of L to co; returns how many of those there are its next step's.   [-n, +0, -] */
static int move_arguments(lua_State *L, lua_State *co, int n) {
  lua_xmove(L, co, n);
  return lua_status(co) == LUA_OK ? lua_gettop(co) - 1 : n; /* not begun: all that stands above its function */
}

/* coroutine.create(f)   [-0, +1, v] */
static int l_create(lua_State *L) {
  if (!lua_isfunction(L, 1)) return eddy__arg_expected(L, 1, "function");
  lua_settop(L, 1);
  eddy__coroutine_unwrap(L, 1);
  lua_State *co = lua_newthread(L);
  lua_pushcfunction(co, eddy__nested_body);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

/* Resumes the coroutine, whose error is raised when `raises` is true and returned after false else. Everything above
 * `base` on L has been moved to it; it is the thread co.   [-0, +n, y] */
static int resume(lua_State *L, lua_State *co, int n, bool again, bool raises, lua_KFunction k) {
  int nresults = 0;
  int rc = eddy__nested_resume(L, co, n, again, &nresults);
  if (rc == EDDY_NESTED_WAITS) return lua_yieldk(L, 0, 0, k);
  if (rc == LUA_OK || rc == LUA_YIELD) {
    luaL_checkstack(L, nresults + 1, "too many results to resume");
    if (!raises) lua_pushboolean(L, 1);
    lua_xmove(co, L, nresults);
    return nresults + !raises;
  }
  bool refused = lua_status(co) == LUA_YIELD;
  if (!raises) lua_pushboolean(L, 0);
  if (refused)
    lua_pushliteral(L, "cannot resume a coroutine that waits: it belongs to another task");
  else
    lua_xmove(co, L, 1);
  if (!raises) return 2;
  if (refused) return lua_error(L);
  lua_resetthread(co); /* its <close> variables, if it is one of Lua's own */
  lua_settop(co, 0);
  return lua_error(L);
}

static int k_resume(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return resume(L, lua_tothread(L, 1), 0, true, false, k_resume);
}

/* coroutine.resume(co, ...) -> true, ...; or false, error   [-n, +m, y] */
static int l_resume(lua_State *L) {
  lua_State *co = check_thread(L);
  int n = lua_gettop(L) - 1;
  const char *status = not_suspended(L, co);
  if (status != NULL || !lua_checkstack(co, n)) {
    lua_pushboolean(L, 0);
    if (status != NULL)
      push_refusal(L, status);
    else
      lua_pushliteral(L, "too many arguments to resume");
    return 2;
  }
  return resume(L, co, move_arguments(L, co, n), false, false, k_resume);
}

static int k_wrapped(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return resume(L, lua_tothread(L, lua_upvalueindex(2)), 0, true, true, k_wrapped);
}

/* The function that wrap returns; upvalues: the record, the coroutine. Errors are raised as they are.  [-n, +m, y] */
static int l_wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  int n = lua_gettop(L);
  const char *status = not_suspended(L, co);
  if (status != NULL) {
    luaL_where(L, 1);
    push_refusal(L, status);
    lua_concat(L, 2);
    return lua_error(L);
  }
  if (!lua_checkstack(co, n)) return luaL_error(L, "too many arguments to resume");
  return resume(L, co, move_arguments(L, co, n), false, true, k_wrapped);
}

/* coroutine.wrap(f)   [-0, +1, v] */
static int l_wrap(lua_State *L) {
  l_create(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, -2);
  lua_pushcclosure(L, l_wrapped, 2);
  return 1;
}

/* Closes what is still open, without waiting, and returns as coroutine.close does.   [-0, +n, -] */
static int finish_close(lua_State *L, lua_State *co) {
  int rc = lua_resetthread(co);
  lua_pushboolean(L, rc == LUA_OK);
  if (rc == LUA_OK) return 1;
  lua_xmove(co, L, 1);
  return 2;
}

/* Goes on with a close: 1: the coroutine, 2: the error that is raised in it to unwind it.   [-0, +n, y] */
static int close_on(lua_State *L, lua_State *co, bool again);

static int k_close(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return close_on(L, lua_tothread(L, 1), true);
}

static int close_on(lua_State *L, lua_State *co, bool again) {
  int nresults = 0;
  int rc = eddy__nested_resume(L, co, 0, again, &nresults);
  if (rc == EDDY_NESTED_WAITS) return lua_yieldk(L, 0, 0, k_close);
  lua_sethook(co, NULL, 0, 0);
  if (rc == LUA_ERRRUN && lua_status(co) == LUA_YIELD)
    return luaL_error(L, "cannot close a coroutine that waits: it belongs to another task");
  if (rc == LUA_OK || rc == LUA_YIELD) return finish_close(L, co); /* it took the error, or never came to it */
  lua_xmove(co, L, 1);
  bool ours = lua_rawequal(L, -1, 2);
  lua_resetthread(co);
  lua_settop(co, 0); /* it leaves the error there */
  lua_pushboolean(L, ours);
  if (ours) return 1;
  lua_insert(L, -2);
  return 2;
}

/* coroutine.close(co) -> true; or false, error. Inside a task its <close> variables may wait.   [-0, +n, y] */
static int l_close(lua_State *L) {
  lua_State *co = check_thread(L);
  eddy__runtime *rt = eddy__runtime_of(L);
  const char *status = not_suspended(L, co);
  if (status != NULL && *status != 'd')
    return luaL_error(L, "cannot close a %s coroutine", status);
  lua_settop(L, 1);
  bool may_wait = rt->current != NULL && rt->leaf == L && lua_isyieldable(L);
  if (!may_wait || lua_status(co) != LUA_YIELD) return finish_close(L, co);
  eddy__error_push(L, EDDY_E_CANCELLED, "the coroutine was closed"); /* unwinds it, and may be waited through */
  lua_pushvalue(L, 2);
  eddy__nested_raise(L, co);
  return close_on(L, co, false);
}

/* coroutine.yield(...): not in the task itself, which nobody would resume   [-n, +m, y] */
static int l_yield(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_of(L);
  if (rt->current != NULL && rt->current->co == L)
    eddy__error_throw(L, EDDY_E_RUNTIME,
                      "'yield' outside of a coroutine: a task itself waits, with eddy's functions");
  return lua_yield(L, lua_gettop(L));
}

/* eddy.coroutine.install(): makes these the global `coroutine`   [-0, +0, m] */
static int l_install(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setglobal(L, LUA_COLIBNAME);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setfield(L, -2, LUA_COLIBNAME);
  return 0;
}

/* [-0, +0, m] */
void eddy__nested_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"create", l_create},
                                       {"resume", l_resume},
                                       {"wrap", l_wrap},
                                       {"close", l_close},
                                       {"yield", l_yield},
                                       {NULL, NULL}};
  static const char *const as_they_are[] = {"status", "isyieldable", "running", NULL};
  lua_newtable(L);
  eddy__runtime_functions(L, rt, functions);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_COLIBNAME);
  for (int i = 0; lua_istable(L, -1) && as_they_are[i] != NULL; i++) {
    lua_getfield(L, -1, as_they_are[i]);
    lua_setfield(L, -4, as_they_are[i]);
  }
  lua_pop(L, 2);
  eddy__runtime_push(L);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, l_install, 2);
  lua_setfield(L, -2, "install");
  lua_setfield(L, -2, "coroutine");
}
