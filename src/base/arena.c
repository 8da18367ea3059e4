/* SPDX-License-Identifier: MIT */
/*
 * arena.c - small blocks of one size side by side, without headers; see arena.h.
 * Owns:   the chunks, and the shelves; everything above LARGEST bytes is malloc's.
 * Uses:   Lua, the system's mmap.
 * Touch:  with care: spec/embed/arena.c compares it with a model.
 *
 * Lua tells the size of each block that it gives back, so a block needs no header: a task that sleeps takes 100 bytes
 * less than with glibc's malloc, and one that is made and awaited an eighth less time.
 *
 * A chunk is 2 MiB, aligned to its size: 64 slabs, whose records stand at its beginning. A slab holds blocks of one
 * size, a multiple of STEP, has its own list of free ones and counts those in use: an empty slab may serve any size.
 * The empty slabs that were not needed for a second are given back to the system, page by page or whole chunks. That is
 * looked at where slabs come and go, so a program that does nothing at all keeps what it has.
 */
#include "base/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#ifndef _WIN32
#include <sys/mman.h>

enum {
  STEP = 16,
  LARGEST = 64 * 2 * (int)sizeof(void *), /* less than the block of a state itself; a thread's first stack has 720 */
  CLASSES = LARGEST / STEP,
  SLAB = 32 * 1024,
  SLABS = 64,
  CHUNK = SLABS * SLAB,
  KEEP = 128,     /* empty slabs that are kept in any case: 4 MiB */
  STRETCH = 4096, /* of a fresh slab that is made into free blocks at a time: a page */
  SHELVES = 4,
  SHELVED = EDDY_DRAFT_LEAST, /* blocks of so many bytes and more are shelved; their sizes are multiples of GRAIN, */
  GRAIN = 256,
  SHELF = 512 * 1024 /* up to so many bytes of a size */
};
static const uint64_t ALL = UINT64_MAX;
static const uint64_t PERIOD = 1000000000; /* ns */

typedef struct slab {
  void *free;               /* the first free block; each begins with the address of the next */
  struct slab *next, *prev; /* in arena->partial of its class, while it is neither full nor the current one */
  uint16_t live;            /* blocks in use */
  uint16_t made, most;      /* blocks that were ever in use or in the list of free ones; how many there is room for */
  uint8_t class;
  bool full;                /* nothing is free: in no list */
} slab;

typedef struct chunk {
  struct chunk *next, *prev; /* in arena->warm, arena->bare or arena->busy */
  uint64_t free;             /* slabs without a block in use, */
  uint64_t bare;             /* those of them whose memory the system has */
  slab slabs[SLABS];
} chunk;

/* A block that has become small where there was no slab for it: it is malloc's still, and larger than LARGEST. */
typedef struct stray {
  struct stray *next;
} stray;

/* Blocks of malloc's, all of one size, that are likely to be needed again soon: strings of messages. The last one comes
 * back first, as that is still in the cache. */
typedef struct shelf {
  void *first; /* each begins with the address of the next */
  size_t size, total;
} shelf;

struct eddy__arena {
  slab *current[CLASSES]; /* where the next block is taken from; `none` at first */
  slab *partial[CLASSES]; /* others with free blocks */
  chunk *warm, *bare, *busy; /* with an empty slab; with none but bare ones; without. Rings, or NULL */
  size_t nchunks, nused, nwarm; /* nused, nwarm: slabs with blocks in use, and empty ones that are not bare */
  size_t low;             /* the fewest of these since */
  uint64_t since;         /* uv_hrtime() */
  stray *strays;
  shelf shelves[SHELVES]; /* by size */
  char *placed;           /* a draft's block, which is that of the next large request; or NULL */
  const char *last;       /* what the last large one got, */
  size_t last_size;       /* and how large it was */
  size_t header;          /* bytes of a long string before its text; 0: not known yet */
  const void *state;      /* the block of the Lua state: the arena goes with it */
  slab none;
};

