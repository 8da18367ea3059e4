/* SPDX-License-Identifier: MIT */
/*
 * move_unpack.c - values out of a parcel; see move.h, and move_form.h for the form.
 * Owns:   nothing beyond a call.
 * Uses:   move_form.h, buffer.h, error.h.      Used by: what receives values.
 * Touch:  with care: bytes may come from outside. Each number in them is checked before it is used.
 */
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "core/context.h"
#include "core/coroutine.h"
#include "core/generator.h"
#include "threads/buffer.h"
#include "threads/move_form.h"

enum { ON_STACK = 150 }; /* so many objects and kept values have places on the stack, more of them a table */

/* What is known of an object when its tag has been read. */
typedef struct eddy__unpacked {
  uint32_t items, pairs; /* of a function: upvalues, 0 */
  uint8_t tag;
} eddy__unpacked;

typedef struct reader {
  const char *at, *end;
  eddy__parcel *parcel;
  eddy__unpacked *objects;
  uint32_t nobjects, nkept; /* so far */
  size_t budget;            /* entries that contents may still have: each takes a byte */
  int places;               /* the first place on the stack; or the table of them, if `in_table` */
  bool in_table;
  int metatables;           /* stack: a list of tables and metatables to set at the end, or nil */
  lua_Integer nmetatables;
} reader;

/* [-0, +0, v] */
static int damaged(lua_State *L) {
  return eddy__error_throw(L, EDDY_E_RUNTIME, "damaged parcel");
}

/* The next n bytes.   [-0, +0, v] */
static inline const char *take(lua_State *L, reader *r, uint64_t n) {
  if ((uint64_t)(r->end - r->at) < n) damaged(L);
  const char *at = r->at;
  r->at += n;
  return at;
}

/* A number of the type, from the next bytes.   [-0, +0, v] */
#define TAKE(type, name)                                   \
  static inline type name(lua_State *L, reader *r) {       \
    type value;                                            \
    memcpy(&value, take(L, r, sizeof value), sizeof value); \
    return value;                                          \
  }
TAKE(uint8_t, take_u8)
TAKE(int8_t, take_i8)
TAKE(int16_t, take_i16)
TAKE(int32_t, take_i32)
TAKE(uint32_t, take_u32)
TAKE(int64_t, take_i64)
TAKE(uint64_t, take_u64)
TAKE(lua_Number, take_number)
#undef TAKE

/* Puts the value at the top into the place, and leaves it there.   [-0, +0, m] */
static void keep(lua_State *L, reader *r, uint32_t place) {
  if (!r->in_table) {
    lua_copy(L, -1, r->places + (int)place);
    return;
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, r->places, (lua_Integer)place + 1);
}

/* [-0, +1, -] */
static void fetch(lua_State *L, const reader *r, uint32_t place) {
  if (r->in_table)
    lua_rawgeti(L, r->places, (lua_Integer)place + 1);
  else
    lua_pushvalue(L, r->places + (int)place);
}

/* The value at the top is the next object.   [-0, +0, v] */
static void add_object(lua_State *L, reader *r, int tag, uint32_t items, uint32_t pairs) {
  if (r->nobjects == r->parcel->nobjects) damaged(L);
  eddy__unpacked object = {items, pairs, (uint8_t)tag};
  r->objects[r->nobjects] = object;
  keep(L, r, r->nobjects++);
}

/* Lua's own allocator, but for large pages. */
typedef struct large {
  const char *bytes;
  size_t size;
  lua_Alloc alloc;
  void *ud;
} large;

static void *on_alloc(void *ud, void *block, size_t old, size_t size) {
  large *own = ud;
  void *new = own->alloc(own->ud, block, old, size);
  if (new != NULL && size >= EDDY_LARGE) eddy__large_pages(new, size);
  return new;
}

/* [-0, +1, m] */
static int make_large(lua_State *L) {
  large *own = lua_touserdata(L, 1);
  lua_pushlstring(L, own->bytes, own->size);
  return 1;
}

/* [-0, +1, v] */
static void push_large(lua_State *L, const char *bytes, size_t size) {
  large own = {bytes, size, NULL, NULL};
  own.alloc = lua_getallocf(L, &own.ud);
  lua_pushcfunction(L, make_large);
  lua_pushlightuserdata(L, &own);
  lua_setallocf(L, on_alloc, &own);
  int status = lua_pcall(L, 1, 1, 0);
  lua_setallocf(L, own.alloc, own.ud);
  if (status != LUA_OK) lua_error(L);
}

