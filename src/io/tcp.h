/* SPDX-License-Identifier: MIT */
/*
 * tcp.h - what TCP adds to a stream: names, options, a connect under way.
 * Owns:   eddy__tcp.
 * Uses:   stream.h, address.h.      Used by: connect.c, server.c.
 * Touch:  freely.
 */
#ifndef EDDY_IO_TCP_H
#define EDDY_IO_TCP_H

#include "io/address.h"
#include "io/stream.h"

typedef struct eddy__tcp {
  eddy__stream stream; /* first */
  eddy__address local, peer; /* they survive the close */
  uv_connect_t connect;
  struct eddy__race *race; /* that it takes part in while it connects; or NULL */
  int connect_rc;          /* 1 while it is under way */
} eddy__tcp;

/* What open_connection and start_server do to each connection. */
typedef struct eddy__tcp_options {
  bool nodelay;
  unsigned keepalive; /* seconds until the first probe; 0: off */
  size_t limit;
} eddy__tcp_options;

/* Reads the options nodelay, keepalive and limit of the table at arg.   [-0, +0, v] */
void eddy__tcp_check_options(lua_State *L, int arg, eddy__tcp_options *o);

/* A new TCP stream, open, without a connection yet.   [-0, +1, v] */
eddy__tcp *eddy__tcp_new(lua_State *L, eddy__loop *loop, const eddy__tcp_options *o);

/* It is connected: notes its names, asking for those that are NULL, and sets its options. */
void eddy__tcp_connected(eddy__tcp *t, const eddy__tcp_options *o, const eddy__address *local,
                         const eddy__address *peer);

void eddy__tcp_room(lua_State *L, eddy__runtime *rt);

/* connect.c: open_connection; it is being closed while it connects. */
void eddy__connect_leave(eddy__tcp *t);
void eddy__connect_room(lua_State *L, eddy__runtime *rt);

#endif
