/* SPDX-License-Identifier: MIT */
/*
 * gather.c - gather and map: all of them, results in order.
 * Owns:   the block of waiters on the gathering task's stack.
 * Uses:   wait.h, cancel.h.      Used by: eddy.c.
 * Touch:  freely. The block is linked into futures only while its task is suspended: k_gather unlinks first.
 */
#include <lauxlib.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/coroutine.h"
#include "core/wait.h"

static const eddy__type type_gather = {"gather"};

typedef struct gathered {
  eddy__waiter waiter;
  eddy__future *future; /* kept by the list at FUTURES */
} gathered;

typedef struct gather {
  eddy__task *task;
  bool linked;            /* the task is suspended */
  size_t n, left;         /* left: how many are pending */
  eddy__future *failed;   /* the first that failed, when that ends the wait */
  bool return_exceptions;
  bool cancels_rest;      /* map: a failure cancels the others, and all are waited for */
  bool cancelled;         /* the gathering task was asked to stop: wait for all, then raise */
  gathered each[];
} gather;

enum { FUTURES = 1, BLOCK }; /* in the frame of a suspended gather */

/* Asks all that are pending to stop. */
static void ask_all(gather *g, eddy__cancelling *request) {
  lua_State *co = g->task->at;
  for (size_t i = 1; i <= g->n; i++) {
    lua_rawgeti(co, FUTURES, (lua_Integer)i);
    eddy__future *f = lua_touserdata(co, -1);
    lua_xmove(co, request->L, 1);
    if (f != NULL) eddy__cancel_pass(request, f, lua_gettop(request->L));
    lua_pop(request->L, 1);
  }
}

static void cancel_gather(eddy__task *task, eddy__cancelling *request) {
  gather *g = task->waits_for;
  g->cancelled = true;
  ask_all(g, request);
}

static const eddy__wait wait_gather = {"gather", cancel_gather, true};
static const eddy__wait wait_map = {"map", cancel_gather, true};

/* Whether its task still waits here: a script may have closed the coroutine that did. */
static bool is_awaited(const gather *g) {
  const eddy__wait *wait = g->task->wait;
  return (wait == &wait_gather || wait == &wait_map) && g->task->waits_for == g;
}

static void wake(gather *g) {
  if (is_awaited(g)) eddy__task_wake(g->task, EDDY_WAKE_NORMAL);
}

/* One of map's workers has failed: the others need not go on. */
static void cancel_rest(gather *g) {
  if (!is_awaited(g) || lua_status(g->task->at) != LUA_YIELD) return;
  eddy__cancelling request;
  eddy__cancel_begin(&request, eddy__runtime_thread(g->task->future.loop->rt), 0);
  ask_all(g, &request);
  eddy__cancel_finish(&request);
}

static void on_settled(eddy__waiter *w, eddy__future *f) {
  gather *g = w->owner;
  g->left--;
  if (f->state != EDDY_F_DONE && g->failed == NULL) {
    if (g->cancels_rest) {
      g->failed = f;
      if (!g->cancelled) cancel_rest(g);
    } else if (!g->return_exceptions && !g->cancelled) {
      g->failed = f;
      wake(g);
    }
  }
  if (g->left == 0) wake(g);
}

static void unlink_all(gather *g) {
  for (size_t i = 0; i < g->n; i++) eddy__list_remove(&g->each[i].waiter.link);
}

/* Whatever the others bring now, nobody waits for it here: their errors are not lost, they are not wanted. But that of
 * `kept` is, if nobody else takes it. */
static void let_go(gather *g, eddy__future *kept) {
  for (size_t i = 0; i < g->n; i++) {
    eddy__future *f = g->each[i].future;
    eddy__list_remove(&g->each[i].waiter.link);
    if (f->state != EDDY_F_DONE && f != kept) eddy__future_retrieved(f);
  }
}

/* Raises the error of one of the futures.   [-0, +0, v] */
static int raise_of(lua_State *L, gather *g, eddy__future *failed) {
  size_t i = 0;
  while (g->each[i].future != failed) i++;
  lua_rawgeti(L, FUTURES, (lua_Integer)i + 1);
  let_go(g, NULL);
  eddy__wait_note_cause(L, g->task, failed, -1);
  return eddy__future_results(L, failed, lua_gettop(L));
}

/* The first that failed, not counting those that were cancelled; NULL. */
static eddy__future *first_failure(const gather *g) {
  eddy__future *first = NULL;
  for (size_t i = 0; i < g->n; i++) {
    eddy__future *f = g->each[i].future;
    if (f->state == EDDY_F_FAILED && (first == NULL || eddy__future_before(f, first))) first = f;
  }
  return first;
}

