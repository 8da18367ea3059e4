/* SPDX-License-Identifier: MIT */
/*
 * noreturn.h - what raises does not return, and compilers and analysers know it.
 * Owns:   nothing.
 * Uses:   Lua.      Used by: args.h, error.h.
 * Touch:  freely. Lua's functions are declared once more, with what its own headers leave out.
 */
#ifndef EDDY_BASE_NORETURN_H
#define EDDY_BASE_NORETURN_H

#include <lauxlib.h>
#include <lua.h>

#ifdef __GNUC__
#define EDDY_NORETURN __attribute__((noreturn, cold))
int lua_error(lua_State *L) EDDY_NORETURN;
int luaL_error(lua_State *L, const char *format, ...) EDDY_NORETURN;
int luaL_argerror(lua_State *L, int arg, const char *text) EDDY_NORETURN;
#else
#define EDDY_NORETURN
#endif

#endif
