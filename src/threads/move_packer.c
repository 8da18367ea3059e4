/* SPDX-License-Identifier: MIT */
/*
 * move_packer.c - the packer's memory, and the objects that wait; see move_pack.h.
 * Touch:  with care: see move_pack.c for what may not happen here.
 */
#include "threads/move_pack.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/object.h"

enum { SMALL_PARCEL = 4096 }; /* a small one is copied, so that the packer keeps its memory */

static const char packer_key; /* registry: the packer */

/* --- memory -------------------------------------------------------------------------------------------------- */

char *eddy__packer_grow(eddy__packer *p, size_t n) {
  size_t want = p->size + n, cap = p->cap < 256 ? 256 : p->cap * 2;
  if (want < n || want > SIZE_MAX / 2) return NULL;
  if (cap < want) cap = want + want / 16 + 64;
  char *bytes = realloc(p->bytes, cap);
  if (bytes == NULL) return NULL;
  if (n >= EDDY_LARGE) eddy__large_pages(bytes, cap);
  p->bytes = bytes;
  p->cap = cap;
  return bytes + p->size;
}

static int grow_seen(eddy__packer *p) {
  eddy__packer grown = *p;
  grown.seen_cap = p->seen_cap == 0 ? 64 : p->seen_cap * 2;
  if (grown.seen_cap == 0) return PACK_NO_MEMORY; /* four thousand million objects */
  grown.seen = calloc(grown.seen_cap, sizeof *grown.seen);
  if (grown.seen == NULL) return PACK_NO_MEMORY;
  for (uint32_t i = 0; i < p->seen_cap; i++)
    if (eddy__packer_has(p, &p->seen[i])) *eddy__packer_find(&grown, p->seen[i].key) = p->seen[i];
  free(p->seen);
  p->seen = grown.seen;
  p->seen_cap = grown.seen_cap;
  return PACK_DONE;
}

int eddy__packer_note(eddy__packer *p, const void *key, uint32_t value, uint32_t upvalue) {
  if (p->nseen >= p->seen_cap / 4 * 3 && grow_seen(p) != PACK_DONE) return PACK_NO_MEMORY;
  eddy__seen entry = {key, p->round, value, upvalue};
  *eddy__packer_find(p, key) = entry;
  p->nseen++;
  return PACK_DONE;
}

/* [-2, +(0|1), -] */
bool eddy__packer_quietly(lua_State *L, lua_CFunction f) {
  bool collects = lua_gc(L, LUA_GCISRUNNING) == 1;
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  if (collects) lua_gc(L, LUA_GCSTOP);
  if (hook != NULL) lua_sethook(L, NULL, 0, 0);
  lua_pushcfunction(L, f);
  lua_insert(L, -3);
  bool good = lua_pcall(L, 2, 1, 0) == LUA_OK;
  if (!good) lua_pop(L, 1);
  if (hook != NULL) lua_sethook(L, hook, mask, count);
  if (collects) lua_gc(L, LUA_GCRESTART);
  return good;
}

/* --- objects wait for their turn on the stack, then in chunks: tables that are as large as all before them ---- */

/* [-0, +1, m] */
static int make_chunk(lua_State *L) {
  lua_createtable(L, (int)lua_tointeger(L, 1), 0);
  return 1;
}

/* [-0, +0, -] */
static int next_chunk(eddy__packer *p, lua_State *L) {
  uint32_t size = p->write_limit;
  if (size > (1u << 30) || p->nchunks == CHUNKS) return PACK_NO_MEMORY;
  lua_pushinteger(L, size);
  lua_pushnil(L);
  if (!eddy__packer_quietly(L, make_chunk)) return PACK_NO_MEMORY;
  if (p->nchunks == 1) {
    eddy__packer_push_chunks(L);
    lua_replace(L, p->base + CHUNK_LIST);
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, p->base + CHUNK_LIST, (lua_Integer)++p->nchunks);
  lua_replace(L, p->base + WRITE);
  p->write_from = p->write_limit;
  p->write_limit += size;
  return PACK_DONE;
}

/* [-0, +0, -] */
int eddy__packer_add(eddy__packer *p, lua_State *L, int idx, const void *address) {
  if (p->nobjects == p->objects_cap) {
    uint32_t cap = p->objects_cap == 0 ? FIRST_CHUNK : p->objects_cap * 2;
    eddy__packed *objects = cap > p->objects_cap ? realloc(p->objects, cap * sizeof *objects) : NULL;
    if (objects == NULL) return PACK_NO_MEMORY;
    p->objects = objects;
    p->objects_cap = cap;
  }
  if (p->nobjects == p->write_limit && next_chunk(p, L) != PACK_DONE) return PACK_NO_MEMORY;
  if (eddy__packer_note(p, address, p->nobjects, 0) != PACK_DONE) return PACK_NO_MEMORY;
  if (p->nobjects < FIRST_CHUNK) {
    lua_copy(L, idx, p->base + OBJECTS + (int)p->nobjects);
  } else {
    lua_pushvalue(L, idx);
    lua_rawseti(L, p->base + WRITE, (lua_Integer)(p->nobjects - p->write_from) + 1);
  }
  eddy__packed object = {p->size, p->holder, p->root};
  p->objects[p->nobjects++] = object;
  return PACK_DONE;
}

