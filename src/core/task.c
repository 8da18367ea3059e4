/* SPDX-License-Identifier: MIT */
/*
 * task.c - a coroutine the loop drives; see task.h.
 * Owns:   the coroutines of the pool; step(), the only caller of lua_resume for tasks.
 * Uses:   base/, future.h, cancel.h, report.h.      Used by: all that waits.
 * Touch:  with care: docs/internals/suspend-wake-cancel.md.
 *
 * The stack of a coroutine of the pool: at 1, for good, l_body; above it, while it has a task, a copy of that with its
 * arguments: the task, the message handler, the function and its arguments.
 */
#include "core/task.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/prefetch.h"
#include "core/cancel.h"
#include "core/context.h"
#include "core/coroutine.h"
#include "core/debug.h"
#include "core/group.h"
#include "core/interrupt.h"
#include "core/preempt.h"
#include "core/report.h"
#include "core/stack.h"

/* Idle coroutines (1 KiB each); what is above that is given back. A loop that closes leaves fewer: every collection of
 * all garbage looks at them, 0.6 ms for a thousand. */
enum { POOL_KEEPS = 16384, POOL_LEAVES = 1024 };
enum { FEW_ARGS = 3 };       /* a task with more has its coroutine from the start, to keep them there */

static int l_body(lua_State *L);

/* [-0, +1, -] */
void eddy__task_push(lua_State *L, eddy__task *task) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->slot);
}

/* --- the pool ---------------------------------------------------------------------------------------- */

/* Makes a coroutine, idle. Nothing that can fail is done on the new thread, which has nobody to catch its errors.
 *   [-0, +0, m] */
