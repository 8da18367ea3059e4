/* SPDX-License-Identifier: MIT */
/*
 * scalars.c - plain values that go to another state without a parcel; see scalars.h.
 * Touch:  freely.
 */
#include "threads/scalars.h"

enum { NIL, NO, YES, INTEGER, NUMBER };

/* [-0, +0, -] */
bool eddy__scalars_take(lua_State *L, int first, int n, eddy__scalars *s) {
  if (n > EDDY_SCALARS) return false;
  for (int i = 0; i < n; i++) {
    int idx = first + i;
    switch (lua_type(L, idx)) {
    case LUA_TNUMBER:
      if (lua_isinteger(L, idx)) {
        s->tags[i] = INTEGER;
        s->values[i].integer = lua_tointeger(L, idx);
      } else {
        s->tags[i] = NUMBER;
        s->values[i].number = lua_tonumber(L, idx);
      }
      break;
    case LUA_TBOOLEAN:
      s->tags[i] = lua_toboolean(L, idx) ? YES : NO;
      break;
    case LUA_TNIL:
      s->tags[i] = NIL;
      break;
    default:
      return false;
    }
  }
  s->n = (uint8_t)n;
  return true;
}

/* [-0, +n, -] */
int eddy__scalars_push(lua_State *L, const eddy__scalars *s) {
  for (int i = 0; i < s->n; i++) {
    switch (s->tags[i]) {
    case INTEGER:
      lua_pushinteger(L, s->values[i].integer);
      break;
    case NUMBER:
      lua_pushnumber(L, s->values[i].number);
      break;
    case NIL:
      lua_pushnil(L);
      break;
    default:
      lua_pushboolean(L, s->tags[i] == YES);
    }
  }
  return s->n;
}
