/* SPDX-License-Identifier: MIT */
/*
 * move_pack.c - values into a parcel; see move.h, and move_form.h for the form.
 * Owns:   nothing beyond a call.
 * Uses:   move_pack.h, buffer.h, error.h, the functions of core/ that wrap others.      Used by: what sends values.
 * Touch:  with care. Between begin and finish nothing may raise and no Lua may run, a finalizer neither: no call there
 *         makes Lua allocate, but in eddy__packer_quietly. Nothing recurses: an object that is found waits for its
 *         turn.
 */
#include "threads/move_pack.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/context.h"
#include "core/coroutine.h"
#include "core/generator.h"
#include "threads/buffer.h"

enum { MEMORABLE = 1024 }; /* strings from this size on are never written twice */

static const char shareable_key; /* in a metatable: the eddy__shareable */

/* --- values -------------------------------------------------------------------------------------------------- */

/* Leaves a copy of the refused value.   [-0, +1, -] */
static int refuse(eddy__packer *p, lua_State *L, int idx, const char *what) {
  p->refused = what;
  lua_pushvalue(L, idx);
  return PACK_REFUSED;
}

static int put_integer(eddy__packer *p, lua_Integer value) {
  if (value >= 0 && value < SMALL_LIMIT) return put_tag(p, TAG_SMALL + (int)value);
  int8_t one = (int8_t)value;
  int16_t two = (int16_t)value;
  int32_t four = (int32_t)value;
  int64_t eight = value;
  if (one == value) return put(p, TAG_INT1, &one, sizeof one);
  if (two == value) return put(p, TAG_INT2, &two, sizeof two);
  if (four == value) return put(p, TAG_INT4, &four, sizeof four);
  return put(p, TAG_INT8, &eight, sizeof eight);
}

static int put_bytes(eddy__packer *p, int tag, const char *bytes, size_t size) {
  char *at = eddy__packer_room(p, 1 + sizeof(uint64_t) + size);
  if (at == NULL) return PACK_NO_MEMORY;
  uint64_t n = size;
  *at = (char)tag;
  memcpy(at + 1, &n, sizeof n);
  memcpy(at + 1 + sizeof n, bytes, size);
  p->size += 1 + sizeof n + size;
  return PACK_DONE;
}

static int put_text(eddy__packer *p, const char *text, size_t size) {
  return size < SHORT_LIMIT ? put(p, TAG_SHORT + (int)size, text, size) : put_bytes(p, TAG_STRING, text, size);
}

static int put_kept(eddy__packer *p, uint32_t number) { return put(p, TAG_KEPT, &number, sizeof number); }

/* A large string is kept when it comes first. */
static int put_large(eddy__packer *p, const char *text, size_t size) {
  eddy__seen *s = eddy__packer_find(p, text);
  if (eddy__packer_has(p, s)) return put_kept(p, s->value);
  if (eddy__packer_note(p, text, p->nkept, 0) != PACK_DONE || put_tag(p, TAG_KEEP) != PACK_DONE) return PACK_NO_MEMORY;
  p->nkept++;
  return put_text(p, text, size);
}

/* Others are kept when they come the second time, as far as that is remembered: keys of records, say.   [-0, +0, -] */
static int put_string(eddy__packer *p, lua_State *L, int idx) {
  size_t size;
  const char *text = lua_tolstring(L, idx, &size);
  if (size >= MEMORABLE) return put_large(p, text, size);
  eddy__seen *s = &p->strings[eddy__packer_hash(text) % STRINGS];
  if (s->key != text || s->round != p->round) {
    eddy__seen entry = {text, p->round, 0, 0};
    *s = entry;
    return put_text(p, text, size);
  }
  if (s->value > 0) return put_kept(p, s->value - 1);
  if (put_tag(p, TAG_KEEP) != PACK_DONE) return PACK_NO_MEMORY;
  s->value = ++p->nkept;
  return put_text(p, text, size);
}

static int put_again(eddy__packer *p, uint32_t number) { return put(p, TAG_AGAIN, &number, sizeof number); }

