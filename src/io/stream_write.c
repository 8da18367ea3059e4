/* SPDX-License-Identifier: MIT */
/*
 * stream_write.c - writing to a stream; see stream.h.
 * Owns:   requests, each a userdata that the loop anchors until libuv has sent it; its user value are the strings.
 *         The tail: short strings, copied together, that libuv gets when it has sent what it has.
 * Touch:  with care. What can be sent at once is sent at once, from where the strings lie; only the rest is queued.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <sys/socket.h>
#endif

#include "base/args.h"
#include "base/error.h"
#include "io/stream.h"

/* Shorter pieces are copied together if they must be queued; so many are sent without anything made for them. */
enum { COPIED_SIZE = 4096, TAIL_SIZE = 16384, FEW = 64, SENT_AT_ONCE = 1024 };

/* libuv gets it in parts of AT_ONCE buffers. For more it would allocate memory, and when there is none, it takes the
 * request for active for ever. */
enum { AT_ONCE = 4 };

typedef struct request {
  eddy__stream *stream;
  uint32_t anchor;
  unsigned n;        /* buffers */
  unsigned pending;  /* parts that libuv has */
  uv_write_t *parts; /* behind the buffers, as are the short pieces */
  uv_buf_t bufs[];
} request;

struct eddy__tail {
  uv_write_t uv;
  eddy__stream *stream;
  size_t size;
  char data[TAIL_SIZE];
};

/* --- what is to be sent -------------------------------------------------------------------------------------- */

typedef struct pieces {
  size_t n;      /* buffers: a long piece is one, short ones that follow each other are one */
  size_t longs;  /* how many of them are long */
  size_t copied; /* bytes of the short ones */
  bool in_short;
} pieces;

/* Counts the piece at the top of the stack, a string or number.   [-0, +0, v] */
static void count_piece(lua_State *L, int arg, pieces *p) {
  size_t size;
  int type = lua_type(L, -1);
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    eddy__arg_error(L, arg, "a table of strings expected");
  lua_tolstring(L, -1, &size); /* a number becomes a string in its place, a copy */
  if (size >= COPIED_SIZE) {
    p->n++;
    p->longs++;
    p->in_short = false;
  } else if (size > 0) {
    p->n += !p->in_short;
    p->in_short = true;
    p->copied += size;
  }
}

/* Calls `f` with each piece of the arguments 2 to last at the top of the stack.   [-0, +0, v] */
static void for_pieces(lua_State *L, int last, void (*f)(lua_State *, int, void *),
                       void *argument) {
  for (int arg = 2; arg <= last; arg++) {
    if (lua_type(L, arg) != LUA_TTABLE) {
      lua_pushvalue(L, arg);
      f(L, arg, argument);
      lua_pop(L, 1);
      continue;
    }
    lua_Integer n = (lua_Integer)lua_rawlen(L, arg);
    for (lua_Integer i = 1; i <= n; i++, lua_pop(L, 1)) {
      lua_rawgeti(L, arg, i);
      f(L, arg, argument);
    }
  }
}

static void on_count(lua_State *L, int arg, void *argument) { count_piece(L, arg, argument); }

typedef struct filling {
  request *r;
  char *copy;
  int strings; /* index of the table that keeps the long ones */
  int kept;
  bool in_short;
  size_t room, left; /* buffers, and bytes of `copy` */
} filling;

/* [-0, +0, m] */
static void on_fill(lua_State *L, int arg, void *argument) {
  (void)arg;
  filling *f = argument;
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  bool is_long = size >= COPIED_SIZE, needs_buffer = is_long || (size > 0 && !f->in_short);
  if ((needs_buffer && f->r->n == f->room) || (!is_long && size > f->left)) /* by a finalizer, since it was counted */
    luaL_error(L, "a table was changed while it was written");
  if (is_long) {
    f->r->bufs[f->r->n++] = uv_buf_init((char *)text, 0);
    f->r->bufs[f->r->n - 1].len = size;
    f->in_short = false;
    lua_pushvalue(L, -1);
    lua_rawseti(L, f->strings, ++f->kept);
  } else if (size > 0) {
    memcpy(f->copy, text, size);
    if (!f->in_short) f->r->bufs[f->r->n++] = uv_buf_init(f->copy, 0);
    f->r->bufs[f->r->n - 1].len += size;
    f->in_short = true;
    f->copy += size;
    f->left -= size;
  }
}

