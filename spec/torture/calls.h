/* SPDX-License-Identifier: MIT */
/*
 * calls.h - the system's functions as eddy and libuv see them in the torture driver: one may fail, or move one byte.
 * Owns:   the way in which calls fail; which pipes are libuv's own.
 * Uses:   fault.h.      Used by: trial.c, torture.c.
 *
 * calls.c defines read, write, accept4, ... once more. The program's own definitions come before libc's, for libuv too.
 */
#ifndef EDDY_SPEC_CALLS_H
#define EDDY_SPEC_CALLS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum call_way {
  CALL_INTR,   /* EINTR */
  CALL_AGAIN,  /* EAGAIN, where the descriptor is non-blocking */
  CALL_SHORT,  /* one byte is read or written */
  CALL_ONE,    /* all of them move one byte */
  CALL_STORM,  /* every second call that may says EAGAIN or EINTR */
  CALL_FULL,   /* no memory, no room: ENOMEM, ENOBUFS, ENOSPC, ENFILE */
  CALL_FILES,  /* EMFILE */
  CALL_BROKEN, /* what is at the other end has failed: EIO, ECONNRESET, EPIPE, ECONNREFUSED, ... */
  CALL_FATAL,  /* what libuv answers with abort() */
  CALL_WAYS
} call_way;

/* Such calls are the events of FAULT_CALL from now on; the name of the one that has failed last goes to `name`. */
void calls_set(call_way way, char *name, size_t size);

/* Whether the caller must not notice: what was asked for is done all the same. */
bool calls_are_harmless(void);

/* The last error that a call was made to fail with; 0: none has failed. */
int calls_error(void);

/* Whether it was one with which uv_loop_init opens descriptors: then libuv leaves its epoll descriptor open. */
bool calls_hit_loop(void);

#endif
