/* SPDX-License-Identifier: MIT */
/*
 * connect.c - eddy.open_connection: a name becomes addresses, one of them a connection.
 * Owns:   an attempt, a userdata on the stack of the task that connects.
 * Uses:   tcp.h, dns.h.      Used by: io.c.
 * Touch:  freely. try_next() goes through the addresses one after the other; racing them (RFC 8305) replaces it.
 *
 * The stack of the task while it connects: 1 host, 2 port, 3 options, then as named here.
 */
#include <math.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "io/dns.h"
#include "io/tcp.h"

enum { AT_ATTEMPT = 4, AT_ERRORS, AT_ADDRESSES, AT_STREAM };

typedef struct attempt {
  eddy__tcp_options options;
  lua_Number timeout;
  uint64_t deadline;
  int port, family;
  eddy__address local; /* family 0 and a port: any address */
  bool has_local;
  size_t n, i; /* addresses, and the next one to be tried */
} attempt;

/* --- one address --------------------------------------------------------------------------------------------- */

static void on_connected(uv_connect_t *uv, int status) {
  eddy__tcp *t = eddy__container_of(uv, eddy__tcp, connect);
  t->connect_rc = status;
  if (t->connecting != NULL) eddy__task_wake_from(t->connecting, t);
}

static int bind_local(eddy__tcp *t, const attempt *a, const eddy__address *to) {
  eddy__address from = a->local;
  if (!a->has_local) return 0;
  if (from.any.sa_family == 0) {
    int port = ntohs(from.in.sin_port);
    memset(&from, 0, sizeof from); /* zeroes are "any" in both families */
    from.any.sa_family = to->any.sa_family;
    eddy__address_set_port(&from, port);
  }
  if (from.any.sa_family != to->any.sa_family) return UV_EAFNOSUPPORT;
  return uv_tcp_bind(&t->stream.uv.tcp, &from.any, 0);
}

/* Returns 0, or a libuv code with nothing under way. */
static int start_connect(eddy__tcp *t, const attempt *a, const eddy__address *to) {
  int rc = bind_local(t, a, to);
  if (rc < 0) return rc;
  t->peer = *to; /* for texts, until it is connected */
  t->connect_rc = 1;
  return uv_tcp_connect(&t->connect, &t->stream.uv.tcp, &to->any, on_connected);
}

static void cancel_connect(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__tcp *t = task->waits_for;
  t->connecting = NULL;
  eddy__handle_close(&t->stream.handle);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_connect = {"open_connection", cancel_connect};

/* --- all of them --------------------------------------------------------------------------------------------- */

/* Adds the error of one address to the list.   [-0, +0, m] */
static void note_error(lua_State *L, int rc, const eddy__address *to) {
  char text[EDDY_PLACE_SIZE];
  eddy__address_text(to, text, sizeof text);
  eddy__os_error_push(L, rc, "connect", "address", text);
  lua_rawseti(L, AT_ERRORS, (lua_Integer)lua_rawlen(L, AT_ERRORS) + 1);
}

/* Raises the error that all have in common, or all of them in a group.   [-0, +0, v] */
static int raise_errors(lua_State *L) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, AT_ERRORS);
  const char *host = lua_tostring(L, 1);
  if (n == 0) return eddy__raise_about(L, UV_EAI_NONAME, "getaddrinfo", "address", host);
  bool same = true;
  lua_rawgeti(L, AT_ERRORS, 1);
  lua_getfield(L, -1, "code");
  for (lua_Integer i = 2; i <= n; i++) {
    lua_rawgeti(L, AT_ERRORS, i);
    lua_getfield(L, -1, "code");
    same = same && lua_rawequal(L, -1, -3);
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  if (same) return lua_error(L);
  lua_pushvalue(L, AT_ERRORS);
  eddy__group_push(L, "no address can be connected to");
  return lua_error(L);
}

/* [-0, +0, v] */
static int raise_timeout(lua_State *L, const attempt *a) {
  return eddy__error_throw(L, EDDY_E_TIMEOUT, "no connection to '%s', port %d, within %f s",
                           lua_tostring(L, 1), a->port, (LUAI_UACNUMBER)a->timeout);
}

static int k_connected(lua_State *L, int status, lua_KContext ctx);

/* Tries the addresses that are left, one after the other.   [-0, +1, y] */
static int try_next(lua_State *L, eddy__task *task) {
  attempt *a = lua_touserdata(L, AT_ATTEMPT);
  const eddy__address *list = lua_touserdata(L, AT_ADDRESSES);
  eddy__loop *loop = task->future.loop;
  while (a->i < a->n) {
    const eddy__address *to = &list[a->i++];
    lua_settop(L, AT_ADDRESSES);
    eddy__tcp *t = eddy__tcp_new(L, loop, &a->options);
    t->stream.handle.is_quiet = true; /* until it is connected nobody can forget to close it */
    eddy__request_deadline(L, task, a->deadline);
    int rc = start_connect(t, a, to);
    if (rc == 0) {
      t->connecting = task;
      task->waits_for = t;
      return eddy__suspend(L, task, &wait_connect, k_connected);
    }
    eddy__timer_stop(&loop->timers, &task->timer);
    eddy__handle_close(&t->stream.handle);
    note_error(L, rc, to);
  }
  return raise_errors(L);
}

