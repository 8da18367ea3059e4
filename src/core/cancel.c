/* SPDX-License-Identifier: MIT */
/*
 * cancel.c - how a request to stop reaches a task; timeout scopes, move_on_after, shield, eddy.pcall; see cancel.h.
 * Touch:  ask() with care: it is the whole of asyncio's Task.cancel.
 */
#include "core/cancel.h"

#include <lauxlib.h>
#include <math.h>

#include "base/args.h"
#include "base/error.h"
#include "core/coroutine.h"
#include "core/wait.h"

/* --- requests ---------------------------------------------------------------------------------------- */

/* The CancelledError that the task will raise is its user value meanwhile.   [-0, +0, -] */
static void set_error(eddy__cancelling *c, eddy__task *task) {
  if (c->err == 0 && !task->has_message) return;
  task->has_message = true;
  eddy__task_push(c->L, task);
  if (c->err != 0)
    lua_pushvalue(c->L, c->err);
  else
    lua_pushnil(c->L);
  lua_setiuservalue(c->L, -2, EDDY_UV_VALUE);
  lua_pop(c->L, 1);
}

/* While rings are looked for, the `wake` of a task that nobody has woken tells how far that is. */
enum { FRESH = EDDY_WAKE_NORMAL, ON_PATH = EDDY_WAKE_CANCEL + 1, DONE };

/* Notes a task that has passed the request on, and of whom it is not known that it will end. */
static void look(eddy__cancelling *c, eddy__future *f) {
  eddy__task *task = (eddy__task *)f;
  if (!f->is_task || task->phase != EDDY_T_PASSING || task->wait == NULL) return;
  if (task->wake == FRESH) c->fresh = task;
  if (task->wake == ON_PATH) c->on_path = task;
}

/* Asks one future; a task that waits is put on the list.   [-0, +0, -] */
static bool ask(eddy__cancelling *c, eddy__future *f, int idx) {
  if (!eddy__future_pending(f)) return false;
  if (c->probing) {
    look(c, f);
    return true;
  }
  if (!f->is_task) {
    eddy__future_cancelled(c->L, f, idx, c->err);
    return true;
  }
  eddy__task *task = (eddy__task *)f;
  task->cancelling++;
  if (task->phase == EDDY_T_WAITING) {
    task->phase = EDDY_T_PASSING;
    task->ready.next = NULL; /* it is not in the ready queue, so its place there serves for this list */
    *c->last = &task->ready;
    c->last = &task->ready.next;
    set_error(c, task);
  } else if (task->phase != EDDY_T_PASSING) { /* new, ready or running: at its next step or suspension */
    if (task->wake == EDDY_WAKE_CANCEL) return true;
    task->must_cancel = true;
    set_error(c, task);
  } else {
    c->came_back = true;
  }
  return true;
}

/* It was asked; it stays on this list until everybody was, so that nobody is asked twice. */
static void put_aside(eddy__cancelling *c, eddy__task *task) {
  task->ready.next = NULL;
  *c->last_asked = &task->ready;
  c->last_asked = &task->ready.next;
}

/* Goes from a task to those it waits for, and on, as long as they have passed the request on. Whoever leads back to
 * itself is in a ring, and is woken with the CancelledError itself. */
static void follow(eddy__cancelling *c, eddy__task *task) {
  task->via = NULL;
  task->wake = ON_PATH;
  while (task != NULL) {
    c->fresh = c->on_path = NULL;
    if (task->wait != NULL) task->wait->cancel(task, c);
    if (c->on_path != NULL) {
      eddy__cancel_wait(c->on_path);
    } else if (c->fresh != NULL) {
      c->fresh->via = task;
      c->fresh->wake = ON_PATH;
      task = c->fresh;
    } else {
      if (task->wait != NULL) task->wake = DONE;
      task = task->via;
    }
  }
}

/* Turns the list of those that were asked round: whoever passes it on mostly stands before those it is passed to. */
static void reverse(eddy__cancelling *c) {
  eddy__ready *back = NULL;
  for (eddy__ready *r = c->asked, *next; r != NULL; r = next) {
    next = r->next;
    r->next = back;
    back = r;
  }
  c->asked = back;
}

