/* SPDX-License-Identifier: MIT */
/*
 * udp.c - datagrams: the life of a socket, receiving, sending; see udp.h.
 * Touch:  freely. libuv's callbacks keep datagrams and wake tasks; a task takes one when it runs.
 */
#include "io/udp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "core/select.h"
#include "io/dns.h"
#include "io/park.h"

static const eddy__type type_udp = {"Datagram"};

struct eddy__datagram {
  eddy__datagram *next;
  eddy__address from;
  size_t size;
  char data[];
};

/* --- life ---------------------------------------------------------------------------------------------------- */

static void describe(const eddy__handle *h, char *text, size_t size) {
  const eddy__udp *u = (const eddy__udp *)h;
  char local[EDDY_PLACE_SIZE], peer[EDDY_PLACE_SIZE];
  eddy__address_text(&u->local, local, sizeof local);
  eddy__address_text(&u->peer, peer, sizeof peer);
  snprintf(text, size, u->is_connected ? "UDP socket %s -> %s" : "UDP socket %s", local, peer);
}

static void drop_datagrams(eddy__udp *u) {
  for (eddy__datagram *d = u->first, *next; d != NULL; d = next) {
    next = d->next;
    free(d);
  }
  u->first = NULL;
  u->last = &u->first;
  u->kept = 0;
}

static void wake_receivers(eddy__udp *u) {
  for (eddy__task *t; (t = eddy__park_first(&u->receivers)) != NULL;) eddy__task_wake_from(t, u);
  eddy__select_tell(&u->watchers);
}

static void give_block(eddy__udp *u) {
  if (u->block != NULL) eddy__blocks_give(u->blocks, u->block);
  u->block = NULL;
}

static void on_closing(eddy__handle *h) {
  eddy__udp *u = (eddy__udp *)h;
  drop_datagrams(u);
  wake_receivers(u);
}

static void on_closed(eddy__handle *h) { give_block((eddy__udp *)h); }

static void release(eddy__handle *h) {
  eddy__list_clear(&((eddy__udp *)h)->watchers);
  free(h);
}

static const eddy__handle_kind kind_udp = {describe, on_closing, on_closed, release};

/* [-0, +1, v] */
eddy__udp *eddy__udp_new(lua_State *L, eddy__loop *loop, int family, int *rc) {
  eddy__blocks *blocks = eddy__blocks_open(L);
  eddy__udp **box = eddy__object_new(L, &type_udp, sizeof *box, 0);
  eddy__udp *u = calloc(1, sizeof *u);
  if (u == NULL) eddy__raise(L, UV_ENOMEM, "open a socket");
  *box = u;
  eddy__handle_init(&u->handle, &kind_udp, loop, (uv_handle_t *)&u->uv);
  eddy__place_of_caller(L, u->handle.opened_at, sizeof u->handle.opened_at);
  eddy__list_init(&u->receivers);
  eddy__list_init(&u->watchers);
  u->blocks = blocks;
  u->last = &u->first;
  *rc = uv_udp_init_ex(loop->uv, &u->uv, (unsigned)family);
  if (*rc < 0) return NULL;
  eddy__handle_opened(&u->handle);
  eddy__handle_identify(&u->handle);
  return u;
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__udp **box = eddy__object_test(L, 1, &type_udp), *u = box == NULL ? NULL : *box;
  if (u == NULL) return 0;
  *box = NULL;
  eddy__handle_drop(L, &u->handle);
  return 0;
}

/* [-0, +0, v] */
eddy__udp *eddy__udp_check(lua_State *L) {
  eddy__udp **box = eddy__object_check(L, 1, &type_udp);
  eddy__arg_check(L, *box != NULL, 1, "the socket was collected");
  return *box;
}

static bool is_closed(const eddy__udp *u) { return !u->handle.is_open || u->handle.is_closing; }

/* [-0, +0, v] */
eddy__udp *eddy__udp_check_open(lua_State *L, const char *name) {
  eddy__udp *u = eddy__udp_check(L);
  char text[EDDY_TEXT_SIZE];
  if (!is_closed(u)) return u;
  describe(&u->handle, text, sizeof text);
  eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' on a closed socket (%s)", name, text);
  return NULL;
}

/* --- receiving ----------------------------------------------------------------------------------------------- */

static void stop(eddy__udp *u) {
  if (u->is_reading) uv_udp_recv_stop(&u->uv);
  u->is_reading = false;
}

