/* SPDX-License-Identifier: MIT */
/*
 * embed.c - eddy.h on top of the rooms: a host opens, spawns, runs or pumps, and closes.
 * Owns:   eddy_loop, a userdata in the registry under its own address until eddy_close; the loop's object is its user
 *         value; the list of visits.
 * Uses:   all rooms.      Used by: hosts, main.c.
 * Touch:  freely. Nothing raises into the host but what eddy.h says: all that can is called through call().
 */
#include "embed.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/interrupt.h"
#include "core/poll.h"
#include "core/post.h"
#include "core/report.h"
#include "core/runner.h"
#include "core/task.h"
#include "core/teardown.h"
#include "core/wait.h"

struct eddy_loop {
  eddy__loop *loop;
  uint32_t generation; /* a script may have closed it, and its record may be another's */
  bool handle_sigint;
  eddy__mailbox *box; /* for other threads; retained */
  const void *state;  /* as state_of tells it */
};

static const eddy__type type_host = {"eddy_loop"};

eddy__mailbox *eddy__host_mailbox(const eddy_loop *host) { return host->box; }

/* --- threads ---------------------------------------------------------------------------------------------------- */

/* A thread runs a loop of a state. It is on that thread's stack. */
typedef struct visit {
  struct visit *next;
  const void *state, *thread;
} visit;

static uv_once_t visits_once = UV_ONCE_INIT;
static uv_mutex_t visits_lock;
static visit *visits; /* of all threads of the process, under the lock */

static _Thread_local char here; /* its address is the thread's identity */

static void init_visits(void) { uv_mutex_init(&visits_lock); }

/* What all threads of a state have in common, and nobody else has: its registry. Only reads what never changes.
 *   [-0, +0, -] */
static const void *state_of(lua_State *L) { return lua_topointer(L, LUA_REGISTRYINDEX); }

/* Under the lock. */
static bool is_elsewhere(const void *state) {
  const visit *v = visits;
  while (v != NULL && (v->state != state || v->thread == &here)) v = v->next;
  return v != NULL;
}

static bool elsewhere(const void *state) {
  uv_once(&visits_once, init_visits);
  uv_mutex_lock(&visits_lock);
  bool is = is_elsewhere(state);
  uv_mutex_unlock(&visits_lock);
  return is;
}

bool eddy__host_elsewhere(lua_State *L) { return elsewhere(state_of(L)); }

/* This thread is about to run a loop of the state, unless another one does. Ends with leave(). */
static bool enter(visit *v, const eddy_loop *host) {
  uv_once(&visits_once, init_visits);
  uv_mutex_lock(&visits_lock);
  bool may = !is_elsewhere(host->state);
  if (may) {
    *v = (visit){visits, host->state, &here};
    visits = v;
  }
  uv_mutex_unlock(&visits_lock);
  return may;
}

static void leave(visit *v) {
  uv_mutex_lock(&visits_lock);
  visit **at = &visits;
  while (*at != v) at = &(*at)->next;
  *at = v->next;
  uv_mutex_unlock(&visits_lock);
}

/* --- loops ------------------------------------------------------------------------------------------------------ */

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy_loop *host = eddy__object_check(L, 1, &type_host);
  if (host->box != NULL) eddy__mailbox_release(host->box);
  host->box = NULL;
  return 0;
}

/* Calls f with the n values at the top, protected; on failure the message is on the stack.   [-n, +m, -] */
static int call(lua_State *L, lua_CFunction f, int n, int nresults) {
  lua_pushcfunction(L, f);
  lua_insert(L, -n - 1);
  return lua_pcall(L, n, nresults, 0);
}

typedef struct opening {
  const eddy_options *options;
  eddy_loop *host;
  eddy__loop *loop; /* once it is open */
} opening;

