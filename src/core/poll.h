/* SPDX-License-Identifier: MIT */
/*
 * poll.h - how a loop looks at the world outside, and waits for it.
 * Owns:   on Linux an epoll of the loop's own, with the sockets that eddy reads itself and libuv's backend in it.
 * Uses:   loop.h, spin.h.      Used by: loop.c, post.c, io/.
 * Touch:  with care. What is told here changes C data and wakes tasks, as libuv's callbacks do.
 */
#ifndef EDDY_CORE_POLL_H
#define EDDY_CORE_POLL_H

#include "core/loop.h"

/* What the loop's epoll tells of a descriptor; lies in its owner's memory. */
typedef struct eddy__watch {
  /* There is something to read that was not there before. Told once; whoever then gets less than he has asked for has
   * got all of it, unless it `goes_on`: the end comes behind it, or urgent data stand in between. */
  void (*on_ready)(struct eddy__watch *w, bool goes_on);
} eddy__watch;

/* Somebody who must look before each poll, in loop->checks, where the loop has an epoll. (Else a uv_prepare.) */
typedef struct eddy__check {
  eddy__list link;
  void (*look)(struct eddy__check *c);
} eddy__check;

/* Closes the epoll, and what is haunted: nobody is told of anything any more. */
void eddy__poll_close(eddy__loop *loop);

/* Whether connections can be watched here. Opens the epoll when it is first asked. */
bool eddy__poll_watches(eddy__loop *loop);

/* Watches a TCP connection. (A Unix socket may give less than there is.) Returns 0 or a libuv code. */
int eddy__poll_watch(eddy__loop *loop, int fd, eddy__watch *w);

/* Tells once more of what is still there. */
void eddy__poll_again(eddy__loop *loop, int fd, eddy__watch *w);

/* Does not watch it any more. Returns false if the system does not know it by that number: then it may still tell, as
 * long as the loop is open. */
bool eddy__poll_unwatch(eddy__loop *loop, int fd);

/* Lets everybody know what has happened, without waiting. */
void eddy__poll_now(eddy__loop *loop);

/* Waits until something happens, mail included, or the deadline of the loop's clock is there. */
void eddy__poll_wait(eddy__loop *loop, uint64_t deadline);

/* Before a host waits for the loop: libuv watches all that it was asked to watch. */
void eddy__poll_settle(eddy__loop *loop);

/* Lets libuv alone wait until something happens, for so many ms. */
void eddy__poll_libuv(eddy__loop *loop, uint64_t ms);

/* Where a host may wait for the loop: always the same. */
int eddy__poll_fd(eddy__loop *loop);

/* Whether the world outside may still have something for it. */
static inline bool eddy__poll_expects(const eddy__loop *loop) {
  return loop->reading > 0 || uv_loop_alive(loop->uv);
}

#endif
