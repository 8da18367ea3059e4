/* SPDX-License-Identifier: MIT */
/*
 * file_now.c - reading a file on the loop, without a thread: what is in memory anyway, and special files; see file.h.
 * Owns:   eddy__file_poll, which outlives its file until libuv's close callback.
 * Uses:   fs_work.h; preadv2 with RWF_NOWAIT, where the system has it.      Used by: file.c, file_read.c, file_open.c.
 * Touch:  with care. Nothing here may block: a read that could is a job.
 */
#ifdef __linux__
#include <sys/uio.h>
#endif
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#ifndef _WIN32
#include <unistd.h>
#endif

#include "io/file.h"
#include "io/fs_work.h"
#include "io/now.h"

struct eddy__file_poll {
  uv_poll_t uv;
  eddy__loop *loop;
  eddy__file *file;
};

/* --- what is in memory --------------------------------------------------------------------------------------- */

#ifdef RWF_NOWAIT
/* Whether the place to read at is the end. (Linux 5.9 and 5.10 say so wrongly when they would have to wait.) */
static bool is_at_end(const eddy__file *f) {
  struct stat stat;
  off_t place = lseek(f->fd, 0, SEEK_CUR);
  return place >= 0 && fstat(f->fd, &stat) == 0 && place >= stat.st_size;
}

static int read_cached(eddy__file *f) {
  struct iovec piece = {f->memory, f->room};
  ssize_t n;
  do n = f->is_in_memory ? read(f->fd, f->memory, f->room) : preadv2(f->fd, &piece, 1, -1, RWF_NOWAIT);
  while (n < 0 && errno == EINTR);
  if (n >= 0) f->is_near = true;
  if (n > 0 || (n == 0 && is_at_end(f))) return (int)n;
  if (n < 0 && errno != EAGAIN) f->reads_now = false; /* the kernel or the file system cannot, or a job will say why */
  return UV_EAGAIN;
}
#else
static int read_cached(eddy__file *f) {
  f->reads_now = false;
  return UV_EAGAIN;
}
#endif

int eddy__file_read_now(eddy__file *f) {
  eddy__loop *loop = f->loop;
  if (f->nout > 0 || (f->poll == NULL && !f->reads_now)) return UV_EAGAIN;
  if (!eddy__now_may(loop)) return UV_EALREADY;
  f->room = eddy__input_offer(&f->in, &f->memory);
  if (f->room == 0) return UV_ENOMEM;
  if (f->room > EDDY_NOW_BYTES) f->room = EDDY_NOW_BYTES;
  f->op = EDDY_FILE_READ;
  int n = f->poll != NULL ? eddy__file_job(f) : read_cached(f);
  eddy__file_received(f, n);
  if (n > 0) eddy__now_spend(loop, (size_t)n);
  return n;
}

/* --- special files ------------------------------------------------------------------------------------------- */

int eddy__file_poll_open(eddy__file *f) {
  eddy__file_poll *p = malloc(sizeof *p);
  if (p == NULL) return UV_ENOMEM;
  if (uv_poll_init(f->loop->uv, &p->uv, f->fd) < 0) { /* /dev/null and others are always ready: a thread serves */
    free(p);
    (void)eddy__fs_set_blocking(f->fd, true);
    return 0;
  }
  p->loop = f->loop;
  p->file = f;
  f->poll = p;
  return 0;
}

static void on_closed(uv_handle_t *uv) {
  eddy__file_poll *p = eddy__container_of(uv, eddy__file_poll, uv);
  p->loop->requests--;
  free(p);
}

void eddy__file_poll_close(eddy__file *f) {
  eddy__file_poll *p = f->poll;
  f->poll = NULL;
  p->loop->requests++;
  uv_close((uv_handle_t *)&p->uv, on_closed);
}

static void on_ready(uv_poll_t *uv, int status, int events) {
  (void)events;
  eddy__file *f = eddy__container_of(uv, eddy__file_poll, uv)->file;
  int rc = eddy__file_job(f);
  if (rc == UV_EAGAIN) {
    rc = status < 0 ? status : eddy__file_poll_start(f);
    if (rc == 0) return;
  }
  if (f->poll != NULL) eddy__file_poll_stop(f); /* else it was closed */
  eddy__file_done(f, rc);
}

int eddy__file_poll_start(eddy__file *f) {
  bool writes = f->nout > 0 || f->ndata > 0;
  return uv_poll_start(&f->poll->uv, writes ? UV_WRITABLE : UV_READABLE, on_ready);
}

void eddy__file_poll_stop(eddy__file *f) {
  f->is_working = false;
  (void)uv_poll_stop(&f->poll->uv);
}
