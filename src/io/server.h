/* SPDX-License-Identifier: MIT */
/*
 * server.h - servers: each connection runs a function in a task of its own. eddy.start_server.
 * Owns:   eddy__server, a userdata that the loop anchors while it listens or has connections.
 * Uses:   listen.h, tcp.h, dns.h.      Used by: io.c.
 * Touch:  freely.
 */
#ifndef EDDY_IO_SERVER_H
#define EDDY_IO_SERVER_H

#include "io/listen.h"
#include "io/tcp.h"

enum { EDDY_PATH_SIZE = 112 };

typedef struct eddy__server eddy__server;

/* Makes the stream of an accepted descriptor and pushes it: an open one, connected. Notes it in *made as soon as it
 * exists, and sets c->fd to -1 once the stream has that. Returns 0 or a libuv code.   [-0, +1, m] */
typedef int (*eddy__server_adopt)(lua_State *L, eddy__server *s, eddy__accepted *c, eddy__stream **made);

struct eddy__server {
  eddy__acceptor acceptor; /* first */
  eddy__loop *loop;        /* valid while it is anchored */
  eddy__server_adopt adopt;
  eddy__listener *listeners;
  eddy__list connections;  /* of connection */
  eddy__list closers;      /* tasks in wait_closed */
  eddy__list forever;      /* the task in serve_forever */
  eddy__tcp_options options;
  eddy__address address;   /* of the first listener; survives the close */
  char path[EDDY_PATH_SIZE]; /* of a Unix socket instead: what `address` answers */
  size_t path_size;
  uint64_t file_dev, file_ino; /* of the socket's file, which goes with the server */
  uint32_t anchor;
  bool is_anchored, is_closed;
  char opened_at[EDDY_PLACE_SIZE];
};

/* Pushes a server that does not listen yet; its handler is the function at `handler`.   [-0, +1, m] */
eddy__server *eddy__server_new(lua_State *L, eddy__loop *loop, int handler, eddy__server_adopt adopt,
                               const eddy__tcp_options *options, size_t max);

/* It listens with one more listener, whose owner is s->acceptor. */
void eddy__server_add(eddy__server *s, eddy__listener *l);

/* Stops listening; connections go on. */
void eddy__server_close(eddy__server *s);

void eddy__server_room(lua_State *L, eddy__runtime *rt);

#endif
