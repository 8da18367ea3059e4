/* SPDX-License-Identifier: MIT */
/*
 * check.h - what the hosts in this folder share: checks that tell what failed, a state to work in.
 * Uses:   eddy.h, as the hosts do.
 */
#ifndef EDDY_SPEC_CHECK_H
#define EDDY_SPEC_CHECK_H

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eddy.h"

#define CHECK(condition) \
  ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
#define CHECK_INT(expected, actual) check_int(__FILE__, __LINE__, #actual, (expected), (actual))
#define CHECK_HAS(part, text) check_has(__FILE__, __LINE__, (part), (text))

static inline void check_failed(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
  exit(1);
}

static inline void check_int(const char *file, int line, const char *what, long long expected,
                             long long actual) {
  if (expected == actual) return;
  fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", file, line, what, actual, expected);
  exit(1);
}

static inline void check_has(const char *file, int line, const char *part, const char *text) {
  if (text != NULL && strstr(text, part) != NULL) return;
  fprintf(stderr, "%s:%d: no '%s' in: %s\n", file, line, part, text != NULL ? text : "(NULL)");
  exit(1);
}

/* A state with Lua's libraries, in which `require "eddy"` works. */
static inline lua_State *new_state(void) {
  lua_State *L = luaL_newstate();
  CHECK(L != NULL);
  luaL_openlibs(L);
  luaL_requiref(L, "eddy", luaopen_eddy, 0);
  lua_pop(L, 1);
  return L;
}

/* Opens a loop, or says why it cannot. */
static inline eddy_loop *open_loop(lua_State *L, const eddy_options *options) {
  eddy_loop *loop = eddy_open(L, options);
  if (loop == NULL) check_failed("eddy_open", 0, lua_tostring(L, -1));
  return loop;
}

/* Loads the code and spawns it; the Task is at the top. */
static inline void spawn(eddy_loop *loop, lua_State *L, const char *name, const char *code) {
  if (luaL_loadbuffer(L, code, strlen(code), name) != LUA_OK)
    check_failed(name, 0, lua_tostring(L, -1));
  if (eddy_spawn(loop, L, 0) != EDDY_OK) check_failed(name, 0, lua_tostring(L, -1));
}

#endif
