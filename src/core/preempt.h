/* SPDX-License-Identifier: MIT */
/*
 * preempt.h - tasks that compute for long give way by themselves: the option `preempt` of a loop.
 * Owns:   a count hook on the threads that such a loop's tasks run on.
 * Uses:   task.h.      Used by: task.c, nested.c.
 * Touch:  with care: it suspends a task between two instructions. Off, it costs one test of a flag for each step.
 */
#ifndef EDDY_CORE_PREEMPT_H
#define EDDY_CORE_PREEMPT_H

#include "core/task.h"

/* A step of the task begins, or goes on, on its thread or coroutine co, in a loop that preempts.   [-0, +0, -] */
void eddy__preempt_begin(eddy__task *task, lua_State *co);
void eddy__preempt_go_on(eddy__task *task, lua_State *co);

/* Whether the thread is that of a task, or inside one, that has given way and has not gone on.   [-0, +0, -] */
bool eddy__preempt_holds(lua_State *co);

/* A new loop is to preempt tasks that compute for so many seconds. */
void eddy__preempt_set(eddy__loop *loop, double seconds);

#endif
