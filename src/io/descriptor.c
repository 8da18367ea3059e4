/* SPDX-License-Identifier: MIT */
/*
 * descriptor.c - descriptors as arguments; see descriptor.h.
 * Touch:  freely.
 */
#include "io/descriptor.h"

#include <limits.h>
#include <stdio.h>

#include "base/args.h"

/* [-0, +(0|1), e] */
const char *eddy__descriptor_of(lua_State *L, int idx, int *fd) {
  lua_Integer number = -1;
  int type = lua_type(L, idx), is_integer = 1;
  luaL_checkstack(L, 6, NULL);
  idx = lua_absindex(L, idx);
  if (type == LUA_TNUMBER) {
    number = lua_tointegerx(L, idx, &is_integer);
    if (!is_integer) return "number has no integer representation";
  } else if (luaL_testudata(L, idx, LUA_FILEHANDLE) != NULL) {
    luaL_Stream *file = lua_touserdata(L, idx);
    if (file->closef == NULL) return "a closed file";
    (void)fflush(file->f);
    number = fileno(file->f);
  } else {
    if ((type != LUA_TUSERDATA && type != LUA_TTABLE) || lua_getfield(L, idx, "fileno") == LUA_TNIL)
      return lua_pushfstring(L, "descriptor expected, got %s", eddy__arg_typename(L, idx));
    lua_pushvalue(L, idx);
    lua_call(L, 1, 1);
    number = lua_tointegerx(L, -1, &is_integer);
    lua_pop(L, 1);
    if (!is_integer) return "its fileno() is no integer";
  }
  if (number < 0 || number > INT_MAX) return "a descriptor is not negative";
  *fd = (int)number;
  return NULL;
}

/* [-0, +0, e] */
int eddy__descriptor_check(lua_State *L, int arg) {
  int fd = -1;
  const char *wrong = eddy__descriptor_of(L, arg, &fd);
  if (wrong != NULL) eddy__arg_error(L, arg, wrong);
  return fd;
}
