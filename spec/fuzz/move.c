/* SPDX-License-Identifier: MIT */
/*
 * move.c - libFuzzer: bytes that claim to be a parcel. What can be unpacked must pack and unpack again.
 * Uses:   threads/move_form.h: the checksum is ours, for no mutation would ever guess it.
 * Run:    script/fuzz move [SECONDS]. Seeds: build/release/embed/move spec/fuzz/move_seeds.lua.
 *
 * An input is a byte for how far the bytes are believed, three numbers of 16 bits (values, objects, kept values), and
 * the bytes. Functions are refused: Lua checks no byte code.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "eddy.h"
#include "threads/move_form.h"

enum { PREFIX = 1 + 3 * sizeof(uint16_t), LIVES = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A state without what must not be called: the values may have metatables with finalizers. */
static lua_State *make_state(void) {
  static const char harmless[] =
    "local loaded = package.loaded\n"
    "for _, name in ipairs {'io', 'os', 'debug', 'package', 'coroutine', 'utf8'} do _G[name], loaded[name] = nil end\n"
    "for _, name in ipairs {'print', 'dofile', 'loadfile', 'load', 'require', 'collectgarbage'} do\n"
    "  _G[name] = nil\n"
    "end\n";
  lua_State *L = luaL_newstate();
  if (L == NULL) abort();
  luaL_openlibs(L);
  lua_pushcfunction(L, luaopen_eddy); /* the types and classes; no module */
  lua_call(L, 0, 0);
  if (luaL_dostring(L, harmless) != LUA_OK) abort();
  lua_settop(L, 0);
  return L;
}

static int unpack(lua_State *L) {
  eddy__parcel *parcel = lua_touserdata(L, 1);
  lua_settop(L, 0);
  return eddy__parcel_unpack(L, parcel);
}

/* With values: packs and unpacks them, and lets the collector work in between. */
static int again(lua_State *L) {
  int n = lua_gettop(L);
  eddy__parcel *parcel = eddy__parcel_pack(L, 1, n, "fuzz", EDDY_PACK_PROCESS);
  if (eddy__parcel_count(parcel) != n) abort();
  lua_settop(L, 0);
  if (eddy__parcel_unpack(L, parcel) != n) abort();
  return 0;
}

/* The bytes as a head; what it says must be right or be refused. */
static void try_head(const uint8_t *data, size_t size) {
  if (size < EDDY_WIRE_HEAD) return;
  eddy__parcel *parcel;
  char *body;
  size_t length;
  if (eddy__parcel_receive((const char *)data, EDDY_TRUST_DATA, &parcel, &body, &length) == 0)
    eddy__parcel_free(parcel);
}

static eddy__parcel *make_parcel(const uint8_t *data, size_t size) {
  uint16_t numbers[3];
  memcpy(numbers, data + 1, sizeof numbers);
  size -= PREFIX;
  eddy__parcel *parcel = eddy__parcel_new(0, size);
  if (parcel == NULL) abort();
  if (size > 0) memcpy(parcel->bytes, data + PREFIX, size);
  parcel->count = (uint32_t)(numbers[0] % (size + 1)); /* a head that says more is refused */
  parcel->nobjects = (uint32_t)(numbers[1] % (size + 1));
  parcel->nkept = (uint32_t)(numbers[2] % (size + 1));
  parcel->received = true;
  parcel->trust = (data[0] & 1) != 0 ? EDDY_TRUST_NAMES : EDDY_TRUST_DATA;
  parcel->checksum = eddy__parcel_checksum(parcel->bytes, size);
  return parcel;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *L;
  static int lives;
  if (lives-- == 0) {
    if (L != NULL) lua_close(L);
    L = make_state();
    lives = LIVES;
  }
  try_head(data, size);
  if (size < PREFIX) return 0;
  lua_settop(L, 0);
  lua_pushcfunction(L, unpack);
  lua_pushlightuserdata(L, make_parcel(data, size));
  if (lua_pcall(L, 1, LUA_MULTRET, 0) == LUA_OK) {
    lua_pushcfunction(L, again);
    lua_insert(L, 1);
    lua_pcall(L, lua_gettop(L) - 1, 0, 0); /* a value of ours may be one that cannot move: a coroutine's wrap, say */
  }
  lua_settop(L, 0);
  return 0;
}
