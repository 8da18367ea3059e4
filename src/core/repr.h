/* SPDX-License-Identifier: MIT */
/*
 * repr.h - eddy.repr: a value as a person wants to read it.
 * Owns:   nothing.
 * Uses:   runtime.h.      Used by: eddy.c; the prompt, as Lua calls it.
 * Touch:  freely.
 */
#ifndef EDDY_CORE_REPR_H
#define EDDY_CORE_REPR_H

#include "core/runtime.h"

/* Adds the function repr to the module table at the top.   [-0, +0, m] */
void eddy__repr_room(lua_State *L, eddy__runtime *rt);

#endif