/* Writes the name of the table at idx if it is a metatable that luaL_newmetatable has made.   [-0, +0, -] */
static int put_registered(eddy__packer *p, lua_State *L, int idx, bool *named) {
  int rc = PACK_DONE;
  idx = lua_absindex(L, idx);
  lua_rawgeti(L, p->base + NAMES, EDDY_NAME_OF_NAMES);
  if (lua_rawget(L, idx) == LUA_TSTRING) {
    lua_pushvalue(L, -1);
    lua_rawget(L, LUA_REGISTRYINDEX);
    *named = lua_rawequal(L, -1, idx);
    lua_pop(L, 1);
  }
  if (*named) {
    uint64_t size = lua_rawlen(L, -1) + 1;
    rc = put(p, TAG_NAMED, &size, sizeof size);
    char *at = rc == PACK_DONE ? eddy__packer_room(p, size) : NULL;
    if (at == NULL) return PACK_NO_MEMORY;
    *at = 'r';
    memcpy(at + 1, lua_tostring(L, -1), size - 1);
    p->size += size;
  }
  lua_pop(L, 1);
  return rc;
}

/* Writes the name of the value at idx if it has one and says so in *named.   [-0, +0, -] */
static int put_name(eddy__packer *p, lua_State *L, int idx, bool *named) {
  *named = false;
  if (p->deep == 0) return PACK_DONE;
  lua_pushvalue(L, idx);
  *named = lua_rawget(L, p->base + NAMES) == LUA_TSTRING;
  size_t size;
  const char *name = lua_tolstring(L, -1, &size);
  lua_pop(L, 1); /* the index keeps it */
  if (*named) return put_bytes(p, TAG_NAMED, name, size);
  return lua_istable(L, idx) ? put_registered(p, L, idx, named) : PACK_DONE;
}

/* The tag of a table, which may be a class; sets *number for the number or identity of a class.   [-0, +0, -] */
static int tag_of_table(lua_State *L, int idx, int64_t *number) {
  if (!lua_getmetatable(L, idx)) return TAG_TABLE;
  int of_meta = eddy__error_class_at(L, -1);
  lua_pop(L, 1);
  int class = eddy__error_class_at(L, idx);
  *number = of_meta;
  if (class < 0) return TAG_TABLE_META;
  *number = class < EDDY_E_COUNT ? class : eddy__error_class_id(L, idx);
  return class < EDDY_E_COUNT ? TAG_ERROR_CLASS : TAG_CLASS;
}

/* [-0, +(0|1), -] */
static int put_table(eddy__packer *p, lua_State *L, int idx) {
  const void *address = lua_topointer(L, idx);
  eddy__seen *s = eddy__packer_find(p, address);
  if (eddy__packer_has(p, s)) return put_again(p, s->value);
  int64_t number = 0;
  int tag = tag_of_table(L, idx, &number);
  if (tag == TAG_ERROR_CLASS) {
    uint8_t class = (uint8_t)number;
    return put(p, tag, &class, sizeof class);
  }
  bool named;
  int rc = put_name(p, L, idx, &named);
  if (rc != PACK_DONE || named) return rc;
  bool is_own = tag == TAG_TABLE_META && number >= 0 && number < EDDY_E_COUNT;
  if (tag != TAG_TABLE && !is_own && p->deep == 0) return PACK_NAMES; /* the class may be a module's */
  if (eddy__packer_add(p, L, idx, address) != PACK_DONE) return PACK_NO_MEMORY;
  char head[2 * sizeof(uint32_t) + sizeof number] = {0}; /* how much is in it is written when its turn has come */
  memcpy(head + 2 * sizeof(uint32_t), &number, sizeof number);
  return put(p, tag, head, tag == TAG_CLASS ? sizeof head : 2 * sizeof(uint32_t));
}

/* [-0, +0, -] */
static int on_dump(lua_State *L, const void *bytes, size_t size, void *packer) {
  (void)L;
  eddy__packer *p = packer;
  char *at = eddy__packer_room(p, size);
  if (at == NULL) return 1;
  memcpy(at, bytes, size);
  p->size += size;
  return 0;
}

/* [-0, +0, -] */
static int put_code(eddy__packer *p, lua_State *L, int idx) {
  lua_Debug ar;
  lua_pushvalue(L, idx);
  lua_getinfo(L, ">u", &ar);
  size_t at = p->size;
  char head[1 + sizeof(uint64_t)] = {(char)ar.nups};
  if (put(p, TAG_FUNCTION, head, sizeof head) != PACK_DONE) return PACK_NO_MEMORY;
  size_t from = p->size;
  lua_pushvalue(L, idx);
  int failed = lua_dump(L, on_dump, p, (p->how & EDDY_PACK_STRIP) != 0);
  lua_pop(L, 1);
  uint64_t size = p->size - from;
  memcpy(p->bytes + at + 2, &size, sizeof size);
  return failed ? PACK_NO_MEMORY : PACK_DONE;
}

