/* SPDX-License-Identifier: MIT */
/*
 * object.h - userdata with a type that cannot be forged: the metatable lies in the registry under the
 *            address of a static, and is compared by identity, never by its name.
 * Owns:   the metatables, one per type and state.
 * Uses:   Lua.      Used by: every room that hands an object to Lua.
 * Touch:  freely.
 */
#ifndef EDDY_BASE_OBJECT_H
#define EDDY_BASE_OBJECT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

/* A type: its address is its identity. */
typedef struct eddy__type {
  const char *name; /* as texts and errors call it: "Task" */
} eddy__type;

/* Makes the metatable of a type unless this state has it, with methods under __index (which are added to the
 * methods of `base` when that is not NULL). Functions get the value at `up` (an absolute index; 0 for none)
 * as their upvalue 1. Leaves the metatable on the stack.   [-0, +1, m] */
void eddy__object_type(lua_State *L, const eddy__type *type, const eddy__type *base,
                       const luaL_Reg *methods, const luaL_Reg *meta, int up);

/* A new userdata of the type with `nuv` user values; its memory is zeroed.   [-0, +1, m] */
void *eddy__object_new(lua_State *L, const eddy__type *type, size_t size, int nuv);

/* The object at idx if it is of that type, else NULL.   [-0, +0, -] */
void *eddy__object_test(lua_State *L, int idx, const eddy__type *type);

/* The same, raising "bad argument" when it is not.   [-0, +0, v] */
void *eddy__object_check(lua_State *L, int arg, const eddy__type *type);

/* Notes the object at idx under its address `key`, without keeping it alive; pushes it again, or nothing when it was
 * collected (false).   [-0, +0, m] and [-0, +(0|1), -] */
void eddy__object_remember(lua_State *L, int idx, const void *key);
bool eddy__object_push(lua_State *L, const void *key);

/* Pushes the metatable of the type.   [-0, +1, -] */
void eddy__object_meta(lua_State *L, const eddy__type *type);

#endif