/* [-0, +1, v] */
static void push_bytes(lua_State *L, reader *r) {
  uint64_t size = take_u64(L, r);
  const char *bytes = take(L, r, size);
  if (size >= EDDY_LARGE)
    push_large(L, bytes, (size_t)size);
  else
    lua_pushlstring(L, bytes, (size_t)size);
}

/* [-0, +1, v] */
static void push_table(lua_State *L, reader *r, int tag) {
  uint32_t items = take_u32(L, r), pairs = take_u32(L, r);
  uint64_t entries = (uint64_t)items + 2 * (uint64_t)pairs;
  if (entries > r->budget || items > INT_MAX || pairs > INT_MAX) damaged(L);
  r->budget -= (size_t)entries;
  if (tag == TAG_CLASS)
    eddy__error_class_known(L, take_i64(L, r));
  else
    lua_createtable(L, (int)items, (int)pairs);
  add_object(L, r, tag, items, pairs);
}

/* [-0, +1, v] */
static void push_function(lua_State *L, reader *r) {
  uint8_t upvalues = take_u8(L, r);
  uint64_t size = take_u64(L, r);
  const char *code = take(L, r, size);
  if (r->parcel->received && r->parcel->trust != EDDY_TRUST_CODE)
    eddy__error_throw(L, EDDY_E_RUNTIME, "functions are not accepted from there");
  if (luaL_loadbufferx(L, code, (size_t)size, "=moved", "b") != LUA_OK) lua_error(L);
  add_object(L, r, TAG_FUNCTION, upvalues, 0);
}

/* An async or generator function; a context variable: empty ones.   [-0, +1, v] */
static void push_wrapper(lua_State *L, reader *r, int tag) {
  if (tag == TAG_VAR) {
    eddy__context_new_var(L);
  } else {
    lua_pushnil(L);
    tag == TAG_ASYNC ? eddy__coroutine_wrap(L) : eddy__generator_wrap(L);
  }
  add_object(L, r, tag, 0, 0);
}

/* [-0, +1, v] */
static void push_shared(lua_State *L, reader *r) {
  uint32_t n = take_u32(L, r);
  if (n >= r->parcel->nreferences || r->parcel->room[n].shared == NULL) damaged(L);
  eddy__reference *reference = &r->parcel->room[n];
  reference->type->push(L, reference->shared);
  reference->shared = NULL; /* the object has it now */
}

/* [-0, +1, v] */
static void push_buffer(lua_State *L, reader *r) {
  uint64_t size = take_u64(L, r);
  const char *bytes = take(L, r, size);
  eddy__buffer_new(L, bytes, (size_t)size);
}

/* What this state has of its own, if the parcel may refer to that.   [-0, +1, e] */
static void push_own(lua_State *L, reader *r, int tag) {
  bool code = !r->parcel->received || r->parcel->trust == EDDY_TRUST_CODE;
  if (!code && r->parcel->trust == EDDY_TRUST_DATA)
    eddy__error_throw(L, EDDY_E_RUNTIME, "names are not accepted from there");
  if (tag == TAG_GLOBALS) {
    lua_pushglobaltable(L);
    return;
  }
  uint64_t size = take_u64(L, r);
  eddy__named_push(L, take(L, r, size), (size_t)size, code);
}

/* The rarer values.   [-0, +1, e] */
static void push_rare(lua_State *L, reader *r, int tag) {
  uint32_t n;
  switch (tag) {
  case TAG_INT1: lua_pushinteger(L, take_i8(L, r)); return;
  case TAG_INT8: lua_pushinteger(L, take_i64(L, r)); return;
  case TAG_STRING: push_bytes(L, r); return;
  case TAG_SHARED: push_shared(L, r); return;
  case TAG_BUFFER: push_buffer(L, r); return;
  case TAG_GLOBALS:
  case TAG_NAMED: push_own(L, r, tag); return;
  case TAG_TABLE_META:
  case TAG_CLASS: push_table(L, r, tag); return;
  case TAG_FUNCTION: push_function(L, r); return;
  case TAG_ASYNC:
  case TAG_GENERATOR:
  case TAG_VAR: push_wrapper(L, r, tag); return;
  case TAG_ERROR_CLASS:
    n = take_u8(L, r);
    if (n >= EDDY_E_COUNT) damaged(L);
    eddy__error_class_push(L, (eddy__class)n);
    return;
  default: damaged(L);
  }
}

