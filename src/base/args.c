/* SPDX-License-Identifier: MIT */
/*
 * args.c - checks of arguments and option tables whose messages name the argument or the field.
 * Touch:  freely.
 */
#include "base/args.h"

#include <math.h>
#include <string.h>

#include "base/weak.h"

/* What the value at idx is called: its __name, else its type.   [-0, +1, m] */
const char *eddy__arg_typename(lua_State *L, int idx) {
  if (luaL_getmetafield(L, idx, "__name") == LUA_TSTRING) return lua_tostring(L, -1);
  if (lua_islightuserdata(L, idx)) return lua_pushliteral(L, "light userdata");
  return lua_pushstring(L, lua_isnone(L, idx) ? "no value" : luaL_typename(L, idx));
}

static const char names_key; /* registry: a table with weak keys, from eddy's functions to their names */

/* [-0, +0, m] */
void eddy__arg_name(lua_State *L, const char *name) {
  eddy__weak_single(L, &names_key, "k");
  lua_pushvalue(L, -2);
  lua_pushstring(L, name);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* [-0, +1, -] */
void eddy__arg_name_of(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key) != LUA_TTABLE) return;
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

/* Pops a function and pushes its name; `ar` says how it was called.   [-1, +1, m] */
static const char *push_name(lua_State *L, const lua_Debug *ar) {
  const char *name = NULL;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key) == LUA_TTABLE) {
    lua_insert(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    name = lua_tostring(L, -1);
  } else {
    lua_pop(L, 1);
  }
  if (name != NULL) return name;
  lua_pop(L, 1);
  return lua_pushstring(L, ar->name != NULL ? ar->name : "?");
}

/* [-0, +1, m] */
const char *eddy__arg_function(lua_State *L) {
  lua_Debug ar;
  luaL_checkstack(L, 6, NULL);
  if (!lua_getstack(L, 0, &ar)) return lua_pushliteral(L, "?");
  lua_getinfo(L, "nf", &ar);
  return push_name(L, &ar);
}

/* [-0, +0, v] */
int eddy__arg_error(lua_State *L, int arg, const char *text) {
  lua_Debug ar;
  luaL_checkstack(L, 8, NULL);
  if (!lua_getstack(L, 0, &ar)) luaL_error(L, "bad argument #%d (%s)", arg, text);
  lua_getinfo(L, "nf", &ar);
  const char *name = push_name(L, &ar);
  if (ar.namewhat != NULL && strcmp(ar.namewhat, "method") == 0 && --arg == 0)
    luaL_error(L, "calling '%s' on bad self (%s)", name, text);
  luaL_error(L, "bad argument #%d to '%s' (%s)", arg, name, text);
}

/* [-0, +0, v] */
int eddy__arg_expected(lua_State *L, int arg, const char *expected) {
  const char *got = eddy__arg_typename(L, arg);
  eddy__arg_error(L, arg, lua_pushfstring(L, "%s expected, got %s", expected, got));
}

/* [-0, +0, v] */
lua_Number eddy__opt_seconds(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? HUGE_VAL : eddy__check_seconds(L, arg);
}

/* [-0, +0, v] */
lua_Integer eddy__check_integer(lua_State *L, int arg) {
  int is_integer = 0;
  if (lua_type(L, arg) != LUA_TNUMBER) eddy__arg_expected(L, arg, "number");
  lua_Integer value = lua_tointegerx(L, arg, &is_integer);
  eddy__arg_check(L, is_integer, arg, "number has no integer representation");
  return value;
}

/* [-0, +0, v] */
lua_Integer eddy__opt_integer(lua_State *L, int arg, lua_Integer otherwise) {
  return lua_isnoneornil(L, arg) ? otherwise : eddy__check_integer(L, arg);
}

/* [-0, +0, v] */
const char *eddy__check_string(lua_State *L, int arg, const char *otherwise, size_t *size) {
  bool is_given = otherwise == NULL || !lua_isnoneornil(L, arg);
  if (is_given && !lua_isstring(L, arg)) eddy__arg_expected(L, arg, "string");
  if (is_given) return lua_tolstring(L, arg, size);
  if (size != NULL) *size = strlen(otherwise);
  return otherwise;
}

/* [-0, +0, -] */
bool eddy__arg_is(lua_State *L, int idx, const char *text) {
  if (lua_type(L, idx) != LUA_TSTRING) return false;
  return strcmp(lua_tostring(L, idx), text) == 0 && lua_rawlen(L, idx) == strlen(text);
}

/* [-0, +0, v] */
int eddy__check_choice(lua_State *L, int arg, const char *otherwise, const char *const values[]) {
  size_t size;
  const char *value = eddy__check_string(L, arg, otherwise, &size);
  for (int i = 0; values[i] != NULL; i++)
    if (strcmp(values[i], value) == 0 && strlen(value) == size) return i;
  const char *format = strlen(value) == size ? "invalid option '%s'" : "a zero byte after '%s'";
  return eddy__arg_error(L, arg, lua_pushfstring(L, format, value));
}

