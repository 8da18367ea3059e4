/* SPDX-License-Identifier: MIT */
/*
 * udp.h - datagrams: eddy.open_datagram.
 * Owns:   sockets, in malloc'd memory that libuv and a userdata share; datagrams that have come and were not taken.
 * Uses:   handle.h, park.h, dns.h, address.h, blocks.h, core/select.h.      Used by: io.c.
 * Touch:  freely. What is kept here is bounded; beyond that the system keeps some, and drops the rest.
 *
 * Two files: udp.c (life, receiving, sending), udp_open.c (addresses, options, the methods that set something).
 */
#ifndef EDDY_IO_UDP_H
#define EDDY_IO_UDP_H

#include "io/address.h"
#include "io/blocks.h"
#include "io/handle.h"

enum { EDDY_UDP_KEPT = 262144 }; /* bytes of datagrams; at least one is kept whatever its size */

typedef struct eddy__datagram eddy__datagram;

typedef struct eddy__udp {
  eddy__handle handle; /* first */
  uv_udp_t uv;
  eddy__blocks *blocks;
  char *block;             /* lent to libuv between its callbacks */
  eddy__address local, peer; /* of a socket that is not connected the peer is none */
  bool is_connected, is_reading;
  eddy__datagram *first, **last;
  size_t kept;
  int error;               /* of receiving: the next recv raises it */
  eddy__list receivers, watchers;
} eddy__udp;

/* A new socket of that family that is open and not bound, and its userdata. Returns NULL and a libuv code in *rc when
 * the system has none.   [-0, +1, v] */
eddy__udp *eddy__udp_new(lua_State *L, eddy__loop *loop, int family, int *rc);

/* The socket at 1; the other raises when it is closed.   [-0, +0, v] */
eddy__udp *eddy__udp_check(lua_State *L);
eddy__udp *eddy__udp_check_open(lua_State *L, const char *name);

/* udp_open.c */
int eddy__udp_l_open(lua_State *L);
extern const luaL_Reg eddy__udp_settings[];

void eddy__udp_room(lua_State *L, eddy__runtime *rt);

#endif
