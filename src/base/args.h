/* SPDX-License-Identifier: MIT */
/*
 * args.h - checks of arguments and option tables whose messages name the argument or the field.
 * Owns:   nothing.
 * Uses:   Lua.      Used by: every function that Lua calls.
 * Touch:  freely. All of these raise at the caller, before anything is open.
 */
#ifndef EDDY_BASE_ARGS_H
#define EDDY_BASE_ARGS_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/noreturn.h"

/* Notes what the function at the top is called, for errors of calls that do not tell (through pcall, say).
 *   [-0, +0, m] */
void eddy__arg_name(lua_State *L, const char *name);

/* Pushes the name of the function at idx as it was noted, or nil.   [-0, +1, -] */
void eddy__arg_name_of(lua_State *L, int idx);

/* Pushes the name of the running C function, "?" if nobody knows it.   [-0, +1, m] */
const char *eddy__arg_function(lua_State *L);

/* Raises "bad argument #arg to 'f' (<text>)" at the caller, like luaL_argerror, which knows less names.  [-0, +0, v] */
int eddy__arg_error(lua_State *L, int arg, const char *text) EDDY_NORETURN;

static inline void eddy__arg_check(lua_State *L, bool good, int arg, const char *text) {
  if (!good) eddy__arg_error(L, arg, text);
}

/* Raises "bad argument #arg to 'f' (no value)" when it is not there.   [-0, +0, v] */
static inline void eddy__arg_any(lua_State *L, int arg) {
  if (lua_isnone(L, arg)) eddy__arg_error(L, arg, "value expected");
}

/* Raises "bad argument #arg to 'f' (<expected> expected, got <type>)".   [-0, +0, v] */
int eddy__arg_expected(lua_State *L, int arg, const char *expected) EDDY_NORETURN;

/* A time in seconds: a number that is not NaN.   [-0, +0, v] */
static inline lua_Number eddy__check_seconds(lua_State *L, int arg) {
  if (lua_isinteger(L, arg)) return (lua_Number)lua_tointeger(L, arg); /* the quickest two calls, for sleep(0) */
  if (lua_type(L, arg) != LUA_TNUMBER) eddy__arg_expected(L, arg, "number");
  lua_Number seconds = lua_tonumber(L, arg);
  eddy__arg_check(L, seconds == seconds, arg, "NaN is not a time");
  return seconds;
}

/* The same, with nil or none as HUGE_VAL.   [-0, +0, v] */
lua_Number eddy__opt_seconds(lua_State *L, int arg);

/* An integer, or a float that is one; the other takes `otherwise` for nil or none.   [-0, +0, v] */
lua_Integer eddy__check_integer(lua_State *L, int arg);
lua_Integer eddy__opt_integer(lua_State *L, int arg, lua_Integer otherwise);

/* A string or a number, as lua_tolstring gives it; `otherwise` for nil or none, unless that is NULL.   [-0, +0, v] */
const char *eddy__check_string(lua_State *L, int arg, const char *otherwise, size_t *size);

/* Whether the value at idx is a string, and that one: a zero byte does not end it.   [-0, +0, -] */
bool eddy__arg_is(lua_State *L, int idx, const char *text);

/* The index in `values` (NULL ends it) of a string; `otherwise` for nil or none, unless that is NULL.
 *   [-0, +0, v] */
int eddy__check_choice(lua_State *L, int arg, const char *otherwise, const char *const values[]);

/* What the value at idx is called in messages: its __name, else its type, or "no value".   [-0, +1, m] */
const char *eddy__arg_typename(lua_State *L, int idx);

/* Whether the value at idx can be called, and is not of a type with a field __uncallable.   [-0, +0, m] */
bool eddy__arg_callable(lua_State *L, int idx);

/* A function, or an object with __call; a type with a field __uncallable is none of these.   [-0, +0, v] */
void eddy__check_function(lua_State *L, int arg);

/* Replaces the function at the top by where it stands: "file:line", "[C]", or "?" for an object with __call.
 *   [-1, +1, m] */
const char *eddy__function_place(lua_State *L);

/* Checks that argument arg is nil, none or a table whose keys all stand in `names` (NULL ends it); an unknown
 * key is "unknown option 'key'". Returns whether there is a table.   [-0, +0, v] */
bool eddy__check_options(lua_State *L, int arg, const char *const names[]);

/* One field of the option table at arg (which eddy__check_options has passed); a wrong type raises "bad
 * argument #arg to 'f' (option 'name': number expected, got string)".   [-0, +0, v] */
bool eddy__option_boolean(lua_State *L, int arg, const char *name, bool otherwise);
lua_Number eddy__option_seconds(lua_State *L, int arg, const char *name, lua_Number otherwise);
lua_Integer eddy__option_integer(lua_State *L, int arg, const char *name, lua_Integer low,
                                 lua_Integer high, lua_Integer otherwise);
/* A string that the table keeps, or NULL.   [-0, +0, v] */
const char *eddy__option_string(lua_State *L, int arg, const char *name);
/* The index in `values` (NULL ends it).   [-0, +0, v] */
int eddy__option_choice(lua_State *L, int arg, const char *name, const char *const values[],
                        int otherwise);

#endif
