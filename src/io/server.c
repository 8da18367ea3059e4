/* SPDX-License-Identifier: MIT */
/*
 * server.c - eddy.start_server; see server.h.
 * Owns:   eddy__server; a connection record from accept to the end of its task.
 * Touch:  with care: a connection is counted from its accept until its task has settled, whatever becomes of it.
 */
#include "io/server.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "core/report.h"
#include "io/dns.h"
#include "io/listen.h"
#include "io/park.h"
#include "io/tcp.h"

/* User values of a Server. */
enum { UV_HANDLER = 1 };

static const eddy__type type_server = {"Server"};

/* One connection and its task. */
typedef struct connection {
  eddy__waiter ended; /* first: told when the task has settled */
  eddy__list member;  /* in server->connections */
  eddy__server *server;
  eddy__stream **box; /* the stream's userdata; NULL in it once that was finalized by hand */
  uint32_t anchor;    /* of it, in the loop */
} connection;

/* --- the end ------------------------------------------------------------------------------------------------- */

static bool is_over(const eddy__server *s) {
  return s->is_closed && s->listeners == NULL && s->acceptor.live == 0;
}

/* Something that kept the server is gone: was it the last? */
static void settle(eddy__server *s) {
  if (!is_over(s)) return;
  eddy__park_wake_all(&s->closers);
  if (s->is_anchored) eddy__loop_drop(s->loop, s->anchor);
  s->is_anchored = false;
}

static void on_listener_closed(eddy__acceptor *a, eddy__listener *l) {
  eddy__server *s = (eddy__server *)a;
  for (eddy__listener **at = &s->listeners; *at != NULL; at = &(*at)->next) {
    if (*at != l) continue;
    *at = l->next;
    break;
  }
  l->owner = NULL;
  l->handle.is_dropped = true; /* freed when we return */
  s->is_closed = s->is_closed || s->listeners == NULL;
  settle(s);
}

void eddy__server_close(eddy__server *s) {
  s->is_closed = true;
  for (eddy__listener *l = s->listeners; l != NULL; l = l->next) eddy__listener_close(l);
  eddy__park_wake_all(&s->forever);
  settle(s);
}

static void connection_over(eddy__server *s) {
  s->acceptor.live--;
  for (eddy__listener *l = s->listeners; l != NULL; l = l->next) eddy__listener_resume(l);
  settle(s);
}

/* The task has ended, perhaps without ever having run. */
static void on_ended(eddy__waiter *w, eddy__future *f) {
  (void)f;
  connection *c = (connection *)w;
  if (!c->server->loop->is_closing && *c->box != NULL) /* else that has closed it, and perhaps freed it */
    eddy__stream_abort(*c->box); /* does nothing if it is closed, as it should be */
  eddy__list_remove(&c->member);
  eddy__loop_drop(c->server->loop, c->anchor);
  connection_over(c->server);
  free(c);
}

/* --- a connection's task ------------------------------------------------------------------------------------- */

/* Tells the exception handler of the error at idx at once, as nobody has this task to look at it.   [-0, +0, m] */
static void report(lua_State *L, eddy__task *task, int idx) {
  eddy__task_push(L, task);
  int object = lua_gettop(L);
  lua_createtable(L, 0, 4);
  lua_pushliteral(L, "the handler of a connection has failed");
  lua_setfield(L, -2, "message");
  lua_pushvalue(L, idx);
  lua_setfield(L, -2, "exception");
  lua_pushvalue(L, object);
  lua_setfield(L, -2, "task");
  eddy__future_extra(L, object, EDDY_EX_TRACEBACK);
  lua_setfield(L, -2, "traceback");
  eddy__report_context(L, task->future.loop);
  lua_settop(L, object - 1);
  eddy__future_retrieved(&task->future);
}

/* 1: the stream, 2: nil or the error of the handler. The stream is closed, or whoever waits for that was cancelled.
 *   [-0, +0, v] */
static int k_closed(lua_State *L, int status, lua_KContext ctx) {
  eddy__task *task = (eddy__task *)ctx;
  if (status == LUA_YIELD && eddy__wake_cancelled(task)) {
    eddy__stream *s = eddy__stream_at(L, 1);
    if (s != NULL) eddy__stream_abort(s);
    eddy__wake_check(L, task);
  }
  if (lua_isnil(L, 2)) return 0;
  lua_settop(L, 2);
  if (!eddy__error_is(L, 2, EDDY_E_CANCELLED)) report(L, task, 2);
  return lua_error(L);
}

