/* SPDX-License-Identifier: MIT */
/*
 * cancel.h - how a request to stop reaches a task; timeout scopes, move_on_after, shield, eddy.pcall.
 * Owns:   eddy__timeout, the userdata of a scope.
 * Uses:   task.h, timer.h.      Used by: wait.c, group.c, io/.
 * Touch:  with care: docs/internals/suspend-wake-cancel.md tells the whole story.
 */
#ifndef EDDY_CORE_CANCEL_H
#define EDDY_CORE_CANCEL_H

#include "core/task.h"

/* A request on its way. Tasks that wait are put on a list and asked one after the other, so that a chain of a
 * hundred thousand of them needs no stack. */
struct eddy__cancelling {
  lua_State *L; /* where values can be pushed: 4 free slots */
  int err;      /* index of the CancelledError on L, or 0: made by each task when it is delivered */
  eddy__ready *first, **last;     /* to be asked */
  eddy__ready *asked, **last_asked; /* were asked: what they wait for may lead back to them */
  bool came_back;                   /* to somebody who was asked: perhaps they wait for each other in a ring */
  bool probing;                     /* nobody is asked again: it is only looked who waits for whom */
  eddy__task *fresh, *on_path;      /* found then: somebody who was not looked at yet; somebody who leads here */
};

/* Asks f, whose object is at idx on L (0 if it is not there: then err must be 0), to stop. err is the index of the
 * CancelledError to deliver, or 0. Returns false if f was done. Never raises if L has 8 free slots.  [-0, +0, -] */
bool eddy__cancel(lua_State *L, eddy__future *f, int idx, int err);

/* The same in parts, for several futures: begin, eddy__cancel_pass for each, finish. */
void eddy__cancel_begin(eddy__cancelling *c, lua_State *L, int err);
void eddy__cancel_finish(eddy__cancelling *c);

/* From a wait's cancel: asks f as well; idx as above. Returns false if f was done. */
bool eddy__cancel_pass(eddy__cancelling *c, eddy__future *f, int idx);

/* A task that suspends although it was asked to stop: asks its new wait at once.   [-0, +0, -] */
void eddy__cancel_now(lua_State *L, eddy__task *task);

/* The request that most waits use: undo_ has unlinked what it had linked; then this. */
#define eddy__cancel_wait(task) ((void)eddy__task_wake((task), EDDY_WAKE_CANCEL))

/* Pushes a CancelledError without a message; whether the value at idx is a CancelledError. They are what these two of
 * error.h do, without a search in the registry.   [-0, +1, m] and [-0, +0, -] */
void eddy__cancelled_push(lua_State *L, const eddy__runtime *rt);
bool eddy__cancelled_is(lua_State *L, const eddy__runtime *rt, int idx);

/* Takes one request back; at 0 an undelivered one is dropped. Returns how many are left. */
int eddy__uncancel(eddy__task *task);

/* Pushes a timeout scope of the running task: a userdata with __close.   [-0, +1, m] */
typedef struct eddy__timeout eddy__timeout;
eddy__timeout *eddy__timeout_push(lua_State *L, eddy__task *task, uint64_t deadline);

/* Makes the scope at 1 close with the running C function, also when a script closes the coroutine, whoever does.
 *   [-0, +0, m] */
void eddy__timeout_hold(lua_State *L);

/* Ends the scope; returns whether its error, a CancelledError, is to become a TimeoutError.   [-0, +0, -] */
bool eddy__timeout_end(lua_State *L, eddy__timeout *t, int err);

/* Whether time has run out for the task, and its CancelledError may become a TimeoutError. */
bool eddy__timeouts_expire(const eddy__task *task);

/* The task ends: warns if it has not closed a timeout, and leaves it.   [-0, +0, -] */
void eddy__timeouts_forgotten(eddy__task *task);

/* The task ends, or its loop: timeouts that it has not closed run out no more.   [-0, +0, -] */
void eddy__timeouts_leave(eddy__task *task);

/* A continuation that returns what the called function has returned, from index ctx + 1 up.   [-0, +n, -] */
int eddy__k_return(lua_State *L, int status, lua_KContext ctx);

void eddy__cancel_room(lua_State *L, eddy__runtime *rt);

#endif
