/* SPDX-License-Identifier: MIT */
/*
 * interrupt.h - SIGINT: wakes the loop that runs, and raises out of Lua code that never waits.
 * Owns:   the disposition of SIGINT while a run has it; the one global of eddy, as signals are the process's.
 * Uses:   loop.h.      Used by: runner.c, embed.c.
 * Touch:  with care: on_signal runs in a signal handler.
 */
#ifndef EDDY_CORE_INTERRUPT_H
#define EDDY_CORE_INTERRUPT_H

#include <signal.h>

#include "core/loop.h"

typedef struct eddy__interrupt {
  eddy__loop *loop;
  struct eddy__interrupt *outer; /* of a run inside the command's: gets SIGINT back afterwards */
  volatile sig_atomic_t count;   /* of SIGINTs */
  bool left;                     /* an Interrupted has left a task or a callback: the run is over */
  uint64_t first;                /* when the first came; 0: the hook has not seen it yet */
  volatile sig_atomic_t seen;    /* how many have been acted on */
  lua_State *volatile hooked;    /* the thread that has our hook */
  bool taken;
#ifndef _WIN32
  struct sigaction before;
#else
  void (*before)(int);
#endif
} eddy__interrupt;

/* Takes SIGINT for the runs of this loop, unless it is ignored or the run of another state has it. */
void eddy__interrupt_open(eddy__interrupt *i, eddy__loop *loop);

/* Gives it back; the disposition is as before. */
void eddy__interrupt_close(eddy__interrupt *i);

/* A task or callback of the loop has failed with the error at idx. If that is an Interrupted, the run is over; code
 * that catches it goes on.   [-0, +0, m] */
void eddy__interrupt_left(lua_State *L, const eddy__loop *loop, int idx);

/* Whether a second SIGINT has come to the run of the loop, or to its end: all is to end at once. */
bool eddy__interrupt_hurries(const eddy__loop *loop);

/* How many SIGINTs have come since this was last asked. */
int eddy__interrupt_news(eddy__interrupt *i);

#endif
