/* SPDX-License-Identifier: MIT */
/*
 * spin.h - looks for something a little longer before the thread sleeps, where that has paid lately.
 * Owns:   nothing.
 * Uses:   libuv's clock.      Used by: poll.c, threads/.
 * Touch:  freely. A look that pays saves two switches of the kernel's, some 20 us, or four of them, where the one that
 *         is looked for sleeps as well; one that does not pay takes as long from whoever else wants the processor. So
 *         after each look in vain the next ones are left out: 1, 3, 7, ... 255 of them. On a machine that is busy all
 *         the time, or has one processor, that is a tenth of a microsecond for each sleep; and a thread that has
 *         nothing to do looks once and sleeps.
 */
#ifndef EDDY_CORE_SPIN_H
#define EDDY_CORE_SPIN_H

#include <stdbool.h>
#include <stdint.h>

typedef struct eddy__spin {
  uint16_t left_out; /* so many of the next ones */
  uint8_t misses;    /* in a row */
} eddy__spin;

enum { EDDY_SPIN_NS = 20000 };

/* Whether to look at all, this time. */
static inline bool eddy__spin_is_due(eddy__spin *spin) {
  if (spin->left_out == 0) return true;
  spin->left_out--;
  return false;
}

/* Whether it is there: `is_there(what)` is asked until it is, for so many ns at most, now and then only once. */
bool eddy__spin_for(eddy__spin *spin, uint64_t ns, bool (*is_there)(const void *what), const void *what);

/* While it looks: lets the processor's other half go on. */
static inline void eddy__pause(void) {
#if (defined(__GNUC__) || defined(__clang__)) && (defined(__x86_64__) || defined(__i386__))
  __builtin_ia32_pause();
#elif defined(__GNUC__) && defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
