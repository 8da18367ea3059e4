/* SPDX-License-Identifier: MIT */
/*
 * clock.h - real and virtual time, in nanoseconds; the border between them and a script's seconds.
 * Owns:   the clock of a loop.
 * Uses:   libuv's clock.      Used by: loop.c and all that has deadlines.
 * Touch:  freely. Seconds become nanoseconds here only, rounded up: nothing fires early.
 */
#ifndef EDDY_CORE_CLOCK_H
#define EDDY_CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define EDDY_NEVER UINT64_MAX

typedef struct eddy__clock {
  bool is_virtual;
  uint64_t now; /* virtual: the time, moved by the loop only; real: when it was last read */
} eddy__clock;

uint64_t eddy__clock_now(eddy__clock *c);

/* A length in seconds as nanoseconds: negative is 0, huge is EDDY_NEVER. NaN has been refused before. */
uint64_t eddy__clock_length(double seconds);

/* now + length, without overflow. */
uint64_t eddy__clock_after(eddy__clock *c, double seconds);

double eddy__clock_seconds(uint64_t nanoseconds);

/* What libuv's timers and polls take: milliseconds, rounded up, at most INT_MAX. */
uint64_t eddy__clock_to_ms(uint64_t nanoseconds);

#endif
