/* SPDX-License-Identifier: MIT */
/*
 * file.c - a file that is open: turns, jobs, the end; see file.h.
 * Touch:  with care. A cancelled task goes at once; its job goes on, and the next turn begins when that has ended.
 */
#include "io/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <poll.h>
#endif

#include "base/error.h"
#include "io/fs_work.h"

/* --- the job ------------------------------------------------------------------------------------------------- */

/* Writes `out`, then `data`. What was not written stays. */
static int write_out(eddy__file *f) {
  size_t written;
  f->syscall = "write";
  int rc = eddy__fs_write(f->fd, f->out, f->nout, &written);
  if (written > 0) {
    f->nout -= written;
    memmove(f->out, f->out + written, f->nout);
  }
  if (rc < 0 || f->ndata == 0) return rc;
  rc = eddy__fs_write(f->fd, f->data, f->ndata, &written);
  f->data += written;
  f->ndata -= written;
  return rc;
}

static int close_fd(eddy__file *f, int rc) {
  if (f->poll != NULL) eddy__file_poll_close(f);
  int closed = eddy__fs_close(f->fd);
  if (rc == 0) f->syscall = "close";
  return rc == 0 ? closed : rc;
}

/* A FIFO gives nothing at its end, and before its first writer has come. */
static int read_fifo_end(eddy__file *f) {
#ifndef _WIN32
  struct pollfd pollfd = {.fd = f->fd, .events = POLLIN};
  if (poll(&pollfd, 1, 0) < 0) return -errno;
  if (pollfd.revents & POLLIN) return eddy__fs_read(f->fd, f->memory, f->room);
  return pollfd.revents & POLLHUP ? 0 : UV_EAGAIN;
#else
  (void)f;
  return 0;
#endif
}

static int read_in(eddy__file *f) {
  f->syscall = "read";
  int n = eddy__fs_read(f->fd, f->memory, f->room);
  return n == 0 && f->is_fifo ? read_fifo_end(f) : n;
}

int eddy__file_job(eddy__file *f) {
  uv_fs_t req;
  int rc = f->nout > 0 || f->ndata > 0 ? write_out(f) : 0;
  if (rc == UV_EAGAIN && f->poll != NULL) return rc; /* a close waits for that, too */
  if (f->op == EDDY_FILE_CLOSE) return close_fd(f, rc);
  if (rc < 0) return rc;
  switch (f->op) {
  case EDDY_FILE_READ: return read_in(f);
  case EDDY_FILE_STAT: f->syscall = "fstat"; return eddy__fs_fstat(f->fd, &f->stat);
  case EDDY_FILE_SYNC:
    f->syscall = "fsync";
    uv_fs_fsync(NULL, &req, f->fd, NULL);
    break;
  case EDDY_FILE_TRUNCATE:
    f->syscall = "ftruncate";
    uv_fs_ftruncate(NULL, &req, f->fd, f->length, NULL);
    break;
  default: return 0;
  }
  rc = (int)req.result;
  uv_fs_req_cleanup(&req);
  return rc;
}

static void on_work(uv_work_t *uv) {
  eddy__file *f = eddy__container_of(uv, eddy__file, work);
  f->result = eddy__file_job(f);
}

/* --- the end ------------------------------------------------------------------------------------------------- */

/* The descriptor is closed. */
static void closed(eddy__file *f) {
  f->fd = -1;
  f->is_closed = true;
  eddy__list_remove(&f->keeper.link);
  free(f->out);
  f->out = NULL;
  f->nout = 0;
  eddy__input_deinit(&f->in);
}

static void release(eddy__file *f) {
  free(f->path);
  free(f);
}

int eddy__file_finish(eddy__file *f) {
  if (f->fd < 0) return 0;
  f->ndata = 0;
  int rc = close_fd(f, f->nout > 0 ? write_out(f) : 0);
  closed(f);
  return rc;
}

static void warn(lua_State *L, const eddy__file *f) {
  char text[EDDY_TEXT_SIZE];
  if (f->is_closed) return;
  snprintf(text, sizeof text, "file %s", f->path);
  eddy__warn_unclosed(L, text, f->opened_at);
}

/* Tasks that wait for it never run again, and the userdata was finalized before: the memory goes with the loop. */
static void leave_orphan(eddy__file *f) {
  while (eddy__park_first(&f->waiters) != NULL) {}
  f->holder = NULL;
  *f->box = NULL;
  f->is_dropped = true;
}

