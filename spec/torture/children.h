/* SPDX-License-Identifier: MIT */
/*
 * children.h - runs in processes of their own, several at a time, with an end to each.
 * Owns:   the children, a folder and a file for stderr for each of them.
 * Uses:   trial.h, calls.h.      Used by: torture.c.
 */
#ifndef EDDY_SPEC_CHILDREN_H
#define EDDY_SPEC_CHILDREN_H

#include "trial.h"

/* How a run has gone: `what` is wrong with it, or NULL. */
typedef void children_done(const trial *t, const verdict *v, const char *what);

/* Up to `jobs` children at a time, each of which gets `limit` seconds; `is_loud`: what they say on stderr is shown. */
bool children_open(int jobs, double limit, bool is_loud, children_done *done);
void children_close(void);

/* Forks a child for the run, as soon as there is room. `done` is called when it has ended, here or below. */
void children_run(const trial *t, size_t usual);

/* Waits until all have ended. */
void children_wait(void);

#endif
