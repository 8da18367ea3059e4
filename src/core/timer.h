/* SPDX-License-Identifier: MIT */
/*
 * timer.h - something to be done at a deadline; a 4-ary heap of them for each loop.
 * Owns:   the heap. A timer is embedded in who needs it, and is stopped before its memory goes.
 * Uses:   clock.h.      Used by: sleep.c, cancel.c (timeout scopes), wait.c, loop.c (call_later).
 * Touch:  freely. Equal deadlines fire in the order in which they were started.
 */
#ifndef EDDY_CORE_TIMER_H
#define EDDY_CORE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct eddy__timer {
  void (*on_due)(struct eddy__timer *timer);
  uint32_t place; /* its slot, counted from 1; 0: not started */
} eddy__timer;

typedef struct eddy__timer_entry {
  uint64_t deadline; /* nanoseconds of the loop's clock */
  uint32_t order;    /* of two with equal deadlines the first was started first, by less than 2^31 others */
  uint32_t slot;
} eddy__timer_entry;

typedef struct eddy__timers {
  eddy__timer_entry *heap;
  eddy__timer **slots; /* whose timer it is, */
  uint32_t *where;     /* and where in the heap; of a free slot: the next one, counted from 1 */
  uint32_t n, cap;     /* in the heap; room for so many, everywhere */
  eddy__timer_entry *due; /* while many fire: these, in order; */
  uint32_t ndue;       /* so many of them have not fired yet */
  uint32_t nslots, free; /* slots that were ever used; the first free one of these, counted from 1 */
  uint32_t started;    /* how many were started ever: the order of equal deadlines */
} eddy__timers;

/* Starts a timer, anew if it runs. A deadline of EDDY_NEVER needs no place. Returns 0 or UV_ENOMEM. */
int eddy__timer_start(eddy__timers *ts, eddy__timer *t, uint64_t deadline,
                      void (*on_due)(eddy__timer *));

/* Stops it; one that does not run is left alone. */
void eddy__timer_stop(eddy__timers *ts, eddy__timer *t);

/* Fires all that are due at `now`, each after it has left the heap. Timers started meanwhile wait for the next
 * call. Returns how many fired. */
size_t eddy__timers_fire(eddy__timers *ts, uint64_t now);

/* The earliest deadline, or EDDY_NEVER. */
uint64_t eddy__timers_next(const eddy__timers *ts);

/* The deadline of one that runs, else EDDY_NEVER. */
uint64_t eddy__timer_deadline(const eddy__timers *ts, const eddy__timer *t);

void eddy__timers_free(eddy__timers *ts);

#endif
