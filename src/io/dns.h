/* SPDX-License-Identifier: MIT */
/*
 * dns.h - names and addresses: getaddrinfo, getnameinfo.
 * Owns:   look-ups under way, each for all who ask the same at that time; a cache of answers, if that is wanted.
 * Uses:   request.h, address.h.      Used by: connect.c, server.c, udp.c.
 * Touch:  freely. libuv lets look-ups have half of its threads at most (two of four), in their order, so slow ones do
 *         not starve files.
 *
 * Two files: resolve.c (look-ups, the cache), dns.c (what Lua calls).
 */
#ifndef EDDY_IO_DNS_H
#define EDDY_IO_DNS_H

#include "io/request.h"

/* A family option: "inet" or "inet6"; the AF_ number, AF_UNSPEC if there is none.   [-0, +0, v] */
int eddy__option_family(lua_State *L, int arg, const char *name);

/* A host: nil or a name without NUL; a port: nil, 0..65535 (as text in `text`, of 8 bytes) or a service name.
 *   [-0, +0, v] */
const char *eddy__check_host(lua_State *L, int arg);
int eddy__check_port(lua_State *L, int arg);

/* Looks a name up, until `deadline` at most: pushes a box and suspends. host or service may be NULL, not both.
 *   [-0, +1, y] */
int eddy__dns_lookup(lua_State *L, eddy__task *task, const char *host, const char *service,
                     const struct addrinfo *hints, uint64_t deadline, lua_KFunction k);

/* In k: the addresses, which live until the box at the top is popped (eddy__request_pop); or NULL, with a libuv code
 * in *rc, UV_ETIMEDOUT if the task was woken by its timer.   [-0, +0, v] */
const struct addrinfo *eddy__dns_result(lua_State *L, eddy__task *task, int *rc);

/* The answers that are kept: for `ttl` seconds (0: none are), at most so many. Drops those that are there. */
void eddy__dns_cache(lua_State *L, lua_Number ttl, size_t max);

/* Opens resolve.c.   [-0, +0, m] */
void eddy__dns_open(lua_State *L);

void eddy__dns_room(lua_State *L, eddy__runtime *rt);

#endif