/* Pushes a request without buffers, `copied` bytes of memory behind them.   [-0, +1, m] */
static request *push_request(lua_State *L, eddy__stream *s, size_t n, size_t copied) {
  size_t parts = (n + AT_ONCE - 1) / AT_ONCE;
  request *r = lua_newuserdatauv(L, sizeof *r + n * sizeof *r->bufs + parts * sizeof *r->parts + copied, 1);
  r->stream = s;
  r->n = r->pending = 0;
  r->parts = (uv_write_t *)(r->bufs + n);
  return r;
}

/* Pushes a request of all the pieces of arguments 2 to last.   [-0, +1, v] */
static request *push_pieces(lua_State *L, eddy__stream *s, int last) {
  pieces p = {0, 0, 0, false};
  for_pieces(L, last, on_count, &p);
  request *r = push_request(L, s, p.n, p.copied);
  lua_createtable(L, (int)(p.longs < 1000 ? p.longs : 1000), 0);
  filling f = {r, (char *)(r->parts + (p.n + AT_ONCE - 1) / AT_ONCE), lua_gettop(L), 0, false, p.n, p.copied};
  for_pieces(L, last, on_fill, &f);
  lua_setiuservalue(L, -2, 1);
  return r;
}

/* --- sending ------------------------------------------------------------------------------------------------- */

size_t eddy__stream_queued(const eddy__stream *s) {
  if (s->transport != NULL) return s->transport->queued(s);
  return uv_stream_get_write_queue_size(&s->uv.stream) + (s->tail != NULL ? s->tail->size : 0);
}

void eddy__stream_failed(eddy__stream *s, int rc) {
  if (s->write_error == 0) s->write_error = rc;
  eddy__stream_discard(s);
  eddy__park_wake_all(&s->writers);
}

void eddy__stream_discard(eddy__stream *s) {
  free(s->tail);
  s->tail = NULL;
}

void eddy__stream_sent(eddy__stream *s) {
  if (eddy__stream_queued(s) <= s->low) eddy__park_wake_all(&s->writers);
  eddy__stream_flushed(s);
}

/* libuv is done with one request. */
static void written(eddy__stream *s, int status) {
  if (status == 0 && uv_stream_get_write_queue_size(&s->uv.stream) == 0) status = eddy__stream_flush(s);
  if (status < 0 && status != UV_ECANCELED) eddy__stream_failed(s, status);
  eddy__stream_sent(s);
}

static void on_written(uv_write_t *uv, int status) {
  request *r = uv->data;
  eddy__stream *s = r->stream;
  if (--r->pending == 0) eddy__loop_drop(s->handle.loop, r->anchor);
  written(s, status);
}

static void on_tail_written(uv_write_t *uv, int status) {
  struct eddy__tail *t = (struct eddy__tail *)uv;
  eddy__stream *s = t->stream;
  free(t);
  written(s, status);
}

int eddy__stream_flush(eddy__stream *s) {
  struct eddy__tail *t = s->tail;
  if (t == NULL) return 0;
  uv_buf_t buf = uv_buf_init(t->data, (unsigned)t->size);
  s->tail = NULL;
  int rc = uv_write(&t->uv, &s->uv.stream, &buf, 1, on_tail_written);
  if (rc < 0) free(t);
  return rc;
}

/* Adds bytes, fewer than COPIED_SIZE, to the tail. Returns 0 or a libuv code; UV_ENOMEM: nothing has changed. */
static int append(eddy__stream *s, const uv_buf_t *bufs, unsigned n) {
  size_t size = 0;
  for (unsigned i = 0; i < n; i++) size += bufs[i].len;
  if (s->tail == NULL || TAIL_SIZE - s->tail->size < size) {
    struct eddy__tail *t = malloc(sizeof *t);
    if (t == NULL) return UV_ENOMEM;
    int rc = eddy__stream_flush(s);
    if (rc < 0) {
      free(t);
      return rc;
    }
    t->stream = s;
    t->size = 0;
    s->tail = t;
  }
  for (unsigned i = 0; i < n; i++) {
    memcpy(s->tail->data + s->tail->size, bufs[i].base, bufs[i].len);
    s->tail->size += bufs[i].len;
  }
  return 0;
}

/* Moves the buffers on by what was sent. Returns how many are left. */
static unsigned skip(uv_buf_t **bufs, unsigned n, size_t sent) {
  while (n > 0 && sent >= (*bufs)->len) {
    sent -= (*bufs)->len;
    (*bufs)++;
    n--;
  }
  if (n > 0) {
    (*bufs)->base += sent;
    (*bufs)->len -= sent;
  }
  return n;
}

