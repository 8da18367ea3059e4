/* SPDX-License-Identifier: MIT */
/*
 * error.c - error classes; see error.h. (os_error.c makes the OSError of a libuv code, error_text.c texts.)
 * A class is a table: __index is itself, its metatable (shared by all classes) makes it callable and looks up
 * in the class above. The link to the class above lies under a light userdata, which no script can forge.
 * Touch:  freely; a new class is one line in `classes`.
 */
#include "base/error.h"

#include <lauxlib.h>
#include <uv.h>

#include "base/args.h"
#include "base/weak.h"

static const struct {
  const char *name;
  eddy__class super;
} classes[EDDY_E_COUNT] = {
  [EDDY_E_ERROR] = {"Error", EDDY_E_ERROR},
  [EDDY_E_CANCELLED] = {"CancelledError", EDDY_E_ERROR},
  [EDDY_E_TIMEOUT] = {"TimeoutError", EDDY_E_ERROR},
  [EDDY_E_INVALID_STATE] = {"InvalidStateError", EDDY_E_ERROR},
  [EDDY_E_RUNTIME] = {"RuntimeError", EDDY_E_ERROR},
  [EDDY_E_QUEUE_EMPTY] = {"QueueEmpty", EDDY_E_ERROR},
  [EDDY_E_QUEUE_FULL] = {"QueueFull", EDDY_E_ERROR},
  [EDDY_E_QUEUE_SHUT_DOWN] = {"QueueShutDown", EDDY_E_ERROR},
  [EDDY_E_BROKEN_BARRIER] = {"BrokenBarrierError", EDDY_E_RUNTIME},
  [EDDY_E_INCOMPLETE_READ] = {"IncompleteReadError", EDDY_E_ERROR},
  [EDDY_E_LIMIT_OVERRUN] = {"LimitOverrunError", EDDY_E_ERROR},
  [EDDY_E_BROKEN_WORKER] = {"BrokenWorkerError", EDDY_E_ERROR},
  [EDDY_E_INTERRUPTED] = {"Interrupted", EDDY_E_ERROR},
  [EDDY_E_DEADLOCK] = {"DeadlockError", EDDY_E_ERROR},
  [EDDY_E_OS] = {"OSError", EDDY_E_ERROR},
  [EDDY_E_GROUP] = {"ExceptionGroup", EDDY_E_ERROR},
};

enum { DEEPEST = 180 }; /* groups within groups: each is a call in C */

static const char class_key[EDDY_E_COUNT]; /* addresses: where the classes lie in the registry */
static const char super_key;                   /* key in a class: the class above */
static const char number_key;                  /* key in one of our own classes: its eddy__class */
static const char id_key;                      /* key in a class made by extend: its identity */
static const char meta_key;                    /* the metatable of all classes */
static const char ids_key;                     /* a table with weak values, from identities to classes */

/* [-0, +1, -] */
static void push_class(lua_State *L, eddy__class c) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key[c]);
}

/* Whether the value at idx has the class at `class` (absolute index) or one below it.   [-0, +0, -] */
static bool has_class(lua_State *L, int idx, int class) {
  if (!lua_istable(L, idx) || !lua_getmetatable(L, idx)) return false;
  while (!lua_rawequal(L, -1, class)) {
    int type = lua_rawgetp(L, -1, &super_key);
    lua_remove(L, -2);
    if (type == LUA_TTABLE) continue;
    lua_pop(L, 1);
    return false;
  }
  lua_pop(L, 1);
  return true;
}

/* [-0, +0, -] */
bool eddy__error_is(lua_State *L, int idx, eddy__class c) {
  idx = lua_absindex(L, idx);
  push_class(L, c);
  bool is = has_class(L, idx, lua_gettop(L));
  lua_pop(L, 1);
  return is;
}

/* Whether the value at idx is one of the classes.   [-0, +0, -] */
static bool is_class(lua_State *L, int idx) {
  if (!lua_istable(L, idx) || !lua_getmetatable(L, idx)) return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
  bool is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is;
}

/* [-1, +1, m] */
void eddy__error_wrap(lua_State *L, eddy__class c) {
  if (lua_isnil(L, -1)) { /* there is no message */
    lua_pop(L, 1);
    lua_createtable(L, 0, 0);
  } else {
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
  }
  push_class(L, c);
  lua_setmetatable(L, -2);
}

/* [-0, +1, m] */
void eddy__error_push(lua_State *L, eddy__class c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  eddy__error_wrap(L, c);
}

/* [-0, +0, v] */
int eddy__error_throw(lua_State *L, eddy__class c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  eddy__error_wrap(L, c);
  lua_error(L);
}

