/* SPDX-License-Identifier: MIT */
/*
 * task.c - a coroutine the loop drives; see task.h.
 * Owns:   the coroutines of the pool; step(), the only caller of lua_resume for tasks.
 * Uses:   base/, future.h, cancel.h, report.h.      Used by: all that waits.
 * Touch:  with care: docs/internals/suspend-wake-cancel.md.
 *
 * The stack of a coroutine of the pool: at 1, for good, the closure of l_body; above it, while it has a task, a copy of
 * that closure with its arguments: the task, the message handler, the function and its arguments.
 */
#include "core/task.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/context.h"
#include "core/coroutine.h"
#include "core/debug.h"
#include "core/group.h"
#include "core/interrupt.h"
#include "core/preempt.h"
#include "core/report.h"
#include "core/stack.h"
#include "core/wait.h"

const eddy__type eddy__type_task = {"Task"};

enum { POOL_KEEPS = 16384 }; /* idle coroutines (1 KiB each); what is above that is given back */
enum { FEW_ARGS = 3 };       /* a task with more has its coroutine from the start, to keep them there */

static int l_body(lua_State *L);

/* [-0, +1, -] */
void eddy__task_push(lua_State *L, eddy__task *task) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->slot);
}

/* --- the pool ---------------------------------------------------------------------------------------- */

/* Makes a coroutine, idle. Nothing of this is done on the new thread, which has nobody to catch its errors.
 *   [-0, +0, m] */
static void make_coroutine(lua_State *L, eddy__runtime *rt) {
  lua_State *co = lua_newthread(L);
  eddy__runtime_push(L);
  lua_pushcclosure(L, l_body, 1);
  lua_xmove(L, co, 1);
  if (rt->idle == NULL) {
    rt->idle = malloc(POOL_KEEPS * sizeof *rt->idle); /* the system gives the pages that are used */
    if (rt->idle == NULL) luaL_error(L, "not enough memory");
  }
  if (rt->nidle < POOL_KEEPS) { /* a finalizer may have filled it */
    int slot = eddy__runtime_keep(L, rt, lua_gettop(L));
    rt->idle[rt->nidle++] = (eddy__idle){co, slot};
  }
  lua_pop(L, 1);
}

static int l_make_coroutine(lua_State *L) {
  make_coroutine(L, lua_touserdata(L, 1));
  return 0;
}

/* Gives back the coroutine of a task, unless it is dead.   [-0, +0, -] */
static void give_back(eddy__runtime *rt, eddy__task *task, bool dead) {
  if (dead || rt->nidle >= POOL_KEEPS) {
    eddy__runtime_drop(rt, task->co_slot);
  } else {
    rt->idle[rt->nidle++] = (eddy__idle){task->co, task->co_slot};
  }
  task->co = NULL;
}

/* Gives the task an idle coroutine; false if there is none.   [-0, +0, -] */
static bool take_idle(eddy__runtime *rt, eddy__task *task) {
  while (rt->nidle > 0) {
    eddy__idle *idle = &rt->idle[--rt->nidle];
    task->co = idle->co;
    task->co_slot = idle->slot;
    if (lua_status(task->co) == LUA_OK && lua_gettop(task->co) == 1) return true;
    give_back(rt, task, true); /* a script has got hold of it, and has run or closed it */
  }
  return false;
}

/* --- the life of a task ------------------------------------------------------------------------------ */

static void step(eddy__ready *r);

bool eddy__task_is(const eddy__ready *r) { return r->run == step; }

/* Gives the task a coroutine, and puts there what l_body expects: itself, the task at idx of L, the message handler,
 * and the nargs + 1 values at the top of L. A slot is free afterwards.   [-(nargs+1), +0, m] */
static void fill(lua_State *L, eddy__task *task, int idx, int nargs) {
  eddy__runtime *rt = task->future.loop->rt;
  do { /* either may collect garbage, and a finalizer may make tasks */
    eddy__runtime_reserve(L, rt);
    if (rt->nidle == 0) make_coroutine(L, rt);
  } while (rt->nfree == 0 || !take_idle(rt, task));
  if (!lua_checkstack(task->co, nargs + 8)) {
    give_back(rt, task, false);
    luaL_error(L, "too many arguments for a task");
  }
  lua_pushvalue(task->co, 1);
  lua_pushvalue(L, idx);
  lua_xmove(L, task->co, 1);
  lua_pushcfunction(task->co, eddy__task_msgh);
  lua_xmove(L, task->co, nargs + 1);
}