/* The handler has returned or raised. 1: the stream, 2: the message handler, 3: the error, if any.  [-0, +0, y] */
static int k_handled(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  eddy__task *task = eddy__running(L, "start_server");
  eddy__stream *s = eddy__stream_at(L, 1);
  if (status == LUA_OK || status == LUA_YIELD) {
    lua_settop(L, 2);
    lua_pushnil(L);
  }
  lua_replace(L, 2);
  lua_settop(L, 2);
  if (s == NULL) return k_closed(L, LUA_OK, (lua_KContext)task); /* the handler has called its finalizer by hand */
  if (eddy__error_is(L, 2, EDDY_E_CANCELLED))
    eddy__stream_abort(s); /* whoever cancels does not wait for a peer that does not read */
  else
    eddy__stream_close(s);
  if (s->handle.is_closing) return k_closed(L, LUA_OK, (lua_KContext)task); /* the peer sees it already */
  return eddy__stream_wait_closed(L, s, task, k_closed);
}

/* The body of the task: 1: the handler, 2: the stream.   [-0, +0, y] */
static int l_connection(lua_State *L) {
  lua_pushvalue(L, 2);
  lua_insert(L, 1);
  lua_pushcfunction(L, eddy__task_msgh);
  lua_insert(L, 2); /* stream, message handler, handler, stream */
  return k_handled(L, lua_pcallk(L, 1, 0, 2, 0, k_handled), 0);
}

typedef struct arrival {
  eddy__server *server;
  connection *c;
  eddy__stream *stream;
  uint32_t anchor; /* of the stream */
  bool is_anchored;
  eddy__accepted accepted;
  int rc;
} arrival;

/* The connections of start_server.   [-0, +1, m] */
static int adopt_tcp(lua_State *L, eddy__server *s, eddy__accepted *c, eddy__stream **made) {
  eddy__tcp *t = eddy__tcp_new(L, s->loop, &s->options);
  *made = &t->stream;
  int rc = uv_tcp_open(&t->stream.uv.tcp, c->fd);
  if (rc < 0) return rc;
  c->fd = -1;
  eddy__tcp_connected(t, &s->options, c->local, &c->peer);
  return 0;
}

/* Makes stream and task of an accepted descriptor. What it has taken over it clears in the arrival.  [-1, +0, v] */
static int l_spawn(lua_State *L) {
  arrival *a = lua_touserdata(L, 1);
  eddy__server *s = a->server;
  luaL_checkstack(L, 8, NULL);
  eddy__runtime_push(L);
  lua_pushcclosure(L, l_connection, 1);
  eddy__loop_anchored(L, s->loop, s->anchor);
  lua_getiuservalue(L, -1, UV_HANDLER);
  lua_remove(L, -2);
  int rc = s->adopt(L, s, &a->accepted, &a->stream);
  if (rc < 0) a->rc = rc;
  if (rc < 0) return eddy__raise(L, rc, "accept");
  a->stream->handle.is_quiet = true; /* it is ours to close */
  memcpy(a->stream->handle.opened_at, s->opened_at, sizeof s->opened_at);
  eddy__stream **box = lua_touserdata(L, -1);
  lua_pushvalue(L, -1);
  a->anchor = eddy__loop_anchor(L, s->loop);
  a->is_anchored = true;
  eddy__task *task = eddy__task_spawn(L, s->loop, 2);
  connection *c = a->c;
  a->c = NULL;
  c->server = s;
  c->box = box;
  c->anchor = a->anchor;
  c->ended.on_settled = on_ended;
  eddy__list_push(&s->connections, &c->member);
  eddy__future_watch(&task->future, &c->ended);
  return 0;
}

/* Where it listens, for texts. */
static void name_of(const eddy__server *s, char *text, size_t size) {
  if (s->path_size > 0)
    snprintf(text, size, "%s%s", s->path[0] == '\0' ? "@" : "", s->path + (s->path[0] == '\0'));
  else
    eddy__address_text(&s->address, text, size);
}

typedef struct trouble {
  eddy__server *server;
  int rc;
} trouble;

/* Tells the exception handler.   [-1, +0, m] */
static int l_tell(lua_State *L) {
  trouble *t = lua_touserdata(L, 1);
  char text[EDDY_NAME_SIZE];
  name_of(t->server, text, sizeof text);
  eddy__os_error_push(L, t->rc, "accept", "address", text);
  const char *what = t->rc == UV_EBADF ? "a server cannot accept connections any more: somebody has closed its socket"
                                       : "a server cannot accept connections and will try again";
  eddy__report(L, t->server->loop, what, lua_gettop(L), NULL, 0);
  return 0;
}

