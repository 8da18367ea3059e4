/* SPDX-License-Identifier: MIT */
/*
 * disposition.c - what the process does on signals; see disposition.h.
 * Touch:  with care. Whoever has the lock has all signals blocked, so the handler never waits for its own thread.
 */
#include "core/disposition.h"

#include <errno.h>
#include <string.h>

#ifndef _WIN32
typedef struct sigaction action;
typedef sigset_t mask;
#else
typedef void (*action)(int);
typedef int mask;
#endif

/* With as many in a ring, one that is in it already is not added. The rest is room for one of each. */
enum { NEARLY_FULL = EDDY_CAUGHT - EDDY_SIGNALS };

static atomic_flag lock = ATOMIC_FLAG_INIT;
static eddy__catcher *catchers;
static struct {
  int n; /* catchers that want it */
  action before;
} signals[EDDY_SIGNALS];

static void spin(void) {
  while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) continue;
}

static void enter(mask *before) {
#ifndef _WIN32
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, before);
#else
  *before = 0;
#endif
  spin();
}

static void leave(const mask *before) {
  atomic_flag_clear_explicit(&lock, memory_order_release);
#ifndef _WIN32
  pthread_sigmask(SIG_SETMASK, before, NULL);
#else
  (void)before;
#endif
}

static void keep(eddy__catcher *c, int number) {
  unsigned count = atomic_load(&c->count);
  if (count >= NEARLY_FULL && c->waiting[number] > 0) return;
  c->ring[(c->first + count) % EDDY_CAUGHT] = (uint8_t)number;
  c->waiting[number]++;
  atomic_store(&c->count, count + 1);
}

static void tell(int number) {
  for (eddy__catcher *c = catchers; c != NULL; c = c->next) {
    if (!c->wanted[number]) continue;
    keep(c, number);
    uv_async_send(c->async);
  }
}

#ifndef _WIN32
/* The handler. SIGCHLD goes on to the host's own, as its children are not ours. */
static void on_signal(int number, siginfo_t *info, void *context) {
  int saved = errno;
  spin();
  tell(number);
  struct sigaction before = signals[number].before;
  atomic_flag_clear_explicit(&lock, memory_order_release);
  if (number == SIGCHLD) {
    if ((before.sa_flags & SA_SIGINFO) != 0)
      before.sa_sigaction(number, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
      before.sa_handler(number);
  }
  errno = saved;
}

static int take_over(int number, action *before) {
  struct sigaction mine;
  memset(&mine, 0, sizeof mine);
  mine.sa_sigaction = on_signal;
  mine.sa_flags = SA_RESTART | SA_SIGINFO;
  sigfillset(&mine.sa_mask);
  return sigaction(number, &mine, before) == 0 ? 0 : -errno;
}

static void put_back(int number, const action *before) { sigaction(number, before, NULL); }

int eddy__disposition_exchange(int number, const struct sigaction *set, struct sigaction *was) {
  int rc = 0;
  mask all;
  enter(&all);
  if (signals[number].n == 0) {
    rc = sigaction(number, set, was);
  } else {
    struct sigaction before = signals[number].before;
    if (set != NULL) signals[number].before = *set;
    if (was != NULL) *was = before;
  }
  leave(&all);
  return rc;
}
#else
static void on_signal(int number) {
  signal(number, on_signal);
  spin();
  tell(number);
  atomic_flag_clear_explicit(&lock, memory_order_release);
}

static int take_over(int number, action *before) {
  *before = signal(number, on_signal);
  return *before == SIG_ERR ? UV_EINVAL : 0;
}

static void put_back(int number, const action *before) { signal(number, *before); }
#endif

int eddy__catch(eddy__catcher *c, int number) {
  mask all;
  int rc = 0;
  if (number <= 0 || number >= EDDY_SIGNALS) return UV_EINVAL;
  enter(&all);
  if (!c->wanted[number]) {
    if (signals[number].n == 0) rc = take_over(number, &signals[number].before);
    if (rc == 0) {
      signals[number].n++;
      c->wanted[number] = true;
      eddy__catcher *known = catchers;
      while (known != NULL && known != c) known = known->next;
      if (known == NULL) {
        c->next = catchers;
        catchers = c;
      }
    }
  }
  leave(&all);
  return rc;
}

int eddy__catch_take(eddy__catcher *c) {
  mask all;
  if (atomic_load(&c->count) == 0) return 0;
  enter(&all);
  int number = c->ring[c->first];
  c->first = (c->first + 1) % EDDY_CAUGHT;
  c->waiting[number]--;
  atomic_fetch_sub(&c->count, 1);
  leave(&all);
  return number;
}

void eddy__catch_end(eddy__catcher *c) {
  mask all;
  enter(&all);
  eddy__catcher **at = &catchers;
  while (*at != NULL && *at != c) at = &(*at)->next;
  if (*at == c) *at = c->next;
  c->next = NULL;
  for (int number = 1; number < EDDY_SIGNALS; number++) {
    if (!c->wanted[number]) continue;
    c->wanted[number] = false;
    if (--signals[number].n == 0) put_back(number, &signals[number].before);
  }
  leave(&all);
}