/* The same for a new task that keeps its function and arguments as user values; they are its coroutine's from then on.
 *   [-0, +0, -] */
static void fill_from_values(eddy__task *task) {
  lua_State *co = task->co;
  lua_pushvalue(co, 1);
  eddy__task_push(co, task);
  lua_pushcfunction(co, eddy__task_msgh);
  for (int i = 0; i <= task->nargs; i++) {
    lua_getiuservalue(co, 3, EDDY_UV_START + i);
    lua_pushnil(co);
    lua_setiuservalue(co, 3, EDDY_UV_START + i);
  }
}

/* [-(nargs+1), +1, m] */
eddy__task *eddy__task_spawn(lua_State *L, eddy__loop *loop, int nargs) {
  eddy__runtime *rt = loop->rt;
  if (rt->is_dead) luaL_error(L, "the Lua state is closing");
  bool few = nargs <= FEW_ARGS;
  int nuv = EDDY_UV_COUNT + (few ? nargs + 1 : 0);
  eddy__task *task = eddy__object_make(L, &eddy__type_task, rt->task_meta, sizeof *task, nuv);
  int at = lua_gettop(L), first = at - nargs - 1;
  eddy__future_init(&task->future, loop);
  task->future.is_task = true;
  eddy__list_init(&task->waiter.link);
  eddy__list_init(&task->member);
  task->ready.run = step;
  if (rt->has_contexts) eddy__context_inherit(L, rt, at);
  if (loop->is_debug) eddy__debug_made(L, at);
  lua_insert(L, first);
  if (few) {
    task->nargs = (uint8_t)nargs;
    for (int i = nargs; i >= 0; i--) lua_setiuservalue(L, first, EDDY_UV_START + i);
  } else {
    fill(L, task, first, nargs);
  }
  task->slot = eddy__runtime_keep(L, rt, first); /* from here on nothing can fail */
  task->id = (uint32_t)++loop->created;
  eddy__list_push(&loop->tasks, &task->live);
  loop->ntasks++;
  eddy__loop_ready(loop, &task->ready);
  return task;
}

/* It goes on, or ends. Was the coroutine closed in which it waited last, then that wait was never undone.
 *   [-0, +0, -] */
static void leave_wait(eddy__task *task) {
  if (task->at != NULL) {
    task->left_wait = task->left_wait || !task->preempted;
    task->preempted = false;
    task->at = NULL;
  }
  eddy__list_remove(&task->waiter.link);
  if (task->timer.place != 0) eddy__timer_stop(&task->future.loop->timers, &task->timer);
  task->waits_for = NULL;
}

/* It runs no more: takes it off the books; the caller settles it. */
static void end(eddy__task *task) {
  task->phase = EDDY_T_ENDED;
  eddy__list_remove(&task->live);
  leave_wait(task);
  task->future.loop->ntasks--;
  if (task->scopes != NULL) eddy__timeouts_leave(task);
}

/* It has settled: its group is the first to act on it.   [-0, +0, -] */
static void tell_group(eddy__task *task) {
  if (task->group != NULL) eddy__group_child_done(task);
}

/* The body has failed with the error at the top; the task is at 1.   [-1, +0, m] */
static void fail(lua_State *L, eddy__task *task) {
  if (task->future.loop->interrupt != NULL) eddy__interrupt_left(L, task->future.loop, -1);
  bool in_group = task->group != NULL;
  end(task);
  if (in_group) task->future.retrieved = true; /* the group will raise the error */
  eddy__future_fail(L, &task->future, 1);
  tell_group(task);
}

/* The task in `ctx` got a foreign yield and nobody has told it: not even its hook.   [-0, +1, m] */
static void push_foreign_yield(lua_State *L) {
  eddy__error_push(L, EDDY_E_RUNTIME,
                   "a task was suspended by coroutine.yield, which nobody would ever resume; wait with "
                   "eddy's functions, or yield inside a coroutine that you resume yourself");
}

static int k_body(lua_State *L, int status, lua_KContext ctx);

/* It goes on, and k_body with it.   [-0, +0, y] */
static int k_late(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return k_body(L, (int)ctx, 0);
}