/* [-0, +0, m] */
bool eddy__arg_callable(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (lua_isfunction(L, idx)) return true;
  int top = lua_gettop(L);
  bool callable = luaL_getmetafield(L, idx, "__call") == LUA_TFUNCTION &&
                  luaL_getmetafield(L, idx, "__uncallable") == LUA_TNIL;
  lua_settop(L, top);
  return callable;
}

/* [-0, +0, v] */
void eddy__check_function(lua_State *L, int arg) {
  if (!eddy__arg_callable(L, arg)) eddy__arg_expected(L, arg, "function");
}

/* [-1, +1, m] */
const char *eddy__function_place(lua_State *L) {
  lua_Debug ar;
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 1);
    return lua_pushliteral(L, "?");
  }
  lua_getinfo(L, ">S", &ar);
  if (ar.linedefined < 0) return lua_pushstring(L, ar.short_src);
  return lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined);
}

/* [-0, +0, v] */
bool eddy__check_options(lua_State *L, int arg, const char *const names[]) {
  if (lua_isnoneornil(L, arg)) return false;
  if (!lua_istable(L, arg)) eddy__arg_expected(L, arg, "table");
  luaL_checkstack(L, 4, NULL);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
    size_t i = 0;
    while (names[i] != NULL && !eddy__arg_is(L, -2, names[i])) i++;
    if (names[i] == NULL) {
      const char *key = luaL_tolstring(L, -2, NULL);
      eddy__arg_error(L, arg, lua_pushfstring(L, "unknown option '%s'", key));
    }
  }
  return true;
}

/* Pushes the field, which is nil when there is no table.   [-0, +1, e] */
static int get(lua_State *L, int arg, const char *name) {
  if (lua_istable(L, arg)) return lua_getfield(L, arg, name);
  lua_pushnil(L);
  return LUA_TNIL;
}

/* [-0, +0, v] */
static void wrong(lua_State *L, int arg, const char *name, const char *expected) {
  const char *got = eddy__arg_typename(L, -1);
  const char *text = lua_pushfstring(L, "option '%s': %s expected, got %s", name, expected, got);
  eddy__arg_error(L, arg, text);
}

/* [-0, +0, v] */
bool eddy__option_boolean(lua_State *L, int arg, const char *name, bool otherwise) {
  int type = get(L, arg, name);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN) wrong(L, arg, name, "boolean");
  bool value = type == LUA_TNIL ? otherwise : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

/* [-0, +0, v] */
lua_Number eddy__option_seconds(lua_State *L, int arg, const char *name, lua_Number otherwise) {
  int type = get(L, arg, name);
  if (type != LUA_TNIL && type != LUA_TNUMBER) wrong(L, arg, name, "number");
  lua_Number value = type == LUA_TNIL ? otherwise : lua_tonumber(L, -1);
  if (isnan(value))
    eddy__arg_error(L, arg, lua_pushfstring(L, "option '%s': NaN is not a time", name));
  lua_pop(L, 1);
  return value;
}

/* [-0, +0, v] */
lua_Integer eddy__option_integer(lua_State *L, int arg, const char *name, lua_Integer low,
                                 lua_Integer high, lua_Integer otherwise) {
  int is_integer = 1, type = get(L, arg, name);
  lua_Integer value = otherwise;
  if (type != LUA_TNIL) {
    if (type != LUA_TNUMBER) wrong(L, arg, name, "integer");
    value = lua_tointegerx(L, -1, &is_integer);
  }
  if (!is_integer)
    eddy__arg_error(L, arg, lua_pushfstring(L, "option '%s': an integer is expected", name));
  if (type != LUA_TNIL && (value < low || value > high))
    eddy__arg_error(L, arg, lua_pushfstring(L, "option '%s': %I is out of range", name, value));
  lua_pop(L, 1);
  return value;
}

/* [-0, +0, v] */
const char *eddy__option_string(lua_State *L, int arg, const char *name) {
  int type = get(L, arg, name);
  if (type != LUA_TNIL && type != LUA_TSTRING) wrong(L, arg, name, "string");
  const char *value = lua_tostring(L, -1);
  lua_pop(L, 1); /* the table keeps it */
  return value;
}

/* [-0, +0, v] */
int eddy__option_choice(lua_State *L, int arg, const char *name, const char *const values[],
                        int otherwise) {
  const char *value = eddy__option_string(L, arg, name);
  if (value == NULL) return otherwise;
  get(L, arg, name);
  for (int i = 0; values[i] != NULL; i++) {
    if (!eddy__arg_is(L, -1, values[i])) continue;
    lua_pop(L, 1);
    return i;
  }
  return eddy__arg_error(L, arg, lua_pushfstring(L, "option '%s': unknown value '%s'", name, value));
}
