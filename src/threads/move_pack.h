/* SPDX-License-Identifier: MIT */
/*
 * move_pack.h - the packer: what a state keeps for packing, between the walk and the texts of its errors.
 * Owns:   the packer, one per state, a userdata in the registry; its memory serves one parcel after the other.
 * Uses:   move_form.h.      Used by: move_pack.c, move_packer.c, move_path.c.
 * Touch:  with care. Nothing raises and no Lua runs between begin and finish, so one is enough.
 */
#ifndef EDDY_THREADS_MOVE_PACK_H
#define EDDY_THREADS_MOVE_PACK_H

#include <string.h>

#include "threads/move_form.h"

#define NO_OBJECT UINT32_MAX

enum { STRINGS = 256, FIRST_CHUNK = 32, CHUNKS = 32 };

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
  bool has_chunks;         /* its user value has been made */
  bool is_closed;          /* the state closes */

  /* This parcel. */
  int how, deep;           /* deep: how much is known about names, see eddy__named_index */
  uint32_t holder;         /* whose content is being written, or NO_OBJECT: the root value number `root` */
  uint32_t root;
  const char *refused;     /* what the refused value is called */
  int base;                /* stack: above it stand the places below, then the first objects */
  uint32_t read_from, read_limit, write_from, write_limit, nchunks;
} eddy__packer;

/* Places on the stack above `base`. */
enum { NAMES = 1, CHUNK_LIST, READ, WRITE, OBJECTS };

/* --- memory; NULL or PACK_NO_MEMORY: there is none ---------------------------------------------------------------- */

/* Makes room for n more bytes, and tells where. */
char *eddy__packer_grow(eddy__packer *p, size_t n);

static inline char *eddy__packer_room(eddy__packer *p, size_t n) {
  return p->cap - p->size >= n ? p->bytes + p->size : eddy__packer_grow(p, n);
}

static inline int put(eddy__packer *p, int tag, const void *data, size_t size) {
  char *at = eddy__packer_room(p, 1 + size);
  if (at == NULL) return PACK_NO_MEMORY;
  *at = (char)tag;
  memcpy(at + 1, data, size);
  p->size += 1 + size;
  return PACK_DONE;
}

static inline int put_tag(eddy__packer *p, int tag) { return put(p, tag, "", 0); }

static inline uint32_t eddy__packer_hash(const void *key) {
  return (uint32_t)(((uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u) >> 32);
}

/* The entry of the address, or where it belongs. */
static inline eddy__seen *eddy__packer_find(const eddy__packer *p, const void *key) {
  uint32_t mask = p->seen_cap - 1, i = eddy__packer_hash(key) & mask;
  while (p->seen[i].round == p->round && p->seen[i].key != key) i = (i + 1) & mask;
  return &p->seen[i];
}

static inline bool eddy__packer_has(const eddy__packer *p, const eddy__seen *s) { return s->round == p->round; }

/* Notes an address that is not there yet. */
int eddy__packer_note(eddy__packer *p, const void *key, uint32_t value, uint32_t upvalue);

/* --- objects ------------------------------------------------------------------------------------------------------ */

/* The object at idx gets the next number; its tag is about to be written.   [-0, +0, -] */
int eddy__packer_add(eddy__packer *p, lua_State *L, int idx, const void *address);

/* Gives the index of object number n, the next one to be written, which may be pushed.   [-0, +(0|1), -] */
int eddy__packer_next(eddy__packer *p, lua_State *L, uint32_t n);

/* Pushes the packer's list of chunks, tables that hold the objects in the order of their numbers, and an object. The
 * first chunk is there between show(false) and show(true).   [-0, +1, -] and [-0, +0, -] */
void eddy__packer_push_chunks(lua_State *L);
void eddy__packer_push_object(lua_State *L, int chunks, uint32_t object);
void eddy__packer_show(eddy__packer *p, lua_State *L, bool clear);

/* --- from parcel to parcel ---------------------------------------------------------------------------------------- */

/* The packer of this state, made if need be.   [-0, +0, m] */
eddy__packer *eddy__packer_of(lua_State *L);

/* Makes the places on the stack.   [-0, +?, -] */
int eddy__packer_begin(eddy__packer *p, lua_State *L);

/* Takes them away, forgets the objects, so that the collector may have them, and lets go of large memory.
 *   [-?, +0, -] */
void eddy__packer_finish(eddy__packer *p, lua_State *L);

/* Makes the parcel of what was written; the references go over to it. NULL: no memory. */
eddy__parcel *eddy__packer_wrap(eddy__packer *p, int n);

/* Calls f(a, b), the two at the top, which may raise, with no finalizer and no hook in between: whatever they did could
 * change what is being packed. Returns whether it went well, with its result on the stack, else nothing.
 *   [-2, +(0|1), -] */
bool eddy__packer_quietly(lua_State *L, lua_CFunction f);

/* With the packer (light) and the refused value as arguments: pushes "argument 2.config.handlers[3]".  [-2, +1, m] */
int eddy__packer_path(lua_State *L);

#endif