/* Whether a script runs this thread of a task that has given way to others; it waits then.   [-0, +0, -] */
static bool is_strange(lua_State *L, const eddy__task *task) {
  eddy__runtime *rt = task->future.loop->rt;
  if (!task->future.loop->preempts || (rt->current == task && rt->leaf == L)) return false;
  return rt->refused = lua_isyieldable(L);
}

/* The function has returned or raised. 1: the task, 2: the message handler, then results or the error. */
static int k_body(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  eddy__task *task = lua_touserdata(L, 1);
  if (is_strange(L, task)) return lua_yieldk(L, 0, status, k_late);
  if (task->foreign_yield) { /* the yield was the last thing it did */
    task->foreign_yield = false;
    lua_sethook(L, NULL, 0, 0);
    push_foreign_yield(L);
    fail(L, task);
  } else if (status != LUA_OK && status != LUA_YIELD) {
    fail(L, task);
  } else if (task->must_cancel) { /* it was asked to stop and has not waited since: its results are lost */
    task->must_cancel = false;
    end(task);
    eddy__future_settle(&task->future, EDDY_F_CANCELLED); /* its user value is the CancelledError, or nil */
    tell_group(task);
  } else {
    int n = lua_gettop(L) - 2;
    if (n > 1) luaL_checkstack(L, 2, NULL);
    if (task->future.loop->is_debug) eddy__debug_ended(L, task);
    end(task);
    if (n == 0 && !task->has_message)
      eddy__future_settle(&task->future, EDDY_F_DONE); /* its user value is nil already */
    else
      eddy__future_resolve(L, &task->future, 1, n);
    tell_group(task);
  }
  return 0;
}

/* [-n, +0, y]   The first function of every task: 1: the task, 2: the message handler, 3: f, then its arguments */
static int l_body(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_here;
  if (rt == NULL || rt->current == NULL || rt->current->co != L)
    eddy__error_throw(L, EDDY_E_RUNTIME, "the coroutine of a task cannot be resumed");
  if (rt->current->future.loop->preempts) eddy__preempt_begin(rt->current, L);
  return k_body(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 2, 0, k_body), 0);
}

/* Raises in a task that was suspended by coroutine.yield, at its next instruction.   [-0, +0, v] */
static void on_foreign_yield(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  eddy__runtime *rt = eddy__runtime_find(L);
  if (rt->current != NULL) rt->current->foreign_yield = false;
  push_foreign_yield(L);
  lua_error(L);
}

/* What is left of a task whose coroutine has died outside of its body's pcall, with status `rc`. */
typedef struct remains {
  eddy__task *task;
  int rc; /* LUA_OK: before its first step */
} remains;

/* Settles it with the error on top of its thread: 1: the remains.   [-0, +0, m] */
static int settle_dead(lua_State *L) {
  remains *r = lua_touserdata(L, 1);
  eddy__task *task = r->task;
  eddy__task_push(L, task);
  if (task->co == NULL)
    return luaL_error(L, "not enough memory");
  if (r->rc == LUA_OK)
    lua_pushnil(L);
  else
    lua_xmove(task->co, L, 1);
  const char *text = r->rc == LUA_ERRRUN ? lua_tostring(L, -1) : NULL;
  if (r->rc == LUA_OK || (text != NULL && strcmp(text, "cannot resume dead coroutine") == 0))
    eddy__error_push(L, EDDY_E_RUNTIME, "the coroutine of the task was closed or resumed by a script");
  if (task->group != NULL) task->future.retrieved = true;
  eddy__future_fail(L, &task->future, 2);
  return 0;
}

/* The coroutine died outside of its body's pcall: there was no memory for the end of the task, or a script has closed
 * it; whatever it waited for, it waits no more. */
static void die(eddy__task *task, int rc) {
  remains r = {task, rc};
  eddy__runtime *rt = task->future.loop->rt;
  if (task->phase != EDDY_T_ENDED) end(task);
  if (!eddy__future_pending(&task->future)) { /* it has died of making the sentinel */
    if (task->future.state == EDDY_F_FAILED && !task->future.retrieved)
      eddy__report_unarmed(rt->L, task);
    return;
  }
  if (eddy__runtime_pcall(rt, settle_dead, &r) != LUA_OK) {
    if (eddy__future_pending(&task->future)) {
      eddy__task_push(rt->L, task);
      lua_insert(rt->L, -2);
      lua_setiuservalue(rt->L, -2, EDDY_UV_VALUE);
      eddy__future_settle(&task->future, EDDY_F_FAILED);
    }
    lua_pop(rt->L, 1);
    if (!task->future.retrieved) eddy__report_unarmed(rt->L, task);
  }
  tell_group(task);
}

