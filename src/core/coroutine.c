/* SPDX-License-Identifier: MIT */
/*
 * coroutine.c - async functions and the Coroutine objects that calling them makes; see coroutine.h.
 * Touch:  freely. An async function is a C closure over the function that it wraps, so whoever is to run one in a task
 *         takes that function out of it (eddy__coroutine_unwrap) and needs no Coroutine object.
 */
#include "core/coroutine.h"

#include <lauxlib.h>

#include "base/args.h"
#include "base/error.h"
#include "base/weak.h"
#include "core/cancel.h"
#include "core/wait.h"

const eddy__type eddy__type_coroutine = {"Coroutine"};

enum { CREATED, STARTED, STEPPED, ENDED, CLOSED }; /* STEPPED: by send; its thread is the second user value */
enum { UV_CALL = 1, UV_THREAD, UV_PLACE }; /* UV_CALL: { f, arguments... }, n of them in the struct; UV_PLACE: in debug
                                              mode, where the async function was called */

struct eddy__coroutine {
  int nargs;
  int state;
  bool running; /* send is inside it */
};

static int l_call_async(lua_State *L);

/* [-0, +0, -] */
bool eddy__coroutine_function(lua_State *L, int idx) {
  return lua_tocfunction(L, idx) == l_call_async;
}

/* [-0, +0, -] */
void eddy__coroutine_unwrap(lua_State *L, int idx) {
  if (!eddy__coroutine_function(L, idx)) return;
  lua_getupvalue(L, idx, 2);
  lua_replace(L, idx);
}

/* [-1, +1, m] */
void eddy__coroutine_wrap(lua_State *L) {
  eddy__runtime_push(L);
  lua_insert(L, -2);
  lua_pushcclosure(L, l_call_async, 2);
}

/* [-0, +0, -] */
void eddy__coroutine_abandon(lua_State *L, int idx) {
  eddy__coroutine *c = eddy__object_test(L, idx, &eddy__type_coroutine);
  if (c != NULL && c->state == CREATED) c->state = CLOSED;
}

/* [-0, +0, v] */
void eddy__coroutine_check(lua_State *L, int idx) {
  eddy__coroutine *c = lua_touserdata(L, idx);
  if (c->state == CREATED) return;
  eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': %s", eddy__arg_function(L),
                    c->state == CLOSED  ? "the Coroutine was closed before it was awaited"
                    : c->state == ENDED ? "the Coroutine has ended: 'send' ran it"
                                        : "the Coroutine was awaited or started before: call the async "
                                          "function again for a new one");
}

/* [-0, +(1+n), v] */
int eddy__coroutine_start(lua_State *L, int idx) {
  eddy__coroutine *c = lua_touserdata(L, idx);
  idx = lua_absindex(L, idx);
  eddy__coroutine_check(L, idx);
  luaL_checkstack(L, c->nargs + 8, "too many arguments");
  lua_getiuservalue(L, idx, UV_CALL);
  int call = lua_gettop(L);
  for (int i = 1; i <= c->nargs + 1; i++) lua_rawgeti(L, call, i);
  lua_remove(L, call);
  c->state = STARTED;
  return c->nargs;
}

/* The async function is called: that runs nothing.   [-n, +1, m] */
static int l_call_async(lua_State *L) {
  int n = lua_gettop(L);
  lua_createtable(L, n + 1, 0);
  lua_insert(L, 1);
  for (int i = n; i > 0; i--) lua_rawseti(L, 1, i + 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_rawseti(L, 1, 1);
  eddy__coroutine *c = eddy__object_new(L, &eddy__type_coroutine, sizeof *c, UV_PLACE);
  c->nargs = n;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, UV_CALL);
  eddy__loop *loop = eddy__runtime_of(L)->loop;
  if (loop != NULL && loop->is_debug) {
    luaL_where(L, 1); /* "app.lua:12: " */
    lua_setiuservalue(L, 2, UV_PLACE);
  }
  return 1;
}

