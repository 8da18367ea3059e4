/* SPDX-License-Identifier: MIT */
/*
 * call.c - a call that another Lua state makes for this one; see call.h. This is home's side.
 * Owns:   the spare boxes of a state, in its registry: a call that has ended well is used again, with its box.
 * Touch:  with care. A task that is cancelled has the call stopped and waits for its end, so that what the call does
 *         while it unwinds is done when the task goes on; but it does not wait for a C function that never looks.
 */
#include "threads/call.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "core/context.h"
#include "core/coroutine.h"
#include "core/wait.h"

static const eddy__type type_box = {"eddy.call"};

enum { TRIES = 6 };
enum { MOST_SPARE = 64 };
static const uint64_t PATIENCE_NS = 5000000; /* until a stop is asked for again; twice as long each time */
static const uint64_t GRACE_NS = 1010000000; /* the same when it was heard: a little more than code has to unwind */

static const char spare_key; /* registry: a list of spare boxes, rt->spare_calls of them; false from there on */

/* --- its life ----------------------------------------------------------------------------------------------------- */

void eddy__call_release(eddy__call *call) {
  if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) > 1) return;
  eddy__parcel_free(call->parcel);
  eddy__parcel_free(call->context);
  eddy__code_release(call->code);
  eddy__mailbox_release(call->home);
  if (call->other != NULL) call->release_other(call->other);
  free(call->text);
  free(call);
}

/* It is under way no more. */
static void arrive(eddy__call *call) {
  eddy__loop *loop = call->loop;
  if (loop != NULL && loop->generation == call->generation && loop->is_open) {
    loop->jobs--;
    if (call->is_urged) loop->urged--;
  }
  call->is_urged = false;
  call->loop = NULL;
}

static void on_home(eddy__mail *mail, eddy__loop *loop) {
  eddy__call *call = (eddy__call *)mail;
  if (loop == NULL) call->loop = NULL;
  arrive(call);
  call->is_done = true;
  eddy__task *task = eddy__task_first(&call->tasks);
  if (loop != NULL && task != NULL && task->waits_for == call)
    eddy__task_wake(task, call->was_asked ? EDDY_WAKE_CANCEL : EDDY_WAKE_NORMAL);
  eddy__call_release(call);
}

void eddy__call_return(eddy__call *call, int outcome) {
  call->outcome = outcome;
  if (!eddy__mailbox_post(call->home, &call->mail)) eddy__call_release(call);
}

void eddy__call_return_by(eddy__call *call, int outcome, eddy__mailbox **home) {
  call->outcome = outcome;
  if (*home != call->home) {
    if (*home != NULL) eddy__mailbox_release(*home);
    *home = eddy__mailbox_retain(call->home);
  }
  if (!eddy__mailbox_post_kept(*home, &call->mail)) eddy__call_release(call);
}

void eddy__call_sent(eddy__call *call) {
  atomic_fetch_add(&call->refs, 1);
  call->is_sent = true;
  call->loop->jobs++;
}

void eddy__call_unsent(eddy__call *call) {
  arrive(call);
  call->is_done = true;
  eddy__call_release(call);
}

static void stop(eddy__call *call) {
  atomic_store(&call->stop, true);
  if (call->is_sent && !call->is_done && call->halt != NULL) call->halt(call);
}

void eddy__call_drop(eddy__call *call) {
  if (call->is_sent && !call->is_done) {
    stop(call);
    arrive(call); /* a deadlock is one, although it may still end */
  }
  eddy__list_clear(&call->tasks);
}

/* A script has finalized it by hand: whoever waits for it finds that out. */
static void disappoint(eddy__call *call) {
  eddy__task *task = eddy__task_first(&call->tasks);
  if (task != NULL && task->waits_for == call && eddy__task_wake(task, EDDY_WAKE_NORMAL))
    eddy__task_deadline_off(task);
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__call **box = eddy__object_test(L, 1, &type_box);
  if (box == NULL || *box == NULL) return 0;
  eddy__call *call = *box;
  *box = NULL;
  disappoint(call);
  eddy__list_remove(&call->watch.link);
  if (call->loop != NULL && !call->is_sent) call->loop = NULL;
  eddy__call_drop(call);
  eddy__call_release(call);
  return 0;
}

