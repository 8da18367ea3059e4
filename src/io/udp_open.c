/* SPDX-License-Identifier: MIT */
/*
 * udp_open.c - eddy.open_datagram: from options to a socket; what can be set in one; see udp.h.
 * Touch:  freely. Names are looked up before anything is open.
 *
 * The stack while it opens: 1 options, 2 an `opening`.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/args.h"
#include "base/error.h"
#include "io/dns.h"
#include "io/udp.h"

enum { LOCAL, REMOTE, ENDS };
static const char *const names[] = {"local_addr", "remote_addr"};

typedef struct opening {
  eddy__address addresses[ENDS];
  bool has[ENDS], is_named[ENDS]; /* is_named: its host is still to be looked up */
  int ports[ENDS];
  int family;                     /* AF_UNSPEC: that of the addresses */
  int at;                         /* which of the two is looked up */
  bool reuse_port, broadcast;
} opening;

/* --- options ------------------------------------------------------------------------------------------------- */

/* Pushes the host of an address option.   [-0, +1, -] */
static const char *push_host(lua_State *L, int end) {
  lua_getfield(L, 1, names[end]);
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

/* The option local_addr or remote_addr = {host, port}.   [-0, +0, v] */
static void check_address(lua_State *L, opening *o, int end) {
  if (!lua_istable(L, 1)) return;
  int type = lua_getfield(L, 1, names[end]);
  if (type == LUA_TNIL) {
    lua_settop(L, 2);
    return;
  }
  if (type != LUA_TTABLE)
    eddy__arg_error(L, 1, lua_pushfstring(L, "option '%s': table {host, port} expected", names[end]));
  for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) /* {host = "…"} would be any address */
    if (lua_type(L, -2) == LUA_TSTRING)
      eddy__arg_error(L, 1, lua_pushfstring(L, "option '%s': table {host, port} expected, without names", names[end]));
  int is_integer = 1, host = lua_rawgeti(L, 3, 1);
  lua_Integer port = lua_rawgeti(L, 3, 2) == LUA_TNIL ? 0 : lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || port < 0 || port > 65535)
    eddy__arg_error(L, 1, lua_pushfstring(L, "option '%s': a port is between 0 and 65535", names[end]));
  size_t size = 0;
  const char *text = host == LUA_TSTRING ? lua_tolstring(L, 4, &size) : NULL;
  if ((host != LUA_TNIL && (text == NULL || size == 0 || strlen(text) != size)) || (text == NULL && end == REMOTE))
    eddy__arg_error(L, 1, lua_pushfstring(L, "option '%s': a host is a name or an address", names[end]));
  o->has[end] = text != NULL || port != 0;
  o->ports[end] = (int)port;
  o->is_named[end] = text != NULL && eddy__address_parse(&o->addresses[end], text, (int)port) < 0;
  if (o->addresses[end].any.sa_family != 0 && !o->is_named[end]) {
    if (o->family != AF_UNSPEC && o->family != o->addresses[end].any.sa_family)
      eddy__arg_error(L, 1, lua_pushfstring(L, "option '%s': the address is of another family", names[end]));
    o->family = o->addresses[end].any.sa_family;
  }
  lua_settop(L, 2);
}

/* --- opening ------------------------------------------------------------------------------------------------- */

static int set_reuse_port(const eddy__udp *u) {
#ifdef SO_REUSEPORT
  uv_os_fd_t fd;
  int on = 1, rc = uv_fileno((const uv_handle_t *)&u->uv, &fd);
  if (rc < 0) return rc;
  return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 ? 0 : uv_translate_sys_error(errno);
#else
  (void)u;
  return UV_ENOTSUP;
#endif
}

/* Notes the names of a socket: what it is connected to decides how it sends. Returns 0 or a libuv code. */
static int note_names(eddy__udp *u) {
  eddy__address a;
  int size = sizeof a;
  int rc = uv_udp_getsockname(&u->uv, &a.any, &size);
  if (rc < 0) return rc;
  eddy__address_copy(&u->local, &a.any);
  size = sizeof a;
  if (u->is_connected) rc = uv_udp_getpeername(&u->uv, &a.any, &size);
  if (u->is_connected && rc == 0) eddy__address_copy(&u->peer, &a.any);
  return rc;
}

