/* SPDX-License-Identifier: MIT */
/*
 * report.h - errors that nobody takes, and how an error's story is told: tracebacks with the chain of awaits.
 * Owns:   the sentinels that report an error nobody has looked at.
 * Uses:   future.h, task.h.      Used by: loop.c, task.c, runner.c, embed.c.
 * Touch:  freely. Nothing here exits or aborts; a failing exception handler falls back to the default one.
 */
#ifndef EDDY_CORE_REPORT_H
#define EDDY_CORE_REPORT_H

#include "core/task.h"

/* Calls the exception handler of the loop (or writes to stderr, when there is none or it fails) with
 * { message=, exception=, <kind>= }. `exception` and `object` are stack indices or 0; kind names the object:
 * "task", "future", "handle". Never raises but for memory.   [-0, +0, m] */
void eddy__report(lua_State *L, eddy__loop *loop, const char *message, int exception,
                  const char *kind, int object);

/* Reports the error of a failed task for which no sentinel could be made. Never raises.   [-0, +0, -] */
void eddy__report_unarmed(lua_State *L, eddy__task *task);

/* Calls the handler with the context table at the top.   [-1, +0, m] */
void eddy__report_context(lua_State *L, eddy__loop *loop);

/* Reports the failed future at idx, which nobody awaits, at once: the loop is ending.   [-0, +0, m] */
void eddy__report_at_end(lua_State *L, eddy__future *f, int idx);

/* Pushes the DeadlockError that lists the tasks of the loop; or gives it to the exception handler.
 *   [-0, +1, m] and [-0, +0, -] */
void eddy__report_push_deadlock(lua_State *L, eddy__loop *loop);
void eddy__report_deadlock(eddy__loop *loop);

/* When even a report cannot be made: a line on stderr, without memory.   [-0, +0, -] */
void eddy__report_last_resort(lua_State *L, int idx);

/* The whole story of the error of the failed future at idx: its text, its traceback, the chain of awaits.
 *   [-0, +1, m] */
const char *eddy__report_story(lua_State *L, int idx);

/* Hangs a sentinel on the failed future at idx.   [-0, +0, m] */
void eddy__report_arm(lua_State *L, eddy__future *f, int idx);

void eddy__report_room(lua_State *L, eddy__runtime *rt);

#endif
