/* SPDX-License-Identifier: MIT */
/*
 * arena.c - the memory of eddy's own Lua states against a model: blocks keep what was written to them, whatever fails,
 *           and the system gets its memory back.
 * Uses:   base/arena.h. The linker lets mmap, malloc, calloc and realloc fail here.
 */
#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include "check.h"

/* --- what fails --------------------------------------------------------------------------------------------------- */

static long to_fail = -1; /* so many requests are met before each fails; -1: all are met */

static bool fails_once;  /* the next one is not met */

static bool fails(void) {
  if (fails_once) {
    fails_once = false;
    return true;
  }
  if (to_fail < 0) return false;
  if (to_fail == 0) return true;
  to_fail--;
  return false;
}

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
  return fails() ? MAP_FAILED : __real_mmap(address, size, protection, flags, fd, offset);
}
void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *block, size_t size) { return fails() ? NULL : __real_realloc(block, size); }

static uint64_t clock_now = 1000000000;
uint64_t __wrap_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void) { return clock_now; }

/* --- the model ---------------------------------------------------------------------------------------------------- */

typedef struct block {
  unsigned char *bytes;
  size_t size;
  unsigned char seed; /* the byte at i is seed + i */
} block;

enum { BLOCKS = 20000 };
static block blocks[BLOCKS];
static uint64_t state = 42;

static uint32_t random_below(uint32_t n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((state >> 33) % n);
}

/* Mostly what Lua asks for: small, and some sizes again and again. */
static size_t random_size(void) {
  static const size_t common[] = {16, 40, 56, 64, 208, 320, 720, 1024, 1025};
  switch (random_below(8)) {
  case 0: return common[random_below(sizeof common / sizeof *common)];
  case 1: return 1 + random_below(20000);
  case 2: return 1 + random_below(1100);
  default: return 1 + random_below(300);
  }
}

static void fill(block *b) {
  b->seed = (unsigned char)random_below(256);
  for (size_t i = 0; i < b->size; i++) b->bytes[i] = (unsigned char)(b->seed + i);
}

static void check_bytes(const block *b, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (b->bytes[i] != (unsigned char)(b->seed + i)) check_failed(__FILE__, __LINE__, "a block has kept its bytes");
}

/* What Lua does once, to one block. A request that fails leaves the block as it was. */
static void change(eddy__arena *a, block *b) {
  check_bytes(b, b->size);
  if (b->bytes == NULL) {
    size_t size = random_size();
    b->bytes = eddy__arena_alloc(a, NULL, random_below(9), size); /* the second is the kind of object */
    if (b->bytes == NULL) {
      CHECK(to_fail == 0);
      return;
    }
    CHECK((uintptr_t)b->bytes % 16 == 0);
    b->size = size;
  } else if (random_below(3) == 0) {
    size_t size = random_size();
    unsigned char *bytes = eddy__arena_alloc(a, b->bytes, b->size, size);
    if (bytes == NULL) {
      CHECK(to_fail == 0 && size > b->size);
      return;
    }
    b->bytes = bytes;
    check_bytes(b, size < b->size ? size : b->size);
    b->size = size;
  } else {
    CHECK(eddy__arena_alloc(a, b->bytes, b->size, 0) == NULL);
    *b = (block){NULL, 0, 0};
    return;
  }
  fill(b);
}

static void free_all(eddy__arena *a) {
  for (int i = 0; i < BLOCKS; i++) {
    check_bytes(&blocks[i], blocks[i].size);
    if (blocks[i].bytes != NULL) eddy__arena_alloc(a, blocks[i].bytes, blocks[i].size, 0);
    blocks[i] = (block){NULL, 0, 0};
  }
}

static void random_blocks(void) {
  eddy__arena *a = eddy__arena_new();
  for (uint32_t round = 0; round < 20; round++) {
    uint32_t n = round % 2 == 0 ? BLOCKS : 50; /* all of it, or the same few again and again */
    for (int i = 0; i < 10000; i++) {
      to_fail = random_below(10) == 0 ? 0 : -1;
      change(a, &blocks[random_below(n)]);
    }
    to_fail = -1;
    if (round % 5 == 4) free_all(a);
  }
  free_all(a);
  eddy__arena_free(a);
}

/* --- large blocks ------------------------------------------------------------------------------------------------- */

enum { LONG = 16384 + 25, MANY = 100 };

