/* SPDX-License-Identifier: MIT */
/*
 * repl.h - the two halves of the `eddy` command: main.c, which runs things, and repl.c, the prompt.
 * Uses:   eddy.h alone, as any host.      Used by: main.c, repl.c.
 * Touch:  freely.
 */
#ifndef EDDY_REPL_H
#define EDDY_REPL_H

#include <lua.h>

#include "eddy.h"

/* The version of eddy and of the Lua that it was built for. */
#define EDDY__BANNER "eddy " EDDY_VERSION ", " LUA_RELEASE

/* In main.c: runs the function under its nargs arguments at the top of L as a task, to its end; an error is shown.
 * Returns the exit status that follows: 0, 1 or 130.   [-(nargs+1), +0, m] */
int eddy__command_run(lua_State *L, eddy_loop *loop, int nargs);

/* In main.c: shows the error at idx, or of the Task there, on standard error.   [-0, +0, m] */
void eddy__command_complain(lua_State *L, int idx);

/* In repl.c: reads, runs and prints until standard input ends; the loop turns meanwhile.   [-0, +0, m] */
void eddy__prompt_run(lua_State *L, eddy_loop *loop);

#endif
