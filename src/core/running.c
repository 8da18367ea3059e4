/* SPDX-License-Identifier: MIT */
/*
 * running.c - why the code that runs cannot wait, in words: outside of tasks, below a C function that cannot be
 *             suspended, in a coroutine that Lua's own functions have resumed.
 * Touch:  freely. It is asked when a wait has been refused (eddy__running).
 */
#include <lauxlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "core/task.h"

/* Pops a function and pushes its name: where it stands in a library ("table.sort"), else as it was called.
 *   [-1, +1, m] */
static const char *push_function_name(lua_State *L, const char *called) {
  int function = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  eddy__arg_name_of(L, function);
  if (lua_isstring(L, -1)) { /* eddy's own */
    lua_replace(L, function);
    return lua_tostring(L, function);
  }
  lua_pop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, function + 1); lua_settop(L, function + 2)) {
    if (!lua_istable(L, -1) || lua_type(L, -2) != LUA_TSTRING) continue;
    for (lua_pushnil(L); lua_next(L, function + 3); lua_pop(L, 1)) {
      if (!lua_rawequal(L, -1, function) || lua_type(L, -2) != LUA_TSTRING) continue;
      const char *library = lua_tostring(L, function + 2), *name = lua_tostring(L, -2);
      if (strcmp(library, LUA_GNAME) == 0)
        lua_pushstring(L, name);
      else
        lua_pushfstring(L, "%s.%s", library, name);
      lua_replace(L, function);
      lua_settop(L, function);
      return lua_tostring(L, function);
    }
  }
  lua_settop(L, function);
  lua_pushstring(L, called != NULL ? called : "?");
  lua_replace(L, function);
  return lua_tostring(L, function);
}

/* Whether the C function at the top is one that waits can go through: eddy's own, pcall and the like.  [-0, +0, m] */
static bool can_be_suspended(lua_State *L) {
  static const char *const names[] = {"pcall", "xpcall", "dofile"};
  int function = lua_gettop(L);
  bool can = false;
  luaL_checkstack(L, 8, NULL);
  if (lua_getupvalue(L, function, 1) != NULL && lua_touserdata(L, -1) == eddy__runtime_find(L)) {
    eddy__arg_name_of(L, function);
    const char *name = lua_tostring(L, -1); /* a queue cannot be suspended while it calls keys and comparisons */
    can = name == NULL || (strncmp(name, "put", 3) != 0 && strncmp(name, "get", 3) != 0);
  }
  lua_settop(L, function);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_GNAME);
  for (size_t i = 0; lua_istable(L, -1) && i < sizeof names / sizeof *names; i++) {
    lua_getfield(L, -1, names[i]);
    can = can || lua_rawequal(L, -1, function);
    lua_pop(L, 1);
  }
  lua_settop(L, function);
  return can;
}

/* Why the running code cannot be suspended.   [-0, +0, v] */
eddy__task *eddy__running_complain(lua_State *L, eddy__runtime *rt, const char *name) {
  if (rt->current == NULL && rt->loop == NULL)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' needs a running task; start one with eddy.run(f)",
                      name);
  if (rt->current == NULL)
    eddy__error_throw(L, EDDY_E_RUNTIME,
                      "'%s' needs a running task; a callback of the loop cannot wait: let it start a "
                      "task with eddy.create_task(f)",
                      name);
  lua_Debug ar;
  for (int level = 1; !lua_isyieldable(L) && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Snf", &ar);
    if (strcmp(ar.what, "C") == 0 && !can_be_suspended(L))
      eddy__error_throw(L, EDDY_E_RUNTIME,
                        "'%s' cannot wait here: it is called from within '%s', a C function that "
                        "cannot be suspended",
                        name, push_function_name(L, ar.name));
    lua_pop(L, 1);
  }
  if (rt->leaf != L)
    eddy__error_throw(L, EDDY_E_RUNTIME,
                      "'%s' cannot wait in a coroutine that was resumed by Lua's own coroutine "
                      "functions: resume it with eddy.coroutine, which has the same functions, or call "
                      "eddy.coroutine.install()",
                      name);
  eddy__error_throw(L, EDDY_E_RUNTIME,
                    "'%s' cannot wait here: a metamethod, hook or finalizer runs that cannot be "
                    "suspended",
                    name);
  return NULL;
}
