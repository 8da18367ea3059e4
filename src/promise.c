/* SPDX-License-Identifier: MIT */
/*
 * promise.c - the part of eddy.h that any thread may call: eddy_post, eddy_promise_*.
 * Owns:   what was posted, until it has run; promises, which the loop's side and the host's side count.
 * Uses:   core/post.h.      Used by: hosts.
 * Touch:  with care. What comes from another thread is delivered as mail, and runs from the ready queue.
 */
#include <lauxlib.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"
#include "core/post.h"
#include "core/report.h"
#include "core/task.h"
#include "embed.h"

/* --- eddy_post --------------------------------------------------------------------------------------------------- */

typedef struct posted {
  eddy__mail mail; /* first */
  eddy__posted queued;
  eddy__loop *loop;
  void (*f)(lua_State *L, void *data);
  void *data;
} posted;

/* 1: what was posted.   [-0, +0, e] */
static int call_posted(lua_State *L) {
  posted *p = lua_touserdata(L, 1);
  lua_settop(L, 0);
  p->f(L, p->data);
  return 0;
}

/* 1: an error. Gives it to the exception handler of the running loop.   [-0, +0, m] */
static int report_posted(lua_State *L) {
  eddy__report(L, eddy__runtime_find(L)->loop, "error in a function that was posted", 1, NULL, 0);
  return 0;
}

static void run_posted(eddy__posted *queued) {
  posted *p = eddy__container_of(queued, posted, queued);
  eddy__runtime *rt = p->loop->rt;
  if (eddy__runtime_pcall(rt, call_posted, p) != LUA_OK) {
    lua_pushcfunction(rt->L, report_posted);
    lua_insert(rt->L, -2);
    if (lua_pcall(rt->L, 1, 0, 0) != LUA_OK) {
      eddy__report_last_resort(rt->L, -1);
      lua_pop(rt->L, 1);
    }
  }
  free(p);
}

static void drop_posted(eddy__posted *queued) {
  posted *p = eddy__container_of(queued, posted, queued);
  p->f(NULL, p->data);
  free(p);
}

static void on_posted(eddy__mail *mail, eddy__loop *loop) {
  posted *p = (posted *)mail;
  p->loop = loop;
  p->queued.run = run_posted;
  p->queued.drop = drop_posted;
  if (loop != NULL)
    eddy__post_ready(loop, &p->queued);
  else
    drop_posted(&p->queued);
}

EDDY_API int eddy_post(eddy_loop *host, void (*f)(lua_State *L, void *data), void *data) {
  eddy__mailbox *box = host != NULL ? eddy__host_mailbox(host) : NULL;
  posted *p = box != NULL ? calloc(1, sizeof *p) : NULL;
  if (p == NULL) return box == NULL ? EDDY_MISUSE : EDDY_FAILED;
  p->mail.deliver = on_posted;
  p->f = f;
  p->data = data;
  if (eddy__mailbox_post(box, &p->mail)) return EDDY_OK;
  free(p);
  return EDDY_MISUSE;
}

/* --- promises ---------------------------------------------------------------------------------------------------- */

struct eddy_promise {
  eddy__mail mail; /* first */
  eddy__posted queued;
  eddy__waiter watch; /* of the future */
  atomic_int refs;    /* one for the future, one for who has to keep the promise */
  atomic_bool settled; /* nobody waits for it any more */
  eddy__mailbox *box;
  eddy__loop *loop;
  uint32_t generation, anchor;
  int (*push)(lua_State *L, void *data);
  void *data;
  bool fails;
};

static void release(eddy_promise *p) {
  if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1) return;
  eddy__mailbox_release(p->box);
  free(p);
}

/* The future is settled, by us or by somebody who has cancelled it. */
static void on_settled(eddy__waiter *w, eddy__future *f) {
  eddy_promise *p = w->owner;
  (void)f;
  atomic_store(&p->settled, true);
  if (p->loop->generation == p->generation && p->loop->is_open) {
    p->loop->jobs--;
    if (!p->loop->is_closing) eddy__loop_drop(p->loop, p->anchor);
  }
  release(p);
}

/* 1: a new promise, light. Pushes its future.   [-0, +1, m] */
static int l_promise(lua_State *L) {
  eddy_promise *p = lua_touserdata(L, 1);
  eddy__future *f = eddy__future_new(L, p->loop);
  lua_pushvalue(L, -1);
  p->anchor = eddy__loop_anchor(L, p->loop);
  p->loop->jobs++;
  p->watch.on_settled = on_settled;
  p->watch.owner = p;
  eddy__future_watch(f, &p->watch);
  return 1;
}

