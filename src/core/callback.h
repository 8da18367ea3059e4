/* SPDX-License-Identifier: MIT */
/*
 * callback.h - a function that the loop calls, once: call_soon, call_later, done callbacks; the Handle.
 *         Or for each event: signal handlers, readers, writers.
 * Owns:   eddy__callback, a userdata that the loop anchors until it has run or is cancelled.
 * Uses:   loop.h, future.h, report.h.      Used by: loop_object.c, future.c, io/.
 * Touch:  freely. A callback cannot wait; what it raises goes to the exception handler.
 */
#ifndef EDDY_CORE_CALLBACK_H
#define EDDY_CORE_CALLBACK_H

#include "core/future.h"

/* Makes a Handle of the function at idx (absolute) and the values above it, which it pops with the function, and
 * pushes it; it is anchored. Then one of the following queues it.   [-n, +1, m] */
typedef struct eddy__callback eddy__callback;
eddy__callback *eddy__callback_new(lua_State *L, eddy__loop *loop, int idx);

void eddy__callback_soon(eddy__callback *cb);
/* Raises for memory, and lets go of it then.   [-0, +0, m] */
void eddy__callback_at(lua_State *L, eddy__callback *cb, uint64_t deadline);
void eddy__callback_when_done(eddy__callback *cb, eddy__future *f);

/* It will be called for each event, until it is cancelled, and stays anchored. An event comes: it is queued; when it is
 * queued already, that is enough, or it is called once more for each event. */
void eddy__callback_repeat(eddy__callback *cb);
void eddy__callback_event(eddy__callback *cb, bool counted);
/* The last event of all: it is called once more, and let go then. */
void eddy__callback_last(eddy__callback *cb);

/* Takes it out of wherever it is; twice is fine. */
void eddy__callback_cancel(eddy__callback *cb);

/* Removes the done callbacks of f whose function is the value at idx; returns how many.   [-0, +0, -] */
int eddy__callback_remove(lua_State *L, eddy__future *f, int idx);

/* The loop closes: unlinks its callbacks from futures and lets them go.   [-0, +0, -] */
void eddy__callbacks_forget(lua_State *L, eddy__loop *loop);

void eddy__callback_room(lua_State *L, eddy__runtime *rt);

#endif
