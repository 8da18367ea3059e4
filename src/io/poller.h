/* SPDX-License-Identifier: MIT */
/*
 * poller.h - callbacks for descriptors of others: loop:add_reader, add_writer.
 * Owns:   a poller for each such descriptor, and a duplicate of the descriptor.
 * Uses:   core/callback.h, handle.h.      Used by: io.c.
 * Touch:  with care. libuv aborts when a descriptor that it watches is closed too early, and mixes up handles when its
 *         number is used again. The duplicate is nobody else's; whether the descriptor itself is still open is looked
 *         at before each poll.
 */
#ifndef EDDY_IO_POLLER_H
#define EDDY_IO_POLLER_H

#include "core/runtime.h"

void eddy__poller_room(lua_State *L, eddy__runtime *rt);

#endif
