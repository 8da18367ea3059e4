/* SPDX-License-Identifier: MIT */
/*
 * unix.h - the name of a Unix socket: a path, or an abstract name of Linux, which begins with a zero byte.
 * Owns:   nothing.
 * Uses:   Lua.      Used by: pipe.c, unix_connect.c, unix_server.c.
 * Touch:  freely. A name that does not fit is refused, never cut off.
 */
#ifndef EDDY_IO_UNIX_H
#define EDDY_IO_UNIX_H

#include <lua.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/runtime.h"

enum { EDDY_UNIX_SIZE = sizeof(((struct sockaddr_un *)0)->sun_path) };

typedef struct eddy__unix {
  unsigned short size; /* of the name without a closing zero; 0: none */
  char name[EDDY_UNIX_SIZE];
} eddy__unix;

/* The name at arg; raises for what is none.   [-0, +0, v] */
void eddy__unix_check(lua_State *L, int arg, eddy__unix *u);

/* The address for bind and connect; returns its size. */
socklen_t eddy__unix_address(const eddy__unix *u, struct sockaddr_un *a);

/* The names of a socket; those of other sockets are none. */
void eddy__unix_names(int fd, eddy__unix *local, eddy__unix *peer);

/* Writes it for texts: "/run/x.sock", "@abstract", "?" for none. */
void eddy__unix_text(const eddy__unix *u, char *text, size_t size);

/* Pushes it, or nothing for none; returns how many.   [-0, +(0|1), m] */
int eddy__unix_push(lua_State *L, const eddy__unix *u);

/* unix_connect.c: open_unix_connection. unix_server.c: start_unix_server. */
void eddy__unix_connect_room(lua_State *L, eddy__runtime *rt);
void eddy__unix_server_room(lua_State *L, eddy__runtime *rt);

#endif
