/* SPDX-License-Identifier: MIT */
/*
 * callback.c - a function that the loop calls, once; see callback.h.
 * Touch:  freely. A callback is in one place at a time: the ready queue, the timers, a future's waiters; while it is,
 *         the loop anchors it. A cancelled one leaves the timers and the waiters at once, and the queue when its turn
 *         comes.
 */
#include "core/callback.h"

#include <lauxlib.h>
#include <string.h>

#include "base/args.h"
#include "core/context.h"
#include "core/debug.h"
#include "core/interrupt.h"
#include "core/report.h"

static const eddy__type type_handle = {"Handle"};

enum { UV_FUNCTION = 1, UV_ARGUMENTS, UV_CONTEXT };

struct eddy__callback {
  eddy__ready ready;
  eddy__waiter waiter;
  eddy__timer timer;
  eddy__loop *loop;
  uint32_t generation, anchor;
  int nargs;
  bool queued, cancelled, anchored;
  bool repeats;   /* it is called for each event, until it is cancelled */
  unsigned again; /* events that have come while it was queued */
};

static void let_go(eddy__callback *cb) {
  if (!cb->anchored) return;
  cb->anchored = false;
  eddy__loop_drop(cb->loop, cb->anchor);
}

/* Keeps the traceback beside the error, whatever the error is.   [-1, +1, m] */
static int note_traceback(lua_State *L) {
  lua_settop(L, 1);
  lua_createtable(L, 0, 2);
  lua_insert(L, 1);
  lua_setfield(L, 1, "value");
  luaL_traceback(L, L, NULL, 1);
  lua_setfield(L, 1, "traceback");
  return 1;
}

/* The callback runs in the context in which it was made: 2 is its object.   [-0, +0, -] */
static void enter_context(lua_State *L, eddy__runtime *rt) {
  if (!rt->has_contexts) return;
  lua_getiuservalue(L, 2, UV_CONTEXT);
  eddy__context_swap(L);
  lua_setiuservalue(L, 2, UV_CONTEXT); /* that of before, meanwhile */
}

/* [-0, +0, -] */
static void leave_context(lua_State *L, eddy__runtime *rt) {
  if (!rt->has_contexts) return;
  lua_getiuservalue(L, 2, UV_CONTEXT);
  eddy__context_swap(L);
  lua_pop(L, 1);
}

/* The callback, 2, has failed: 4 is its error with the traceback.   [-0, +0, m] */
static void report(lua_State *L, eddy__loop *loop) {
  lua_newtable(L); /* 5, the context, over 4, the error with its traceback */
  if (lua_istable(L, 4)) {
    lua_getfield(L, 4, "value");
    eddy__interrupt_left(L, loop, -1);
    lua_setfield(L, 5, "exception");
    lua_getfield(L, 4, "traceback");
    lua_setfield(L, 5, "traceback");
  } else { /* no memory for the table either */
    lua_pushvalue(L, 4);
    lua_setfield(L, 5, "exception");
  }
  lua_getiuservalue(L, 2, UV_FUNCTION);
  lua_pushfstring(L, "error in callback at %s", eddy__function_place(L));
  lua_remove(L, -2);
  lua_setfield(L, 5, "message");
  lua_pushvalue(L, 2);
  lua_setfield(L, 5, "handle");
  eddy__report_context(L, loop);
}

/* Calls the function of the callback whose address is the argument.   [-1, +0, e] */
static int call(lua_State *L) {
  eddy__callback *cb = lua_touserdata(L, 1);
  eddy__loop *loop = cb->loop;
  eddy__loop_anchored(L, loop, cb->anchor); /* 2: alive until we return */
  if (!cb->repeats) let_go(cb);
  lua_pushcfunction(L, note_traceback);
  lua_getiuservalue(L, 2, UV_FUNCTION);
  lua_getiuservalue(L, 2, UV_ARGUMENTS);
  int n = cb->nargs;
  luaL_checkstack(L, n + 8, "too many arguments");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, 5, i);
  lua_remove(L, 5);
  enter_context(L, loop->rt);
  uint64_t start = eddy__debug_begin(loop);
  int rc = lua_pcall(L, n, 0, 3);
  if (start != 0) {
    lua_getiuservalue(L, 2, UV_FUNCTION);
    eddy__debug_callback(L, loop, start);
    lua_pop(L, 1);
  }
  if (rc != LUA_OK) report(L, loop);
  leave_context(L, loop->rt);
  return 0;
}

static void run(eddy__ready *r) {
  eddy__callback *cb = eddy__container_of(r, eddy__callback, ready);
  cb->queued = false;
  if (cb->cancelled) {
    let_go(cb);
    return;
  }
  eddy__loop *loop = cb->loop;
  lua_State *L = loop->rt->L;
  if (cb->again > 0) {
    cb->again--;
    eddy__callback_soon(cb);
  }
  if (eddy__runtime_pcall(loop->rt, call, cb) == LUA_OK) return;
  eddy__report_last_resort(L, -1); /* not even the report could be made */
  lua_pop(L, 1);
}