/* --- what Lua calls ---------------------------------------------------------------------------------- */

/* [-0, +1, e]   tostring of an error: "Class: message" */
static int l_tostring(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (lua_getfield(L, 1, "__name") != LUA_TSTRING) {
    lua_pop(L, 1);
    lua_pushliteral(L, "Error");
  }
  if (lua_getfield(L, 1, "message") == LUA_TNIL) {
    lua_pop(L, 1);
    if (lua_getfield(L, 1, "code") != LUA_TSTRING) return lua_pop(L, 1), 1; /* an OSError that a script has made */
  }
  eddy__error_text(L, -1);
  lua_pushfstring(L, "%s: %s", lua_tostring(L, 2), lua_tostring(L, -1));
  return 1;
}

/* A group shows its errors too, one a line.   [-0, +1, e] */
static int l_group_tostring(lua_State *L) {
  l_tostring(L);
  if (lua_getfield(L, 1, "errors") != LUA_TTABLE) return lua_pop(L, 1), 1;
  int list = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  lua_pushfstring(L, "%s (%I %s)", lua_tostring(L, list - 1), (LUAI_UACINT)n,
                  n == 1 ? "error" : "errors");
  for (lua_Integer i = 1; i <= n && i <= 20; i++) {
    lua_rawgeti(L, list, i);
    luaL_gsub(L, eddy__error_text(L, -1), "\n", "\n  ");
    lua_pushfstring(L, "%s\n  %I. %s", lua_tostring(L, list + 1), (LUAI_UACINT)i,
                    lua_tostring(L, -1));
    lua_replace(L, list + 1);
    lua_settop(L, list + 1);
  }
  if (n > 20) lua_pushfstring(L, "%s\n  ...", lua_tostring(L, list + 1));
  return 1;
}

/* Class(...) was called with something else; the class itself is argument 1 of its __call.   [-0, +0, v] */
static int class_argument(lua_State *L, int arg, const char *expected) {
  const char *got = eddy__arg_typename(L, arg);
  lua_getfield(L, 1, "__name");
  return luaL_error(L, "bad argument #%d to '%s' (%s expected, got %s)", arg - 1, lua_tostring(L, -1), expected, got);
}

/* Class(message): errors whose fields matter take them as a table.   [-0, +1, e] */
static int l_class_call(lua_State *L) {
  if (!is_class(L, 1)) return eddy__arg_expected(L, 1, "error class");
  int given = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  lua_settop(L, 3);
  push_class(L, EDDY_E_GROUP);
  int group = lua_gettop(L);
  bool is_group = lua_rawequal(L, 1, group);
  lua_pushvalue(L, 1);
  while (!is_group && lua_rawgetp(L, -1, &super_key) == LUA_TTABLE)
    is_group = lua_rawequal(L, -1, group);
  if (is_group) {
    if (given < 3) lua_settop(L, given); /* to tell no value from nil */
    if (lua_type(L, 2) != LUA_TSTRING) class_argument(L, 2, "string");
    if (!lua_istable(L, 3)) class_argument(L, 3, "table");
    if (lua_rawlen(L, 3) == 0)
      luaL_error(L, "bad argument #2 to 'ExceptionGroup' (a group needs at least one error)");
  }
  lua_settop(L, 3);
  bool fields = lua_getfield(L, 1, "_fields") != LUA_TNIL && lua_istable(L, 2) &&
                !lua_getmetatable(L, 2);
  lua_settop(L, 3);
  lua_newtable(L);
  if (fields) {
    for (lua_pushnil(L); lua_next(L, 2);) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, 4);
    }
  } else {
    lua_pushvalue(L, 2);
    lua_setfield(L, 4, "message");
  }
  if (is_group) {
    lua_pushvalue(L, 3);
    lua_setfield(L, 4, "errors");
  }
  lua_pushvalue(L, 1);
  lua_setmetatable(L, 4);
  return 1;
}

/* [-0, +1, e] */
static int l_class_tostring(lua_State *L) {
  lua_getfield(L, 1, "__name");
  lua_pushfstring(L, "<class %s>", luaL_checkstring(L, -1));
  return 1;
}

