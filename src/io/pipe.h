/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - streams over a pipe, a FIFO, a Unix socket: whatever has a descriptor that can be polled.
 * Owns:   eddy__pipe.
 * Uses:   stream.h, unix.h.      Used by: unix_connect.c, unix_server.c, process.c.
 * Touch:  freely.
 */
#ifndef EDDY_IO_PIPE_H
#define EDDY_IO_PIPE_H

#include "io/stream.h"
#include "io/unix.h"

enum { EDDY_PIPE_TEXT = 48 };

typedef struct eddy__pipe {
  eddy__stream stream; /* first */
  eddy__unix local, peer; /* of a Unix socket; they survive the close */
  char what[EDDY_PIPE_TEXT]; /* "pipe 5", for texts; the owner may write something better */
  bool was_blocking;   /* the descriptor, before it came here: it will be again when it is closed */
} eddy__pipe;

/* Pushes a stream whose p->stream.uv.pipe is initialised (uv_pipe_init, not for passing handles) and has no descriptor
 * yet: uv_spawn, uv_pipe_open or eddy__pipe_open give it one. It is open: eddy__stream_abort undoes it.  [-0, +1, v] */
eddy__pipe *eddy__pipe_new(lua_State *L, eddy__loop *loop, const char *what, size_t limit);

/* Gives it a descriptor, which it takes over, as it is: readable, writable or both. The descriptor becomes
 * non-blocking, until the stream is closed. Returns 0, or a libuv code and takes nothing: EBADF; EINVAL for what
 * cannot be polled (a file); EEXIST if another handle of the loop has that number. */
int eddy__pipe_open(eddy__pipe *p, int fd);

/* The same for a Unix socket that does not block and is nobody else's. */
int eddy__pipe_take(eddy__pipe *p, int fd);

void eddy__pipe_room(lua_State *L, eddy__runtime *rt);

#endif
