/* SPDX-License-Identifier: MIT */
/*
 * queue.h - Queue, LifoQueue, PriorityQueue.
 * Owns:   the userdata of a queue; its items stand in a Lua table that it keeps.
 * Uses:   line.h.      Used by: eddy.c.
 * Touch:  with care: see queue.c.
 */
#ifndef EDDY_CORE_QUEUE_H
#define EDDY_CORE_QUEUE_H

#include "core/line.h"

void eddy__queue_room(lua_State *L, eddy__runtime *rt);

#endif