/* Tasks that wait for each other, and for nobody else, would wait for ever: one in each ring is woken. */
static void break_rings(eddy__cancelling *c) {
  c->probing = true;
  reverse(c);
  for (eddy__ready *r = c->asked; r != NULL; r = r->next) {
    eddy__task *task = eddy__container_of(r, eddy__task, ready);
    if (task->wait != NULL && task->wake == FRESH) follow(c, task);
  }
  reverse(c);
}

/* Asks the waits of those on the list, which may put others there; then those that were woken are ready.
 *   [-0, +0, -] */
void eddy__cancel_finish(eddy__cancelling *c) {
  while (c->first != NULL) {
    eddy__task *task = eddy__container_of(c->first, eddy__task, ready);
    c->first = task->ready.next;
    if (c->first == NULL) c->last = &c->first;
    if (task->wait == NULL) { /* what it waited for has settled meanwhile: both in one turn, so the cancellation wins */
      if (task->wake != EDDY_WAKE_CANCEL) task->must_cancel = true;
    } else if (lua_status(task->at) != LUA_YIELD) { /* a script has closed its coroutine: it finds out when it runs */
      eddy__cancel_wait(task);
    } else {
      task->wait->cancel(task, c);
    }
    put_aside(c, task);
  }
  if (c->came_back) break_rings(c);
  for (eddy__ready *r = c->asked, *next; r != NULL; r = next) {
    eddy__task *task = eddy__container_of(r, eddy__task, ready);
    next = r->next;
    task->phase = task->wait != NULL ? EDDY_T_WAITING : EDDY_T_READY;
    if (task->wait == NULL)
      eddy__loop_ready(task->future.loop, r);
    else
      task->wake = EDDY_WAKE_NORMAL;
  }
}

void eddy__cancel_begin(eddy__cancelling *c, lua_State *L, int err) {
  c->L = L;
  c->err = err;
  c->first = c->asked = NULL;
  c->came_back = c->probing = false;
  c->fresh = c->on_path = NULL;
  c->last = &c->first;
  c->last_asked = &c->asked;
}

/* [-0, +0, -] */
bool eddy__cancel(lua_State *L, eddy__future *f, int idx, int err) {
  eddy__cancelling c;
  eddy__cancel_begin(&c, L, err);
  bool asked = ask(&c, f, idx);
  eddy__cancel_finish(&c);
  return asked;
}

/* [-0, +0, -] */
void eddy__cancel_now(lua_State *L, eddy__task *task) {
  eddy__cancelling c;
  eddy__cancel_begin(&c, L, 0);
  eddy__task_push(L, task);
  if (lua_getiuservalue(L, -1, EDDY_UV_VALUE) != LUA_TNIL) c.err = lua_gettop(L);
  task->must_cancel = false;
  task->phase = EDDY_T_PASSING;
  task->wait->cancel(task, &c);
  put_aside(&c, task);
  eddy__cancel_finish(&c);
  lua_pop(L, 2);
}

bool eddy__cancel_pass(eddy__cancelling *c, eddy__future *f, int idx) { return ask(c, f, idx); }

/* [-0, +1, m] */
void eddy__cancelled_push(lua_State *L, const eddy__runtime *rt) {
  lua_createtable(L, 0, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, rt->cancelled_class);
  lua_setmetatable(L, -2);
}

/* [-0, +0, -] */
bool eddy__cancelled_is(lua_State *L, const eddy__runtime *rt, int idx) {
  if (!lua_getmetatable(L, idx)) return false;
  const void *class = lua_topointer(L, -1);
  lua_pop(L, 1);
  return class == rt->cancelled || eddy__error_is(L, idx, EDDY_E_CANCELLED);
}

int eddy__uncancel(eddy__task *task) {
  if (task->cancelling > 0 && --task->cancelling == 0) task->must_cancel = false;
  return task->cancelling;
}

/* A continuation for calls whose results are the caller's.   [-0, +n, -] */
int eddy__k_return(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return lua_gettop(L) - (int)ctx;
}

/* --- timeout scopes ---------------------------------------------------------------------------------- */

static const eddy__type type_timeout = {"Timeout"};

enum { ACTIVE, EXPIRING, EXPIRED, EXITED };

