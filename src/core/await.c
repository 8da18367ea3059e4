/* SPDX-License-Identifier: MIT */
/*
 * await.c - what can be awaited, await, wait_for; see wait.h.
 * Touch:  freely.
 */
#include <lauxlib.h>
#include <math.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/coroutine.h"
#include "core/wait.h"

/* --- awaitables -------------------------------------------------------------------------------------- */

/* [-0, +0, m] */
static bool has_await(lua_State *L, int idx) {
  int type = lua_type(L, idx);
  if ((type != LUA_TTABLE && type != LUA_TUSERDATA) || !lua_getmetatable(L, idx)) return false;
  lua_pushliteral(L, "__await");
  lua_rawget(L, -2);
  bool has = !lua_isnil(L, -1) && eddy__arg_callable(L, -1);
  lua_pop(L, 2);
  return has;
}

/* [-0, +0, m] */
bool eddy__awaitable(lua_State *L, int idx) {
  return lua_isfunction(L, idx) || eddy__future_test(L, idx) != NULL ||
         eddy__object_test(L, idx, &eddy__type_coroutine) != NULL || has_await(L, idx);
}

/* Pushes the text for something that is no awaitable: where is "" or " at [2]".   [-0, +1, m] */
static const char *push_complaint(lua_State *L, int idx, const char *where) {
  const char *got = lua_isnone(L, idx) ? "no value" : luaL_typename(L, idx);
  return lua_pushfstring(L,
                         "awaitable expected%s, got %s: a waiting function that was called here has "
                         "waited already and this is its result; pass the function itself, or a task "
                         "from eddy.create_task",
                         where, got);
}

/* [-0, +0, v] */
void eddy__awaitable_check(lua_State *L, int arg) {
  if (!eddy__awaitable(L, arg)) eddy__arg_error(L, arg, push_complaint(L, arg, ""));
  if (eddy__object_test(L, arg, &eddy__type_coroutine) != NULL) eddy__coroutine_check(L, arg);
}

/* [-0, +1, m] */
eddy__future *eddy__task_ensure(lua_State *L, eddy__loop *loop, int idx) {
  luaL_checkstack(L, 8, NULL);
  if (eddy__future_test(L, idx) != NULL) {
    lua_pushvalue(L, idx);
  } else if (eddy__object_test(L, idx, &eddy__type_coroutine) != NULL) {
    eddy__task_spawn(L, loop, eddy__coroutine_start(L, idx));
    lua_pushvalue(L, idx);
    eddy__future_set_extra(L, -2, EDDY_EX_BODY);
  } else if (lua_isfunction(L, idx)) {
    lua_pushvalue(L, idx);
    eddy__coroutine_unwrap(L, lua_gettop(L));
    eddy__task_spawn(L, loop, 0);
  } else {
    eddy__await_push(L);
    lua_pushvalue(L, idx);
    eddy__task_spawn(L, loop, 1);
  }
  return lua_touserdata(L, -1);
}

/* [-0, +0, v] */
int eddy__wait_for_future_refuse(lua_State *L, eddy__task *task, eddy__future *f) {
  if (f == &task->future)
    return eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': a task cannot await itself", eddy__arg_function(L));
  return eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the future belongs to another loop", eddy__arg_function(L));
}

/* [-0, +0, m] */
void eddy__wait_note_cause(lua_State *L, eddy__task *task, eddy__future *f, int idx) {
  if (f->state != EDDY_F_FAILED || task == NULL) return;
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 6, NULL);
  eddy__task_push(L, task);
  lua_pushvalue(L, idx);
  eddy__future_set_extra(L, -2, EDDY_EX_CAUSE);
  eddy__task_place(L, task);
  eddy__future_set_extra(L, -2, EDDY_EX_AWAITED_AT);
  lua_pop(L, 1);
}

/* Replaces the list of n at idx by a copy if all in it are futures, as they mostly are; else returns false.
 *   [-0, +0, v] */
static bool copy_futures(lua_State *L, eddy__task *task, int idx, lua_Integer n) {
  lua_createtable(L, n > 0 && n < 1 << 26 ? (int)n : 0, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, idx, i);
    eddy__future *f = eddy__future_test(L, -1);
    if (f == NULL) {
      lua_pop(L, 2);
      return false;
    }
    if (eddy__future_pending(f)) eddy__wait_for_future_check(L, task, f);
    lua_rawseti(L, -2, i);
  }
  lua_replace(L, idx);
  return true;
}

