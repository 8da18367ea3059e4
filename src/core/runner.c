/* SPDX-License-Identifier: MIT */
/*
 * runner.c - run and Runner: a loop, a main task, and an orderly end; see runner.h.
 * Touch:  freely.
 */
#include "core/runner.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/context.h"
#include "core/interrupt.h"
#include "core/report.h"
#include "core/task.h"
#include "core/teardown.h"
#include "core/wait.h"

static const eddy__type type_runner = {"Runner"};

/* --- driving a loop with SIGINT and deadlocks -------------------------------------------------------- */

/* After each turn. The first SIGINT cancels what is run for, the second leaves. */
static int on_turn(eddy__loop *loop) {
  eddy__interrupt *i = loop->interrupt;
  if (i->left) return EDDY_INTERRUPT;
  int news = eddy__interrupt_news(i);
  if (news == 0) return 0;
  if (i->count >= 2 || loop->until == NULL || loop->is_ending) return EDDY_INTERRUPT;
  eddy__cancel(loop->rt->L, loop->until, 0, 0);
  loop->interrupted = true;
  return 0;
}

/* Makes the error for a code: the argument is the loop.   [-1, +1, m] */
static int make_error(lua_State *L) {
  eddy__loop *loop = lua_touserdata(L, 1);
  if (loop->outcome == EDDY_INTERRUPT) {
    lua_pushnil(L);
    eddy__error_wrap(L, EDDY_E_INTERRUPTED);
    return 1;
  }
  eddy__report_push_deadlock(L, loop);
  return 1;
}

/* [-0, +(0|1), -] */
int eddy__runner_drive(lua_State *L, eddy__loop *loop, int idx, bool sigint) {
  eddy__future *f = idx != 0 ? lua_touserdata(L, idx) : NULL;
  eddy__interrupt mine, *outer = loop->interrupt;
  if (sigint && outer == NULL) {
    eddy__interrupt_open(&mine, loop);
    loop->interrupt = &mine;
    loop->on_turn = on_turn;
  }
  loop->interrupted = loop->is_hurried = false;
  int rc = eddy__loop_run(L, loop, f);
  if (rc == 0 && f != NULL && loop->interrupted && f->state == EDDY_F_CANCELLED)
    rc = EDDY_INTERRUPT; /* it has ended as SIGINT wanted it to */
  if (sigint && outer == NULL) {
    loop->is_hurried = mine.count >= 2;
    eddy__interrupt_close(&mine);
    loop->interrupt = NULL;
    loop->on_turn = NULL;
  }
  if (rc == 0) return 0;
  loop->interrupted = false;
  loop->outcome = rc;
  lua_pushcfunction(L, make_error);
  lua_pushlightuserdata(L, loop);
  lua_pcall(L, 1, 1, 0); /* or an error that says that there is no memory for it: an error all the same */
  return rc;
}

/* --- options ----------------------------------------------------------------------------------------- */

static const char *const loop_options[] = {"debug", "shutdown_timeout", "loop_factory", "clock", "seed",
                                           "exception_handler", "slow_callback_duration", "name", "preempt",
                                           NULL};

/* The options of the table at arg (or none).   [-0, +0, v] */
static eddy__loop_options check_options(lua_State *L, int arg) {
  static const char *const clocks[] = {"real", "virtual", NULL};
  const char *env = getenv("EDDY_DEBUG");
  const eddy__loop *outer = eddy__runtime_of(L)->loop; /* the command's, whose place is taken */
  bool is_debug = (env != NULL && strcmp(env, "1") == 0) || (outer != NULL && outer->is_debug);
  eddy__loop_options o = {.slow_callback = 0.1};
  eddy__check_options(L, arg, loop_options);
  o.is_debug = eddy__option_boolean(L, arg, "debug", is_debug);
  o.is_virtual = eddy__option_choice(L, arg, "clock", clocks, 0) == 1;
  o.seed = (uint64_t)eddy__option_integer(L, arg, "seed", LUA_MININTEGER, LUA_MAXINTEGER, 0);
  o.shutdown_timeout = eddy__option_seconds(L, arg, "shutdown_timeout", 0);
  eddy__option_string(L, arg, "name");
  o.slow_callback = eddy__option_seconds(L, arg, "slow_callback_duration", o.slow_callback);
  o.preempt = eddy__option_seconds(L, arg, "preempt", HUGE_VAL);
  o.preempts = o.preempt < HUGE_VAL;
  return o;
}

