/* SPDX-License-Identifier: MIT */
/*
 * worker.c - one thread of a pool: opens a state, carries out calls, closes the state; see worker.h.
 * Touch:  with care. One task carries out all calls, one after the other, so a call costs no spawn. Between calls it is
 *         suspended; the thread then sleeps on a semaphore, or in its loop if tasks go on there that earlier
 *         calls have left.
 */
#include "threads/worker.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "core/context.h"
#include "core/poll.h"
#include "core/report.h"
#include "core/teardown.h"
#include "threads/stop.h"

enum { SELF = 1, HANDLER, BASE = HANDLER }; /* the frame of the serving task */

/* --- carrying out a call ------------------------------------------------------------------------------------------ */

/* The message handler of calls: notes the traceback where the error happens.   [-1, +1, m] */
static int l_handler(lua_State *L) {
  eddy__worker *w = lua_touserdata(L, lua_upvalueindex(1));
  if (eddy__stop_is(L, 1, w)) return 1;
  luaL_traceback(L, L, NULL, 1);
  free(w->text);
  w->text = eddy__text_copy(lua_tostring(L, -1));
  lua_settop(L, 1);
  return 1;
}

/* 1: the worker. Pushes the function of its call and the arguments; sets the context.   [-0, +n, e] */
static int l_unpack(lua_State *L) {
  eddy__worker *w = lua_touserdata(L, 1);
  eddy__parcel *context = w->call->context, *parcel = w->call->parcel;
  w->call->context = NULL;
  if (context != NULL && eddy__parcel_unpack(L, context) > 0) {
    lua_settop(L, 2);
    w->loop->rt->has_contexts = true;
  } else {
    lua_settop(L, 1);
    lua_pushnil(L);
  }
  if (w->loop->rt->has_contexts) eddy__context_enter(L, w->loop->rt);
  lua_settop(L, 0);
  if (w->call->code != NULL) eddy__code_push(L, w->call->code); /* raises: the parcel goes with the call */
  w->call->parcel = NULL;
  if (parcel != NULL)
    eddy__parcel_unpack(L, parcel);
  else
    eddy__scalars_push(L, &w->call->scalars);
  return lua_gettop(L);
}

/* The same where nothing can fail: the function is there, the arguments are plain, nobody knows a context. Else pushes
 * nothing and returns false.   [-0, +(0|n), -] */
static bool push_plain(lua_State *L, eddy__worker *w) {
  const eddy__call *call = w->call;
  if (call->parcel != NULL || call->context != NULL || call->code == NULL || w->loop->rt->has_contexts) return false;
  if (!lua_checkstack(L, EDDY_SCALARS + 8) || !eddy__code_push_loaded(L, call->code)) return false;
  eddy__scalars_push(L, &call->scalars);
  return true;
}

/* Pushes the function of the call and the arguments. Returns Lua's status; its error is on top then.   [-0, +n, -] */
static int unpack(lua_State *L, eddy__worker *w) {
  if (push_plain(L, w)) return LUA_OK;
  lua_pushcfunction(L, l_unpack);
  lua_pushlightuserdata(L, w);
  return lua_pcall(L, 1, LUA_MULTRET, 0);
}

/* 1: the worker, 2: how; then what goes home.   [-0, +0, v] */
static int l_pack(lua_State *L) {
  eddy__worker *w = lua_touserdata(L, 1);
  eddy__parcel *parcel = eddy__parcel_pack(L, 3, lua_gettop(L) - 2, w->call->wait->name, (int)lua_tointeger(L, 2));
  eddy__parcel_free(w->call->parcel); /* the arguments, if they could not be unpacked */
  w->call->parcel = parcel;
  return 0;
}

/* Packs what stands above `base`; if that fails, its error is there.   [-n, +(0|1), -] */
static bool pack(lua_State *L, eddy__worker *w, int base, int how) {
  if (!lua_checkstack(L, 4)) {
    lua_settop(L, base);
    lua_pushnil(L);
    return false;
  }
  lua_pushcfunction(L, l_pack);
  lua_pushlightuserdata(L, w);
  lua_pushinteger(L, how);
  lua_rotate(L, base + 1, 3);
  return lua_pcall(L, lua_gettop(L) - base - 1, 0, 0) == LUA_OK;
}

