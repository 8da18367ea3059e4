/* SPDX-License-Identifier: MIT */
/*
 * fault.h - the allocators of the torture driver: they count, fail on demand, and know what was not given back.
 * Owns:   the counters; the set of live blocks of eddy and libuv.
 * Uses:   Lua, libuv.      Used by: torture.c, trial.c, moments.c.
 *
 * Lua's memory goes through fault_lua_alloc; malloc, calloc, realloc and free of eddy are wrapped by the linker, and
 * libuv's are replaced by uv_replace_allocator. A block that grows always moves, and what is given back is overwritten.
 */
#ifndef EDDY_SPEC_FAULT_H
#define EDDY_SPEC_FAULT_H

#include <stdbool.h>
#include <stddef.h>

typedef enum fault_kind { FAULT_NONE, FAULT_LUA, FAULT_MALLOC, FAULT_GC, FAULT_CALL } fault_kind;
typedef enum fault_mode { FAULT_ONCE, FAULT_FROM, FAULT_BYTES } fault_mode;

typedef struct fault_state {
  fault_kind kind;
  fault_mode mode;
  long n;           /* which event; bytes: how many beyond those in use when it began. 0: none, only count */
  bool armed;
  long count;       /* events since it was armed */
  bool happened;
  size_t lua_bytes; /* in use */
  size_t lua_start, lua_peak; /* when it was armed; the most since */
  long blocks;      /* of eddy and libuv, in use */
  size_t block_bytes;
} fault_state;

extern fault_state fault;

void fault_open(void); /* before libuv is used for anything */

/* From now on things fail as fault.kind, mode and n say; and no longer. */
void fault_arm(void);
void fault_disarm(void);

/* Something has happened that may fail (from any thread). Returns whether it is to. */
bool fault_event(void);

void *fault_lua_alloc(void *ud, void *block, size_t old_size, size_t size);

/* Writes the sizes of the first live blocks. */
void fault_describe_blocks(char *text, size_t size);

#endif