/* Gives all of it to the transport. Returns how much that is, or a code. */
static ssize_t hand_over(eddy__stream *s, const uv_buf_t *bufs, unsigned n) {
  size_t size = 0;
  for (unsigned i = 0; i < n; i++) size += bufs[i].len;
  int rc = size > 0 ? s->transport->write(s, bufs, n) : 0;
  return rc < 0 ? rc : (ssize_t)size;
}

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* What uv_try_write does, without its way through the file system. Returns a count or a libuv code. */
static ssize_t send_now(int fd, const uv_buf_t *bufs, unsigned n) {
#ifdef _WIN32
  return UV_EAGAIN;
#else
  struct msghdr m = {.msg_iov = (struct iovec *)bufs, .msg_iovlen = n < SENT_AT_ONCE ? n : SENT_AT_ONCE};
  ssize_t sent;
  do sent = n == 1 ? send(fd, bufs->base, bufs->len, MSG_NOSIGNAL | MSG_DONTWAIT)
                   : sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno == ENOBUFS) return UV_EAGAIN;
  return sent < 0 ? uv_translate_sys_error(errno) : sent;
#endif
}

/* Sends at once what goes. Returns how many bytes, or a libuv code. */
static ssize_t try_write(eddy__stream *s, const uv_buf_t *bufs, unsigned n) {
  if (s->transport != NULL) return hand_over(s, bufs, n);
  if (n == 0 || eddy__stream_queued(s) > 0) return 0;
  ssize_t rc = s->fd >= 0 ? send_now(s->fd, bufs, n) : uv_try_write(&s->uv.stream, bufs, n);
  return rc == UV_EAGAIN ? 0 : rc;
}

/* Raises what a write has failed with, after it has sent so much. All later ones fail the same way, except when that
 * was for lack of memory and nothing of it has gone out.   [-0, +0, v] */
static void raise_write(lua_State *L, eddy__stream *s, int rc, size_t sent) {
  if (rc == UV_EPIPE && s->transport == NULL && !uv_is_writable(&s->uv.stream)) rc = UV_EBADF;
  if (rc != UV_ENOMEM || sent > 0 || s->transport != NULL) {
    s->write_error = rc;
    s->error_was_told = true;
  }
  eddy__raise(L, rc, "write");
}

/* Gives the buffers to libuv. Returns 0 or its code; what is pending then will be told of. */
static int submit(eddy__stream *s, request *r, const uv_buf_t *bufs, unsigned n) {
  for (uv_write_t *part = r->parts; n > 0; part++) {
    unsigned some = n < AT_ONCE ? n : AT_ONCE;
    part->data = r;
    int rc = uv_write(part, &s->uv.stream, bufs, some, on_written);
    if (rc < 0) return rc;
    r->pending++;
    bufs += some;
    n -= some;
  }
  return 0;
}

/* Queues the buffers of the request at the top of the stack, from `bufs` on: `sent` bytes of them have gone out.
 *   [-1, +0, v] */
static void queue(lua_State *L, eddy__stream *s, request *r, uv_buf_t *bufs, unsigned n, size_t sent) {
  if (sent > 0) s->write_error = UV_ENOMEM; /* if there is no memory to anchor it */
  r->anchor = eddy__loop_anchor(L, s->handle.loop);
  s->write_error = 0;
  int rc = eddy__stream_flush(s);
  if (rc == 0) rc = submit(s, r, bufs, n);
  if (rc == 0) return;
  if (r->pending == 0) eddy__loop_drop(s->handle.loop, r->anchor);
  raise_write(L, s, rc, sent + r->pending);
}

/* --- waiting ------------------------------------------------------------------------------------------------- */

static const eddy__wait wait_write = {"write", eddy__park_cancel, true};

/* The queue is short enough again, or will never be. Returns the stream.   [-0, +1, v] */
static int k_write(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__stream *s = eddy__handle_again(L, 1, (eddy__task *)ctx);
  eddy__wake_check(L, (eddy__task *)ctx);
  if (s->write_error != 0) {
    s->error_was_told = true;
    return eddy__raise(L, s->write_error, "write");
  }
  if (s->was_cut) return eddy__stream_raise_closed(L, s, "write");
  lua_settop(L, 1);
  return 1;
}

