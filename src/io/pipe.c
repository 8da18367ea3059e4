/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - streams over a pipe, a FIFO, a Unix socket; eddy.open_pipe; see pipe.h.
 * Touch:  freely. libuv aborts when it is asked to poll what cannot be polled, so that is found out before.
 */
#include "io/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#endif

#include "base/args.h"
#include "base/error.h"

static const eddy__type type_pipe = {"Pipe"};

/* --- life ---------------------------------------------------------------------------------------------------- */

static void describe(const eddy__handle *h, char *text, size_t size) {
  const eddy__pipe *p = (const eddy__pipe *)h;
  if (p->local.size == 0 && p->peer.size == 0) {
    snprintf(text, size, "%s", p->what);
    return;
  }
  char local[EDDY_UNIX_SIZE + 2], peer[EDDY_UNIX_SIZE + 2];
  eddy__unix_text(&p->local, local, sizeof local);
  eddy__unix_text(&p->peer, peer, sizeof peer);
  snprintf(text, size, "Unix connection %s -> %s", local, peer);
}

static void set_flag(int fd, int flag, bool on) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) (void)fcntl(fd, F_SETFL, on ? flags | flag : flags & ~flag);
}

/* Others may share the description, the shell that started us for instance. */
static void on_closing(eddy__handle *h) {
  eddy__pipe *p = (eddy__pipe *)h;
  uv_os_fd_t fd;
  if (p->was_blocking && eddy__handle_is_own(h) && uv_fileno(h->uv, &fd) == 0)
    set_flag(fd, O_NONBLOCK, false);
  eddy__stream_on_closing(h);
}

static const eddy__handle_kind kind_pipe = {describe, on_closing, eddy__stream_on_closed,
                                            eddy__stream_release};

/* [-0, +1, v] */
eddy__pipe *eddy__pipe_new(lua_State *L, eddy__loop *loop, const char *what, size_t limit) {
  eddy__pipe *p = (eddy__pipe *)eddy__stream_new(L, loop, &type_pipe, &kind_pipe, sizeof *p, limit);
  snprintf(p->what, sizeof p->what, "%s", what);
  int rc = uv_pipe_init(loop->uv, &p->stream.uv.pipe, 0);
  if (rc < 0) eddy__raise(L, rc, "open a pipe");
  eddy__handle_opened(&p->stream.handle);
  return p;
}

/* Returns 0, or UV_EINVAL for a file, a directory, /dev/null: what is always ready. */
static int check_pollable(int fd) {
#ifdef __linux__
  struct epoll_event event = {.events = 0};
  int poll = epoll_create1(EPOLL_CLOEXEC);
  if (poll < 0) return -errno;
  int rc = epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
  close(poll);
  return rc == UV_EPERM ? UV_EINVAL : rc;
#else
  struct stat st;
  if (fstat(fd, &st) < 0) return -errno;
  return S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(fd) ? 0 : UV_EINVAL;
#endif
}

int eddy__pipe_open(eddy__pipe *p, int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  int rc = check_pollable(fd);
  if (rc < 0) return rc;
  if (eddy__handle_has(p->stream.handle.loop, fd)) return UV_EEXIST;
  rc = uv_pipe_open(&p->stream.uv.pipe, fd);
  if (rc < 0) return rc;
  eddy__handle_identify(&p->stream.handle);
  p->was_blocking = (flags & O_NONBLOCK) == 0;
  eddy__unix_names(fd, &p->local, &p->peer);
  return 0;
}

