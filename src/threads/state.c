/* SPDX-License-Identifier: MIT */
/*
 * state.c - the Lua state of a thread: made to be like the one that it works for; see state.h.
 * Touch:  freely.
 */
#include "threads/state.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "eddy.h"

typedef struct preload {
  char *name;
  lua_CFunction open;
} preload;

struct eddy__setup {
  char *path, *cpath;
  preload *preloads;
  size_t npreloads;
  bool has_global; /* `eddy` is a global, as in the command */
};

void eddy__setup_free(eddy__setup *setup) {
  if (setup == NULL) return;
  for (size_t i = 0; i < setup->npreloads; i++) free(setup->preloads[i].name);
  free(setup->preloads);
  free(setup->path);
  free(setup->cpath);
  free(setup);
}

char *eddy__text_copy(const char *text) {
  size_t size = text != NULL ? strlen(text) + 1 : 0;
  char *copy = size > 0 ? malloc(size) : NULL;
  return copy != NULL ? memcpy(copy, text, size) : NULL;
}

/* A copy of the string at the top, which it pops; NULL if it is none, or there is no memory.   [-1, +0, -] */
static char *take_string(lua_State *L) {
  char *copy = lua_type(L, -1) == LUA_TSTRING ? eddy__text_copy(lua_tostring(L, -1)) : NULL;
  lua_pop(L, 1);
  return copy;
}

/* Notes the C functions in the table at the top, package.preload. Returns false without memory.   [-0, +0, -] */
static bool note_preloads(lua_State *L, eddy__setup *setup) {
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    lua_CFunction open = lua_tocfunction(L, -1);
    if (open == NULL || lua_type(L, -2) != LUA_TSTRING) continue;
    if (lua_getupvalue(L, -1, 1) != NULL) {
      lua_pop(L, 1); /* a closure: what it holds is this state's */
      continue;
    }
    preload *more = realloc(setup->preloads, (setup->npreloads + 1) * sizeof *more);
    if (more == NULL) return false;
    setup->preloads = more;
    lua_pushvalue(L, -2);
    more[setup->npreloads].open = open;
    more[setup->npreloads].name = take_string(L);
    if (more[setup->npreloads++].name == NULL) return false;
  }
  return true;
}

/* [-0, +0, m] */
eddy__setup *eddy__setup_new(lua_State *L) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, NULL);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE); /* what may raise comes first */
  lua_getfield(L, -1, LUA_LOADLIBNAME);
  int package = lua_gettop(L);
  lua_pushliteral(L, "path");
  lua_pushliteral(L, "cpath");
  lua_pushliteral(L, "preload");
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushliteral(L, "eddy");
  eddy__setup *setup = calloc(1, sizeof *setup);
  if (setup == NULL) luaL_error(L, "not enough memory");
  bool good = true;
  setup->has_global = lua_rawget(L, -2) == LUA_TTABLE;
  lua_settop(L, package + 3);
  if (lua_istable(L, package)) {
    if (lua_rawget(L, package) == LUA_TTABLE) good = note_preloads(L, setup);
    lua_settop(L, package + 2);
    lua_rawget(L, package);
    setup->cpath = take_string(L);
    lua_rawget(L, package);
    setup->path = take_string(L);
  }
  lua_settop(L, top);
  if (good) return setup;
  eddy__setup_free(setup);
  luaL_error(L, "not enough memory");
  return NULL;
}

/* os.exit(): the process is not a worker's to end   [-0, +0, v] */
static int l_exit(lua_State *L) {
  return eddy__error_throw(L, EDDY_E_RUNTIME, "'os.exit' cannot be called in a worker: it would end the whole process");
}

/* [-0, +0, e] */
void eddy__setup_open(lua_State *L, const eddy__setup *setup) {
  luaL_openlibs(L);
  lua_getglobal(L, LUA_LOADLIBNAME);
  if (setup->path != NULL) {
    lua_pushstring(L, setup->path);
    lua_setfield(L, -2, "path");
  }
  if (setup->cpath != NULL) {
    lua_pushstring(L, setup->cpath);
    lua_setfield(L, -2, "cpath");
  }
  lua_getfield(L, -1, "preload");
  for (size_t i = 0; i < setup->npreloads; i++) {
    lua_pushcfunction(L, setup->preloads[i].open);
    lua_setfield(L, -2, setup->preloads[i].name);
  }
  lua_pop(L, 2);
  luaL_requiref(L, "eddy", luaopen_eddy, setup->has_global);
  if (setup->has_global) lua_warning(L, "@on", 0); /* as in the command */
  lua_getfield(L, -1, "coroutine");
  lua_getfield(L, -1, "install");
  lua_call(L, 0, 0);
  lua_pop(L, 2);
  lua_getglobal(L, LUA_OSLIBNAME);
  eddy__runtime_push(L);
  lua_pushcclosure(L, l_exit, 1);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
}
