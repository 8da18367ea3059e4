/* SPDX-License-Identifier: MIT */
/*
 * faults.h - for hosts whose script lets allocations fail, of Lua and of eddy: nothing of theirs is left at the end.
 * Uses:   check.h, spec/torture/fault.h.
 */
#ifndef EDDY_SPEC_FAULTS_H
#define EDDY_SPEC_FAULTS_H

#include "../torture/fault.h"
#include "check.h"

/* arm(1, n): the n-th allocation of Lua's fails; arm(2, n): of eddy's. */
static inline int faults_arm(lua_State *L) {
  fault.kind = luaL_checkinteger(L, 1) == 1 ? FAULT_LUA : FAULT_MALLOC;
  fault.mode = FAULT_ONCE;
  fault.n = (long)luaL_checkinteger(L, 2);
  fault_arm();
  return 0;
}

/* Runs the script, which is given eddy, `arm` and `disarm`. */
static inline int faults_run(const char *script, lua_CFunction arm, lua_CFunction disarm) {
  fault_open();
  lua_State *L = lua_newstate(fault_lua_alloc, NULL);
  CHECK(L != NULL);
  luaL_openlibs(L);
  if (luaL_loadstring(L, script) != LUA_OK) CHECK_HAS("?", lua_tostring(L, -1));
  luaL_requiref(L, "eddy", luaopen_eddy, 0);
  lua_pushcfunction(L, arm);
  lua_pushcfunction(L, disarm);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) CHECK_HAS("no error", luaL_tolstring(L, -1, NULL));
  lua_close(L);
  CHECK_INT(0, fault.blocks);
  CHECK_INT(0, (long long)fault.lua_bytes);
  return 0;
}

#endif