/* [-0, +(0|1), -] */
static int put_function(eddy__packer *p, lua_State *L, int idx) {
  if (p->deep == 0) return PACK_NAMES;
  bool is_c = lua_iscfunction(L, idx), is_async = is_c && eddy__coroutine_function(L, idx), named;
  const void *address = lua_topointer(L, idx);
  eddy__seen *s = eddy__packer_find(p, address);
  if (eddy__packer_has(p, s)) return put_again(p, s->value);
  int rc = put_name(p, L, idx, &named);
  if (rc != PACK_DONE || named) return rc;
  if (is_c && !is_async && !eddy__generator_function(L, idx))
    return p->deep < 2 ? PACK_NAMES : refuse(p, L, idx, "C function");
  if (eddy__packer_add(p, L, idx, address) != PACK_DONE) return PACK_NO_MEMORY;
  if (is_c) return put_tag(p, is_async ? TAG_ASYNC : TAG_GENERATOR);
  return put_code(p, L, idx);
}

/* The shareable type of the userdata at idx, or NULL.   [-0, +0, -] */
static const eddy__shareable *shareable_at(lua_State *L, int idx) {
  if (!lua_getmetatable(L, idx)) return NULL;
  lua_rawgetp(L, -1, &shareable_key);
  const eddy__shareable *type = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return type;
}

static int put_reference(eddy__packer *p, const eddy__shareable *type, void *shared) {
  if (p->nreferences == p->references_cap) {
    uint32_t cap = p->references_cap == 0 ? 8 : p->references_cap * 2;
    eddy__reference *references =
      cap > p->references_cap ? realloc(p->references, cap * sizeof *references) : NULL;
    if (references == NULL) return PACK_NO_MEMORY;
    p->references = references;
    p->references_cap = cap;
  }
  if (put(p, TAG_SHARED, &p->nreferences, sizeof p->nreferences) != PACK_DONE) return PACK_NO_MEMORY;
  eddy__reference reference = {type, shared};
  type->retain(shared);
  p->references[p->nreferences++] = reference;
  return PACK_DONE;
}

/* [-0, +0, -] */
static int put_var(eddy__packer *p, lua_State *L, int idx) {
  const void *address = lua_touserdata(L, idx);
  eddy__seen *s = eddy__packer_find(p, address);
  if (eddy__packer_has(p, s)) return put_again(p, s->value);
  return eddy__packer_add(p, L, idx, address) == PACK_DONE ? put_tag(p, TAG_VAR) : PACK_NO_MEMORY;
}

/* [-0, +(0|1), -] */
static int put_userdata(eddy__packer *p, lua_State *L, int idx) {
  const eddy__shareable *type = shareable_at(L, idx);
  void **object = lua_touserdata(L, idx);
  if (type == NULL && eddy__context_is_var(L, idx)) return put_var(p, L, idx);
  if (type == NULL || *object == NULL) return refuse(p, L, idx, "userdata");
  eddy__seen *s = eddy__packer_find(p, object);
  if (eddy__packer_has(p, s)) return put_kept(p, s->value);
  bool for_process = (p->how & EDDY_PACK_PROCESS) != 0;
  if (for_process && type != &eddy__buffer_shareable) return refuse(p, L, idx, type->name);
  if (eddy__packer_note(p, object, p->nkept, 0) != PACK_DONE) return PACK_NO_MEMORY;
  if (put_tag(p, TAG_KEEP) != PACK_DONE) return PACK_NO_MEMORY;
  p->nkept++;
  if (!for_process) return put_reference(p, type, *object);
  const eddy__block *block = *object;
  return put_bytes(p, TAG_BUFFER, block->bytes, block->size);
}