/* 1: an opening.   [-1, +0, v] */
static int open_protected(lua_State *L) {
  opening *o = lua_touserdata(L, 1);
  const eddy_options *given = o->options;
  const char *env = getenv("EDDY_DEBUG");
  eddy__loop_options options = {.is_debug = env != NULL && strcmp(env, "1") == 0, .slow_callback = 0.1};
  eddy_options all = {0};
  if (given != NULL) {
    if (given->size == 0 || given->size > 4096)
      return luaL_error(L, "eddy_open: options.size is not sizeof(eddy_options)");
    memcpy(&all, given, given->size < sizeof all ? given->size : sizeof all);
  }
  options.uv = all.uv_loop;
  options.is_virtual = all.virtual_clock != 0;
  options.is_debug = options.is_debug || all.debug != 0;
  options.seed = all.seed;
  options.shutdown_timeout = all.shutdown_timeout;
  luaL_requiref(L, "eddy", luaopen_eddy, 0);
  lua_settop(L, 1);
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  eddy__object_type(L, &type_host, NULL, NULL, meta, 0);
  lua_pop(L, 1);
  o->host = eddy__object_new(L, &type_host, sizeof *o->host, 1);
  eddy__loop *loop = o->loop = eddy__loop_open(L, eddy__runtime_open(L), &options);
  loop->is_lazy = all.lazy != 0;
  loop->is_driven = all.uv_loop != NULL;
  *o->host = (eddy_loop){.loop = loop,
                         .generation = loop->generation,
                         .handle_sigint = all.handle_sigint != 0,
                         .state = state_of(L)};
  eddy__mailbox *box = eddy__mailbox_of(loop);
  if (box == NULL) return luaL_error(L, "not enough memory");
  o->host->box = eddy__mailbox_retain(box);
  if (all.uv_loop == NULL) eddy__loop_listen(loop); /* a host may sleep before it pumps */
  lua_setiuservalue(L, 2, 1);
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, o->host);
  return 0;
}

EDDY_API eddy_loop *eddy_open(lua_State *L, const eddy_options *options) {
  if (eddy__host_elsewhere(L) || !lua_checkstack(L, 20)) return NULL;
  opening o = {options, NULL, NULL};
  lua_pushlightuserdata(L, &o);
  if (call(L, open_protected, 1, 0) == LUA_OK) return o.host;
  if (o.loop != NULL) eddy__loop_close(o.loop);
  return NULL;
}

/* The loop, if this state may use it now; else pushes a message.   [-0, +(0|1), m] */
static eddy__loop *usable(eddy_loop *host, lua_State *L, const char *name, bool from_inside) {
  eddy__loop *loop = host != NULL && host->loop->generation == host->generation ? host->loop : NULL;
  lua_checkstack(L, 24);
  if (loop == NULL || !loop->is_open)
    lua_pushfstring(L, "%s: the loop is closed", name);
  else if (eddy__runtime_find(L) != loop->rt)
    lua_pushfstring(L, "%s: the loop belongs to another Lua state", name);
  else if (!from_inside && loop->rt->loop != NULL)
    lua_pushfstring(L, "%s: called from inside a running loop", name);
  else
    return loop;
  return NULL;
}

/* The loop, for this thread to run it until leave(); NULL when it may not, as it is closed, runs or is run elsewhere.
 *   [-0, +0, m] */
static eddy__loop *enter_loop(visit *v, eddy_loop *host, lua_State *L, const char *name) {
  if (eddy__host_elsewhere(L)) return NULL;
  eddy__loop *loop = usable(host, L, name, false);
  if (loop == NULL) lua_pop(L, 1); /* the message: these calls give none */
  return loop != NULL && enter(v, host) ? loop : NULL;
}

/* The loop (light), then the function and its arguments.   [-(n+1), +1, v] */
static int spawn_protected(lua_State *L) {
  eddy__loop *loop = lua_touserdata(L, 1);
  luaL_checkstack(L, 12, NULL);
  eddy__task_create(L, loop, 2);
  return 1;
}

/* 1: a task.   [-0, +0, m] */
static int name_main(lua_State *L) {
  lua_pushliteral(L, "main");
  eddy__future_set_extra(L, 1, EDDY_EX_NAME);
  return 0;
}

EDDY_API int eddy_spawn(eddy_loop *host, lua_State *L, int nargs) {
  if (eddy__host_elsewhere(L)) return EDDY_MISUSE;
  eddy__loop *loop = usable(host, L, "eddy_spawn", true);
  if (loop == NULL) {
    lua_replace(L, -nargs - 2);
    lua_settop(L, lua_gettop(L) - nargs);
    return EDDY_MISUSE;
  }
  bool first = loop->created == 0;
  lua_pushlightuserdata(L, loop);
  lua_insert(L, -nargs - 2);
  if (call(L, spawn_protected, nargs + 2, 1) != LUA_OK) return EDDY_FAILED;
  if (!first) return EDDY_OK;
  lua_pushvalue(L, -1);
  if (call(L, name_main, 1, 0) != LUA_OK) lua_pop(L, 1); /* then it is Task-1 */
  return EDDY_OK;
}

/* The task at idx, or NULL.   [-0, +0, -] */
static eddy__future *test_task(lua_State *L, int idx) {
  if (eddy__host_elsewhere(L)) return NULL;
  eddy__runtime *rt = eddy__runtime_find(L);
  return rt != NULL ? eddy__future_test(L, idx) : NULL;
}

