/* SPDX-License-Identifier: MIT */
/*
 * send_file.c - stream:send_file: a file goes out without passing through Lua, or, where the system can do that,
 *               through the process.
 * Owns:   the sending, on the stack of its task: an outlet, while the socket is full.
 * Uses:   stream.h, operation.h.      Used by: stream.c.
 * Touch:  with care. The file is opened by a thread; it is sent from the task, so much as the socket takes, and nobody
 *         else may write meanwhile. Whatever ends it, `leave` comes before a raise.
 *
 * The stack of the task: as named here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/sendfile.h>
#endif

#include "base/args.h"
#include "base/error.h"
#include "io/operation.h"
#include "io/stream.h"

enum { AT_STREAM = 1, AT_PATH, AT_SENDING, AT_FILE };
enum { STEP = 1 << 20, COPIED = 16384 }; /* bytes until others have their turn; at once through our own memory */

/* libuv polls a socket for its stream already; a duplicate of it says when there is room. */
typedef struct outlet {
  eddy__handle handle; /* first */
  uv_poll_t poll;
  int fd;
  eddy__stream **box; /* of the stream whose writers are woken; NULL: nobody */
} outlet;

typedef struct sending {
  eddy__stream *stream; /* NULL: it is over */
  eddy__stream **box;   /* its userdata, a user value of this; NULL in it once that was finalized by hand */
  outlet *outlet;       /* or NULL */
  int file;
  uint64_t offset, left, sent;
  bool is_copied;       /* the system cannot do it by itself */
} sending;

static const eddy__type type_sending = {"send_file"};

/* --- the outlet ---------------------------------------------------------------------------------------------- */

static void describe(const eddy__handle *h, char *text, size_t size) {
  snprintf(text, size, "outlet %d", ((const outlet *)h)->fd);
}

static void on_closing(eddy__handle *h) { ((outlet *)h)->box = NULL; }

static void on_closed(eddy__handle *h) { close(((outlet *)h)->fd); }

static void release(eddy__handle *h) { free(h); }

static const eddy__handle_kind kind_outlet = {describe, on_closing, on_closed, release};

static void on_room(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events; /* what is wrong the next write says */
  outlet *o = eddy__container_of(poll, outlet, poll);
  uv_poll_stop(poll);
  if (o->box != NULL && *o->box != NULL) eddy__park_wake_all(&(*o->box)->writers);
}

/* Returns 0 or a libuv code. */
static int open_outlet(sending *s) {
  uv_os_fd_t fd;
  eddy__loop *loop = s->stream->handle.loop;
  outlet *o = calloc(1, sizeof *o);
  if (o == NULL) return UV_ENOMEM;
  int rc = uv_fileno((uv_handle_t *)&s->stream->uv.stream, &fd);
  o->fd = rc < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (rc == 0 && o->fd < 0) rc = -errno;
  if (rc == 0) rc = uv_poll_init(loop->uv, &o->poll, o->fd);
  if (rc < 0) {
    if (o->fd >= 0) close(o->fd);
    free(o);
    return rc;
  }
  eddy__handle_init(&o->handle, &kind_outlet, loop, (uv_handle_t *)&o->poll);
  o->handle.is_quiet = true;
  o->handle.keeper.describe = NULL;
  o->box = s->box;
  eddy__handle_opened(&o->handle);
  s->outlet = o;
  return 0;
}

/* Others may write again.   [-0, +0, -] */
static void finish(lua_State *L, sending *s) {
  if (s->stream != NULL && *s->box != NULL) s->stream->is_sending = false;
  s->stream = NULL;
  if (s->outlet != NULL) eddy__handle_drop(L, &s->outlet->handle);
  s->outlet = NULL;
}

/* A script has closed the coroutine that was sending.   [-0, +0, -] */
static int l_gc(lua_State *L) {
  sending *s = eddy__object_test(L, 1, &type_sending);
  if (s != NULL) finish(L, s);
  return 0;
}