int eddy__pipe_take(eddy__pipe *p, int fd) {
  int rc = uv_pipe_open(&p->stream.uv.pipe, fd);
  if (rc < 0) return rc;
  eddy__handle_identify(&p->stream.handle);
  eddy__stream_is_socket(&p->stream);
  eddy__unix_names(fd, &p->local, &p->peer);
  return 0;
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

/* [-0, +0, v] */
static eddy__pipe *check(lua_State *L) {
  eddy__pipe **box = eddy__object_check(L, 1, &type_pipe);
  eddy__arg_check(L, *box != NULL, 1, "the stream was collected");
  return *box;
}

/* The option of that name in the table at arg.   [-0, +0, v] */
static size_t check_limit(lua_State *L, int arg) {
  return (size_t)eddy__option_integer(L, arg, "limit", 1, (lua_Integer)1 << 40, EDDY_INPUT_LIMIT);
}

/* eddy.open_pipe(fd, options) -> stream   [-0, +1, v] */
static int l_open_pipe(lua_State *L) {
  static const char *const options[] = {"limit", NULL};
  char what[EDDY_PIPE_TEXT];
  lua_Integer fd = eddy__check_integer(L, 1);
  eddy__arg_check(L, fd >= 0 && fd <= INT_MAX, 1, "a descriptor is not negative");
  eddy__check_options(L, 2, options);
  size_t limit = check_limit(L, 2);
  eddy__loop *loop = eddy__loop_running(L, "open_pipe");
  snprintf(what, sizeof what, "pipe %d", (int)fd);
  eddy__pipe *p = eddy__pipe_new(L, loop, what, limit);
  int rc = eddy__pipe_open(p, (int)fd);
  if (rc == 0) return 1;
  eddy__stream_abort(&p->stream);
  if (rc == UV_EEXIST)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'open_pipe': descriptor %d is a stream already", (int)fd);
  if (rc == UV_EINVAL) eddy__arg_error(L, 1, "a pipe, socket or terminal expected");
  return eddy__raise(L, rc, "open_pipe");
}

/* eddy.pipe(options) -> reader, writer   [-0, +2, v] */
static int l_pipe(lua_State *L) {
  static const char *const options[] = {"limit", NULL};
  uv_file fds[2];
  eddy__check_options(L, 1, options);
  size_t limit = check_limit(L, 1);
  eddy__loop *loop = eddy__loop_running(L, "pipe");
  lua_settop(L, 1);
  eddy__pipe *reader = eddy__pipe_new(L, loop, "pipe", limit);
  reader->stream.handle.is_quiet = true; /* until both are open */
  eddy__pipe *writer = eddy__pipe_new(L, loop, "pipe", limit);
  reader->stream.handle.is_quiet = false;
  int rc = uv_pipe(fds, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE);
  if (rc == 0) {
    rc = uv_pipe_open(&reader->stream.uv.pipe, fds[0]);
    if (rc < 0) close(fds[0]);
    int other = uv_pipe_open(&writer->stream.uv.pipe, fds[1]);
    if (other < 0) close(fds[1]);
    if (rc == 0) rc = other;
  }
  if (rc == 0) {
    eddy__handle_identify(&reader->stream.handle);
    eddy__handle_identify(&writer->stream.handle);
    snprintf(reader->what, sizeof reader->what, "pipe %d <- %d", fds[0], fds[1]);
    snprintf(writer->what, sizeof writer->what, "pipe %d -> %d", fds[1], fds[0]);
    return 2;
  }
  eddy__stream_abort(&reader->stream);
  eddy__stream_abort(&writer->stream);
  return eddy__raise(L, rc, "pipe");
}

/* pipe:peername(), pipe:sockname() -> the path of a Unix socket   [-0, +(0|1), v] */
static int l_peername(lua_State *L) { return eddy__unix_push(L, &check(L)->peer); }

static int l_sockname(lua_State *L) { return eddy__unix_push(L, &check(L)->local); }

/* pipe:fileno() -> descriptor   [-0, +1, v] */
static int l_fileno(lua_State *L) {
  eddy__pipe *p = check(L);
  uv_os_fd_t fd;
  if (!p->stream.handle.is_open || p->stream.handle.is_closing)
    eddy__stream_raise_closed(L, &p->stream, "fileno");
  int rc = uv_fileno((uv_handle_t *)&p->stream.uv.pipe, &fd);
  if (rc < 0) return eddy__raise(L, rc, "fileno");
  lua_pushinteger(L, (lua_Integer)fd);
  return 1;
}

/* pipe:_hush(): it is part of something else, which warns for it   [-0, +0, v] */
static int l_hush(lua_State *L) {
  check(L)->stream.handle.is_quiet = true;
  return 0;
}

/* [-0, +0, m] */
void eddy__pipe_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"open_pipe", l_open_pipe}, {"pipe", l_pipe}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"peername", l_peername},
                                     {"sockname", l_sockname},
                                     {"fileno", l_fileno},
                                     {"_hush", l_hush},
                                     {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
  eddy__stream_type(L, &type_pipe, methods);
}
