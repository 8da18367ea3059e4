/* SPDX-License-Identifier: MIT */
/*
 * input.h - bytes that have come and were not read yet, and Lua's read formats over them.
 * Owns:   the buffer: nothing, a small one, or a block of the pool while there is much to read.
 * Uses:   blocks.h.      Used by: stream_read.c, file.c.
 * Touch:  with care. Looking takes nothing: bytes leave the buffer only with the results that hold them, so a read
 *         that is cancelled or fails has lost none.
 */
#ifndef EDDY_IO_INPUT_H
#define EDDY_IO_INPUT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "io/blocks.h"

enum { EDDY_INPUT_LIMIT = 65536 };

typedef struct eddy__input {
  eddy__blocks *blocks;
  char *data;
  size_t start, end, cap; /* what is there: data[start..end) */
  size_t scanned;         /* so many bytes from start on were searched in vain for what is wanted */
  size_t limit;           /* of a line; 0: none */
  size_t chunk;           /* how much to ask for at once, when that is more than a block */
  char *offered;          /* a block that is being received into */
  bool lent;              /* data is a block */
  bool fills;             /* a count wants all of it, but at the end: a file */
  bool eof;
  int error;              /* after what is there: a libuv code; 0 */
} eddy__input;

/* One thing that a read asks for. */
enum {
  EDDY_WANT_COUNT,
  EDDY_WANT_LINE,     /* without its end */
  EDDY_WANT_LINE_END, /* with it */
  EDDY_WANT_ALL,
  EDDY_WANT_NUMERAL,
  EDDY_WANT_EXACT,
  EDDY_WANT_UNTIL,
  EDDY_WANT_MORE /* anything new: somebody will look closer */
};

typedef struct eddy__separator {
  const char *text;
  size_t size;
} eddy__separator;

typedef struct eddy__want {
  int kind;
  size_t count;
  const eddy__separator *separators; /* of WANT_UNTIL */
  size_t n, longest;
  size_t skip, take, drop; /* the answer: bytes before the result, of it, after it */
} eddy__want;

/* What eddy__input_look finds. */
enum {
  EDDY_IN_MORE,    /* more bytes are needed */
  EDDY_IN_READY,   /* skip, take and drop are set */
  EDDY_IN_END,     /* nothing is left and nothing will come: the result is nil */
  EDDY_IN_SHORT,   /* the end comes too early: `take` bytes are there */
  EDDY_IN_OVERRUN, /* the limit: `take` bytes can be skipped */
  EDDY_IN_ERROR    /* in->error */
};

void eddy__input_init(eddy__input *in, eddy__blocks *blocks, size_t limit);
void eddy__input_deinit(eddy__input *in);

static inline size_t eddy__input_size(const eddy__input *in) { return in->end - in->start; }

/* Offers memory to receive into, without touching what is there. Returns its size, or 0 without memory. Each offer is
 * followed by eddy__input_received, with n = 0 if nothing came. */
size_t eddy__input_offer(eddy__input *in, char **memory);
void eddy__input_received(eddy__input *in, const char *memory, size_t n);

/* The same, for somebody who looks at it at once: it is not copied out of its block before eddy__input_settle. */
void eddy__input_keep(eddy__input *in, const char *memory, size_t n);

/* Makes memory of malloc's, of which the first n bytes have come, into the buffer, where nothing is. */
void eddy__input_adopt(eddy__input *in, char *memory, size_t size, size_t n);

/* Nobody looks at it for a while: gives the block back if little is in it. */
void eddy__input_settle(eddy__input *in);

/* Throws away what is there. */
void eddy__input_clear(eddy__input *in);

/* Reads the format at stack index arg: a count, "l", "L", "a", "n".   [-0, +0, v] */
void eddy__want_format(lua_State *L, int arg, eddy__want *want);

/* Reads the separator or the list of them at stack index arg, and puts a userdata that holds the answer and a copy of
 * them there.   [-0, +0, v] */
eddy__want *eddy__want_until(lua_State *L, int arg);

/* Looks at what is there from `at` bytes after the start on. */
int eddy__input_look(eddy__input *in, size_t at, eddy__want *want);

/* Looks for what the formats at first..last ask for, one after the other. Returns READY when all can be answered, or
 * the first that can't; END counts as an answer, and as the last one.   [-0, +0, -] */
int eddy__input_look_all(lua_State *L, eddy__input *in, int first, int last, eddy__want *want);

/* Pushes the result of a look that found READY or END, and takes its bytes.   [-0, +1, m] */
void eddy__input_push(lua_State *L, eddy__input *in, const eddy__want *want, int found);

/* The same for all formats; returns how many results.   [-0, +n, m] */
int eddy__input_push_all(lua_State *L, eddy__input *in, int first, int last);

/* Raises what SHORT, OVERRUN and ERROR stand for. `want` is what was looked for.   [-0, +0, v] */
int eddy__input_raise(lua_State *L, eddy__input *in, const eddy__want *want, int found);

#endif
