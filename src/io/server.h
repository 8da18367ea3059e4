/* SPDX-License-Identifier: MIT */
/*
 * server.h - eddy.start_server: each connection runs a function in a task of its own.
 * Owns:   eddy__server, a userdata that the loop anchors while it listens or has connections.
 * Uses:   listen.h, tcp.h, dns.h.      Used by: io.c.
 * Touch:  freely.
 */
#ifndef EDDY_IO_SERVER_H
#define EDDY_IO_SERVER_H

#include "core/runtime.h"

void eddy__server_room(lua_State *L, eddy__runtime *rt);

#endif
