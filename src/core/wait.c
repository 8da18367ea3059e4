/* SPDX-License-Identifier: MIT */
/*
 * wait.c - wait and as_completed: some of them, in the order in which they complete; see wait.h.
 * Owns:   wait's block on the waiting task's stack; the as_completed object.
 * Uses:   wait.h, cancel.h.      Used by: eddy.c.
 * Touch:  freely. Neither raises for, nor cancels, what it waits for.
 */
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/wait.h"

/* Pushes nothing; the future that stands at [i] of the table at idx.   [-0, +0, -] */
static eddy__future *future_at(lua_State *L, int idx, size_t i) {
  lua_rawgeti(L, idx, (lua_Integer)i);
  eddy__future *f = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return f;
}

/* --- wait -------------------------------------------------------------------------------------------- */

enum { ALL, FIRST, FIRST_FAILURE };
static const char *const conditions[] = {"ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", NULL};

static const eddy__type type_waiting = {"wait"};

typedef struct waiting {
  eddy__task *task;
  bool linked; /* the task is suspended */
  size_t n, left;
  int condition;
  eddy__waiter waiters[];
} waiting;

enum { FUTURES = 1, BLOCK }; /* in the frame of a suspended wait */

static void unlink_all(waiting *w) {
  for (size_t i = 0; i < w->n; i++) eddy__list_remove(&w->waiters[i].link);
}

static void cancel_waiting(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  unlink_all(task->waits_for);
  eddy__task_deadline_off(task);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_wait = {"wait", cancel_waiting, true};

static bool is_enough(const waiting *w, const eddy__future *f) {
  return w->condition == FIRST || (w->condition == FIRST_FAILURE && f->state == EDDY_F_FAILED);
}

static void on_settled(eddy__waiter *waiter, eddy__future *f) {
  waiting *w = waiter->owner;
  if (--w->left == 0 || is_enough(w, f)) eddy__task_wake_from(w->task, w);
}

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  waiting *w = lua_touserdata(L, BLOCK);
  w->linked = false;
  unlink_all(w);
  eddy__task_deadline_off((eddy__task *)ctx);
  eddy__wake_check(L, (eddy__task *)ctx);
  lua_newtable(L);
  lua_newtable(L);
  int done = lua_gettop(L) - 1, pending = done + 1;
  lua_Integer ndone = 0, npending = 0;
  for (size_t i = 1; i <= w->n; i++) {
    lua_rawgeti(L, FUTURES, (lua_Integer)i);
    if (eddy__future_pending(lua_touserdata(L, -1)))
      lua_rawseti(L, pending, ++npending);
    else
      lua_rawseti(L, done, ++ndone);
  }
  return 2;
}

/* eddy.wait({aw, ...}, {timeout=, return_when=}) -> done, pending   [-0, +2, y] */
static int l_wait(lua_State *L) {
  static const char *const options[] = {"timeout", "return_when", NULL};
  if (!lua_istable(L, 1)) return eddy__arg_expected(L, 1, "table of awaitables");
  eddy__arg_check(L, luaL_len(L, 1) > 0, 1, "there is nothing to wait for: the list is empty");
  eddy__check_options(L, 2, options);
  lua_Number timeout = eddy__option_seconds(L, 2, "timeout", HUGE_VAL);
  int condition = eddy__option_choice(L, 2, "return_when", conditions, ALL);
  eddy__task *task = eddy__running(L, "wait");
  lua_settop(L, 1);
  size_t n = eddy__wait_futures(L, task->future.loop, 1, 1, true);
  waiting *w = eddy__object_new(L, &type_waiting, sizeof *w + n * sizeof *w->waiters, 1);
  eddy__task_push(L, task);
  lua_setiuservalue(L, BLOCK, 1); /* its finalizer may need it */
  w->task = task;
  w->condition = condition;
  eddy__task_deadline(L, task, eddy__clock_after(&task->future.loop->clock, timeout));
  task->waits_for = w;
  w->linked = true;
  bool enough = false;
  for (; w->n < n; w->n++) {
    eddy__waiter *waiter = &w->waiters[w->n];
    eddy__future *f = future_at(L, FUTURES, w->n + 1);
    eddy__list_init(&waiter->link);
    waiter->on_settled = on_settled;
    waiter->owner = w;
    if (eddy__future_pending(f)) {
      w->left++;
      eddy__future_watch(f, waiter);
    } else {
      enough = enough || is_enough(w, f);
    }
  }
  if (enough || w->left == 0) return eddy__give_way_linked(L, task, true, k_wait);
  return eddy__suspend(L, task, &wait_wait, k_wait);
}

