/* SPDX-License-Identifier: MIT */
/*
 * future.h - a result that comes later, and who waits for it.
 * Owns:   eddy__future, a userdata; its results are its user values.
 * Uses:   base/, loop.h.      Used by: task.c, wait.c, group.c, io/.
 * Touch:  settle() with care: waiters are told in the order in which they came.
 */
#ifndef EDDY_CORE_FUTURE_H
#define EDDY_CORE_FUTURE_H

#include "core/loop.h"

enum { EDDY_F_PENDING, EDDY_F_DONE, EDDY_F_FAILED, EDDY_F_CANCELLED }; /* states */

/* User values of futures and tasks. */
enum {
  EDDY_UV_VALUE = 1, /* the result; or a table of results when they are several; or the error. While pending: the
                        CancelledError that a cancel(msg) has asked for */
  EDDY_UV_EXTRA,     /* nil, or a table: what most futures do not have, under the keys below */
  EDDY_UV_COUNT = EDDY_UV_EXTRA,
  EDDY_UV_START      /* of a task that has not begun: its function; behind it, its arguments */
};
enum {
  EDDY_EX_NAME = 1,  /* of a task, once it was set */
  EDDY_EX_CAUSE,     /* the future whose error this one's body was given last */
  EDDY_EX_TRACEBACK, /* of the error */
  EDDY_EX_RAISED,    /* the error value that EX_TRACEBACK belongs to */
  EDDY_EX_SENTINEL,  /* reports the error, if nobody looks at it, when the future is collected */
  EDDY_EX_BODY,      /* of a task: the Coroutine that it runs, or the function */
  EDDY_EX_CONTEXT,   /* of a task: its snapshot, when a variable was set */
  EDDY_EX_AT,        /* of a task: the thread of a coroutine in which it waits, or has waited */
  EDDY_EX_MADE_AT,   /* in debug mode: where the task was made: "app.lua:3" */
  EDDY_EX_AWAITED_AT, /* where the cause was awaited: "app.lua:12" */
  EDDY_EX_CHAIN       /* of a task: its coroutines that have handed over to another; see nested.c */
};

/* Somebody who is told when a future settles. Lives in a suspended task's frame, or in a userdata that unlinks it. */
typedef struct eddy__waiter {
  eddy__list link;
  void (*on_settled)(struct eddy__waiter *w, eddy__future *f); /* never raises */
  void *owner;
} eddy__waiter;

struct eddy__future {
  eddy__loop *loop;
  eddy__list waiters;
  uint32_t generation;  /* of the loop's record: see eddy__future_loop */
  uint32_t order;       /* of settling: which of two completed first */
  int nresults;
  uint8_t state;
  bool is_task;
  bool retrieved;       /* somebody has looked at the error, or never will need to */
  bool armed : 1;       /* with a sentinel: counted in rt->unretrieved until it is retrieved or collected */
  bool is_listed : 1;   /* while a list is searched for what is named twice */
};

extern const eddy__type eddy__type_future, eddy__type_task;

static inline bool eddy__future_pending(const eddy__future *f) { return f->state == EDDY_F_PENDING; }

/* Whether a has settled before b; right as long as no more than 2^31 others have in between. */
static inline bool eddy__future_before(const eddy__future *a, const eddy__future *b) {
  return (int32_t)(a->order - b->order) < 0;
}

/* The loop, or NULL if it was closed. */
static inline eddy__loop *eddy__future_loop(const eddy__future *f) {
  return f->generation == f->loop->generation && f->loop->is_open ? f->loop : NULL;
}

/* Sets up a future in memory of a new userdata.   [-0, +0, -] */
void eddy__future_init(eddy__future *f, eddy__loop *loop);

/* A new pending future, for a room that will settle it.   [-0, +1, m] */
eddy__future *eddy__future_new(lua_State *L, eddy__loop *loop);

/* The future or task at idx, or NULL.   [-0, +0, -] */
eddy__future *eddy__future_test(lua_State *L, int idx);
eddy__future *eddy__future_check(lua_State *L, int arg);

/* Settles it: the n values at the top of L become its results.   [-n, +0, m]; n < 2: [-n, +0, -] */
void eddy__future_resolve(lua_State *L, eddy__future *f, int idx, int n);

/* Settles it with the error at the top of L, cancelled or failed after its class. With nobody to look at it, the
 * error is reported when the future is collected; making that sentinel needs memory, so `m` may be raised, but
 * only after the future has settled.   [-1, +0, m] */
void eddy__future_fail(lua_State *L, eddy__future *f, int idx);

/* Settles a future that is cancelled; err is the index of its CancelledError or 0 (made when somebody asks).
 *   [-0, +0, -] */
void eddy__future_cancelled(lua_State *L, eddy__future *f, int idx, int err);

/* Changes the state and tells the waiters; the values are in place.   [-0, +0, -] */
void eddy__future_settle(eddy__future *f, uint8_t state);

/* Pushes the results of the done future at idx, or raises its error; either counts as having looked.
 *   [-0, +n, v] */
int eddy__future_results(lua_State *L, eddy__future *f, int idx);

/* Pushes the first result (nil if none).   [-0, +1, -] */
void eddy__future_first(lua_State *L, eddy__future *f, int idx);

/* Pushes the error of a failed or cancelled one; counts as having looked.   [-0, +1, m] */
void eddy__future_error(lua_State *L, eddy__future *f, int idx);

/* Somebody has looked at the error, or it is known not to matter. */
void eddy__future_retrieved(eddy__future *f);

/* Pushes the table of extras, made if need be; or pushes one of them (nil).   [-0, +1, m] and [-0, +1, -] */
void eddy__future_extras(lua_State *L, int idx);
void eddy__future_extra(lua_State *L, int idx, int key);
/* Sets one to the value at the top.   [-1, +0, m] */
void eddy__future_set_extra(lua_State *L, int idx, int key);

/* Starts telling w. */
static inline void eddy__future_watch(eddy__future *f, eddy__waiter *w) {
  eddy__list_push(&f->waiters, &w->link);
}

void eddy__future_room(lua_State *L, eddy__runtime *rt);

#endif
