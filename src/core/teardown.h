/* SPDX-License-Identifier: MIT */
/*
 * teardown.h - the end of a loop: the tasks left are cancelled and awaited, then everything is closed.
 * Owns:   nothing but the order; docs/internals/teardown.md explains it.
 * Uses:   loop.h, task.h, cancel.h, report.h.      Used by: runner.c, embed.c.
 * Touch:  with care.
 */
#ifndef EDDY_CORE_TEARDOWN_H
#define EDDY_CORE_TEARDOWN_H

#include "core/loop.h"

/* Cancels the tasks left, in the order of their creation, also those made meanwhile, and turns the loop until they
 * have ended; then closes the loop. Never raises. Returns 0 or EDDY_INTERRUPT.   [-0, +0, -] */
int eddy__teardown(lua_State *L, eddy__loop *loop);

#endif