/* [-0, +(0|1), -] */
int eddy__packer_next(eddy__packer *p, lua_State *L, uint32_t n) {
  if (n < FIRST_CHUNK) return p->base + OBJECTS + (int)n;
  if (n == p->read_limit) {
    int chunk = 1;
    for (uint32_t limit = FIRST_CHUNK; limit <= n; limit *= 2) chunk++;
    lua_rawgeti(L, p->base + CHUNK_LIST, chunk);
    lua_replace(L, p->base + READ);
    p->read_from = n;
    p->read_limit = n * 2;
  }
  lua_rawgeti(L, p->base + READ, (lua_Integer)(n - p->read_from) + 1);
  return lua_gettop(L);
}

/* [-0, +1, -] */
void eddy__packer_push_object(lua_State *L, int chunks, uint32_t object) {
  int chunk = 1;
  uint32_t from = 0;
  for (uint32_t limit = FIRST_CHUNK; limit <= object; limit *= 2) {
    chunk++;
    from = limit;
  }
  lua_rawgeti(L, chunks, chunk);
  lua_rawgeti(L, -1, (lua_Integer)(object - from) + 1);
  lua_remove(L, -2);
}

/* --- life --------------------------------------------------------------------------------------------------- */

static void release_references(eddy__packer *p) {
  for (uint32_t i = 0; i < p->nreferences; i++) p->references[i].type->release(p->references[i].shared);
  p->nreferences = 0;
}

static void free_memory(eddy__packer *p) {
  free(p->bytes);
  free(p->seen);
  free(p->objects);
  free(p->references);
  p->bytes = NULL;
  p->seen = NULL;
  p->objects = NULL;
  p->references = NULL;
  p->size = p->cap = 0;
  p->seen_cap = p->objects_cap = p->references_cap = 0;
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__packer *p = eddy__object_single_ends(L, &packer_key);
  if (p == NULL) return 0;
  free_memory(p);
  p->is_closed = true;
  return 0;
}

/* [-0, +0, m] */
eddy__packer *eddy__packer_of(lua_State *L) {
  eddy__packer *p = eddy__object_single(L, &packer_key, sizeof *p, 1, l_gc);
  if (!p->has_chunks) {
    lua_createtable(L, CHUNKS, 0);
    lua_createtable(L, FIRST_CHUNK, 0);
    lua_rawseti(L, -2, 1);
    lua_setiuservalue(L, -2, 1);
    p->has_chunks = true;
  }
  lua_pop(L, 1);
  return p;
}

/* [-0, +1, -] */
void eddy__packer_push_chunks(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &packer_key);
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
}

/* [-0, +1, m] */
static int index_names(lua_State *L) {
  eddy__named_index(L, (int)lua_tointeger(L, 1));
  return 1;
}

/* [-0, +?, -] */
int eddy__packer_begin(eddy__packer *p, lua_State *L) {
  p->size = 0;
  p->nseen = p->nobjects = p->nkept = 0;
  p->read_from = p->write_from = 0;
  p->read_limit = p->write_limit = FIRST_CHUNK;
  p->nchunks = 1;
  p->holder = NO_OBJECT;
  if (++p->round == 0) { /* entries of four thousand million parcels ago would come back */
    memset(p->strings, 0, sizeof p->strings);
    free(p->seen);
    p->seen = NULL;
    p->seen_cap = 0;
    p->round = 1;
  }
  p->base = lua_gettop(L);
  if (p->deep > 0) {
    lua_pushinteger(L, p->deep);
    lua_pushnil(L);
    if (!eddy__packer_quietly(L, index_names)) return PACK_NO_MEMORY;
  }
  lua_settop(L, p->base + OBJECTS + FIRST_CHUNK - 1);
  return p->seen == NULL ? grow_seen(p) : PACK_DONE;
}

/* [-0, +0, -] */
void eddy__packer_finish(eddy__packer *p, lua_State *L) {
  for (uint32_t i = 2; i <= p->nchunks; i++) {
    lua_pushnil(L);
    lua_rawseti(L, p->base + CHUNK_LIST, i);
  }
  lua_settop(L, p->base);
  release_references(p);
  if (p->seen_cap > 4096 || p->objects_cap > 4096 || p->cap > (1 << 20)) free_memory(p);
}

eddy__parcel *eddy__packer_wrap(eddy__packer *p, int n) {
  bool copied = p->size <= SMALL_PARCEL;
  eddy__parcel *parcel = eddy__parcel_new(p->nreferences, copied ? p->size : 0);
  if (parcel == NULL) return NULL;
  if (p->nreferences > 0) memcpy(parcel->room, p->references, p->nreferences * sizeof *p->references);
  p->nreferences = 0;
  if (copied) {
    if (p->size > 0) memcpy(parcel->bytes, p->bytes, p->size);
  } else {
    char *fit = p->cap - p->size > p->size / 8 ? realloc(p->bytes, p->size) : NULL;
    parcel->bytes = fit != NULL ? fit : p->bytes;
    p->bytes = NULL;
    p->cap = 0;
  }
  parcel->size = p->size;
  parcel->count = (uint32_t)n;
  parcel->nobjects = p->nobjects;
  parcel->nkept = p->nkept;
  return parcel;
}

/* [-0, +0, -] */
void eddy__packer_show(eddy__packer *p, lua_State *L, bool clear) {
  eddy__packer_push_chunks(L);
  lua_rawgeti(L, -1, 1);
  for (int i = 0; i < FIRST_CHUNK; i++) {
    if (clear)
      lua_pushnil(L);
    else
      lua_pushvalue(L, p->base + OBJECTS + i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pop(L, 2);
}
