/* SPDX-License-Identifier: MIT */
/*
 * buffer.h - eddy.buffer: bytes that can be changed, and that move to another state without being copied.
 * Owns:   the userdata, and blocks of bytes that several of them, in any state, may share.
 * Uses:   base/, move.h.      Used by: move_pack.c, move_unpack.c, threads.c.
 * Touch:  freely. A block is never changed while more than one holds it: who writes makes a copy of his own first.
 *         So a buffer that moved is a copy like every other value, and threads never see each other's writes.
 */
#ifndef EDDY_THREADS_BUFFER_H
#define EDDY_THREADS_BUFFER_H

#include <lua.h>
#include <stdatomic.h>
#include <stddef.h>

#include "core/runtime.h"
#include "threads/move.h"

typedef struct eddy__block {
  atomic_uint holders;
  size_t size;
  char bytes[];
} eddy__block;

/* What the userdata begins with is a pointer to its block. */
extern const eddy__shareable eddy__buffer_shareable;

/* Pushes a new buffer with these bytes, or with zeros if `bytes` is NULL.   [-0, +1, m] */
eddy__block *eddy__buffer_new(lua_State *L, const char *bytes, size_t size);

/* The block of the buffer at idx, or NULL.   [-0, +0, -] */
eddy__block *eddy__buffer_test(lua_State *L, int idx);

/* Opens the room: sets eddy.buffer in the table at the top.   [-0, +0, m] */
void eddy__buffer_room(lua_State *L, eddy__runtime *rt);

#endif