struct eddy__timeout {
  eddy__timer timer;
  eddy__task *task;     /* NULL when it was closed, or the task has ended */
  eddy__timeout *outer; /* the next in task->scopes */
  int slot;             /* what keeps it alive until then: with a finalizer it would cost twice as much */
  int state;
  bool is_frame;  /* a function of ours holds it, and no script: only that frame's end closes it */
  int cancelling; /* of the task when the scope began: more at its end means that somebody else cancels it too */
  uint64_t deadline;
};

/* [-0, +0, -] */
static void on_expired(eddy__timer *timer) {
  eddy__timeout *t = eddy__container_of(timer, eddy__timeout, timer);
  t->state = EXPIRING;
  eddy__cancel(t->task->future.loop->rt->L, &t->task->future, 0, 0);
}

/* [-0, +1, m] */
eddy__timeout *eddy__timeout_push(lua_State *L, eddy__task *task, uint64_t deadline) {
  eddy__runtime *rt = task->future.loop->rt;
  eddy__timeout *t = eddy__object_make(L, &type_timeout, rt->timeout_meta, sizeof *t, 0);
  t->slot = eddy__runtime_keep(L, rt, -1);
  if (eddy__timer_start(&task->future.loop->timers, &t->timer, deadline, on_expired) < 0) {
    eddy__runtime_drop(rt, t->slot);
    luaL_error(L, "not enough memory");
  }
  t->cancelling = task->cancelling - task->must_cancel; /* one that is still to come is not the scope's to take */
  t->deadline = deadline;
  t->task = task;
  t->outer = task->scopes;
  task->scopes = t;
  return t;
}

/* It has nothing to do with its task any more; a script may still hold it.   [-0, +0, -] */
static void detach(eddy__timeout *t) {
  eddy__task *task = t->task;
  if (task == NULL) return;
  eddy__timeout **place = &task->scopes;
  while (*place != t) place = &(*place)->outer; /* the first one, as scopes are nested */
  *place = t->outer;
  t->task = NULL;
  eddy__timer_stop(&task->future.loop->timers, &t->timer);
  eddy__runtime_drop(task->future.loop->rt, t->slot);
}

/* [-0, +0, m] */
void eddy__timeout_hold(lua_State *L) {
  ((eddy__timeout *)lua_touserdata(L, 1))->is_frame = true;
  lua_toclose(L, 1);
}

void eddy__timeouts_leave(eddy__task *task) {
  while (task->scopes != NULL) detach(task->scopes);
}

bool eddy__timeouts_expire(const eddy__task *task) {
  for (const eddy__timeout *t = task->scopes; t != NULL; t = t->outer)
    if (t->state == EXPIRING) return true;
  return false;
}

/* The argument is the address of a task that is anchored.   [-1, +0, m] */
static int warn_forgotten(lua_State *L) {
  eddy__task *task = lua_touserdata(L, 1);
  eddy__task_push(L, task);
  eddy__task_name(L, task, -1);
  lua_pushfstring(L, "RuntimeWarning: task '%s' has ended in a timeout that was never closed; ",
                  lua_tostring(L, -1));
  lua_warning(L, lua_tostring(L, -1), 1);
  lua_warning(L, "write: local t <close> = eddy.timeout(seconds)", 0);
  return 0;
}

void eddy__timeouts_forgotten(eddy__task *task) {
  eddy__runtime *rt = task->future.loop->rt;
  if (eddy__runtime_pcall(rt, warn_forgotten, task) != LUA_OK) lua_pop(rt->L, 1);
  eddy__timeouts_leave(task);
}

/* [-0, +0, -] */
bool eddy__timeout_end(lua_State *L, eddy__timeout *t, int err) {
  eddy__task *task = t->task;
  detach(t);
  if (t->state == ACTIVE) t->state = EXITED;
  if (t->state != EXPIRING) return false;
  t->state = EXPIRED;
  return task != NULL && eddy__uncancel(task) <= t->cancelling && err != 0 &&
         eddy__error_is(L, err, EDDY_E_CANCELLED);
}

/* [-0, +0, v] */
static int raise_timeout(lua_State *L, int cause) {
  lua_pushnil(L);
  eddy__error_wrap(L, EDDY_E_TIMEOUT);
  lua_pushvalue(L, cause);
  lua_setfield(L, -2, "cause");
  return lua_error(L);
}

