/* SPDX-License-Identifier: MIT */
/*
 * poll.c - how a loop looks at the world outside, and waits for it; see poll.h.
 * Touch:  with care.
 *
 * libuv polls sockets level-triggered: the system looks at each one that had bytes once more at the next poll, and
 * libuv's way to a callback passes a dozen cache lines of a stream. For a server of many small messages that is a
 * twentieth of its time. So on Linux TCP connections stand in an epoll of our own, edge-triggered. libuv's backend is
 * one more descriptor in it: libuv is turned when that is readable, or when it has something to do by itself. The epoll
 * is made for the first connection: Linux lets a file be in 500 epolls at most that stand in others, and standard
 * output may be that of many programs.
 *
 * A loop looks for a while before it sleeps, where that has paid lately: to sleep and to be woken takes longer than
 * most answers do (docs/internals/performance.md).
 */
#include "core/poll.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <poll.h>
#endif
#ifdef __linux__
#include <sys/epoll.h>
#include <unistd.h>
#endif

#include "core/post.h"
#include "core/spin.h"

enum { ANSWER_NS = 40000 }; /* after which a peer has answered that slept */

/* --- libuv alone --------------------------------------------------------------------------------------------- */

/* The deadline is there. libuv before 1.45 runs timers before it polls: if this one was due by then (a busy machine is
 * enough), the poll would block with nothing to end it. A stopped loop polls without blocking. */
static void on_wake(uv_timer_t *timer) { uv_stop(timer->loop); }

/* How long until the deadline: ms. */
static uint64_t time_left(eddy__loop *loop, uint64_t deadline) {
  uint64_t now = loop->clock.is_virtual ? loop->clock.now : eddy__clock_now(&loop->clock);
  return eddy__clock_to_ms(deadline > now ? deadline - now : 0);
}

void eddy__poll_libuv(eddy__loop *loop, uint64_t ms) {
  uv_update_time(loop->uv);
  uv_timer_start(&loop->wake, on_wake, ms, 0);
  uv_run(loop->uv, UV_RUN_ONCE);
  uv_timer_stop(&loop->wake);
}

/* --- what may come ------------------------------------------------------------------------------------------- */

static bool has_mail(const void *loop) { return eddy__post_waiting(loop); }

static bool may_get_mail(const eddy__loop *loop) {
  return loop->mailbox != NULL && (loop->jobs > 0 || !eddy__list_empty(&loop->expecting));
}

/* Whether somebody waits for a peer or a child, and no thread of libuv's is at work for us: that would need the
 * processor. (libuv's async is one of its handles.) */
static bool may_get_answer(const eddy__loop *loop) {
  return loop->requests == 0 && (loop->reading > 0 || loop->uv->active_handles > 1);
}

/* Whether libuv has something to do that its backend does not tell of: descriptors that it has not registered yet,
 * closes, timers. (Its own answer knows of the first since 1.45 only.) */
static bool libuv_has_work(const eddy__loop *loop) {
#ifndef _WIN32
  const void *queue = &loop->uv->watcher_queue;
  const void *first;
  memcpy(&first, queue, sizeof first);
  if (first != queue) return true;
#endif
  return uv_backend_timeout(loop->uv) == 0;
}

#ifdef __linux__
/* --- with an epoll ------------------------------------------------------------------------------------------- */

enum { BATCH = 128 }; /* news at once */

/* Without one (a host's libuv loop, no descriptor left, EDDY_POLL=libuv in the environment) libuv does it all. */
static void open_epoll(eddy__loop *loop) {
  struct epoll_event backend = {.events = EPOLLIN}; /* its data is NULL */
  const char *env = getenv("EDDY_POLL");
  loop->has_tried_epoll = true;
  if (loop->uv != &loop->own || (env != NULL && strcmp(env, "libuv") == 0)) return;
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, uv_backend_fd(loop->uv), &backend) == 0)
    loop->epoll = epoll;
  else
    close(epoll);
}

bool eddy__poll_watches(eddy__loop *loop) {
  if (!loop->has_tried_epoll) open_epoll(loop);
  return loop->epoll >= 0;
}

static int control(eddy__loop *loop, int what, int fd, eddy__watch *w) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET, .data.ptr = w};
  return epoll_ctl(loop->epoll, what, fd, &event) < 0 ? -errno : 0;
}

int eddy__poll_watch(eddy__loop *loop, int fd, eddy__watch *w) { return control(loop, EPOLL_CTL_ADD, fd, w); }

void eddy__poll_again(eddy__loop *loop, int fd, eddy__watch *w) { (void)control(loop, EPOLL_CTL_MOD, fd, w); }

bool eddy__poll_unwatch(eddy__loop *loop, int fd) { return control(loop, EPOLL_CTL_DEL, fd, NULL) == 0; }

static void close_epoll(eddy__loop *loop) {
  if (loop->epoll >= 0) close(loop->epoll);
  loop->epoll = -1;
}

/* Tells all. Nobody's memory goes before libuv is turned. */
static void tell(eddy__loop *loop, const struct epoll_event *events, int n) {
  bool is_libuv = false;
  for (int i = 0; i < n; i++) {
    eddy__watch *w = events[i].data.ptr;
    if (w == NULL)
      is_libuv = true;
    else
      w->on_ready(w, (events[i].events & ~(uint32_t)EPOLLIN) != 0);
  }
  if (is_libuv) uv_run(loop->uv, UV_RUN_NOWAIT);
}

