/* SPDX-License-Identifier: MIT */
/*
 * error.h - error classes; libuv code in, OSError out; the only maker of eddy's errors.
 * Owns:   the classes: Lua tables, one set per state, in the registry under the addresses of statics.
 * Uses:   Lua, libuv's names of codes.      Used by: every room.
 * Touch:  freely. An error is a table whose metatable is its class, so it can carry any field.
 */
#ifndef EDDY_BASE_ERROR_H
#define EDDY_BASE_ERROR_H

#include <lua.h>
#include <stdbool.h>

#include "base/noreturn.h"
#include <stdint.h>

typedef enum eddy__class {
  EDDY_E_ERROR,
  EDDY_E_CANCELLED,
  EDDY_E_TIMEOUT,
  EDDY_E_INVALID_STATE,
  EDDY_E_RUNTIME,
  EDDY_E_QUEUE_EMPTY,
  EDDY_E_QUEUE_FULL,
  EDDY_E_QUEUE_SHUT_DOWN,
  EDDY_E_BROKEN_BARRIER,
  EDDY_E_INCOMPLETE_READ,
  EDDY_E_LIMIT_OVERRUN,
  EDDY_E_BROKEN_WORKER,
  EDDY_E_INTERRUPTED,
  EDDY_E_DEADLOCK,
  EDDY_E_OS,
  EDDY_E_GROUP,
  EDDY_E_COUNT
} eddy__class;

/* Makes the classes unless this state has them, and sets them, is_error too, as fields of the table at the
 * top.   [-0, +0, m] */
void eddy__error_open(lua_State *L);

/* Pushes a new error with a message.   [-0, +1, m] */
void eddy__error_push(lua_State *L, eddy__class c, const char *format, ...);

/* Raises it.   [-0, +0, v] */
int eddy__error_throw(lua_State *L, eddy__class c, const char *format, ...) EDDY_NORETURN;

/* Pops a message (any value, nil for none) and pushes an error that carries it.   [-1, +1, m] */
void eddy__error_wrap(lua_State *L, eddy__class c);

/* Whether the value at idx is an error of that class or of one below it.   [-0, +0, -] */
bool eddy__error_is(lua_State *L, int idx, eddy__class c);

/* Pushes or raises the OSError for a libuv code: `syscall` names the operation ("open"), `subject` what it was
 * done to (a path or an address) or is NULL; `field` is where the subject stands ("path" or "address").
 *   [-0, +1, m] and [-0, +0, v] */
void eddy__os_error_push(lua_State *L, int rc, const char *syscall, const char *field,
                         const char *subject);
int eddy__raise(lua_State *L, int rc, const char *syscall) EDDY_NORETURN;
int eddy__raise_about(lua_State *L, int rc, const char *syscall, const char *field,
                      const char *subject) EDDY_NORETURN;

/* Pops a list of errors and pushes the ExceptionGroup of them.   [-1, +1, m] */
void eddy__group_push(lua_State *L, const char *message);

/* Pushes text for any value, as a message shows it: a string as it is, an error by its tostring, a plain table
 * with its fields. Never raises but for memory.   [-0, +1, m] */
const char *eddy__error_text(lua_State *L, int idx);

/* --- classes that move from state to state ------------------------------------------------------------------- */

/* What the value at idx is: one of eddy's own classes, EDDY_E_COUNT for one made by extend, -1 for no class.
 *   [-0, +0, -] */
int eddy__error_class_at(lua_State *L, int idx);

/* Pushes one of eddy's own; the class above the one at idx, or nil.   [-0, +1, -] */
void eddy__error_class_push(lua_State *L, eddy__class c);
void eddy__error_class_above(lua_State *L, int idx);

/* The identity of a class made by extend: the copies of it in other states have the same.   [-0, +0, -] */
int64_t eddy__error_class_id(lua_State *L, int idx);

/* Pushes the class of that identity; a new one, which wants to be completed, if this state has none.   [-0, +1, m] */
void eddy__error_class_known(lua_State *L, int64_t id);

/* Pops the class above the one at idx. Returns whether that was new: it is complete now but for its fields.
 *   [-1, +0, m] */
bool eddy__error_class_complete(lua_State *L, int idx);

#endif
