/* SPDX-License-Identifier: MIT */
/*
 * object.c - userdata with a type that cannot be forged; see object.h.
 * Touch:  freely. Metatables are shared by every copy of the module in one state.
 */
#include "base/object.h"

#include <uv.h>

#include "base/args.h"
#include "base/weak.h"

uint64_t eddy__object_secret;

static void make_secret(void) {
  uint64_t secret;
  if (uv_random(NULL, NULL, &secret, sizeof secret, 0, NULL) < 0) secret = uv_hrtime() * 0x9e3779b97f4a7c15u;
  eddy__object_secret = secret | (uint64_t)1 << 63; /* no address has that bit, so no stamp is 0 */
}

/* [-0, +1, -] */
void eddy__object_meta(lua_State *L, const eddy__type *type) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, type);
}

/* Sets the functions of `list` in the table at the top, with the value at `up` as upvalue.  [-0, +0, m] */
static void set_functions(lua_State *L, const luaL_Reg *list, int up) {
  for (; list != NULL && list->name != NULL; list++) {
    if (up != 0) lua_pushvalue(L, up);
    lua_pushcclosure(L, list->func, up != 0);
    eddy__arg_name(L, list->name);
    lua_setfield(L, -2, list->name);
  }
}

/* [-0, +1, m] */
void eddy__object_type(lua_State *L, const eddy__type *type, const eddy__type *base,
                       const luaL_Reg *methods, const luaL_Reg *meta, int up) {
  static uv_once_t once = UV_ONCE_INIT;
  uv_once(&once, make_secret);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, type) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushstring(L, type->name);
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "eddy");
  lua_setfield(L, -2, "__metatable"); /* a script has no business with the metatable */
  set_functions(L, meta, up);
  lua_newtable(L);
  if (base != NULL) {
    eddy__object_meta(L, base);
    lua_getfield(L, -1, "__index");
    for (lua_pushnil(L); lua_next(L, -2);) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, -6); /* methods[name] = function of the base */
    }
    lua_pop(L, 2);
  }
  set_functions(L, methods, up);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, type);
}

/* The memory of a userdata that was collected still has its stamp, and another library may leave its own userdata in
 * that place unwritten. Its last eight bytes are not ours: no struct of C has a length like this. */
enum { ODD = 3 };

/* The userdata with its stamp, still without its metatable.   [-0, +1, m] */
static inline void *make(lua_State *L, const eddy__type *type, size_t size, int nuv) {
  uint64_t stamp = eddy__object_stamp(type);
  size = (size + 7) / 8 * 8 + ODD;
  void *object = lua_newuserdatauv(L, size + sizeof stamp, nuv);
  memset(object, 0, size);
  memcpy((char *)object + size, &stamp, sizeof stamp);
  return object;
}

/* [-0, +1, m] */
void *eddy__object_new(lua_State *L, const eddy__type *type, size_t size, int nuv) {
  void *object = make(L, type, size, nuv);
  eddy__object_meta(L, type);
  lua_setmetatable(L, -2);
  return object;
}

/* [-0, +1, m] */
void *eddy__object_make(lua_State *L, const eddy__type *type, int meta, size_t size, int nuv) {
  void *object = make(L, type, size, nuv);
  lua_rawgeti(L, LUA_REGISTRYINDEX, meta);
  lua_setmetatable(L, -2);
  return object;
}

static const char remembered_key; /* registry: a weak table, from addresses to objects */

/* [-0, +1, m] */
void eddy__object_push_remembered(lua_State *L) {
  eddy__weak_single(L, &remembered_key, "v");
}

/* [-0, +0, m] */
void eddy__object_remember(lua_State *L, int idx, const void *key) {
  idx = lua_absindex(L, idx);
  eddy__object_push_remembered(L);
  lua_pushvalue(L, idx);
  lua_rawsetp(L, -2, key);
  lua_pop(L, 1);
}

/* [-0, +(0|1), -] */
bool eddy__object_push(lua_State *L, const void *key) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &remembered_key) == LUA_TTABLE) {
    lua_rawgetp(L, -1, key);
    lua_remove(L, -2);
  }
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

/* [-0, +1, m] */
void *eddy__object_single(lua_State *L, const void *key, size_t size, int nuv, lua_CFunction gc) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TUSERDATA) return lua_touserdata(L, -1);
  lua_pop(L, 1);
  void *object = memset(lua_newuserdatauv(L, size, nuv), 0, size);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TUSERDATA) { /* a finalizer has asked for it meanwhile */
    lua_remove(L, -2);
    return lua_touserdata(L, -1);
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  return object;
}

/* [-0, +0, -] */
void *eddy__object_single_ends(lua_State *L, const void *key) {
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  void *object = lua_rawequal(L, 1, -1) ? lua_touserdata(L, -1) : NULL;
  lua_pop(L, 1);
  return object;
}

/* [-0, +0, v] */
void *eddy__object_check(lua_State *L, int arg, const eddy__type *type) {
  void *object = eddy__object_test(L, arg, type);
  if (object == NULL) eddy__arg_expected(L, arg, type->name);
  return object;
}
