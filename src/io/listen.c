/* SPDX-License-Identifier: MIT */
/*
 * listen.c - a listening socket whose connections are accepted by ourselves; see listen.h.
 * Touch:  with care. on_pending runs inside libuv and only collects descriptors; on_ready hands them out.
 */
#include "io/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/timer.h"

static const double RETRY_AFTER = 1.0; /* seconds without descriptors or memory */

/* --- descriptors --------------------------------------------------------------------------------------------- */

int eddy__socket_open(int family) {
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd < 0 ? -errno : fd;
#else
  int fd = socket(family, SOCK_STREAM, 0);
  if (fd < 0) return -errno;
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
#endif
}

/* Accepts one. Returns 0 or a libuv code. */
static int accept_one(int listening, eddy__accepted *c) {
  eddy__address peer;
  socklen_t size = sizeof peer;
  memset(&peer, 0, sizeof peer);
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
  c->fd = accept4(listening, &peer.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (c->fd < 0) return -errno;
#else
  c->fd = accept(listening, &peer.any, &size);
  if (c->fd < 0) return -errno;
  fcntl(c->fd, F_SETFD, FD_CLOEXEC);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
#endif
  eddy__address_copy(&c->peer, &peer.any); /* a Unix socket has none */
  return 0;
}

static int set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

/* Binds and listens; *at becomes the address that it has. Returns 0 or a libuv code, and in *syscall what failed. */
static int set_up(int fd, eddy__address *at, const eddy__listen_options *o, const char **syscall) {
  *syscall = "setsockopt";
  int rc = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (rc == 0 && o->reuse_port) {
#ifdef SO_REUSEPORT
    rc = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
#else
    rc = UV_ENOTSUP;
#endif
  }
  if (rc == 0 && at->any.sa_family == AF_INET6)
    rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->v6only);
  if (rc < 0) return rc;
  *syscall = "bind";
  if (bind(fd, &at->any, (socklen_t)eddy__address_size(at)) < 0) return -errno;
  *syscall = "listen";
  if (listen(fd, o->backlog) < 0) return -errno;
  socklen_t size = sizeof *at;
  return getsockname(fd, &at->any, &size) < 0 ? -errno : 0;
}

/* --- accepting ----------------------------------------------------------------------------------------------- */

static void on_pending(uv_poll_t *poll, int status, int events);

static void pause_accepting(eddy__listener *l) {
  if (!l->is_paused) uv_poll_stop(&l->poll);
  l->is_paused = true;
}

static void enqueue(eddy__listener *l);

static void go_on_accepting(eddy__listener *l) {
  if (!l->is_paused || l->handle.is_closing || l->fd < 0) return;
  eddy__timer_stop(&l->handle.loop->timers, &l->retry);
  if (!eddy__handle_is_own(&l->handle)) { /* libuv would abort when it polls that: the owner is told, and that is all */
    l->starved = UV_EBADF;
    l->fd = -1;
    enqueue(l);
    return;
  }
  l->is_paused = uv_poll_start(&l->poll, UV_READABLE, on_pending) < 0;
}

void eddy__listener_resume(eddy__listener *l) {
  if (l->owner != NULL && l->owner->live < l->owner->max) go_on_accepting(l);
}

static void on_retry(eddy__timer *timer) {
  eddy__listener_resume(eddy__container_of(timer, eddy__listener, retry));
}

/* What is left when it was queued for the last time: its owner let go of it, and it is closed. */
static void free_if_over(eddy__listener *l) {
  if (l->handle.is_dropped && !l->handle.is_open) free(l);
}

/* Hands out what on_pending has collected: the owner may call Lua now. */
static void on_ready(eddy__posted *p) {
  eddy__listener *l = eddy__container_of(p, eddy__listener, ready);
  int n = l->n, starved = l->starved;
  l->is_queued = false;
  l->n = 0;
  l->starved = 0;
  for (int i = 0; i < n; i++) {
    if (l->owner != NULL)
      l->owner->on_accepted(l->owner, l, &l->batch[i]);
    else
      close(l->batch[i].fd);
  }
  if (starved != 0 && l->owner != NULL) l->owner->on_starved(l->owner, l, starved);
  free_if_over(l);
}

/* The loop has closed before: it is closed as well, and has nothing to hand out. */
static void on_never(eddy__posted *p) {
  eddy__listener *l = eddy__container_of(p, eddy__listener, ready);
  l->is_queued = false;
  free_if_over(l);
}

static void enqueue(eddy__listener *l) {
  if (l->is_queued) return;
  l->is_queued = true;
  l->ready.run = on_ready;
  l->ready.drop = on_never;
  eddy__post_ready(l->handle.loop, &l->ready);
}

/* No descriptors or memory: those that wait go on waiting. Without a timer it would be polled again at once, which is
 * worse for the processor but no worse for them. */
