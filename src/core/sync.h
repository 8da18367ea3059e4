/* SPDX-License-Identifier: MIT */
/*
 * sync.h - Lock, Semaphore, Event, Condition; and Barrier, in barrier.c.
 * Owns:   their userdata.
 * Uses:   line.h.      Used by: eddy.c.
 * Touch:  with care: see sync.c.
 */
#ifndef EDDY_CORE_SYNC_H
#define EDDY_CORE_SYNC_H

#include "core/line.h"

/* Open the rooms of sync.c and barrier.c.   [-0, +0, m] */
void eddy__sync_room(lua_State *L, eddy__runtime *rt);
void eddy__barrier_room(lua_State *L, eddy__runtime *rt);

#endif