/* --- chunks ------------------------------------------------------------------------------------------------------- */

static chunk *chunk_of(const void *address) {
  return (chunk *)((uintptr_t)address & ~(uintptr_t)(CHUNK - 1));
}

static void ring_push(chunk **ring, chunk *c) {
  if (*ring == NULL) {
    c->next = c->prev = c;
  } else {
    c->next = *ring;
    c->prev = (*ring)->prev;
    c->prev->next = c->next->prev = c;
  }
  *ring = c;
}

static void ring_remove(chunk **ring, chunk *c) {
  if (c->next == c) {
    *ring = NULL;
    return;
  }
  c->prev->next = c->next;
  c->next->prev = c->prev;
  if (*ring == c) *ring = c->next;
}

static chunk **ring_of(eddy__arena *a, const chunk *c) {
  return c->free == 0 ? &a->busy : c->free == c->bare ? &a->bare
                                                      : &a->warm;
}

/* Sets what its slabs are. It comes to the front of its ring, unless it is in that already. */
static void mark(eddy__arena *a, chunk *c, uint64_t free, uint64_t bare) {
  chunk **old = ring_of(a, c);
  c->free = free;
  c->bare = bare;
  chunk **new = ring_of(a, c);
  if (old == new) return;
  ring_remove(old, c);
  ring_push(new, c);
}