/* One address has answered, or time is up.   [-0, +1, y] */
static int k_connected(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  attempt *a = lua_touserdata(L, AT_ATTEMPT);
  eddy__tcp *t = (eddy__tcp *)eddy__stream_at(L, AT_STREAM);
  eddy__timer_stop(&task->future.loop->timers, &task->timer);
  t->connecting = NULL;
  int rc = t->connect_rc;
  if (rc != 0 || eddy__wake_cancelled(task)) eddy__handle_close(&t->stream.handle);
  eddy__wake_check(L, task);
  if (rc == 1) return raise_timeout(L, a);
  if (rc < 0) {
    const eddy__address *list = lua_touserdata(L, AT_ADDRESSES);
    note_error(L, rc, &list[a->i - 1]);
    return try_next(L, task);
  }
  if (t->stream.handle.is_closing) /* the loop is being closed under us */
    return eddy__stream_raise_closed(L, &t->stream, "open_connection");
  t->stream.handle.is_quiet = false;
  eddy__tcp_connected(t, &a->options);
  return 1;
}

/* Pushes the userdata of the addresses and returns its memory.   [-0, +1, m] */
static eddy__address *push_addresses(lua_State *L, attempt *a, size_t n) {
  a->n = n;
  a->i = 0;
  return lua_newuserdatauv(L, (n == 0 ? 1 : n) * sizeof(eddy__address), 0);
}

/* The name is known.   [-0, +1, y] */
static int k_resolved(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  attempt *a = lua_touserdata(L, AT_ATTEMPT);
  int rc;
  size_t n = 0, i = 0;
  const struct addrinfo *first = eddy__dns_result(L, task, &rc), *ai;
  if (rc == UV_ETIMEDOUT) return raise_timeout(L, a);
  if (rc < 0) return eddy__raise_about(L, rc, "getaddrinfo", "address", lua_tostring(L, 1));
  for (ai = first; ai != NULL; ai = ai->ai_next)
    n += ai->ai_family == AF_INET || ai->ai_family == AF_INET6;
  eddy__address *list = push_addresses(L, a, n);
  for (ai = first; ai != NULL; ai = ai->ai_next) {
    if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6) continue;
    eddy__address_copy(&list[i], ai->ai_addr);
    eddy__address_set_port(&list[i++], a->port);
  }
  lua_insert(L, AT_ADDRESSES);
  eddy__request_pop(L);
  return try_next(L, task);
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

/* The option local_addr = {host, port}; either may be nil.   [-0, +0, v] */
static void check_local(lua_State *L, attempt *a) {
  if (!lua_istable(L, 3)) return;
  int type = lua_getfield(L, 3, "local_addr");
  if (type != LUA_TNIL) {
    if (type != LUA_TTABLE) eddy__arg_error(L, 3, "option 'local_addr': table {host, port} expected");
    int is_integer = 1, host = lua_rawgeti(L, -1, 1);
    lua_Integer port = lua_rawgeti(L, -2, 2) == LUA_TNIL ? 0 : lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || port < 0 || port > 65535)
      eddy__arg_error(L, 3, "option 'local_addr': a port is between 0 and 65535");
    a->has_local = true;
    a->local.in.sin_port = htons((unsigned short)port);
    if (host != LUA_TNIL &&
        (host != LUA_TSTRING || eddy__address_parse(&a->local, lua_tostring(L, -2), (int)port) < 0))
      eddy__arg_error(L, 3, "option 'local_addr': a numeric address is expected");
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

/* eddy.open_connection(host, port, options) -> stream   [-0, +1, y] */
static int l_open_connection(lua_State *L) {
  static const char *const options[] = {"timeout", "nodelay", "keepalive", "limit",
                                        "family", "local_addr", NULL};
  const char *host = eddy__check_host(L, 1);
  if (host == NULL) return eddy__arg_expected(L, 1, "string");
  int port = eddy__check_port(L, 2);
  eddy__check_options(L, 3, options);
  lua_settop(L, 3);
  attempt *a = lua_newuserdatauv(L, sizeof *a, 0);
  memset(a, 0, sizeof *a);
  a->port = port;
  a->timeout = eddy__option_seconds(L, 3, "timeout", HUGE_VAL);
  a->family = eddy__option_family(L, 3, "family");
  eddy__tcp_check_options(L, 3, &a->options);
  check_local(L, a);
  eddy__task *task = eddy__running(L, "open_connection");
  a->deadline = eddy__clock_after(&task->future.loop->clock, a->timeout);
  lua_newtable(L);
  eddy__address address;
  if (eddy__address_parse(&address, host, port) == 0) {
    if (a->family != AF_UNSPEC && a->family != address.any.sa_family)
      eddy__arg_error(L, 1, "the address is not of the family that was asked for");
    *push_addresses(L, a, 1) = address;
    return try_next(L, task);
  }
  struct addrinfo hints;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = a->family;
  hints.ai_socktype = SOCK_STREAM;
  return eddy__dns_lookup(L, task, host, NULL, &hints, a->deadline, k_resolved);
}

/* [-0, +0, m] */
void eddy__connect_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"open_connection", l_open_connection}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