/* Makes a class: name at the top, the class above (or nil) under it; leaves the class.   [-2, +1, m] */
static void make_class(lua_State *L) {
  int super = lua_gettop(L) - 1;
  lua_createtable(L, 0, 6);
  lua_insert(L, -2);
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  if (lua_istable(L, super)) {
    static const char *const inherited[] = {"__tostring", "__eq", "__lt", "__le", "__concat"};
    lua_pushvalue(L, super);
    lua_rawsetp(L, -2, &super_key);
    for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++) {
      lua_getfield(L, super, inherited[i]); /* Lua looks these up raw, so each class has its own */
      lua_setfield(L, -2, inherited[i]);
    }
  }
  lua_remove(L, super);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
  lua_setmetatable(L, -2);
}

/* The class at the top gets that identity.   [-0, +0, m] */
static void identify(lua_State *L, int64_t id) {
  lua_pushinteger(L, id);
  lua_rawsetp(L, -2, &id_key);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ids_key);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, id);
  lua_pop(L, 1);
}

/* class:extend(name)   [-0, +1, v] */
static int l_extend(lua_State *L) {
  if (!is_class(L, 1)) return eddy__arg_expected(L, 1, "error class");
  if (lua_type(L, 2) != LUA_TSTRING) eddy__arg_expected(L, 2, "string");
  lua_settop(L, 2);
  make_class(L);
  int64_t id;
  if (uv_random(NULL, NULL, &id, sizeof id, 0, NULL) < 0)
    id = (int64_t)(uv_hrtime() * 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)lua_topointer(L, -1));
  identify(L, id);
  return 1;
}

/* A lookup in a class that it lacks itself goes to the class above.   [-0, +1, -] */
static int l_class_index(lua_State *L) {
  lua_settop(L, 2);
  while (lua_istable(L, 1)) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, 1) != LUA_TNIL) return 1;
    lua_pop(L, 1);
    lua_rawgetp(L, 1, &super_key);
    lua_replace(L, 1);
  }
  return 0;
}

/* err:is(class)   [-0, +1, v] */
static int l_is(lua_State *L) {
  if (!is_class(L, 2)) return eddy__arg_expected(L, 2, "error class");
  lua_pushboolean(L, has_class(L, 1, 2));
  return 1;
}

/* eddy.is_error(v [, class])   [-0, +1, v] */
static int l_is_error(lua_State *L) {
  eddy__arg_any(L, 1);
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 1);
    push_class(L, EDDY_E_ERROR);
  } else if (!is_class(L, 2)) {
    return eddy__arg_expected(L, 2, "error class");
  }
  lua_pushboolean(L, has_class(L, 1, 2));
  return 1;
}

/* Whether the error at idx answers to the class or predicate at 2.   [-0, +0, e] */
static bool matches(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (is_class(L, 2)) return has_class(L, idx, 2);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, idx);
  lua_call(L, 1, 1);
  bool yes = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return yes;
}

/* Pops a list and pushes a group like the one at `like`, or nil if the list is empty.   [-1, +1, m] */
static void push_half(lua_State *L, int like) {
  if (lua_rawlen(L, -1) == 0) {
    lua_pop(L, 1);
    lua_pushnil(L);
    return;
  }
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, like);) { /* its other fields, message among them, go with both halves */
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_insert(L, -2);
  lua_setfield(L, -2, "errors");
  lua_getmetatable(L, like);
  lua_setmetatable(L, -2);
}

/* Pushes the matching half and the rest of the error at idx; the predicate is at 2.   [-0, +2, e] */
static void split(lua_State *L, int idx, int depth) {
  luaL_checkstack(L, 10, NULL);
  if (depth > DEEPEST) luaL_error(L, "ExceptionGroup nested too deep");
  bool group = eddy__error_is(L, idx, EDDY_E_GROUP);
  if (matches(L, idx)) {
    lua_pushvalue(L, idx);
    lua_pushnil(L);
    return;
  }
  if (!group) {
    lua_pushnil(L);
    lua_pushvalue(L, idx);
    return;
  }
  lua_newtable(L);
  lua_newtable(L);
  int yes = lua_gettop(L) - 1, no = yes + 1;
  lua_getfield(L, idx, "errors");
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_Integer n = (lua_Integer)lua_rawlen(L, no + 1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, no + 1, i);
    split(L, no + 2, depth + 1);
    for (int half = no; half >= yes; half--) {
      if (lua_isnil(L, -1))
        lua_pop(L, 1);
      else
        lua_rawseti(L, half, (lua_Integer)lua_rawlen(L, half) + 1);
    }
    lua_settop(L, no + 1);
  }
  lua_settop(L, no);
  push_half(L, idx);
  lua_insert(L, yes);
  push_half(L, idx);
  lua_insert(L, yes + 1);
  lua_insert(L, yes);
}

