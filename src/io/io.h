/* SPDX-License-Identifier: MIT */
/*
 * io.h - the door of src/io: opens its rooms.
 * Uses:   all of io/.      Used by: eddy.c.
 * Touch:  a new room is one line in io.c.
 */
#ifndef EDDY_IO_IO_H
#define EDDY_IO_IO_H

#include <lua.h>

#include "core/runtime.h"

/* Adds the functions of all rooms to the module table at the top.   [-0, +0, m] */
void eddy__io_room(lua_State *L, eddy__runtime *rt);

#endif
