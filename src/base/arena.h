/* SPDX-License-Identifier: MIT */
/*
 * arena.h - the memory of a Lua state that eddy makes itself: the command's, and those of its threads.
 * Owns:   all that Lua allocates in such a state; it goes with the state, in lua_close.
 * Uses:   Lua.      Used by: embed.c, threads/worker.c; drafts: io/.
 * Touch:  freely. Each arena belongs to the one thread that uses its state at a time: there are no locks.
 */
#ifndef EDDY_BASE_ARENA_H
#define EDDY_BASE_ARENA_H

#include <lua.h>
#include <stdbool.h>
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

/* A string that is received where it is going to be. Lua copies the bytes that it makes a string of; when they lie in
 * the very block that the arena gives it for that string, the copy is one onto itself, which memcpy leaves out. */
enum { EDDY_DRAFT_LEAST = 4096 };

typedef struct eddy__draft {
  char *block;  /* malloc's */
  char *bytes;  /* where to write in it, */
  size_t room;  /* so many at most */
} eddy__draft;

/* Finds out how a state with an arena lays long strings out: as Lua 5.4 does, a header, the text, a zero? There are no
 * drafts before, nor when it is otherwise.   [-0, +0, m] */
void eddy__draft_prepare(lua_State *L);

/* Gets memory for a long string of so many bytes and at least one more. Returns false where there is none, and in
 * states without an arena. It is not Lua's, so no finalizer runs.   [-0, +0, -] */
bool eddy__draft_begin(lua_State *L, size_t size, eddy__draft *d);

/* Whether the first n bytes are to be the string: it would waste the block if they are few. */
bool eddy__draft_is_full(const eddy__draft *d, size_t n);

/* Makes them the string: that needs no memory.   [-0, +1, -] */
void eddy__draft_push(lua_State *L, const eddy__draft *d, size_t n);

/* Gives the memory back.   [-0, +0, -] */
void eddy__draft_drop(lua_State *L, const eddy__draft *d);

typedef struct eddy__arena_sizes {
  size_t mapped; /* bytes asked of the system for small blocks, */
  size_t kept;   /* those of them that are in use, or were and have not been given back */
  size_t used;   /* those in slabs with a block in use */
} eddy__arena_sizes;
eddy__arena_sizes eddy__arena_measure(const eddy__arena *arena);

#endif