static void tell(eddy__server *s, int rc) {
  trouble t = {s, rc};
  if (eddy__runtime_pcall(s->loop->rt, l_tell, &t) != LUA_OK) lua_pop(s->loop->rt->L, 1);
}

static void on_starved(eddy__acceptor *a, eddy__listener *l, int rc) {
  (void)l;
  tell((eddy__server *)a, rc);
}

static void on_accepted(eddy__acceptor *acceptor, eddy__listener *l, const eddy__accepted *c) {
  (void)l;
  eddy__server *s = (eddy__server *)acceptor;
  arrival a = {s, malloc(sizeof(connection)), NULL, 0, false, *c, UV_ENOMEM};
  int status = LUA_ERRMEM;
  if (a.c != NULL) {
    status = eddy__runtime_pcall(s->loop->rt, l_spawn, &a);
    if (status != LUA_OK) lua_pop(s->loop->rt->L, 1);
  }
  if (status == LUA_OK) return;
  if (a.stream != NULL) {
    a.stream->handle.is_quiet = true;
    eddy__stream_abort(a.stream);
  }
  if (a.is_anchored) eddy__loop_drop(s->loop, a.anchor);
  if (a.accepted.fd >= 0) close(a.accepted.fd);
  free(a.c);
  tell(s, a.rc);
  connection_over(s);
}

/* --- start_server -------------------------------------------------------------------------------------------- */

typedef struct settings {
  eddy__listen_options listen;
  eddy__tcp_options tcp;
  size_t max;
  int port;
} settings;

/* [-0, +0, v] */
static void check_settings(lua_State *L, settings *o) {
  static const char *const options[] = {"backlog", "reuse_port", "nodelay", "keepalive",
                                        "limit", "max_connections", NULL};
  eddy__check_options(L, 4, options);
  o->port = eddy__check_port(L, 3);
  o->listen.backlog = (int)eddy__option_integer(L, 4, "backlog", 1, INT_MAX, 1024);
  o->listen.reuse_port = eddy__option_boolean(L, 4, "reuse_port", false);
  o->listen.v6only = true;
  o->max = (size_t)eddy__option_integer(L, 4, "max_connections", 1, INT_MAX, INT_MAX);
  eddy__tcp_check_options(L, 4, &o->tcp);
}

/* [-0, +1, m] */
eddy__server *eddy__server_new(lua_State *L, eddy__loop *loop, int handler, eddy__server_adopt adopt,
                               const eddy__tcp_options *options, size_t max) {
  eddy__server *s = eddy__object_new(L, &type_server, sizeof *s, 1);
  eddy__list_init(&s->connections);
  eddy__list_init(&s->closers);
  eddy__list_init(&s->forever);
  s->loop = loop;
  s->adopt = adopt;
  s->options = *options;
  s->acceptor.max = max;
  s->acceptor.on_accepted = on_accepted;
  s->acceptor.on_starved = on_starved;
  s->acceptor.on_closed = on_listener_closed;
  eddy__place_of_caller(L, s->opened_at, sizeof s->opened_at);
  lua_pushvalue(L, handler);
  lua_setiuservalue(L, -2, UV_HANDLER);
  lua_pushvalue(L, -1);
  s->anchor = eddy__loop_anchor(L, loop);
  s->is_anchored = true;
  return s;
}

void eddy__server_add(eddy__server *s, eddy__listener *l) {
  memcpy(l->handle.opened_at, s->opened_at, sizeof s->opened_at);
  if (s->listeners == NULL) s->address = l->address;
  eddy__listener **last = &s->listeners;
  while (*last != NULL) last = &(*last)->next;
  *last = l;
}

/* [-0, +1, m] */
static eddy__server *push_server(lua_State *L, eddy__loop *loop, const settings *o) {
  return eddy__server_new(L, loop, 1, adopt_tcp, &o->tcp, o->max);
}

/* Listens at one more address. Returns 0 or a libuv code. */
static int add_listener(eddy__server *s, eddy__address *at, const settings *o,
                        const char **syscall) {
  eddy__listener *l;
  if (s->listeners != NULL && o->port == 0) /* the same port on all addresses */
    eddy__address_set_port(at, eddy__address_port(&s->address));
  int rc = eddy__listener_open(&l, s->loop, &s->acceptor, at, &o->listen, syscall);
  if (rc < 0) return rc;
  eddy__server_add(s, l);
  return 0;
}