/* Writes the value at idx. PACK_REFUSED leaves a copy of it on the stack.   [-0, +(0|1), -] */
static int put_value(eddy__packer *p, lua_State *L, int idx) {
  switch (lua_type(L, idx)) {
  case LUA_TNIL: return put_tag(p, TAG_NIL);
  case LUA_TBOOLEAN: return put_tag(p, lua_toboolean(L, idx) ? TAG_TRUE : TAG_FALSE);
  case LUA_TNUMBER:
    if (lua_isinteger(L, idx)) return put_integer(p, lua_tointeger(L, idx));
    lua_Number number = lua_tonumber(L, idx);
    return put(p, TAG_FLOAT, &number, sizeof number);
  case LUA_TSTRING: return put_string(p, L, idx);
  case LUA_TTABLE: return put_table(p, L, idx);
  case LUA_TFUNCTION: return put_function(p, L, idx);
  case LUA_TUSERDATA: return put_userdata(p, L, idx);
  case LUA_TTHREAD: return refuse(p, L, idx, "coroutine");
  default: return refuse(p, L, idx, "light userdata");
  }
}

/* --- contents ------------------------------------------------------------------------------------------------ */

/* Writes what stands for a gap in a list, if it is small: then the list goes on, else it has ended. */
static bool bridge(eddy__packer *p, uint64_t gap, uint32_t items, int *rc) {
  if (gap > 3 + items / 2) return false;
  while (gap-- > 0 && *rc == PACK_DONE) *rc = put_tag(p, TAG_NIL);
  return true;
}

/* A list as long as its keys come in order, as they do from Lua's array part, then keys and values.  [-0, +?, -] */
static int put_fields(eddy__packer *p, lua_State *L, int t, bool is_class, size_t at) {
  uint32_t items = 0, pairs = 0;
  bool listing = true;
  int rc = PACK_DONE;
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
    if (is_class && lua_islightuserdata(L, -2)) continue; /* eddy's own */
    if (listing) {
      uint64_t key = lua_isinteger(L, -2) ? (uint64_t)lua_tointeger(L, -2) : 0;
      listing = key > items && key < UINT32_MAX && bridge(p, key - items - 1, items, &rc);
      if (listing) {
        items = (uint32_t)key;
        if (rc == PACK_DONE) rc = put_value(p, L, -1);
        if (rc != PACK_DONE) return rc;
        continue;
      }
    }
    rc = put_value(p, L, -2);
    if (rc == PACK_DONE) rc = put_value(p, L, -1);
    if (rc != PACK_DONE) return rc;
    pairs++;
  }
  memcpy(p->bytes + at + 1, &items, sizeof items);
  memcpy(p->bytes + at + 1 + sizeof items, &pairs, sizeof pairs);
  return PACK_DONE;
}

/* [-0, +?, -] */
static int put_table_content(eddy__packer *p, lua_State *L, int t, size_t at) {
  int tag = (unsigned char)p->bytes[at];
  if (tag != TAG_TABLE) {
    if (tag == TAG_CLASS)
      eddy__error_class_above(L, t);
    else
      lua_getmetatable(L, t);
    int rc = put_value(p, L, -1);
    if (rc != PACK_DONE) return rc;
    lua_pop(L, 1);
  }
  return put_fields(p, L, t, tag == TAG_CLASS, at);
}

/* [-0, +?, -] */
static int put_upvalues(eddy__packer *p, lua_State *L, int f) {
  const char *name;
  for (int i = 1; (name = lua_getupvalue(L, f, i)) != NULL; i++) {
    const void *cell = lua_upvalueid(L, f, i);
    const eddy__seen *s = eddy__packer_find(p, cell);
    int rc;
    if (eddy__packer_has(p, s)) {
      char place[sizeof(uint32_t) + 1];
      memcpy(place, &s->value, sizeof(uint32_t));
      place[sizeof(uint32_t)] = (char)s->upvalue;
      rc = put(p, TAG_CELL, place, sizeof place);
    } else {
      rc = eddy__packer_note(p, cell, p->holder, (uint32_t)i);
      if (rc == PACK_DONE) rc = strcmp(name, "_ENV") == 0 ? put_tag(p, TAG_GLOBALS) : put_value(p, L, -1);
    }
    if (rc != PACK_DONE) return rc;
    lua_pop(L, 1);
  }
  return PACK_DONE;
}

/* What an async or generator function wraps.   [-0, +(0|1), -] */
static int put_wrapped(eddy__packer *p, lua_State *L, int f) {
  lua_getupvalue(L, f, 2);
  int rc = put_value(p, L, -1);
  if (rc == PACK_DONE) lua_pop(L, 1);
  return rc;
}

