/* SPDX-License-Identifier: MIT */
/*
 * nested.h - coroutines inside a task through which waiting passes: eddy.coroutine, and what generators stand on.
 * Owns:   nothing: a coroutine is its script's.
 * Uses:   task.h.      Used by: generator.c, eddy.c.
 * Touch:  with care: whoever resumes such a coroutine is suspended with it when it waits, and goes on with it.
 */
#ifndef EDDY_CORE_NESTED_H
#define EDDY_CORE_NESTED_H

#include "core/task.h"

/* So many resume each other by recursion: that is the fastest. Further in they hand over, and take no C stack. */
enum { EDDY_NESTED_DEEP = 16 };

enum { EDDY_NESTED_WAITS = 100, EDDY_NESTED_REFUSED }; /* beside LUA_OK, LUA_YIELD and Lua's errors */

/* Resumes co with the n values at its top, from a C function on L. Returns Lua's status with *nresults values on co, or
 * EDDY_NESTED_WAITS: co waits, with the task, or is resumed by somebody else for L; `return lua_yieldk(L, 0, ctx, k)`,
 * and k calls this again with n = 0 and `again`; or EDDY_NESTED_REFUSED: co waits, and belongs to another task.
 *   [-0, +0, m] */
int eddy__nested_resume(lua_State *L, eddy__runtime *rt, lua_State *co, int n, bool again, int *nresults);

/* Why no more coroutines can resume each other, or NULL: to be asked before a new eddy__nested_resume.  [-0, +0, -] */
const char *eddy__nested_check_chain(lua_State *L, eddy__runtime *rt);
static inline const char *eddy__nested_too_deep(lua_State *L, eddy__runtime *rt) {
  return rt->nest.depth < EDDY_NESTED_DEEP ? NULL : eddy__nested_check_chain(L, rt);
}

/* The first function of a coroutine: calls the function at 1 with what stands above it in a pcall, so that its <close>
 * variables are closed, and may wait, before the error goes on.   [-n, +m, y] */
int eddy__nested_body(lua_State *L);

/* Makes co raise the value at the top of L at its next instruction, wherever it was suspended.   [-1, +0, m] */
void eddy__nested_raise(lua_State *L, lua_State *co);

void eddy__nested_room(lua_State *L, eddy__runtime *rt);

#endif
