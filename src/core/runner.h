/* SPDX-License-Identifier: MIT */
/*
 * runner.h - run and Runner: a loop, a main task, and an orderly end.
 * Uses:   all of core/.      Used by: eddy.c, embed.c.
 * Touch:  freely.
 */
#ifndef EDDY_CORE_RUNNER_H
#define EDDY_CORE_RUNNER_H

#include "core/loop.h"

/* Turns the loop until the task at idx has settled, with SIGINT handled when `sigint` is true: the first cancels the
 * task, the second leaves at once. Never raises. Returns 0 when it has settled; else pushes the error that ends the
 * run (Interrupted, DeadlockError) and returns its EDDY_ code.   [-0, +(0|1), -] */
int eddy__runner_drive(lua_State *L, eddy__loop *loop, int idx, bool sigint);

/* eddy__teardown with SIGINT handled: one is enough to leave the tasks where they are.   [-0, +0, -] */
int eddy__runner_end(lua_State *L, eddy__loop *loop);

void eddy__runner_room(lua_State *L, eddy__runtime *rt);

#endif