/* All addresses are known: a socket. Returns 0, or a libuv code with what has failed.   [-0, +1, v] */
static int open_socket(lua_State *L, const opening *o, eddy__loop *loop, const char **failed) {
  int rc, family = o->family == AF_UNSPEC ? AF_INET : o->family;
  eddy__address local = o->addresses[LOCAL];
  *failed = "socket";
  eddy__udp *u = eddy__udp_new(L, loop, family, &rc);
  if (u == NULL) return rc;
  *failed = "setsockopt";
  if (o->reuse_port) rc = set_reuse_port(u);
  if (rc == 0 && local.any.sa_family == 0) {
    local.any.sa_family = (sa_family_t)family; /* zeroes are "any" in both families */
    eddy__address_set_port(&local, o->ports[LOCAL]);
  }
  if (rc == 0) {
    *failed = "bind";
    rc = uv_udp_bind(&u->uv, &local.any, 0);
  }
  if (rc == 0 && o->broadcast) {
    *failed = "setsockopt";
    rc = uv_udp_set_broadcast(&u->uv, 1);
  }
  if (rc == 0 && o->has[REMOTE]) {
    *failed = "connect";
    rc = uv_udp_connect(&u->uv, &o->addresses[REMOTE].any);
    u->is_connected = rc == 0;
  }
  if (rc == 0) {
    *failed = "getsockname";
    rc = note_names(u);
  }
  if (rc < 0) eddy__handle_close(&u->handle);
  return rc;
}

/* [-0, +1, v] */
static int finish(lua_State *L, opening *o, eddy__loop *loop) {
  const char *failed;
  int rc = open_socket(L, o, loop, &failed);
  if (rc == 0) return 1;
  char text[EDDY_PLACE_SIZE];
  const eddy__address *about = strcmp(failed, "connect") == 0 ? &o->addresses[REMOTE] : &o->addresses[LOCAL];
  eddy__address_text(about, text, sizeof text);
  return eddy__raise_about(L, rc, failed, "address", about->any.sa_family != 0 ? text : NULL);
}

static int k_resolved(lua_State *L, int status, lua_KContext ctx);

/* Looks up the next name, or opens the socket.   [-0, +1, y] */
static int go_on(lua_State *L, opening *o, eddy__loop *loop) {
  lua_settop(L, 2);
  for (; o->at < ENDS; o->at++) {
    if (!o->is_named[o->at]) continue;
    struct addrinfo hints;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = o->family;
    hints.ai_socktype = SOCK_DGRAM;
    eddy__task *task = eddy__running_on(L, loop, "open_datagram");
    const char *host = push_host(L, o->at);
    return eddy__dns_lookup(L, task, host, NULL, &hints, EDDY_NEVER, k_resolved);
  }
  return finish(L, o, loop);
}

/* [-0, +1, y] */
static int k_resolved(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  opening *o = lua_touserdata(L, 2);
  int rc;
  const struct addrinfo *found = eddy__dns_result(L, task, &rc);
  if (rc < 0) return eddy__raise_about(L, rc, "getaddrinfo", "address", lua_tostring(L, 3));
  eddy__address_copy(&o->addresses[o->at], found->ai_addr);
  eddy__address_set_port(&o->addresses[o->at], o->ports[o->at]);
  o->family = o->addresses[o->at].any.sa_family;
  o->is_named[o->at++] = false;
  eddy__request_pop(L);
  return go_on(L, o, task->future.loop);
}

/* eddy.open_datagram(options) -> Datagram   [-0, +1, y] */
int eddy__udp_l_open(lua_State *L) {
  static const char *const options[] = {"local_addr", "remote_addr", "broadcast", "reuse_port", "family", NULL};
  eddy__check_options(L, 1, options);
  lua_settop(L, 1);
  opening *o = lua_newuserdatauv(L, sizeof *o, 0);
  memset(o, 0, sizeof *o);
  luaL_checkstack(L, 10, NULL);
  o->family = eddy__option_family(L, 1, "family");
  o->broadcast = eddy__option_boolean(L, 1, "broadcast", false);
  o->reuse_port = eddy__option_boolean(L, 1, "reuse_port", false);
  check_address(L, o, LOCAL);
  check_address(L, o, REMOTE);
  return go_on(L, o, eddy__loop_running(L, "open_datagram"));
}