/* [-0, +?, -] */
static int put_var_content(eddy__packer *p, lua_State *L, int var) {
  int rc = PACK_DONE;
  for (int uv = EDDY_VAR_NAME; uv <= EDDY_VAR_DEFAULT && rc == PACK_DONE; uv++) {
    lua_getiuservalue(L, var, uv);
    rc = put_value(p, L, -1);
    if (rc == PACK_DONE) lua_pop(L, 1);
  }
  return rc;
}

/* [-0, +?, -] */
static int put_content(eddy__packer *p, lua_State *L, int object, size_t at) {
  switch (p->bytes[at]) {
  case TAG_FUNCTION: return put_upvalues(p, L, object);
  case TAG_ASYNC:
  case TAG_GENERATOR: return put_wrapped(p, L, object);
  case TAG_VAR: return put_var_content(p, L, object);
  default: return put_table_content(p, L, object, at);
  }
}

/* [-0, +?, -] */
static int put_contents(eddy__packer *p, lua_State *L) {
  for (uint32_t i = 0; i < p->nobjects; i++) {
    p->holder = i;
    int object = eddy__packer_next(p, L, i);
    int rc = put_content(p, L, object, p->objects[i].at);
    if (rc != PACK_DONE) return rc;
    if (i >= FIRST_CHUNK) lua_pop(L, 1);
  }
  return PACK_DONE;
}

/* --- parcels ------------------------------------------------------------------------------------------------- */

/* [-0, +?, -] */
static int pack(eddy__packer *p, lua_State *L, int first, int n, eddy__parcel **parcel) {
  int rc = eddy__packer_begin(p, L);
  for (int i = 0; i < n && rc == PACK_DONE; i++) {
    p->root = (uint32_t)i;
    rc = put_value(p, L, first + i);
  }
  if (rc == PACK_DONE) rc = put_contents(p, L);
  if (rc == PACK_DONE) {
    *parcel = eddy__packer_wrap(p, n);
    if (*parcel == NULL) rc = PACK_NO_MEMORY;
  }
  return rc;
}

/* Raises why the value at the top was refused.   [-1, +0, v] */
static void raise_refusal(eddy__packer *p, lua_State *L, const char *who) {
  const char *what = p->refused;
  bool shareable = shareable_at(L, -1) != NULL;
  eddy__packer_show(p, L, false);
  lua_pushlightuserdata(L, p);
  lua_insert(L, -2);
  bool good = eddy__packer_quietly(L, eddy__packer_path);
  eddy__packer_show(p, L, true);
  if (!good) {
    eddy__packer_finish(p, L);
    luaL_error(L, "not enough memory");
  }
  lua_insert(L, p->base + 1);
  p->base++; /* the text stays */
  eddy__packer_finish(p, L);
  luaL_error(L, "%s: %s: %s cannot be moved%s", who, lua_tostring(L, -1), what, shareable ? " to another process" : "");
}

/* [-0, +0, v] */
eddy__parcel *eddy__parcel_pack(lua_State *L, int first, int n, const char *who, int how) {
  luaL_checkstack(L, FIRST_CHUNK + 24, NULL);
  first = lua_absindex(L, first);
  eddy__packer *p = eddy__packer_of(L);
  if (p->is_closed) eddy__error_throw(L, EDDY_E_RUNTIME, "%s: the state is being closed", who);
  eddy__parcel *parcel = NULL;
  p->how = how;
  p->deep = 0;
  int rc = PACK_NAMES;
  if (n > 0 && lua_isfunction(L, first)) p->deep = 1;
  while ((rc = pack(p, L, first, n, &parcel)) == PACK_NAMES) {
    eddy__packer_finish(p, L);
    p->deep++;
  }
  if (rc == PACK_REFUSED) raise_refusal(p, L, who);
  eddy__packer_finish(p, L);
  if (rc == PACK_NO_MEMORY) luaL_error(L, "not enough memory");
  return parcel;
}

/* [-0, +0, m] */
void eddy__shareable_register(lua_State *L, int idx, const eddy__shareable *type) {
  idx = lua_absindex(L, idx);
  lua_pushlightuserdata(L, (void *)(uintptr_t)type);
  lua_rawsetp(L, idx, &shareable_key);
}