/* [-0, +0, v] */
static void check_split(lua_State *L) {
  if (!eddy__error_is(L, 1, EDDY_E_GROUP)) eddy__arg_expected(L, 1, "ExceptionGroup");
  if (!is_class(L, 2) && !lua_isfunction(L, 2))
    eddy__arg_expected(L, 2, "error class or function");
  lua_settop(L, 2);
}

/* group:split(class_or_predicate) -> matching, rest   [-0, +2, e] */
static int l_split(lua_State *L) {
  check_split(L);
  split(L, 1, 0);
  return 2;
}

/* group:subgroup(class_or_predicate) -> matching   [-0, +1, e] */
static int l_subgroup(lua_State *L) {
  check_split(L);
  split(L, 1, 0);
  lua_pop(L, 1);
  return 1;
}

/* [-1, +1, m] */
void eddy__group_push(lua_State *L, const char *message) {
  lua_createtable(L, 0, 2);
  lua_insert(L, -2);
  lua_setfield(L, -2, "errors");
  lua_pushstring(L, message);
  lua_setfield(L, -2, "message");
  push_class(L, EDDY_E_GROUP);
  lua_setmetatable(L, -2);
}

/* [-0, +0, m] */
static void make_classes(lua_State *L) {
  static const luaL_Reg class_meta[] = {{"__call", l_class_call},
                                        {"__tostring", l_class_tostring},
                                        {"__index", l_class_index},
                                        {NULL, NULL}};
  luaL_newlib(L, class_meta);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
  eddy__weak_new(L, "v");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &ids_key);
  for (int c = 0; c < EDDY_E_COUNT; c++) {
    if (c == EDDY_E_ERROR)
      lua_pushnil(L);
    else
      push_class(L, classes[c].super);
    lua_pushstring(L, classes[c].name);
    make_class(L);
    lua_pushinteger(L, c);
    lua_rawsetp(L, -2, &number_key);
    if (c == EDDY_E_ERROR) {
      static const luaL_Reg methods[] = {
        {"is", l_is}, {"extend", l_extend}, {"__tostring", l_tostring}, {NULL, NULL}};
      luaL_setfuncs(L, methods, 0);
    } else if (c == EDDY_E_GROUP) {
      static const luaL_Reg methods[] = {{"split", l_split},
                                         {"subgroup", l_subgroup},
                                         {"__tostring", l_group_tostring},
                                         {NULL, NULL}};
      luaL_setfuncs(L, methods, 0);
    } else if (c == EDDY_E_OS || c == EDDY_E_INCOMPLETE_READ || c == EDDY_E_LIMIT_OVERRUN) {
      lua_pushboolean(L, 1);
      lua_setfield(L, -2, "_fields"); /* made from a table of fields */
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key[c]);
  }
}

/* --- classes that move from state to state ----------------------------------------------------------- */

/* [-0, +0, -] */
int eddy__error_class_at(lua_State *L, int idx) {
  if (!is_class(L, idx)) return -1;
  int c = lua_rawgetp(L, idx, &number_key) == LUA_TNUMBER ? (int)lua_tointeger(L, -1) : EDDY_E_COUNT;
  lua_pop(L, 1);
  return c;
}

/* [-0, +1, -] */
void eddy__error_class_push(lua_State *L, eddy__class c) { push_class(L, c); }

/* [-0, +1, -] */
void eddy__error_class_above(lua_State *L, int idx) { lua_rawgetp(L, idx, &super_key); }

/* [-0, +0, -] */
int64_t eddy__error_class_id(lua_State *L, int idx) {
  lua_rawgetp(L, idx, &id_key);
  int64_t id = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return id;
}

/* [-0, +1, m] */
void eddy__error_class_known(lua_State *L, int64_t id) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ids_key);
  int type = lua_rawgeti(L, -1, id);
  lua_remove(L, -2);
  if (type == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
  lua_setmetatable(L, -2);
  identify(L, id);
}

/* [-1, +0, m] */
bool eddy__error_class_complete(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  bool new = lua_rawgetp(L, idx, &super_key) == LUA_TNIL;
  lua_pop(L, 1);
  if (new)
    lua_rawsetp(L, idx, &super_key);
  else
    lua_pop(L, 1);
  return new;
}

/* [-0, +0, m] */
void eddy__error_open(lua_State *L) {
  push_class(L, EDDY_E_COUNT - 1);
  bool made = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (!made) make_classes(L);
  for (int c = 0; c < EDDY_E_COUNT; c++) {
    push_class(L, (eddy__class)c);
    lua_setfield(L, -2, classes[c].name);
  }
  lua_pushcfunction(L, l_is_error);
  lua_setfield(L, -2, "is_error");
}