/* A machine may lack one of the families; that matters only if nothing else is left. */
static bool is_lacking(int rc) { return rc == UV_EAFNOSUPPORT || rc == UV_EADDRNOTAVAIL; }

/* The server at the top has tried all addresses; rc is the last error, for `at`.   [-0, +1, v] */
static int finish(lua_State *L, eddy__server *s, int rc, const char *syscall,
                  const eddy__address *at) {
  char text[EDDY_PLACE_SIZE];
  if (rc == 0 || (is_lacking(rc) && s->listeners != NULL)) return 1;
  eddy__server_close(s);
  eddy__address_text(at, text, sizeof text);
  return eddy__raise_about(L, rc, syscall, "address", text);
}

/* All interfaces: one socket for both families, where there are both.   [-0, +1, v] */
static int serve_all(lua_State *L, eddy__loop *loop, settings *o) {
  eddy__address at;
  const char *syscall;
  eddy__server *s = push_server(L, loop, o);
  o->listen.v6only = false;
  eddy__address_parse(&at, "::", o->port);
  int rc = add_listener(s, &at, o, &syscall);
  if (is_lacking(rc)) {
    eddy__address_parse(&at, "0.0.0.0", o->port);
    rc = add_listener(s, &at, o, &syscall);
  }
  return finish(L, s, rc, syscall, &at);
}

/* The name is known; it may stand for several addresses.   [-0, +1, v] */
static int k_resolved(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  settings o;
  int rc;
  const char *syscall = "getaddrinfo";
  const struct addrinfo *a = eddy__dns_result(L, task, &rc);
  if (rc < 0) return eddy__raise_about(L, rc, syscall, "address", lua_tostring(L, 2));
  check_settings(L, &o);
  eddy__address at;
  memset(&at, 0, sizeof at);
  eddy__server *s = push_server(L, task->future.loop, &o);
  rc = UV_EAI_NONAME;
  for (; a != NULL && (rc == 0 || rc == UV_EAI_NONAME || is_lacking(rc)); a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    eddy__address_copy(&at, a->ai_addr);
    eddy__address_set_port(&at, o.port);
    int one = add_listener(s, &at, &o, &syscall);
    rc = is_lacking(one) && s->listeners != NULL ? 0 : one;
  }
  lua_insert(L, -2);
  eddy__request_pop(L);
  return finish(L, s, rc, syscall, &at);
}

/* eddy.start_server(handler, host, port, options) -> Server   [-0, +1, y] */
static int l_start_server(lua_State *L) {
  settings o;
  eddy__address at;
  const char *syscall;
  eddy__check_function(L, 1);
  const char *host = eddy__check_host(L, 2);
  check_settings(L, &o);
  eddy__task *task = eddy__running(L, "start_server");
  lua_settop(L, 4);
  if (host == NULL) return serve_all(L, task->future.loop, &o);
  if (eddy__address_parse(&at, host, o.port) == 0) {
    eddy__server *s = push_server(L, task->future.loop, &o);
    int rc = add_listener(s, &at, &o, &syscall);
    return finish(L, s, rc, syscall, &at);
  }
  struct addrinfo hints;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  return eddy__dns_lookup(L, task, host, NULL, &hints, EDDY_NEVER, k_resolved);
}

/* --- methods ------------------------------------------------------------------------------------------------- */

/* [-0, +0, v] */
static eddy__server *check(lua_State *L) { return eddy__object_check(L, 1, &type_server); }

/* server:close()   [-0, +0, v] */
static int l_close(lua_State *L) {
  eddy__server_close(check(L));
  return 0;
}

static void cancel_serve(eddy__task *task, eddy__cancelling *request) {
  eddy__server *s = task->waits_for;
  eddy__park_cancel(task, request);
  eddy__server_close(s);
}

static const eddy__wait wait_forever = {"serve_forever", cancel_serve, true};
static const eddy__wait wait_closed = {"wait_closed", eddy__park_cancel, true};

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__wake_check(L, (eddy__task *)ctx);
  return 0;
}

/* server:serve_forever()   [-0, +0, y]: until it is closed; cancelling it closes the server */
static int l_serve_forever(lua_State *L) {
  eddy__server *s = check(L);
  eddy__task *task = eddy__running(L, "serve_forever");
  if (s->is_closed) eddy__error_throw(L, EDDY_E_RUNTIME, "'serve_forever' on a closed server");
  eddy__running_on(L, s->loop, "serve_forever");
  if (!eddy__list_empty(&s->forever))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'serve_forever': another task is in it already");
  lua_settop(L, 1);
  task->waits_for = s;
  return eddy__park(L, task, &s->forever, &wait_forever, k_wait);
}