/* Cancelled before its first step: the body never runs. */
static void end_unstarted(eddy__task *task, lua_State *L) {
  task->must_cancel = false;
  eddy__task_push(L, task);
  if (task->co != NULL) lua_settop(task->co, 1);
  for (int i = 0; task->co == NULL && i <= task->nargs; i++) {
    lua_pushnil(L);
    lua_setiuservalue(L, -2, EDDY_UV_START + i);
  }
  eddy__future_extra(L, -1, EDDY_EX_BODY);
  eddy__coroutine_abandon(L, -1);
  lua_pop(L, 2);
  end(task);
  eddy__future_settle(&task->future, EDDY_F_CANCELLED);
  tell_group(task);
}

/* Its first step: gives it a coroutine. Returns what lua_resume does, *dead if that was not called as its coroutine is
 * no good or there is no memory for one. */
static int start(eddy__task *task, lua_State *L, int *nresults, bool *dead) {
  eddy__runtime *rt = task->future.loop->rt;
  int nargs = task->nargs + 3;
  if (task->co == NULL) {
    if (!take_idle(rt, task)) { /* there is none, or a script has got hold of all */
      if (eddy__runtime_pcall(rt, l_make_coroutine, rt) != LUA_OK) lua_pop(L, 1);
      *dead = !take_idle(rt, task);
    }
    if (!*dead) fill_from_values(task);
  } else {
    nargs = lua_gettop(task->co) - 2;
    *dead = lua_status(task->co) != LUA_OK || nargs < FEW_ARGS + 1; /* a script has got hold of it */
  }
  if (*dead) {
    die(task, LUA_OK);
    return LUA_OK;
  }
  task->phase = EDDY_T_RUNNING;
  rt->leaf = task->co;
  rt->current = task;
  return lua_resume(task->co, L, nargs, nresults);
}

/* It was suspended by coroutine.yield: nobody would ever wake it. */
static void refuse_yield(eddy__task *task, int nresults) {
  lua_pop(task->co, nresults);
  task->foreign_yield = true;
  task->phase = EDDY_T_READY;
  lua_sethook(task->co, on_foreign_yield, LUA_MASKCOUNT | LUA_MASKRET, 1); /* as the yield itself returns */
  eddy__loop_ready(task->future.loop, &task->ready);
}

/* It has ended: lets go of its coroutine and of itself. */
static void let_go(eddy__runtime *rt, eddy__task *task, bool dead) {
  if (task->left_wait) {
    rt->kept += task->co != NULL ? 2 : 1;
    return;
  }
  if (task->co != NULL) give_back(rt, task, dead);
  if (!task->keeps_slot) eddy__runtime_drop(rt, task->slot);
}

/* A step of a task: from the beginning or from its wait to the next wait or the end. */
static void step(eddy__ready *r) {
  eddy__task *task = eddy__container_of(r, eddy__task, ready);
  eddy__runtime *rt = task->future.loop->rt;
  lua_State *L = rt->L;
  int rc = LUA_OK, nresults = 0;
  bool dead = false;
  uint64_t began = eddy__debug_begin(task->future.loop);
  if (task->phase != EDDY_T_NEW) {
    if (task->future.loop->preempts) eddy__preempt_begin(task, task->co);
    task->phase = EDDY_T_RUNNING;
    rt->leaf = task->co;
    rt->current = task;
    rc = lua_resume(task->co, L, 0, &nresults);
  } else if (task->must_cancel) {
    end_unstarted(task, L);
  } else {
    rc = start(task, L, &nresults, &dead);
  }
  rt->current = NULL;
  rt->leaf = NULL;
  if (began != 0) eddy__debug_step(task, began);
  if (rc == LUA_YIELD) {
    if (task->phase == EDDY_T_RUNNING) refuse_yield(task, nresults);
    return;
  }
  if (rc != LUA_OK) die(task, rc);
  let_go(rt, task, dead || rc != LUA_OK);
}

void eddy__task_release(eddy__task *task) {
  task->keeps_slot = false;
  if (!task->left_wait) eddy__runtime_drop(task->future.loop->rt, task->slot);
}