/* Those of one size that were freed come back, the last one first; not more than half a megabyte is kept. */
static void shelves(void) {
  eddy__arena *a = eddy__arena_new();
  void *taken[MANY], *again[MANY];
  for (int i = 0; i < MANY; i++) CHECK((taken[i] = eddy__arena_alloc(a, NULL, 0, LONG)) != NULL);
  for (int i = 0; i < MANY; i++) CHECK(eddy__arena_alloc(a, taken[i], LONG, 0) == NULL);
  to_fail = 0; /* malloc has nothing for us */
  int n = 0;
  while (n < MANY && (again[n] = eddy__arena_alloc(a, NULL, 0, LONG)) != NULL) n++;
  to_fail = -1;
  CHECK_INT(512 * 1024 / LONG, n);
  for (int i = 0; i < n; i++) CHECK(again[i] == taken[n - 1 - i]);
  for (int i = 0; i < n; i++) eddy__arena_alloc(a, again[i], LONG, 0);
  /* What is not needed makes room for what is, and for what malloc has no room for otherwise. */
  void *other = eddy__arena_alloc(a, NULL, 0, 2 * LONG);
  CHECK(other != NULL);
  fails_once = true;
  void *more = eddy__arena_alloc(a, NULL, 0, 3 * LONG);
  CHECK(more != NULL && !fails_once);
  to_fail = 0;
  CHECK(eddy__arena_alloc(a, NULL, 0, LONG) == NULL);
  to_fail = -1;
  eddy__arena_alloc(a, more, 3 * LONG, 0);
  fails_once = true; /* one that grows gets it as well, */
  more = eddy__arena_alloc(a, other, 2 * LONG, 4 * LONG);
  CHECK(more != NULL && !fails_once);
  eddy__arena_alloc(a, more, 4 * LONG, 0);
  more = eddy__arena_alloc(a, NULL, 0, 10);
  fails_once = true; /* and so does one that was small */
  more = eddy__arena_alloc(a, more, 10, LONG);
  CHECK(more != NULL && !fails_once);
  eddy__arena_alloc(a, more, LONG, 0);
  eddy__arena_free(a);
}

/* --- what the system gets back ------------------------------------------------------------------------------------ */

enum { TASKS = 100000, MIB = 1024 * 1024 };
static void *tasks[TASKS][4];
static const size_t sizes[4] = {208, 720, 64, 304};

static void take(eddy__arena *a) {
  for (int i = 0; i < TASKS; i++)
    for (int j = 0; j < 4; j++) {
      CHECK((tasks[i][j] = eddy__arena_alloc(a, NULL, 0, sizes[j])) != NULL);
      memset(tasks[i][j], i, sizes[j]);
    }
}

/* Frees all but each n-th. */
static void drop(eddy__arena *a, int n) {
  for (int i = 0; i < TASKS; i++)
    for (int j = 0; j < 4; j++) {
      if (i % n == 0 || tasks[i][j] == NULL) continue;
      CHECK(*(unsigned char *)tasks[i][j] == (unsigned char)i);
      eddy__arena_alloc(a, tasks[i][j], sizes[j], 0);
      tasks[i][j] = NULL;
    }
}

static size_t resident(void) {
  size_t pages = 0, all = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL) return 0;
  CHECK(fscanf(file, "%zu %zu", &all, &pages) == 2);
  fclose(file);
  return pages * 4096;
}

/* A little goes on for some seconds. */
static void go_on(eddy__arena *a, int seconds) {
  static void *some[1000];
  for (int i = 0; i < seconds; i++) {
    clock_now += 1100000000;
    for (int j = 0; j < 1000; j++) CHECK((some[j] = eddy__arena_alloc(a, NULL, 0, 800)) != NULL);
    for (int j = 0; j < 1000; j++) eddy__arena_alloc(a, some[j], 800, 0);
  }
}

static void gives_back(void) {
  eddy__arena *a = eddy__arena_new();
  size_t before = resident();
  take(a);
  eddy__arena_sizes peak = eddy__arena_measure(a);
  size_t at_peak = resident();
  (void)before, (void)at_peak;
  CHECK(peak.used > 120u * MIB && peak.kept < 140u * MIB); /* 130 MB were asked for */
  drop(a, 1000);
  go_on(a, 3);
  eddy__arena_sizes few = eddy__arena_measure(a);
  CHECK(few.used < 15u * MIB); /* a hundred of each size are left, each alone in its slab */
  CHECK(few.kept <= few.used + 8u * MIB);
#ifndef __SANITIZE_THREAD__ /* its shadow of that memory stays */
  if (at_peak > before + 100u * MIB) CHECK(resident() < before + 30u * MIB);
#endif
  drop(a, TASKS + 1);
  for (int j = 0; j < 4; j++) eddy__arena_alloc(a, tasks[0][j], sizes[j], 0);
  go_on(a, 3);
  CHECK(eddy__arena_measure(a).kept < 8u * MIB);
  eddy__arena_free(a);
}

