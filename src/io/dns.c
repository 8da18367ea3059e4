/* SPDX-License-Identifier: MIT */
/*
 * dns.c - names and addresses, as Lua asks for them; see dns.h.
 * Touch:  freely.
 */
#include "io/dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "io/address.h"

/* --- arguments, also for the other rooms ----------------------------------------------------------------- */

/* [-0, +0, v] */
int eddy__option_family(lua_State *L, int arg, const char *name) {
  static const char *const names[] = {"inet", "inet6", NULL};
  static const int families[] = {AF_INET, AF_INET6, AF_UNSPEC};
  return families[eddy__option_choice(L, arg, name, names, 2)];
}

/* [-0, +0, v] */
const char *eddy__check_host(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return NULL;
  if (lua_type(L, arg) != LUA_TSTRING) eddy__arg_expected(L, arg, "string");
  size_t size;
  const char *host = lua_tolstring(L, arg, &size);
  eddy__arg_check(L, size > 0, arg, "an empty host");
  eddy__arg_check(L, strlen(host) == size, arg, "a host cannot contain a zero byte");
  return host;
}

/* [-0, +0, v] */
int eddy__check_port(lua_State *L, int arg) {
  lua_Integer port = eddy__check_integer(L, arg);
  eddy__arg_check(L, port >= 0 && port <= 65535, arg, "a port is between 0 and 65535");
  return (int)port;
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

static const char *const type_names[] = {"stream", "dgram", "raw", NULL};
static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, 0};

static const struct {
  const char *name;
  int flag;
} flags[] = {{"passive", AI_PASSIVE},
             {"canonname", AI_CANONNAME},
             {"numerichost", AI_NUMERICHOST},
             {"numericserv", AI_NUMERICSERV},
             {"v4mapped", AI_V4MAPPED},
             {"all", AI_ALL},
             {"addrconfig", AI_ADDRCONFIG}};

/* The flag at the top of the stack, a name.   [-1, +0, v] */
static int pop_flag(lua_State *L, int arg) {
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    if (!eddy__arg_is(L, -1, flags[i].name)) continue;
    lua_pop(L, 1);
    return flags[i].flag;
  }
  const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
  return eddy__arg_error(L, arg, lua_pushfstring(L, "option 'flags': unknown value '%s'", name));
}

/* The option `flags`: a name or a list of names.   [-0, +0, v] */
static int option_flags(lua_State *L, int arg) {
  int all = 0;
  if (!lua_istable(L, arg)) return 0;
  int type = lua_getfield(L, arg, "flags");
  if (type == LUA_TSTRING) return pop_flag(L, arg);
  if (type != LUA_TNIL && type != LUA_TTABLE)
    eddy__arg_error(L, arg, "option 'flags': string or list of strings expected");
  lua_Integer n = type == LUA_TTABLE ? (lua_Integer)lua_rawlen(L, -1) : 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, -1, i);
    all |= pop_flag(L, arg);
  }
  lua_pop(L, 1);
  return all;
}

/* Pushes the table for one address.   [-0, +1, m] */
static void push_found(lua_State *L, const struct addrinfo *a) {
  eddy__address address;
  eddy__address_copy(&address, a->ai_addr);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, a->ai_family == AF_INET6 ? "inet6" : "inet");
  lua_setfield(L, -2, "family");
  for (int i = 0; type_names[i] != NULL; i++) {
    if (types[i] != a->ai_socktype) continue;
    lua_pushstring(L, type_names[i]);
    lua_setfield(L, -2, "type");
  }
  eddy__address_push(L, &address);
  lua_setfield(L, -3, "port");
  lua_setfield(L, -2, "address");
  if (a->ai_canonname == NULL) return;
  lua_pushstring(L, a->ai_canonname);
  lua_setfield(L, -2, "canonname");
}

static int k_getaddrinfo(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  int rc, n = 0;
  const struct addrinfo *a = eddy__dns_result(L, (eddy__task *)ctx, &rc);
  if (rc < 0) {
    const char *host = lua_tostring(L, 1);
    return eddy__raise_about(L, rc, "getaddrinfo", "address", host);
  }
  lua_newtable(L);
  for (; a != NULL; a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    push_found(L, a);
    lua_rawseti(L, -2, ++n);
  }
  lua_insert(L, -2);
  eddy__request_pop(L);
  return 1;
}

