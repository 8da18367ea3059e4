/* SPDX-License-Identifier: MIT */
/*
 * move_names.c - what every state has of its own, and goes by name: loaded modules, C functions in them, classes.
 * Owns:   the index, in the registry: from such a value to its name. Its keys are weak.
 * Uses:   move_form.h, error.h.      Used by: move_pack.c, move_unpack.c.
 * Touch:  freely. A name is a letter, then a module ('m'), a module and fields ('f', with \0 between), or a key of the
 *         registry ('r': metatables made by luaL_newmetatable; move_pack.c finds these itself).
 */
#include <lauxlib.h>
#include <string.h>

#include "base/error.h"
#include "base/weak.h"
#include "threads/move_form.h"

static const char index_key;

/* Modules whose functions get their names first: others may hold the same functions under names of their own. */
static const char *const standard[] = {"string", "table", "math", "io", "os", "utf8", "coroutine",
                                       "debug", "package", "eddy"};

/* Pops a name and a value under it; the index learns them unless it knows the value.   [-2, +0, m] */
static void learn(lua_State *L, int index) {
  lua_pushvalue(L, -2);
  if (lua_rawget(L, index) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_rawset(L, index);
  } else {
    lua_pop(L, 3);
  }
}

/* Whether the table at idx looks like a class: then it goes by name, and its copies are not strangers.  [-0, +0, m] */
static bool is_class(lua_State *L, int idx) {
  bool is = eddy__error_class_at(L, idx) >= 0;
  static const char *const fields[] = {"__index", "__name"};
  idx = lua_absindex(L, idx);
  for (size_t i = 0; !is && i < sizeof fields / sizeof *fields; i++) {
    lua_pushstring(L, fields[i]);
    is = lua_rawget(L, idx) != LUA_TNIL;
    lua_pop(L, 1);
  }
  return is;
}

/* Learns what the table at t holds: C functions, and if `classes` is set, classes with theirs. The name of t is at
 * `prefix`.   [-0, +0, m] */
static void learn_fields(lua_State *L, int index, int t, int prefix, bool classes) {
  luaL_checkstack(L, 12, NULL);
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    int value = lua_gettop(L);
    bool class = classes && lua_istable(L, value) && is_class(L, value);
    if (!class && !lua_iscfunction(L, value)) continue;
    lua_pushvalue(L, value);
    lua_pushliteral(L, "f");
    lua_pushlstring(L, lua_tostring(L, prefix) + 1, lua_rawlen(L, prefix) - 1);
    lua_pushlstring(L, "\0", 1);
    lua_pushvalue(L, value - 1);
    lua_concat(L, 4);
    int name = lua_gettop(L);
    if (class) learn_fields(L, index, value, name, false);
    learn(L, index);
  }
}

/* Learns the module at the top, whose name is below it, unless it is known; or again, if `again` is set. Pops the
 * module only.   [-1, +0, m] */
static void learn_module(lua_State *L, int index, bool again) {
  int module = lua_gettop(L);
  bool globals = strcmp(lua_tostring(L, module - 1), "_G") == 0;
  lua_pushvalue(L, module);
  bool new = lua_rawget(L, index) == LUA_TNIL;
  lua_pop(L, 1);
  if (new || again) {
    lua_pushvalue(L, module);
    lua_pushfstring(L, "m%s", lua_tostring(L, module - 1));
    if (lua_istable(L, module)) /* a script's globals are not there elsewhere, so its classes are not named */
      learn_fields(L, index, module, module + 2, !globals);
    learn(L, index);
  }
  lua_settop(L, module - 1);
}