/* A block is larger than any datagram, so none is cut off. */
static void on_alloc(uv_handle_t *uv, size_t suggested, uv_buf_t *buf) {
  (void)suggested;
  eddy__udp *u = uv->data;
  if (u->block == NULL) u->block = eddy__blocks_take(u->blocks);
  *buf = uv_buf_init(u->block, u->block == NULL ? 0 : EDDY_BLOCK_SIZE);
}

/* One task for one datagram; an error is for whoever comes first. */
static void tell(eddy__udp *u) {
  eddy__task *task = eddy__park_first(&u->receivers);
  if (task != NULL) eddy__task_wake_from(task, u);
  eddy__select_tell(&u->watchers);
}

static void keep(eddy__udp *u, const char *data, size_t size, const struct sockaddr *from) {
  eddy__datagram *d = malloc(sizeof *d + size);
  if (d == NULL) {
    u->error = UV_ENOMEM;
    return;
  }
  d->next = NULL;
  d->size = size;
  memcpy(d->data, data, size);
  eddy__address_copy(&d->from, from);
  eddy__address_unmap(&d->from);
  *u->last = d;
  u->last = &d->next;
  u->kept += sizeof *d + size;
  if (u->kept >= EDDY_UDP_KEPT) stop(u);
}

static void on_received(uv_udp_t *uv, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags) {
  eddy__udp *u = uv->data;
  if (is_closed(u) || (n == 0 && from == NULL)) { /* nothing more at the moment */
    give_block(u);
    return;
  }
  if (n == UV_ENOBUFS && buf->len == 0)
    u->error = UV_ENOMEM;
  else if (n < 0)
    u->error = (int)n;
  else if ((flags & UV_UDP_PARTIAL) != 0)
    u->error = UV_EMSGSIZE;
  else
    keep(u, buf->base, (size_t)n, from);
  give_block(u);
  if (u->error != 0) stop(u); /* until it was told */
  tell(u);
}

/* Returns 0 or a libuv code. */
static int start(eddy__udp *u) {
  if (is_closed(u) || u->is_reading || u->error != 0 || u->kept >= EDDY_UDP_KEPT) return 0;
  if (!eddy__handle_is_own(&u->handle)) return UV_EBADF; /* libuv would abort when it polls that */
  int rc = uv_udp_recv_start(&u->uv, on_alloc, on_received);
  u->is_reading = rc == 0;
  return rc;
}

/* Raises what receiving has met.   [-0, +0, v] */
static int raise_error(lua_State *L, eddy__udp *u, int rc) {
  char text[EDDY_PLACE_SIZE];
  u->error = 0;
  eddy__address_text(&u->peer, text, sizeof text);
  return eddy__raise_about(L, rc, "recv", "address", u->is_connected ? text : NULL);
}

/* Pushes the datagram that came first, with its sender, if there is one.   [-0, +(0|3), v] */
static int take(lua_State *L, eddy__udp *u) {
  int top = lua_gettop(L), n;
  eddy__datagram *d;
  luaL_checkstack(L, 4, NULL);
  do {
    lua_settop(L, top);
    d = u->first;
    if (d == NULL && u->error != 0) return raise_error(L, u, u->error);
    if (d == NULL) return 0;
    eddy__address from = d->from;
    lua_pushlstring(L, d->data, d->size);
    n = 1 + eddy__address_push(L, &from);
  } while (u->first != d); /* a finalizer has taken it, or has closed the socket */
  u->first = d->next;
  if (d->next == NULL) u->last = &u->first;
  u->kept -= sizeof *d + d->size;
  free(d);
  return n;
}

static const eddy__wait wait_recv = {"recv", eddy__park_cancel, true};

static int k_recv(lua_State *L, int status, lua_KContext ctx);

/* [-0, +n, y] */
static int take_or_wait(lua_State *L, eddy__udp *u, eddy__task *task) {
  if (is_closed(u)) return 0;
  int n = take(L, u), rc = n == 0 && is_closed(u) ? 0 : start(u);
  if (n > 0 || is_closed(u)) return n; /* an error of start comes again */
  if (rc < 0) return raise_error(L, u, rc);
  task->waits_for = u;
  return eddy__park(L, task, &u->receivers, &wait_recv, k_recv);
}

static int k_recv(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  eddy__udp *u = eddy__handle_again(L, 1, task);
  if (eddy__wake_cancelled(task) && (u->first != NULL || u->error != 0)) tell(u); /* another one takes it */
  eddy__wake_check(L, task);
  return take_or_wait(L, u, task);
}

/* socket:recv() -> data, host, port; nil when it is closed   [-0, +3, y] */
static int l_recv(lua_State *L) {
  eddy__udp *u = eddy__udp_check(L);
  eddy__task *task = eddy__running_on(L, u->handle.loop, "recv");
  lua_settop(L, 1);
  return take_or_wait(L, u, task);
}

