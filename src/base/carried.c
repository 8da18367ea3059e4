/* SPDX-License-Identifier: MIT */
/*
 * carried.c - the modules that are written in Lua, lua/eddy/NAME.lua: they travel inside the library.
 * Owns:   nothing; the bytes are constants that the build makes of the files (cmake/carry.cmake).
 * Uses:   Lua alone.      Used by: eddy.c, and the rooms whose functions go on in Lua.
 * Touch:  freely. They go before files that package.path finds, which may be another version's. A debug build reads
 *         them from the tree, so that what is edited there needs no build; they are called the same.
 */
#include "carried.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "eddy."
#define FOLDER "eddy/"

typedef struct carried_file {
  const char *name;
  const unsigned char *bytes;
  size_t size;
} carried_file;

#include "carried_files.h"

#ifdef EDDY_LUA_FOLDER

typedef struct tree_file {
  FILE *file;
  char piece[4096];
} tree_file;

/* Gives Lua the file in the tree, piece by piece. */
static const char *read_piece(lua_State *L, void *data, size_t *size) {
  tree_file *s = data;
  (void)L;
  *size = fread(s->piece, 1, sizeof s->piece, s->file);
  return *size > 0 ? s->piece : NULL;
}

/* [-0, +1, m] */
static int load_chunk(lua_State *L, const carried_file *file, const char *chunk) {
  char path[1024];
  snprintf(path, sizeof path, EDDY_LUA_FOLDER "/%s.lua", file->name);
  tree_file s;
  s.file = fopen(path, "r");
  if (s.file == NULL) return luaL_error(L, "cannot open %s", path);
  int status = lua_load(L, read_piece, &s, chunk, "t");
  fclose(s.file);
  return status;
}

#else

/* [-0, +1, m] */
static int load_chunk(lua_State *L, const carried_file *file, const char *chunk) {
  return luaL_loadbuffer(L, (const char *)file->bytes, file->size, chunk);
}

#endif

/* The function of the file's main chunk, or the text of what is wrong with it.   [-0, +1, m] */
static int load(lua_State *L, const carried_file *file) {
  int status = load_chunk(L, file, lua_pushfstring(L, "@" FOLDER "%s.lua", file->name));
  lua_remove(L, -2);
  return status;
}

/* What require calls, with the module's name.   [-0, +1, e] */
static int l_load(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  bool is_ours = strncmp(name, PREFIX, sizeof PREFIX - 1) == 0;
  for (const carried_file *file = carried_files; is_ours && file->name != NULL; file++) {
    if (strcmp(file->name, name + sizeof PREFIX - 1) != 0) continue;
    if (load(L, file) != LUA_OK) return lua_error(L);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
  }
  return luaL_error(L, "eddy has no module '%s'", name);
}

/* [-0, +0, m] */
void eddy__carried_open(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const carried_file *file = carried_files; file->name != NULL; file++) {
    lua_pushfstring(L, PREFIX "%s", file->name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
      lua_pop(L, 1);
      lua_pushcfunction(L, l_load);
      lua_rawset(L, -3);
    } else {
      lua_pop(L, 2);
    }
  }
  lua_pop(L, 1);
}

/* [-0, +1, e] */
void eddy__carried_require(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushfstring(L, PREFIX "%s", name);
  lua_call(L, 1, 1);
}

bool eddy__carried_is(const char *path) {
  if (strncmp(path, FOLDER, sizeof FOLDER - 1) != 0) return false;
  path += sizeof FOLDER - 1;
  for (const carried_file *file = carried_files; file->name != NULL; file++) {
    size_t length = strlen(file->name);
    if (strncmp(path, file->name, length) == 0 && strncmp(path + length, ".lua", 4) == 0) return true;
  }
  return false;
}

bool eddy__carried_frame(const lua_Debug *ar) {
  return ar->currentline <= 0 || (*ar->source == '@' && eddy__carried_is(ar->source + 1));
}
