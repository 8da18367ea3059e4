/* SPDX-License-Identifier: MIT */
/*
 * timer.c - a 4-ary heap of deadlines; see timer.h.
 * Four children a node: half the depth of a binary heap, and the four lie side by side in memory. The key is in the
 * heap itself, and where a timer stands in it is noted in an array beside it: to move one touches no timer, which with
 * many of them would be a cache miss each time.
 * Touch:  freely. Invariant: slots[t->place - 1] == t and heap[where[t->place - 1]].slot == t->place - 1 for each that
 *         runs.
 */
#include "core/timer.h"

#include <stdlib.h>
#include <uv.h>

#include "base/prefetch.h"
#include "core/clock.h"

enum { WAYS = 4, SMALLEST = 64 };
enum { MANY = 1024 }; /* in the heap: below it the due ones are taken out one by one */

static const uint32_t NOBODY = UINT32_MAX; /* in `due`: one that was stopped */
static const uint32_t DUE = 1u << 31;      /* in `where`: the place is one in `due` */

static bool before(const eddy__timer_entry *a, const eddy__timer_entry *b) {
  return a->deadline != b->deadline ? a->deadline < b->deadline : (int32_t)(a->order - b->order) < 0;
}

static void put(eddy__timers *ts, uint32_t i, eddy__timer_entry e) {
  ts->heap[i] = e;
  ts->where[e.slot] = i;
}

static void sift_up(eddy__timers *ts, uint32_t i, eddy__timer_entry e) {
  while (i > 0) {
    uint32_t parent = (i - 1) / WAYS;
    if (!before(&e, &ts->heap[parent])) break;
    put(ts, i, ts->heap[parent]);
    i = parent;
  }
  put(ts, i, e);
}

static void sift_down(eddy__timers *ts, uint32_t i, eddy__timer_entry e) {
  for (;;) {
    uint32_t first = i * WAYS + 1, last = first + WAYS;
    if (first >= ts->n) break;
    if (last > ts->n) last = ts->n;
    uint32_t least = first;
    for (uint32_t child = first + 1; child < last; child++)
      if (before(&ts->heap[child], &ts->heap[least])) least = child;
    if (!before(&ts->heap[least], &e)) break;
    put(ts, i, ts->heap[least]);
    i = least;
  }
  put(ts, i, e);
}

/* Room for twice as many. Returns 0 or UV_ENOMEM. */
static int grow(eddy__timers *ts) {
  enum { MOST = 1 << 30 }; /* so that no place in the heap overflows */
  if (ts->cap >= MOST) return UV_ENOMEM;
  uint32_t cap = ts->cap == 0 ? SMALLEST : ts->cap * 2;
  void *heap = realloc(ts->heap, cap * sizeof *ts->heap);
  if (heap != NULL) ts->heap = heap;
  void *slots = realloc(ts->slots, cap * sizeof *ts->slots);
  if (slots != NULL) ts->slots = slots;
  void *where = realloc(ts->where, cap * sizeof *ts->where);
  if (where != NULL) ts->where = where;
  if (heap == NULL || slots == NULL || where == NULL) return UV_ENOMEM;
  ts->cap = cap;
  return 0;
}

/* Gives most of the room back, if little of it is used; each timer left gets the slot of its place in the heap. Without
 * memory for that it stays as it is. */
static void shrink(eddy__timers *ts) {
  uint32_t cap = ts->cap;
  if (cap <= SMALLEST || ts->n >= cap / 16 || ts->ndue > 0) return;
  while (cap > SMALLEST && ts->n < cap / 4) cap /= 2;
  eddy__timer **slots = malloc(cap * sizeof(eddy__timer *));
  if (slots == NULL) return;
  for (uint32_t i = 0; i < ts->n; i++) {
    slots[i] = ts->slots[ts->heap[i].slot];
    slots[i]->place = i + 1;
    ts->heap[i].slot = ts->where[i] = i;
  }
  free(ts->slots);
  ts->slots = slots;
  ts->nslots = ts->n;
  ts->free = 0;
  ts->cap = cap;
  void *heap = realloc(ts->heap, cap * sizeof *ts->heap), *where = realloc(ts->where, cap * sizeof *ts->where);
  if (heap != NULL) ts->heap = heap;
  if (where != NULL) ts->where = where;
}

/* A slot for the timer; there is room. */
static uint32_t take_slot(eddy__timers *ts, eddy__timer *t) {
  uint32_t slot = ts->nslots;
  if (ts->free != 0) {
    slot = ts->free - 1;
    ts->free = ts->where[slot];
  } else {
    ts->nslots++;
  }
  ts->slots[slot] = t;
  t->place = slot + 1;
  return slot;
}

int eddy__timer_start(eddy__timers *ts, eddy__timer *t, uint64_t deadline,
                      void (*on_due)(eddy__timer *)) {
  if (deadline != EDDY_NEVER && ts->n + ts->ndue == ts->cap && t->place == 0) {
    int rc = grow(ts);
    if (rc < 0) return rc;
  }
  eddy__timer_stop(ts, t);
  t->on_due = on_due;
  if (deadline == EDDY_NEVER) return 0;
  eddy__timer_entry e = {deadline, ts->started++, take_slot(ts, t)};
  sift_up(ts, ts->n++, e);
  return 0;
}

/* Takes the timer in the slot out, which has been told. */
static void take_out(eddy__timers *ts, uint32_t slot) {
  uint32_t i = ts->where[slot];
  ts->where[slot] = ts->free;
  ts->free = slot + 1;
  if ((i & DUE) != 0) {
    ts->due[i & ~DUE].slot = NOBODY;
    ts->ndue--;
    return;
  }
  eddy__timer_entry last = ts->heap[--ts->n];
  if (i == ts->n) {
    /* it was the last one */
  } else if (i > 0 && before(&last, &ts->heap[(i - 1) / WAYS])) {
    sift_up(ts, i, last);
  } else {
    sift_down(ts, i, last);
  }
  shrink(ts);
}

