/* SPDX-License-Identifier: MIT */
/*
 * disposition.c - what the process does on a signal; see disposition.h.
 * Touch:  with care: the table is shared by all threads.
 */
#include "core/disposition.h"

#ifndef _WIN32

enum { NUMBERS = 128 };

static uv_once_t once = UV_ONCE_INIT;
static uv_mutex_t lock;
static int has_lock;
static struct {
  int n; /* handles that libuv has started for it */
  struct sigaction before;
} signals[NUMBERS];

static void init(void) { has_lock = uv_mutex_init(&lock) == 0; }

static void enter(void) {
  uv_once(&once, init);
  if (has_lock) uv_mutex_lock(&lock);
}

static void leave(void) {
  if (has_lock) uv_mutex_unlock(&lock);
}

int eddy__disposition_start(uv_signal_t *handle, uv_signal_cb on_signal, int number) {
  if (number <= 0 || number >= NUMBERS) return UV_EINVAL;
  enter();
  int rc = 0;
  if (signals[number].n == 0 && sigaction(number, NULL, &signals[number].before) != 0) rc = UV_EINVAL;
  if (rc == 0) rc = uv_signal_start(handle, on_signal, number);
  if (rc == 0) signals[number].n++;
  leave();
  return rc;
}

void eddy__disposition_stop(uv_signal_t *handle) {
  int number = handle->signum;
  if (number <= 0 || number >= NUMBERS) return;
  enter();
  uv_signal_stop(handle);
  if (--signals[number].n == 0) sigaction(number, &signals[number].before, NULL);
  leave();
}

int eddy__disposition_exchange(int number, const struct sigaction *set, struct sigaction *was) {
  int rc = 0;
  enter();
  if (signals[number].n == 0) {
    rc = sigaction(number, set, was);
  } else {
    struct sigaction before = signals[number].before;
    if (set != NULL) signals[number].before = *set;
    if (was != NULL) *was = before;
  }
  leave();
  return rc;
}

#else

int eddy__disposition_start(uv_signal_t *handle, uv_signal_cb on_signal, int number) {
  return uv_signal_start(handle, on_signal, number);
}

void eddy__disposition_stop(uv_signal_t *handle) { uv_signal_stop(handle); }

#endif