EDDY_API int eddy_status(lua_State *L, int idx) {
  static const int statuses[] = {EDDY_PENDING, EDDY_OK, EDDY_FAILED, EDDY_CANCELLED};
  eddy__future *f = test_task(L, idx);
  return f != NULL ? statuses[f->state] : EDDY_MISUSE;
}

/* 1: a done future: its error.   [-0, +1, m] */
static int push_error(lua_State *L) {
  eddy__future_error(L, lua_touserdata(L, 1), 1);
  return 1;
}

/* 1: a finished future: its results.   [-0, +n, m] */
static int push_results(lua_State *L) {
  return eddy__future_results(L, lua_touserdata(L, 1), 1);
}

EDDY_API int eddy_run(eddy_loop *host, lua_State *L, int idx) {
  visit v;
  if (eddy__host_elsewhere(L)) return EDDY_MISUSE;
  idx = lua_absindex(L, idx);
  eddy__loop *loop = usable(host, L, "eddy_run", false);
  if (loop == NULL) return EDDY_MISUSE;
  eddy__future *f = test_task(L, idx);
  if (f == NULL || f->loop != loop || f->generation != loop->generation) {
    lua_pushliteral(L, "eddy_run: a Task of this loop is expected");
    return EDDY_MISUSE;
  }
  loop->lazy_turn = loop->turns + 1; /* the one in which the task starts */
  if (!enter(&v, host)) return EDDY_MISUSE;
  int rc = eddy__runner_drive(L, loop, idx, host->handle_sigint);
  if (loop->is_open) eddy__post_rest(loop); /* the host may sleep */
  leave(&v);
  if (rc == EDDY_INTERRUPT) eddy__future_retrieved(f);
  if (rc != 0) return rc == EDDY_INTERRUPT ? EDDY_INTERRUPTED : EDDY_FAILED;
  if (eddy__future_pending(f)) return EDDY_PENDING; /* somebody called loop:stop() */
  lua_pushvalue(L, idx);
  if (f->state == EDDY_F_DONE)
    return call(L, push_results, 1, LUA_MULTRET) == LUA_OK ? EDDY_OK : EDDY_FAILED;
  call(L, push_error, 1, 1);
  if (f->state == EDDY_F_CANCELLED) return EDDY_CANCELLED;
  return eddy__error_is(L, -1, EDDY_E_INTERRUPTED) ? EDDY_INTERRUPTED : EDDY_FAILED;
}

EDDY_API int eddy_pump(eddy_loop *host, lua_State *L, double budget) {
  visit v;
  eddy__loop *loop = enter_loop(&v, host, L, "eddy_pump");
  if (loop == NULL) return EDDY_MISUSE;
  bool more = eddy__loop_pump(L, loop, eddy__clock_length(budget == budget ? budget : 0));
  leave(&v);
  return more || loop->ntasks > 0 ? EDDY_PENDING : EDDY_OK;
}

EDDY_API int eddy_cancel(lua_State *L, int idx) {
  eddy__future *f = test_task(L, idx);
  if (f == NULL || eddy__future_loop(f) == NULL || !lua_checkstack(L, 12)) return 0;
  return eddy__cancel(L, f, lua_absindex(L, idx), 0);
}

EDDY_API lua_State *eddy_newstate(void) { return eddy__arena_newstate(); }

EDDY_API int eddy_backend_fd(const eddy_loop *host) {
  return host != NULL && host->loop != NULL && !elsewhere(host->state) ? eddy__poll_fd(host->loop) : -1;
}

EDDY_API int eddy_backend_timeout(const eddy_loop *host) {
  return host != NULL && host->loop != NULL && !elsewhere(host->state) ? eddy__loop_timeout(host->loop) : -1;
}

EDDY_API const char *eddy_error_text(lua_State *L, int idx) {
  if (eddy__host_elsewhere(L)) return NULL;
  eddy__future *f = test_task(L, idx);
  if (f != NULL && f->state == EDDY_F_FAILED) {
    eddy__future_retrieved(f);
    return eddy__report_story(L, idx);
  }
  return eddy__error_text(L, idx);
}

EDDY_API int eddy_close(eddy_loop *host, lua_State *L) {
  visit v;
  eddy__loop *loop = enter_loop(&v, host, L, "eddy_close");
  if (loop == NULL) return EDDY_MISUSE;
  int rc = host->handle_sigint ? eddy__runner_end(L, loop) : eddy__teardown(L, loop);
  leave(&v);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, host); /* the key is there: no memory is needed */
  return rc == EDDY_INTERRUPT ? EDDY_INTERRUPTED : EDDY_OK;
}