/* The loop ends. */
static void on_teardown(eddy__keeper *keeper) {
  eddy__file *f = eddy__container_of(keeper, eddy__file, keeper);
  warn(f->loop->rt->main, f);
  f->is_closed = true;
  if (f->is_orphan) leave_orphan(f);
  if (f->is_working && f->poll != NULL) eddy__file_poll_stop(f);
  if (f->is_working) return; /* eddy__file_done will do the rest */
  eddy__file_finish(f);
  if (f->is_dropped) release(f);
}

static bool is_waited_for(const eddy__file *f) {
  return (f->holder != NULL && f->holder->waits_for == f) || !eddy__list_empty(&f->waiters);
}

/* [-0, +0, -] */
bool eddy__file_drop(lua_State *L, eddy__file *f, bool for_good) {
  if (f->fd >= 0 && is_waited_for(f)) {
    f->is_orphan = for_good;
    return false;
  }
  f->is_dropped = for_good;
  if (f->fd >= 0) warn(L, f);
  f->is_closed = true;
  if (f->is_working && f->poll != NULL && f->op != EDDY_FILE_CLOSE) eddy__file_poll_stop(f);
  if (f->is_working) return for_good;
  eddy__file_finish(f);
  if (for_good) release(f);
  return for_good;
}

/* [-0, +0, -] */
static void describe(const eddy__keeper *keeper, char *text, size_t size) {
  const eddy__file *f = eddy__container_of(keeper, eddy__file, keeper);
  snprintf(text, size, "<file %s opened at %s>", f->path, f->opened_at);
}

eddy__file *eddy__file_new(eddy__loop *loop, eddy__blocks *blocks, int fd, const char *path) {
  eddy__file *f = calloc(1, sizeof *f);
  char *copy = strdup(path);
  if (f == NULL || copy == NULL) {
    free(f);
    free(copy);
    return NULL;
  }
  f->path = copy;
  f->fd = fd;
  f->loop = loop;
  f->keeper.close = on_teardown;
  f->keeper.describe = describe;
  eddy__list_init(&f->waiters);
  eddy__input_init(&f->in, blocks, 0);
  eddy__list_push(&loop->handles, &f->keeper.link);
  return f;
}

/* --- turns --------------------------------------------------------------------------------------------------- */

void eddy__file_release(eddy__file *f) {
  f->holder = NULL;
  if (f->is_working) return; /* eddy__file_done comes back here */
  f->holder = eddy__park_first(&f->waiters);
  f->has_worked = f->took_data = f->was_ended = false;
  if (f->holder != NULL) eddy__task_wake(f->holder, EDDY_WAKE_NORMAL);
}

static const eddy__wait wait_turn = {"file", eddy__park_cancel, false};

/* [-0, +n, y] */
int eddy__file_turn(lua_State *L, eddy__file *f, eddy__task *task, lua_KFunction k) {
  bool is_lost = f->holder != NULL && f->holder->waits_for != f; /* its coroutine was closed by a script */
  if (is_lost && !f->is_working) f->holder = NULL;
  task->waits_for = f;
  if (f->holder != NULL || f->is_working) return eddy__park(L, task, &f->waiters, &wait_turn, k);
  f->holder = task;
  f->has_worked = f->took_data = f->was_ended = false;
  return k(L, LUA_OK, (lua_KContext)task);
}

/* [-0, +n, y] */
int eddy__file_turn_to_close(lua_State *L, eddy__file *f, eddy__task *task, lua_KFunction k) {
  bool writes = f->is_working && f->op != EDDY_FILE_READ;
  if (f->poll == NULL || f->holder == NULL || writes) return eddy__file_turn(L, f, task, k);
  f->was_ended = true;
  if (f->is_working) {
    eddy__file_poll_stop(f);
    eddy__file_done(f, UV_ECANCELED);
  }
  if (f->holder == NULL || f->holder->waits_for != f) return eddy__file_turn(L, f, task, k);
  task->waits_for = f;
  return eddy__park(L, task, f->waiters.next, &wait_turn, k);
}

/* [-0, +0, v] */
void eddy__file_resumed(lua_State *L, eddy__file *f, eddy__task *task, int status) {
  if (status != LUA_YIELD || !eddy__wake_cancelled(task)) return;
  bool failed = f->has_worked && f->result < 0 && f->result != UV_ECANCELED && f->op != EDDY_FILE_READ;
  if (f->holder == task && failed) f->late_error = f->result; /* the task will not hear of it: the next one does */
  if (f->holder == task) eddy__file_release(f);
  eddy__wake_check(L, task);
}

/* --- a job, from its start to its end ------------------------------------------------------------------------ */

void eddy__file_received(eddy__file *f, int n) {
  eddy__input_received(&f->in, f->memory, n > 0 ? (size_t)n : 0);
  f->in.eof = n == 0;
}