/* socket:recv_nowait() -> the same, or nil when nothing has come   [-0, +3, v] */
static int l_recv_nowait(lua_State *L) {
  eddy__udp *u = eddy__udp_check(L);
  if (is_closed(u)) return 0;
  int n = take(L, u);
  (void)start(u);
  return n;
}

/* The iterator; its upvalues: the record, the socket.   [-0, +3, y] */
static int l_next(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(2));
  return l_recv(L);
}

/* socket:datagrams() -> iterator   [-0, +1, v] */
static int l_datagrams(lua_State *L) {
  eddy__udp_check(L);
  eddy__runtime_push(L);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, l_next, 2);
  return 1;
}

/* [-0, +0, -] */
static bool is_ready(lua_State *L, int idx) {
  const eddy__udp *u = *(eddy__udp **)lua_touserdata(L, idx);
  return u == NULL || u->first != NULL || u->error != 0 || is_closed(u);
}

/* [-0, +0, v] */
static eddy__list *watch(lua_State *L, int idx) {
  eddy__udp *u = *(eddy__udp **)lua_touserdata(L, idx);
  int rc = start(u);
  if (rc < 0) raise_error(L, u, rc);
  return &u->watchers;
}

/* --- sending ------------------------------------------------------------------------------------------------- */

/* A datagram on its way: a userdata that the loop anchors until it has gone; its user value is the string. */
typedef struct sending {
  uv_udp_send_t uv;
  eddy__udp *udp;
  eddy__list tasks; /* the one that waits for it, by its waiter */
  uint32_t anchor;
  int rc;           /* 1: it is under way */
  eddy__address to;
} sending;

enum { DATA = 2, HOST, PORT }; /* the arguments of send, beside the socket */

static void on_sent(uv_udp_send_t *uv, int status) {
  sending *s = eddy__container_of(uv, sending, uv);
  s->rc = status;
  if (!eddy__list_empty(&s->tasks)) eddy__task_wake_from(eddy__task_first(&s->tasks), s);
  eddy__list_clear(&s->tasks);
  eddy__loop_drop(s->udp->handle.loop, s->anchor);
}

static const eddy__wait wait_send = {"send", eddy__park_cancel, true};

/* [-0, +0, v] */
static int raise_send(lua_State *L, int rc, const eddy__address *to) {
  char text[EDDY_PLACE_SIZE];
  eddy__address_text(to, text, sizeof text);
  return eddy__raise_about(L, rc, "send", "address", text);
}

/* The frame: the socket, the data, …, the request on top.   [-0, +1, v] */
static int k_send(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  sending *s = lua_touserdata(L, -1);
  eddy__wake_check(L, (eddy__task *)ctx);
  if (s->rc < 0) return raise_send(L, s->rc, &s->to);
  lua_settop(L, 1);
  return 1;
}

/* Sends it to an address, or the peer (NULL), at once or after those that wait.   [-0, +1, y] */
static int send_to(lua_State *L, eddy__udp *u, const eddy__address *to) {
  size_t size;
  const char *data = lua_tolstring(L, DATA, &size);
  uv_buf_t buf = uv_buf_init((char *)data, 0);
  buf.len = size;
  const struct sockaddr *address = to == NULL ? NULL : &to->any;
  int rc = uv_udp_try_send(&u->uv, &buf, 1, address);
  if (rc < 0 && rc != UV_EAGAIN) return raise_send(L, rc, to == NULL ? &u->peer : to);
  if (rc >= 0) return lua_settop(L, 1), 1;
  eddy__task *task = eddy__running_on(L, u->handle.loop, "send");
  sending *s = lua_newuserdatauv(L, sizeof *s, 1);
  lua_pushvalue(L, DATA);
  lua_setiuservalue(L, -2, 1);
  s->udp = u;
  eddy__list_init(&s->tasks);
  s->rc = 1;
  s->to = to == NULL ? u->peer : *to;
  lua_pushvalue(L, -1);
  s->anchor = eddy__loop_anchor(L, u->handle.loop);
  rc = is_closed(u) ? UV_EBADF : uv_udp_send(&s->uv, &u->uv, &buf, 1, address, on_sent);
  if (rc < 0) {
    eddy__loop_drop(u->handle.loop, s->anchor);
    return raise_send(L, rc, to == NULL ? &u->peer : to);
  }
  task->waits_for = s;
  return eddy__park(L, task, &s->tasks, &wait_send, k_send);
}

