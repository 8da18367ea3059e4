/* SPDX-License-Identifier: MIT */
/*
 * threads.h - opens all rooms of threads/.
 * Uses:   the rooms.      Used by: eddy.c.
 * Touch:  freely.
 */
#ifndef EDDY_THREADS_THREADS_H
#define EDDY_THREADS_THREADS_H

#include "core/runtime.h"

/* Sets their functions in the module table at the top.   [-0, +0, m] */
void eddy__threads_room(lua_State *L, eddy__runtime *rt);

#endif