void eddy__timer_stop(eddy__timers *ts, eddy__timer *t) {
  if (t->place == 0) return;
  uint32_t slot = t->place - 1;
  t->place = 0;
  take_out(ts, slot);
}

/* How many in the heap from i on are due, as far as `most`. */
static uint32_t count_due(const eddy__timers *ts, uint32_t i, uint64_t now, uint32_t most) {
  if (i >= ts->n || ts->heap[i].deadline > now) return 0;
  uint32_t n = 1;
  for (uint32_t child = i * WAYS + 1; child <= i * WAYS + WAYS && n < most; child++)
    n += count_due(ts, child, now, most - n);
  return n;
}

static void swap(eddy__timer_entry *a, eddy__timer_entry *b) {
  eddy__timer_entry e = *a;
  *a = *b;
  *b = e;
}

/* Sorts a list in place: quicksort, by a pivot that nobody can foresee. No two entries are equal. */
static void sort(eddy__timer_entry *list, size_t n, uint64_t *random) {
  while (n > 16) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    eddy__timer_entry pivot = list[(size_t)(*random >> 33) % n];
    size_t i = 0, j = n - 1;
    for (;; i++, j--) {
      while (before(&list[i], &pivot)) i++;
      while (before(&pivot, &list[j])) j--;
      if (i >= j) break;
      swap(&list[i], &list[j]);
    }
    size_t left = i == j ? i + 1 : i; /* [0, left) come before the rest, or one of them is the pivot between */
    if (left < n - left) {
      sort(list, left, random);
      list += left;
      n -= left;
    } else {
      sort(list + left, n - left, random);
      n = left;
    }
  }
  for (size_t i = 1; i < n; i++) {
    eddy__timer_entry e = list[i];
    size_t j = i;
    for (; j > 0 && before(&e, &list[j - 1]); j--) list[j] = list[j - 1];
    list[j] = e;
  }
}

/* Moves all that are due from the heap to `due`, in order. Returns how many; 0 without memory. */
static uint32_t split(eddy__timers *ts, uint64_t now) {
  uint32_t n = 0, left = 0;
  for (uint32_t i = 0; i < ts->n; i++) n += ts->heap[i].deadline <= now;
  eddy__timer_entry *due = malloc(n * sizeof *due);
  if (due == NULL) return 0;
  n = 0;
  for (uint32_t i = 0; i < ts->n; i++) {
    if (ts->heap[i].deadline <= now)
      due[n++] = ts->heap[i];
    else
      put(ts, left++, ts->heap[i]);
  }
  ts->n = left;
  for (uint32_t i = left / WAYS + 1; i-- > 0;)
    if (i < left) sift_down(ts, i, ts->heap[i]);
  uint64_t random = uv_hrtime();
  sort(due, n, &random);
  for (uint32_t i = 0; i < n; i++) ts->where[due[i].slot] = DUE | i;
  ts->due = due;
  ts->ndue = n;
  return n;
}

/* Fires the timer in the slot. */
static void fire(eddy__timers *ts, uint32_t slot) {
  eddy__timer *t = ts->slots[slot];
  take_out(ts, slot);
  t->place = 0;
  t->on_due(t);
}

/* Many of many are due: they are sorted once, which takes less than to take each out of the heap. Returns how many have
 * fired. */
static size_t fire_many(eddy__timers *ts, uint64_t now) {
  enum { AHEAD = 8 };
  size_t fired = 0;
  uint32_t n = split(ts, now);
  for (uint32_t i = 0; i < n; i++) {
    if (i + AHEAD < n && ts->due[i + AHEAD].slot != NOBODY) EDDY_PREFETCH(ts->slots[ts->due[i + AHEAD].slot]);
    if (ts->due[i].slot == NOBODY) continue;
    fire(ts, ts->due[i].slot);
    fired++;
  }
  if (n > 0) free(ts->due);
  ts->due = NULL;
  shrink(ts);
  return fired;
}

/* Whether it was started when `started` others had been, or later. One that has run for so long that the count has come
 * round may be taken for newer, but not if none has been started since. */
static bool is_newer(const eddy__timers *ts, const eddy__timer_entry *e, uint32_t started) {
  return e->order - started < ts->started - started;
}

size_t eddy__timers_fire(eddy__timers *ts, uint64_t now) {
  uint32_t started = ts->started;
  size_t fired = 0;
  if (ts->n >= MANY && count_due(ts, 0, now, ts->n / 16) == ts->n / 16) fired = fire_many(ts, now);
  while (ts->n > 0 && ts->heap[0].deadline <= now && !is_newer(ts, &ts->heap[0], started)) {
    fire(ts, ts->heap[0].slot);
    fired++;
  }
  return fired;
}

uint64_t eddy__timers_next(const eddy__timers *ts) {
  return ts->n > 0 ? ts->heap[0].deadline : EDDY_NEVER;
}

uint64_t eddy__timer_deadline(const eddy__timers *ts, const eddy__timer *t) {
  if (t->place == 0) return EDDY_NEVER;
  uint32_t i = ts->where[t->place - 1];
  return (i & DUE) != 0 ? ts->due[i & ~DUE].deadline : ts->heap[i].deadline;
}

void eddy__timers_free(eddy__timers *ts) {
  for (uint32_t i = 0; i < ts->n; i++) ts->slots[ts->heap[i].slot]->place = 0;
  free(ts->heap);
  free(ts->slots);
  free(ts->where);
  *ts = (eddy__timers){0};
}
