/* SPDX-License-Identifier: MIT */
/*
 * poller.h - callbacks for descriptors of others: loop:add_reader, add_writer.
 * Owns:   a poller for each such descriptor, and what libuv watches in its place: an epoll with that one in it,
 *         elsewhere a duplicate.
 * Uses:   core/callback.h, handle.h.      Used by: io.c.
 * Touch:  with care. libuv aborts when a descriptor that it watches is closed too early, and mixes up handles when its
 *         number is used again; ours is nobody else's. An epoll does not keep the other one open, as a duplicate would:
 *         who closes a pipe and waits for its other end would wait for ever. Whether the script's is still what it was
 *         is looked at before each poll.
 */
#ifndef EDDY_IO_POLLER_H
#define EDDY_IO_POLLER_H

#include "core/runtime.h"

void eddy__poller_room(lua_State *L, eddy__runtime *rt);

#endif