/* The same in the task itself: the file does not stay open until the next collection.   [-0, +0, -] */
static void leave(lua_State *L, sending *s) {
  eddy__request **box = lua_touserdata(L, AT_FILE);
  finish(L, s);
  if (*box != NULL) eddy__request_end(*box);
}

/* --- sending ------------------------------------------------------------------------------------------------- */

/* Through our own memory. Returns how much, 0 at the end of the file, or a libuv code. */
static ssize_t copy_some(sending *s, size_t size) {
  char memory[COPIED];
  ssize_t n;
  do n = pread(s->file, memory, size < COPIED ? size : COPIED, (off_t)s->offset);
  while (n < 0 && errno == EINTR);
  if (n <= 0) return n < 0 ? -errno : 0;
  uv_buf_t buf = uv_buf_init(memory, (unsigned)n);
  if (s->stream->transport == NULL) return uv_try_write(&s->stream->uv.stream, &buf, 1);
  int rc = s->stream->transport->write(s->stream, &buf, 1);
  return rc < 0 ? rc : n;
}

/* Sends what goes at once. Returns how much, 0 at the end of the file, or a libuv code. */
static ssize_t send_some(sending *s) {
  size_t size = s->left < STEP ? (size_t)s->left : STEP;
#ifdef __linux__
  uv_os_fd_t fd;
  if (!s->is_copied && uv_fileno((uv_handle_t *)&s->stream->uv.stream, &fd) == 0) {
    off_t offset = (off_t)s->offset;
    ssize_t n;
    do n = sendfile(fd, s->file, &offset, size);
    while (n < 0 && errno == EINTR);
    if (n >= 0 || (errno != EINVAL && errno != ENOSYS)) return n < 0 ? -errno : n;
  }
#endif
  s->is_copied = true;
  return copy_some(s, size);
}

static int k_go_on(lua_State *L, int status, lua_KContext ctx);

static const eddy__wait wait_send = {"send_file", eddy__park_cancel, false};

/* [-0, +0, v] */
static int fail(lua_State *L, sending *s, int rc) {
  eddy__stream *stream = s->stream;
  stream->write_error = rc;
  stream->error_was_told = true;
  leave(L, s);
  return eddy__raise(L, rc, "send");
}

/* The socket is full.   [-0, +1, y] */
static int wait_for_room(lua_State *L, sending *s, eddy__task *task) {
  int rc = s->outlet == NULL ? open_outlet(s) : 0;
  if (rc == 0) rc = uv_poll_start(&s->outlet->poll, UV_WRITABLE, on_room);
  if (rc < 0) {
    leave(L, s);
    return eddy__raise(L, rc, "send");
  }
  return eddy__park(L, task, &s->stream->writers, &wait_send, k_go_on);
}

/* Sends until all is sent, or something is in the way.   [-0, +1, y] */
static int go_on(lua_State *L, sending *s, eddy__task *task) {
  eddy__stream *stream = s->stream;
  size_t budget = STEP;
  while (s->left > 0) {
    if (eddy__stream_queued(stream) > (stream->transport != NULL ? stream->high : 0))
      return eddy__park(L, task, &stream->writers, &wait_send, k_go_on);
    if (budget == 0) return eddy__give_way(L, task, k_go_on);
    ssize_t n = send_some(s);
    if (n == UV_EAGAIN) return wait_for_room(L, s, task);
    if (n < 0) return fail(L, s, (int)n);
    if (n == 0) break; /* it is shorter than it was */
    s->offset += (uint64_t)n;
    s->left -= (uint64_t)n;
    s->sent += (uint64_t)n;
    budget -= (size_t)n < budget ? (size_t)n : budget;
  }
  leave(L, s);
  lua_pushinteger(L, (lua_Integer)s->sent);
  return 1;
}

