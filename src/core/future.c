/* SPDX-License-Identifier: MIT */
/*
 * future.c - a result that comes later, and who waits for it; see future.h.
 * Touch:  eddy__future_settle() with care: waiters are told in the order in which they came, and a waiter may only make
 *         something ready; Lua runs later, from the loop's turn.
 */
#include "core/future.h"

#include <lauxlib.h>

#include "base/args.h"
#include "base/error.h"
#include "core/callback.h"
#include "core/cancel.h"
#include "core/report.h"
#include "core/task.h"
#include "core/wait.h"

const eddy__type eddy__type_future = {"Future"};

void eddy__future_init(eddy__future *f, eddy__loop *loop) {
  f->loop = loop;
  f->generation = loop->generation;
  eddy__list_init(&f->waiters);
}

/* [-0, +1, m] */
eddy__future *eddy__future_new(lua_State *L, eddy__loop *loop) {
  eddy__future *f = eddy__object_make(L, &eddy__type_future, loop->rt->future_meta, sizeof *f, EDDY_UV_COUNT);
  eddy__future_init(f, loop);
  return f;
}

/* [-0, +0, -] */
eddy__future *eddy__future_test(lua_State *L, int idx) {
  void *object;
  uint64_t stamp = eddy__object_look(L, idx, &object);
  if (stamp == eddy__object_stamp(&eddy__type_task) || stamp == eddy__object_stamp(&eddy__type_future))
    return object;
  return NULL;
}

/* [-0, +0, v] */
eddy__future *eddy__future_check(lua_State *L, int arg) {
  eddy__future *f = eddy__future_test(L, arg);
  if (f == NULL) eddy__arg_expected(L, arg, "Future");
  return f;
}

/* [-0, +0, -] */
void eddy__future_settle(eddy__future *f, uint8_t state) {
  f->state = state;
  f->order = (uint32_t)++f->loop->rt->settled;
  while (!eddy__list_empty(&f->waiters)) {
    eddy__waiter *w = eddy__container_of(f->waiters.next, eddy__waiter, link);
    eddy__list_remove(&w->link);
    w->on_settled(w, f);
  }
}

/* [-n, +0, m] */
void eddy__future_resolve(lua_State *L, eddy__future *f, int idx, int n) {
  if (n == 0) { /* a CancelledError may be there that was never raised */
    lua_pushnil(L);
    lua_setiuservalue(L, idx, EDDY_UV_VALUE);
  } else if (n == 1) {
    lua_setiuservalue(L, idx, EDDY_UV_VALUE);
  } else {
    int first = lua_gettop(L) - n + 1;
    lua_createtable(L, n, 0);
    lua_insert(L, first);
    for (int i = n; i > 0; i--) lua_rawseti(L, first, i);
    lua_setiuservalue(L, idx, EDDY_UV_VALUE);
  }
  f->nresults = n;
  eddy__future_settle(f, EDDY_F_DONE);
}

/* [-1, +0, m] */
void eddy__future_fail(lua_State *L, eddy__future *f, int idx) {
  bool cancelled = eddy__cancelled_is(L, f->loop->rt, -1);
  bool awaited = !eddy__list_empty(&f->waiters);
  lua_setiuservalue(L, idx, EDDY_UV_VALUE);
  eddy__future_settle(f, cancelled ? EDDY_F_CANCELLED : EDDY_F_FAILED);
  if (cancelled || f->retrieved) return;
  if (f->loop->is_ending && !awaited)
    eddy__report_at_end(L, f, idx);
  else
    eddy__report_arm(L, f, idx);
}

/* [-0, +0, -] */
void eddy__future_cancelled(lua_State *L, eddy__future *f, int idx, int err) {
  if (idx != 0) {
    if (err != 0)
      lua_pushvalue(L, err);
    else
      lua_pushnil(L);
    lua_setiuservalue(L, idx, EDDY_UV_VALUE);
  }
  eddy__future_settle(f, EDDY_F_CANCELLED);
}

void eddy__future_retrieved(eddy__future *f) {
  if (f->armed) f->loop->rt->unretrieved--;
  f->armed = false;
  f->retrieved = true;
}