/* What goes up and down quickly is not given back and asked for each time. */
static void keeps_what_is_wanted_again(void) {
  eddy__arena *a = eddy__arena_new();
  for (int i = 0; i < 5; i++) {
    take(a);
    clock_now += 400000000;
    drop(a, TASKS + 1);
    for (int j = 0; j < 4; j++) eddy__arena_alloc(a, tasks[0][j], sizes[j], 0);
    clock_now += 400000000;
    CHECK(eddy__arena_measure(a).kept > 100u * MIB);
  }
  eddy__arena_free(a);
}

/* --- a state ------------------------------------------------------------------------------------------------------ */

static int open_and_work(lua_State *L) {
  luaL_openlibs(L);
  if (luaL_dostring(L, "local t = {} for i = 1, 2000 do t[i] = {tostring(i), coroutine.create(print)} end "
                       "t = nil collectgarbage() return ('x'):rep(5000)") != LUA_OK)
    return lua_error(L);
  return 0;
}

/* A state on an arena, as eddy__arena_newstate makes it; that one is without an arena where sanitizers look on. */
static lua_State *arena_state(void) {
  eddy__arena *a = eddy__arena_new();
  if (a == NULL) return NULL;
  lua_State *L = lua_newstate(eddy__arena_alloc, a);
  if (L == NULL) {
    eddy__arena_free(a);
    return NULL;
  }
  eddy__arena_own(a, lua_getextraspace(L));
  return L;
}

/* One allocation after the other fails, and all after it. What is left behind, the leak checker tells. */
static void state_without_memory(void) {
  int failed = 0, status = LUA_ERRMEM;
  for (long n = 0; status != LUA_OK; n++) {
    to_fail = n;
    lua_State *L = arena_state();
    status = LUA_ERRMEM;
    if (L != NULL) {
      lua_pushcfunction(L, open_and_work);
      status = lua_pcall(L, 0, 0, 0);
      CHECK(status == LUA_OK || status == LUA_ERRMEM);
      lua_close(L);
    }
    if (status != LUA_OK) failed++;
  }
  to_fail = -1;
  CHECK(failed > 3);
}

/* What a state says of warnings, and of an error that nothing catches, read from its standard error. */
static void hear(lua_State *L, char *text, size_t size) {
  FILE *file = tmpfile();
  int saved = dup(STDERR_FILENO);
  CHECK(L != NULL && file != NULL && saved >= 0);
  fflush(stderr);
  dup2(fileno(file), STDERR_FILENO);
  luaL_openlibs(L);
  int status = luaL_dostring(L, "warn('unheard') warn('@on') warn('one') warn('two ', 'pieces ', 'more') warn('@on') "
                                "warn('@what') warn('@off') warn('unheard') warn('@', 'on') warn('@on') warn('@') "
                                "warn('@', 'off') warn('last')");
  lua_CFunction panic = lua_atpanic(L, NULL);
  lua_pushliteral(L, "a text");
  panic(L);
  lua_newtable(L);
  panic(L);
  fflush(stderr);
  dup2(saved, STDERR_FILENO);
  close(saved);
  CHECK_INT(LUA_OK, status);
  rewind(file);
  text[fread(text, 1, size - 1, file)] = '\0';
  fclose(file);
  lua_close(L);
}

static void says_what_lua_says(void) {
  char ours[2000], luas[2000];
  hear(eddy_newstate(), ours, sizeof ours);
  hear(luaL_newstate(), luas, sizeof luas);
  CHECK_HAS("Lua warning: two pieces more", ours);
  CHECK_HAS(luas, ours);
  CHECK_HAS(ours, luas);
}

int main(void) {
  says_what_lua_says();
  random_blocks();
  shelves();
  gives_back();
  keeps_what_is_wanted_again();
  state_without_memory();
  lua_State *L = eddy_newstate();
  CHECK(L != NULL);
  CHECK_INT(0, open_and_work(L));
  lua_close(L);
  return 0;
}
