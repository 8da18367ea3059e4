/* SPDX-License-Identifier: MIT */
/*
 * fault.c - allocators that fail on demand; see fault.h.
 */
#include "fault.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

fault_state fault;

void *__real_malloc(size_t size);
void __real_free(void *block);

/* --- Lua's memory ------------------------------------------------------------------------------------- */

/* A request that fails is made once more, after an emergency collection; that is the same event. */
static struct {
  bool is_set;
  void *block;
  size_t old_size, size;
} refused;

static bool is_repeated(void *block, size_t old_size, size_t size) {
  bool same = refused.is_set && refused.block == block && refused.old_size == old_size && refused.size == size;
  refused.is_set = false;
  return same;
}

static bool refuse(void *block, size_t old_size, size_t size) {
  refused.is_set = true;
  refused.block = block;
  refused.old_size = old_size;
  refused.size = size;
  fault.happened = true;
  return true;
}

static bool lua_fails(void *block, size_t old_size, size_t size, size_t growth) {
  bool again = is_repeated(block, old_size, size);
  bool counts = fault.kind == FAULT_LUA || fault.kind == FAULT_GC;
  if (!fault.armed || !counts || (fault.kind == FAULT_GC && again)) return false;
  if (fault.kind == FAULT_LUA && fault.mode == FAULT_BYTES) {
    if (fault.n == 0 || fault.lua_bytes + growth <= fault.lua_start + (size_t)(fault.n - 1)) return false;
    return fault.happened = true;
  }
  if (again) return true;
  fault.count++;
  if (fault.n == 0 || fault.count < fault.n) return false;
  if (fault.count > fault.n && fault.mode == FAULT_ONCE) return false;
  return refuse(block, old_size, size);
}

void *fault_lua_alloc(void *ud, void *block, size_t old_size, size_t size) {
  (void)ud;
  if (block == NULL) old_size = 0; /* it was a type */
  if (size == 0) {
    if (block != NULL) memset(block, 0x5a, old_size);
    __real_free(block);
    fault.lua_bytes -= old_size;
    return NULL;
  }
  if (size > old_size && lua_fails(block, old_size, size, size - old_size)) return NULL;
  void *moved = __real_malloc(size);
  if (moved == NULL) return NULL;
  memcpy(moved, block != NULL ? block : "", old_size < size ? old_size : size);
  if (size > old_size) memset((char *)moved + old_size, 0xa5, size - old_size);
  if (block != NULL) memset(block, 0x5a, old_size);
  __real_free(block);
  fault.lua_bytes += size - old_size;
  if (fault.lua_bytes > fault.lua_peak) fault.lua_peak = fault.lua_bytes;
  return moved;
}

/* --- that of eddy and libuv --------------------------------------------------------------------------- */

enum { SLOTS = 1 << 14, FILLED = 1 << 14 }; /* of a large block only the beginning is overwritten: pages cost time */
static struct {
  void *block;
  size_t size;
} live[SLOTS];              /* open addressing without marks of what is gone: see close_gap */
static volatile char lock;  /* libuv's threads allocate too */

/* Neighbours in memory are neighbours here, so that a run touches few pages. */
static size_t slot_of(const void *block) { return ((uintptr_t)block >> 4) % SLOTS; }

static void enter(void) {
  while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE)) {}
}

static void leave(void) { __atomic_clear(&lock, __ATOMIC_RELEASE); }

static void *note(void *block, size_t size) {
  if (block == NULL) return NULL;
  enter();
  if (fault.blocks >= SLOTS / 2) abort();
  size_t i = slot_of(block);
  while (live[i].block != NULL) i = (i + 1) % SLOTS;
  live[i].block = block;
  live[i].size = size;
  fault.blocks++;
  fault.block_bytes += size;
  leave();
  return block;
}

/* Slot i is free now: what stands behind it may not be found any more where it is, and moves. */
static void close_gap(size_t i) {
  for (size_t j = (i + 1) % SLOTS; live[j].block != NULL; j = (j + 1) % SLOTS) {
    size_t home = slot_of(live[j].block);
    if ((j - home) % SLOTS < (j - i) % SLOTS) continue;
    live[i] = live[j];
    i = j;
  }
  live[i].block = NULL;
}

/* Returns the size of a live block of ours, and forgets it; SIZE_MAX for one that libc has made. */
static size_t forget(void *block) {
  size_t size = SIZE_MAX;
  enter();
  for (size_t i = slot_of(block); live[i].block != NULL; i = (i + 1) % SLOTS) {
    if (live[i].block != block) continue;
    size = live[i].size;
    close_gap(i);
    fault.blocks--;
    fault.block_bytes -= size;
    break;
  }
  leave();
  return size;
}

bool fault_event(void) {
  enter();
  long count = ++fault.count;
  bool fails = fault.n > 0 && (count == fault.n || (fault.mode == FAULT_FROM && count > fault.n));
  if (fails) fault.happened = true;
  leave();
  return fails;
}

static bool malloc_fails(void) { return fault.armed && fault.kind == FAULT_MALLOC && fault_event(); }

static void *take(size_t size) {
  if (malloc_fails()) return NULL;
  void *block = __real_malloc(size != 0 ? size : 1);
  if (block != NULL) memset(block, 0xa5, size < FILLED ? size : FILLED);
  return note(block, size);
}

static void give(void *block) {
  if (block == NULL) return;
  size_t size = forget(block);
  if (size != SIZE_MAX) memset(block, 0x5a, size < FILLED ? size : FILLED);
  __real_free(block);
}

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size) { return take(size); }

void *__wrap_calloc(size_t n, size_t size) {
  if (size != 0 && n > SIZE_MAX / size) return NULL;
  void *block = take(n * size);
  if (block != NULL) memset(block, 0, n * size);
  return block;
}

void *__wrap_realloc(void *block, size_t size) {
  if (block == NULL) return take(size);
  void *moved = take(size);
  if (moved == NULL) return NULL;
  size_t old = forget(block); /* only our own are ever grown */
  memcpy(moved, block, old < size ? old : size);
  note(block, old);
  give(block);
  return moved;
}

void __wrap_free(void *block) { give(block); }

char *__wrap_strdup(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = take(size);
  return copy != NULL ? memcpy(copy, text, size) : NULL;
}

/* libuv grows its table of descriptors by this, and calls abort() where there is no memory for it: by design, so that
 * one never fails here. */
static void *spare_realloc(void *block, size_t size) {
  bool was_armed = fault.armed;
  fault.armed = false;
  void *moved = __wrap_realloc(block, size);
  fault.armed = was_armed;
  return moved;
}

void fault_open(void) {
  uv_replace_allocator(__wrap_malloc, spare_realloc, __wrap_calloc, __wrap_free);
}

void fault_arm(void) {
  refused.is_set = false;
  fault.count = 0;
  fault.happened = false;
  fault.lua_start = fault.lua_peak = fault.lua_bytes;
  fault.armed = true;
}

void fault_disarm(void) { fault.armed = false; }

void fault_describe_blocks(char *text, size_t size) {
  size_t used = 0;
  for (size_t i = 0; i < SLOTS && used + 24 < size; i++)
    if (live[i].block != NULL)
      used += (size_t)snprintf(text + used, size - used, " %zu", live[i].size);
}
