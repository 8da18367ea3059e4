/* SPDX-License-Identifier: MIT */
/*
 * object.h - userdata with a type that cannot be forged: behind each object's own memory stands a stamp, made of the
 *            address of its type and a secret of the process. Looking at it takes two calls of Lua's API, and neither a
 *            table with the same __name nor a metatable set by debug.setmetatable is taken for it.
 * Owns:   the metatables, one per type and state, in the registry under the address of the type; the secret.
 * Uses:   Lua.      Used by: every room that hands an object to Lua.
 * Touch:  freely.
 */
#ifndef EDDY_BASE_OBJECT_H
#define EDDY_BASE_OBJECT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A type: its address is its identity. */
typedef struct eddy__type {
  const char *name; /* as texts and errors call it: "Task" */
} eddy__type;

/* Set once, before the first type is made. */
extern uint64_t eddy__object_secret;

/* Makes the metatable of a type unless this state has it, with methods under __index (which are added to the
 * methods of `base` when that is not NULL). Functions get the value at `up` (an absolute index; 0 for none)
 * as their upvalue 1. Leaves the metatable on the stack.   [-0, +1, m] */
void eddy__object_type(lua_State *L, const eddy__type *type, const eddy__type *base,
                       const luaL_Reg *methods, const luaL_Reg *meta, int up);

/* A new userdata of the type with `nuv` user values; its memory is zeroed.   [-0, +1, m] */
void *eddy__object_new(lua_State *L, const eddy__type *type, size_t size, int nuv);

/* The same for whoever knows an integer key of the registry where the metatable is.   [-0, +1, m] */
void *eddy__object_make(lua_State *L, const eddy__type *type, int meta, size_t size, int nuv);

/* The stamp of all objects of a type; never 0. */
static inline uint64_t eddy__object_stamp(const eddy__type *type) {
  return eddy__object_secret ^ (uint64_t)(uintptr_t)type;
}

/* The stamp of the value at idx, and in *object its address: 0 when it is no userdata with room for one.
 *   [-0, +0, -] */
static inline uint64_t eddy__object_look(lua_State *L, int idx, void **object) {
  uint64_t stamp;
  *object = lua_touserdata(L, idx);
  if (*object == NULL) return 0;
  size_t size = (size_t)lua_rawlen(L, idx);
  if (size < sizeof stamp) return 0; /* a light userdata has none */
  memcpy(&stamp, (char *)*object + size - sizeof stamp, sizeof stamp);
  return stamp;
}

/* The object at idx if it is of that type, else NULL.   [-0, +0, -] */
static inline void *eddy__object_test(lua_State *L, int idx, const eddy__type *type) {
  void *object;
  return eddy__object_look(L, idx, &object) == eddy__object_stamp(type) ? object : NULL;
}

/* The same, raising "bad argument" when it is not.   [-0, +0, v] */
void *eddy__object_check(lua_State *L, int arg, const eddy__type *type);

/* Notes the object at idx under its address `key`, without keeping it alive; pushes it again, or nothing when it was
 * collected (false).   [-0, +0, m] and [-0, +(0|1), -] */
void eddy__object_remember(lua_State *L, int idx, const void *key);
bool eddy__object_push(lua_State *L, const void *key);

/* Pushes the table of all that is remembered: addresses to objects, some of which may be about to be collected.
 *   [-0, +1, m] */
void eddy__object_push_remembered(lua_State *L);

/* The one object of its kind that a state has, under `key` in the registry to the state's end: made when it is first
 * asked for, its memory zeroed. It has no type, as no script gets it. Pushes it.   [-0, +1, m] */
void *eddy__object_single(lua_State *L, const void *key, size_t size, int nuv, lua_CFunction gc);

/* In its `gc`: the object at 1; NULL if a script has found the function and calls it with something else.
 * Leaves that at 1 alone.   [-n, +0, -] */
void *eddy__object_single_ends(lua_State *L, const void *key);

/* Pushes the metatable of the type.   [-0, +1, -] */
void eddy__object_meta(lua_State *L, const eddy__type *type);

#endif
