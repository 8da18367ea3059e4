/* SPDX-License-Identifier: MIT */
/*
 * stream_pair.h - eddy.stream_pair: two connected streams in memory, as slow and as broken as a test wants them.
 * Owns:   nothing outside of stream_pair.c.
 * Uses:   stream.h.      Used by: io.c.
 * Touch:  freely.
 */
#ifndef EDDY_IO_STREAM_PAIR_H
#define EDDY_IO_STREAM_PAIR_H

#include "core/runtime.h"

void eddy__stream_pair_room(lua_State *L, eddy__runtime *rt);

#endif