/* [-0, +0, v] */
eddy__call *eddy__call_in(lua_State *L, int idx) {
  eddy__call *call = *(eddy__call **)lua_touserdata(L, idx);
  if (call == NULL) eddy__error_throw(L, EDDY_E_RUNTIME, "the call was finalized by hand");
  return call;
}

/* 1: the call. Packs the variables of the running context that can be moved.   [-0, +0, m] */
static void pack_context(lua_State *L, eddy__runtime *rt, eddy__call *call) {
  if (!rt->has_contexts || !eddy__context_export(L, rt)) return;
  call->context = eddy__parcel_pack(L, lua_gettop(L), 1, call->wait->name, EDDY_PACK_VALUES);
  lua_pop(L, 1);
}

/* Pushes a new box with a call for that mailbox.   [-0, +1, m] */
static eddy__call *push_new(lua_State *L, eddy__mailbox *home) {
  eddy__call **box = eddy__object_new(L, &type_box, sizeof *box, 0);
  eddy__call *call = home != NULL ? calloc(1, sizeof *call) : NULL;
  if (call == NULL) return luaL_error(L, "not enough memory"), NULL;
  atomic_init(&call->refs, 1);
  call->home = eddy__mailbox_retain(home);
  call->mail.deliver = on_home;
  eddy__list_init(&call->watch.link);
  eddy__list_init(&call->tasks);
  *box = call;
  return call;
}

/* Pushes a spare box with its call, or nothing and returns NULL.   [-0, +(0|1), -] */
static eddy__call *push_spare(lua_State *L, eddy__runtime *rt, eddy__mailbox *home) {
  if (rt->spare_calls == 0) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &spare_key);
  lua_rawgeti(L, -1, rt->spare_calls);
  lua_pushboolean(L, false);
  lua_rawseti(L, -3, rt->spare_calls--);
  lua_remove(L, -2);
  eddy__call *call = *(eddy__call **)lua_touserdata(L, -1);
  if (call == NULL || call->home != home) { /* finalized by hand; or of a loop before this one */
    lua_pop(L, 1);
    return NULL;
  }
  call->is_sent = call->is_done = call->was_asked = call->was_heard = call->is_urged = false;
  call->tries = 0;
  atomic_store_explicit(&call->stop, false, memory_order_relaxed);
  atomic_store_explicit(&call->heard, false, memory_order_relaxed);
  atomic_store_explicit(&call->asked, 0, memory_order_relaxed);
  return call;
}

/* The call in the box at idx has ended, nobody else has it, and it holds nothing but its code and whom it was given to:
 * keeps it for the next one.   [-0, +0, -] */
static void spare(lua_State *L, eddy__runtime *rt, eddy__call *call, int idx) {
  if (call->has_task || call->text != NULL || call->context != NULL || rt->spare_calls >= MOST_SPARE ||
      atomic_load_explicit(&call->refs, memory_order_acquire) > 1)
    return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &spare_key);
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2, ++rt->spare_calls);
  lua_pop(L, 1);
}

