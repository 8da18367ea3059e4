/* SPDX-License-Identifier: MIT */
/*
 * file.c - a file that is open: turns, jobs, the end; see file.h.
 * Touch:  with care. A cancelled task goes at once; its job goes on, and the next turn begins when that has ended.
 */
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "io/fs_work.h"

/* --- the job ------------------------------------------------------------------------------------------------- */

/* Writes `out`, then `data`. What was not written of `out` stays. */
static int write_out(eddy__file *f) {
  size_t written;
  f->syscall = "write";
  int rc = eddy__fs_write(f->fd, f->out, f->nout, &written);
  if (written > 0) {
    f->nout -= written;
    memmove(f->out, f->out + written, f->nout);
  }
  if (rc == 0 && f->ndata > 0) rc = eddy__fs_write(f->fd, f->data, f->ndata, &written);
  return rc;
}

static int close_fd(eddy__file *f, int rc) {
  uv_fs_t req;
  uv_fs_close(NULL, &req, f->fd, NULL);
  if (rc == 0) f->syscall = "close";
  if (rc == 0) rc = (int)req.result;
  uv_fs_req_cleanup(&req);
  return rc;
}

static int work(eddy__file *f) {
  uv_fs_t req;
  int rc = f->nout > 0 || f->ndata > 0 ? write_out(f) : 0;
  if (f->op == EDDY_FILE_CLOSE) return close_fd(f, rc);
  if (rc < 0) return rc;
  switch (f->op) {
  case EDDY_FILE_READ: f->syscall = "read"; return eddy__fs_read(f->fd, f->memory, f->room);
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
  f->result = work(f);
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
  f->op = EDDY_FILE_CLOSE;
  f->ndata = 0;
  int rc = work(f);
  closed(f);
  return rc;
}

static void warn(lua_State *L, const eddy__file *f) {
  char text[EDDY_TEXT_SIZE];
  if (f->is_closed) return;
  snprintf(text, sizeof text, "file %s", f->path);
  eddy__warn_unclosed(L, text, f->opened_at);
}

/* The loop ends. */
static void on_teardown(eddy__keeper *keeper) {
  eddy__file *f = eddy__container_of(keeper, eddy__file, keeper);
  warn(f->loop->rt->main, f);
  f->is_closed = true;
  if (!f->is_working) eddy__file_finish(f); /* else on_done will */
}

/* [-0, +0, -] */
void eddy__file_drop(lua_State *L, eddy__file *f) {
  f->is_dropped = true;
  if (f->fd >= 0) warn(L, f);
  f->is_closed = true;
  if (f->is_working) return;
  eddy__file_finish(f);
  release(f);
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
  if (f->is_working) return; /* on_done comes back here */
  f->holder = eddy__park_first(&f->waiters);
  f->has_worked = false;
  if (f->holder != NULL) eddy__task_wake(f->holder, EDDY_WAKE_NORMAL);
}

static const eddy__wait wait_turn = {"file", eddy__park_cancel};

/* [-0, +n, y] */
int eddy__file_turn(lua_State *L, eddy__file *f, eddy__task *task, lua_KFunction k) {
  bool is_lost = f->holder != NULL && f->holder->waits_for != f; /* its coroutine was closed by a script */
  if (is_lost && !f->is_working) f->holder = NULL;
  if (f->holder != NULL || f->is_working) {
    task->waits_for = f;
    return eddy__park(L, task, &f->waiters, &wait_turn, k);
  }
  f->holder = task;
  f->has_worked = false;
  return k(L, LUA_OK, (lua_KContext)task);
}

/* [-0, +0, v] */
void eddy__file_resumed(lua_State *L, eddy__file *f, eddy__task *task, int status) {
  if (status != LUA_YIELD || !eddy__wake_cancelled(task)) return;
  bool failed = f->has_worked && f->result < 0 && f->result != UV_ECANCELED && f->op != EDDY_FILE_READ;
  if (f->holder == task && failed) f->late_error = f->result; /* the task will not hear of it: the next one does */
  if (f->holder == task) eddy__file_release(f);
  eddy__wake_check(L, task);
}

static void on_done(uv_work_t *uv, int status) {
  eddy__file *f = eddy__container_of(uv, eddy__file, work);
  f->loop->requests--;
  f->is_working = false;
  f->has_worked = true;
  if (f->is_anchored) eddy__loop_drop(f->loop, f->anchor);
  f->is_anchored = false;
  f->ndata = 0;
  if (status < 0) f->result = status; /* it never ran */
  if (f->op == EDDY_FILE_READ) {
    eddy__input_received(&f->in, f->memory, f->result > 0 ? (size_t)f->result : 0);
    f->in.eof = f->result == 0;
    bool was_filled = f->result > 0 && (size_t)f->result == f->room;
    if (was_filled && f->in.cap < EDDY_FILE_AHEAD) f->in.chunk = 2 * f->in.cap;
  }
  if (f->op == EDDY_FILE_CLOSE && status == 0) closed(f);
  if (f->holder != NULL)
    eddy__task_wake_from(f->holder, f);
  else if (f->result < 0 && f->result != UV_ECANCELED && f->op != EDDY_FILE_READ)
    f->late_error = f->result;
  bool is_left = f->is_closed && f->holder == NULL; /* closed where nobody could wait */
  if (f->is_dropped || f->loop->is_closing || is_left) eddy__file_finish(f);
  if (f->is_dropped)
    release(f);
  else if (f->holder == NULL)
    eddy__file_release(f);
}

/* Data that no thread has begun to write is not written; a close goes on in any case. */
static void cancel_work(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__file *f = task->waits_for;
  f->holder = NULL;
  if (f->op != EDDY_FILE_CLOSE && f->is_working) (void)uv_cancel((uv_req_t *)&f->work);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_work = {"file", cancel_work};

/* [-0, +n, y] */
int eddy__file_work(lua_State *L, eddy__file *f, eddy__task *task, int op, lua_KFunction k) {
  f->op = op;
  if (op == EDDY_FILE_READ) {
    f->room = eddy__input_offer(&f->in, &f->memory);
    if (f->room == 0) return eddy__file_raise(L, f, UV_ENOMEM, "read");
  }
  int rc = uv_queue_work(f->loop->uv, &f->work, on_work, on_done);
  if (rc < 0) return eddy__file_raise(L, f, rc, "start an operation on");
  f->is_working = true;
  f->loop->requests++;
  task->waits_for = f;
  return eddy__suspend(L, task, &wait_work, k);
}

/* [-0, +0, v] */
int eddy__file_raise(lua_State *L, eddy__file *f, int rc, const char *syscall) {
  eddy__file_release(f);
  return eddy__raise_about(L, rc, syscall, "path", f->path);
}
