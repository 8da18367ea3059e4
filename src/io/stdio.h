/* SPDX-License-Identifier: MIT */
/*
 * stdio.h - eddy.stdin, stdout, stderr: streams over descriptors that others use as well.
 * Owns:   eddy__stdio, one for each of the three and state, made when it is asked for; a duplicate of its descriptor
 *         while it is attached to a loop.
 * Uses:   stream.h.      Used by: eddy.c (which finds the three by name), tty.c.
 * Touch:  with care. The descriptor belongs to the shell that started us and to C's stdio too: its flags stay as they
 *         are, nothing is read that nobody has asked for, and what C has buffered goes out before what we write.
 *
 * The room has two files: stdio.c (life, what Lua calls), stdio_transport.c (bytes).
 */
#ifndef EDDY_IO_STDIO_H
#define EDDY_IO_STDIO_H

#include "io/stream.h"

enum { EDDY_STDIO_FILE, EDDY_STDIO_PIPE, EDDY_STDIO_SOCKET, EDDY_STDIO_TTY };

/* Attached to the loop in which it is used; when that ends, to the next one. What was read and not taken stays. */
typedef struct eddy__stdio {
  eddy__stream stream; /* first */
  int number;          /* 0, 1, 2 */
  int fd;              /* our duplicate; -1 when it is not attached */
  int flags;           /* of the descriptor */
  int kind;            /* FILE: whatever cannot be polled */
  bool is_ended;       /* a script has closed it */
  bool ends_socket;    /* ... by shutdown */
  bool is_raw;         /* a terminal, in raw mode because of us */
  bool is_fetching;    /* a thread reads from the file */
  bool is_orphan;      /* ... and then the memory goes */
  uv_fs_t fetch;
  char *block;         /* it reads to there */
  size_t block_start, block_end; /* what the stream has not got of it */
  char *out;           /* what waits to be written: out[out_start..out_end) */
  size_t out_start, out_end, out_cap;
} eddy__stdio;

extern const eddy__type eddy__type_stdio;

/* The standard stream at arg.   [-0, +0, v] */
eddy__stdio *eddy__stdio_check(lua_State *L, int arg);

/* Pushes the stream called "stdin", "stdout" or "stderr" and returns true; else pushes nothing.   [-0, +(0|1), m] */
bool eddy__stdio_push(lua_State *L, const char *name);

/* stdio_transport.c. Looks at what the descriptor is, and gets ready to use it in that loop. Returns 0 or a code, with
 * nothing open then. */
int eddy__stdio_attach(eddy__stdio *s, eddy__loop *loop);
extern const eddy__transport eddy__stdio_transport;

/* Writes all that is queued, however long that takes; throws it away. */
void eddy__stdio_settle(eddy__stdio *s);
void eddy__stdio_discard(eddy__stdio *s);

/* tty.c: the methods of terminals; what ends raw mode.   [-0, +n, v] */
int eddy__tty_l_isatty(lua_State *L);
int eddy__tty_l_winsize(lua_State *L);
int eddy__tty_l_set_mode(lua_State *L);
void eddy__tty_restore(eddy__stdio *s);

void eddy__stdio_room(lua_State *L, eddy__runtime *rt);

#endif
