/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - a pool of blocks to receive into; see blocks.h.
 * Touch:  freely.
 */
#include "io/blocks.h"

#include <stdlib.h>

#include "base/object.h"

static const char blocks_key; /* its address: where the pool lies in the registry */

/* The state ends. What is still lent comes back later, and is freed then. A script that has found the function may
 * call it with anything.   [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__blocks *b = eddy__object_single_ends(L, &blocks_key);
  if (b == NULL) return 0;
  while (b->n > 0 && b->n <= EDDY_BLOCKS_KEPT) free(b->kept[--b->n]);
  b->n = EDDY_BLOCKS_KEPT + 1; /* keeps nothing more */
  return 0;
}

/* [-0, +0, m] */
eddy__blocks *eddy__blocks_open(lua_State *L) {
  eddy__blocks *b = eddy__object_single(L, &blocks_key, sizeof *b, 0, l_gc);
  lua_pop(L, 1);
  return b;
}

char *eddy__blocks_take(eddy__blocks *b) {
  char *block = b->n > 0 && b->n <= EDDY_BLOCKS_KEPT ? b->kept[--b->n] : malloc(EDDY_BLOCK_SIZE);
  if (block != NULL) b->lent++;
  return block;
}

void eddy__blocks_give(eddy__blocks *b, char *block) {
  if (block == NULL) return;
  b->lent--;
  if (b->n < EDDY_BLOCKS_KEPT)
    b->kept[b->n++] = block;
  else
    free(block);
}
