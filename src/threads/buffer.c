/* SPDX-License-Identifier: MIT */
/*
 * buffer.c - eddy.buffer: bytes that can be changed; see buffer.h.
 * Touch:  freely. Positions are those of string.sub: from 1, negative ones from the end.
 */
#include "threads/buffer.h"

#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/args.h"
#include "base/error.h"
#include "base/object.h"

typedef struct buffer {
  eddy__block *block;
} buffer;

static const eddy__type type_buffer = {"Buffer"};

#define LARGEST (SIZE_MAX >> 24) /* beyond it nobody has memory, and some allocators abort when they are asked */

/* --- blocks -------------------------------------------------------------------------------------------------- */

static eddy__block *make_block(size_t size, bool zero) {
  if (size > LARGEST) return NULL;
  eddy__block *block = zero ? calloc(1, sizeof *block + size) : malloc(sizeof *block + size);
  if (block == NULL) return NULL;
  atomic_init(&block->holders, 1);
  block->size = size;
  return block;
}

static void retain(void *shared) {
  eddy__block *block = shared;
  atomic_fetch_add_explicit(&block->holders, 1, memory_order_relaxed);
}

/* What others did with the block comes before its end, and before the last holder writes in it. */
static void release(void *shared) {
  eddy__block *block = shared;
  if (block != NULL && atomic_fetch_sub_explicit(&block->holders, 1, memory_order_acq_rel) == 1) free(block);
}

/* [-0, +1, m] */
static void push(lua_State *L, void *shared) {
  buffer *b = eddy__object_new(L, &type_buffer, sizeof *b, 0);
  b->block = shared;
}

const eddy__shareable eddy__buffer_shareable = {"Buffer", retain, release, push};

/* [-0, +1, m] */
eddy__block *eddy__buffer_new(lua_State *L, const char *bytes, size_t size) {
  buffer *b = eddy__object_new(L, &type_buffer, sizeof *b, 0);
  b->block = make_block(size, bytes == NULL);
  if (b->block == NULL) eddy__raise(L, UV_ENOMEM, "make a buffer");
  if (bytes != NULL && size > 0) memcpy(b->block->bytes, bytes, size);
  return b->block;
}

/* [-0, +0, -] */
eddy__block *eddy__buffer_test(lua_State *L, int idx) {
  buffer *b = eddy__object_test(L, idx, &type_buffer);
  return b != NULL ? b->block : NULL;
}

/* [-0, +0, v] */
static eddy__block *check(lua_State *L) {
  buffer *b = eddy__object_check(L, 1, &type_buffer);
  if (b->block == NULL) eddy__error_throw(L, EDDY_E_RUNTIME, "the buffer is gone: its state is being closed");
  return b->block;
}

/* The block of the buffer at 1, which nobody else holds: it is copied if need be.   [-0, +0, v] */
static eddy__block *check_own(lua_State *L) {
  eddy__block *block = check(L);
  if (atomic_load_explicit(&block->holders, memory_order_acquire) == 1) return block;
  eddy__block *copy = make_block(block->size, false);
  if (copy == NULL) eddy__raise(L, UV_ENOMEM, "change a buffer");
  memcpy(copy->bytes, block->bytes, copy->size);
  release(block);
  ((buffer *)lua_touserdata(L, 1))->block = copy;
  return copy;
}

/* --- places -------------------------------------------------------------------------------------------------- */

/* The offset of the byte at a position, which must be there.   [-0, +0, v] */
static size_t check_place(lua_State *L, int arg, const eddy__block *block) {
  lua_Integer i = eddy__check_integer(L, arg), size = (lua_Integer)block->size;
  if (i < 0) i += size + 1;
  eddy__arg_check(L, i >= 1 && i <= size, arg, "position out of range");
  return (size_t)(i - 1);
}

/* The same, for a first byte: it may be that behind the last.   [-0, +0, v] */
static size_t check_start(lua_State *L, int arg, const eddy__block *block) {
  lua_Integer i = eddy__check_integer(L, arg), size = (lua_Integer)block->size;
  if (i < 0) i += size + 1;
  eddy__arg_check(L, i >= 1 && i <= size + 1, arg, "position out of range");
  return (size_t)(i - 1);
}