/* Pushes an error as it stands in a list of results.   [-0, +1, m] */
static void push_error_result(lua_State *L, eddy__future *f, int idx) {
  eddy__future_error(L, f, idx);
  if (eddy__error_is(L, -1, EDDY_E_ERROR)) return;
  eddy__error_text(L, -1); /* a string or table could be a result: wrapped, is_error tells it from one */
  eddy__error_wrap(L, EDDY_E_ERROR);
  lua_insert(L, -2);
  lua_setfield(L, -2, "value");
}

/* All are done: the list of futures becomes the list of results.   [-0, +1, v] */
static int push_results(lua_State *L, gather *g) {
  luaL_checkstack(L, 8, NULL);
  for (size_t i = 0; i < g->n; i++) {
    eddy__future *f = g->each[i].future;
    lua_rawgeti(L, FUTURES, (lua_Integer)i + 1);
    if (f->state == EDDY_F_DONE)
      eddy__future_first(L, f, -1);
    else
      push_error_result(L, f, -1);
    lua_rawseti(L, FUTURES, (lua_Integer)i + 1);
    lua_pop(L, 1);
  }
  lua_pushinteger(L, (lua_Integer)g->n);
  lua_setfield(L, FUTURES, "n");
  lua_pushvalue(L, FUTURES);
  return 1;
}

/* All done, or one failed, or cancelled: results or error.   [-0, +1, v] */
static int finish(lua_State *L, gather *g) {
  if (g->failed != NULL && !g->cancelled) return raise_of(L, g, g->failed);
  if (!g->return_exceptions) {
    eddy__future *failed = first_failure(g);
    if (failed != NULL) return raise_of(L, g, failed);
  }
  return push_results(L, g);
}

static int k_gather(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  gather *g = lua_touserdata(L, BLOCK);
  eddy__task *task = (eddy__task *)ctx;
  g->linked = false;
  if (eddy__wake_cancelled(task) && !g->cancelled) { /* settled and cancelled in one turn */
    if (g->failed != NULL || g->return_exceptions) let_go(g, g->failed);
    unlink_all(g);
    eddy__wake_check(L, task);
  }
  if (g->cancelled) {
    eddy__future *failed = g->return_exceptions ? NULL : first_failure(g);
    if (failed != NULL) {
      task->must_cancel = g->cancels_rest; /* map is as a group: the request must reach the next wait */
      return raise_of(L, g, failed);
    }
    let_go(g, NULL);
    task->must_cancel = true; /* its children have ended: now it is its turn */
    eddy__wake_check(L, task);
  }
  return finish(L, g);
}

/* Waits for the futures in the table at 1, which is all there is on the stack.   [-0, +1, y] */
static int wait_all(lua_State *L, eddy__task *task, size_t n, bool return_exceptions, bool cancels_rest) {
  gather *g = eddy__object_new(L, &type_gather, sizeof *g + n * sizeof *g->each, 1);
  eddy__task_push(L, task);
  lua_setiuservalue(L, BLOCK, 1); /* its finalizer may need it */
  eddy__future *settled = NULL;
  g->task = task;
  g->n = n;
  g->return_exceptions = return_exceptions;
  g->cancels_rest = cancels_rest;
  for (size_t i = 0; i < n; i++) {
    eddy__waiter *w = &g->each[i].waiter;
    eddy__list_init(&w->link);
    w->on_settled = on_settled;
    w->owner = g;
    lua_rawgeti(L, FUTURES, (lua_Integer)i + 1);
    eddy__future *f = g->each[i].future = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (eddy__future_pending(f))
      g->left++;
    else if (f->state != EDDY_F_DONE && (settled == NULL || eddy__future_before(f, settled)))
      settled = f;
  }
  if (settled != NULL && !return_exceptions) { /* it need not wait to fail */
    g->failed = settled;
    return finish(L, g);
  }
  if (g->left == 0) return finish(L, g);
  for (size_t i = 0; i < n; i++)
    if (eddy__future_pending(g->each[i].future)) eddy__future_watch(g->each[i].future, &g->each[i].waiter);
  task->waits_for = g;
  g->linked = true;
  return eddy__suspend(L, task, cancels_rest ? &wait_map : &wait_gather, k_gather);
}

/* The frame that held the block is gone, but the task has not gone on: a script has closed its coroutine.
 *   [-0, +0, -] */
static int l_gc(lua_State *L) {
  gather *g = eddy__object_check(L, 1, &type_gather);
  if (!g->linked) return 0;
  unlink_all(g);
  wake(g);
  return 0;
}

/* Whether gather was given a list: a table that has no __await, not even a wrong one.   [-0, +0, m] */
static bool is_list(lua_State *L) {
  if (!lua_istable(L, 1) || luaL_getmetafield(L, 1, "__await") == LUA_TNIL) return lua_istable(L, 1);
  lua_pop(L, 1);
  return false;
}

