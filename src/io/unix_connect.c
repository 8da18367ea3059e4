/* SPDX-License-Identifier: MIT */
/*
 * unix_connect.c - eddy.open_unix_connection.
 * Owns:   nothing: a socket lives from one attempt to its end, or is the stream's.
 * Uses:   pipe.h, listen.h (sockets).      Used by: io.c.
 * Touch:  freely. A Unix socket is connected at once or not at all. When the server's backlog is full nobody tells when
 *         there is room again, so it is tried again and again, with pauses.
 *
 * The stack of the task while it waits: 1 path, 2 options, 3 attempt.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "io/listen.h"
#include "io/pipe.h"

enum { AT_ATTEMPT = 3 };

static const double FIRST_PAUSE = 0.001, LONGEST_PAUSE = 0.05; /* seconds */

typedef struct attempt {
  eddy__unix name;
  lua_Number timeout;
  uint64_t deadline;
  double pause; /* before the next one */
  size_t limit;
} attempt;

/* Returns a connected socket, or a libuv code. */
static int try_connect(const eddy__unix *name) {
  struct sockaddr_un a;
  socklen_t size = eddy__unix_address(name, &a);
  int fd = eddy__socket_open(AF_UNIX), rc;
  if (fd < 0) return fd;
  do rc = connect(fd, (struct sockaddr *)&a, size) < 0 ? -errno : 0;
  while (rc == UV_EINTR);
  if (rc == 0 || rc == UV_EISCONN || rc == -EINPROGRESS) return fd;
  close(fd);
  return rc;
}

static void cancel_connect(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__task_deadline_off(task);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_connect = {"open_unix_connection", cancel_connect, true};

static int k_paused(lua_State *L, int status, lua_KContext ctx);

/* The backlog is full.   [-0, +1, y] */
static int wait_a_little(lua_State *L, eddy__task *task, attempt *a) {
  uint64_t when = eddy__clock_after(&task->future.loop->clock, a->pause);
  a->pause = a->pause * 2 < LONGEST_PAUSE ? a->pause * 2 : LONGEST_PAUSE;
  eddy__task_deadline(L, task, when < a->deadline ? when : a->deadline);
  return eddy__suspend(L, task, &wait_connect, k_paused);
}

/* The stream is made first: then nothing can fail that would leave the socket open.   [-0, +1, y] */
static int connect_or_wait(lua_State *L, eddy__task *task) {
  attempt *a = lua_touserdata(L, AT_ATTEMPT);
  char text[EDDY_UNIX_SIZE + 2];
  eddy__pipe *p = eddy__pipe_new(L, task->future.loop, "Unix connection", a->limit);
  p->stream.handle.is_quiet = true;
  int rc = try_connect(&a->name), fd = rc;
  if (fd >= 0) rc = eddy__pipe_take(p, fd);
  if (rc == 0) {
    p->stream.handle.is_quiet = false;
    return 1;
  }
  if (fd >= 0) close(fd);
  eddy__stream_abort(&p->stream);
  lua_settop(L, AT_ATTEMPT);
  if (rc == UV_EAGAIN) return wait_a_little(L, task, a);
  eddy__unix_text(&a->name, text, sizeof text);
  return eddy__raise_about(L, rc, "connect", "path", text);
}

static int k_paused(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  const attempt *a = lua_touserdata(L, AT_ATTEMPT);
  eddy__task_deadline_off(task);
  eddy__wake_check(L, task);
  if (eddy__clock_now(&task->future.loop->clock) >= a->deadline)
    return eddy__error_throw(L, EDDY_E_TIMEOUT, "no connection to '%s' within %f s", lua_tostring(L, 1),
                             (LUAI_UACNUMBER)a->timeout);
  return connect_or_wait(L, task);
}

/* eddy.open_unix_connection(path, options) -> stream   [-0, +1, y] */
static int l_open_unix_connection(lua_State *L) {
  static const char *const options[] = {"timeout", "limit", NULL};
  attempt read;
  memset(&read, 0, sizeof read);
  eddy__unix_check(L, 1, &read.name);
  eddy__check_options(L, 2, options);
  read.timeout = eddy__option_seconds(L, 2, "timeout", HUGE_VAL);
  read.limit = (size_t)eddy__option_integer(L, 2, "limit", 1, (lua_Integer)1 << 40, EDDY_INPUT_LIMIT);
  read.pause = FIRST_PAUSE;
  eddy__task *task = eddy__running(L, "open_unix_connection");
  read.deadline = eddy__clock_after(&task->future.loop->clock, read.timeout);
  lua_settop(L, 2);
  attempt *a = lua_newuserdatauv(L, sizeof *a, 0);
  *a = read;
  return connect_or_wait(L, task);
}

/* [-0, +0, m] */
void eddy__unix_connect_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"open_unix_connection", l_open_unix_connection}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