/* Takes out of the list of n futures at idx what is named again, and returns how many are left.   [-0, +0, -] */
static lua_Integer name_once(lua_State *L, int idx, lua_Integer n) {
  lua_Integer left = 0;
  lua_pushvalue(L, idx);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, -1, i);
    eddy__future *f = lua_touserdata(L, -1);
    if (f->is_listed || ++left == i)
      lua_pop(L, 1);
    else
      lua_rawseti(L, -2, left);
    f->is_listed = true;
  }
  for (lua_Integer i = 1; i <= left; i++) {
    lua_rawgeti(L, -1, i);
    ((eddy__future *)lua_touserdata(L, -1))->is_listed = false;
    lua_pop(L, 1);
  }
  for (lua_Integer i = left + 1; i <= n; i++) {
    lua_pushnil(L);
    lua_rawseti(L, -2, i);
  }
  lua_pop(L, 1);
  return left;
}

/* Raises unless each of the list at idx can be waited for: before a task is made of any.   [-0, +0, v] */
static void check_each(lua_State *L, eddy__task *task, int idx, lua_Integer n, int arg) {
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, idx, i);
    if (!eddy__awaitable(L, -1)) {
      const char *where = lua_pushfstring(L, " at [%I]", (LUAI_UACINT)i);
      eddy__arg_error(L, arg, push_complaint(L, -2, where));
    }
    if (eddy__object_test(L, -1, &eddy__type_coroutine) != NULL)
      eddy__coroutine_check(L, lua_gettop(L));
    eddy__future *f = eddy__future_test(L, -1);
    if (f != NULL && eddy__future_pending(f)) eddy__wait_for_future_check(L, task, f);
    lua_pop(L, 1);
  }
}

/* [-0, +0, v] */
size_t eddy__wait_futures(lua_State *L, eddy__loop *loop, int idx, int arg, bool once) {
  eddy__task *task = loop->rt->current;
  lua_Integer n = luaL_len(L, idx);
  if (n < 0) n = 0; /* a __len may say anything */
  luaL_checkstack(L, 12, NULL);
  if (copy_futures(L, task, idx, n)) return (size_t)(once ? name_once(L, idx, n) : n);
  check_each(L, task, idx, n, arg);
  lua_createtable(L, n > 0 && n < 1 << 26 ? (int)n : 0, 0);
  lua_pushnil(L); /* a table when it is needed: what stands for what is named twice */
  int futures = lua_gettop(L) - 1, seen = futures + 1;
  lua_Integer made = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, idx, i);
    /* the same function twice is two calls of it, unless the caller wants each thing once */
    bool remember = once || (!lua_isfunction(L, -1) && eddy__future_test(L, -1) == NULL);
    if (remember) {
      if (lua_isnil(L, seen)) {
        lua_newtable(L);
        lua_replace(L, seen);
      }
      lua_pushvalue(L, -1);
      if (lua_rawget(L, seen) != LUA_TNIL) {
        if (!once) lua_rawseti(L, futures, ++made);
        lua_settop(L, seen);
        continue;
      }
      lua_pop(L, 1);
    }
    eddy__task_ensure(L, loop, lua_gettop(L));
    if (remember) {
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, seen);
      lua_pushvalue(L, -1);
      lua_pushvalue(L, -1);
      lua_rawset(L, seen); /* the task of a coroutine, named beside it */
    }
    lua_rawseti(L, futures, ++made);
    lua_settop(L, seen);
  }
  lua_settop(L, futures);
  lua_replace(L, idx);
  return (size_t)made;
}

/* --- await ------------------------------------------------------------------------------------------- */

enum { FUTURE = 1 }; /* its index in the frame of await */

/* Whoever awaits a future and is asked to stop asks the future, and goes on waiting: it may refuse. */
static void cancel_await(eddy__task *task, eddy__cancelling *request) {
  eddy__future *f = task->waits_for;
  if (request->err == 0 || f->is_task) {
    eddy__cancel_pass(request, f, 0);
    return;
  }
  lua_pushvalue(task->at, FUTURE);
  lua_xmove(task->at, request->L, 1);
  eddy__cancel_pass(request, f, lua_gettop(request->L));
  lua_pop(request->L, 1);
}

static const eddy__wait wait_await = {"await", cancel_await, true};

static void on_settled(eddy__waiter *w, eddy__future *f) { eddy__task_wake_from(w->owner, f); }

static int k_await(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  eddy__future *f = task->waits_for;
  eddy__list_remove(&task->waiter.link); /* still linked when a ring was broken here */
  if (f->state == EDDY_F_CANCELLED)
    eddy__wake_settle(task); /* one CancelledError is enough, and this is the one */
  else
    eddy__wake_check(L, task);
  eddy__wait_note_cause(L, task, f, FUTURE);
  return eddy__future_results(L, f, FUTURE);
}

/* Suspends the task until the pending future at FUTURE is done.   [-0, +n, y] */
static int await_future(lua_State *L, eddy__task *task, eddy__future *f, lua_KFunction k) {
  eddy__wait_for_future_check(L, task, f);
  task->waits_for = f;
  task->waiter.on_settled = on_settled;
  task->waiter.owner = task;
  eddy__future_watch(f, &task->waiter);
  return eddy__suspend(L, task, &wait_await, k);
}

