/* SPDX-License-Identifier: MIT */
/*
 * scalars.h - a few nils, booleans and numbers that go to another state in a call itself: no parcel, nothing that could
 *             fail there.
 * Owns:   nothing.
 * Uses:   Lua.      Used by: call.c, worker.c.
 * Touch:  freely. Whatever is not plain goes in a parcel, and all with it.
 */
#ifndef EDDY_THREADS_SCALARS_H
#define EDDY_THREADS_SCALARS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

enum { EDDY_SCALARS = 4 };

typedef struct eddy__scalars {
  uint8_t n;
  uint8_t tags[EDDY_SCALARS];
  union {
    lua_Integer integer;
    lua_Number number;
  } values[EDDY_SCALARS];
} eddy__scalars;

/* Takes the n values from stack index `first` on. Returns false if they are too many, or not plain.   [-0, +0, -] */
bool eddy__scalars_take(lua_State *L, int first, int n, eddy__scalars *s);

/* Pushes them, and returns how many; there must be room for EDDY_SCALARS.   [-0, +n, -] */
int eddy__scalars_push(lua_State *L, const eddy__scalars *s);

#endif
