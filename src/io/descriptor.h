/* SPDX-License-Identifier: MIT */
/*
 * descriptor.h - descriptors as arguments: numbers, files of Lua's io, objects with a fileno.
 * Owns:   nothing.
 * Uses:   base/.      Used by: poller.c, process_options.c.
 * Touch:  freely.
 */
#ifndef EDDY_IO_DESCRIPTOR_H
#define EDDY_IO_DESCRIPTOR_H

#include <lua.h>

/* The descriptor of the value at arg; raises "bad argument" for what has none.   [-0, +0, e] */
int eddy__descriptor_check(lua_State *L, int arg);

/* The same for the value at idx; returns NULL, or what is wrong with it.   [-0, +(0|1), e] */
const char *eddy__descriptor_of(lua_State *L, int idx, int *fd);

#endif
