/* SPDX-License-Identifier: MIT */
/*
 * generator.c - generator functions; see generator.h.
 * Touch:  freely. Closing raises a CancelledError at the yield where the body stands, so that it unwinds as a cancelled
 *         task does: <close> handlers run, and may wait.
 */
#include "core/generator.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/coroutine.h"
#include "core/nested.h"

static const eddy__type type_generator = {"Generator"};

enum { CREATED, SUSPENDED, RUNNING, CLOSED };
static const char *const states[] = {"created", "suspended", "running", "closed"};
enum { UV_THREAD = 1, UV_ERROR, UV_COUNT = UV_ERROR }; /* UV_ERROR: the CancelledError that closes it */

typedef struct eddy__generator {
  lua_State *co;       /* the user value */
  eddy__runtime *rt;
  eddy__loop *loop;    /* where it has begun */
  uint32_t generation; /* of the loop's record */
  bool counted;        /* in loop->generators, from its first step to its end */
  uint64_t order;      /* of the beginnings */
  int state;
  bool closing;
  bool stubborn; /* it yielded while it was being closed: it is not closed again at the end of the loop */
} generator;

/* The loop counts its generators, and does not link them: should Lua find no memory to call the finalizer of one, then
 * nobody would unlink it. */
static void uncount(generator *g) {
  if (g->counted && g->loop->generation == g->generation && g->loop->is_open) g->loop->generators--;
  g->counted = false;
}

static void close_books(generator *g) {
  g->state = CLOSED;
  uncount(g);
}

/* After a yield: the values that were yielded are gone; raises when the generator is being closed.  [-0, +n, v] */
static int k_yield(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  generator *g = (generator *)ctx;
  if (!g->closing) return lua_gettop(L);
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_getiuservalue(L, 1, UV_ERROR);
  return lua_error(L);
}

/* The yield that a body is given; upvalues: the record, the generator.   [-n, +m, y] */
static int l_yield(lua_State *L) {
  generator *g = lua_touserdata(L, lua_upvalueindex(2));
  if (g->co != L)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'yield' outside of the generator that it belongs to");
  return lua_yieldk(L, lua_gettop(L), (lua_KContext)g, k_yield);
}

/* Steps the generator at 1: the n values at the top of its thread are its arguments.   [-0, +n, y] */
static int step(lua_State *L, generator *g, int n, bool again, lua_KFunction k, int *nresults) {
  g->state = RUNNING;
  int rc = eddy__nested_resume(L, g->rt, g->co, n, again, nresults);
  if (rc == EDDY_NESTED_WAITS) return lua_yieldk(L, 0, 0, k);
  if (rc == EDDY_NESTED_REFUSED)
    eddy__error_throw(L, EDDY_E_RUNTIME, "the generator's body waits for another task");
  if (rc == LUA_YIELD)
    g->state = SUSPENDED;
  else
    close_books(g);
  return rc;
}

static int next_value(lua_State *L, generator *g, int n, bool again);

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return next_value(L, lua_touserdata(L, 1), 0, true);
}

/* [-0, +n, y] */
static int next_value(lua_State *L, generator *g, int n, bool again) {
  int nresults = 0;
  int rc = step(L, g, n, again, k_next, &nresults);
  if (rc == LUA_OK) return lua_pushnil(L), 1;
  if (rc == LUA_YIELD) {
    luaL_checkstack(L, nresults + 2, "too many values");
    lua_xmove(g->co, L, nresults);
    if (nresults == 0) return lua_pushboolean(L, 1), 1; /* a bare yield() must not end the loop */
    return nresults;
  }
  lua_xmove(g->co, L, 1);
  return lua_error(L);
}

/* [-0, +0, v] */
static void check_depth(lua_State *L, const generator *g) {
  const char *too_deep = eddy__nested_too_deep(L, g->rt);
  if (too_deep != NULL) luaL_error(L, "%s", too_deep);
}

