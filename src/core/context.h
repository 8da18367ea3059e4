/* SPDX-License-Identifier: MIT */
/*
 * context.h - ContextVar, and the context that each task runs in.
 * Owns:   snapshots: Lua tables from variable to value that never change once they are made, so that "a copy of the
 *         creator's context" is one more reference to the same table, and nothing at all where no variable was set.
 * Uses:   future.h, task.h.      Used by: task.c, callback.c, runner.c, report.c.
 * Touch:  freely.
 */
#ifndef EDDY_CORE_CONTEXT_H
#define EDDY_CORE_CONTEXT_H

#include "core/task.h"

/* User values of a ContextVar. */
enum { EDDY_VAR_NAME = 1, EDDY_VAR_DEFAULT };

/* Whether the value at idx is a ContextVar; pushes a new one without name and default.   [-0, +0, -] and [-0, +1, m] */
bool eddy__context_is_var(lua_State *L, int idx);
void eddy__context_new_var(lua_State *L);

/* Pushes the snapshot that the running code sees, or nil: that of its task, else that of its callback, else that of the
 * code outside of all loops.   [-0, +1, -] */
void eddy__context_push(lua_State *L, eddy__runtime *rt);

/* Makes the snapshot (or nil) at the top the running code's.   [-1, +0, m] */
void eddy__context_enter(lua_State *L, eddy__runtime *rt);

/* The task at idx begins with the running code's snapshot.   [-0, +0, m] */
void eddy__context_inherit(lua_State *L, eddy__runtime *rt, int idx);

/* Pushes the snapshot of the task at idx, or nil.   [-0, +1, -] */
void eddy__context_of(lua_State *L, int idx);

/* Outside of tasks: makes the snapshot at the top the ambient one and leaves the one before in its place.
 *   [-1, +1, -] */
void eddy__context_swap(lua_State *L);

/* Pushes a table of the running context's variables, from names to values, which may serve as a context in another
 * state; or nothing if there are none (false).   [-0, +(0|1), m] */
bool eddy__context_export(lua_State *L, eddy__runtime *rt);

void eddy__context_room(lua_State *L, eddy__runtime *rt);

#endif
