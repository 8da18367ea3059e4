/* SPDX-License-Identifier: MIT */
/*
 * newstate.c - a Lua state as luaL_newstate makes it, with memory of its own; see arena.h.
 * Uses:   arena.h.      Used by: embed.c, threads/worker.c.
 * Touch:  freely.
 */
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"

#if defined(_WIN32) || defined(EDDY_NO_ARENA) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define PLAIN
#endif
#endif

#ifdef PLAIN
lua_State *eddy__arena_newstate(void) { return luaL_newstate(); }
#else

/* An error that nothing catches: what lua says then, before the process is aborted.   [-0, +0, -] */
static int on_panic(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  if (text == NULL) text = "error object is not a string";
  lua_writestringerror("PANIC: unprotected error in call to Lua API (%s)\n", text);
  return 0;
}

static void on_warning(void *ud, const char *text, int to_continue);

/* Warnings are off. */
static void on_warning_off(void *ud, const char *text, int to_continue) {
  if (!to_continue && strcmp(text, "@on") == 0) lua_setwarnf(ud, on_warning, ud);
}

/* The pieces of a warning after the first. */
static void on_warning_piece(void *ud, const char *text, int to_continue) {
  lua_writestringerror("%s", text);
  if (!to_continue) lua_writestringerror("%s", "\n");
  lua_setwarnf(ud, to_continue ? on_warning_piece : on_warning, ud);
}

static void on_warning(void *ud, const char *text, int to_continue) {
  if (to_continue || text[0] != '@') {
    lua_writestringerror("%s", "Lua warning: ");
    on_warning_piece(ud, text, to_continue);
  } else if (strcmp(text, "@off") == 0) {
    lua_setwarnf(ud, on_warning_off, ud);
  }
}

lua_State *eddy__arena_newstate(void) {
  eddy__arena *arena = eddy__arena_new();
  if (arena == NULL) return NULL;
  lua_State *L = lua_newstate(eddy__arena_alloc, arena);
  if (L == NULL) {
    eddy__arena_free(arena);
    return NULL;
  }
  eddy__arena_own(arena, lua_getextraspace(L)); /* which is where its block begins */
  lua_atpanic(L, on_panic);
  lua_setwarnf(L, on_warning_off, L);
  return L;
}
#endif