/* The scope ends, with an error or nil.   [-0, +0, v] */
static int l_timeout_close(lua_State *L) {
  eddy__timeout *t = eddy__object_check(L, 1, &type_timeout);
  lua_settop(L, 2);
  if (t->task != NULL && eddy__runtime_of(L)->current != t->task && !t->is_frame)
    eddy__error_throw(L, EDDY_E_RUNTIME, "a timeout can only be closed by the task that opened it");
  if (eddy__timeout_end(L, t, lua_isnil(L, 2) ? 0 : 2)) return raise_timeout(L, 2);
  return 0;
}

/* A time of the loop's clock as a deadline; nil is never.   [-0, +0, v] */
static uint64_t check_when(lua_State *L, int arg) {
  return eddy__clock_length(eddy__opt_seconds(L, arg));
}

/* Runs f(...) in a scope: 1: f, then its arguments; the scope goes below.   [-n, +m, y] */
static int run_in_scope(lua_State *L, eddy__task *task, uint64_t deadline) {
  int n = lua_gettop(L) - 1;
  eddy__coroutine_unwrap(L, 1);
  eddy__timeout_push(L, task, deadline);
  lua_insert(L, 1);
  eddy__timeout_hold(L);
  lua_callk(L, n, LUA_MULTRET, 1, eddy__k_return);
  return eddy__k_return(L, LUA_OK, 1);
}

/* A scope, or, when there is a function behind the time at 1, its results in one.   [-0, +n, y] */
static int scope_or_run(lua_State *L, eddy__task *task, uint64_t deadline) {
  if (lua_isnoneornil(L, 2)) {
    eddy__timeout_push(L, task, deadline);
    return 1;
  }
  lua_remove(L, 1);
  return run_in_scope(L, task, deadline);
}

/* eddy.timeout(seconds [, f, ...]) -> scope, or f's results   [-0, +n, y] */
static int l_timeout(lua_State *L) {
  lua_Number seconds = eddy__opt_seconds(L, 1);
  if (!lua_isnoneornil(L, 2)) eddy__check_function(L, 2);
  eddy__task *task = eddy__running(L, "timeout");
  uint64_t deadline = eddy__clock_after(&task->future.loop->clock, seconds);
  return scope_or_run(L, task, deadline);
}

/* eddy.timeout_at(when [, f, ...])   [-0, +n, y] */
static int l_timeout_at(lua_State *L) {
  uint64_t deadline = check_when(L, 1);
  if (!lua_isnoneornil(L, 2)) eddy__check_function(L, 2);
  eddy__task *task = eddy__running(L, "timeout_at");
  return scope_or_run(L, task, deadline);
}

/* scope:when() -> deadline, or nil   [-0, +1, v] */
static int l_when(lua_State *L) {
  eddy__timeout *t = eddy__object_check(L, 1, &type_timeout);
  if (t->deadline == EDDY_NEVER) return 0;
  lua_pushnumber(L, eddy__clock_seconds(t->deadline));
  return 1;
}

/* scope:reschedule(when)   [-0, +0, v] */
static int l_reschedule(lua_State *L) {
  static const char *const states[] = {"active", "expiring", "expired", "finished"};
  eddy__timeout *t = eddy__object_check(L, 1, &type_timeout);
  uint64_t deadline = check_when(L, 2);
  if (t->state != ACTIVE || t->task == NULL)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'reschedule': the timeout is %s",
                      t->state == ACTIVE ? "closed, as its task has ended" : states[t->state]);
  if (eddy__timer_start(&t->task->future.loop->timers, &t->timer, deadline, on_expired) < 0)
    luaL_error(L, "not enough memory");
  t->deadline = deadline;
  return 0;
}

/* scope:expired() -> whether its time has run out   [-0, +1, v] */
static int l_expired(lua_State *L) {
  eddy__timeout *t = eddy__object_check(L, 1, &type_timeout);
  lua_pushboolean(L, t->state == EXPIRING || t->state == EXPIRED);
  return 1;
}

/* [-0, +1, v] */
static int l_timeout_tostring(lua_State *L) {
  static const char *const states[] = {"active", "expiring", "expired", "finished"};
  eddy__timeout *t = eddy__object_check(L, 1, &type_timeout);
  if (t->state == ACTIVE && t->deadline != EDDY_NEVER)
    lua_pushfstring(L, "<Timeout active, when=%f>", (LUAI_UACNUMBER)eddy__clock_seconds(t->deadline));
  else
    lua_pushfstring(L, "<Timeout %s>", states[t->state]);
  return 1;
}