/* 1: the worker, 2: an error that cannot be moved, 3: why. Packs one that tells of it.   [-0, +0, v] */
static int l_pack_text(lua_State *L) {
  eddy__worker *w = lua_touserdata(L, 1);
  eddy__error_text(L, 2);
  eddy__error_text(L, 3);
  eddy__error_push(L, EDDY_E_RUNTIME, "%s; its text: %s", lua_tostring(L, -1), lua_tostring(L, -2));
  w->call->parcel = eddy__parcel_pack(L, lua_gettop(L), 1, w->call->wait->name, EDDY_PACK_ERROR);
  return 0;
}

/* What came of the call stands above BASE: gives it to the call. Returns the outcome.   [-n, +0, -] */
static int pack_outcome(lua_State *L, eddy__worker *w, int status) {
  if (status == LUA_OK || status == LUA_YIELD) {
    if (eddy__scalars_take(L, BASE + 1, lua_gettop(L) - BASE, &w->call->scalars)) return EDDY_C_OK;
    if (pack(L, w, BASE, EDDY_PACK_RESULTS)) return EDDY_C_OK;
    free(w->text); /* the results cannot be moved: the error is that */
    w->text = NULL;
  } else if (eddy__stop_is(L, -1, w)) {
    return EDDY_C_STOPPED;
  }
  lua_pushvalue(L, BASE + 1); /* the error */
  if (pack(L, w, BASE + 1, EDDY_PACK_ERROR)) return EDDY_C_FAILED;
  lua_pushcfunction(L, l_pack_text);
  lua_insert(L, BASE + 1);
  lua_pushlightuserdata(L, w);
  lua_insert(L, BASE + 2); /* the function, the worker, the error, why it cannot be moved */
  return lua_pcall(L, 3, 0, 0) == LUA_OK ? EDDY_C_FAILED : EDDY_C_NO_MEMORY;
}

/* Whether something goes on in the loop that earlier calls have left there. */
static bool has_work(const eddy__worker *w) {
  const eddy__loop *loop = w->loop;
  return loop->ntasks > 1 || loop->ready > 0 || loop->timers.n > 0 || eddy__poll_expects(loop);
}

/* Under the lock: takes the next call from the queue. Returns whether there is one. */
static bool take_next(eddy__worker *w) {
  eddy__pool *pool = w->pool;
  eddy__call *call = pool->quitting ? NULL : pool->first;
  if (call == NULL) return false;
  pool->first = call->next;
  if (pool->first == NULL) pool->last = &pool->first;
  pool->queued--;
  w->call = call;
  eddy__pool_tell(pool);
  return true;
}

/* The call is over: what came of it stands above BASE.   [-n, +0, -] */
static void finish(lua_State *L, eddy__worker *w, int status) {
  eddy__stop_end(w, L);
  eddy__call *call = w->call;
  int outcome = pack_outcome(L, w, status);
  eddy__pool_lock(w->pool);
  w->call = NULL; /* from here on nobody stops it */
  if (!has_work(w)) take_next(w);
  eddy__pool_unlock(w->pool);
  call->text = w->text;
  w->text = NULL;
  eddy__call_return_by(call, outcome, &w->home);
  lua_settop(L, BASE);
}

/* --- one call after the other ------------------------------------------------------------------------------------- */

static int k_serve(lua_State *L, int status, lua_KContext ctx);
static int k_call(lua_State *L, int status, lua_KContext ctx);

/* A script has found the task and cancels it: it goes on. */
static void cancel_serve(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__cancel_wait(task);
}

static const eddy__wait wait_serve = {"worker", cancel_serve, false};

/* Takes the next call. Returns false when there is none: then the worker is idle, or has to end (*end). */
static bool take(eddy__worker *w, bool *end) {
  eddy__pool *pool = w->pool;
  if (w->call != NULL) return true; /* it has one since it has ended the last */
  eddy__pool_lock(pool);
  bool taken = take_next(w);
  if (taken) {
    /* that is it */
  } else if (pool->quitting || pool->closing) {
    *end = true;
  } else {
    w->in_loop = has_work(w);
    atomic_store(&w->rest, EDDY_W_UP);
    eddy__list_push(pool->idle.next, &w->idle); /* before the others: what it needs is in the caches */
  }
  eddy__pool_unlock(pool);
  return taken;
}

