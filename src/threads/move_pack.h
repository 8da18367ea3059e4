/* SPDX-License-Identifier: MIT */
/*
 * move_pack.h - the packer: what a state keeps for packing, between the walk and the texts of its errors.
 * Owns:   the packer, one per state, a userdata in the registry; its memory serves one parcel after the other.
 * Uses:   move_form.h.      Used by: move_pack.c, move_path.c.
 * Touch:  with care. Nothing raises and no Lua runs between packer_begin and packer_end, so one is enough.
 */
#ifndef EDDY_THREADS_MOVE_PACK_H
#define EDDY_THREADS_MOVE_PACK_H

#include "threads/move_form.h"

enum { NO_OBJECT = UINT32_MAX, STRINGS = 256, FIRST_CHUNK = 32, CHUNKS = 32 };

/* What packing comes to. */
enum {
  PACK_DONE,
  PACK_NO_MEMORY,
  PACK_REFUSED,   /* the value at the top cannot move */
  PACK_NAMES,     /* it must begin again and look at names closer */
};

typedef struct eddy__seen {
  const void *key;
  uint32_t round;          /* the entry is of that parcel */
  uint32_t value, upvalue; /* an object's number, a kept value's, or a function's and which of its upvalues */
} eddy__seen;

typedef struct eddy__packed {
  size_t at;               /* where its tag stands */
  uint32_t holder;         /* the object in which it was found first, or NO_OBJECT: */
  uint32_t root;           /* it is this value of those that are packed */
} eddy__packed;

typedef struct eddy__packer {
  char *bytes;
  size_t size, cap;
  eddy__seen *seen;        /* a hash table of addresses: objects, kept values, upvalues */
  uint32_t nseen, seen_cap;
  eddy__packed *objects;
  uint32_t nobjects, objects_cap;
  eddy__reference *references;
  uint32_t nreferences, references_cap;
  uint32_t nkept, round;
  eddy__seen strings[STRINGS]; /* short strings that were here lately: value 0, or 1 + a kept value's number */
  bool is_closed;          /* the state closes */

  /* This parcel. */
  int how, deep;           /* deep: how much is known about names, see eddy__named_index */
  uint32_t holder;         /* whose content is being written, or NO_OBJECT: the root value number `root` */
  uint32_t root;
  const char *refused;     /* what the refused value is called */
  int base;                /* stack: above it stand the places of move_pack.c, then the first objects */
  uint32_t read_from, read_limit, write_from, write_limit, nchunks;
} eddy__packer;

/* Pushes the packer's list of chunks, tables that hold the objects in the order of their numbers (the first chunk does
 * so for errors only), and an object.   [-0, +1, -] */
void eddy__packer_push_chunks(lua_State *L);
void eddy__packer_push_object(lua_State *L, int chunks, uint32_t object);

/* With the packer (light) and the refused value as arguments: pushes "argument 2.config.handlers[3]".  [-2, +1, m] */
int eddy__packer_path(lua_State *L);

#endif