/* server:wait_closed()   [-0, +0, y]: until it is closed and the tasks of its connections have ended */
static int l_wait_closed(lua_State *L) {
  eddy__server *s = check(L);
  eddy__task *task = eddy__running(L, "wait_closed");
  if (is_over(s)) return 0;
  eddy__running_on(L, s->loop, "wait_closed");
  lua_settop(L, 1);
  return eddy__park(L, task, &s->closers, &wait_closed, k_wait);
}

/* server:close_clients(), server:abort_clients()   [-0, +0, v] */
static int for_clients(lua_State *L, void (*f)(eddy__stream *)) {
  eddy__server *s = check(L);
  for (eddy__list *l = s->connections.next, *next; l != &s->connections; l = next) {
    next = l->next;
    eddy__stream *stream = *eddy__container_of(l, connection, member)->box;
    if (stream != NULL) f(stream);
  }
  return 0;
}

static int l_close_clients(lua_State *L) { return for_clients(L, eddy__stream_close); }

static int l_abort_clients(lua_State *L) { return for_clients(L, eddy__stream_abort); }

/* Pushes host and port, or the path.   [-0, +n, m] */
static int push_address(lua_State *L, const eddy__server *s, const eddy__listener *l) {
  if (s->path_size == 0) return eddy__address_push(L, l != NULL ? &l->address : &s->address);
  lua_pushlstring(L, s->path, s->path_size);
  return 1;
}

/* server:sockets() -> list of {family, address, port, fd}   [-0, +1, v] */
static int l_sockets(lua_State *L) {
  eddy__server *s = check(L);
  lua_newtable(L);
  int n = 0;
  for (eddy__listener *l = s->is_closed ? NULL : s->listeners; l != NULL; l = l->next) {
    int family = l->address.any.sa_family;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, family == AF_INET6 ? "inet6" : family == AF_INET ? "inet"
                                                                       : "unix");
    lua_setfield(L, -2, "family");
    if (push_address(L, s, l) == 2) lua_setfield(L, -3, "port");
    lua_setfield(L, -2, "address");
    lua_pushinteger(L, l->fd);
    lua_setfield(L, -2, "fd");
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* server:address() -> host, port, or the path; also after the close   [-0, +n, v] */
static int l_address(lua_State *L) { return push_address(L, check(L), NULL); }

/* server:is_serving() -> boolean   [-0, +1, v] */
static int l_is_serving(lua_State *L) {
  lua_pushboolean(L, !check(L)->is_closed);
  return 1;
}

/* The end of `local s <close>`, because of the error at 2 unless that is nil. A scope that ends well waits for the
 * connections; one that does not leaves them to the end of the run.   [-0, +0, y] */
static int l_scope_end(lua_State *L) {
  eddy__server *s = check(L);
  eddy__server_close(s);
  if (!lua_isnoneornil(L, 2) || !eddy__may_wait(L, s->loop)) return 0;
  return l_wait_closed(L);
}

/* "<Server 127.0.0.1:80, 3 connections>"   [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__server *s = check(L);
  char text[EDDY_NAME_SIZE];
  name_of(s, text, sizeof text);
  lua_pushfstring(L, "<Server %s%s, %I connection%s>", text, s->is_closed ? ", closed" : "",
                  (LUAI_UACINT)s->acceptor.live, s->acceptor.live == 1 ? "" : "s");
  return 1;
}

/* Only the end of the state collects a server that still listens, as until then the loop anchors it, or a script does
 * by hand. The loop lets go of it and its listeners later, as after a close: their memory is still there.
 *   [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__server *s = eddy__object_check(L, 1, &type_server);
  for (eddy__listener *l = s->listeners; l != NULL; l = l->next) eddy__handle_drop(L, &l->handle);
  eddy__server_close(s);
  return 0;
}

/* [-0, +0, m] */
void eddy__server_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"start_server", l_start_server}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"serve_forever", l_serve_forever},
                                     {"close", l_close},
                                     {"wait_closed", l_wait_closed},
                                     {"close_clients", l_close_clients},
                                     {"abort_clients", l_abort_clients},
                                     {"sockets", l_sockets},
                                     {"address", l_address},
                                     {"is_serving", l_is_serving},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__gc", l_gc}, {"__close", l_scope_end}, {"__tostring", l_tostring}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
  eddy__runtime_push(L);
  eddy__object_type(L, &type_server, NULL, methods, meta, lua_gettop(L));
  lua_pop(L, 2);
}
