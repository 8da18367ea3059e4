/* SPDX-License-Identifier: MIT */
/*
 * sleep.h - eddy.sleep: the simplest wait, and the pattern for all others.
 * Owns:   nothing: a task waits for one thing, so its own timer serves.
 * Uses:   task.h.      Used by: eddy.c.
 * Touch:  freely.
 */
#ifndef EDDY_CORE_SLEEP_H
#define EDDY_CORE_SLEEP_H

#include "core/task.h"

void eddy__sleep_room(lua_State *L, eddy__runtime *rt);

#endif