/* A value that is to be kept: no object, as these are, and not kept already.   [-0, +1, e] */
static void push_keep(lua_State *L, reader *r) {
  int tag = take_u8(L, r);
  if (tag >= TAG_SHORT)
    lua_pushlstring(L, take(L, r, (uint64_t)(tag - TAG_SHORT)), (size_t)(tag - TAG_SHORT));
  else if (tag == TAG_STRING || tag == TAG_SHARED || tag == TAG_BUFFER)
    push_rare(L, r, tag);
  else
    damaged(L);
  if (r->nkept == r->parcel->nkept) damaged(L);
  keep(L, r, r->parcel->nobjects + r->nkept++);
}

/* [-0, +1, e] */
static void push_value(lua_State *L, reader *r) {
  int tag = take_u8(L, r);
  uint32_t n;
  if (tag >= TAG_SHORT) {
    size_t size = (size_t)(tag - TAG_SHORT);
    lua_pushlstring(L, take(L, r, size), size);
    return;
  }
  if (tag >= TAG_SMALL) {
    lua_pushinteger(L, tag - TAG_SMALL);
    return;
  }
  switch (tag) {
  case TAG_NIL: lua_pushnil(L); return;
  case TAG_FALSE: lua_pushboolean(L, 0); return;
  case TAG_TRUE: lua_pushboolean(L, 1); return;
  case TAG_INT2: lua_pushinteger(L, take_i16(L, r)); return;
  case TAG_INT4: lua_pushinteger(L, take_i32(L, r)); return;
  case TAG_FLOAT: lua_pushnumber(L, take_number(L, r)); return;
  case TAG_TABLE: push_table(L, r, tag); return;
  case TAG_KEEP: push_keep(L, r); return;
  case TAG_KEPT:
    n = take_u32(L, r);
    if (n >= r->nkept) damaged(L);
    fetch(L, r, r->parcel->nobjects + n);
    return;
  case TAG_AGAIN:
    n = take_u32(L, r);
    if (n >= r->nobjects) damaged(L);
    fetch(L, r, n);
    return;
  default: push_rare(L, r, tag);
  }
}

/* --- contents ------------------------------------------------------------------------------------------------ */

/* Fills the table at t.   [-0, +0, e] */
static void fill(lua_State *L, reader *r, int t, const eddy__unpacked *object) {
  for (uint32_t i = 1; i <= object->items; i++) {
    push_value(L, r);
    lua_rawseti(L, t, i);
  }
  for (uint32_t i = 0; i < object->pairs; i++) {
    push_value(L, r);
    if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && isnan(lua_tonumber(L, -1)))) damaged(L);
    push_value(L, r);
    lua_rawset(L, t);
  }
}

/* The metatable at the top is the table's. One that came along is set at the end, when it is complete: then Lua sees
 * its __gc.   [-1, +0, m] */
static void note_metatable(lua_State *L, reader *r, int t, bool complete) {
  if (complete) {
    lua_setmetatable(L, t);
    return;
  }
  if (lua_isnil(L, r->metatables)) {
    lua_newtable(L);
    lua_replace(L, r->metatables);
  }
  lua_rawseti(L, r->metatables, r->nmetatables + 2);
  lua_pushvalue(L, t);
  lua_rawseti(L, r->metatables, r->nmetatables + 1);
  r->nmetatables += 2;
}

/* [-0, +0, e] */
static void fill_table(lua_State *L, reader *r, int t, const eddy__unpacked *object) {
  if (object->tag == TAG_TABLE) {
    fill(L, r, t, object);
    return;
  }
  int next = r->at < r->end ? (unsigned char)*r->at : TAG_NIL;
  push_value(L, r);
  if (!lua_istable(L, -1)) damaged(L);
  if (object->tag == TAG_TABLE_META) {
    note_metatable(L, r, t, next == TAG_ERROR_CLASS || next == TAG_NAMED);
  } else {
    if (eddy__error_class_at(L, -1) < 0) damaged(L);
    if (!eddy__error_class_complete(L, t)) { /* this state has the class already, with fields of its own */
      lua_newtable(L);
      t = lua_gettop(L);
    }
  }
  fill(L, r, t, object);
}

