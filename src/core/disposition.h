/* SPDX-License-Identifier: MIT */
/*
 * disposition.h - what the process does on signals: it tells catchers, and then does again what it did before.
 * Owns:   the handler; one list for the process, as dispositions are the process's, and its lock.
 * Uses:   libuv.      Used by: interrupt.c, io/signal.c.
 * Touch:  with care: the handler runs anywhere, at any time. libuv's signals will not do here: a burst of one of them
 *         fills the pipe through which they are told, and another one is lost; and SIG_DFL is left behind.
 */
#ifndef EDDY_CORE_DISPOSITION_H
#define EDDY_CORE_DISPOSITION_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum { EDDY_SIGNALS = 128, EDDY_CAUGHT = 256 };

/* Who is told. What comes is kept in a ring; when that is nearly full, a signal that is in it already is not added
 * again, so no kind of signal is ever lost. All of this is the lock's; zeroes at first. */
typedef struct eddy__catcher {
  struct eddy__catcher *next;
  uv_async_t *async;             /* is sent for each signal */
  bool wanted[EDDY_SIGNALS];
  uint8_t waiting[EDDY_SIGNALS]; /* how many of each are in the ring */
  uint8_t ring[EDDY_CAUGHT];
  unsigned first;
  atomic_uint count;
} eddy__catcher;

/* Catches that signal too, from now on. Returns 0 or a libuv code. Again is fine. */
int eddy__catch(eddy__catcher *c, int number);

/* The signal that came first, or 0; and takes it. For the thread whose catcher it is. */
static inline int eddy__catch_first(const eddy__catcher *c) {
  return atomic_load(&c->count) == 0 ? 0 : c->ring[c->first];
}
int eddy__catch_take(eddy__catcher *c);

/* It is told no more; signals that nobody else catches do what they did before. Twice is fine. */
void eddy__catch_end(eddy__catcher *c);

#ifndef _WIN32
/* sigaction, below the catchers: while a signal is caught, `set` is what will be put back, and `was` what would have
 * been. Returns 0 or -1. */
int eddy__disposition_exchange(int number, const struct sigaction *set, struct sigaction *was);
#endif

#endif