/* [-0, +1, v] */
eddy__call *eddy__call_new(lua_State *L, eddy__loop *loop, int idx, const eddy__wait *wait) {
  eddy__runtime *rt = eddy__runtime_of(L);
  luaL_checkstack(L, 12, NULL);
  eddy__coroutine_unwrap(L, idx);
  int n = lua_gettop(L) - idx + 1;
  eddy__mailbox *home = eddy__mailbox_of(loop);
  eddy__call *call = push_spare(L, rt, home);
  if (call == NULL) call = push_new(L, home);
  call->loop = loop;
  call->generation = loop->generation;
  call->wait = wait;
  pack_context(L, rt, call);
  eddy__code *code = eddy__code_of(L, idx, wait->name);
  if (code != call->code) {
    eddy__code_release(call->code);
    call->code = eddy__code_retain(code);
  }
  if (code == NULL)
    call->parcel = eddy__parcel_pack(L, idx, n, wait->name, EDDY_PACK_CALL);
  else if (!eddy__scalars_take(L, idx + 1, n - 1, &call->scalars))
    call->parcel = eddy__parcel_pack(L, idx + 1, n - 1, wait->name, EDDY_PACK_ARGUMENTS);
  return call;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* Nobody waits for it any longer. */
static void abandon(eddy__task *task, eddy__call *call) {
  eddy__call_drop(call);
  eddy__cancel_wait(task);
}

static void on_patience(eddy__timer *t) {
  eddy__task *task = eddy__container_of(t, eddy__task, timer);
  eddy__call *call = task->waits_for;
  eddy__loop *loop = task->future.loop;
  uint64_t patience = GRACE_NS;
  if (atomic_exchange(&call->heard, false)) {
    if (call->was_heard) stop(call); /* it had time to unwind */
    call->was_heard = true;
    call->tries = 0;
  } else if (++call->tries < TRIES) {
    stop(call);
    patience = PATIENCE_NS << call->tries;
  } else {
    abandon(task, call);
    return;
  }
  uint64_t deadline = eddy__clock_now(&loop->clock) + patience;
  if (eddy__timer_start(&loop->timers, t, deadline, on_patience) != 0) abandon(task, call);
}

void eddy__call_cancel(eddy__task *task, eddy__cancelling *request) {
  eddy__call *call = task->waits_for;
  eddy__loop *loop = task->future.loop;
  bool again = call->was_asked;
  if (request->probing) return;
  call->was_asked = true;
  atomic_fetch_add(&call->asked, 1);
  if (call->is_done) return;
  if (!again) stop(call);
  uint64_t deadline = eddy__clock_now(&loop->clock) + PATIENCE_NS;
  if (call->is_done)
    eddy__cancel_wait(task); /* it had not begun */
  else if (again || eddy__timer_start(&loop->timers, &task->timer, deadline, on_patience) != 0) {
    eddy__timer_stop(&loop->timers, &task->timer);
    abandon(task, call);
  } else {
    call->is_urged = true;
    if (loop->urged++ == 0) loop->urged_at = uv_hrtime();
  }
}

/* [-0, +0, m] */
void eddy__call_note(lua_State *L, eddy__task *task, const char *who, const char *where, const char *text) {
  int error = lua_gettop(L);
  luaL_checkstack(L, 10, NULL);
  eddy__future *f = eddy__future_new(L, task->future.loop); /* stands for the call in the chain of awaits */
  lua_pushvalue(L, error);
  lua_setiuservalue(L, error + 1, EDDY_UV_VALUE);
  f->retrieved = true;
  f->state = EDDY_F_FAILED;
  lua_pushfstring(L, "the call by '%s' in another %s", who, where);
  eddy__future_set_extra(L, error + 1, EDDY_EX_NAME);
  lua_pushstring(L, text);
  eddy__future_set_extra(L, error + 1, EDDY_EX_TRACEBACK);
  eddy__wait_note_cause(L, task, f, error + 1);
  lua_settop(L, error);
}

/* Pushes the error of a call that has failed, and makes it the story of the task's.   [-0, +1, m] */
static void push_error(lua_State *L, eddy__task *task, eddy__call *call) {
  eddy__parcel *parcel = call->parcel;
  call->parcel = NULL;
  int top = lua_gettop(L);
  eddy__parcel_unpack(L, parcel);
  lua_settop(L, top + 1);
  if (call->text != NULL) eddy__call_note(L, task, call->wait->name, "thread", call->text);
}

/* The box is at the top; when the results are there, another call may have it.   [-0, +n, e] */
static int push_results(lua_State *L, eddy__runtime *rt, eddy__call *call) {
  eddy__parcel *parcel = call->parcel;
  call->parcel = NULL; /* unpacking frees it, whatever comes */
  spare(L, rt, call, lua_gettop(L));
  return parcel != NULL ? eddy__parcel_unpack(L, parcel) : eddy__scalars_push(L, &call->scalars);
}

/* The box is at the top.   [-0, +n, v] */
static int finish(lua_State *L, eddy__task *task) {
  eddy__task_deadline_off(task);
  eddy__list_remove(&task->waiter.link);
  eddy__call *call = *(eddy__call **)lua_touserdata(L, -1);
  if (call == NULL) eddy__wake_check(L, task);
  call = eddy__call_in(L, -1);
  if (eddy__wake_cancelled(task) && call->is_done && call->outcome == EDDY_C_FAILED && call->was_asked)
    eddy__wake_settle(task); /* it has failed while it unwound: that is the error to raise */
  if (eddy__wake_cancelled(task)) eddy__call_drop(call);
  eddy__wake_check(L, task);
  switch (call->outcome) {
  case EDDY_C_OK:
    luaL_checkstack(L, 10, NULL);
    return push_results(L, task->future.loop->rt, call);
  case EDDY_C_FAILED:
    push_error(L, task, call);
    return lua_error(L);
  case EDDY_C_STOPPED:
    lua_pushnil(L);
    eddy__error_wrap(L, EDDY_E_CANCELLED);
    return lua_error(L);
  case EDDY_C_BROKEN:
    return eddy__error_throw(L, EDDY_E_BROKEN_WORKER, "'%s': %s", call->wait->name,
                             call->text != NULL ? call->text : "the worker has died");
  default:
    return luaL_error(L, "not enough memory");
  }
}

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return finish(L, (eddy__task *)ctx);
}

