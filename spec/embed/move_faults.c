/* SPDX-License-Identifier: MIT */
/*
 * move_faults.c - packs and unpacks while one allocation after the other fails, of Lua's and of ours: an error is
 *                 raised, nothing is left behind, and the next parcel is whole.
 * Uses:   spec/torture/fault.h, threads/move.h.
 */
#include "../torture/fault.h"
#include "check.h"
#include "threads/move.h"

/* Each is a value that packing and unpacking take other ways for. */
static const char *const values[] = {
  "return 1, 'x', 2.5",
  "return ('x'):rep(100000)",
  "return {1, 2, 3, id = 1, name = 'x'}",
  "local t = {} for i = 1, 200 do t[i] = {i, {}} end return t",           /* more than has places on the stack */
  "local t for i = 1, 300 do t = {next = t, 'k' .. i} end return t",
  "local a = {} a.a = a return a, a, {a, ('y'):rep(2000), ('y'):rep(2000)}",
  "local n = 0 return function() n = n + 1 return n end, function() return n end, print, string, string.rep",
  "return setmetatable({x = 1}, {__index = {y = 2}, __gc = function() end})",
  "return require('eddy').OSError{code = 'EIO', path = '/x'}, require('eddy').Error",
  "local C = require('eddy').Error:extend('C') function C:m() return 1 end return C('x'), C",
  "local b = require('eddy').buffer(1000) return b, {b, require('eddy').buffer('y')}",
  "local t = {} for i = 1, 40 do t[i] = require('eddy').buffer(i) end return t",
  "local e = require('eddy') local f f = e.async(function() return f end) return f, e.ContextVar('v', {f}), "
  "e.generator(function() end)",
  "return {a = {b = {[1] = {[true] = io.stdout}}}}",                      /* refused: the path is made */
  "local f = io.stdout return {cb = function() return f end}",
};

static lua_State *here, *there;
static eddy__parcel *parcel;

static lua_State *make_state(void) {
  lua_State *L = lua_newstate(fault_lua_alloc, NULL);
  CHECK(L != NULL);
  luaL_openlibs(L);
  luaL_requiref(L, "eddy", luaopen_eddy, 0);
  lua_settop(L, 0);
  return L;
}

static int pack(lua_State *L) {
  parcel = eddy__parcel_pack(L, 1, lua_gettop(L), "pack", EDDY_PACK_ARGUMENTS);
  return 0;
}

static int unpack(lua_State *L) {
  eddy__parcel *p = lua_touserdata(L, 1);
  lua_settop(L, 0);
  return eddy__parcel_unpack(L, p);
}

/* Pushes the values of the chunk at index 1 of the stack and packs them. Returns Lua's status. */
static int try_pack(void) {
  lua_settop(here, 1);
  lua_pushcfunction(here, pack);
  lua_pushvalue(here, 1);
  lua_call(here, 0, LUA_MULTRET);
  parcel = NULL;
  fault_arm();
  int status = lua_pcall(here, lua_gettop(here) - 2, 0, 0);
  fault_disarm();
  if (status != LUA_OK) CHECK(parcel == NULL);
  return status;
}

static int try_unpack(bool armed) {
  lua_settop(there, 0);
  lua_pushcfunction(there, unpack);
  lua_pushlightuserdata(there, parcel);
  if (armed) fault_arm();
  int status = lua_pcall(there, 1, LUA_MULTRET, 0);
  fault_disarm();
  return status;
}

/* What is left when both states have collected. */
static long blocks_left(void) {
  lua_settop(here, 1);
  lua_settop(there, 0);
  for (int i = 0; i < 3; i++) {
    lua_gc(here, LUA_GCCOLLECT);
    lua_gc(there, LUA_GCCOLLECT);
  }
  return fault.blocks;
}

static void check_error(lua_State *L, bool refused) {
  const char *text = luaL_tolstring(L, -1, NULL);
  if (refused && strstr(text, "cannot be moved") != NULL) return;
  if (strstr(text, "stack overflow") != NULL) return; /* what luaL_checkstack says */
  if (strstr(text, "ENOMEM") == NULL) CHECK_HAS("not enough memory", text);
}

/* Lets the n-th allocation fail, in packing or in unpacking. Returns whether there was one. */
static bool attempt(const char *value, long n, bool packing, long most) {
  fault_kind kind = fault.kind;
  bool refused = strstr(value, "io.stdout") != NULL;
  fault.n = packing ? n : 0;
  int status = try_pack();
  bool happened = packing && fault.happened;
  if (status != LUA_OK) {
    check_error(here, refused);
    CHECK(happened || refused);
  } else {
    fault.n = packing ? 0 : n;
    status = try_unpack(!packing);
    if (!packing) happened = fault.happened;
    if (status != LUA_OK) check_error(there, false);
    if (packing) CHECK_INT(LUA_OK, status);
  }
  fault.kind = FAULT_NONE;
  long left = blocks_left();
  if (left > most) {
    fprintf(stderr, "%s\nn = %ld, %s, kind %d, mode %d: %ld blocks left\n", value, n, packing ? "packing" : "unpacking",
            (int)kind, (int)fault.mode, left - most);
    exit(1);
  }
  fault.kind = kind;
  return happened;
}

/* Returns how many runs there were. */
static long torture(const char *value) {
  long runs = 0;
  lua_settop(here, 0);
  CHECK_INT(LUA_OK, luaL_loadstring(here, value));
  fault.kind = FAULT_NONE;
  fault.n = 0;
  bool refused = try_pack() != LUA_OK;
  if (!refused) CHECK_INT(LUA_OK, try_unpack(false));
  long most = blocks_left() + 4; /* the packer may keep its memory, or not */
  for (int kind = FAULT_LUA; kind <= FAULT_MALLOC; kind++)
    for (int mode = FAULT_ONCE; mode <= FAULT_FROM; mode++)
      for (int packing = 0; packing <= !refused; packing++) {
        fault.kind = (fault_kind)kind;
        fault.mode = (fault_mode)mode;
        for (long n = 1; attempt(value, n, packing || refused, most); n++) runs++;
      }
  return runs;
}

int main(void) {
  long runs = 0;
  fault_open();
  here = make_state();
  there = make_state();
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) runs += torture(values[i]);
  lua_close(here);
  lua_close(there);
  CHECK_INT(0, fault.blocks);
  CHECK_INT(0, (long long)fault.lua_bytes);
  printf("%ld allocations failed\n", runs);
  return 0;
}
