/* SPDX-License-Identifier: MIT */
/*
 * debug.h - what debug mode tells: steps that take long, where tasks were made, cancellations that were swallowed.
 * Owns:   nothing. What it says goes to stderr, as who runs with EDDY_DEBUG=1 wants to read it.
 * Uses:   task.h.      Used by: task.c, callback.c, report.c, coroutine.c.
 * Touch:  freely. Off, it costs one test of a flag.
 */
#ifndef EDDY_CORE_DEBUG_H
#define EDDY_CORE_DEBUG_H

#include "core/task.h"

/* Notes where the running Lua function stands as the place where the task at idx was made.   [-0, +0, m] */
void eddy__debug_made(lua_State *L, int idx);

/* When a step begins, or 0 where nobody asks. */
static inline uint64_t eddy__debug_begin(const eddy__loop *loop) {
  return loop->is_debug ? uv_hrtime() : 0;
}

/* The step of a task that began at `start` is over: tells if it was slow. Never raises.   [-0, +0, -] */
void eddy__debug_step(eddy__task *task, uint64_t start);

/* The same for a callback whose function is at the top.   [-0, +0, m] */
void eddy__debug_callback(lua_State *L, eddy__loop *loop, uint64_t start);

/* The task at 1 has ended normally: tells if it was cancelled and nobody took that back.   [-0, +0, m] */
void eddy__debug_ended(lua_State *L, eddy__task *task);

#endif