/* [-0, +n, y] */
int eddy__await_future(lua_State *L, eddy__future *f) {
  if (eddy__future_pending(f)) return await_future(L, eddy__running(L, "await"), f, k_await);
  eddy__wait_note_cause(L, eddy__runtime_of(L)->current, f, FUTURE);
  return eddy__future_results(L, f, FUTURE);
}

/* [-0, +n, y] */
int eddy__await(lua_State *L) {
  eddy__future *f = eddy__future_test(L, 1);
  if (f != NULL) return eddy__await_future(L, f);
  if (!eddy__coroutine_stepping(L, eddy__runtime_of(L))) eddy__running(L, "await");
  int n = 1;
  if (eddy__object_test(L, 1, &eddy__type_coroutine) != NULL) {
    n = eddy__coroutine_start(L, 1);
  } else {
    luaL_getmetafield(L, 1, "__await");
    lua_pushvalue(L, 1);
  }
  lua_callk(L, n, LUA_MULTRET, 1, eddy__k_return);
  return eddy__k_return(L, LUA_OK, 1);
}

/* eddy.await(x, ...): what is no awaitable is returned as it is   [-0, +n, y] */
static int l_await(lua_State *L) {
  if (lua_isfunction(L, 1) && eddy__coroutine_function(L, 1))
    eddy__arg_error(L, 1, "a Coroutine is expected: call the async function, as in await(f())");
  if (lua_isfunction(L, 1) || !eddy__awaitable(L, 1)) return lua_gettop(L);
  lua_settop(L, 1);
  return eddy__await(L);
}

/* [-0, +1, m] */
void eddy__await_push(lua_State *L) {
  eddy__runtime_push(L);
  lua_pushcclosure(L, l_await, 1);
}

/* --- wait_for ---------------------------------------------------------------------------------------- */

/* There was no time at all: the future at 1 was asked to stop; ctx counts the cancellations of the task before. */
static int k_expired(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  eddy__future *f = lua_touserdata(L, FUTURE);
  if (eddy__wake_cancelled(task) || task->cancelling > (int)lua_tointeger(L, 2)) {
    if (!eddy__wake_cancelled(task)) task->must_cancel = true; /* it went through the future: for us it still is one */
    eddy__wake_check(L, task);
  }
  if (f->state != EDDY_F_CANCELLED) {
    eddy__wait_note_cause(L, task, f, FUTURE);
    return eddy__future_results(L, f, FUTURE);
  }
  lua_pushnil(L);
  eddy__error_wrap(L, EDDY_E_TIMEOUT);
  return lua_error(L);
}

/* timeout <= 0; the awaitable is at 1.   [-0, +n, y] */
static int wait_for_nothing(lua_State *L, eddy__task *task) {
  eddy__future *f = eddy__future_test(L, 1);
  if (f == NULL) {
    eddy__coroutine_abandon(L, 1);
    lua_pushnil(L);
    eddy__error_wrap(L, EDDY_E_TIMEOUT);
    return lua_error(L);
  }
  if (!eddy__future_pending(f)) return eddy__future_results(L, f, 1);
  eddy__wait_for_future_check(L, task, f);
  lua_settop(L, 1);
  lua_pushinteger(L, task->cancelling);
  eddy__cancel(L, f, 1, 0);
  if (!eddy__future_pending(f)) { /* a plain future: cancelled at once, but its end is told next turn */
    task->waits_for = f;
    return eddy__give_way_linked(L, task, true, k_expired);
  }
  return await_future(L, task, f, k_expired);
}

/* eddy.wait_for(aw, timeout, ...) -> results   [-0, +n, y] */
static int l_wait_for(lua_State *L) {
  eddy__awaitable_check(L, 1);
  lua_Number seconds = eddy__opt_seconds(L, 2);
  eddy__task *task = eddy__running(L, "wait_for");
  eddy__future *f = eddy__future_test(L, 1);
  if (f != NULL && eddy__future_pending(f)) eddy__wait_for_future_check(L, task, f);
  if (seconds <= 0) return wait_for_nothing(L, task);
  bool function = lua_isfunction(L, 1);
  if (!function) lua_settop(L, 2);
  eddy__timeout_push(L, task, eddy__clock_after(&task->future.loop->clock, seconds));
  lua_replace(L, 2); /* aw, scope, arguments */
  if (function) {
    eddy__coroutine_unwrap(L, 1);
    lua_pushvalue(L, 2);
    lua_insert(L, 1);
    lua_remove(L, 3); /* scope, f, arguments */
  } else {
    eddy__await_push(L);
    lua_pushvalue(L, 1);
    lua_remove(L, 1); /* scope, await, aw */
  }
  eddy__timeout_hold(L);
  lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, eddy__k_return);
  return eddy__k_return(L, LUA_OK, 1);
}

/* [-0, +0, m] */
void eddy__await_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {
    {"await", l_await}, {"wait_for", l_wait_for}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