/* Steps the generator at 1; the values above it are what its yield returns.   [-0, +n, y] */
static int go_on(lua_State *L, generator *g) {
  int n = lua_gettop(L) - 1;
  if (g->state == CLOSED) return lua_pushnil(L), 1;
  if (g->state == RUNNING) eddy__error_throw(L, EDDY_E_RUNTIME, "'next': the generator is running already");
  if (g->state == CREATED && n > 0)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'asend': nothing can be sent to a generator that has not started");
  check_depth(L, g);
  if (!lua_checkstack(g->co, n + 4)) return luaL_error(L, "too many values to send");
  lua_xmove(L, g->co, n);
  if (g->state == CREATED) {
    n = lua_gettop(g->co) - 1;
    if (n < 2 || lua_status(g->co) != LUA_OK) { /* by the debug library */
      close_books(g);
      eddy__error_throw(L, EDDY_E_RUNTIME, "the generator's coroutine was closed");
    }
    g->loop = g->rt->loop;
    if (g->loop != NULL) {
      eddy__object_remember(L, 1, g);
      g->generation = g->loop->generation;
      g->order = ++g->loop->generators_begun;
      g->loop->generators++;
      g->counted = true;
    }
  }
  return next_value(L, g, n, false);
}

/* The iterator: the next values, or nil at the end. What for passes is not for the body   [-0, +n, y] */
static int l_next(lua_State *L) {
  generator *g = eddy__object_check(L, 1, &type_generator);
  lua_settop(L, 1);
  return go_on(L, g);
}

/* g:asend(...): the same, and the values are what the body's yield returns   [-0, +n, y] */
static int l_asend(lua_State *L) {
  return go_on(L, eddy__object_check(L, 1, &type_generator));
}

static int close_it(lua_State *L, generator *g, bool again);

static int k_close(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return close_it(L, lua_touserdata(L, 1), true);
}

/* [-0, +0, y] */
static int close_it(lua_State *L, generator *g, bool again) {
  int nresults = 0;
  int rc = step(L, g, 0, again, k_close, &nresults);
  if (rc == LUA_OK) return 0;
  if (rc == LUA_YIELD) {
    lua_pop(g->co, nresults);
    g->closing = false;
    g->stubborn = true;
    return eddy__error_throw(L, EDDY_E_RUNTIME, "the generator yielded while it was being closed");
  }
  lua_xmove(g->co, L, 1);
  lua_getiuservalue(L, 1, UV_ERROR);
  if (lua_rawequal(L, -1, -2)) return 0;
  lua_pop(L, 1);
  return lua_error(L);
}

/* g:aclose(), and the end of a for loop: unwinds the body; twice is fine   [-0, +0, y] */
static int l_close(lua_State *L) {
  generator *g = eddy__object_check(L, 1, &type_generator);
  lua_settop(L, 1);
  if (g->state == CREATED) close_books(g);
  if (g->state == CLOSED) return 0;
  if (g->state == RUNNING) eddy__error_throw(L, EDDY_E_RUNTIME, "'aclose': a running generator cannot be closed");
  check_depth(L, g);
  eddy__error_push(L, EDDY_E_CANCELLED, "the generator was closed");
  lua_setiuservalue(L, 1, UV_ERROR);
  g->closing = true;
  return close_it(L, g, false);
}

/* Collected while its body stands at a yield: the body is unwound in a task, if there is a loop for it.  [-0, +0, m] */
static int l_gc(lua_State *L) {
  generator *g = eddy__object_check(L, 1, &type_generator);
  uncount(g);
  eddy__loop *loop = g->loop;
  if (g->state != SUSPENDED || loop == NULL || !loop->is_open || loop->is_closing) return 0;
  if (loop->rt->loop != loop) return 0;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, l_close, 1);
  lua_pushvalue(L, 1);
  if (loop->is_ending)
    eddy__task_spawn(L, loop, 1)->was_ended = true; /* not to be cancelled before it begins */
  else
    eddy__task_spawn(L, loop, 1);
  return 0;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  generator *g = eddy__object_check(L, 1, &type_generator);
  lua_pushfstring(L, "<Generator %s>", states[g->state]);
  return 1;
}

/* A generator function is called: makes the generator, and returns it as for wants it: iterator, nil, nil, closing
 * value. Upvalues: the record, the body.   [-n, +4, m] */
