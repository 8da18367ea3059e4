/* SPDX-License-Identifier: MIT */
/*
 * error_text.c - text for any value that is raised, as a message shows it.
 * Owns:   nothing.
 * Uses:   error.h, which declares it.      Used by: every room that tells of an error.
 * Touch:  freely. A script's __tostring runs protected: nothing raises here but for memory.
 */
#include <lauxlib.h>
#include <stdbool.h>

#include "base/error.h"

enum { SHOWN = 16 }; /* fields of a table */

/* Sorts the strings from `first` to n in the table at `list`: the order of lua_next differs from run to run.
 *   [-0, +0, -] */
static void sort_texts(lua_State *L, int list, int first, int n) {
  for (int i = first + 1; i <= n; i++) {
    int place = i;
    lua_rawgeti(L, list, i);
    for (; place > first; place--) {
      lua_rawgeti(L, list, place - 1);
      bool in_order = !lua_compare(L, -2, -1, LUA_OPLT);
      if (in_order) {
        lua_pop(L, 1);
        break;
      }
      lua_rawseti(L, list, place);
    }
    lua_rawseti(L, list, place);
  }
}

/* tostring that may run a script's __tostring.   [-1, +1, e] */
static int text_of(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Pushes text for the value at idx: what is no text by its type.   [-0, +1, m] */
static void push_value(lua_State *L, int value) {
  if (lua_type(L, value) == LUA_TSTRING) {
    lua_pushfstring(L, "\"%s\"", lua_tostring(L, value));
  } else if (lua_isboolean(L, value)) {
    lua_pushstring(L, lua_toboolean(L, value) ? "true" : "false");
  } else if (lua_type(L, value) == LUA_TNUMBER) {
    lua_pushvalue(L, value);
    lua_tostring(L, -1);
  } else {
    lua_pushstring(L, luaL_typename(L, value));
  }
}

/* Pushes "key = value" for the two at the top.   [-0, +1, m] */
static void push_field(lua_State *L) {
  int value = lua_gettop(L);
  if (lua_type(L, value - 1) == LUA_TSTRING)
    lua_pushfstring(L, "%s = ", lua_tostring(L, value - 1));
  else if (lua_isinteger(L, value - 1))
    lua_pushfstring(L, "[%I] = ", (LUAI_UACINT)lua_tointeger(L, value - 1));
  else
    lua_pushfstring(L, "[%s] = ", luaL_typename(L, value - 1));
  push_value(L, value);
  lua_concat(L, 2);
}

/* Pushes "{ item, key = value, ... }" for the plain table at idx (absolute), as eddy.repr does.   [-0, +1, m] */
static void push_fields(lua_State *L, int idx) {
  lua_newtable(L); /* texts of the fields are gathered here: a luaL_Buffer allows no other use of the stack */
  int list = lua_gettop(L), n = 0;
  lua_Unsigned length = lua_rawlen(L, idx);
  while (n < SHOWN && (lua_Unsigned)n < length) {
    lua_rawgeti(L, idx, ++n);
    push_value(L, list + 1);
    lua_rawseti(L, list, n);
    lua_settop(L, list);
  }
  int items = n;
  for (lua_pushnil(L); n < SHOWN && lua_next(L, idx);) {
    if (!lua_isinteger(L, -2) || (lua_Unsigned)lua_tointeger(L, -2) - 1 >= length) {
      push_field(L);
      lua_rawseti(L, list, ++n);
    }
    lua_pop(L, 1); /* the key stays, for lua_next */
  }
  lua_settop(L, list);
  sort_texts(L, list, items + 1, n);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, n > 0 ? "{ " : "{");
  for (int i = 1; i <= n; i++) {
    if (i > 1) luaL_addstring(&b, ", ");
    lua_rawgeti(L, list, i);
    luaL_addvalue(&b);
  }
  luaL_addstring(&b, n > 0 ? " }" : "}");
  luaL_pushresult(&b);
  lua_remove(L, list);
}

/* [-0, +1, m] */
const char *eddy__error_text(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 12, NULL);
  if (lua_type(L, idx) == LUA_TTABLE) {
    if (luaL_getmetafield(L, idx, "__tostring") == LUA_TNIL) {
      push_fields(L, idx);
      return lua_tostring(L, -1);
    }
    lua_pop(L, 1);
  }
  lua_pushcfunction(L, text_of);
  lua_pushvalue(L, idx);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lua_pop(L, 1);
    lua_pushfstring(L, "(an error of type %s whose __tostring failed)", luaL_typename(L, idx));
  }
  return lua_tostring(L, -1);
}