/* [-n, +1, m] */
eddy__callback *eddy__callback_new(lua_State *L, eddy__loop *loop, int idx) {
  int n = lua_gettop(L) - idx;
  eddy__callback *cb = eddy__object_new(L, &type_handle, sizeof *cb, UV_CONTEXT);
  int object = lua_gettop(L);
  lua_pushvalue(L, idx);
  lua_setiuservalue(L, object, UV_FUNCTION);
  if (n > 0) {
    lua_createtable(L, n, 0);
    for (int i = 1; i <= n; i++) {
      lua_pushvalue(L, idx + i);
      lua_rawseti(L, -2, i);
    }
    lua_setiuservalue(L, object, UV_ARGUMENTS);
  }
  if (loop->rt->has_contexts) {
    eddy__context_push(L, loop->rt);
    lua_setiuservalue(L, object, UV_CONTEXT);
  }
  cb->ready.run = run;
  cb->nargs = n;
  eddy__list_init(&cb->waiter.link);
  cb->loop = loop;
  cb->generation = loop->generation;
  lua_pushvalue(L, object);
  cb->anchor = eddy__loop_anchor(L, loop);
  cb->anchored = true;
  lua_replace(L, idx);
  lua_settop(L, idx);
  return cb;
}

void eddy__callback_soon(eddy__callback *cb) {
  cb->queued = true;
  eddy__loop_ready(cb->loop, &cb->ready);
}

void eddy__callback_repeat(eddy__callback *cb) { cb->repeats = true; }

void eddy__callback_event(eddy__callback *cb, bool counted) {
  if (cb->cancelled) return;
  if (!cb->queued)
    eddy__callback_soon(cb);
  else if (counted)
    cb->again++;
}

void eddy__callback_last(eddy__callback *cb) {
  cb->repeats = false;
  cb->again = 0;
  eddy__callback_event(cb, false);
}

static void on_due(eddy__timer *t) {
  eddy__callback_soon(eddy__container_of(t, eddy__callback, timer));
}

/* [-0, +0, m] */
void eddy__callback_at(lua_State *L, eddy__callback *cb, uint64_t deadline) {
  if (eddy__timer_start(&cb->loop->timers, &cb->timer, deadline, on_due) == 0) return;
  let_go(cb);
  luaL_error(L, "not enough memory");
}

static void on_settled(eddy__waiter *w, eddy__future *f) {
  (void)f;
  eddy__callback_soon(w->owner);
}

void eddy__callback_when_done(eddy__callback *cb, eddy__future *f) {
  if (!eddy__future_pending(f)) {
    eddy__callback_soon(cb);
    return;
  }
  cb->waiter.on_settled = on_settled;
  cb->waiter.owner = cb;
  eddy__future_watch(f, &cb->waiter);
}

/* Takes it out of wherever it is. */
void eddy__callback_cancel(eddy__callback *cb) {
  if (cb->cancelled) return;
  cb->cancelled = true;
  if (cb->generation != cb->loop->generation || !cb->loop->is_open) return;
  eddy__timer_stop(&cb->loop->timers, &cb->timer);
  eddy__list_remove(&cb->waiter.link);
  if (!cb->queued) let_go(cb);
}

/* [-0, +0, -] */
int eddy__callback_remove(lua_State *L, eddy__future *f, int idx) {
  int removed = 0;
  for (eddy__list *l = f->waiters.next, *next; l != &f->waiters; l = next) {
    next = l->next;
    eddy__waiter *w = eddy__container_of(l, eddy__waiter, link);
    if (w->on_settled != on_settled) continue;
    eddy__callback *cb = w->owner;
    eddy__loop_anchored(L, cb->loop, cb->anchor);
    lua_getiuservalue(L, -1, UV_FUNCTION);
    bool same = lua_rawequal(L, -1, idx);
    lua_pop(L, 2);
    if (!same) continue;
    eddy__callback_cancel(cb);
    removed++;
  }
  return removed;
}

/* [-0, +0, -] */
void eddy__callbacks_forget(lua_State *L, eddy__loop *loop) {
  eddy__loop_push_table(L, loop);
  for (uint32_t i = 1; i <= loop->nanchors; i++) {
    lua_rawgeti(L, -1, i);
    eddy__callback *cb = eddy__object_test(L, -1, &type_handle);
    if (cb != NULL) {
      eddy__list_remove(&cb->waiter.link);
      cb->timer.place = 0;
      cb->cancelled = true;
      cb->anchored = false;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, loop);
}

/* handle:cancel()   [-0, +0, v] */
static int l_cancel(lua_State *L) {
  eddy__callback_cancel(eddy__object_check(L, 1, &type_handle));
  return 0;
}

/* handle:cancelled()   [-0, +1, v] */
static int l_cancelled(lua_State *L) {
  eddy__callback *cb = eddy__object_check(L, 1, &type_handle);
  lua_pushboolean(L, cb->cancelled);
  return 1;
}

/* handle:when() -> the loop time it is due, or nil if it is not scheduled by time   [-0, +1, v] */
static int l_when(lua_State *L) {
  eddy__callback *cb = eddy__object_check(L, 1, &type_handle);
  if (cb->timer.place == 0 || cb->generation != cb->loop->generation) return 0;
  lua_pushnumber(L, eddy__clock_seconds(eddy__timer_deadline(&cb->loop->timers, &cb->timer)));
  return 1;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__callback *cb = eddy__object_check(L, 1, &type_handle);
  lua_getiuservalue(L, 1, UV_FUNCTION);
  lua_pushfstring(L, "<Handle %s%s>", eddy__function_place(L), cb->cancelled ? " cancelled" : "");
  return 1;
}

/* [-0, +0, m] */
void eddy__callback_room(lua_State *L, eddy__runtime *rt) {
  (void)rt;
  static const luaL_Reg methods[] = {
    {"cancel", l_cancel}, {"cancelled", l_cancelled}, {"when", l_when}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {NULL, NULL}};
  eddy__object_type(L, &type_handle, NULL, methods, meta, 0);
  lua_pop(L, 1);
}
