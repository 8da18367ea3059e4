/* SPDX-License-Identifier: MIT */
/*
 * select.c - waits for the first of several things; see select.h.
 * Touch:  freely. The block is linked while its task is suspended only. What is ready is taken by the task itself,
 *         after it has looked for a cancellation, so nothing is ever taken for a task that will not have it.
 */
#include "core/select.h"

#include <lauxlib.h>
#include <math.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/wait.h"

static const char selectable_key; /* in a metatable: the eddy__selectable of its type */
static const eddy__type type_select = {"select"};

enum { SOURCES = 1, BLOCK }; /* in the frame of a suspended select */

typedef struct selecting {
  eddy__task *task;
  bool linked;
  size_t n;
  uint64_t deadline; /* of the number that is due first */
  size_t due;        /* its index; 0: there is no number */
  eddy__waiter waiters[];
} selecting;

/* [-0, +0, m] */
void eddy__selectable_set(lua_State *L, const eddy__selectable *s) {
  lua_pushlightuserdata(L, (void *)s);
  lua_rawsetp(L, -2, &selectable_key);
}

/* [-0, +0, -] */
static const eddy__selectable *selectable(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx)) return NULL;
  lua_rawgetp(L, -1, &selectable_key);
  const eddy__selectable *s = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return s;
}

/* Raises for what cannot be selected; the source is at the top.   [-0, +0, v] */
static void check_source(lua_State *L, eddy__task *task, lua_Integer i) {
  eddy__future *f = eddy__future_test(L, -1);
  if (f != NULL) {
    if (eddy__future_pending(f)) eddy__wait_for_future_check(L, task, f);
  } else if (lua_type(L, -1) == LUA_TNUMBER) {
    if (isnan(lua_tonumber(L, -1)))
      eddy__arg_error(L, 1, lua_pushfstring(L, "[%I]: NaN is not a time", (LUAI_UACINT)i));
  } else if (selectable(L, -1) == NULL) {
    const char *expected = "queue, future, stream, Signals or number expected", *got = luaL_typename(L, -1);
    eddy__arg_error(L, 1, lua_pushfstring(L, "[%I]: %s, got %s", (LUAI_UACINT)i, expected, got));
  }
}

/* Pushes the index and the values of the first source that is ready, and returns how many these are; 0: none is.
 *   [-0, +n, v] */
static int take_first(lua_State *L, selecting *s) {
  bool is_due = s->due != 0 && s->deadline <= eddy__clock_now(&s->task->future.loop->clock);
  for (size_t i = 1; i <= s->n; i++) {
    lua_settop(L, BLOCK);
    lua_pushinteger(L, (lua_Integer)i);
    lua_rawgeti(L, SOURCES, (lua_Integer)i);
    int source = BLOCK + 2;
    eddy__future *f = eddy__future_test(L, source);
    if (f != NULL) {
      if (eddy__future_pending(f)) continue;
      eddy__wait_note_cause(L, s->task, f, source);
      int n = eddy__future_results(L, f, source);
      luaL_checkstack(L, 2, "too many results");
      lua_pushinteger(L, (lua_Integer)i);
      lua_replace(L, -n - 2); /* where the results begin, the index stands before them */
      return n + 1;
    }
    if (lua_type(L, source) == LUA_TNUMBER) {
      if (!is_due || i != s->due) continue;
      lua_pop(L, 1);
      return 1;
    }
    const eddy__selectable *kind = selectable(L, source);
    if (kind->try_take != NULL) {
      int n = kind->try_take(L, source);
      if (n < 0) continue;
      lua_remove(L, source);
      return n + 1;
    }
    if (!kind->is_ready(L, source)) continue;
    if (kind->take == NULL) return 2;
    lua_getfield(L, source, kind->take);
    lua_insert(L, source);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L) - BLOCK;
  }
  lua_settop(L, BLOCK);
  return 0;
}

