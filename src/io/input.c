/* SPDX-License-Identifier: MIT */
/*
 * input.c - bytes that have come and were not read yet; see input.h. (What the formats mean: formats.c.)
 * Touch:  with care. A byte that was offered memory and came is never lost: where copying it would need memory that is
 *         not there, the block it lies in is kept.
 */
#include "io/input.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL = 2048, TAIL = 4096 };

void eddy__input_init(eddy__input *in, eddy__blocks *blocks, size_t limit) {
  memset(in, 0, sizeof *in);
  in->blocks = blocks;
  in->limit = limit;
}

/* Lets go of the buffer; it is empty. */
static void give_back(eddy__input *in) {
  if (in->lent)
    eddy__blocks_give(in->blocks, in->data);
  else
    free(in->data);
  in->data = NULL;
  in->lent = false;
  in->start = in->end = in->cap = 0;
}

void eddy__input_deinit(eddy__input *in) {
  give_back(in);
  eddy__blocks_give(in->blocks, in->offered);
  in->offered = NULL;
}

void eddy__input_clear(eddy__input *in) {
  in->start = in->end = 0;
  in->scanned = 0;
  if (in->cap > SMALL && in->cap != in->chunk) give_back(in);
}

/* Moves what is there to a buffer of that size. Returns false without memory. */
static bool resize(eddy__input *in, size_t cap) {
  size_t size = eddy__input_size(in);
  char *data = malloc(cap);
  if (data == NULL) return false;
  if (size > 0) memcpy(data, in->data + in->start, size);
  give_back(in);
  in->data = data;
  in->end = size;
  in->cap = cap;
  return true;
}

size_t eddy__input_offer(eddy__input *in, char **memory) {
  size_t size = eddy__input_size(in);
  if (size == 0 && in->chunk == 0) {
    in->offered = eddy__blocks_take(in->blocks);
    *memory = in->offered;
    return in->offered != NULL ? EDDY_BLOCK_SIZE : 0;
  }
  if (in->cap < in->chunk) {
    if (!resize(in, in->chunk)) return 0;
  } else if (in->cap - in->end < TAIL && in->start >= in->cap / 2) {
    memmove(in->data, in->data + in->start, size);
    in->start = 0;
    in->end = size;
  }
  if (in->cap - in->end < TAIL) {
    size_t cap = in->cap < EDDY_BLOCK_SIZE ? EDDY_BLOCK_SIZE : in->cap;
    if (cap > (size_t)-1 / 4 || !resize(in, cap * 2)) return 0;
  }
  *memory = in->data + in->end;
  return in->cap - in->end;
}

/* Makes the block that was received into the buffer. */
static void keep_block(eddy__input *in, size_t n) {
  give_back(in);
  in->data = in->offered;
  in->offered = NULL;
  in->lent = true;
  in->cap = EDDY_BLOCK_SIZE;
  in->end = n;
}

void eddy__input_keep(eddy__input *in, const char *memory, size_t n) {
  if (n == 0 || memory != in->offered) {
    eddy__input_received(in, memory, n);
    return;
  }
  keep_block(in, n);
  in->scanned = 0;
}

void eddy__input_adopt(eddy__input *in, char *memory, size_t size, size_t n) {
  give_back(in);
  in->data = memory;
  in->cap = size;
  in->end = n;
  in->scanned = 0;
}

void eddy__input_settle(eddy__input *in) {
  size_t size = eddy__input_size(in);
  if (!in->lent || size == 0) return;
  if (size <= SMALL || in->blocks->lent > EDDY_BLOCKS_LENT) (void)resize(in, size < SMALL ? SMALL : size);
}

void eddy__input_received(eddy__input *in, const char *memory, size_t n) {
  if (in->offered == NULL || memory != in->offered) {
    in->end += n;
    return;
  }
  if (n > 0) {
    bool copy = n <= SMALL || in->blocks->lent > EDDY_BLOCKS_LENT;
    if (copy && n > in->cap) copy = resize(in, n <= SMALL ? SMALL : n);
    if (copy) {
      memcpy(in->data, in->offered, n);
      in->start = 0;
      in->end = n;
    } else {
      keep_block(in, n);
    }
    in->scanned = 0;
  }
  eddy__blocks_give(in->blocks, in->offered);
  in->offered = NULL;
}