static void make_coroutine(lua_State *L, eddy__runtime *rt) {
  lua_State *co = lua_newthread(L);
  lua_pushcfunction(co, l_body); /* a new thread has room for it, and it takes no memory */
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

/* [-0, +0, -] */
void eddy__task_trim(eddy__runtime *rt) {
  while (rt->nidle > POOL_LEAVES) eddy__runtime_drop(rt, rt->idle[--rt->nidle].slot);
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

void eddy__task_prefetch(const eddy__ready *r) {
  const char *task = (const char *)r;
  EDDY_PREFETCH(task - 128); /* before it stands what Lua keeps of a userdata */
  EDDY_PREFETCH(task - 64);
  EDDY_PREFETCH(task);
  EDDY_PREFETCH(task + 64);
  EDDY_PREFETCH(task + 128);
}

void eddy__task_prefetch_coroutine(const eddy__ready *r) {
  if (!eddy__task_is(r)) return;
  const char *co = (const char *)eddy__container_of(r, eddy__task, ready)->co;
  EDDY_PREFETCH(co);
  EDDY_PREFETCH(co + 64);
  EDDY_PREFETCH(co + 128);
}

/* The frame of Lua's at a level of a task that waits, or NULL. */
static const char *frame_of(const eddy__ready *r, int level) {
  if (!eddy__task_is(r)) return NULL;
  lua_State *co = eddy__container_of(r, eddy__task, ready)->co;
  lua_Debug ar;
  return co != NULL && lua_getstack(co, level, &ar) ? (const char *)ar.i_ci : NULL;
}

void eddy__task_prefetch_frame(const eddy__ready *r) {
  const char *frame = frame_of(r, 0);
  if (frame != NULL) EDDY_PREFETCH(frame);
}

/* A frame begins with the address of its function's place on the stack. Were that not so, the hint would be lost. */
void eddy__task_prefetch_values(const eddy__ready *r) {
  enum { LINE = 64 };
  const char *frame = frame_of(r, 0), *function;
  if (frame == NULL) return;
  memcpy(&function, frame, sizeof function);
  EDDY_PREFETCH(function - 2 * LINE);
  EDDY_PREFETCH(function - LINE);
  EDDY_PREFETCH(function);
  frame = frame_of(r, 1);
  if (frame == NULL) return;
  EDDY_PREFETCH(frame);
  EDDY_PREFETCH(frame - LINE); /* usually the one below */
}

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
 * Numbers and booleans may stay: they keep nothing alive.   [-0, +0, -] */
static void fill_from_values(eddy__task *task) {
  lua_State *co = task->co;
  lua_pushvalue(co, 1);
  eddy__task_push(co, task);
  lua_pushcfunction(co, eddy__task_msgh);
  for (int i = 0; i <= task->nargs; i++) {
    int type = lua_getiuservalue(co, 3, EDDY_UV_START + i);
    if (type == LUA_TNUMBER || type == LUA_TBOOLEAN) continue;
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

/* [-0, +0, -] */
void eddy__task_leave_wait(eddy__task *task) {
  if (task->at != NULL) {
    task->left_wait = task->left_wait || !(task->preempted || task->is_linked);
    task->preempted = false;
    task->at = NULL;
  }
  eddy__list_remove(&task->waiter.link);
  if (task->timer.place != 0) eddy__task_deadline_off(task);
  task->waits_for = NULL;
}

/* It runs no more: takes it off the books; the caller settles it. */
static void end(eddy__task *task) {
  task->phase = EDDY_T_ENDED;
  eddy__list_remove(&task->live);
  eddy__task_leave_wait(task);
  task->future.loop->ntasks--;
  if (task->scopes != NULL) eddy__timeouts_forgotten(task);
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

/* The task got a foreign yield and nobody has told it: not even its hook.   [-0, +1, m] */
static void push_foreign_yield(lua_State *L) {
  eddy__error_push(L, EDDY_E_RUNTIME,
                   "a task was suspended by coroutine.yield, which nobody would ever resume; wait with "
                   "eddy's functions, or yield inside a coroutine that you resume yourself");
}

static int k_body(lua_State *L, int status, lua_KContext ctx);

/* It goes on, and k_body with it.   [-0, +0, y] */
static int k_late(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return k_body(L, (int)ctx, (lua_KContext)lua_touserdata(L, 1));
}

/* Whether a script runs this thread of a task that has given way to others; it waits then.   [-0, +0, -] */
static bool is_strange(lua_State *L, const eddy__task *task) {
  eddy__runtime *rt = task->future.loop->rt;
  if (!task->future.loop->preempts || (rt->current == task && rt->leaf == L)) return false;
  if (!lua_isyieldable(L)) return false;
  rt->refused = L;
  return true;
}

/* The function has returned or raised. 1: the task, 2: the message handler, then results or the error. */
static int k_body(lua_State *L, int status, lua_KContext ctx) {
  eddy__task *task = (eddy__task *)ctx;
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
  eddy__task *task = rt != NULL ? rt->current : NULL;
  if (task == NULL || task->co != L)
    eddy__error_throw(L, EDDY_E_RUNTIME, "the coroutine of a task cannot be resumed");
  if (task->future.loop->preempts) eddy__preempt_begin(task, L);
  lua_KContext ctx = (lua_KContext)task; /* it is at 1 */
  return k_body(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 2, ctx, k_body), ctx);
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
  if (task->co != NULL && lua_gettop(task->co) > 0) lua_settop(task->co, 1); /* 0: a script has closed it */
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
  if (task->phase != EDDY_T_NEW && lua_status(task->co) != LUA_YIELD) {
    die(task, LUA_OK); /* a script has closed it; lua_resume would raise, for memory, where nobody catches it */
    dead = true;
  } else if (task->phase != EDDY_T_NEW) {
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

/* [-0, +0, v] */
eddy__task *eddy__running_slowly(lua_State *L, const char *name) {
  eddy__runtime *rt = eddy__runtime_of(L);
  eddy__task *task = rt->current;
  if (task == NULL || rt->leaf != L || !lua_isyieldable(L)) return eddy__running_complain(L, rt, name);
  eddy__task_leave_wait(task);
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
    rt->refused = L;
    rt->has_refused = true;
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
static inline void stop_at(lua_State *L, eddy__task *task, bool is_linked, lua_KFunction k) {
  task->at = L;
  task->k = k;
  task->is_linked = is_linked;
  task->top = lua_gettop(L);
  task->wake = EDDY_WAKE_NORMAL;
}

/* [-0, +0, y] */
int eddy__suspend(lua_State *L, eddy__task *task, const eddy__wait *wait, lua_KFunction k) {
  stop_at(L, task, wait->is_linked, k);
  task->wait = wait;
  task->phase = EDDY_T_WAITING;
  if (task->must_cancel) eddy__cancel_now(L, task);
  return lua_yieldk(L, 0, (lua_KContext)task->future.loop->rt, k_resumed);
}

/* [-0, +0, y] */
int eddy__give_way_linked(lua_State *L, eddy__task *task, bool is_linked, lua_KFunction k) {
  stop_at(L, task, is_linked, k);
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
    bool has = lua_getiuservalue(L, -1, EDDY_UV_VALUE) != LUA_TNIL;
    lua_remove(L, -2);
    if (has) return true;
    lua_pop(L, 1);
  }
  eddy__cancelled_push(L, task->future.loop->rt);
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

/* --- tracebacks -------------------------------------------------------------------------------------- */

/* Whether the traceback that is noted is that of the error at 1: noted by a handler further in, with more frames, or
 * of the CancelledError that it comes of. The task is at 2.   [-0, +0, m] */
static bool is_noted(lua_State *L) {
  eddy__future_extra(L, 2, EDDY_EX_TRACEBACK);
  eddy__future_extra(L, 2, EDDY_EX_RAISED);
  bool is_it = !lua_isnil(L, 3) && lua_rawequal(L, 1, 4);
  if (!is_it && !lua_isnil(L, 3) && eddy__error_is(L, 1, EDDY_E_TIMEOUT)) {
    lua_pushliteral(L, "cause");
    lua_rawget(L, 1);
    is_it = lua_rawequal(L, 4, -1);
  }
  lua_settop(L, 2);
  return is_it;
}

/* A CancelledError has no traceback, as many tasks may be cancelled at once; but what is to become of it when time has
 * run out has one, and where that is raised the frames are gone.   [-1, +1, m] */
int eddy__task_msgh(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_here;
  if (rt == NULL || rt->leaf != L || rt->current == NULL) return 1;
  eddy__task *task = rt->current;
  if (eddy__cancelled_is(L, rt, 1) && !eddy__timeouts_expire(task)) return 1;
  lua_settop(L, 1);
  eddy__task_push(L, task);
  if (!is_noted(L)) {
    if (L == task->co)
      eddy__stack_traceback(L, L, 1);
    else
      eddy__stack_push_traceback(L, task, 1);
    eddy__future_set_extra(L, 2, EDDY_EX_TRACEBACK);
  }
  lua_pushvalue(L, 1);
  eddy__future_set_extra(L, 2, EDDY_EX_RAISED);
  lua_settop(L, 1);
  return 1;
}
