/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - a pool of blocks to receive into; see blocks.h.
 * Touch:  freely.
 */
#include "io/blocks.h"

#include <stdlib.h>

#include "base/arena.h"

static const char blocks_key; /* its address: where the pool lies in the registry */

/* A pool with room for so many blocks.   [-1, +1, m] */
static int l_new(lua_State *L) {
  int own = (int)lua_tointeger(L, -1);
  eddy__blocks *b = lua_newuserdatauv(L, sizeof *b + (size_t)own * EDDY_BLOCK_SIZE, 0);
  b->n = b->own = own;
  b->lent = 0;
  b->ready = NULL;
  for (int i = 0; i < own; i++) b->kept[own - 1 - i] = b->memory + (size_t)i * EDDY_BLOCK_SIZE;
  return 1;
}

/* A megabyte of strings that were read is garbage before the collector runs, and is freed at once. glibc would give it
 * back to the system, but for twice the size of the largest block that it has got alone and given back before. */
static void prepare_malloc(void) {
#ifdef __GLIBC__
  void *volatile block = malloc((size_t)EDDY_BLOCKS_KEPT * EDDY_BLOCK_SIZE);
  free(block);
#endif
}

/* The pool in the registry, or NULL.   [-0, +0, -] */
static eddy__blocks *find(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &blocks_key);
  eddy__blocks *b = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return b;
}

/* [-0, +0, m] */
eddy__blocks *eddy__blocks_open(lua_State *L) {
  eddy__draft_prepare(L);
  if (find(L) != NULL) return find(L);
  lua_pushcfunction(L, l_new);
  lua_pushinteger(L, EDDY_BLOCKS_KEPT);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) { /* Lua may not have so much: malloc gives each block when it is needed */
    lua_pop(L, 1);
    lua_pushinteger(L, 0);
    l_new(L);
    lua_remove(L, -2);
  }
  if (find(L) == NULL) /* else a finalizer has made it meanwhile */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &blocks_key);
  else
    lua_pop(L, 1);
  prepare_malloc();
  return find(L);
}

char *eddy__blocks_take(eddy__blocks *b) {
  char *block = b->n > 0 ? b->kept[--b->n] : malloc(EDDY_BLOCK_SIZE);
  if (block != NULL) b->lent++;
  return block;
}

void eddy__blocks_give(eddy__blocks *b, char *block) {
  if (block == NULL) return;
  b->lent--;
  if (block >= b->memory && block < b->memory + (size_t)b->own * EDDY_BLOCK_SIZE)
    b->kept[b->n++] = block;
  else
    free(block);
}