/* Whether option `name` of the table at arg, a function, is there; pushes it then.   [-0, +(0|1), v] */
static bool option_function(lua_State *L, int arg, const char *name) {
  if (!lua_istable(L, arg)) return false;
  if (lua_getfield(L, arg, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return false;
  }
  if (!lua_isfunction(L, -1))
    eddy__arg_error(L, arg, lua_pushfstring(L, "option '%s': function expected, got %s", name, luaL_typename(L, -1)));
  return true;
}

/* Opens the loop that the options at arg (absolute) ask for, and pushes its object.   [-0, +1, v] */
static eddy__loop *open_loop(lua_State *L, eddy__runtime *rt, int arg) {
  eddy__loop_options o = check_options(L, arg);
  eddy__loop *loop;
  if (option_function(L, arg, "loop_factory")) {
    lua_call(L, 0, 1);
    eddy__loop_object *made = eddy__object_test(L, -1, &eddy__type_loop);
    bool closed = made != NULL && (made->loop->generation != made->generation || !made->loop->is_open);
    if (made == NULL || closed)
      eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': option 'loop_factory' has returned %s", eddy__arg_function(L),
                        closed ? "a closed Loop" : "no Loop");
    loop = made->loop;
  } else {
    if (option_function(L, arg, "exception_handler")) lua_pop(L, 1);
    loop = eddy__loop_open(L, rt, &o);
  }
  if (eddy__option_string(L, arg, "name") != NULL) {
    eddy__loop_push_table(L, loop);
    lua_getfield(L, arg, "name");
    lua_setfield(L, -2, "name");
    lua_pop(L, 1);
  }
  if (option_function(L, arg, "exception_handler")) {
    eddy__loop_push_table(L, loop);
    lua_insert(L, -2);
    lua_setfield(L, -2, "handler");
    lua_pop(L, 1);
  }
  return loop;
}

/* Raises when a loop runs already in this state, unless it is one that gives way.   [-0, +0, v] */
static void check_no_loop(lua_State *L, eddy__runtime *rt, const char *name) {
  if (rt->loop != NULL && !eddy__loop_replaceable(rt->loop))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' cannot be called from a running loop", name);
}

/* eddy.new_event_loop(opts) -> Loop   [-0, +1, v] */
static int l_new_event_loop(lua_State *L) {
  lua_settop(L, 1);
  open_loop(L, eddy__runtime_of(L), 1);
  return 1;
}

enum { EDDY_STOPPED = 3 }; /* beside EDDY_STALLED and EDDY_INTERRUPT: by loop:stop() */

/* --- running main ------------------------------------------------------------------------------------ */

/* Whether an error raised now would reach the host, and not a pcall of the script.   [-0, +0, m] */
static bool nobody_catches(lua_State *L, eddy__runtime *rt) {
  lua_Debug ar;
  if (L != rt->main) return false;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_GNAME);
  if (!lua_istable(L, -1)) return lua_pop(L, 2), false;
  lua_getfield(L, -1, "pcall");
  lua_getfield(L, -2, "xpcall");
  lua_CFunction pcall = lua_tocfunction(L, -2), xpcall = lua_tocfunction(L, -1);
  lua_pop(L, 4);
  int top = lua_gettop(L);
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "f", &ar);
    lua_CFunction f = lua_tocfunction(L, -1);
    bool own = f != NULL && lua_getupvalue(L, -1, 1) != NULL && lua_touserdata(L, -1) == rt; /* eddy.pcall */
    lua_settop(L, top);
    if (f != NULL && (f == pcall || f == xpcall || own)) return false;
  }
  return true;
}