/* There is room, or the stream was closed, or the task is cancelled.   [-0, +1, y] */
static int k_go_on(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  sending *s = lua_touserdata(L, AT_SENDING);
  eddy__stream *stream = eddy__stream_at(L, AT_STREAM);
  if (stream == NULL || eddy__wake_cancelled(task)) leave(L, s);
  eddy__wake_check(L, task);
  stream = eddy__stream_check(L, AT_STREAM);
  if (stream->write_error != 0) return fail(L, s, stream->write_error);
  if (!eddy__stream_is_closing(stream)) return go_on(L, s, task);
  leave(L, s);
  return eddy__stream_raise_closed(L, stream, "send_file");
}

static bool may_send(const eddy__stream *s) {
  return !eddy__stream_is_closing(s) && !s->was_shut && !s->is_sending && s->write_error == 0;
}

/* The running task, if it may write to the stream at 1 now.   [-0, +0, v] */
static eddy__task *check_sender(lua_State *L, eddy__stream *s) {
  eddy__task *task = eddy__running_on(L, s->handle.loop, "send_file");
  if (eddy__stream_is_closing(s)) eddy__stream_raise_closed(L, s, "send_file");
  if (s->was_shut) eddy__error_throw(L, EDDY_E_RUNTIME, "'send_file' after shutdown");
  if (s->is_sending)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'send_file': another task is sending a file");
  if (s->write_error == 0) return task;
  s->error_was_told = true;
  eddy__raise(L, s->write_error, "send");
  return NULL;
}

/* --- the file ------------------------------------------------------------------------------------------------ */

static void work_open(eddy__operation *op) {
  bool special;
  op->rc = eddy__fs_open_file(op->path, O_RDONLY, 0, &op->stat, &special);
  op->syscall = "open";
  if (op->rc < 0) return;
  op->fd = op->rc;
  op->rc = special ? UV_EINVAL : 0;
#ifdef POSIX_FADV_SEQUENTIAL
  if (!special) (void)posix_fadvise(op->fd, (off_t)op->a, 0, POSIX_FADV_SEQUENTIAL);
  if (!special) (void)posix_fadvise(op->fd, (off_t)op->a, STEP, POSIX_FADV_WILLNEED);
#endif
}

/* [-0, +1, y] */
static int finish_open(lua_State *L, eddy__operation *op) {
  eddy__stream *stream = eddy__stream_at(L, AT_STREAM);
  sending *s = lua_touserdata(L, AT_SENDING);
  if (stream == NULL || !may_send(stream)) leave(L, s);
  stream = eddy__stream_check(L, AT_STREAM);
  eddy__task *task = check_sender(L, stream);
  s->file = op->fd;
  s->stream = stream;
  s->is_copied = stream->transport != NULL;
  stream->is_sending = true;
  return go_on(L, s, task);
}

/* stream:send_file(path, offset, count) -> bytes sent   [-0, +1, y] */
int eddy__stream_l_send_file(lua_State *L) {
  static const eddy__action action = {
    .wait = {"send_file", eddy__request_cancel, true}, .work = work_open, .finish = finish_open};
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  eddy__stream *stream = eddy__stream_check(L, 1);
  eddy__check_path(L, 2);
  lua_Integer offset = eddy__opt_integer(L, 3, 0), count = eddy__opt_integer(L, 4, LUA_MAXINTEGER);
  eddy__arg_check(L, offset >= 0, 3, "an offset cannot be negative");
  eddy__arg_check(L, count >= 0, 4, "a count cannot be negative");
  check_sender(L, stream);
  lua_settop(L, AT_PATH);
  eddy__object_type(L, &type_sending, NULL, NULL, meta, 0);
  lua_pop(L, 1);
  sending *s = eddy__object_new(L, &type_sending, sizeof *s, 1);
  s->box = lua_touserdata(L, AT_STREAM);
  lua_pushvalue(L, AT_STREAM);
  lua_setiuservalue(L, -2, 1);
  s->offset = (uint64_t)offset;
  s->left = (uint64_t)count;
  eddy__operation *op = eddy__operation_new(L, &action, AT_PATH, 0);
  op->a = offset;
  return eddy__operation_run(L, op);
}
