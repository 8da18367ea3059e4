/* SPDX-License-Identifier: MIT */
/*
 * moments.h - the moments between two things that happen: where a task can be cancelled, or the state be closed.
 * Owns:   the counter of moments.
 * Uses:   core/.      Used by: trial.c.
 *
 * The linker wraps lua_resume, eddy__timers_fire and uv_run. A moment is when a task has stopped, when timers have
 * fired, or when libuv has spoken, as long as the main task of the scenario is suspended.
 */
#ifndef EDDY_SPEC_MOMENTS_H
#define EDDY_SPEC_MOMENTS_H

#include "core/task.h"

typedef enum moment_kind { MOMENT_NONE, MOMENT_CANCEL, MOMENT_EXIT, MOMENT_COLLECT } moment_kind;

typedef struct moment_state {
  moment_kind kind;
  long n, n2;          /* at which of them; 0: none, only count */
  bool armed;
  long count;
  eddy__runtime *rt;
  eddy__task *main;    /* while it lives */
  int asked;           /* cancellations of main that were accepted */
  void (*on_exit)(void); /* ends the state and the process */
} moment_state;

extern moment_state moments;

void moments_arm(void);
void moments_disarm(void);

#endif
