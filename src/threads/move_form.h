/* SPDX-License-Identifier: MIT */
/*
 * move_form.h - the form of a parcel's bytes, and what packing and unpacking share.
 * Owns:   nothing.
 * Uses:   move.h.      Used by: move.c, move_pack.c, move_path.c, move_unpack.c.
 * Touch:  with care: both sides must agree. docs/internals/move.md explains.
 */
#ifndef EDDY_THREADS_MOVE_FORM_H
#define EDDY_THREADS_MOVE_FORM_H

#include "threads/move.h"

/* A value is a tag and what the comment says, numbers in the order of bytes of this machine. */
enum {
  TAG_NIL,
  TAG_FALSE,
  TAG_TRUE,
  TAG_INT1,        /* a signed integer in 1, 2, 4, 8 bytes */
  TAG_INT2,
  TAG_INT4,
  TAG_INT8,
  TAG_FLOAT,       /* 8 bytes as they are, so that every NaN stays what it is */
  TAG_STRING,      /* u64 size, bytes */
  TAG_KEEP,        /* the value that follows comes again: it gets the next number of kept values */
  TAG_KEPT,        /* u32: that one */
  TAG_SHARED,      /* u32: one of the parcel's references */
  TAG_BUFFER,      /* u64 size, bytes: a buffer for another process */
  TAG_GLOBALS,     /* the table of globals */
  TAG_NAMED,       /* u32 size, bytes: something that each state has; see eddy__named_push */
  TAG_ERROR_CLASS, /* u8: one of eddy's own error classes */
  TAG_CELL,        /* u32 function, u8 upvalue; only as an upvalue: the same variable as that one */
  TAG_AGAIN,       /* u32: an object that was here before */
  /* New objects. Each gets the next number; contents stand behind all values, in the order of the numbers. */
  TAG_TABLE,       /* u32 items, u32 pairs. Content: values of 1, 2, ...; then keys and values */
  TAG_TABLE_META,  /* the same; the content begins with the metatable */
  TAG_CLASS,       /* u32 items, u32 pairs, i64 identity: an error class of a script; begins with the class above */
  TAG_FUNCTION,    /* u8 upvalues, u64 size, bytes of lua_dump. Content: the upvalues */
  TAG_ASYNC,       /* an async function. Content: the function that it wraps */
  TAG_GENERATOR,   /* a generator function. Content: its body */
  TAG_VAR,         /* a ContextVar. Content: name, default */
  TAG_SMALL = 0x40, /* .. 0x7f: the integers 0 to 63 */
  TAG_SHORT = 0x80, /* .. 0xff: strings of 0 to 127 bytes, which follow */
  SMALL_LIMIT = 64,
  SHORT_LIMIT = 128
};

typedef struct eddy__reference {
  const eddy__shareable *type;
  void *shared;
} eddy__reference;

struct eddy__parcel {
  char *bytes;
  size_t size;
  uint32_t count;         /* values */
  uint32_t nobjects;      /* tables, functions, classes, context variables */
  uint32_t nkept;
  uint32_t nreferences;
  uint64_t checksum;      /* of bytes that were received */
  bool received;
  eddy__trust trust;
  eddy__reference room[]; /* the references; behind them the bytes of a small parcel */
};

/* A parcel with room for so many references, and for so many bytes behind them. NULL: no memory. */
eddy__parcel *eddy__parcel_new(uint32_t nreferences, size_t size);

/* Blocks from this size on are worth large pages: the kernel takes longer to find small ones than copying takes. */
enum { EDDY_LARGE = 4 << 20 };
void eddy__large_pages(void *block, size_t size);

/* What tells damaged bytes; no defence against an enemy. */
uint64_t eddy__parcel_checksum(const char *bytes, size_t size);

/* --- names (move_names.c) --------------------------------------------------------------------------------------- */

enum { EDDY_NAME_OF_NAMES = 1 }; /* where the table below holds the string "__name" */

/* Pushes the table from what each state has to its names. `deep` looks again for what may be new: 0 not at all, 1 for
 * modules, 2 for everything.   [-0, +1, m] */
void eddy__named_index(lua_State *L, int deep);

/* Pushes what this state has under that name. `load`: a module that is not loaded yet may be.   [-0, +1, e] */
void eddy__named_push(lua_State *L, const char *name, size_t size, bool load);

#endif