/* Waits for so many ms, -1: for ever. Returns whether something has happened. */
static bool ask(eddy__loop *loop, int ms) {
  struct epoll_event events[BATCH];
  int n = epoll_wait(loop->epoll, events, BATCH, ms);
  tell(loop, events, n);
  return n > 0;
}
#else
bool eddy__poll_watches(eddy__loop *loop) {
  (void)loop;
  return false;
}

int eddy__poll_watch(eddy__loop *loop, int fd, eddy__watch *w) {
  (void)loop, (void)fd, (void)w;
  return UV_ENOTSUP;
}

void eddy__poll_again(eddy__loop *loop, int fd, eddy__watch *w) { (void)loop, (void)fd, (void)w; }

bool eddy__poll_unwatch(eddy__loop *loop, int fd) {
  (void)loop, (void)fd;
  return false;
}

static void close_epoll(eddy__loop *loop) { (void)loop; }

static bool ask(eddy__loop *loop, int ms) {
  (void)loop, (void)ms;
  return false;
}
#endif

/* --- both ---------------------------------------------------------------------------------------------------- */

void eddy__poll_close(eddy__loop *loop) {
  assert(loop->reading == 0);
  close_epoll(loop);
  while (!eddy__list_empty(&loop->haunted)) {
    eddy__keeper *keeper = eddy__container_of(loop->haunted.next, eddy__keeper, link);
    eddy__list_remove(&keeper->link);
    keeper->close(keeper);
  }
}

static void check(eddy__loop *loop) {
  for (eddy__list *l = loop->checks.next, *next; l != &loop->checks; l = next) {
    next = l->next;
    eddy__check *c = eddy__container_of(l, eddy__check, link);
    c->look(c);
  }
}

void eddy__poll_now(eddy__loop *loop) {
  bool is_ours = loop->epoll >= 0;
  if (is_ours) check(loop);
  if (!is_ours || libuv_has_work(loop)) uv_run(loop->uv, UV_RUN_NOWAIT);
  if (is_ours) (void)ask(loop, 0);
}

void eddy__poll_settle(eddy__loop *loop) {
  if (loop->ready == 0 && libuv_has_work(loop)) uv_run(loop->uv, UV_RUN_NOWAIT);
}

/* Whether something has happened. With an epoll it was told then; without, libuv has to be turned. */
static bool has_news(const void *what) {
  eddy__loop *loop = (eddy__loop *)what;
  if (eddy__post_waiting(loop)) return true;
  if (loop->epoll >= 0) return ask(loop, 0);
#ifndef _WIN32
  struct pollfd backend = {.fd = uv_backend_fd(loop->uv), .events = POLLIN};
  return poll(&backend, 1, 0) > 0;
#else
  return false;
#endif
}

/* Before the loop sleeps. Returns whether something has happened. */
static bool look_longer(eddy__loop *loop) {
  if (may_get_answer(loop)) /* a look is a system call: none, where it is left out */
    return eddy__spin_is_due(&loop->spin) && eddy__spin_for(&loop->spin, ANSWER_NS, has_news, loop);
  return may_get_mail(loop) && eddy__spin_for(&loop->spin, EDDY_SPIN_NS, has_mail, loop);
}

/* How long it may sleep: ms, -1: for ever. */
static int limit(eddy__loop *loop, uint64_t deadline) {
  int libuv = uv_backend_timeout(loop->uv);
  if (libuv > 0) { /* it has read the clock a while ago */
    uv_update_time(loop->uv);
    libuv = uv_backend_timeout(loop->uv);
  }
  if (deadline == EDDY_NEVER) return libuv;
  int own = (int)time_left(loop, deadline);
  return libuv >= 0 && libuv < own ? libuv : own;
}

static void wait_here(eddy__loop *loop, uint64_t deadline) {
  check(loop);
  if (libuv_has_work(loop)) {
    uv_run(loop->uv, UV_RUN_NOWAIT);
    (void)ask(loop, 0); /* it may have some all the time */
    return;
  }
  if (look_longer(loop)) return;
  eddy__post_rest(loop);
  if (!ask(loop, limit(loop, deadline)) && uv_backend_timeout(loop->uv) >= 0) uv_run(loop->uv, UV_RUN_NOWAIT);
}

static void wait_in_libuv(eddy__loop *loop, uint64_t deadline) {
  if (!libuv_has_work(loop)) (void)look_longer(loop);
  eddy__post_rest(loop);
  if (deadline != EDDY_NEVER)
    eddy__poll_libuv(loop, time_left(loop, deadline));
  else
    uv_run(loop->uv, UV_RUN_ONCE);
}

void eddy__poll_wait(eddy__loop *loop, uint64_t deadline) {
  uv_ref((uv_handle_t *)&loop->async); /* libuv does not poll a loop in which nothing is alive */
  if (loop->epoll >= 0)
    wait_here(loop, deadline);
  else
    wait_in_libuv(loop, deadline);
  uv_unref((uv_handle_t *)&loop->async);
}

int eddy__poll_fd(eddy__loop *loop) {
  return eddy__poll_watches(loop) ? loop->epoll : uv_backend_fd(loop->uv);
}
