/* SPDX-License-Identifier: MIT */
/*
 * code.h - functions that are called again and again in other threads: packed once, unpacked once in each.
 * Owns:   eddy__code, which the state that has packed it and the calls of it count.
 * Uses:   move.h.      Used by: call.c, worker.c.
 * Touch:  freely. Only functions without a state of their own are kept: no upvalues but the globals.
 */
#ifndef EDDY_THREADS_CODE_H
#define EDDY_THREADS_CODE_H

#include <lua.h>
#include <stdbool.h>

typedef struct eddy__code eddy__code;

/* The code of the function at idx, which keeps it; NULL if it is no function that can be kept. Raises what packing
 * raises.   [-0, +0, v] */
eddy__code *eddy__code_of(lua_State *L, int idx, const char *who);
eddy__code *eddy__code_retain(eddy__code *code); /* NULL is fine */
void eddy__code_release(eddy__code *code);

/* In the other state: pushes its function. The second one does so if it is there already, else it pushes nothing and
 * returns false.   [-0, +1, e] and [-0, +(0|1), -] */
void eddy__code_push(lua_State *L, eddy__code *code);
bool eddy__code_push_loaded(lua_State *L, const eddy__code *code);

#endif