/* A connected socket takes the address of its peer, though the system does not.   [-0, +1, y] */
static int send_checked(lua_State *L, eddy__udp *u, eddy__address *to) {
  char mine[EDDY_PLACE_SIZE], given[EDDY_PLACE_SIZE];
  if (!u->is_connected) {
    if (u->local.any.sa_family == AF_INET6) eddy__address_map(to);
    return send_to(L, u, to);
  }
  eddy__address_text(&u->peer, mine, sizeof mine);
  eddy__address_text(to, given, sizeof given);
  if (strcmp(mine, given) != 0) return raise_send(L, UV_EISCONN, to);
  return send_to(L, u, NULL);
}

/* The name of the receiver is known.   [-0, +1, y] */
static int k_resolved(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  int rc;
  const struct addrinfo *found = eddy__dns_result(L, (eddy__task *)ctx, &rc);
  if (rc < 0) return eddy__raise_about(L, rc, "getaddrinfo", "address", lua_tostring(L, HOST));
  eddy__address to;
  eddy__address_copy(&to, found->ai_addr);
  eddy__address_set_port(&to, (int)lua_tointeger(L, PORT));
  eddy__request_pop(L);
  return send_checked(L, eddy__udp_check_open(L, "send"), &to);
}

/* socket:send(data, host, port) -> socket   [-0, +1, y] */
static int l_send(lua_State *L) {
  eddy__address to;
  eddy__udp *u = eddy__udp_check(L);
  if (lua_type(L, DATA) != LUA_TSTRING && lua_type(L, DATA) != LUA_TNUMBER) eddy__arg_expected(L, DATA, "string");
  const char *host = eddy__check_host(L, HOST);
  if (host == NULL && !lua_isnoneornil(L, PORT)) eddy__arg_expected(L, HOST, "string");
  int port = host == NULL ? 0 : eddy__check_port(L, PORT);
  eddy__udp_check_open(L, "send");
  lua_settop(L, PORT);
  if (host == NULL) {
    if (!u->is_connected) eddy__arg_expected(L, HOST, "string");
    return send_to(L, u, NULL);
  }
  if (eddy__address_parse(&to, host, port) == 0) return send_checked(L, u, &to);
  struct addrinfo hints;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = u->local.any.sa_family;
  hints.ai_socktype = SOCK_DGRAM;
  if (hints.ai_family == AF_INET6) hints.ai_flags = AI_V4MAPPED;
  eddy__task *task = eddy__running_on(L, u->handle.loop, "send");
  return eddy__dns_lookup(L, task, host, NULL, &hints, EDDY_NEVER, k_resolved);
}

/* --- the rest ------------------------------------------------------------------------------------------------ */

/* socket:close(): at once; who waits gets nil; twice is fine   [-0, +0, v] */
static int l_close(lua_State *L) {
  eddy__handle_close(&eddy__udp_check(L)->handle);
  return 0;
}

/* socket:is_closing() -> boolean   [-0, +1, v] */
static int l_is_closing(lua_State *L) {
  lua_pushboolean(L, is_closed(eddy__udp_check(L)));
  return 1;
}

/* socket:sockname(), socket:peername() -> host, port   [-0, +2, v] */
static int l_sockname(lua_State *L) { return eddy__address_push(L, &eddy__udp_check(L)->local); }

static int l_peername(lua_State *L) { return eddy__address_push(L, &eddy__udp_check(L)->peer); }

/* "<UDP socket 127.0.0.1:53, closed>"   [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__udp *u = eddy__udp_check(L);
  char text[EDDY_TEXT_SIZE];
  describe(&u->handle, text, sizeof text);
  lua_pushfstring(L, "<%s%s>", text, is_closed(u) ? ", closed" : "");
  return 1;
}

/* [-0, +0, m] */
void eddy__udp_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"send", l_send},
                                     {"recv", l_recv},
                                     {"recv_nowait", l_recv_nowait},
                                     {"datagrams", l_datagrams},
                                     {"close", l_close},
                                     {"is_closing", l_is_closing},
                                     {"sockname", l_sockname},
                                     {"peername", l_peername},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__gc", l_gc}, {"__close", l_close}, {"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open_datagram", eddy__udp_l_open}, {NULL, NULL}};
  static const eddy__selectable selectable = {is_ready, watch, "recv_nowait", NULL};
  eddy__object_type(L, &type_udp, NULL, methods, meta, lua_gettop(L) - 1);
  eddy__selectable_set(L, &selectable);
  lua_getfield(L, -1, "__index");
  eddy__runtime_functions(L, rt, eddy__udp_settings);
  lua_pop(L, 2);
  eddy__runtime_functions(L, rt, functions);
}
