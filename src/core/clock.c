/* SPDX-License-Identifier: MIT */
/*
 * clock.c - real and virtual time; see clock.h.
 * Touch:  freely.
 */
#include "core/clock.h"

#include <limits.h>
#include <math.h>
#include <uv.h>

uint64_t eddy__clock_now(eddy__clock *c) {
  if (!c->is_virtual) c->now = uv_hrtime();
  return c->now;
}

uint64_t eddy__clock_length(double seconds) {
  if (!(seconds > 0)) return 0;
  double ns = ceil(seconds * 1e9);
  return ns >= 9.2e18 ? EDDY_NEVER : (uint64_t)ns; /* 292 years are for ever */
}

uint64_t eddy__clock_after(eddy__clock *c, double seconds) {
  uint64_t length = eddy__clock_length(seconds), now = eddy__clock_now(c);
  return length >= EDDY_NEVER - now ? EDDY_NEVER : now + length;
}

double eddy__clock_seconds(uint64_t nanoseconds) {
  return nanoseconds == EDDY_NEVER ? HUGE_VAL : (double)nanoseconds / 1e9;
}

uint64_t eddy__clock_to_ms(uint64_t nanoseconds) {
  uint64_t ms = nanoseconds / 1000000 + (nanoseconds % 1000000 != 0);
  return ms > INT_MAX ? INT_MAX : ms;
}