/* [-0, +0, e] */
static void fill_function(lua_State *L, reader *r, int f, const eddy__unpacked *object) {
  for (int i = 1; i <= (int)object->items; i++) {
    if (r->at < r->end && *r->at == TAG_CELL) {
      r->at++;
      uint32_t n = take_u32(L, r);
      int upvalue = take_u8(L, r);
      if (n >= r->nobjects || r->objects[n].tag != TAG_FUNCTION) damaged(L);
      fetch(L, r, n);
      if (lua_upvalueid(L, -1, upvalue) == NULL || lua_upvalueid(L, f, i) == NULL) damaged(L);
      lua_upvaluejoin(L, f, i, -1, upvalue);
      lua_pop(L, 1);
    } else {
      push_value(L, r);
      if (lua_setupvalue(L, f, i) == NULL) damaged(L);
    }
  }
}

/* [-0, +0, e] */
static void fill_wrapper(lua_State *L, reader *r, int object, int tag) {
  push_value(L, r);
  if (tag != TAG_VAR) {
    if (!lua_isfunction(L, -1)) damaged(L);
    lua_setupvalue(L, object, 2);
    return;
  }
  if (lua_type(L, -1) != LUA_TSTRING) damaged(L);
  lua_setiuservalue(L, object, EDDY_VAR_NAME);
  push_value(L, r);
  lua_setiuservalue(L, object, EDDY_VAR_DEFAULT);
}

/* [-0, +0, e] */
static void fill_objects(lua_State *L, reader *r) {
  int top = lua_gettop(L);
  for (uint32_t i = 0; i < r->parcel->nobjects; i++) {
    if (i >= r->nobjects) damaged(L);
    int object = r->places + (int)i;
    if (r->in_table) {
      fetch(L, r, i);
      object = top + 1;
    }
    int tag = r->objects[i].tag;
    if (tag == TAG_FUNCTION)
      fill_function(L, r, object, &r->objects[i]);
    else if (tag == TAG_ASYNC || tag == TAG_GENERATOR || tag == TAG_VAR)
      fill_wrapper(L, r, object, tag);
    else
      fill_table(L, r, object, &r->objects[i]);
    lua_settop(L, top);
  }
  for (lua_Integer i = 1; i < r->nmetatables; i += 2) {
    lua_rawgeti(L, r->metatables, i);
    lua_rawgeti(L, r->metatables, i + 1);
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
  }
}

/* Makes places for objects and kept values.   [-0, +n, m] */
static void make_places(lua_State *L, reader *r) {
  size_t places = (size_t)r->parcel->nobjects + r->parcel->nkept;
  r->in_table = places > ON_STACK;
  r->places = lua_gettop(L) + 1;
  if (r->in_table)
    lua_createtable(L, places > INT_MAX ? INT_MAX : (int)places, 0);
  else
    lua_settop(L, r->places - 1 + (int)places);
}

/* With the parcel as light userdata: pushes its values.   [-1, +n, e] */
static int unpack(lua_State *L) {
  eddy__parcel *parcel = lua_touserdata(L, 1);
  if (parcel->received && parcel->checksum != eddy__parcel_checksum(parcel->bytes, parcel->size)) damaged(L);
  reader r = {.at = parcel->bytes, .end = parcel->bytes + parcel->size, .parcel = parcel, .budget = parcel->size};
  int n = parcel->count > INT_MAX - 1000 ? INT_MAX - 1000 : (int)parcel->count;
  size_t places = (size_t)parcel->nobjects + parcel->nkept; /* no more than that: collections take it back */
  luaL_checkstack(L, n + (places > ON_STACK ? 1 : (int)places) + 30, "too many values");
  eddy__unpacked few[16];
  r.objects = few;
  if (parcel->nobjects > sizeof few / sizeof *few)
    r.objects = lua_newuserdatauv(L, parcel->nobjects * sizeof *r.objects, 0);
  lua_pushnil(L);
  r.metatables = lua_gettop(L);
  make_places(L, &r);
  for (int i = 0; i < n; i++) push_value(L, &r);
  fill_objects(L, &r);
  if (r.at != r.end) damaged(L);
  return n;
}

/* [-0, +n, e] */
int eddy__parcel_unpack(lua_State *L, eddy__parcel *parcel) {
  if (!lua_checkstack(L, 4)) {
    eddy__parcel_free(parcel);
    return luaL_error(L, "stack overflow");
  }
  int top = lua_gettop(L);
  lua_pushcfunction(L, unpack);
  lua_pushlightuserdata(L, parcel);
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  eddy__parcel_free(parcel);
  if (status != LUA_OK) lua_error(L);
  return lua_gettop(L) - top;
}