/* The running task, if what it has queued on the stream at 1 can still go out.   [-0, +0, v] */
static eddy__task *check_writer(lua_State *L, eddy__stream *s, const char *name) {
  eddy__task *task = eddy__running_on(L, s->handle.loop, name);
  if (eddy__stream_is_closing(s)) eddy__stream_raise_closed(L, s, name);
  if (s->write_error == 0) return task;
  s->error_was_told = true;
  eddy__raise(L, s->write_error, "write");
  return NULL;
}

/* Waits if too much is queued; returns the stream.   [-0, +1, y] */
static int wait_below_mark(lua_State *L, eddy__stream *s, eddy__task *task) {
  lua_settop(L, 1);
  if (eddy__stream_queued(s) <= s->high) return 1;
  return eddy__park(L, task, &s->writers, &wait_write, k_write);
}

/* Checks the arguments; numbers become strings, in their places.   [-0, +0, v] */
static void check_pieces(lua_State *L, int last) {
  for (int i = 2; i <= last; i++) {
    int type = lua_type(L, i);
    if (type == LUA_TNUMBER)
      (void)lua_tostring(L, i);
    else if (type != LUA_TSTRING && type != LUA_TTABLE)
      eddy__arg_expected(L, i, "string, number or table of strings");
  }
}

/* Points at the strings of the arguments 2 to last if they are few, and strings all. Makes nothing, so nothing can
 * change under it. Returns how many, or -1.   [-0, +0, -] */
static int point_at(lua_State *L, int last, uv_buf_t *bufs) {
  int n = 0;
  for (int arg = 2; arg <= last; arg++) {
    bool is_table = lua_type(L, arg) == LUA_TTABLE;
    size_t count = is_table ? (size_t)lua_rawlen(L, arg) : 1;
    for (size_t i = 1; i <= count; i++) {
      if (n == FEW) return -1;
      if (is_table)
        lua_rawgeti(L, arg, (lua_Integer)i);
      else
        lua_pushvalue(L, arg);
      bool is_string = lua_type(L, -1) == LUA_TSTRING;
      size_t size = 0;
      const char *text = is_string ? lua_tolstring(L, -1, &size) : NULL;
      lua_pop(L, 1);
      if (!is_string) return -1;
      bufs[n].base = (char *)text;
      bufs[n].len = size;
      n += size > 0;
    }
  }
  return n;
}

/* What is left is little: it waits for what libuv has, if that has anything.   [-0, +0, v] */
static void add_to_tail(lua_State *L, eddy__stream *s, const uv_buf_t *bufs, unsigned n, size_t sent) {
  int rc = append(s, bufs, n);
  if (rc < 0) raise_write(L, s, rc, sent);
  rc = uv_stream_get_write_queue_size(&s->uv.stream) == 0 ? eddy__stream_flush(s) : 0;
  if (rc < 0) raise_write(L, s, rc, 1);
}

/* Queues all but the first `sent` bytes of the pieces, of which too many are left for the tail.   [-0, +n, v] */
static void queue_rest(lua_State *L, eddy__stream *s, int last, size_t sent) {
  int error = s->write_error;
  if (sent > 0) s->write_error = UV_ENOMEM; /* if there is no memory: a part has gone out already */
  request *r;
  if (last == 2 && lua_type(L, 2) == LUA_TSTRING) {
    r = push_request(L, s, 1, 0);
    r->n = 1;
    size_t size;
    r->bufs[0].base = (char *)lua_tolstring(L, 2, &size);
    r->bufs[0].len = size;
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 1);
  } else {
    r = push_pieces(L, s, last);
  }
  s->write_error = error;
  uv_buf_t *bufs = r->bufs;
  unsigned n = skip(&bufs, r->n, sent);
  if (n > 0) queue(L, s, r, bufs, n, sent);
}

/* Many pieces, or numbers among them: they are gathered first.   [-0, +n, v] */
static void write_many(lua_State *L, eddy__stream *s, int last) {
  request *r = push_pieces(L, s, last);
  (void)check_writer(L, s, "write"); /* a finalizer may have closed it: its descriptor is another's by now */
  ssize_t rc = try_write(s, r->bufs, r->n);
  if (rc < 0) raise_write(L, s, (int)rc, 0);
  uv_buf_t *bufs = r->bufs;
  unsigned n = skip(&bufs, r->n, (size_t)rc);
  if (n == 1 && bufs->len < COPIED_SIZE) {
    add_to_tail(L, s, bufs, 1, (size_t)rc);
  } else if (n > 0) {
    queue(L, s, r, bufs, n, (size_t)rc);
  }
}