/* The frame that held the block is gone, but the task has not gone on: a script has closed its coroutine.
 *   [-0, +0, -] */
static int l_waiting_gc(lua_State *L) {
  waiting *w = eddy__object_check(L, 1, &type_waiting);
  if (!w->linked) return 0;
  unlink_all(w);
  eddy__task_wake_from(w->task, w);
  return 0;
}

/* --- as_completed ------------------------------------------------------------------------------------ */

static const eddy__type type_completion = {"as_completed"};

/* Its user value is the list of futures. It stays linked into those that are pending between two steps of the loop that
 * uses it, and unlinks itself when it is collected: until then they are alive, as it holds them. */
typedef struct completion {
  eddy__list tasks; /* the one that waits for the next one, by its waiter */
  size_t n, linked, came, given;
  uint64_t deadline;
  size_t *order;    /* at the end of this memory: places in the list, in order of completion */
  eddy__waiter waiters[];
} completion;

static void on_completed(eddy__waiter *w, eddy__future *f) {
  (void)f;
  completion *c = w->owner;
  c->order[c->came++] = (size_t)(w - c->waiters);
  eddy__task *task = eddy__task_first(&c->tasks);
  if (task != NULL) eddy__task_wake(task, EDDY_WAKE_NORMAL);
}

static void cancel_completion(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__list_remove(&task->waiter.link);
  eddy__task_deadline_off(task);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_completion = {"as_completed", cancel_completion, true};

static int k_next(lua_State *L, int status, lua_KContext ctx);

/* Whether a task waits for the next one. One whose coroutine a script has closed is told that it does not.
 *   [-0, +0, -] */
static bool is_waited_for(completion *c) {
  eddy__task *task = eddy__task_first(&c->tasks);
  if (task == NULL || task->wait != &wait_completion) return false;
  if (lua_status(task->at) == LUA_YIELD) return true;
  eddy__task_wake(task, EDDY_WAKE_NORMAL);
  return false;
}

/* The futures of the table at idx; raises before anything waits when one of them belongs to another loop.
 *   [-0, +0, v] */
static void check_all(lua_State *L, eddy__task *task, int idx, size_t n) {
  for (size_t i = 1; i <= n; i++) {
    eddy__future *f = future_at(L, idx, i);
    if (!eddy__future_pending(f)) continue;
    if (f == &task->future) eddy__error_throw(L, EDDY_E_RUNTIME, "'as_completed': a task cannot await itself");
    if (f->loop != task->future.loop || f->generation != task->future.generation)
      eddy__error_throw(L, EDDY_E_RUNTIME, "'as_completed': the future belongs to another loop");
  }
}

/* 1: the object. The next task, or nil, or a wait for it.   [-0, +1, y] */
static int next_one(lua_State *L, completion *c) {
  if (c->given < c->came) {
    lua_getiuservalue(L, 1, 1);
    lua_rawgeti(L, -1, (lua_Integer)c->order[c->given++] + 1);
    return 1;
  }
  if (c->given == c->n) return 0;
  eddy__task *task = eddy__running(L, "as_completed");
  if (is_waited_for(c))
    eddy__error_throw(L, EDDY_E_RUNTIME, "another task waits for the next one of this as_completed");
  lua_getiuservalue(L, 1, 1);
  check_all(L, task, lua_gettop(L), c->n);
  lua_settop(L, 1);
  if (c->deadline != EDDY_NEVER && c->deadline <= eddy__clock_now(&task->future.loop->clock)) {
    lua_pushnil(L);
    eddy__error_wrap(L, EDDY_E_TIMEOUT);
    return lua_error(L);
  }
  eddy__task_deadline(L, task, c->deadline);
  eddy__list_remove(c->tasks.next); /* one whose coroutine was closed */
  eddy__list_push(&c->tasks, &task->waiter.link);
  task->waits_for = c; /* for call graphs */
  return eddy__suspend(L, task, &wait_completion, k_next);
}

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  completion *c = lua_touserdata(L, 1);
  eddy__list_remove(&task->waiter.link);
  eddy__task_deadline_off(task);
  eddy__wake_check(L, task);
  return next_one(L, c);
}