EDDY_API eddy_promise *eddy_promise_new(lua_State *L) {
  if (eddy__host_elsewhere(L)) return NULL;
  eddy__runtime *rt = eddy__runtime_find(L);
  if (!lua_checkstack(L, 8)) return NULL;
  eddy__loop *loop = rt != NULL ? rt->loop : NULL;
  eddy__mailbox *box = loop != NULL ? eddy__mailbox_of(loop) : NULL;
  eddy_promise *p = box != NULL ? calloc(1, sizeof *p) : NULL;
  if (p == NULL) {
    lua_pushnil(L);
    return NULL;
  }
  atomic_init(&p->refs, 2);
  p->box = eddy__mailbox_retain(box);
  p->loop = loop;
  p->generation = loop->generation;
  eddy__list_init(&p->watch.link);
  lua_pushcfunction(L, l_promise);
  lua_pushlightuserdata(L, p);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return p;
  atomic_store(&p->refs, 1);
  release(p);
  return NULL;
}

/* 1: the promise, light. Settles its future.   [-0, +0, e] */
static int l_keep(lua_State *L) {
  eddy_promise *p = lua_touserdata(L, 1);
  eddy__loop_anchored(L, p->loop, p->anchor);
  eddy__future *f = lua_touserdata(L, 2);
  if (p->push == NULL) {
    eddy__error_push(L, EDDY_E_RUNTIME, "a promise was not kept");
  } else {
    int (*push)(lua_State *, void *) = p->push;
    p->push = NULL; /* it is called once, whatever it does */
    int n = push(L, p->data);
    if (!p->fails) {
      eddy__future_resolve(L, f, 2, n < 0 ? 0 : n);
      return 0;
    }
    if (n < 1) lua_pushnil(L);
  }
  eddy__future_fail(L, f, 2);
  return 0;
}

/* 1: the promise, 2: an error. Fails its future with it.   [-0, +0, m] */
static int l_fail(lua_State *L) {
  eddy_promise *p = lua_touserdata(L, 1);
  eddy__loop_anchored(L, p->loop, p->anchor);
  lua_insert(L, 2);
  eddy__future_fail(L, lua_touserdata(L, 2), 2);
  return 0;
}

/* Nobody waits any more, or there was no memory, unless push has been called. */
static void drop_promise(eddy__posted *queued) {
  eddy_promise *p = eddy__container_of(queued, eddy_promise, queued);
  if (p->push != NULL) p->push(NULL, p->data);
  release(p);
}

static void run_promise(eddy__posted *queued) {
  eddy_promise *p = eddy__container_of(queued, eddy_promise, queued);
  lua_State *L = p->loop->rt->L;
  int top = lua_gettop(L);
  if (!atomic_load(&p->settled) && eddy__runtime_pcall(p->loop->rt, l_keep, p) != LUA_OK &&
      !atomic_load(&p->settled)) { /* what push has raised is the error */
    lua_pushcfunction(L, l_fail);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, p);
    lua_insert(L, -2);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) eddy__report_last_resort(L, -1);
  }
  lua_settop(L, top);
  drop_promise(queued);
}

static void on_kept(eddy__mail *mail, eddy__loop *loop) {
  eddy_promise *p = (eddy_promise *)mail;
  p->queued.run = run_promise;
  p->queued.drop = drop_promise;
  if (loop != NULL && !atomic_load(&p->settled))
    eddy__post_ready(loop, &p->queued);
  else
    drop_promise(&p->queued);
}

static int keep(eddy_promise *p, int (*push)(lua_State *L, void *data), void *data, bool fails) {
  p->push = push;
  p->data = data;
  p->fails = fails;
  p->mail.deliver = on_kept;
  if (eddy__mailbox_post(p->box, &p->mail)) return EDDY_OK;
  if (push != NULL) push(NULL, data);
  release(p);
  return EDDY_MISUSE;
}

EDDY_API int eddy_promise_resolve(eddy_promise *p, int (*push)(lua_State *L, void *data), void *data) {
  return keep(p, push, data, false);
}

EDDY_API int eddy_promise_reject(eddy_promise *p, int (*push)(lua_State *L, void *data), void *data) {
  return keep(p, push, data, true);
}

EDDY_API int eddy_promise_cancelled(eddy_promise *p) { return atomic_load(&p->settled); }
