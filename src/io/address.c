/* SPDX-License-Identifier: MIT */
/*
 * address.c - an IP address with its port, and its texts; see address.h.
 * Touch:  freely.
 */
#include "io/address.h"

#include <stdio.h>
#include <string.h>

int eddy__address_parse(eddy__address *a, const char *host, int port) {
  memset(a, 0, sizeof *a);
  if (uv_ip4_addr(host, port, &a->in) == 0) return 0;
  memset(a, 0, sizeof *a);
  if (uv_ip6_addr(host, port, &a->in6) == 0) return 0;
  memset(a, 0, sizeof *a);
  return UV_EINVAL;
}

void eddy__address_copy(eddy__address *a, const struct sockaddr *from) {
  memset(a, 0, sizeof *a);
  if (from->sa_family == AF_INET) memcpy(&a->in, from, sizeof a->in);
  if (from->sa_family == AF_INET6) memcpy(&a->in6, from, sizeof a->in6);
}

void eddy__address_unmap(eddy__address *a) {
  static const unsigned char prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (a->any.sa_family != AF_INET6 || memcmp(&a->in6.sin6_addr, prefix, sizeof prefix) != 0) return;
  eddy__address plain;
  memset(&plain, 0, sizeof plain);
  plain.in.sin_family = AF_INET;
  plain.in.sin_port = a->in6.sin6_port;
  memcpy(&plain.in.sin_addr, (unsigned char *)&a->in6.sin6_addr + 12, 4);
  *a = plain;
}

void eddy__address_map(eddy__address *a) {
  if (a->any.sa_family != AF_INET) return;
  eddy__address mapped;
  memset(&mapped, 0, sizeof mapped);
  mapped.in6.sin6_family = AF_INET6;
  mapped.in6.sin6_port = a->in.sin_port;
  memset((unsigned char *)&mapped.in6.sin6_addr + 10, 0xff, 2);
  memcpy((unsigned char *)&mapped.in6.sin6_addr + 12, &a->in.sin_addr, 4);
  *a = mapped;
}

bool eddy__address_is_wild(const eddy__address *a) {
  static const struct in6_addr none; /* zeroes */
  if (a->any.sa_family == AF_INET6) return memcmp(&a->in6.sin6_addr, &none, sizeof none) == 0;
  return a->any.sa_family != AF_INET || a->in.sin_addr.s_addr == 0;
}

size_t eddy__address_size(const eddy__address *a) {
  return a->any.sa_family == AF_INET6 ? sizeof a->in6 : sizeof a->in;
}

int eddy__address_port(const eddy__address *a) {
  return ntohs(a->any.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

void eddy__address_set_port(eddy__address *a, int port) {
  if (a->any.sa_family == AF_INET6)
    a->in6.sin6_port = htons((unsigned short)port);
  else
    a->in.sin_port = htons((unsigned short)port);
}

void eddy__address_host(const eddy__address *a, char *text, size_t size) {
  if (size > 0) text[0] = '\0';
  if (a->any.sa_family == AF_INET) uv_ip4_name(&a->in, text, size);
  if (a->any.sa_family != AF_INET6) return;
  uv_ip6_name(&a->in6, text, size);
  size_t used = strlen(text), left = size - used;
  if (a->in6.sin6_scope_id == 0 || left < 2) return; /* without its scope it could not be connected to again */
  text[used] = '%';
  left--;
  if (uv_if_indextoiid(a->in6.sin6_scope_id, text + used + 1, &left) < 0) text[used] = '\0';
}

void eddy__address_text(const eddy__address *a, char *text, size_t size) {
  char host[INET6_ADDRSTRLEN + 1 + UV_IF_NAMESIZE];
  eddy__address_host(a, host, sizeof host);
  if (a->any.sa_family == AF_INET6)
    snprintf(text, size, "[%s]:%d", host, eddy__address_port(a));
  else if (a->any.sa_family == AF_INET)
    snprintf(text, size, "%s:%d", host, eddy__address_port(a));
  else
    snprintf(text, size, "?");
}

/* [-0, +(0|2), m] */
int eddy__address_push(lua_State *L, const eddy__address *a) {
  char host[INET6_ADDRSTRLEN + 1 + UV_IF_NAMESIZE];
  if (a->any.sa_family != AF_INET && a->any.sa_family != AF_INET6) return 0;
  eddy__address_host(a, host, sizeof host);
  lua_pushstring(L, host);
  lua_pushinteger(L, eddy__address_port(a));
  return 2;
}