/* Nothing to do: suspends the task, and lets the thread sleep.   [-0, +0, y] */
static int park(lua_State *L, eddy__worker *w) {
  w->task->waits_for = w;
  w->is_parked = true;
  if (w->in_loop)
    w->loop->jobs++; /* a call may come */
  else
    w->loop->stop = true;
  return eddy__suspend(L, w->task, &wait_serve, k_serve);
}

/* Carries out calls until there is none. `polite`: what else goes on here has had its turn.   [-0, +0, y] */
static int serve(lua_State *L, eddy__worker *w, bool polite) {
  for (bool end = false;; polite = false) {
    if (!polite && w->call == NULL && has_work(w)) return eddy__give_way(L, w->task, k_serve);
    if (!take(w, &end)) return end ? 0 : park(L, w);
    int status = unpack(L, w);
    if (status == LUA_OK && !eddy__stop_begin(w, L)) {
      lua_settop(L, BASE);
      eddy__stop_push(L);
      status = LUA_ERRRUN;
    }
    if (status == LUA_OK)
      status = lua_pcallk(L, lua_gettop(L) - BASE - 1, LUA_MULTRET, HANDLER, (lua_KContext)w, k_call);
    finish(L, w, status);
  }
}

static int k_serve(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  eddy__worker *w = lua_touserdata(L, SELF);
  if (w->is_parked && w->in_loop) w->loop->jobs--;
  if (w->is_parked && atomic_load(&w->rest) != EDDY_W_CALLED) { /* cancelled by a script */
    eddy__wake_settle(w->task);
    return park(L, w);
  }
  eddy__wake_settle(w->task);
  w->is_parked = false;
  return serve(L, w, true);
}

static int k_call(lua_State *L, int status, lua_KContext ctx) {
  eddy__worker *w = (eddy__worker *)ctx;
  finish(L, w, status);
  return serve(L, w, false);
}

/* 1: the worker. Pushes the function `init`.   [-0, +n, e] */
static int l_unpack_init(lua_State *L) {
  eddy__worker *w = lua_touserdata(L, 1);
  eddy__parcel *init = w->init;
  w->init = NULL;
  return eddy__parcel_unpack(L, init);
}

/* init has ended; its error, if it has failed, is on top.   [-n, +0, y] */
static int k_init(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  eddy__worker *w = lua_touserdata(L, SELF);
  if (status == LUA_OK || status == LUA_YIELD) {
    lua_settop(L, BASE);
    return serve(L, w, false);
  }
  const char *text = eddy__error_text(L, -1);
  lua_pushfstring(L, "init has failed: %s", text);
  w->problem = eddy__text_copy(lua_tostring(L, -1));
  w->has_failed = true;
  return 0;
}