/* The bytes from i to j as string.sub has them: cut to those that are there. Returns the offset.   [-0, +0, v] */
static size_t check_range(lua_State *L, int arg, size_t size, lua_Integer i, lua_Integer j, size_t *n) {
  i = eddy__opt_integer(L, arg, i);
  j = eddy__opt_integer(L, arg + 1, j);
  lua_Integer end = (lua_Integer)size;
  if (i < 0) i = i < -end ? 1 : i + end + 1;
  if (i == 0) i = 1;
  if (j < 0) j = j < -end ? 0 : j + end + 1;
  if (j > end) j = end;
  *n = i <= j ? (size_t)(j - i + 1) : 0;
  return *n > 0 ? (size_t)(i - 1) : 0;
}

/* [-0, +0, v] */
static char check_byte(lua_State *L, int arg) {
  lua_Integer byte = eddy__check_integer(L, arg);
  eddy__arg_check(L, byte >= 0 && byte <= 255, arg, "a byte is 0 to 255");
  return (char)byte;
}

/* The bytes of the string or buffer at arg.   [-0, +0, v] */
static const char *check_bytes(lua_State *L, int arg, size_t *size) {
  if (lua_type(L, arg) == LUA_TSTRING) return lua_tolstring(L, arg, size);
  const eddy__block *block = eddy__buffer_test(L, arg);
  if (block == NULL) eddy__arg_expected(L, arg, "string or Buffer");
  *size = block->size;
  return block->bytes;
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

/* eddy.buffer(size or string) -> buffer   [-0, +1, v] */
static int l_buffer(lua_State *L) {
  size_t size;
  if (lua_type(L, 1) == LUA_TNUMBER) {
    lua_Integer n = eddy__check_integer(L, 1);
    eddy__arg_check(L, n >= 0, 1, "a size cannot be negative");
    eddy__buffer_new(L, NULL, (size_t)n);
  } else if (lua_type(L, 1) == LUA_TSTRING) {
    const char *text = lua_tolstring(L, 1, &size);
    eddy__buffer_new(L, text, size);
  } else {
    eddy__arg_expected(L, 1, "number or string");
  }
  return 1;
}

/* buffer:byte(i [, j]) -> integers   [-0, +n, v] */
static int l_byte(lua_State *L) {
  const eddy__block *block = check(L);
  lua_Integer i = eddy__opt_integer(L, 2, 1);
  size_t n, at = check_range(L, 2, block->size, 1, i, &n);
  eddy__arg_check(L, n < INT_MAX - 100, 3, "too many bytes");
  luaL_checkstack(L, (int)n, "too many bytes");
  for (size_t k = 0; k < n; k++) lua_pushinteger(L, (unsigned char)block->bytes[at + k]);
  return (int)n;
}

/* buffer:set(i, byte, ...) -> buffer   [-0, +1, v] */
static int l_set(lua_State *L) {
  eddy__block *block = check(L);
  size_t at = check_place(L, 2, block);
  int n = lua_gettop(L) - 2;
  for (int k = 0; k == 0 || k < n; k++) check_byte(L, 3 + k);
  eddy__arg_check(L, (size_t)n <= block->size - at, 2, "the bytes do not fit");
  block = check_own(L);
  for (int k = 0; k < n; k++) block->bytes[at + (size_t)k] = check_byte(L, 3 + k);
  lua_settop(L, 1);
  return 1;
}

/* buffer:sub(i [, j]) -> string   [-0, +1, v] */
static int l_sub(lua_State *L) {
  const eddy__block *block = check(L);
  size_t n, at = check_range(L, 2, block->size, 1, -1, &n);
  lua_pushlstring(L, block->bytes + at, n);
  return 1;
}

/* buffer:fill(byte [, i [, j]]) -> buffer   [-0, +1, v] */
static int l_fill(lua_State *L) {
  const eddy__block *block = check(L);
  char byte = check_byte(L, 2);
  size_t n, at = check_range(L, 3, block->size, 1, -1, &n);
  if (n > 0) memset(check_own(L)->bytes + at, byte, n);
  lua_settop(L, 1);
  return 1;
}

/* buffer:copy(at, source [, i [, j]]) -> buffer   [-0, +1, v] */
static int l_copy(lua_State *L) {
  const eddy__block *block = check(L);
  size_t at = check_start(L, 2, block), size, n;
  check_bytes(L, 3, &size);
  size_t from = check_range(L, 4, size, 1, -1, &n);
  eddy__arg_check(L, n <= block->size - at, 3, "the bytes do not fit");
  eddy__block *own = check_own(L);
  const char *source = check_bytes(L, 3, &size); /* after that: it may be the same buffer */
  if (n > 0) memmove(own->bytes + at, source + from, n);
  lua_settop(L, 1);
  return 1;
}

/* Pushes a function of Lua's string library.   [-0, +1, v] */
static void push_string_function(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_STRLIBNAME) != LUA_TTABLE || lua_getfield(L, -1, name) != LUA_TFUNCTION)
    eddy__error_throw(L, EDDY_E_RUNTIME, "the string library is not loaded");
}

