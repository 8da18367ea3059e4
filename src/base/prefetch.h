/* SPDX-License-Identifier: MIT */
/*
 * prefetch.h - asks the processor for memory that will be needed in a moment: no more than a hint.
 * Uses:   the compiler.      Used by: core/task.c, core/timer.c.
 */
#ifndef EDDY_BASE_PREFETCH_H
#define EDDY_BASE_PREFETCH_H

#if defined(__GNUC__)
#define EDDY_PREFETCH(address) __builtin_prefetch(address)
#else
#define EDDY_PREFETCH(address) ((void)(address))
#endif

#endif