/* eddy.gather(aw, ...), eddy.gather({aw, ...}, {return_exceptions=}) -> list of first results   [-0, +1, y] */
static int l_gather(lua_State *L) {
  static const char *const options[] = {"return_exceptions", NULL};
  bool return_exceptions = false;
  if (is_list(L)) {
    eddy__check_options(L, 2, options);
    return_exceptions = eddy__option_boolean(L, 2, "return_exceptions", false);
    lua_settop(L, 1);
  } else {
    int n = lua_gettop(L);
    for (int i = 1; i <= (n > 0 ? n : 1); i++) eddy__awaitable_check(L, i);
    lua_createtable(L, n, 0);
    lua_insert(L, 1);
    for (int i = n; i > 0; i--) lua_rawseti(L, 1, i);
  }
  eddy__task *task = eddy__running(L, "gather");
  size_t n = eddy__wait_futures(L, task->future.loop, 1, 1, false);
  return wait_all(L, task, n, return_exceptions, false);
}

/* --- map --------------------------------------------------------------------------------------------- */

/* What the workers of one map share; its user values: the function, the list of items, the list of results. */
typedef struct mapping {
  lua_Integer n, next;
} mapping;
enum { UV_FUNCTION = 1, UV_ITEMS, UV_RESULTS };

static int k_worker(lua_State *L, int status, lua_KContext ctx);

/* Takes one item after the other: 1: the mapping.   [-0, +0, y] */
static int work(lua_State *L) {
  mapping *m = lua_touserdata(L, 1);
  while (m->next < m->n) {
    lua_Integer i = ++m->next;
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, UV_FUNCTION);
    lua_getiuservalue(L, 1, UV_ITEMS);
    lua_rawgeti(L, -1, i);
    lua_remove(L, -2);
    lua_callk(L, 1, 1, (lua_KContext)i, k_worker);
    lua_getiuservalue(L, 1, UV_RESULTS);
    lua_insert(L, -2);
    lua_rawseti(L, -2, i);
  }
  return 0;
}

static int k_worker(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lua_getiuservalue(L, 1, UV_RESULTS);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)ctx);
  return work(L);
}

/* The workers have ended: 3 holds the mapping.   [-0, +1, -] */
static int k_map(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  lua_getiuservalue(L, 1, UV_RESULTS);
  return 1;
}

/* Waits for the list of workers: 1.   [-1, +1, y] */
static int l_wait_workers(lua_State *L) {
  eddy__task *task = eddy__running(L, "map");
  lua_settop(L, 1);
  size_t n = (size_t)luaL_len(L, 1);
  return wait_all(L, task, n, false, true);
}

/* eddy.map(f, list, {concurrency=}) -> list of results   [-0, +1, y] */
static int l_map(lua_State *L) {
  static const char *const options[] = {"concurrency", NULL};
  eddy__check_function(L, 1);
  if (!lua_istable(L, 2)) return eddy__arg_expected(L, 2, "table");
  eddy__check_options(L, 3, options);
  lua_Integer at_once = eddy__option_integer(L, 3, "concurrency", 1, LUA_MAXINTEGER, LUA_MAXINTEGER);
  eddy__task *task = eddy__running(L, "map");
  lua_settop(L, 2);
  eddy__coroutine_unwrap(L, 1);
  lua_Integer n = luaL_len(L, 2);
  if (n < at_once) at_once = n > 0 ? n : 0;
  int hint = n > 0 && n < 1 << 26 ? (int)n : 0;
  mapping *m = lua_newuserdatauv(L, sizeof *m, 3);
  m->n = n;
  m->next = 0;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 3, UV_FUNCTION);
  lua_createtable(L, hint, 0); /* a copy: the caller may change the list meanwhile */
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, 2, i);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, 3, UV_ITEMS);
  lua_createtable(L, hint, 1);
  lua_pushinteger(L, n > 0 ? n : 0);
  lua_setfield(L, -2, "n");
  lua_setiuservalue(L, 3, UV_RESULTS);
  lua_replace(L, 1);
  lua_settop(L, 1); /* the mapping */
  eddy__runtime_push(L);
  lua_pushcclosure(L, l_wait_workers, 1);
  lua_newtable(L);
  for (lua_Integer i = 1; i <= at_once; i++) {
    lua_pushcfunction(L, work);
    lua_pushvalue(L, 1);
    eddy__task_spawn(L, task->future.loop, 1);
    lua_rawseti(L, -2, i);
  }
  lua_callk(L, 1, 0, 0, k_map);
  return k_map(L, LUA_OK, 0);
}

/* [-0, +0, m] */
void eddy__gather_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"gather", l_gather}, {"map", l_map}, {NULL, NULL}};
  eddy__object_type(L, &type_gather, NULL, NULL, meta, 0);
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
