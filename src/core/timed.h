/* SPDX-License-Identifier: MIT */
/*
 * timed.h - async_timed: wraps any function, waiting or not, and logs how long it ran.
 * Owns:   nothing.
 * Uses:   loop.h.      Used by: eddy.c.
 * Touch:  freely.
 */
#ifndef EDDY_CORE_TIMED_H
#define EDDY_CORE_TIMED_H

#include "core/runtime.h"

void eddy__timed_room(lua_State *L, eddy__runtime *rt);

#endif