/* The body of the task that carries out the calls: 1: the worker.   [-0, +0, y] */
static int l_serve(lua_State *L) {
  eddy__worker *w = lua_touserdata(L, SELF);
  lua_settop(L, SELF);
  lua_pushvalue(L, SELF);
  lua_pushcclosure(L, l_handler, 1);
  if (w->init == NULL) return serve(L, w, false);
  lua_pushcfunction(L, l_unpack_init);
  lua_pushlightuserdata(L, w);
  int status = lua_pcall(L, 1, 1, 0);
  if (status != LUA_OK) return k_init(L, status, 0);
  return k_init(L, lua_pcallk(L, 0, 0, 0, 0, k_init), 0);
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

/* 1: the worker. Makes the state what it has to be.   [-0, +0, e] */
static int l_open(lua_State *L) {
  eddy__worker *w = lua_touserdata(L, 1);
  eddy__loop_options options = {.slow_callback = 0.1};
  eddy__setup_open(L, w->pool->setup);
  eddy__runtime *rt = eddy__runtime_open(L);
  w->loop = eddy__loop_open(L, rt, &options);
  lua_rawsetp(L, LUA_REGISTRYINDEX, w); /* the object keeps the loop open */
  eddy__stop_functions(L, w);
  eddy__runtime_push(L);
  lua_pushcclosure(L, l_serve, 1);
  lua_pushlightuserdata(L, w);
  w->task = eddy__task_spawn(L, w->loop, 1);
  eddy__mailbox *box = eddy__mailbox_of(w->loop);
  if (box == NULL) return luaL_error(L, "not enough memory");
  eddy__pool_lock(w->pool);
  w->box = eddy__mailbox_retain(box);
  eddy__pool_unlock(w->pool);
  return 0;
}

static bool open_state(eddy__worker *w) {
  w->L = eddy__arena_newstate();
  if (w->L == NULL) return false;
  lua_pushcfunction(w->L, l_open);
  lua_pushlightuserdata(w->L, w);
  if (lua_pcall(w->L, 1, 0, 0) != LUA_OK) {
    w->problem = eddy__text_copy(lua_tostring(w->L, -1));
    return false;
  }
  return lua_checkstack(w->L, 40);
}

static bool is_called(const void *worker) {
  return atomic_load_explicit(&((eddy__worker *)worker)->rest, memory_order_relaxed) != EDDY_W_UP;
}

/* Sleeps until it is called. */
static void wait_for_call(eddy__worker *w) {
  int up = EDDY_W_UP;
  eddy__spin_for(&w->spin, EDDY_SPIN_NS, is_called, w);
  if (atomic_compare_exchange_strong(&w->rest, &up, EDDY_W_ASLEEP)) uv_sem_wait(&w->calls);
}

static void on_summons(eddy__mail *mail, eddy__loop *loop) {
  eddy__worker *w = eddy__container_of(mail, eddy__worker, summons);
  eddy__pool_lock(w->pool);
  w->has_summons = false;
  eddy__pool_unlock(w->pool);
  if (loop != NULL && w->is_parked) eddy__task_wake_from(w->task, w);
}

void eddy__worker_call(eddy__worker *w, eddy__list *asleep) {
  eddy__list_remove(&w->idle);
  if (atomic_exchange(&w->rest, EDDY_W_CALLED) == EDDY_W_ASLEEP) eddy__list_push(asleep, &w->idle);
  if (!w->in_loop || w->has_summons || w->box == NULL) return;
  w->summons.deliver = on_summons;
  w->has_summons = eddy__mailbox_post(w->box, &w->summons);
}

void eddy__worker_wake(eddy__worker *w) { uv_sem_post(&w->calls); }

/* 1: the worker. Its call waits for what can never come.   [-0, +0, m] */
static int l_deadlock(lua_State *L) {
  eddy__worker *w = lua_touserdata(L, 1);
  luaL_checkstack(L, 30, NULL);
  eddy__report_push_deadlock(L, w->loop);
  eddy__stop_deadlock(L, w);
  return 0;
}

/* Turns the loop, or sleeps, until the serving task has ended. */
static void run(eddy__worker *w) {
  int stalls = 0;
  while (eddy__future_pending(&w->task->future)) {
    int rc = eddy__loop_run(w->L, w->loop, &w->task->future);
    if (!eddy__future_pending(&w->task->future)) return;
    if (rc == 0) {
      stalls = 0;
      if (!w->is_parked || w->in_loop) continue; /* a script has called loop:stop() */
      wait_for_call(w);
      eddy__task_wake_from(w->task, w);
    } else if (w->call == NULL || ++stalls > 3) {
      return; /* it does not want to know: the worker is given up */
    } else {
      lua_pushcfunction(w->L, l_deadlock);
      lua_pushlightuserdata(w->L, w);
      if (lua_pcall(w->L, 1, 0, 0) != LUA_OK) lua_pop(w->L, 1);
    }
  }
}

/* Ends what goes on in the state, and closes it. */
static void close_state(eddy__worker *w) {
  eddy__mailbox *box = w->box;
  eddy__pool_lock(w->pool);
  w->box = NULL;
  eddy__pool_unlock(w->pool);
  if (w->L != NULL && w->loop != NULL) eddy__teardown(w->L, w->loop);
  eddy__stop_close(w);
  if (box != NULL) eddy__mailbox_release(box);
  if (w->L != NULL) lua_close(w->L);
  if (w->home != NULL) eddy__mailbox_release(w->home);
  eddy__parcel_free(w->init);
  free(w->text);
}

void eddy__worker_live(void *worker) {
  eddy__worker *w = worker;
  eddy__stop_open(w);
  if (open_state(w)) {
    w->in_call = 1;
    run(w);
  }
  if (w->loop == NULL && w->problem == NULL)
    w->problem = eddy__text_copy("not enough memory for a worker's state");
  close_state(w);
  eddy__pool_leave(w->pool, w);
}