/* 2 MiB at a multiple of that, or NULL. */
static void *map_chunk(void) {
  char *p = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  size_t off = (uintptr_t)p % CHUNK;
  if (off == 0) return p; /* usually: beside the last one */
  munmap(p, CHUNK);
  p = mmap(NULL, 2 * (size_t)CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  off = (uintptr_t)p % CHUNK;
  size_t before = off == 0 ? 0 : CHUNK - off;
  if (before > 0) munmap(p, before);
  munmap(p + before + CHUNK, CHUNK - before);
  return p + before;
}

static chunk *add_chunk(eddy__arena *a) {
  chunk *c = map_chunk();
  if (c == NULL) return NULL;
  c->free = c->bare = ALL;
  ring_push(&a->bare, c);
  a->nchunks++;
  return c;
}

static int count(uint64_t bits) {
  int n = 0;
  for (; bits != 0; bits &= bits - 1) n++;
  return n;
}

static void drop_chunk(eddy__arena *a, chunk *c) {
  ring_remove(ring_of(a, c), c);
  a->nwarm -= (size_t)count(c->free & ~c->bare);
  a->nchunks--;
  munmap(c, CHUNK);
}

/* Gives the system the memory of the empty slabs of a chunk. */
static void strip(eddy__arena *a, chunk *c) {
  uint64_t warm = c->free & ~c->bare & ~(uint64_t)1; /* the first has the records */
  for (int i = 1, n; i < SLABS; i += n) {
    for (n = 0; i + n < SLABS && (warm >> (i + n) & 1) != 0; n++) {}
    if (n > 0) (void)madvise((char *)c + i * SLAB, (size_t)n * SLAB, MADV_DONTNEED);
    if (n == 0) n = 1;
  }
  a->nwarm -= (size_t)count(c->free & ~c->bare);
  mark(a, c, c->free, c->free);
}

/* Gives back what was not needed in the last period, those first that have been empty for longest. */
static void give_back(eddy__arena *a) {
  if (a->nwarm <= KEEP) return;
  uint64_t now = uv_hrtime();
  if (now - a->since < PERIOD) return;
  size_t most = a->low > KEEP ? a->nwarm - a->low + KEEP : a->nwarm;
  while (a->nwarm > most && a->warm != NULL) {
    chunk *c = a->warm->prev;
    if (c->free == ALL)
      drop_chunk(a, c);
    else
      strip(a, c);
  }
  a->low = a->nwarm;
  a->since = now;
}

/* --- slabs -------------------------------------------------------------------------------------------------------- */

static size_t size_of(const slab *s) { return ((size_t)s->class + 1) * STEP; }

static char *blocks_of(slab *s) {
  chunk *c = chunk_of(s);
  size_t i = (size_t)(s - c->slabs);
  return (char *)c + (i == 0 ? (sizeof *c + STEP - 1) / STEP * STEP : i * SLAB);
}

static slab *slab_of(const void *block) {
  chunk *c = chunk_of(block);
  return &c->slabs[(uintptr_t)block % CHUNK / SLAB];
}

static int lowest(uint64_t bits) {
#if defined(__GNUC__)
  return __builtin_ctzll(bits);
#else
  return count((bits & -bits) - 1);
#endif
}

/* An empty slab for blocks of a class, or NULL. */
static slab *take_slab(eddy__arena *a, int class) {
  give_back(a);
  chunk *c = a->warm != NULL ? a->warm : a->bare != NULL ? a->bare
                                                         : add_chunk(a);
  if (c == NULL) return NULL;
  uint64_t warm = c->free & ~c->bare;
  int i = lowest(warm != 0 ? warm : c->bare);
  if (warm != 0) a->nwarm--;
  if (a->nwarm < a->low) a->low = a->nwarm;
  a->nused++;
  mark(a, c, c->free & ~((uint64_t)1 << i), c->bare & ~((uint64_t)1 << i));
  slab *s = &c->slabs[i];
  memset(s, 0, sizeof *s);
  s->class = (uint8_t) class;
  s->most = (uint16_t)((size_t)((char *)c + (i + 1) * SLAB - blocks_of(s)) / size_of(s));
  return s;
}

static void partial_push(eddy__arena *a, slab *s) {
  s->prev = NULL;
  s->next = a->partial[s->class];
  if (s->next != NULL) s->next->prev = s;
  a->partial[s->class] = s;
}

static void partial_remove(eddy__arena *a, slab *s) {
  if (s->prev != NULL)
    s->prev->next = s->next;
  else
    a->partial[s->class] = s->next;
  if (s->next != NULL) s->next->prev = s->prev;
}

/* Makes the next blocks of a slab that were never in use. Those at a time that are about to be touched anyway. */
static void stretch(slab *s) {
  size_t size = size_of(s), n = STRETCH / size;
  if (n > (size_t)(s->most - s->made)) n = (size_t)(s->most - s->made);
  char *p = blocks_of(s) + s->made * size;
  s->made = (uint16_t)(s->made + n);
  s->free = p;
  for (; n > 1; n--, p += size) *(void **)(void *)p = p + size;
  *(void **)(void *)p = NULL;
}

/* The current slab of the class has no free block: finds the next. NULL: no memory. */
static slab *refill(eddy__arena *a, int class) {
  slab *s = a->current[class];
  if (s->made == s->most) { /* it is full; `none` is always */
    slab *next = a->partial[class];
    if (next != NULL)
      partial_remove(a, next);
    else if ((next = take_slab(a, class)) == NULL)
      return NULL;
    s->full = true;
    a->current[class] = s = next;
  }
  if (s->free == NULL) stretch(s);
  return s;
}

/* A block was given back to a slab that was full, or is empty now. */
static void freed(eddy__arena *a, slab *s) {
  if (s == a->current[s->class]) return;
  if (s->full) {
    s->full = false;
    partial_push(a, s);
  }
  if (s->live > 0) return;
  partial_remove(a, s);
  chunk *c = chunk_of(s);
  a->nused--;
  a->nwarm++;
  mark(a, c, c->free | (uint64_t)1 << (s - c->slabs), c->bare);
  give_back(a);
}

/* --- blocks ------------------------------------------------------------------------------------------------------- */

static void *take_small(eddy__arena *a, size_t size) {
  int class = (int)((size - 1) / STEP);
  slab *s = a->current[class];
  if (s->free == NULL && (s = refill(a, class)) == NULL) return NULL;
  void **block = s->free;
  s->free = *block;
  s->live++;
  return block;
}

/* Whether the block is a stray, which it is no more then. */
static bool take_stray(eddy__arena *a, void *block) {
  for (stray **at = &a->strays; *at != NULL; at = &(*at)->next) {
    if ((char *)*at != (char *)block + LARGEST) continue;
    *at = (*at)->next;
    return true;
  }
  return false;
}

static void free_small(eddy__arena *a, void *block) {
  if (a->strays != NULL && take_stray(a, block)) {
    free(block);
    return;
  }
  slab *s = slab_of(block);
  *(void **)block = s->free;
  s->free = block;
  if (--s->live == 0 || s->full) freed(a, s);
}

/* What malloc is asked for: there has to be room for a stray. */
static size_t malloced(size_t size) {
  size_t least = LARGEST + sizeof(stray);
  if (size < SHELVED) return size < least ? least : size;
  return size < SIZE_MAX - GRAIN ? (size + GRAIN - 1) / GRAIN * GRAIN : size;
}

/* The size is a multiple of GRAIN. */
static shelf *shelf_of(eddy__arena *a, size_t size) { return &a->shelves[size / GRAIN % SHELVES]; }

static void *take_shelved(shelf *s) {
  void **block = s->first;
  s->first = *block;
  s->total -= s->size;
  return block;
}

/* Keeps a block, if there is room. One of another size makes room in the long run. */
static bool shelve(eddy__arena *a, void *block, size_t size) {
  shelf *s = shelf_of(a, size);
  if (s->size != size) {
    if (s->first != NULL) free(take_shelved(s));
    if (s->first != NULL) return false;
    s->size = size;
  }
  if (size > SHELF - s->total) return false;
  *(void **)block = s->first;
  s->first = block;
  s->total += size;
  return true;
}

static bool clear_shelves(eddy__arena *a) {
  bool cleared = false;
  for (shelf *s = a->shelves; s < a->shelves + SHELVES; s++)
    for (; s->first != NULL; cleared = true) free(take_shelved(s));
  return cleared;
}

static void *find_large(eddy__arena *a, size_t size) {
  size_t whole = malloced(size);
  shelf *s = shelf_of(a, whole);
  if (s->size == whole && s->first != NULL) return take_shelved(s);
  void *block = malloc(whole);
  return block != NULL || !clear_shelves(a) ? block : malloc(whole);
}

static void *take_large(eddy__arena *a, size_t size) {
  char *block = a->placed;
  a->placed = NULL;
  if (block == NULL) block = find_large(a, size);
  a->last = block;
  a->last_size = size;
  return block;
}

static void free_large(eddy__arena *a, void *block, size_t size) {
  bool is_last = block == a->state;
  if (size >= SHELVED && size <= SHELF && shelve(a, block, malloced(size))) return;
  free(block);
  if (is_last) eddy__arena_free(a);
}

/* Between the two kinds, or between two sizes of small ones. */
static void *move(eddy__arena *a, void *block, size_t osize, size_t nsize) {
  void *new = nsize <= LARGEST ? take_small(a, nsize) : take_large(a, nsize);
  if (new != NULL) {
    memcpy(new, block, osize < nsize ? osize : nsize);
    if (osize <= LARGEST)
      free_small(a, block);
    else
      free(block);
    return new;
  }
  if (nsize > osize) return NULL;
  if (osize > LARGEST) { /* it stays what it is; its end is not needed */
    stray *s = (stray *)(void *)((char *)block + LARGEST);
    s->next = a->strays;
    a->strays = s;
  }
  return block;
}

void *eddy__arena_alloc(void *arena, void *block, size_t osize, size_t nsize) {
  eddy__arena *a = arena;
  if (block == NULL) { /* osize is the kind of object */
    if (nsize - 1 < LARGEST) return take_small(a, nsize);
    return nsize == 0 ? NULL : take_large(a, nsize);
  }
  if (nsize == 0) {
    if (osize <= LARGEST)
      free_small(a, block);
    else
      free_large(a, block, osize);
    return NULL;
  }
  if (osize > LARGEST && nsize > LARGEST) {
    void *new = realloc(block, malloced(nsize));
    if (new == NULL && clear_shelves(a)) new = realloc(block, malloced(nsize));
    return new != NULL || nsize > osize ? new : block;
  }
  if (osize <= LARGEST && (osize - 1) / STEP == (nsize - 1) / STEP) return block;
  return move(a, block, osize, nsize);
}

/* --- drafts ------------------------------------------------------------------------------------------------------- */

/* Or NULL.   [-0, +0, -] */
static eddy__arena *arena_of(lua_State *L) {
  void *ud;
  return lua_getallocf(L, &ud) == eddy__arena_alloc ? ud : NULL;
}

/* [-0, +0, m] */
void eddy__draft_prepare(lua_State *L) {
  static const char text[SHELVED];
  eddy__arena *a = arena_of(L);
  if (a == NULL || a->header > 0) return;
  const char *made = lua_pushlstring(L, text, sizeof text);
  size_t header = made > a->last ? (size_t)(made - a->last) : 0;
  if (header > 0 && header < GRAIN && a->last_size == header + sizeof text + 1) a->header = header;
  lua_pop(L, 1); /* where a finalizer has had a large block meanwhile, nothing is known yet */
}

/* [-0, +0, -] */
bool eddy__draft_begin(lua_State *L, size_t size, eddy__draft *d) {
  eddy__arena *a = arena_of(L);
  if (a == NULL || a->header == 0 || size < SHELVED || size > SIZE_MAX / 2) return false;
  size_t whole = malloced(a->header + size + 2);
  d->block = find_large(a, whole);
  if (d->block == NULL) return false;
  d->bytes = d->block + a->header;
  d->room = whole - a->header - 1;
  return true;
}

bool eddy__draft_is_full(const eddy__draft *d, size_t n) { return n >= SHELVED && n >= d->room / 2; }

/* [-0, +1, -] */
void eddy__draft_push(lua_State *L, const eddy__draft *d, size_t n) {
  eddy__arena *a = arena_of(L);
  a->placed = d->block;
  lua_pushlstring(L, d->bytes, n);
  assert(a->placed == NULL);
}

/* [-0, +0, -] */
void eddy__draft_drop(lua_State *L, const eddy__draft *d) {
  free_large(arena_of(L), d->block, (size_t)(d->bytes - d->block) + d->room + 1);
}

/* --- birth and death ---------------------------------------------------------------------------------------------- */

eddy__arena *eddy__arena_new(void) {
  eddy__arena *a = calloc(1, sizeof *a);
  for (int i = 0; a != NULL && i < CLASSES; i++) a->current[i] = &a->none;
  return a;
}

void eddy__arena_own(eddy__arena *a, const void *state) { a->state = state; }

static void free_ring(chunk *ring) {
  if (ring == NULL) return;
  ring->prev->next = NULL;
  for (chunk *c = ring, *next; c != NULL; c = next) {
    next = c->next;
    munmap(c, CHUNK);
  }
}

void eddy__arena_free(eddy__arena *a) {
  assert(a->strays == NULL);
  (void)clear_shelves(a);
  free_ring(a->warm);
  free_ring(a->bare);
  free_ring(a->busy);
  free(a);
}

eddy__arena_sizes eddy__arena_measure(const eddy__arena *a) {
  return (eddy__arena_sizes){a->nchunks * CHUNK, (a->nused + a->nwarm) * SLAB, a->nused * SLAB};
}
#else
void eddy__draft_prepare(lua_State *L) { (void)L; }

bool eddy__draft_begin(lua_State *L, size_t size, eddy__draft *d) {
  (void)L, (void)size, (void)d;
  return false;
}

bool eddy__draft_is_full(const eddy__draft *d, size_t n) {
  (void)d, (void)n;
  return false;
}

void eddy__draft_push(lua_State *L, const eddy__draft *d, size_t n) { (void)L, (void)d, (void)n; }

void eddy__draft_drop(lua_State *L, const eddy__draft *d) { (void)L, (void)d; }
#endif
