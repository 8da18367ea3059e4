/* SPDX-License-Identifier: MIT */
/*
 * lua.c - Lua's interpreter once more, so that it can be built with sanitizers: then the specs need no preloaded
 * library, which every child process would inherit. It takes -W, -e CODE, -l MODULE, and a script or - with arguments.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

/* [-0, +1, e]   the traceback, but an error that is an object stays the object it is */
static int on_error(lua_State *L) {
  const char *text = lua_tostring(L, 1);
  if (text) luaL_traceback(L, L, text, 1);
  return 1;
}

/* Calls the chunk below its n arguments; on `status` or an error raises what stands on top.   [-(n+1), +0, v] */
static void call(lua_State *L, int status, int n) {
  int base = lua_gettop(L) - n;
  if (status == LUA_OK) {
    lua_pushcfunction(L, on_error);
    lua_insert(L, base);
    status = lua_pcall(L, n, 0, base);
    lua_remove(L, base);
  }
  if (status != LUA_OK) lua_error(L);
}

/* arg[0] is the script at `script`, what stands before it has negative indices.   [-0, +0, m] */
static void set_arg(lua_State *L, int argc, char **argv, int script) {
  lua_createtable(L, argc, 0);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

/* How many words the option at `word` takes, with itself; 0 if it is none. */
static int words_of(const char *word) {
  if (strcmp(word, "-W") == 0) return 1;
  return strcmp(word, "-e") == 0 || strcmp(word, "-l") == 0 ? 2 : 0;
}

/* Does what the option says, with the word behind it.   [-0, +0, e] */
static void obey(lua_State *L, const char *option, const char *word) {
  if (option[1] == 'W') {
    lua_warning(L, "@on", 0);
  } else if (option[1] == 'e') {
    call(L, luaL_loadbuffer(L, word, strlen(word), "=(command line)"), 0);
  } else {
    lua_getglobal(L, "require");
    lua_pushstring(L, word);
    lua_call(L, 1, 1);
    lua_setglobal(L, word);
  }
}

/* Takes argc and argv from the stack.   [-0, +0, e] */
static int l_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1), script = 1;
  char **argv = lua_touserdata(L, 2);
  while (script < argc && words_of(argv[script]) > 0 && script + words_of(argv[script]) <= argc)
    script += words_of(argv[script]);
  luaL_openlibs(L);
  set_arg(L, argc, argv, script < argc ? script : 0);
  for (int i = 1; i < script; i += words_of(argv[i])) obey(L, argv[i], argv[i + 1]);
  if (script >= argc) return 0;
  int status = luaL_loadfile(L, strcmp(argv[script], "-") == 0 ? NULL : argv[script]);
  luaL_checkstack(L, argc, "too many arguments");
  for (int i = script + 1; i < argc; i++) lua_pushstring(L, argv[i]);
  call(L, status, status == LUA_OK ? argc - script - 1 : 0);
  return 0;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (!L) return 1;
  lua_pushcfunction(L, l_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 0, 0);
  if (status != LUA_OK) fprintf(stderr, "%s: %s\n", argv[0], luaL_tolstring(L, -1, NULL));
  lua_close(L);
  return status == LUA_OK ? 0 : 1;
}