/* Learns package.loaded and package.preload themselves.   [-0, +0, m] */
static void learn_tables(lua_State *L, int index) {
  static const char *const names[][2] = {{LUA_LOADED_TABLE, "loaded"}, {LUA_PRELOAD_TABLE, "preload"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (lua_getfield(L, LUA_REGISTRYINDEX, names[i][0]) != LUA_TTABLE) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushliteral(L, "fpackage");
    lua_pushlstring(L, "\0", 1);
    lua_pushstring(L, names[i][1]);
    lua_concat(L, 3);
    learn(L, index);
  }
}

/* Learns the modules in the table at `loaded`.   [-0, +0, m] */
static void learn_modules(lua_State *L, int index, int loaded, bool again) {
  for (lua_pushnil(L); lua_next(L, loaded);) {
    bool globals = lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "_G") == 0;
    bool holds = lua_istable(L, -1) || lua_isfunction(L, -1) || lua_type(L, -1) == LUA_TUSERDATA;
    if (lua_type(L, -2) == LUA_TSTRING && holds && !globals)
      learn_module(L, index, again);
    else
      lua_pop(L, 1);
  }
  lua_pushliteral(L, "_G"); /* last: its functions may have better names */
  lua_pushglobaltable(L);
  learn_module(L, index, again);
  lua_pop(L, 1);
}

/* [-0, +1, m] */
static void make_index(lua_State *L) {
  eddy__weak_new(L, "k");
  lua_pushliteral(L, "__name");
  lua_rawseti(L, -2, EDDY_NAME_OF_NAMES);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &index_key);
}

/* [-0, +1, m] */
void eddy__named_index(lua_State *L, int deep) {
  luaL_checkstack(L, 20, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &index_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    make_index(L);
  }
  if (deep == 0) return;
  int index = lua_gettop(L);
  if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) == LUA_TTABLE) {
    lua_pushvalue(L, -1);
    bool new = lua_rawget(L, index) == LUA_TNIL;
    lua_pop(L, 1);
    for (size_t i = 0; new &&i < sizeof standard / sizeof *standard; i++) {
      lua_pushstring(L, standard[i]);
      lua_pushvalue(L, -1);
      if (lua_rawget(L, index + 1) == LUA_TTABLE) learn_module(L, index, true);
      lua_settop(L, index + 1);
    }
    learn_modules(L, index, index + 1, deep > 1);
    learn_tables(L, index); /* last, as its presence says that the first look is complete */
  }
  lua_settop(L, index);
}

/* Raises that this state lacks it; the name is readable then.   [-0, +0, v] */
static int lacks(lua_State *L, const char *name, size_t size) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 1; i < size; i++) luaL_addchar(&b, name[i] == '\0' ? '.' : name[i]);
  luaL_pushresult(&b);
  return eddy__error_throw(L, EDDY_E_RUNTIME, "what moves here refers to '%s', which this state lacks",
                           lua_tostring(L, -1));
}

/* Pushes the module, or nil.   [-0, +1, e] */
static void push_module(lua_State *L, const char *name, size_t size, bool load) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_istable(L, -1)) {
    lua_pushlstring(L, name, size);
    if (lua_rawget(L, -2) != LUA_TNIL || !load) {
      lua_remove(L, -2);
      return;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (lua_getglobal(L, "require") != LUA_TFUNCTION) return;
  lua_pushlstring(L, name, size);
  lua_call(L, 1, 1);
}

/* [-0, +1, e] */
void eddy__named_push(lua_State *L, const char *name, size_t size, bool load) {
  luaL_checkstack(L, 8, NULL);
  const char *end = name + size, *at = name + 1;
  if (size < 2) lacks(L, "??", 2);
  if (*name == 'r') {
    lua_pushlstring(L, at, size - 1);
    if (lua_rawget(L, LUA_REGISTRYINDEX) != LUA_TTABLE) lacks(L, name, size);
    return;
  }
  const char *stop = *name == 'f' ? memchr(at, '\0', size - 1) : end;
  if (stop == NULL) stop = end;
  push_module(L, at, (size_t)(stop - at), load);
  while (stop < end) {
    if (!lua_istable(L, -1)) lacks(L, name, size);
    at = stop + 1;
    stop = memchr(at, '\0', (size_t)(end - at));
    if (stop == NULL) stop = end;
    lua_pushlstring(L, at, (size_t)(stop - at));
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  if (lua_isnil(L, -1)) lacks(L, name, size);
}