typedef struct runner {
  eddy__loop_object loop; /* loop == NULL: not made yet */
  bool closed;
} runner;

enum { UV_OPTIONS = 1, UV_LOOP, UV_CONTEXT }; /* of a Runner */

/* Runs the awaitable at `main`, with what stands above it as arguments, on the loop; leaves the task at `main` and
 * nothing above it. `owner` is the index of the Runner, or 0. Returns 0, or a code with its error on top.
 *   [-n, +(1|2), v] */
static int run_main(lua_State *L, eddy__loop *loop, int main, int owner) {
  if (eddy__future_test(L, main) != NULL) {
    lua_settop(L, main);
    eddy__future *f = lua_touserdata(L, main);
    if (f->loop != loop || f->generation != loop->generation)
      eddy__error_throw(L, EDDY_E_RUNTIME, "'run': the future belongs to another loop");
  } else {
    eddy__task_create(L, loop, main);
    eddy__loop_push_table(L, loop);
    if (lua_getfield(L, -1, "name") == LUA_TNIL) lua_pushliteral(L, "main");
    eddy__future_set_extra(L, main, EDDY_EX_NAME);
    if (owner != 0 && lua_getiuservalue(L, owner, UV_CONTEXT) != LUA_TNIL)
      eddy__future_set_extra(L, main, EDDY_EX_CONTEXT);
    lua_settop(L, main);
  }
  luaL_checkstack(L, 24, NULL);
  int rc = eddy__runner_drive(L, loop, main, true);
  if (owner != 0) { /* its runs share one context */
    eddy__context_of(L, main);
    lua_setiuservalue(L, owner, UV_CONTEXT);
  }
  if (rc != 0 || !eddy__future_pending(lua_touserdata(L, main))) return rc;
  eddy__error_push(L, EDDY_E_RUNTIME, "'run': the loop was stopped before the main task ended");
  return EDDY_STOPPED;
}

/* The run is over: the task is at `main`, above it the error of code rc, if that is not 0. Raises, or returns the
 * results.   [-0, +n, v] */
static int conclude(lua_State *L, eddy__runtime *rt, int main, int rc) {
  eddy__future *f = lua_touserdata(L, main);
  if (rc != 0) {
    eddy__future_retrieved(f);
    return lua_error(L);
  }
  if (f->state == EDDY_F_FAILED) {
    eddy__wait_note_cause(L, rt->current, f, main);
    if (nobody_catches(L, rt)) {
      fflush(stdout);
      lua_writestringerror("eddy: %s\n", eddy__report_story(L, main));
    }
  }
  return eddy__future_results(L, f, main);
}

/* eddy.run(main, ...) -> results   [-0, +n, v] */
static int l_run(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_of(L);
  check_no_loop(L, rt, "run");
  eddy__awaitable_check(L, 1);
  lua_pushnil(L);
  lua_insert(L, 1);
  eddy__loop *loop = open_loop(L, rt, 1); /* nil: no options */
  lua_replace(L, 1);
  lua_toclose(L, 1); /* whatever is raised from here on */
  int rc = run_main(L, loop, 2, 0);
  if (eddy__runner_end(L, loop) == EDDY_INTERRUPT && rc == 0) {
    lua_pushnil(L);
    eddy__error_wrap(L, EDDY_E_INTERRUPTED);
    rc = EDDY_INTERRUPT;
  }
  return conclude(L, rt, 2, rc);
}

/* [-0, +0, -] */
int eddy__runner_end(lua_State *L, eddy__loop *loop) {
  eddy__interrupt mine;
  eddy__interrupt_open(&mine, loop);
  loop->interrupt = &mine;
  loop->on_turn = on_turn;
  int rc = eddy__teardown(L, loop);
  eddy__interrupt_close(&mine);
  loop->interrupt = NULL;
  loop->on_turn = NULL;
  return rc;
}

/* --- Runner ------------------------------------------------------------------------------------------ */

/* [-0, +0, v] */
static runner *check(lua_State *L, const char *name) {
  runner *r = eddy__object_check(L, 1, &type_runner);
  if (r->closed) eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the Runner is closed", name);
  return r;
}

