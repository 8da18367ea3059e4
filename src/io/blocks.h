/* SPDX-License-Identifier: MIT */
/*
 * blocks.h - a pool of 64 KiB blocks to receive into, shared by all streams and files of a state.
 * Owns:   the blocks; the pool is a userdata that the registry keeps to the end of the state.
 * Uses:   Lua.      Used by: input.c.
 * Touch:  freely. Fresh memory for each read would be given back to the kernel and faulted in again.
 *
 * They are Lua's memory, so that the collector knows of them. It runs when the heap has grown by a part of its size: in
 * a small server that would be after every second message of 16 KiB, and each run looks at all coroutines.
 */
#ifndef EDDY_IO_BLOCKS_H
#define EDDY_IO_BLOCKS_H

#include <lua.h>

enum { EDDY_BLOCK_SIZE = 65536, EDDY_BLOCKS_KEPT = 32, EDDY_BLOCKS_LENT = 64 };

typedef struct eddy__blocks {
  char *kept[EDDY_BLOCKS_KEPT];
  int n;         /* how many are in `kept` */
  int lent;      /* how many are out */
  int own;       /* how many are in `memory`; others are malloc's, and not kept */
  void *ready;   /* stream_read.c's: the stream that had something to read last, or NULL */
  char memory[]; /* not touched before it is needed */
} eddy__blocks;

/* The pool of this state, made if need be.   [-0, +0, m] */
eddy__blocks *eddy__blocks_open(lua_State *L);

/* A block, or NULL without memory. */
char *eddy__blocks_take(eddy__blocks *b);

/* Gives one back. */
void eddy__blocks_give(eddy__blocks *b, char *block);

#endif