/* [-0, +0, v] */
static int raise_sending(lua_State *L, const char *name) {
  return eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': another task is sending a file", name);
}

/* stream:write(...) -> stream   [-0, +1, y] */
int eddy__stream_l_write(lua_State *L) {
  int last = lua_gettop(L);
  uv_buf_t few[FEW], *bufs = few;
  eddy__stream *s = eddy__stream_check(L, 1);
  check_pieces(L, last);
  eddy__task *task = check_writer(L, s, "write");
  if (s->was_shut) return eddy__error_throw(L, EDDY_E_RUNTIME, "'write' after shutdown");
  if (s->is_sending) return raise_sending(L, "write");
  int n = 1;
  if (last == 2 && lua_type(L, 2) == LUA_TSTRING) {
    size_t size;
    few[0].base = (char *)lua_tolstring(L, 2, &size);
    few[0].len = size;
    n = size > 0;
  } else {
    luaL_checkstack(L, 4, NULL);
    n = point_at(L, last, few);
  }
  if (n < 0) {
    write_many(L, s, last);
    return wait_below_mark(L, s, task);
  }
  ssize_t sent = try_write(s, few, (unsigned)n);
  if (sent < 0) raise_write(L, s, (int)sent, 0);
  unsigned left = skip(&bufs, (unsigned)n, (size_t)sent);
  if (left == 0) return wait_below_mark(L, s, task);
  size_t size = 0;
  for (unsigned i = 0; i < left; i++) size += bufs[i].len;
  if (size < COPIED_SIZE) {
    add_to_tail(L, s, bufs, left, (size_t)sent);
  } else {
    queue_rest(L, s, last, (size_t)sent);
  }
  return wait_below_mark(L, s, task);
}

/* stream:drain() -> stream   [-0, +1, y] */
int eddy__stream_l_drain(lua_State *L) {
  eddy__stream *s = eddy__stream_check(L, 1);
  return wait_below_mark(L, s, check_writer(L, s, "drain"));
}

static void on_shut(uv_shutdown_t *uv, int status) {
  eddy__stream *s = uv->handle->data;
  s->is_shutting = false;
  bool is_pipe = status == UV_ENOTSOCK && !uv_is_readable(&s->uv.stream);
  if (is_pipe) eddy__stream_close(s); /* nothing else ends one; other errors: a peer that is gone will not miss it */
  eddy__stream_flushed(s);
}

/* stream:shutdown()   [-0, +0, v]: the peer sees the end after what is queued; nobody waits */
int eddy__stream_l_shutdown(lua_State *L) {
  eddy__stream *s = eddy__stream_check(L, 1);
  if (eddy__stream_is_closing(s)) return eddy__stream_raise_closed(L, s, "shutdown");
  if (s->was_shut) return 0;
  if (s->is_sending) return raise_sending(L, "shutdown");
  int rc = eddy__stream_flush(s);
  if (rc < 0) raise_write(L, s, rc, 1);
  if (s->transport != NULL) {
    rc = s->transport->shutdown(s);
    if (rc < 0) return eddy__raise(L, rc, "shutdown");
    s->was_shut = true;
    return 0;
  }
  rc = uv_shutdown(&s->shutdown, &s->uv.stream, on_shut);
  if (rc < 0 && rc != UV_ENOTCONN) return eddy__raise(L, rc, "shutdown");
  s->was_shut = true;
  s->is_shutting = rc == 0;
  return 0;
}

/* A mark in bytes, or `otherwise`.   [-0, +0, v] */
static size_t check_mark(lua_State *L, int arg, size_t otherwise) {
  if (lua_isnoneornil(L, arg)) return otherwise;
  lua_Integer n = eddy__check_integer(L, arg);
  eddy__arg_check(L, n >= 0, arg, "a limit cannot be negative");
  return (size_t)n;
}

/* stream:set_write_buffer_limits(high, low)   [-0, +0, v] */
int eddy__stream_l_set_write_buffer_limits(lua_State *L) {
  eddy__stream *s = eddy__stream_check(L, 1);
  size_t low = check_mark(L, 3, 0);
  bool has_low = !lua_isnoneornil(L, 3);
  size_t high = check_mark(L, 2, has_low ? 4 * low : EDDY_HIGH_WATER);
  if (!has_low) low = high / 4;
  eddy__arg_check(L, low <= high, 3, "low cannot be above high");
  s->high = high;
  s->low = low;
  if (s->handle.is_open && eddy__stream_queued(s) <= low) eddy__park_wake_all(&s->writers);
  return 0;
}
