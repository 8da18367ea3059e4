/* SPDX-License-Identifier: MIT */
/*
 * address.h - an IP address with its port, and its texts.
 * Owns:   nothing.
 * Uses:   libuv's parsers.      Used by: tcp.c, connect.c, listen.c, dns.c.
 * Touch:  freely. Names are never resolved here.
 */
#ifndef EDDY_IO_ADDRESS_H
#define EDDY_IO_ADDRESS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

typedef union eddy__address {
  struct sockaddr any; /* sa_family 0: none */
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
} eddy__address;

/* Reads a numeric address. Returns 0, or UV_EINVAL for a name. */
int eddy__address_parse(eddy__address *a, const char *host, int port);

/* Copies one of either family; any other becomes "none". */
void eddy__address_copy(eddy__address *a, const struct sockaddr *from);

/* An IPv4 address that came through a socket for both becomes plain IPv4. */
void eddy__address_unmap(eddy__address *a);

/* The other way round, to go through such a socket. */
void eddy__address_map(eddy__address *a);

/* Whether it stands for all addresses of the host, or for none. */
bool eddy__address_is_wild(const eddy__address *a);

size_t eddy__address_size(const eddy__address *a);
int eddy__address_port(const eddy__address *a);
void eddy__address_set_port(eddy__address *a, int port);

/* Writes "127.0.0.1:80" or "[::1]:80" ("?" for none); or the host alone. */
void eddy__address_text(const eddy__address *a, char *text, size_t size);
void eddy__address_host(const eddy__address *a, char *text, size_t size);

/* Pushes host and port, or nothing for none; returns how many.   [-0, +(0|2), m] */
int eddy__address_push(lua_State *L, const eddy__address *a);

#endif
