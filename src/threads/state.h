/* SPDX-License-Identifier: MIT */
/*
 * state.h - the Lua state of a thread: made to be like the one that it works for.
 * Owns:   eddy__setup, which pools count.
 * Uses:   core/.      Used by: pool.c, worker.c.
 * Touch:  freely.
 */
#ifndef EDDY_THREADS_STATE_H
#define EDDY_THREADS_STATE_H

#include "core/runtime.h"

/* What a new state takes over: package.path and cpath, the C functions of package.preload, whether `eddy` is a
 * global. */
typedef struct eddy__setup eddy__setup;

/* A copy of a text, for malloc's free; NULL for NULL, and without memory. */
char *eddy__text_copy(const char *text);

/* Looks at this state. Raises for lack of memory.   [-0, +0, m] */
eddy__setup *eddy__setup_new(lua_State *L);
void eddy__setup_free(eddy__setup *setup);

/* Prepares a new state: standard libraries, eddy, coroutines in which one can wait, no os.exit.   [-0, +0, e] */
void eddy__setup_open(lua_State *L, const eddy__setup *setup);

#endif
