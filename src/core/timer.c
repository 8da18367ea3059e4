/* SPDX-License-Identifier: MIT */
/*
 * timer.c - a 4-ary heap of deadlines; see timer.h.
 * Four children a node: half the depth of a binary heap, and the four lie side by side in memory. The key is in
 * the heap itself, so sifting touches a timer only to tell it its place.
 * Touch:  freely. Invariant: heap[t->place - 1].timer == t for each timer that runs.
 */
#include "core/timer.h"

#include <stdlib.h>
#include <uv.h>

#include "core/clock.h"

enum { WAYS = 4, SMALLEST = 64 };

static bool before(const eddy__timer_entry *a, const eddy__timer_entry *b) {
  return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

static void put(eddy__timers *ts, size_t i, eddy__timer_entry e) {
  ts->heap[i] = e;
  e.timer->place = i + 1;
}

static void sift_up(eddy__timers *ts, size_t i, eddy__timer_entry e) {
  while (i > 0) {
    size_t parent = (i - 1) / WAYS;
    if (!before(&e, &ts->heap[parent])) break;
    put(ts, i, ts->heap[parent]);
    i = parent;
  }
  put(ts, i, e);
}

static void sift_down(eddy__timers *ts, size_t i, eddy__timer_entry e) {
  for (;;) {
    size_t first = i * WAYS + 1, last = first + WAYS;
    if (first >= ts->n) break;
    if (last > ts->n) last = ts->n;
    size_t least = first;
    for (size_t child = first + 1; child < last; child++)
      if (before(&ts->heap[child], &ts->heap[least])) least = child;
    if (!before(&ts->heap[least], &e)) break;
    put(ts, i, ts->heap[least]);
    i = least;
  }
  put(ts, i, e);
}

static int resize(eddy__timers *ts, size_t cap) {
  eddy__timer_entry *heap = realloc(ts->heap, cap * sizeof *heap);
  if (heap == NULL) return UV_ENOMEM;
  ts->heap = heap;
  ts->cap = cap;
  return 0;
}

int eddy__timer_start(eddy__timers *ts, eddy__timer *t, uint64_t deadline,
                      void (*on_due)(eddy__timer *)) {
  if (deadline != EDDY_NEVER && ts->n == ts->cap && t->place == 0) {
    int rc = resize(ts, ts->cap == 0 ? SMALLEST : ts->cap * 2);
    if (rc < 0) return rc;
  }
  eddy__timer_stop(ts, t);
  t->on_due = on_due;
  if (deadline == EDDY_NEVER) return 0;
  eddy__timer_entry e = {deadline, ts->started++, t};
  sift_up(ts, ts->n++, e);
  return 0;
}

void eddy__timer_stop(eddy__timers *ts, eddy__timer *t) {
  if (t->place == 0) return;
  size_t i = t->place - 1;
  t->place = 0;
  eddy__timer_entry last = ts->heap[--ts->n];
  if (i == ts->n) {
    /* it was the last one */
  } else if (i > 0 && before(&last, &ts->heap[(i - 1) / WAYS])) {
    sift_up(ts, i, last);
  } else {
    sift_down(ts, i, last);
  }
  if (ts->cap > SMALLEST && ts->n < ts->cap / 8) (void)resize(ts, ts->cap / 2); /* if not, no harm */
}

size_t eddy__timers_fire(eddy__timers *ts, uint64_t now) {
  uint64_t started = ts->started;
  size_t fired = 0;
  while (ts->n > 0 && ts->heap[0].deadline <= now && ts->heap[0].order < started) {
    eddy__timer *t = ts->heap[0].timer;
    eddy__timer_stop(ts, t);
    t->on_due(t);
    fired++;
  }
  return fired;
}

uint64_t eddy__timers_next(const eddy__timers *ts) {
  return ts->n > 0 ? ts->heap[0].deadline : EDDY_NEVER;
}

uint64_t eddy__timer_deadline(const eddy__timers *ts, const eddy__timer *t) {
  return t->place > 0 ? ts->heap[t->place - 1].deadline : EDDY_NEVER;
}

void eddy__timers_free(eddy__timers *ts) {
  for (size_t i = 0; i < ts->n; i++) ts->heap[i].timer->place = 0;
  free(ts->heap);
  ts->heap = NULL;
  ts->n = ts->cap = 0;
}