/* The loop of the runner at 1, made at the first call; pushes its object.   [-0, +1, v] */
static eddy__loop *push_loop(lua_State *L, runner *r) {
  if (r->loop.loop == NULL) {
    lua_getiuservalue(L, 1, UV_OPTIONS);
    eddy__loop *loop = open_loop(L, eddy__runtime_of(L), lua_gettop(L));
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, UV_LOOP);
    lua_remove(L, -2);
    r->loop.loop = loop;
    r->loop.generation = loop->generation;
    return loop;
  }
  lua_getiuservalue(L, 1, UV_LOOP);
  return eddy__loop_check(L, lua_gettop(L));
}

/* eddy.Runner(opts) -> Runner   [-0, +1, v] */
static int l_new(lua_State *L) {
  check_options(L, 1);
  if (option_function(L, 1, "loop_factory")) lua_pop(L, 1);
  if (option_function(L, 1, "exception_handler")) lua_pop(L, 1);
  lua_settop(L, 1);
  eddy__object_new(L, &type_runner, sizeof(runner), UV_CONTEXT);
  if (lua_istable(L, 1)) { /* a copy: what the caller does to its table later is its own affair */
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, 1);) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, 3);
    }
    lua_setiuservalue(L, 2, UV_OPTIONS);
  }
  return 1;
}

/* runner:run(f, ...) -> results   [-0, +n, v] */
static int l_runner_run(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_of(L);
  runner *r = check(L, "run");
  check_no_loop(L, rt, "run");
  eddy__awaitable_check(L, 2);
  eddy__loop *loop = push_loop(L, r);
  lua_insert(L, 2); /* runner, loop, main, ... */
  return conclude(L, rt, 3, run_main(L, loop, 3, 1));
}

/* runner:get_loop() -> Loop   [-0, +1, v] */
static int l_runner_get_loop(lua_State *L) {
  push_loop(L, check(L, "get_loop"));
  return 1;
}

/* runner:close(): twice is fine   [-0, +0, v] */
static int l_runner_close(lua_State *L) {
  runner *r = eddy__object_check(L, 1, &type_runner);
  eddy__runtime *rt = eddy__runtime_of(L);
  if (r->closed) return 0;
  eddy__loop *loop = r->loop.loop;
  bool open = loop != NULL && loop->generation == r->loop.generation && loop->is_open;
  if (open) {
    if (loop->is_running)
      eddy__error_throw(L, EDDY_E_RUNTIME, "'close': the Runner's loop is running");
    check_no_loop(L, rt, "close");
  }
  r->closed = true;
  lua_settop(L, 1);
  luaL_checkstack(L, 24, NULL);
  if (open && eddy__runner_end(L, loop) == EDDY_INTERRUPT) {
    lua_pushnil(L);
    eddy__error_wrap(L, EDDY_E_INTERRUPTED);
    return lua_error(L);
  }
  return 0;
}

/* [-0, +1, v] */
static int l_runner_tostring(lua_State *L) {
  runner *r = eddy__object_check(L, 1, &type_runner);
  const char *name = NULL;
  lua_settop(L, 1);
  if (lua_getiuservalue(L, 1, UV_OPTIONS) == LUA_TTABLE && lua_getfield(L, 2, "name") != LUA_TNIL)
    name = lua_tostring(L, 3);
  lua_pushfstring(L, name != NULL ? "<Runner '%s' %s>" : "<Runner %s%s>", name != NULL ? name : "",
                  r->closed ? "closed" : "open");
  return 1;
}

/* [-0, +0, m] */
void eddy__runner_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"run", l_runner_run},
                                     {"get_loop", l_runner_get_loop},
                                     {"close", l_runner_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__close", l_runner_close}, {"__tostring", l_runner_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"run", l_run}, {"Runner", l_new}, {"new_event_loop", l_new_event_loop}, {NULL, NULL}};
  eddy__object_type(L, &type_runner, NULL, methods, meta, lua_gettop(L) - 1);
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
