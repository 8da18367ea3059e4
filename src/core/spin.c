/* SPDX-License-Identifier: MIT */
/*
 * spin.c - looks a little longer before the thread sleeps; see spin.h.
 * Touch:  freely.
 */
#include "core/spin.h"

#include <uv.h>

enum { LOOKS = 16, MOST_MISSES = 8 };

bool eddy__spin_for(eddy__spin *spin, uint64_t ns, bool (*is_there)(const void *what), const void *what) {
  if (is_there(what)) return true;
  if (!eddy__spin_is_due(spin)) return false;
  uint64_t until = uv_hrtime() + ns;
  do {
    for (int i = 0; i < LOOKS; i++) { /* between two readings of the clock */
      if (is_there(what)) {
        spin->misses = 0;
        return true;
      }
      eddy__pause();
    }
  } while (uv_hrtime() < until);
  if (spin->misses < MOST_MISSES) spin->misses++;
  spin->left_out = (uint16_t)((1 << spin->misses) - 1);
  return false;
}