/* --- suspend and wake -------------------------------------------------------------------------------- */

/* Pops a function and pushes its name: where it stands in a library ("table.sort"), else as it was called.
 *   [-1, +1, m] */
static const char *push_function_name(lua_State *L, const char *called) {
  int function = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  eddy__arg_name_of(L, function);
  if (lua_isstring(L, -1)) { /* eddy's own */
    lua_replace(L, function);
    return lua_tostring(L, function);
  }
  lua_pop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, function + 1); lua_settop(L, function + 2)) {
    if (!lua_istable(L, -1) || lua_type(L, -2) != LUA_TSTRING) continue;
    for (lua_pushnil(L); lua_next(L, function + 3); lua_pop(L, 1)) {
      if (!lua_rawequal(L, -1, function) || lua_type(L, -2) != LUA_TSTRING) continue;
      const char *library = lua_tostring(L, function + 2), *name = lua_tostring(L, -2);
      if (strcmp(library, LUA_GNAME) == 0)
        lua_pushstring(L, name);
      else
        lua_pushfstring(L, "%s.%s", library, name);
      lua_replace(L, function);
      lua_settop(L, function);
      return lua_tostring(L, function);
    }
  }
  lua_settop(L, function);
  lua_pushstring(L, called != NULL ? called : "?");
  lua_replace(L, function);
  return lua_tostring(L, function);
}

/* Whether the C function at the top is one that waits can go through: eddy's own, pcall and the like.  [-0, +0, m] */
static bool can_be_suspended(lua_State *L) {
  static const char *const names[] = {"pcall", "xpcall", "dofile"};
  int function = lua_gettop(L);
  bool can = false;
  luaL_checkstack(L, 8, NULL);
  if (lua_getupvalue(L, function, 1) != NULL && lua_touserdata(L, -1) == eddy__runtime_find(L)) {
    eddy__arg_name_of(L, function);
    const char *name = lua_tostring(L, -1); /* a queue cannot be suspended while it calls keys and comparisons */
    can = name == NULL || (strncmp(name, "put", 3) != 0 && strncmp(name, "get", 3) != 0);
  }
  lua_settop(L, function);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_GNAME);
  for (size_t i = 0; lua_istable(L, -1) && i < sizeof names / sizeof *names; i++) {
    lua_getfield(L, -1, names[i]);
    can = can || lua_rawequal(L, -1, function);
    lua_pop(L, 1);
  }
  lua_settop(L, function);
  return can;
}

/* Why the running code cannot be suspended.   [-0, +0, v] */
static eddy__task *complain(lua_State *L, eddy__runtime *rt, const char *name) {
  if (rt->current == NULL && rt->loop == NULL)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' needs a running task; start one with eddy.run(f)",
                      name);
  if (rt->current == NULL)
    eddy__error_throw(L, EDDY_E_RUNTIME,
                      "'%s' needs a running task; a callback of the loop cannot wait: let it start a "
                      "task with eddy.create_task(f)",
                      name);
  lua_Debug ar;
  for (int level = 1; !lua_isyieldable(L) && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Snf", &ar);
    if (strcmp(ar.what, "C") == 0 && !can_be_suspended(L))
      eddy__error_throw(L, EDDY_E_RUNTIME,
                        "'%s' cannot wait here: it is called from within '%s', a C function that "
                        "cannot be suspended",
                        name, push_function_name(L, ar.name));
    lua_pop(L, 1);
  }
  if (rt->leaf != L)
    eddy__error_throw(L, EDDY_E_RUNTIME,
                      "'%s' cannot wait in a coroutine that was resumed by Lua's own coroutine "
                      "functions: resume it with eddy.coroutine, which has the same functions, or call "
                      "eddy.coroutine.install()",
                      name);
  eddy__error_throw(L, EDDY_E_RUNTIME,
                    "'%s' cannot wait here: a metamethod, hook or finalizer runs that cannot be "
                    "suspended",
                    name);
  return NULL;
}