static void starve(eddy__listener *l, int rc) {
  eddy__loop *loop = l->handle.loop;
  uint64_t when = eddy__clock_after(&loop->clock, RETRY_AFTER);
  if (eddy__timer_start(&loop->timers, &l->retry, when, on_retry) == 0) pause_accepting(l);
  l->starved = rc;
  enqueue(l);
}

/* What is wrong with one connection only, and with the network, does not concern the others. */
static bool is_passing(int rc) {
  switch (rc) {
  case UV_EINTR:
  case UV_ECONNABORTED:
  case UV_EPROTO:
  case UV_ENETDOWN:
  case UV_ENOPROTOOPT:
  case UV_EHOSTDOWN:
  case UV_EHOSTUNREACH:
  case UV_ENETUNREACH: return true;
  default: return false;
  }
}

static void on_pending(uv_poll_t *poll, int status, int events) {
  (void)events;
  eddy__listener *l = eddy__container_of(poll, eddy__listener, poll);
  if (status < 0) {
    starve(l, status);
    return;
  }
  while (l->n < EDDY_ACCEPT_BATCH) {
    if (l->owner->live >= l->owner->max) {
      pause_accepting(l);
      break;
    }
    int rc = accept_one(l->fd, &l->batch[l->n]);
    if (rc == UV_EAGAIN) break;
    if (rc < 0 && is_passing(rc)) continue;
    if (rc < 0) {
      starve(l, rc);
      break;
    }
    l->batch[l->n++].local = eddy__address_is_wild(&l->address) ? NULL : &l->address;
    l->owner->live++;
  }
  if (l->n > 0) enqueue(l);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static void describe(const eddy__handle *h, char *text, size_t size) {
  snprintf(text, size, "server at %s", ((const eddy__listener *)h)->name);
}

/* Closes what has been accepted and nobody will take: it was counted. */
static void refuse_all(eddy__listener *l) {
  for (; l->n > 0; close(l->batch[--l->n].fd))
    if (l->owner != NULL) l->owner->live--;
}

static void on_closing(eddy__handle *h) {
  eddy__listener *l = (eddy__listener *)h;
  eddy__timer_stop(&h->loop->timers, &l->retry);
  if (l->fd >= 0 && !eddy__handle_is_own(h)) l->fd = -1; /* its number is another's by now */
  if (l->owner != NULL && l->owner->on_stopped != NULL) l->owner->on_stopped(l->owner, l);
  if (!h->loop->is_closing) return;
  refuse_all(l);
  if (l->is_queued) eddy__list_remove(&l->ready.link); /* the ready queue will not run any more */
  l->is_queued = false;
}

static void on_closed(eddy__handle *h) {
  eddy__listener *l = (eddy__listener *)h;
  if (l->fd >= 0) close(l->fd);
  l->fd = -1;
  refuse_all(l);
  if (l->owner != NULL) l->owner->on_closed(l->owner, l);
}

static void release(eddy__handle *h) {
  eddy__listener *l = (eddy__listener *)h;
  if (!l->is_queued) free(l); /* else on_ready will */
}

static const eddy__handle_kind kind = {describe, on_closing, on_closed, release};

int eddy__listener_adopt(eddy__listener **out, eddy__loop *loop, eddy__acceptor *owner, int fd,
                         const char *name) {
  eddy__listener *l = calloc(1, sizeof *l);
  int rc = l == NULL ? UV_ENOMEM : uv_poll_init(loop->uv, &l->poll, fd);
  if (rc < 0) {
    free(l);
    close(fd);
    return rc;
  }
  eddy__handle_init(&l->handle, &kind, loop, (uv_handle_t *)&l->poll);
  l->owner = owner;
  l->fd = fd;
  snprintf(l->name, sizeof l->name, "%s", name);
  eddy__handle_opened(&l->handle);
  eddy__handle_identify(&l->handle);
  rc = uv_poll_start(&l->poll, UV_READABLE, on_pending);
  *out = l;
  if (rc == 0) return 0;
  l->owner = NULL;
  l->handle.is_dropped = true; /* goes in its close callback */
  eddy__listener_close(l);
  return rc;
}

int eddy__listener_open(eddy__listener **out, eddy__loop *loop, eddy__acceptor *owner,
                        const eddy__address *at, const eddy__listen_options *o,
                        const char **syscall) {
  eddy__address address = *at;
  char name[EDDY_NAME_SIZE];
  *syscall = "socket";
  int fd = eddy__socket_open(at->any.sa_family);
  if (fd < 0) return fd;
  int rc = set_up(fd, &address, o, syscall);
  if (rc < 0) {
    close(fd);
    return rc;
  }
  *syscall = "listen";
  eddy__address_text(&address, name, sizeof name);
  rc = eddy__listener_adopt(out, loop, owner, fd, name);
  if (rc == 0) (*out)->address = address;
  return rc;
}

void eddy__listener_close(eddy__listener *l) {
  eddy__handle_close(&l->handle);
  if (l->fd >= 0) close(l->fd); /* libuv does not look at it any more */
  l->fd = -1;
}