/* eddy.async(f) -> async function   [-0, +1, v] */
static int l_async(lua_State *L) {
  eddy__check_function(L, 1);
  lua_settop(L, 1);
  if (eddy__coroutine_function(L, 1)) return 1;
  eddy__coroutine_wrap(L);
  return 1;
}

/* eddy.iscoroutinefunction(f), eddy.iscoroutine(v)   [-0, +1, v] */
static int l_is_function(lua_State *L) {
  eddy__arg_any(L, 1);
  lua_pushboolean(L, eddy__coroutine_function(L, 1));
  return 1;
}

static int l_is_coroutine(lua_State *L) {
  eddy__arg_any(L, 1);
  lua_pushboolean(L, eddy__object_test(L, 1, &eddy__type_coroutine) != NULL);
  return 1;
}

/* --- stepping by hand -------------------------------------------------------------------------------- */

static const char stepping_key; /* registry: a weak table whose keys are the threads that send has made */

/* [-0, +0, -] */
bool eddy__coroutine_stepping(lua_State *L, eddy__runtime *rt) {
  if ((rt->current != NULL && rt->current->co == L) || !lua_isyieldable(L)) return false;
  bool is = false;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &stepping_key) == LUA_TTABLE) {
    lua_pushthread(L);
    is = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return is;
}

/* Makes the thread of the Coroutine at 1 and puts the call on it.   [-0, +0, m] */
static lua_State *start_thread(lua_State *L, eddy__coroutine *c) {
  lua_State *co = lua_newthread(L);
  int thread = lua_gettop(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &stepping_key);
  lua_pushvalue(L, thread);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  lua_setiuservalue(L, 1, UV_THREAD);
  if (!lua_checkstack(co, c->nargs + 8)) luaL_error(L, "too many arguments");
  lua_xmove(L, co, eddy__coroutine_start(L, 1) + 1);
  c->state = STEPPED;
  return co;
}

/* Whether its thread can be resumed or closed: a script may run it by other means.   [-0, +0, -] */
static bool is_suspended(lua_State *L, lua_State *co) {
  lua_Debug ar;
  return co != L && (lua_status(co) == LUA_YIELD || (lua_status(co) == LUA_OK && !lua_getstack(co, 0, &ar)));
}

/* coro:send(...) -> true, what it yields; or false, its results   [-0, +n, v] */
static int l_send(lua_State *L) {
  eddy__coroutine *c = eddy__object_check(L, 1, &eddy__type_coroutine);
  if (c->running) eddy__error_throw(L, EDDY_E_RUNTIME, "'send': the Coroutine is running");
  lua_State *co;
  int n = lua_gettop(L) - 1;
  bool first = c->state == CREATED;
  if (first) {
    if (n > 0 && !(n == 1 && lua_isnil(L, 2)))
      eddy__error_throw(L, EDDY_E_RUNTIME, "'send': nothing can be sent to a Coroutine that has not started");
    lua_settop(L, 1);
    co = start_thread(L, c);
    n = c->nargs;
  } else if (c->state == STEPPED) {
    lua_getiuservalue(L, 1, UV_THREAD);
    co = lua_tothread(L, -1);
    lua_pop(L, 1);
    if (!is_suspended(L, co))
      eddy__error_throw(L, EDDY_E_RUNTIME, "'send': the Coroutine is running");
    if (!lua_checkstack(co, n + 8)) luaL_error(L, "too many values to send");
    lua_xmove(L, co, n);
  } else {
    return eddy__error_throw(L, EDDY_E_RUNTIME, "'send': the Coroutine %s",
                             c->state == STARTED ? "runs in a task" : "has ended");
  }
  int nresults;
  c->running = true;
  int rc = lua_resume(co, L, n, &nresults);
  c->running = false;
  if (rc != LUA_YIELD) c->state = ENDED;
  if (rc != LUA_OK && rc != LUA_YIELD) {
    lua_xmove(co, L, 1); /* the error, before closing the thread puts another in its place */
    lua_resetthread(co);
    lua_settop(co, 0);
    return lua_error(L);
  }
  luaL_checkstack(L, nresults + 8, "too many results");
  lua_pushboolean(L, rc == LUA_YIELD);
  lua_xmove(co, L, nresults);
  return nresults + 1;
}