/* buffer:pack(at, format, ...) -> the position behind   [-0, +1, v] */
static int l_pack(lua_State *L) {
  int top = lua_gettop(L);
  eddy__block *block = check(L);
  size_t at = check_start(L, 2, block), size; /* the size of a buffer stays, whatever string.pack does */
  if (lua_type(L, 3) != LUA_TSTRING) eddy__arg_expected(L, 3, "string");
  luaL_checkstack(L, top + 8, NULL);
  push_string_function(L, "pack");
  for (int i = 3; i <= top; i++) lua_pushvalue(L, i);
  lua_call(L, top - 2, 1);
  const char *bytes = lua_tolstring(L, -1, &size);
  block = check(L);
  eddy__arg_check(L, bytes != NULL && size <= block->size - at, 3, "the bytes do not fit");
  if (size > 0) memcpy(check_own(L)->bytes + at, bytes, size);
  lua_pushinteger(L, (lua_Integer)(at + size) + 1);
  return 1;
}

/* buffer:unpack(at, format) -> values, the position behind   [-0, +n, v] */
static int l_unpack(lua_State *L) {
  const eddy__block *block = check(L);
  size_t at = check_start(L, 2, block);
  if (lua_type(L, 3) != LUA_TSTRING) eddy__arg_expected(L, 3, "string");
  lua_settop(L, 3);
  push_string_function(L, "packsize"); /* formats without a size of their own are an error here */
  lua_pushvalue(L, 3);
  lua_call(L, 1, 1);
  lua_Integer size = lua_tointeger(L, -1);
  block = check(L);
  eddy__arg_check(L, size >= 0 && (size_t)size <= block->size - at, 2, "the bytes end before the format does");
  lua_settop(L, 3);
  push_string_function(L, "unpack");
  lua_replace(L, 4);
  lua_settop(L, 4);
  lua_pushvalue(L, 3);
  lua_pushlstring(L, block->bytes + at, (size_t)size);
  lua_call(L, 2, LUA_MULTRET);
  lua_pop(L, 1);
  lua_pushinteger(L, (lua_Integer)at + size + 1);
  return lua_gettop(L) - 3;
}

/* #buffer   [-0, +1, v] */
static int l_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check(L)->size);
  return 1;
}

/* tostring(buffer): its bytes   [-0, +1, v] */
static int l_tostring(lua_State *L) {
  const eddy__block *block = check(L);
  lua_pushlstring(L, block->bytes, block->size);
  return 1;
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  buffer *b = eddy__object_test(L, 1, &type_buffer);
  if (b == NULL) return 0;
  release(b->block);
  b->block = NULL;
  return 0;
}

/* [-0, +0, m] */
void eddy__buffer_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"byte", l_byte},
                                     {"set", l_set},
                                     {"sub", l_sub},
                                     {"fill", l_fill},
                                     {"copy", l_copy},
                                     {"pack", l_pack},
                                     {"unpack", l_unpack},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__len", l_len}, {"__tostring", l_tostring}, {"__gc", l_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"buffer", l_buffer}, {NULL, NULL}};
  eddy__object_type(L, &type_buffer, NULL, methods, meta, 0);
  eddy__shareable_register(L, -1, &eddy__buffer_shareable);
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
