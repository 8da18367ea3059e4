/* SPDX-License-Identifier: MIT */
/*
 * tcp.c - what TCP adds to a stream; see tcp.h.
 * Touch:  freely.
 */
#include "io/tcp.h"

#include <stdio.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"

enum { KEEPALIVE_DELAY = 60 };

static const eddy__type type_tcp = {"TCP"};

/* --- life ---------------------------------------------------------------------------------------------------- */

static void describe(const eddy__handle *h, char *text, size_t size) {
  const eddy__tcp *t = (const eddy__tcp *)h;
  char local[EDDY_PLACE_SIZE], peer[EDDY_PLACE_SIZE];
  eddy__address_text(&t->local, local, sizeof local);
  eddy__address_text(&t->peer, peer, sizeof peer);
  snprintf(text, size, "TCP connection %s -> %s", local, peer);
}

static void on_closing(eddy__handle *h) {
  eddy__connect_leave((eddy__tcp *)h);
  eddy__stream_on_closing(h);
}

static const eddy__handle_kind kind_tcp = {describe, on_closing, eddy__stream_on_closed,
                                           eddy__stream_release};

/* A number of seconds, or a boolean.   [-0, +0, v] */
static unsigned check_keepalive(lua_State *L, int idx, int arg) {
  if (lua_isboolean(L, idx)) return lua_toboolean(L, idx) ? KEEPALIVE_DELAY : 0;
  int is_number;
  lua_Number s = lua_tonumberx(L, idx, &is_number);
  if (!is_number || lua_type(L, idx) != LUA_TNUMBER)
    eddy__arg_error(L, arg, "keepalive: boolean or number of seconds expected");
  eddy__arg_check(L, s >= 1 && s <= 32767, arg, "keepalive: between 1 and 32767 seconds");
  return (unsigned)s;
}

/* [-0, +0, v] */
void eddy__tcp_check_options(lua_State *L, int arg, eddy__tcp_options *o) {
  o->nodelay = eddy__option_boolean(L, arg, "nodelay", true);
  o->limit = (size_t)eddy__option_integer(L, arg, "limit", 1, (lua_Integer)1 << 40,
                                          EDDY_INPUT_LIMIT);
  o->keepalive = 0;
  if (!lua_istable(L, arg)) return;
  if (lua_getfield(L, arg, "keepalive") != LUA_TNIL) o->keepalive = check_keepalive(L, -1, arg);
  lua_pop(L, 1);
}

/* [-0, +1, v] */
eddy__tcp *eddy__tcp_new(lua_State *L, eddy__loop *loop, const eddy__tcp_options *o) {
  eddy__tcp *t = (eddy__tcp *)eddy__stream_new(L, loop, &type_tcp, &kind_tcp, sizeof *t, o->limit);
  int rc = uv_tcp_init(loop->uv, &t->stream.uv.tcp);
  if (rc < 0) eddy__raise(L, rc, "open a socket");
  eddy__handle_opened(&t->stream.handle);
  return t;
}

void eddy__tcp_connected(eddy__tcp *t, const eddy__tcp_options *o, const eddy__address *local,
                         const eddy__address *peer) {
  eddy__address a;
  int size = sizeof a;
  eddy__stream_is_socket(&t->stream);
  eddy__handle_identify(&t->stream.handle);
  if (local != NULL)
    t->local = *local;
  else if (uv_tcp_getsockname(&t->stream.uv.tcp, &a.any, &size) == 0)
    eddy__address_copy(&t->local, &a.any);
  size = sizeof a;
  if (peer != NULL)
    t->peer = *peer;
  else if (uv_tcp_getpeername(&t->stream.uv.tcp, &a.any, &size) == 0)
    eddy__address_copy(&t->peer, &a.any);
  eddy__address_unmap(&t->local);
  eddy__address_unmap(&t->peer);
  /* A peer that is gone already makes these fail; the first read or write will tell. */
  if (o->nodelay) (void)uv_tcp_nodelay(&t->stream.uv.tcp, 1);
  if (o->keepalive > 0) (void)uv_tcp_keepalive(&t->stream.uv.tcp, 1, o->keepalive);
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

/* [-0, +0, v] */
static eddy__tcp *check(lua_State *L) {
  eddy__tcp **box = eddy__object_check(L, 1, &type_tcp);
  eddy__arg_check(L, *box != NULL, 1, "the stream was collected");
  return *box;
}

/* [-0, +0, v] */
static eddy__tcp *check_open(lua_State *L, const char *name) {
  eddy__tcp *t = check(L);
  if (!t->stream.handle.is_open || t->stream.handle.is_closing)
    eddy__stream_raise_closed(L, &t->stream, name);
  return t;
}

/* tcp:set_nodelay(on)   [-0, +0, v] */
static int l_set_nodelay(lua_State *L) {
  check(L);
  if (!lua_isboolean(L, 2)) eddy__arg_expected(L, 2, "boolean");
  eddy__tcp *t = check_open(L, "set_nodelay");
  int rc = uv_tcp_nodelay(&t->stream.uv.tcp, lua_toboolean(L, 2));
  return rc < 0 ? eddy__raise(L, rc, "setsockopt") : 0;
}

/* tcp:set_keepalive(on or seconds)   [-0, +0, v] */
static int l_set_keepalive(lua_State *L) {
  check(L);
  eddy__arg_any(L, 2);
  unsigned delay = check_keepalive(L, 2, 2);
  eddy__tcp *t = check_open(L, "set_keepalive");
  int rc = uv_tcp_keepalive(&t->stream.uv.tcp, delay > 0, delay);
  return rc < 0 ? eddy__raise(L, rc, "setsockopt") : 0;
}

/* tcp:peername(), tcp:sockname() -> host, port   [-0, +2, v] */
static int l_peername(lua_State *L) { return eddy__address_push(L, &check(L)->peer); }

static int l_sockname(lua_State *L) { return eddy__address_push(L, &check(L)->local); }

/* tcp:fileno() -> descriptor   [-0, +1, v] */
static int l_fileno(lua_State *L) {
  eddy__tcp *t = check_open(L, "fileno");
  uv_os_fd_t fd;
  int rc = uv_fileno((uv_handle_t *)&t->stream.uv.tcp, &fd);
  if (rc < 0) return eddy__raise(L, rc, "fileno");
  lua_pushinteger(L, (lua_Integer)fd);
  return 1;
}

/* [-0, +0, m] */
void eddy__tcp_room(lua_State *L, eddy__runtime *rt) {
  (void)rt;
  static const luaL_Reg methods[] = {{"set_nodelay", l_set_nodelay},
                                     {"set_keepalive", l_set_keepalive},
                                     {"peername", l_peername},
                                     {"sockname", l_sockname},
                                     {"fileno", l_fileno},
                                     {NULL, NULL}};
  eddy__stream_type(L, &type_tcp, methods);
}
