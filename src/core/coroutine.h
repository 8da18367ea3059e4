/* SPDX-License-Identifier: MIT */
/*
 * coroutine.h - async functions and the Coroutine objects that calling them makes.
 * Owns:   eddy__coroutine, a userdata whose user value is the function with its arguments.
 * Uses:   task.h.      Used by: wait.c, task.c, runner.c.
 * Touch:  freely.
 */
#ifndef EDDY_CORE_COROUTINE_H
#define EDDY_CORE_COROUTINE_H

#include "core/task.h"

typedef struct eddy__coroutine eddy__coroutine;
extern const eddy__type eddy__type_coroutine;

/* If the function at idx is an async function, puts the function that it wraps in its place.   [-0, +0, -] */
void eddy__coroutine_unwrap(lua_State *L, int idx);

/* Marks the Coroutine at idx as started and pushes its function and arguments; returns how many arguments. Raises
 * RuntimeError when it was started before.   [-0, +(1+n), v] */
int eddy__coroutine_start(lua_State *L, int idx);

/* Raises what eddy__coroutine_start would raise, and changes nothing.   [-0, +0, v] */
void eddy__coroutine_check(lua_State *L, int idx);

/* Whether the function at idx is an async function (calling it makes a Coroutine object).   [-0, +0, -] */
bool eddy__coroutine_function(lua_State *L, int idx);

/* Pops a function and pushes an async function that wraps it (its upvalue 2).   [-1, +1, m] */
void eddy__coroutine_wrap(lua_State *L);

/* The Coroutine at idx will never be started, and that is as it should be.   [-0, +0, -] */
void eddy__coroutine_abandon(lua_State *L, int idx);

/* Whether L is a thread that coro:send steps; sleep(0) gives way to the sender there.   [-0, +0, -] */
bool eddy__coroutine_stepping(lua_State *L, eddy__runtime *rt);

void eddy__coroutine_room(lua_State *L, eddy__runtime *rt);

#endif
