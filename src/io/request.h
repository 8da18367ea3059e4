/* SPDX-License-Identifier: MIT */
/*
 * request.h - one operation under way in libuv, and the task that waits for it.
 * Owns:   the request, in malloc'd memory that outlives a waiter that is cancelled: a userdata on the stack of the
 *         suspended task owns it until the task gives up, then its own callback.
 * Uses:   core/cancel.h.      Used by: job.c, dns.c.
 * Touch:  with care. A late result is freed by `release`, which must close and free all that the request holds.
 */
#ifndef EDDY_IO_REQUEST_H
#define EDDY_IO_REQUEST_H

#include <stdatomic.h>

#include "core/cancel.h"

typedef struct eddy__request {
  eddy__loop *loop;
  eddy__task *task;           /* has made it; NULL: it was given up */
  eddy__list tasks;           /* the task, while it waits for it, by its waiter */
  struct eddy__request **box; /* the userdata that owns it; NULL: it owns itself */
  uv_req_t *uv;               /* lies in the same memory; NULL: it is not libuv's, and can be given up at any time */
  void (*release)(struct eddy__request *r);
  bool is_done;
  atomic_bool is_abandoned; /* it was given up while it was under way: a thread that works on it may stop */
} eddy__request;

/* Pushes a userdata that will own a request.   [-0, +1, m] */
eddy__request **eddy__request_box(lua_State *L);

/* The box at the top takes the request, which is not under way yet. `r` may be NULL: then it raises ENOMEM.
 *   [-0, +0, v] */
void eddy__request_own(lua_State *L, eddy__request *r, uv_req_t *uv, eddy__task *task,
                       void (*release)(eddy__request *r));

/* Wakes the task at that time, if it is still suspended then. To be called before libuv has the request; whoever does
 * not come to suspend stops the timer, as does whoever runs again.   [-0, +0, v] */
void eddy__request_deadline(lua_State *L, eddy__task *task, uint64_t deadline);

/* libuv has accepted the request whose box is at the top: suspends the task; `return` its result.   [-0, +0, y] */
int eddy__request_wait(lua_State *L, eddy__request *r, const eddy__wait *wait, lua_KFunction k);

/* The `cancel` of such a wait: stops the request if it has not started; a late result is released. */
void eddy__request_cancel(eddy__task *task, eddy__cancelling *request);

/* libuv's callback for r calls this last. */
void eddy__request_done(eddy__request *r);

/* In k_: the request whose box is at the top, done; or NULL if the task was woken by something else (its timer), and
 * then the request is given up. Raises CancelledError after having released it.   [-0, +0, v] */
eddy__request *eddy__request_take(lua_State *L, eddy__task *task);

/* The result has been used: releases a request that is done. */
void eddy__request_end(eddy__request *r);

/* The box at the top has served: releases what it owns.   [-1, +0, -] */
void eddy__request_pop(lua_State *L);

#endif
