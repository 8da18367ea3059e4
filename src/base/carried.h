/* SPDX-License-Identifier: MIT */
/*
 * carried.h - the modules that are written in Lua, lua/eddy/NAME.lua: they travel inside the library.
 * Uses:   Lua alone.      Used by: eddy.c, and the rooms whose functions go on in Lua.
 * Touch:  freely. A new file in lua/eddy is found by the build.
 */
#ifndef EDDY_CARRIED_H
#define EDDY_CARRIED_H

#include <lua.h>
#include <stdbool.h>

/* Lets require find the modules as "eddy.NAME", whatever package.path says. Many times in one state is fine.
 * [-0, +0, m] */
void eddy__carried_open(lua_State *L);

/* Pushes what require "eddy.NAME" returns.   [-0, +1, e] */
void eddy__carried_require(lua_State *L, const char *name);

/* Whether the text begins with the name of such a file, as the lines of tracebacks have it. */
bool eddy__carried_is(const char *path);

/* Whether a frame, of which "Sl" is known, is one of eddy's own, C or Lua: where a user has no business. */
bool eddy__carried_frame(const lua_Debug *ar);

#endif
