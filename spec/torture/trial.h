/* SPDX-License-Identifier: MIT */
/*
 * trial.h - one run of a scenario with one thing going wrong, in a process of its own.
 * Owns:   the Lua state that a scenario was compiled in, and the verdict.
 * Uses:   fault.h, moments.h, calls.h, core/.      Used by: torture.c, children.c.
 */
#ifndef EDDY_SPEC_TRIAL_H
#define EDDY_SPEC_TRIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "calls.h"

typedef enum kind { K_LUA, K_MALLOC, K_CANCEL, K_CLOSE, K_GC, K_STACK, K_SYSCALL, K_COUNT } kind;
typedef enum mode {
  M_ONCE,
  M_FROM,
  M_BYTES,
  M_PAIR,
  M_LOOP,
  M_STATE,
  M_EXIT,
  M_TURN,
  M_CALLS, /* the ways of calls.h */
  M_COUNT = M_CALLS + CALL_WAYS
} mode;

typedef struct trial {
  const char *scenario;
  kind kind;
  mode mode;
  long n, n2; /* 0: a dry run, which only counts */
  unsigned long long seed;
} trial;

/* Lies in memory that the child shares with its parent. */
typedef struct verdict {
  bool is_done;
  bool has_files;    /* the scenario may have left some in its folder */
  char phase;        /* what it is about: r(un), a(gain), c(lose) */
  long events;       /* how many there were */
  size_t kept;       /* bytes that Lua uses when all is over, before the state is closed */
  char call[40];      /* of the system, that has failed */
  char finding[2000]; /* what is wrong; empty: nothing */
} verdict;

/* Loads a scenario from a file: before the fork. Returns false, with a text on stderr. */
bool trial_load(const char *folder, const char *scenario);
void trial_unload(void);

/* Runs it and writes the verdict; ends the process. `usual` is `kept` of a dry run, or 0; `scratch` is an empty folder
 * for the scenario's files. */
_Noreturn void trial_run(const trial *t, verdict *v, size_t usual, const char *scratch);

#endif
