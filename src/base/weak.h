/* SPDX-License-Identifier: MIT */
/*
 * weak.h - tables that hold their keys or their values weakly.
 * Owns:   nothing.
 * Uses:   Lua.      Used by: args.c, error.c, object.c; rooms that note something about
 *         values without keeping them alive.
 * Touch:  freely. `mode` is that of Lua: "k" or "v".
 */
#ifndef EDDY_BASE_WEAK_H
#define EDDY_BASE_WEAK_H

#include <lua.h>

/* Pushes a new one.   [-0, +1, m] */
void eddy__weak_new(lua_State *L, const char *mode);

/* Pushes the one that a state has under `key` in the registry, made when it is first asked for.   [-0, +1, m] */
void eddy__weak_single(lua_State *L, const void *key, const char *mode);

#endif