/* [-0, +0, v] */
eddy__task *eddy__running_slowly(lua_State *L, const char *name) {
  eddy__runtime *rt = eddy__runtime_of(L);
  eddy__task *task = rt->current;
  if (task == NULL || rt->leaf != L || !lua_isyieldable(L)) return complain(L, rt, name);
  leave_wait(task);
  if (L != task->co) { /* kept, in case a script closes the coroutine around it: see task->at */
    eddy__task_push(L, task);
    lua_pushthread(L);
    eddy__future_set_extra(L, -2, EDDY_EX_AT);
    lua_pop(L, 1);
  }
  return task;
}

bool eddy__may_wait(lua_State *L, const eddy__loop *loop) {
  eddy__runtime *rt = loop->rt;
  return rt->current != NULL && rt->leaf == L && lua_isyieldable(L) && rt->current->future.loop == loop;
}

/* Every suspended function goes on here. A script can get hold of a task's thread (coroutine.running) and resume it:
 * then nothing was woken, and it is suspended again. */
static int k_resumed(lua_State *L, int status, lua_KContext ctx) {
  eddy__runtime *rt = (eddy__runtime *)ctx; /* not the task, which may be gone */
  eddy__task *task = rt->current;
  if (task == NULL || rt->leaf != L || task->at != L || task->phase != EDDY_T_RUNNING) {
    rt->refused = rt->has_refused = true;
    return lua_yieldk(L, 0, ctx, k_resumed);
  }
  task->at = NULL;
  if (rt->has_refused) lua_settop(L, task->top); /* what it was resumed with */
  if (L != task->co) { /* it is kept no longer than it waits */
    eddy__task_push(L, task);
    eddy__future_extras(L, -1);
    lua_pushnil(L);
    lua_rawseti(L, -2, EDDY_EX_AT);
    lua_pop(L, 2);
  }
  return task->k(L, status, (lua_KContext)task);
}

/* Notes where the task stops.   [-0, +0, -] */
static void stop_at(lua_State *L, eddy__task *task, lua_KFunction k) {
  task->at = L;
  task->k = k;
  task->top = lua_gettop(L);
  task->wake = EDDY_WAKE_NORMAL;
}

/* [-0, +0, y] */
int eddy__suspend(lua_State *L, eddy__task *task, const eddy__wait *wait, lua_KFunction k) {
  stop_at(L, task, k);
  task->wait = wait;
  task->phase = EDDY_T_WAITING;
  if (task->must_cancel) eddy__cancel_now(L, task);
  return lua_yieldk(L, 0, (lua_KContext)task->future.loop->rt, k_resumed);
}

/* [-0, +0, y] */
int eddy__give_way(lua_State *L, eddy__task *task, lua_KFunction k) {
  stop_at(L, task, k);
  task->phase = EDDY_T_READY; /* a cancellation from now on finds it ready; one from before, must_cancel */
  eddy__loop_ready(task->future.loop, &task->ready);
  return lua_yieldk(L, 0, (lua_KContext)task->future.loop->rt, k_resumed);
}

bool eddy__task_wake(eddy__task *task, int why) {
  if (task->phase == EDDY_T_WAITING) {
    task->phase = EDDY_T_READY;
    task->wake = (uint8_t)why;
    task->wait = NULL;
    eddy__loop_ready(task->future.loop, &task->ready);
    return true;
  }
  if (task->phase != EDDY_T_PASSING || task->wait == NULL) return false;
  task->wake = (uint8_t)why; /* it stands on a list of eddy__cancel, which makes it ready when it gets there */
  task->wait = NULL;
  return true;
}

/* [-0, +(0|1), m] */
bool eddy__wake_take(lua_State *L, eddy__task *task) {
  if (!eddy__wake_cancelled(task)) return false;
  task->must_cancel = false;
  task->wake = EDDY_WAKE_NORMAL;
  if (task->has_message) {
    eddy__task_push(L, task);
    lua_getiuservalue(L, -1, EDDY_UV_VALUE);
    lua_replace(L, -2);
  } else {
    lua_pushnil(L);
  }
  if (lua_isnil(L, -1)) eddy__error_wrap(L, EDDY_E_CANCELLED); /* of the nil: no message */
  return true;
}

static void on_due(eddy__timer *t) {
  eddy__task_wake(eddy__container_of(t, eddy__task, timer), EDDY_WAKE_NORMAL);
}

/* [-0, +0, v] */
void eddy__task_deadline(lua_State *L, eddy__task *task, uint64_t deadline) {
  int rc = eddy__timer_start(&task->future.loop->timers, &task->timer, deadline, on_due);
  if (rc < 0) luaL_error(L, "not enough memory");
}