/* [-0, +n, y] */
int eddy__call_wait(lua_State *L, eddy__task *task) {
  eddy__call *call = eddy__call_in(L, -1);
  task->waits_for = call;
  if (call->is_done) return finish(L, task);
  eddy__list_push(&call->tasks, &task->waiter.link);
  return eddy__suspend(L, task, call->wait, k_wait);
}

/* --- as a Task ---------------------------------------------------------------------------------------------------- */

/* The body of the Task: 1: the box.   [-0, +n, y] */
static int l_task(lua_State *L) {
  return eddy__call_wait(L, eddy__running(L, "thread"));
}

/* The Task has ended; if the call has not, the Task was cancelled before it began. */
static void on_task_end(eddy__waiter *w, eddy__future *f) {
  (void)f;
  eddy__call_drop(w->owner);
}

/* [-1, +1, m] */
eddy__task *eddy__call_task(lua_State *L, eddy__loop *loop) {
  eddy__call *call = eddy__call_in(L, -1);
  eddy__runtime_push(L);
  lua_pushcclosure(L, l_task, 1);
  lua_pushvalue(L, -2);
  eddy__task *task = eddy__task_spawn(L, loop, 1);
  lua_remove(L, -2); /* the task's thread keeps the box until it has ended */
  call->watch.on_settled = on_task_end;
  call->watch.owner = call;
  call->has_task = true;
  eddy__future_watch(&task->future, &call->watch);
  return task;
}

/* [-0, +0, m] */
void eddy__call_room(lua_State *L, eddy__runtime *rt) {
  (void)rt;
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  eddy__object_type(L, &type_box, NULL, NULL, meta, 0);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &spare_key) == LUA_TNIL) { /* else another copy of the module has made it */
    lua_createtable(L, MOST_SPARE, 0); /* so that keeping one needs no memory */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &spare_key);
  }
  lua_pop(L, 2);
}