/* [-0, +1, m] */
void eddy__future_error(lua_State *L, eddy__future *f, int idx) {
  idx = lua_absindex(L, idx);
  eddy__future_retrieved(f);
  lua_getiuservalue(L, idx, EDDY_UV_VALUE);
  if (f->state != EDDY_F_CANCELLED || !lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  eddy__cancelled_push(L, f->loop->rt); /* the same one for everybody from now on */
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, idx, EDDY_UV_VALUE);
}

/* [-0, +n, v] */
int eddy__future_results(lua_State *L, eddy__future *f, int idx) {
  if (f->state != EDDY_F_DONE) {
    eddy__future_error(L, f, idx);
    return lua_error(L);
  }
  if (f->nresults == 0) return 0;
  lua_getiuservalue(L, idx, EDDY_UV_VALUE);
  if (f->nresults == 1) return 1;
  int list = lua_gettop(L);
  luaL_checkstack(L, f->nresults, "too many results");
  for (int i = 1; i <= f->nresults; i++) lua_rawgeti(L, list, i);
  return f->nresults;
}

/* [-0, +1, -] */
void eddy__future_first(lua_State *L, eddy__future *f, int idx) {
  lua_getiuservalue(L, idx, EDDY_UV_VALUE);
  if (f->nresults < 2) return;
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
}

/* [-0, +1, m] */
void eddy__future_extras(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (lua_getiuservalue(L, idx, EDDY_UV_EXTRA) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, idx, EDDY_UV_EXTRA);
}

/* [-0, +1, -] */
void eddy__future_extra(lua_State *L, int idx, int key) {
  if (lua_getiuservalue(L, idx, EDDY_UV_EXTRA) != LUA_TTABLE) return; /* nil */
  lua_rawgeti(L, -1, key);
  lua_remove(L, -2);
}

/* [-1, +0, m] */
void eddy__future_set_extra(lua_State *L, int idx, int key) {
  idx = lua_absindex(L, idx);
  eddy__future_extras(L, idx);
  lua_insert(L, -2);
  lua_rawseti(L, -2, key);
  lua_pop(L, 1);
}

/* --- what Lua calls ---------------------------------------------------------------------------------- */

/* A future, not a task: tasks settle themselves.   [-0, +0, v] */
static eddy__future *check_settable(lua_State *L, const char *name) {
  eddy__future *f = eddy__future_check(L, 1);
  if (f->is_task) eddy__error_throw(L, EDDY_E_RUNTIME, "a Task does not support '%s'", name);
  if (!eddy__future_pending(f))
    eddy__error_throw(L, EDDY_E_INVALID_STATE, "'%s': the future is done already", name);
  return f;
}

/* f:done(), f:cancelled()   [-0, +1, v] */
static int l_done(lua_State *L) {
  lua_pushboolean(L, !eddy__future_pending(eddy__future_check(L, 1)));
  return 1;
}

static int l_cancelled(lua_State *L) {
  lua_pushboolean(L, eddy__future_check(L, 1)->state == EDDY_F_CANCELLED);
  return 1;
}

/* f:result() -> results, or raises   [-0, +n, v] */
static int l_result(lua_State *L) {
  eddy__future *f = eddy__future_check(L, 1);
  if (eddy__future_pending(f))
    return eddy__error_throw(L, EDDY_E_INVALID_STATE, "'result': the result is not there yet");
  return eddy__future_results(L, f, 1);
}

/* f:exception() -> the error, or nil   [-0, +1, v] */
static int l_exception(lua_State *L) {
  eddy__future *f = eddy__future_check(L, 1);
  if (eddy__future_pending(f))
    return eddy__error_throw(L, EDDY_E_INVALID_STATE, "'exception': the exception is not there yet");
  if (f->state == EDDY_F_DONE) return 0;
  eddy__future_error(L, f, 1);
  return f->state == EDDY_F_CANCELLED ? lua_error(L) : 1;
}

/* f:set_result(...)   [-0, +0, v] */
static int l_set_result(lua_State *L) {
  eddy__future *f = check_settable(L, "set_result");
  int n = lua_gettop(L) - 1;
  if (n == 0)
    eddy__future_settle(f, EDDY_F_DONE); /* its user value is nil already */
  else
    eddy__future_resolve(L, f, 1, n);
  return 0;
}

