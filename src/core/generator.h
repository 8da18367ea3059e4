/* SPDX-License-Identifier: MIT */
/*
 * generator.h - generator functions: a body that yields values and may wait between them.
 * Owns:   eddy__generator, a userdata whose user value is its coroutine; the list of those left open.
 * Uses:   nested.h.      Used by: teardown.c, eddy.c.
 * Touch:  freely.
 */
#ifndef EDDY_CORE_GENERATOR_H
#define EDDY_CORE_GENERATOR_H

#include "core/task.h"

/* Starts tasks that close the generators of the loop that were left open. Returns whether there were any, and pushes
 * the list of the tasks then.   [-0, +(0|1), m] */
bool eddy__generators_close(lua_State *L, eddy__loop *loop);

/* Pushes the coroutine of the generator at idx; nil if it is none.   [-0, +1, -] */
void eddy__generator_push_thread(lua_State *L, int idx);

/* Whether the function at idx is a generator function.   [-0, +0, -] */
bool eddy__generator_function(lua_State *L, int idx);

/* Pops a function and pushes a generator function with that body (its upvalue 2).   [-1, +1, m] */
void eddy__generator_wrap(lua_State *L);

void eddy__generator_room(lua_State *L, eddy__runtime *rt);

#endif
