/* SPDX-License-Identifier: MIT */
/*
 * handle.c - life of a uv_handle_t from init to its close callback; see handle.h.
 * Touch:  with care: both l_gc's path and on_closed end with the same line.
 */
#include "io/handle.h"

#include <stdio.h>
#include <string.h>
#ifndef _WIN32
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "base/args.h"
#include "base/carried.h"
#include "base/error.h"

/* [-0, +0, -] */
void eddy__place_of_caller(lua_State *L, char *place, size_t size) {
  lua_Debug ar;
  snprintf(place, size, "?");
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (eddy__carried_frame(&ar)) continue; /* pcall, a helper of eddy's */
    snprintf(place, size, "%s:%d", ar.short_src, ar.currentline);
    return;
  }
}

/* [-0, +0, -] */
void eddy__warn_unclosed(lua_State *L, const char *what, const char *place) {
  lua_warning(L, "ResourceWarning: unclosed ", 1);
  lua_warning(L, what, 1);
  lua_warning(L, " opened at ", 1);
  lua_warning(L, place, 0);
}

static void warn(lua_State *L, const eddy__handle *h) {
  char text[EDDY_TEXT_SIZE];
  if (h->was_asked || h->is_quiet) return;
  h->kind->describe(h, text, sizeof text);
  eddy__warn_unclosed(L, text, h->opened_at);
}

/* The loop ends. */
static void on_teardown(eddy__keeper *keeper) {
  eddy__handle *h = eddy__container_of(keeper, eddy__handle, keeper);
  if (!h->is_open) { /* but haunted until now */
    if (h->is_dropped) h->kind->release(h);
    return;
  }
  warn(h->loop->rt->main, h);
  eddy__handle_close(h);
}

/* [-0, +0, -] */
static void describe(const eddy__keeper *keeper, char *text, size_t size) {
  const eddy__handle *h = eddy__container_of(keeper, eddy__handle, keeper);
  char what[EDDY_TEXT_SIZE];
  h->kind->describe(h, what, sizeof what);
  snprintf(text, size, "<%s opened at %s>", what, h->opened_at);
}

static bool lingers(const eddy__keeper *keeper) {
  const eddy__handle *h = eddy__container_of(keeper, eddy__handle, keeper);
  return h->is_open && h->was_asked && !h->is_closing;
}

void eddy__handle_init(eddy__handle *h, const eddy__handle_kind *kind, eddy__loop *loop,
                       uv_handle_t *uv) {
  memset(h, 0, sizeof *h);
  eddy__list_init(&h->keeper.link);
  h->keeper.close = on_teardown;
  h->keeper.describe = describe;
  h->keeper.lingers = lingers;
  h->kind = kind;
  h->loop = loop;
  h->uv = uv;
}

void eddy__handle_opened(eddy__handle *h) {
  h->uv->data = h;
  h->is_open = true;
  eddy__list_push(&h->loop->handles, &h->keeper.link);
}

static void on_closed(uv_handle_t *uv) {
  eddy__handle *h = uv->data;
  h->is_open = false;
  eddy__list_remove(&h->keeper.link);
  if (h->kind->on_closed != NULL) h->kind->on_closed(h);
  if (h->is_haunted)
    eddy__list_push(&h->loop->haunted, &h->keeper.link);
  else if (h->is_dropped)
    h->kind->release(h);
}

#ifdef _WIN32
void eddy__handle_identify(eddy__handle *h) { (void)h; }

bool eddy__handle_is_own(const eddy__handle *h) {
  (void)h;
  return true;
}

static void close_uv(eddy__handle *h) { uv_close(h->uv, on_closed); }

int eddy__handle_watch(eddy__handle *h, int fd) { return eddy__poll_watch(h->loop, fd, &h->watch); }
#else
/* Returns 0, or an errno. */
static int look(const eddy__handle *h, struct stat *st) {
  uv_os_fd_t fd;
  if (uv_fileno(h->uv, &fd) != 0) return EBADF;
  return fstat(fd, st) == 0 ? 0 : errno;
}

void eddy__handle_identify(eddy__handle *h) {
  struct stat st;
  if (look(h, &st) != 0) return;
  h->dev = (uint64_t)st.st_dev;
  h->ino = (uint64_t)st.st_ino;
}

bool eddy__handle_is_own(const eddy__handle *h) {
  struct stat st;
  if (h->ino == 0) return true;
  int error = look(h, &st);
  if (error != 0) return error != EBADF; /* it is there, and nobody can say more */
  return (uint64_t)st.st_ino == h->ino && (uint64_t)st.st_dev == h->dev;
}

int eddy__handle_watch(eddy__handle *h, int fd) {
  int rc = h->is_watched ? 0 : eddy__poll_watch(h->loop, fd, &h->watch);
  h->is_watched = rc == 0;
  return rc;
}

/* libuv closes the number that it has, whoever that belongs to by now: such a stranger gets it back at once. */
static void close_uv(eddy__handle *h) {
  uv_os_fd_t fd;
  int kept = -1, flags = 0;
  bool is_own = eddy__handle_is_own(h);
  if (h->is_watched)
    h->is_haunted = !is_own || uv_fileno(h->uv, &fd) != 0 || !eddy__poll_unwatch(h->loop, fd);
  if (!is_own && uv_fileno(h->uv, &fd) == 0) {
    flags = fcntl(fd, F_GETFD);
    kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  }
  uv_close(h->uv, on_closed);
  if (kept < 0) return;
  (void)dup2(kept, fd);
  (void)fcntl(fd, F_SETFD, flags);
  close(kept);
}
#endif

void eddy__handle_close(eddy__handle *h) {
  if (!h->is_open || h->is_closing) return;
  h->is_closing = true;
  h->was_asked = true;
  h->kind->on_closing(h);
  close_uv(h);
}

typedef struct search {
  int fd;
  bool found;
} search;

static void on_handle(uv_handle_t *uv, void *argument) {
  search *s = argument;
  uv_os_fd_t fd;
  if (!uv_is_closing(uv) && uv_fileno(uv, &fd) == 0 && fd == (uv_os_fd_t)s->fd) s->found = true;
}

bool eddy__handle_has(const eddy__loop *loop, int fd) {
  search s = {fd, false};
  uv_walk(loop->uv, on_handle, &s);
  return s.found;
}

/* [-0, +0, -] */
void eddy__handle_drop(lua_State *L, eddy__handle *h) {
  h->is_dropped = true;
  if (h->is_open && !h->was_asked) {
    warn(L, h);
    eddy__handle_close(h);
  }
  if (!h->is_open && eddy__list_empty(&h->keeper.link)) h->kind->release(h);
}

/* [-0, +0, v] */
int eddy__handle_gone(lua_State *L, int idx, eddy__task *task) {
  eddy__wake_check(L, task);
  eddy__arg_error(L, idx, "it was collected");
}

/* [-0, +0, v] */
eddy__task *eddy__running_on(lua_State *L, const eddy__loop *loop, const char *name) {
  eddy__task *task = eddy__running(L, name);
  if (task->future.loop != loop)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' on an object of another loop", name);
  return task;
}
