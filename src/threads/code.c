/* SPDX-License-Identifier: MIT */
/*
 * code.c - functions that are called again and again in other threads; see code.h.
 * Touch:  freely. The cache of the state that packs is a weak table from functions, so an address that is used again is
 *         another key; numbers are never used again.
 */
#include "threads/code.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "base/weak.h"
#include "threads/move_form.h"

static const eddy__type type_code = {"eddy.code"};

static const char cache_key;  /* registry: from functions to their code, weak; [1]: the last number */
static const char loaded_key; /* registry of the other side: from numbers to functions; [0]: how many */

enum { MOST_LOADED = 512 };

struct eddy__code {
  atomic_int refs;
  lua_Integer number;   /* in the state that has packed it */
  eddy__parcel *parcel; /* is copied, never unpacked */
};

eddy__code *eddy__code_retain(eddy__code *code) {
  if (code != NULL) atomic_fetch_add_explicit(&code->refs, 1, memory_order_relaxed);
  return code;
}

void eddy__code_release(eddy__code *code) {
  if (code == NULL || atomic_fetch_sub_explicit(&code->refs, 1, memory_order_acq_rel) > 1) return;
  eddy__parcel_free(code->parcel);
  free(code);
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__code **box = eddy__object_check(L, 1, &type_code);
  eddy__code_release(*box);
  *box = NULL;
  return 0;
}

/* Whether the function at idx has no upvalue but perhaps _ENV, which is the table of globals.   [-0, +0, -] */
static bool is_stateless(lua_State *L, int idx) {
  if (!lua_isfunction(L, idx) || lua_iscfunction(L, idx)) return false;
  if (lua_getupvalue(L, idx, 1) == NULL) return true;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  bool is_globals = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  if (!is_globals || lua_getupvalue(L, idx, 2) == NULL) return is_globals;
  lua_pop(L, 1);
  return false;
}

/* Pushes the cache of a state.   [-0, +1, m] */
static void push_cache(lua_State *L, const void *key, bool is_weak) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  if (is_weak)
    eddy__weak_new(L, "k");
  else
    lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

/* Packs the function at idx, and puts its code into the cache at the top.   [-0, +0, v] */
static eddy__code *make(lua_State *L, int idx, const char *who) {
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  int cache = lua_gettop(L);
  eddy__object_type(L, &type_code, NULL, NULL, meta, 0);
  eddy__code **box = eddy__object_new(L, &type_code, sizeof *box, 0);
  lua_rawgeti(L, cache, 1);
  lua_Integer number = lua_tointeger(L, -1) + 1;
  lua_pushinteger(L, number);
  lua_rawseti(L, cache, 1);
  eddy__code *code = malloc(sizeof *code);
  if (code == NULL) return luaL_error(L, "not enough memory"), NULL;
  atomic_init(&code->refs, 1);
  code->number = number;
  code->parcel = NULL;
  *box = code;
  code->parcel = eddy__parcel_pack(L, idx, 1, who, EDDY_PACK_CALL);
  lua_pushvalue(L, idx);
  lua_pushvalue(L, cache + 2);
  lua_rawset(L, cache);
  lua_settop(L, cache);
  return code;
}

/* [-0, +0, v] */
eddy__code *eddy__code_of(lua_State *L, int idx, const char *who) {
  if (!is_stateless(L, idx)) return NULL;
  luaL_checkstack(L, 12, NULL);
  push_cache(L, &cache_key, true);
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  eddy__code **box = lua_touserdata(L, -1), *code = box != NULL ? *box : NULL;
  lua_pop(L, 1);
  if (code == NULL) code = make(L, idx, who);
  lua_pop(L, 1);
  return code->parcel->nreferences == 0 ? code : NULL;
}

/* A parcel of its own for whoever unpacks it; NULL without memory. */
static eddy__parcel *copy(const eddy__parcel *parcel) {
  eddy__parcel *other = eddy__parcel_new(0, parcel->size);
  if (other == NULL) return NULL;
  char *bytes = other->bytes;
  *other = *parcel;
  other->bytes = memcpy(bytes, parcel->bytes, parcel->size);
  return other;
}

/* [-0, +(0|1), -] */
bool eddy__code_push_loaded(lua_State *L, const eddy__code *code) {
  int top = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key) == LUA_TTABLE &&
      lua_rawgeti(L, -1, code->number) == LUA_TFUNCTION && is_stateless(L, -1)) {
    lua_replace(L, top + 1);
    return true;
  }
  lua_settop(L, top);
  return false;
}

/* [-0, +1, e] */
void eddy__code_push(lua_State *L, eddy__code *code) {
  luaL_checkstack(L, 8, NULL);
  if (eddy__code_push_loaded(L, code)) return;
  push_cache(L, &loaded_key, false);
  int cache = lua_gettop(L);
  lua_rawgeti(L, cache, 0);
  lua_Integer n = lua_tointeger(L, -1) + 1;
  lua_settop(L, cache);
  if (n > MOST_LOADED) { /* from the beginning */
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
    n = 1;
    lua_settop(L, cache - 1);
    push_cache(L, &loaded_key, false);
  }
  eddy__parcel *parcel = copy(code->parcel);
  if (parcel == NULL) luaL_error(L, "not enough memory");
  eddy__parcel_unpack(L, parcel);
  lua_settop(L, cache + 1);
  lua_pushvalue(L, -1);
  lua_rawseti(L, cache, code->number);
  lua_pushinteger(L, n);
  lua_rawseti(L, cache, 0);
  lua_remove(L, cache);
}