/* eddy.getaddrinfo(host, port, {family, type, flags}) -> list   [-0, +1, y] */
static int l_getaddrinfo(lua_State *L) {
  static const char *const options[] = {"family", "type", "flags", NULL};
  struct addrinfo hints;
  char port[8];
  const char *host = eddy__check_host(L, 1), *service = NULL;
  if (lua_type(L, 2) == LUA_TSTRING) {
    size_t size;
    service = lua_tolstring(L, 2, &size);
    eddy__arg_check(L, strlen(service) == size, 2, "a service cannot contain a zero byte");
  } else if (!lua_isnoneornil(L, 2)) {
    snprintf(port, sizeof port, "%d", eddy__check_port(L, 2));
    service = port;
  }
  eddy__arg_check(L, host != NULL || service != NULL, 1, "neither a host nor a port");
  eddy__check_options(L, 3, options);
  memset(&hints, 0, sizeof hints);
  hints.ai_family = eddy__option_family(L, 3, "family");
  hints.ai_socktype = types[eddy__option_choice(L, 3, "type", type_names, 3)];
  hints.ai_flags = option_flags(L, 3);
  eddy__task *task = eddy__running(L, "getaddrinfo");
  lua_settop(L, 3);
  return eddy__dns_lookup(L, task, host, service, &hints, EDDY_NEVER, k_getaddrinfo);
}

/* --- getnameinfo --------------------------------------------------------------------------------------------- */

typedef struct naming {
  eddy__request request; /* first */
  uv_getnameinfo_t uv;
  int rc;
} naming;

static void release_naming(eddy__request *r) { free(r); }

static void on_named(uv_getnameinfo_t *uv, int status, const char *host, const char *service) {
  naming *n = eddy__container_of(uv, naming, uv);
  (void)host, (void)service; /* they stand in the request */
  n->rc = status;
  eddy__request_done(&n->request);
}

static const eddy__wait wait_naming = {"getnameinfo", eddy__request_cancel, true};

static int k_getnameinfo(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  naming *n = (naming *)eddy__request_take(L, (eddy__task *)ctx);
  int rc = n == NULL ? UV_ECANCELED : n->rc;
  if (rc < 0) return eddy__raise_about(L, rc, "getnameinfo", "address", lua_tostring(L, 1));
  lua_pushstring(L, n->uv.host);
  lua_pushstring(L, n->uv.service);
  lua_pushvalue(L, 3);
  eddy__request_pop(L);
  return 2;
}

/* eddy.getnameinfo(host, port) -> name, service   [-0, +2, y] */
static int l_getnameinfo(lua_State *L) {
  eddy__address address;
  const char *host = eddy__check_host(L, 1);
  if (host == NULL) return eddy__arg_expected(L, 1, "string");
  int port = lua_isnoneornil(L, 2) ? 0 : eddy__check_port(L, 2);
  eddy__arg_check(L, eddy__address_parse(&address, host, port) == 0, 1, "a numeric address is expected");
  eddy__task *task = eddy__running(L, "getnameinfo");
  lua_settop(L, 2);
  eddy__request_box(L);
  naming *n = calloc(1, sizeof *n);
  eddy__request_own(L, (eddy__request *)n, (uv_req_t *)(n == NULL ? NULL : &n->uv), task, release_naming);
  int rc = uv_getnameinfo(task->future.loop->uv, &n->uv, on_named, &address.any, 0);
  if (rc < 0) return eddy__raise_about(L, rc, "getnameinfo", "address", host);
  return eddy__request_wait(L, &n->request, &wait_naming, k_getnameinfo);
}

/* --- the cache ----------------------------------------------------------------------------------------------- */

/* eddy.set_dns_cache{ttl = seconds, max = n}, or nil for none   [-0, +0, v] */
static int l_set_dns_cache(lua_State *L) {
  static const char *const options[] = {"ttl", "max", NULL};
  bool has = eddy__check_options(L, 1, options);
  lua_Number ttl = eddy__option_seconds(L, 1, "ttl", has ? 60 : 0);
  lua_Integer max = eddy__option_integer(L, 1, "max", 1, (lua_Integer)1 << 30, 256);
  eddy__dns_cache(L, ttl, (size_t)max);
  return 0;
}

/* [-0, +0, m] */
void eddy__dns_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"getaddrinfo", l_getaddrinfo},
                                       {"getnameinfo", l_getnameinfo},
                                       {"set_dns_cache", l_set_dns_cache},
                                       {NULL, NULL}};
  eddy__dns_open(L);
  eddy__runtime_functions(L, rt, functions);
}