/* What the job was given goes. */
static void let_go(eddy__file *f) {
  f->is_working = false;
  if (f->is_anchored) eddy__loop_drop(f->loop, f->anchor);
  f->is_anchored = false;
  f->ndata = 0;
  if (f->op != EDDY_FILE_READ) return;
  eddy__file_received(f, f->result);
}

void eddy__file_done(eddy__file *f, int result) {
  bool failed = result < 0 && result != UV_ECANCELED && f->op != EDDY_FILE_READ;
  f->result = result;
  f->has_worked = true;
  let_go(f);
  if (f->op == EDDY_FILE_CLOSE && f->poll != NULL) (void)close_fd(f, result); /* it could not be waited for */
  if (f->op == EDDY_FILE_CLOSE && result != UV_ECANCELED) closed(f);
  if (f->holder != NULL && f->holder->waits_for != f) f->holder = NULL; /* its coroutine was closed by a script */
  if (f->holder != NULL)
    eddy__task_wake_from(f->holder, f);
  else if (failed)
    f->late_error = result;
  bool is_left = f->is_closed && f->holder == NULL; /* closed where nobody could wait */
  if (f->is_dropped || f->loop->is_closing || is_left) eddy__file_finish(f);
  if (f->is_dropped)
    release(f);
  else if (f->holder == NULL)
    eddy__file_release(f);
}

static void on_done(uv_work_t *uv, int status) {
  eddy__file *f = eddy__container_of(uv, eddy__file, work);
  f->loop->requests--;
  bool was_filled = status == 0 && f->op == EDDY_FILE_READ && f->result > 0 && (size_t)f->result == f->room;
  eddy__file_done(f, status < 0 ? status : f->result);
  if (was_filled && f->in.cap < EDDY_FILE_AHEAD) f->in.chunk = 2 * f->in.cap;
}

/* Data that no thread has begun to write is not written; a close goes on in any case. */
static void cancel_work(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__file *f = task->waits_for;
  f->holder = NULL;
  if (f->op == EDDY_FILE_CLOSE || !f->is_working) {
    eddy__cancel_wait(task);
    return;
  }
  if (f->poll == NULL) {
    (void)uv_cancel((uv_req_t *)&f->work);
  } else {
    f->result = UV_EAGAIN; /* nothing was read */
    eddy__file_poll_stop(f);
    let_go(f);
    eddy__file_release(f);
  }
  eddy__cancel_wait(task);
}

static const eddy__wait wait_work = {"file", cancel_work, false};

/* [-0, +0, v] */
static int fail_to_start(lua_State *L, eddy__file *f, int rc) {
  f->result = rc;
  let_go(f);
  if (f->op == EDDY_FILE_CLOSE) eddy__file_finish(f);
  return eddy__file_raise(L, f, rc, "start an operation on");
}

/* A special file: what can be done at once is, and k goes on without suspending.   [-0, +n, y] */
static int work_polled(lua_State *L, eddy__file *f, eddy__task *task, lua_KFunction k) {
  bool must_wait = f->op == EDDY_FILE_READ && f->nout == 0; /* it was tried just now */
  int rc = must_wait ? UV_EAGAIN : eddy__file_job(f);
  if (rc != UV_EAGAIN) {
    eddy__file_done(f, rc);
    return k(L, LUA_OK, (lua_KContext)task);
  }
  rc = eddy__file_poll_start(f);
  if (rc < 0) return fail_to_start(L, f, rc);
  f->is_working = true;
  return eddy__suspend(L, task, &wait_work, k);
}

/* [-0, +n, y] */
int eddy__file_work(lua_State *L, eddy__file *f, eddy__task *task, int op, lua_KFunction k) {
  f->op = op;
  task->waits_for = f;
  if (op == EDDY_FILE_READ) {
    f->room = eddy__input_offer(&f->in, &f->memory);
    if (f->room == 0) return eddy__file_raise(L, f, UV_ENOMEM, "read");
  }
  if (f->poll != NULL) return work_polled(L, f, task, k);
  int rc = uv_queue_work(f->loop->uv, &f->work, on_work, on_done);
  if (rc < 0) return fail_to_start(L, f, rc);
  f->is_working = true;
  f->loop->requests++;
  return eddy__suspend(L, task, &wait_work, k);
}

/* [-0, +0, v] */
int eddy__file_raise(lua_State *L, eddy__file *f, int rc, const char *syscall) {
  eddy__file_release(f);
  return eddy__raise_about(L, rc, syscall, "path", f->path);
}