/* 1: the scope, 2: the message handler, then f's results or its error. */
static int k_move_on(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  eddy__timeout *t = lua_touserdata(L, 1);
  bool failed = status != LUA_OK && status != LUA_YIELD;
  bool ran_out = eddy__timeout_end(L, t, failed ? lua_gettop(L) : 0);
  if (failed && !ran_out) return lua_error(L);
  lua_pushboolean(L, !ran_out);
  if (ran_out) return 1;
  lua_replace(L, 2);
  return lua_gettop(L) - 1;
}

/* eddy.move_on_after(seconds, f, ...) -> true, results; or false   [-0, +n, y] */
static int l_move_on_after(lua_State *L) {
  lua_Number seconds = eddy__opt_seconds(L, 1);
  eddy__check_function(L, 2);
  eddy__coroutine_unwrap(L, 2);
  eddy__task *task = eddy__running(L, "move_on_after");
  int n = lua_gettop(L) - 2;
  eddy__timeout_push(L, task, eddy__clock_after(&task->future.loop->clock, seconds));
  lua_replace(L, 1);
  eddy__timeout_hold(L);
  lua_pushcfunction(L, eddy__task_msgh);
  lua_insert(L, 2);
  return k_move_on(L, lua_pcallk(L, n, LUA_MULTRET, 2, 0, k_move_on), 0);
}

/* --- eddy.pcall -------------------------------------------------------------------------------------- */

static int k_pcall(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  bool failed = status != LUA_OK && status != LUA_YIELD;
  if (failed && eddy__cancelled_is(L, eddy__runtime_of(L), -1)) return lua_error(L);
  if (failed) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  return lua_gettop(L); /* the `true` that was put under the function, and its results */
}

/* eddy.pcall(f, ...): pcall that lets CancelledError through   [-0, +n, y] */
static int l_pcall(lua_State *L) {
  eddy__arg_any(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  return k_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, k_pcall), 0);
}

/* --- shield ------------------------------------------------------------------------------------------ */

static void cancel_shield(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__list_remove(&task->waiter.link);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_shield = {"shield", cancel_shield, true};

static void on_settled(eddy__waiter *w, eddy__future *f) { eddy__task_wake_from(w->owner, f); }

static int k_shield(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__future *f = lua_touserdata(L, 2);
  if (f->state != EDDY_F_CANCELLED) eddy__wake_check(L, (eddy__task *)ctx);
  eddy__wake_settle((eddy__task *)ctx);
  return eddy__future_results(L, f, 2);
}

/* eddy.shield(aw) -> results   [-0, +n, y] */
static int l_shield(lua_State *L) {
  eddy__awaitable_check(L, 1);
  eddy__task *task = eddy__running(L, "shield");
  lua_settop(L, 1);
  eddy__future *f = eddy__task_ensure(L, task->future.loop, 1);
  if (!eddy__future_pending(f)) return eddy__future_results(L, f, 2);
  eddy__wait_for_future_check(L, task, f);
  task->waiter.on_settled = on_settled;
  task->waiter.owner = task;
  task->waits_for = f;
  eddy__future_watch(f, &task->waiter);
  return eddy__suspend(L, task, &wait_shield, k_shield);
}

/* [-0, +0, m] */
void eddy__cancel_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {
    {"when", l_when}, {"reschedule", l_reschedule}, {"expired", l_expired}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", l_timeout_close},
                                  {"__tostring", l_timeout_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"timeout", l_timeout},
                                       {"timeout_at", l_timeout_at},
                                       {"move_on_after", l_move_on_after},
                                       {"pcall", l_pcall},
                                       {"shield", l_shield},
                                       {NULL, NULL}};
  eddy__object_type(L, &type_timeout, NULL, methods, meta, lua_gettop(L) - 1);
  if (rt->timeout_meta == 0)
    rt->timeout_meta = luaL_ref(L, LUA_REGISTRYINDEX);
  else
    lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
  if (rt->cancelled_class != 0) return;
  eddy__error_class_push(L, EDDY_E_CANCELLED);
  rt->cancelled = lua_topointer(L, -1);
  rt->cancelled_class = luaL_ref(L, LUA_REGISTRYINDEX);
}
