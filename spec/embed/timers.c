/* SPDX-License-Identifier: MIT */
/*
 * timers.c - the heap of timers against a model: random starts and stops, few and many due at once, equal deadlines,
 *            timers that start and stop others while they fire, one that runs longer than 2^31 others, and no memory.
 * Uses:   core/timer.h. The linker lets malloc and realloc fail here.
 */
#include "core/timer.h"

#include "check.h"
#include "core/clock.h"

static bool no_memory;

void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size) { return no_memory ? NULL : __real_malloc(size); }
void *__wrap_realloc(void *block, size_t size) { return no_memory ? NULL : __real_realloc(block, size); }

enum { TIMERS = 30000 };

typedef struct one {
  eddy__timer timer;
  bool runs;
  uint64_t deadline, order; /* of the model */
} one;

static one all[TIMERS];
static eddy__timers ts;
static uint64_t started, clock_now, last_deadline, last_order, first_new;
static size_t running, fired;
static int mischief; /* how many of a hundred that fire start and stop others */
static uint64_t state = 7;

static uint32_t random_below(uint32_t n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((state >> 33) % n);
}

static void stop(one *o) {
  eddy__timer_stop(&ts, &o->timer);
  if (o->runs) running--;
  o->runs = false;
}

static void on_due(eddy__timer *t);

static void start(one *o, uint64_t deadline) {
  int rc = eddy__timer_start(&ts, &o->timer, deadline, on_due);
  CHECK(rc == 0 || no_memory);
  if (rc < 0) return; /* it goes on as before */
  if (!o->runs) running++;
  o->runs = true;
  o->deadline = deadline;
  o->order = started++;
  CHECK(eddy__timer_deadline(&ts, &o->timer) == deadline);
}

/* Few different deadlines, so that many are equal. */
static uint64_t random_deadline(void) { return clock_now + random_below(200); }

static void on_due(eddy__timer *t) {
  one *o = (one *)(void *)t;
  CHECK(o->runs && o->deadline <= clock_now && t->place == 0);
  CHECK(o->order < first_new); /* what is started meanwhile waits for the next call */
  CHECK(fired == 0 || o->deadline > last_deadline || (o->deadline == last_deadline && o->order > last_order));
  last_deadline = o->deadline;
  last_order = o->order;
  o->runs = false;
  running--;
  fired++;
  one *other = &all[random_below(TIMERS)]; /* it may be due as well */
  CHECK(!other->runs || eddy__timer_deadline(&ts, &other->timer) == other->deadline);
  if ((int)random_below(100) < mischief) {
    stop(&all[random_below(TIMERS)]);
    start(&all[random_below(TIMERS)], random_deadline());
    start(o, clock_now); /* due at once: but not now */
  }
}

/* All that are due fire, in order, but for those that are started meanwhile. */
static void fire(uint64_t now) {
  clock_now = now;
  first_new = started;
  fired = 0;
  CHECK(eddy__timers_fire(&ts, now) == fired);
  uint64_t next = EDDY_NEVER;
  for (int i = 0; i < TIMERS; i++) {
    if (!all[i].runs) continue;
    CHECK(all[i].deadline > now || all[i].order >= first_new);
    CHECK(eddy__timer_deadline(&ts, &all[i].timer) == all[i].deadline);
    if (all[i].deadline < next) next = all[i].deadline;
  }
  CHECK(eddy__timers_next(&ts) == next);
  CHECK(ts.n == running);
}

static void round_of(uint32_t n, uint32_t stops, uint32_t step) {
  for (uint32_t i = 0; i < n; i++) start(&all[random_below(TIMERS)], random_deadline());
  for (uint32_t i = 0; i < stops; i++) stop(&all[random_below(TIMERS)]);
  fire(clock_now + step);
}

int main(void) {
  for (int i = 0; i < 200; i++) {
    mischief = i % 3 == 0 ? 20 : 0;
    round_of(random_below(i % 2 == 0 ? 50 : TIMERS), random_below(1000), random_below(150));
  }
  for (int i = 0; i < 20; i++) { /* no room to sort them: they fire one by one */
    round_of(TIMERS, 100, 10);
    no_memory = true;
    round_of(100, 100, 100);
    no_memory = false;
  }
  mischief = 0;
  fire(clock_now + 1000);
  CHECK(ts.n == 0 && ts.cap < TIMERS / 4); /* most of the room was given back */
  for (int i = 0; i < TIMERS; i++) start(&all[i], clock_now); /* all equal: in the order of their starts */
  fire(clock_now);
  CHECK(fired == TIMERS);
  start(&all[0], clock_now + 10);
  ts.started += 1u << 31; /* many others came and went */
  start(&all[1], clock_now + 20);
  fire(clock_now + 20);
  CHECK(fired == 2);
  start(&all[0], 5);
  start(&all[1], EDDY_NEVER);
  all[1].runs = false; /* it has no place */
  eddy__timers_free(&ts);
  CHECK(all[0].timer.place == 0 && all[1].timer.place == 0);
  return 0;
}
