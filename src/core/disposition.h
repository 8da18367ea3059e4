/* SPDX-License-Identifier: MIT */
/*
 * disposition.h - what the process does on a signal, while libuv has it: kept, and put back afterwards.
 * Owns:   one table for the process, as dispositions are the process's; a lock.
 * Uses:   libuv.      Used by: interrupt.c, io/signal.c.
 * Touch:  with care. libuv alone would leave SIG_DFL behind, whatever was there before.
 */
#ifndef EDDY_CORE_DISPOSITION_H
#define EDDY_CORE_DISPOSITION_H

#include <signal.h>
#include <uv.h>

/* uv_signal_start and uv_signal_stop. The first to start a signal notes its disposition, the last to stop puts it
 * back, from any threads. `stop` on a handle that was not started does nothing. */
int eddy__disposition_start(uv_signal_t *handle, uv_signal_cb on_signal, int number);
void eddy__disposition_stop(uv_signal_t *handle);

#ifndef _WIN32
/* sigaction, below those handlers: while libuv has the signal, `set` is what will be put back, and `was` what would
 * have been. Returns 0 or -1. */
int eddy__disposition_exchange(int number, const struct sigaction *set, struct sigaction *was);
#endif

#endif
