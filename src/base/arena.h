/* SPDX-License-Identifier: MIT */
/*
 * arena.h - the memory of a Lua state that eddy makes itself: the command's, and those of its threads.
 * Owns:   all that Lua allocates in such a state; it goes with the state, in lua_close.
 * Uses:   Lua.      Used by: embed.c, threads/worker.c.
 * Touch:  freely. Each arena belongs to the one thread that uses its state at a time: there are no locks.
 */
#ifndef EDDY_BASE_ARENA_H
#define EDDY_BASE_ARENA_H

#include <lua.h>
#include <stddef.h>

typedef struct eddy__arena eddy__arena;

/* What luaL_newstate makes, with an arena instead of malloc. Plain luaL_newstate where an arena would hide faults (the
 * sanitizers, EDDY_ARENA=OFF) or where it has not been built (Windows). NULL: no memory. */
lua_State *eddy__arena_newstate(void);

/* The parts of it, for its spec. */
eddy__arena *eddy__arena_new(void);
void eddy__arena_free(eddy__arena *arena);

/* The block of a Lua state: when it is freed, which lua_close does last, the arena goes too. */
void eddy__arena_own(eddy__arena *arena, const void *state);

/* A lua_Alloc. A request that it cannot meet gives NULL and changes nothing; to make a block smaller never fails. */
void *eddy__arena_alloc(void *arena, void *block, size_t osize, size_t nsize);

typedef struct eddy__arena_sizes {
  size_t mapped; /* bytes asked of the system for small blocks, */
  size_t kept;   /* those of them that are in use, or were and have not been given back */
  size_t used;   /* those in slabs with a block in use */
} eddy__arena_sizes;
eddy__arena_sizes eddy__arena_measure(const eddy__arena *arena);

#endif
