/* SPDX-License-Identifier: MIT */
/*
 * stream.h - what all streams share: read formats, write, high-water mark, half-close, close.
 * Owns:   eddy__stream, in malloc'd memory that libuv and the userdata share; its input; what is queued.
 * Uses:   handle.h, input.h, park.h.      Used by: tcp.c, server.c; pipes, terminals and TLS to come.
 * Touch:  with care. Callbacks keep bytes and wake tasks; Lua values are made in the task that reads.
 *
 * The room has four files: stream.c (life, close, texts), stream_read.c, stream_write.c, send_file.c.
 */
#ifndef EDDY_IO_STREAM_H
#define EDDY_IO_STREAM_H

#include <lauxlib.h>

#include "core/select.h"
#include "io/handle.h"
#include "io/input.h"
#include "io/park.h"

enum { EDDY_HIGH_WATER = 65536 };

typedef struct eddy__stream eddy__stream;

/* What moves the bytes of a stream that is none of libuv's: one in memory, a descriptor that is only borrowed. None of
 * these raises or calls Lua. */
typedef struct eddy__transport {
  int (*start)(eddy__stream *s); /* bytes are wanted: eddy__stream_offer, then _received. Returns 0 or a code */
  void (*stop)(eddy__stream *s); /* not any more */
  int (*write)(eddy__stream *s, const uv_buf_t *bufs, unsigned n); /* takes all of it. Returns 0 or a code */
  size_t (*queued)(const eddy__stream *s); /* bytes that it has not sent: eddy__stream_sent says when they get less */
  int (*shutdown)(eddy__stream *s);        /* the end comes after what was written. Returns 0 or a code */
} eddy__transport;

struct eddy__stream {
  eddy__handle handle; /* first: a stream is a handle */
  const eddy__transport *transport; /* NULL: libuv */
  union {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
    uv_tty_t tty;
    uv_poll_t poll; /* of a transport; as is the next, which is never started */
    uv_idle_t idle;
  } uv;

  int fd;              /* of a connected socket, which is read and written without libuv (read: see poll.h); else -1 */
  eddy__input in;
  eddy__want want;     /* of the task that reads */
  eddy__list readers;  /* the task that is suspended in a read, until it runs again */
  eddy__list watchers; /* of select */
  bool is_reading;     /* libuv, or we by ourselves, read what comes */
  bool goes_on;        /* until there is nothing: a short read need not be all */
  bool is_thrifty;     /* a transport should not read ahead of those who want to read */
  bool is_hungry;      /* the reader needs more than what is there */
  bool fetches;        /* it will take that from the system itself */
  bool is_ready;       /* the system has something that nobody has taken: the reader may, by itself */
  uint8_t fetched;     /* how often it has since it was suspended last */
  size_t usual;        /* how much it got the last time */
  const void *next_ready; /* a stream that had something after this one, the last time: may be gone */
  bool was_refused;    /* libuv has offered bytes that nobody wants; the second time stops reading */
  bool lacked_memory;  /* the last offer failed for that reason */

  size_t high, low;    /* water marks of what is queued */
  struct eddy__tail *tail; /* short strings that wait behind what libuv has; or NULL */
  eddy__list writers;  /* tasks that wait until the queue is below the low one */
  int write_error;     /* the first error of a queued write; all later writes raise it */
  bool error_was_told;
  bool was_cut;        /* it was closed with something queued */

  uv_shutdown_t shutdown;
  bool was_shut;       /* nothing more can be written */
  bool is_sending;     /* a task sends a file: no other may write */
  bool is_shutting;    /* `shutdown` is under way */
  bool is_ending;      /* close was asked for: what is queued goes out first */
  eddy__list closers;  /* tasks in wait_closed */
};

/* Makes the metatable of a kind of stream: the methods of all streams and its own.   [-0, +0, m] */
void eddy__stream_type(lua_State *L, const eddy__type *type, const luaL_Reg *methods);

/* A new stream that is not open yet, in `size` bytes of zeroed memory, with the userdata that owns it. The caller
 * inits libuv's part, then calls eddy__handle_opened.   [-0, +1, m] */