/* The iterator   [-0, +1, y] */
static int l_next(lua_State *L) {
  completion *c = eddy__object_check(L, 1, &type_completion);
  lua_settop(L, 1);
  return next_one(L, c);
}

/* [-0, +0, -] */
static int l_completion_gc(lua_State *L) {
  completion *c = eddy__object_check(L, 1, &type_completion);
  for (size_t i = 0; i < c->linked; i++) eddy__list_remove(&c->waiters[i].link);
  c->linked = 0;
  eddy__task *task = eddy__task_first(&c->tasks); /* in a coroutine that a script has closed */
  eddy__list_remove(c->tasks.next);
  if (task != NULL) eddy__task_wake(task, EDDY_WAKE_NORMAL);
  return 0;
}

typedef struct settled {
  uint32_t order;
  size_t place;
} settled;

static int by_order(const void *a, const void *b) {
  int32_t difference = (int32_t)(((const settled *)a)->order - ((const settled *)b)->order);
  return (difference > 0) - (difference < 0);
}

/* Those that are done already stand first, in the order in which that happened.   [-0, +0, m] */
static void sort_done(lua_State *L, completion *c, int futures) {
  if (c->came < 2) return;
  settled *list = lua_newuserdatauv(L, c->came * sizeof *list, 0);
  for (size_t i = 0; i < c->came; i++)
    list[i] = (settled){future_at(L, futures, c->order[i] + 1)->order, c->order[i]};
  qsort(list, c->came, sizeof *list, by_order);
  for (size_t i = 0; i < c->came; i++) c->order[i] = list[i].place;
  lua_pop(L, 1);
}

/* eddy.as_completed({aw, ...}, {timeout=}) -> iterator   [-0, +1, v] */
static int l_as_completed(lua_State *L) {
  static const char *const options[] = {"timeout", NULL};
  if (!lua_istable(L, 1)) return eddy__arg_expected(L, 1, "table of awaitables");
  eddy__check_options(L, 2, options);
  lua_Number timeout = eddy__option_seconds(L, 2, "timeout", HUGE_VAL);
  eddy__loop *loop = eddy__loop_running(L, "as_completed");
  lua_settop(L, 1);
  size_t n = eddy__wait_futures(L, loop, 1, 1, true);
  size_t waiters = sizeof(completion) + n * sizeof(eddy__waiter);
  completion *c = eddy__object_new(L, &type_completion, waiters + n * sizeof(size_t), 1);
  c->n = n;
  eddy__list_init(&c->tasks);
  c->order = (size_t *)(void *)((char *)c + waiters);
  c->deadline = eddy__clock_after(&loop->clock, timeout);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, 1);
  for (size_t i = 0; i < n; i++) {
    eddy__future *f = future_at(L, 1, i + 1);
    eddy__list_init(&c->waiters[i].link);
    c->linked = i + 1;
    c->waiters[i].on_settled = on_completed;
    c->waiters[i].owner = c;
    if (eddy__future_pending(f))
      eddy__future_watch(f, &c->waiters[i]);
    else
      c->order[c->came++] = i;
  }
  sort_done(L, c, 1);
  return 1;
}

/* [-0, +0, m] */
void eddy__wait_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg meta[] = {{"__call", l_next}, {"__gc", l_completion_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"wait", l_wait}, {"as_completed", l_as_completed}, {NULL, NULL}};
  static const luaL_Reg waiting_meta[] = {{"__gc", l_waiting_gc}, {NULL, NULL}};
  eddy__object_type(L, &type_waiting, NULL, NULL, waiting_meta, 0);
  lua_pop(L, 1);
  eddy__object_type(L, &type_completion, NULL, NULL, meta, lua_gettop(L) - 1);
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
  for (int i = 0; conditions[i] != NULL; i++) {
    lua_pushstring(L, conditions[i]);
    lua_setfield(L, -2, conditions[i]);
  }
}