/* f:set_exception(e)   [-0, +0, v] */
static int l_set_exception(lua_State *L) {
  eddy__future *f = check_settable(L, "set_exception");
  eddy__arg_any(L, 2);
  lua_settop(L, 2);
  luaL_traceback(L, L, NULL, 1); /* where it was set: the error has no other story */
  eddy__future_set_extra(L, 1, EDDY_EX_TRACEBACK);
  eddy__future_fail(L, f, 1);
  return 0;
}

/* f:cancel([msg]) -> whether it was asked for   [-0, +1, m] */
static int l_cancel(lua_State *L) {
  eddy__future *f = eddy__future_check(L, 1);
  lua_settop(L, 2);
  int err = 0;
  if (!lua_isnil(L, 2) && eddy__future_pending(f)) {
    eddy__error_wrap(L, EDDY_E_CANCELLED);
    err = 2;
  }
  lua_pushboolean(L, eddy__cancel(L, f, 1, err));
  return 1;
}

/* f:add_done_callback(f)   [-0, +0, v] */
static int l_add_done_callback(lua_State *L) {
  eddy__future *f = eddy__future_check(L, 1);
  eddy__check_function(L, 2);
  eddy__loop *loop = eddy__future_loop(f);
  if (loop == NULL) return eddy__error_throw(L, EDDY_E_RUNTIME, "'add_done_callback': the future's loop is closed");
  lua_settop(L, 2);
  lua_pushvalue(L, 1); /* its argument, and what keeps the future alive meanwhile */
  eddy__callback_when_done(eddy__callback_new(L, loop, 2), f);
  return 0;
}

/* f:remove_done_callback(f) -> how many   [-0, +1, v] */
static int l_remove_done_callback(lua_State *L) {
  eddy__future *f = eddy__future_check(L, 1);
  eddy__check_function(L, 2);
  lua_pushinteger(L, eddy__callback_remove(L, f, 2));
  return 1;
}

/* f:get_loop() -> Loop, or nil when it was closed and forgotten   [-0, +1, v] */
static int l_get_loop(lua_State *L) {
  eddy__loop *loop = eddy__future_loop(eddy__future_check(L, 1));
  if (loop == NULL) return 0;
  eddy__loop_push(L, loop);
  return 1;
}

/* f:await() -> results   [-0, +n, y] */
static int l_await(lua_State *L) {
  return eddy__await_future(L, eddy__future_check(L, 1));
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  static const char *const states[] = {"pending", "finished", "failed", "cancelled"};
  eddy__future *f = eddy__future_check(L, 1);
  if (f->state == EDDY_F_FAILED) {
    lua_getiuservalue(L, 1, EDDY_UV_VALUE); /* looking at the text is not looking at the error */
    lua_pushfstring(L, "<Future failed: %s>", eddy__error_text(L, -1));
  } else {
    lua_pushfstring(L, "<Future %s>", states[f->state]);
  }
  return 1;
}

/* Collected with a waiter: a script has closed the coroutine of the task that awaited it (nothing else lets go of a
 * future that is awaited); that task must find out.   [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__future *f = eddy__object_check(L, 1, &eddy__type_future);
  if (eddy__future_pending(f) && !eddy__list_empty(&f->waiters))
    eddy__future_settle(f, EDDY_F_CANCELLED);
  return 0;
}

/* [-0, +0, m] */
void eddy__future_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"done", l_done},
                                     {"cancelled", l_cancelled},
                                     {"result", l_result},
                                     {"exception", l_exception},
                                     {"set_result", l_set_result},
                                     {"set_exception", l_set_exception},
                                     {"cancel", l_cancel},
                                     {"add_done_callback", l_add_done_callback},
                                     {"remove_done_callback", l_remove_done_callback},
                                     {"get_loop", l_get_loop},
                                     {"await", l_await},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {"__gc", l_gc}, {NULL, NULL}};
  eddy__object_type(L, &eddy__type_future, NULL, methods, meta, lua_gettop(L) - 1);
  if (rt->future_meta == 0)
    rt->future_meta = luaL_ref(L, LUA_REGISTRYINDEX);
  else
    lua_pop(L, 1);
}