/* coro:close(): ends it; its <close> variables are closed   [-0, +0, v] */
static int l_close(lua_State *L) {
  eddy__coroutine *c = eddy__object_check(L, 1, &eddy__type_coroutine);
  if (c->running) eddy__error_throw(L, EDDY_E_RUNTIME, "'close': the Coroutine is running");
  if (c->state == STARTED)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'close': the Coroutine runs in a task; cancel the task");
  int rc = LUA_OK;
  if (c->state == STEPPED) {
    lua_getiuservalue(L, 1, UV_THREAD);
    lua_State *co = lua_tothread(L, -1);
    if (!is_suspended(L, co))
      eddy__error_throw(L, EDDY_E_RUNTIME, "'close': the Coroutine is running");
    c->state = CLOSED; /* its <close> handlers may come here again */
    rc = lua_resetthread(co);
    if (rc != LUA_OK) lua_xmove(co, L, 1);
  }
  if (c->state != ENDED) c->state = CLOSED;
  return rc == LUA_OK ? 0 : lua_error(L);
}

/* coro:await() -> results   [-0, +n, y] */
static int l_await(lua_State *L) {
  eddy__object_check(L, 1, &eddy__type_coroutine);
  lua_settop(L, 1);
  return eddy__await(L);
}

/* --- texts ------------------------------------------------------------------------------------------- */

/* Pushes "app.lua:3", the place of the function of the Coroutine at idx.   [-0, +1, m] */
static const char *push_place(lua_State *L, int idx) {
  lua_getiuservalue(L, idx, UV_CALL);
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
  return eddy__function_place(L);
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  static const char *const states[] = {"created", "started", "suspended", "ended", "closed"};
  eddy__coroutine *c = eddy__object_check(L, 1, &eddy__type_coroutine);
  lua_pushfstring(L, "<Coroutine of the function at %s, %s>", push_place(L, 1),
                  c->running ? "running" : states[c->state]);
  return 1;
}

/* [-0, +0, v] */
static int l_call(lua_State *L) {
  eddy__object_check(L, 1, &eddy__type_coroutine);
  return eddy__error_throw(L, EDDY_E_RUNTIME,
                           "a Coroutine is not called: await it, or give it to create_task (the async "
                           "function at %s was called already)",
                           push_place(L, 1));
}

/* Nobody has awaited it, so its function never ran.   [-0, +0, m] */
static int l_gc(lua_State *L) {
  eddy__coroutine *c = eddy__object_check(L, 1, &eddy__type_coroutine);
  if (c->state != CREATED) return 0;
  c->state = CLOSED;
  lua_pushfstring(L, "RuntimeWarning: the Coroutine of the async function at %s was never awaited",
                  push_place(L, 1));
  lua_getiuservalue(L, 1, UV_PLACE);
  bool placed = lua_isstring(L, -1);
  lua_warning(L, lua_tostring(L, -2), placed);
  if (placed) {
    lua_warning(L, "; it was called at ", 1);
    lua_warning(L, luaL_gsub(L, lua_tostring(L, -1), ": ", ""), 0);
  }
  return 0;
}

/* [-0, +0, m] */
void eddy__coroutine_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {
    {"send", l_send}, {"close", l_close}, {"await", l_await}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__tostring", l_tostring}, {"__call", l_call}, {"__gc", l_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"async", l_async},
                                       {"iscoroutinefunction", l_is_function},
                                       {"iscoroutine", l_is_coroutine},
                                       {NULL, NULL}};
  eddy__object_type(L, &eddy__type_coroutine, NULL, methods, meta, lua_gettop(L) - 1);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "__uncallable"); /* its __call is there to say so */
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
  eddy__weak_single(L, &stepping_key, "k");
  lua_pop(L, 1);
}