eddy__stream *eddy__stream_new(lua_State *L, eddy__loop *loop, const eddy__type *type,
                               const eddy__handle_kind *kind, size_t size, size_t limit);

/* For a kind of stream: its on_closing, on_closed; and the end of its release, which frees the memory. */
void eddy__stream_on_closing(eddy__handle *h);
void eddy__stream_on_closed(eddy__handle *h);
void eddy__stream_release(eddy__handle *h);

/* The stream of any kind at arg.   [-0, +0, v] */
eddy__stream *eddy__stream_check(lua_State *L, int arg);

/* The same when the caller's own checks have passed it before.   [-0, +0, -] */
static inline eddy__stream *eddy__stream_at(lua_State *L, int idx) {
  return *(eddy__stream **)lua_touserdata(L, idx);
}

/* Raises "RuntimeError: 'f' on a closed <what>".   [-0, +0, v] */
int eddy__stream_raise_closed(lua_State *L, const eddy__stream *s, const char *name);

/* Whether it is closed, or will be once what is queued has gone out. */
static inline bool eddy__stream_is_closing(const eddy__stream *s) {
  return s->is_ending || s->handle.is_closing || !s->handle.is_open;
}

/* libuv's handle is a socket that is connected. */
void eddy__stream_is_socket(eddy__stream *s);

/* Closes it after what is queued has gone out; or at once. */
void eddy__stream_close(eddy__stream *s);
void eddy__stream_abort(eddy__stream *s);

/* Suspends the running task until the stream is closed, if it is not yet; k goes on either way.  [-0, +n, y] */
int eddy__stream_wait_closed(lua_State *L, eddy__stream *s, eddy__task *task, lua_KFunction k);

/* How many bytes were written and have not gone out yet. */
size_t eddy__stream_queued(const eddy__stream *s);

/* Gives libuv all that is queued, so that a shutdown or a handle that is sent comes behind it. Returns 0 or a code. */
int eddy__stream_flush(eddy__stream *s);

/* Whoever closes last has nothing queued any more (stream_write.c tells stream.c). */
void eddy__stream_flushed(eddy__stream *s);

/* Throws away what libuv has not got: the stream is closed at once. */
void eddy__stream_discard(eddy__stream *s);

/* Sees to it that what comes is read. Returns 0 or a libuv code. */
int eddy__stream_start_reading(eddy__stream *s);

/* Takes what the system is known to have, as far as somebody wants it or there is room. */
void eddy__stream_look(eddy__stream *s);

/* Sees to it that nothing more is read. */
void eddy__stream_stop_reading(eddy__stream *s);

/* For transports. Memory to receive into; returns its size, or 0 if nothing is wanted now, and then `stop` was called.
 * Each offer is followed by _received, with n = 0 if nothing came, a negative code for the end or an error. (Without an
 * offer, only the end or an error can be received: then memory is NULL.) */
size_t eddy__stream_offer(eddy__stream *s, char **memory);
void eddy__stream_received(eddy__stream *s, const char *memory, ssize_t n);

/* For transports: less is queued than was. All that is written from now on fails with rc. */
void eddy__stream_sent(eddy__stream *s);
void eddy__stream_failed(eddy__stream *s, int rc);

/* Between the files of this room: wakes the reader; what the loop's epoll calls; methods.   [-0, +n, y] */
void eddy__stream_wake_reader(eddy__stream *s);
void eddy__stream_on_ready(eddy__watch *w, bool goes_on);
int eddy__stream_l_read(lua_State *L);
int eddy__stream_l_read_exactly(lua_State *L);
int eddy__stream_l_read_until(lua_State *L);
int eddy__stream_l_lines(lua_State *L);
int eddy__stream_l_at_eof(lua_State *L);
int eddy__stream_l_write(lua_State *L);
int eddy__stream_l_drain(lua_State *L);
int eddy__stream_l_shutdown(lua_State *L);
int eddy__stream_l_send_file(lua_State *L);
int eddy__stream_l_set_write_buffer_limits(lua_State *L);

#endif