static void unlink_all(selecting *s) {
  for (size_t i = 0; i < s->n; i++) eddy__list_remove(&s->waiters[i].link);
  s->linked = false;
}

static void cancel_select(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  unlink_all(task->waits_for);
  eddy__task_deadline_off(task);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_select = {"select", cancel_select, true};

static void on_event(eddy__waiter *w, eddy__future *f) {
  (void)f;
  selecting *s = w->owner;
  eddy__task_wake_from(s->task, s);
}

static int k_select(lua_State *L, int status, lua_KContext ctx);

/* Takes from the first that is ready, or waits for one.   [-0, +n, y] */
static int take_or_wait(lua_State *L, selecting *s) {
  int n = take_first(L, s);
  if (n > 0) return n;
  eddy__task_deadline(L, s->task, s->deadline); /* before anything is linked: it may lack memory */
  for (size_t i = 0; i < s->n; i++) {
    lua_rawgeti(L, SOURCES, (lua_Integer)i + 1);
    eddy__future *f = eddy__future_test(L, -1);
    const eddy__selectable *kind = f == NULL ? selectable(L, -1) : NULL;
    eddy__list *list = f != NULL ? &f->waiters : kind != NULL ? kind->watch(L, lua_gettop(L))
                                                              : NULL;
    if (list != NULL) eddy__list_push(list, &s->waiters[i].link);
    lua_pop(L, 1);
    s->linked = true;
  }
  s->task->waits_for = s;
  return eddy__suspend(L, s->task, &wait_select, k_select);
}

static int k_select(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  selecting *s = lua_touserdata(L, BLOCK);
  unlink_all(s);
  eddy__task_deadline_off((eddy__task *)ctx);
  eddy__wake_check(L, (eddy__task *)ctx);
  return take_or_wait(L, s);
}

/* The wait has raised while it was linking, or a script has closed the coroutine.   [-0, +0, v] */
static int l_gc(lua_State *L) {
  selecting *s = eddy__object_check(L, 1, &type_select);
  if (!s->linked) return 0;
  unlink_all(s);
  eddy__task_wake_from(s->task, s);
  return 0;
}

/* eddy.select{source, ...} -> index, values   [-0, +n, y] */
static int l_select(lua_State *L) {
  if (!lua_istable(L, 1)) return eddy__arg_expected(L, 1, "table of sources");
  lua_Integer n = luaL_len(L, 1);
  eddy__arg_check(L, n > 0, 1, "there is nothing to wait for: the list is empty");
  eddy__task *task = eddy__running(L, "select");
  eddy__clock *clock = &task->future.loop->clock;
  lua_settop(L, 1);
  lua_createtable(L, n < 1 << 20 ? (int)n : 0, 0);
  uint64_t deadline = EDDY_NEVER;
  size_t due = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, 1, i);
    check_source(L, task, i);
    if (lua_type(L, -1) == LUA_TNUMBER) {
      uint64_t when = eddy__clock_after(clock, lua_tonumber(L, -1));
      if (due == 0 || when < deadline) due = (size_t)i;
      if (when < deadline) deadline = when;
    }
    lua_rawseti(L, 2, i);
  }
  lua_replace(L, SOURCES);
  size_t size = sizeof(selecting) + (size_t)n * sizeof(eddy__waiter);
  selecting *s = eddy__object_new(L, &type_select, size, 1);
  eddy__task_push(L, task);
  lua_setiuservalue(L, BLOCK, 1);
  s->task = task;
  s->n = (size_t)n;
  s->deadline = deadline;
  s->due = due;
  for (size_t i = 0; i < s->n; i++) {
    eddy__list_init(&s->waiters[i].link);
    s->waiters[i].on_settled = on_event;
    s->waiters[i].owner = s;
  }
  return take_or_wait(L, s);
}

/* [-0, +0, m] */
void eddy__select_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"select", l_select}, {NULL, NULL}};
  eddy__object_type(L, &type_select, NULL, NULL, meta, 0);
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