/* --- settings ------------------------------------------------------------------------------------------------ */

/* socket:join(group, interface), socket:leave(group, interface)   [-0, +0, v] */
static int set_membership(lua_State *L, uv_membership membership, const char *name) {
  eddy__address group;
  eddy__udp_check(L);
  if (lua_type(L, 2) != LUA_TSTRING) eddy__arg_expected(L, 2, "string");
  const char *host = eddy__check_host(L, 2), *interface = eddy__check_host(L, 3);
  eddy__arg_check(L, eddy__address_parse(&group, host, 0) == 0, 2, "a numeric address is expected");
  eddy__udp *u = eddy__udp_check_open(L, name);
  int rc = uv_udp_set_membership(&u->uv, host, interface, membership);
  return rc < 0 ? eddy__raise_about(L, rc, name, "address", host) : 0;
}

static int l_join(lua_State *L) { return set_membership(L, UV_JOIN_GROUP, "join"); }

static int l_leave(lua_State *L) { return set_membership(L, UV_LEAVE_GROUP, "leave"); }

/* A number of hops.   [-0, +0, v] */
static int set_hops(lua_State *L, int (*set)(uv_udp_t *, int), const char *name) {
  eddy__udp_check(L);
  lua_Integer n = eddy__check_integer(L, 2);
  eddy__arg_check(L, n >= 1 && n <= 255, 2, "a number of hops is between 1 and 255");
  eddy__udp *u = eddy__udp_check_open(L, name);
  int rc = set(&u->uv, (int)n);
  return rc < 0 ? eddy__raise(L, rc, "setsockopt") : 0;
}

/* socket:set_ttl(hops), socket:set_multicast_ttl(hops)   [-0, +0, v] */
static int l_set_ttl(lua_State *L) { return set_hops(L, uv_udp_set_ttl, "set_ttl"); }

static int l_set_multicast_ttl(lua_State *L) { return set_hops(L, uv_udp_set_multicast_ttl, "set_multicast_ttl"); }

/* socket:set_loop(on): whether this host hears what it sends to a group   [-0, +0, v] */
static int l_set_loop(lua_State *L) {
  eddy__udp_check(L);
  if (!lua_isboolean(L, 2)) return eddy__arg_expected(L, 2, "boolean");
  eddy__udp *u = eddy__udp_check_open(L, "set_loop");
  int rc = uv_udp_set_multicast_loop(&u->uv, lua_toboolean(L, 2));
  return rc < 0 ? eddy__raise(L, rc, "setsockopt") : 0;
}

/* socket:set_multicast_interface(address)   [-0, +0, v] */
static int l_set_multicast_interface(lua_State *L) {
  eddy__udp_check(L);
  if (lua_type(L, 2) != LUA_TSTRING) eddy__arg_expected(L, 2, "string");
  const char *interface = eddy__check_host(L, 2);
  eddy__udp *u = eddy__udp_check_open(L, "set_multicast_interface");
  int rc = uv_udp_set_multicast_interface(&u->uv, interface);
  return rc < 0 ? eddy__raise_about(L, rc, "setsockopt", "address", interface) : 0;
}

/* socket:fileno() -> descriptor   [-0, +1, v] */
static int l_fileno(lua_State *L) {
  eddy__udp *u = eddy__udp_check_open(L, "fileno");
  uv_os_fd_t fd;
  int rc = uv_fileno((uv_handle_t *)&u->uv, &fd);
  if (rc < 0) return eddy__raise(L, rc, "fileno");
  lua_pushinteger(L, (lua_Integer)fd);
  return 1;
}

const luaL_Reg eddy__udp_settings[] = {{"join", l_join},
                                       {"leave", l_leave},
                                       {"set_ttl", l_set_ttl},
                                       {"set_multicast_ttl", l_set_multicast_ttl},
                                       {"set_multicast_interface", l_set_multicast_interface},
                                       {"set_loop", l_set_loop},
                                       {"fileno", l_fileno},
                                       {NULL, NULL}};