static int l_make(lua_State *L) {
  int n = lua_gettop(L);
  lua_Debug ar;
  luaL_checkstack(L, 10, NULL);
  if (lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) && strcmp(ar.namewhat, "for iterator") == 0)
    eddy__error_throw(L, EDDY_E_RUNTIME, "a generator function is called to make a generator: for x in f() do");
  generator *g = eddy__object_new(L, &type_generator, sizeof *g, UV_COUNT);
  lua_State *co = lua_newthread(L);
  if (!lua_checkstack(co, n + 8)) return luaL_error(L, "too many arguments");
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, n + 1, UV_THREAD);
  lua_pushcfunction(co, eddy__nested_body);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, n + 1);
  lua_pushcclosure(L, l_yield, 2);
  lua_xmove(L, co, 2);
  lua_pop(L, 1);
  g->co = co;
  g->rt = eddy__runtime_of(L);
  lua_insert(L, 1);
  lua_xmove(L, co, n);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, 1);
  return 4;
}

/* [-0, +0, -] */
bool eddy__generator_function(lua_State *L, int idx) { return lua_tocfunction(L, idx) == l_make; }

/* [-1, +1, m] */
void eddy__generator_wrap(lua_State *L) {
  eddy__runtime_push(L);
  lua_insert(L, -2);
  lua_pushcclosure(L, l_make, 2);
}

/* eddy.generator(function(yield, ...) end) -> generator function   [-0, +1, v] */
static int l_generator(lua_State *L) {
  if (!lua_isfunction(L, 1)) return eddy__arg_expected(L, 1, "function");
  lua_settop(L, 1);
  eddy__coroutine_unwrap(L, 1);
  eddy__generator_wrap(L);
  return 1;
}

/* [-0, +1, -] */
void eddy__generator_push_thread(lua_State *L, int idx) {
  if (eddy__object_test(L, idx, &type_generator) != NULL)
    lua_getiuservalue(L, idx, UV_THREAD);
  else
    lua_pushnil(L);
}

/* --- the end of a loop ------------------------------------------------------------------------------- */

/* Whether it stands at a yield in that loop, and can be closed. */
static bool is_left_open(const generator *g, const eddy__loop *loop) {
  return g->counted && g->loop == loop && g->generation == loop->generation && g->state == SUSPENDED && !g->closing &&
         !g->stubborn;
}

static int by_order(const void *a, const void *b) {
  const generator *const *left = a, *const *right = b;
  return ((*left)->order > (*right)->order) - ((*left)->order < (*right)->order);
}

/* Finds those that were left open, in the order in which they began, at most `max`.   [-0, +0, m] */
static size_t find_open(lua_State *L, const eddy__loop *loop, generator **list, size_t max) {
  size_t n = 0;
  int top = lua_gettop(L);
  eddy__object_push_remembered(L);
  for (lua_pushnil(L); n < max && lua_next(L, top + 1); lua_pop(L, 1)) {
    generator *g = eddy__object_test(L, -1, &type_generator);
    if (g != NULL && is_left_open(g, loop)) list[n++] = g;
  }
  lua_settop(L, top);
  qsort(list, n, sizeof *list, by_order);
  return n;
}

/* [-0, +(0|1), m] */
bool eddy__generators_close(lua_State *L, eddy__loop *loop) {
  lua_Integer tasks = 0;
  luaL_checkstack(L, 12, NULL);
  generator **list = lua_newuserdatauv(L, (loop->generators + 1) * sizeof *list, 0);
  lua_newtable(L);
  size_t n = find_open(L, loop, list, loop->generators);
  for (size_t i = 0; i < n; i++) {
    eddy__runtime_push(L);
    lua_pushcclosure(L, l_close, 1);
    if (!eddy__object_push(L, list[i])) { /* collected meanwhile */
      lua_pop(L, 1);
      continue;
    }
    eddy__task_spawn(L, loop, 1)->was_ended = true; /* not to be cancelled at once */
    lua_rawseti(L, -2, ++tasks);
  }
  lua_remove(L, -2);
  if (tasks == 0) lua_pop(L, 1);
  return tasks > 0;
}

/* [-0, +0, m] */
void eddy__generator_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"aclose", l_close}, {"asend", l_asend}, {"next", l_next}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__call", l_next},
                                  {"__close", l_close},
                                  {"__gc", l_gc},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"generator", l_generator}, {NULL, NULL}};
  eddy__object_type(L, &type_generator, NULL, methods, meta, lua_gettop(L) - 1);
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
