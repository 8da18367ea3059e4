/* SPDX-License-Identifier: MIT */
/*
 * signal.h - signals as something to wait for: eddy.signals, loop:add_signal_handler; their names.
 * Owns:   listeners: a handle that is woken from the signal handler, and what it has caught.
 * Uses:   core/disposition.h, core/callback.h, core/select.h, handle.h, park.h.      Used by: io.c, process.c.
 * Touch:  freely.
 */
#ifndef EDDY_IO_SIGNAL_H
#define EDDY_IO_SIGNAL_H

#include "core/runtime.h"

/* The number of the signal at idx, a name ("SIGTERM") or a number; raises "bad argument" for anything else.
 *   [-0, +0, v] */
int eddy__signal_check(lua_State *L, int arg);

/* The name of a signal; NULL if it has none. */
const char *eddy__signal_name(int number);

void eddy__signal_room(lua_State *L, eddy__runtime *rt);

#endif
