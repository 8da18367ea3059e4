/* SPDX-License-Identifier: MIT */
/*
 * stack.h - where a task stands: the frames of its own thread and of the coroutines inside it that it waits or runs in.
 * Owns:   nothing.
 * Uses:   task.h, nested.h, generator.h.      Used by: task.c, call_graph.c.
 * Touch:  freely. It looks at threads, and changes none.
 */
#ifndef EDDY_CORE_STACK_H
#define EDDY_CORE_STACK_H

#include "core/task.h"

/* Pushes a list of tables as debug.getinfo makes them, one for each Lua function that the task is in, innermost first;
 * not more than `limit`.   [-0, +1, m] */
void eddy__stack_push_frames(lua_State *L, eddy__task *task, lua_Integer limit);

/* luaL_traceback, but for thousands of nested calls: to find the outermost of those takes it seconds, as Lua goes from
 * call to call for each. They are left out.   [-0, +1, m] */
void eddy__stack_traceback(lua_State *L, lua_State *co, int level);

/* Pushes the traceback of a task that has begun and not ended. `level`: how many functions of its innermost thread are
 * left out.   [-0, +1, m] */
void eddy__stack_push_traceback(lua_State *L, eddy__task *task, int level);

/* Opens the room: task:get_stack, print_stack, traceback.   [-0, +0, m] */
void eddy__stack_room(lua_State *L, eddy__runtime *rt);

#endif