/* --- names, places, tracebacks ----------------------------------------------------------------------- */

/* [-0, +1, m] */
void eddy__task_name(lua_State *L, eddy__task *task, int idx) {
  eddy__future_extra(L, idx, EDDY_EX_NAME);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_pushfstring(L, "Task-%I", (LUAI_UACINT)task->id);
}

/* [-0, +1, m] */
void eddy__task_place(lua_State *L, eddy__task *task) {
  lua_Debug ar;
  if (task->phase != EDDY_T_NEW && task->phase != EDDY_T_ENDED) {
    lua_State *at = task->phase == EDDY_T_RUNNING ? task->future.loop->rt->leaf : task->at;
    for (int level = 0; at != NULL && lua_getstack(at, level, &ar); level++) {
      lua_getinfo(at, "Sl", &ar);
      if (ar.currentline <= 0) continue;
      lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushnil(L);
}

/* [-1, +1, m] */
int eddy__task_msgh(lua_State *L) {
  lua_settop(L, 1);
  eddy__runtime *rt = eddy__runtime_find(L);
  eddy__task *task = rt->current;
  if (task == NULL || rt->leaf != L || eddy__error_is(L, 1, EDDY_E_CANCELLED)) return 1;
  eddy__task_push(L, task);
  eddy__future_extra(L, 2, EDDY_EX_RAISED);
  eddy__future_extra(L, 2, EDDY_EX_TRACEBACK);
  bool noted = !lua_isnil(L, 4) && lua_rawequal(L, 1, 3); /* by a handler further in, with more frames */
  lua_settop(L, 2);
  if (!noted) {
    if (L == task->co)
      luaL_traceback(L, L, NULL, 1);
    else
      eddy__stack_push_traceback(L, task, 1);
    eddy__future_set_extra(L, 2, EDDY_EX_TRACEBACK);
    lua_pushvalue(L, 1);
    eddy__future_set_extra(L, 2, EDDY_EX_RAISED);
  }
  lua_settop(L, 1);
  return 1;
}

/* --- what Lua calls ---------------------------------------------------------------------------------- */

/* Lets the loop's task factory make the task: factory(loop, f, ...).   [-n, +1, v] */
static eddy__task *ask_factory(lua_State *L, eddy__loop *loop, int idx) {
  int n = lua_gettop(L) - idx + 1;
  luaL_checkstack(L, 4, NULL);
  eddy__loop_push_table(L, loop);
  lua_getfield(L, -1, "factory");
  lua_insert(L, idx);
  lua_pop(L, 1);
  eddy__loop_push(L, loop);
  lua_insert(L, idx + 1);
  loop->has_factory = false; /* what it calls makes tasks the usual way */
  int rc = lua_pcall(L, n + 1, 1, 0);
  loop->has_factory = true;
  if (rc != LUA_OK) lua_error(L);
  eddy__task *task = eddy__object_test(L, idx, &eddy__type_task);
  if (task == NULL || eddy__future_loop(&task->future) != loop)
    eddy__error_throw(L, EDDY_E_RUNTIME, "the task factory must return a Task of its loop");
  return task;
}

/* What is at idx is no function. Returns the task made of it, or NULL if it is an object that can be called.
 *   [-n, +1, v] or [-0, +0, v] */
static eddy__task *create_of(lua_State *L, eddy__loop *loop, int idx) {
  if (eddy__future_test(L, idx) != NULL)
    eddy__arg_error(L, idx, "function or Coroutine expected, got a Task or Future, which runs already");
  if (eddy__object_test(L, idx, &eddy__type_coroutine) != NULL) {
    eddy__coroutine_check(L, idx);
  } else if (!eddy__awaitable(L, idx)) {
    if (luaL_getmetafield(L, idx, "__call") != LUA_TFUNCTION) eddy__awaitable_check(L, idx);
    lua_pop(L, 1);
    return NULL;
  }
  lua_settop(L, idx);
  eddy__task_ensure(L, loop, idx);
  lua_replace(L, idx);
  return lua_touserdata(L, idx);
}

/* [-n, +1, v] */
eddy__task *eddy__task_create(lua_State *L, eddy__loop *loop, int idx) {
  if (loop->has_factory) return ask_factory(L, loop, idx);
  if (!lua_isfunction(L, idx)) {
    eddy__task *task = create_of(L, loop, idx);
    if (task != NULL) return task;
  }
  if (!loop->is_open || loop->is_closing)
    eddy__error_throw(L, EDDY_E_RUNTIME, "the loop is closed");
  eddy__coroutine_unwrap(L, idx);
  return eddy__task_spawn(L, loop, lua_gettop(L) - idx);
}

/* eddy.create_task(f_or_coro, ...) -> Task   [-0, +1, v] */
static int l_create_task(lua_State *L) {
  eddy__loop *loop = eddy__loop_running(L, "create_task");
  if (lua_isnone(L, 1)) eddy__awaitable_check(L, 1);
  eddy__task_create(L, loop, 1);
  return 1;
}

/* eddy.current_task() -> Task, or nil outside one   [-0, +1, -] */
static int l_current_task(lua_State *L) {
  eddy__task *task = eddy__runtime_of(L)->current;
  if (task == NULL) return 0;
  eddy__task_push(L, task);
  return 1;
}

/* [-0, +0, v] */
static eddy__task *check(lua_State *L, int arg) {
  eddy__task *task = eddy__object_test(L, arg, &eddy__type_task);
  if (task == NULL) eddy__arg_expected(L, arg, "Task");
  return task;
}

/* task:get_name(), task:set_name(s) -> task   [-0, +1, v] */
static int l_get_name(lua_State *L) {
  eddy__task_name(L, check(L, 1), 1);
  return 1;
}

static int l_set_name(lua_State *L) {
  check(L, 1);
  if (lua_type(L, 2) != LUA_TSTRING) return eddy__arg_expected(L, 2, "string");
  lua_settop(L, 2);
  eddy__future_set_extra(L, 1, EDDY_EX_NAME);
  return 1;
}

/* task:cancelling() -> how many requests   [-0, +1, v] */
static int l_cancelling(lua_State *L) {
  lua_pushinteger(L, check(L, 1)->cancelling);
  return 1;
}

/* task:uncancel() -> how many are left   [-0, +1, v] */
static int l_uncancel(lua_State *L) {
  lua_pushinteger(L, eddy__uncancel(check(L, 1)));
  return 1;
}

/* task:get_coro() -> the Coroutine or function that it runs; nil when that was not kept   [-0, +1, v] */
static int l_get_coro(lua_State *L) {
  check(L, 1);
  eddy__future_extra(L, 1, EDDY_EX_BODY);
  return 1;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__task *task = check(L, 1);
  eddy__task_name(L, task, 1);
  const char *name = lua_tostring(L, -1);
  const eddy__wait *wait = task->wait; /* a place may collect garbage, but no task runs meanwhile */
  if (task->future.state == EDDY_F_FAILED) {
    lua_getiuservalue(L, 1, EDDY_UV_VALUE);
    lua_pushfstring(L, "<Task '%s' failed: %s>", name, eddy__error_text(L, -1));
  } else if (task->future.state != EDDY_F_PENDING) {
    lua_pushfstring(L, "<Task '%s' %s>", name,
                    task->future.state == EDDY_F_DONE ? "finished" : "cancelled");
  } else if (task->phase == EDDY_T_RUNNING) {
    lua_pushfstring(L, "<Task '%s' running>", name);
  } else {
    eddy__task_place(L, task);
    const char *place = lua_tostring(L, -1);
    if (wait != NULL)
      lua_pushfstring(L, "<Task '%s' pending, waiting in %s%s%s>", name, wait->name,
                      place != NULL ? " at " : "", place != NULL ? place : "");
    else
      lua_pushfstring(L, "<Task '%s' pending%s%s>", name, place != NULL ? " at " : "",
                      place != NULL ? place : "");
  }
  return 1;
}

/* [-0, +0, m] */
void eddy__task_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"get_name", l_get_name},
                                     {"set_name", l_set_name},
                                     {"cancelling", l_cancelling},
                                     {"uncancel", l_uncancel},
                                     {"get_coro", l_get_coro},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"create_task", l_create_task}, {"current_task", l_current_task}, {NULL, NULL}};
  eddy__object_type(L, &eddy__type_task, &eddy__type_future, methods, meta, lua_gettop(L) - 1);
  if (rt->task_meta == 0)
    rt->task_meta = luaL_ref(L, LUA_REGISTRYINDEX);
  else
    lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
