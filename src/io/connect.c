/* SPDX-License-Identifier: MIT */
/*
 * connect.c - eddy.open_connection: a name becomes addresses, one of them a connection.
 * Owns:   an attempt and a race, userdata on the stack of the task that connects.
 * Uses:   tcp.h, dns.h.      Used by: io.c.
 * Touch:  with care. Addresses race as RFC 8305 has it: the families in turn, one more address each 250 ms or when one
 *         has failed; the first that answers wins, and the others are closed.
 *
 * The stack of the task while it connects: 1 host, 2 port, 3 options, then as named here.
 */
#include <math.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "io/dns.h"
#include "io/tcp.h"

enum { AT_ATTEMPT = 4, AT_ERRORS, AT_ADDRESSES, AT_RACE };

static const double STAGGER = 0.25; /* seconds from one address to the next */

typedef struct attempt {
  eddy__tcp_options options;
  lua_Number timeout;
  uint64_t deadline;
  int port, family;
  eddy__address local; /* family 0 and a port: any address */
  bool has_local;
  size_t n, i; /* addresses, and the next one to be tried */
} attempt;

/* Those that connect now. Its user values: a table that keeps their streams, by their place; the task, which callbacks
 * wake as long as the race is not over, even if an error has ended it and nobody has collected it yet. */
typedef struct eddy__race {
  eddy__task *task;
  eddy__tcp *winner;
  uint64_t next; /* when one more may start */
  size_t n;
  eddy__tcp *runners[]; /* by the address; NULL: has not started, or has left */
} eddy__race;

static const eddy__type type_race = {"eddy.race"};

/* --- a race -------------------------------------------------------------------------------------------------- */

void eddy__connect_leave(eddy__tcp *t) {
  eddy__race *r = t->race;
  t->race = NULL;
  if (r == NULL) return;
  if (r->winner == t) r->winner = NULL;
  for (size_t i = 0; i < r->n; i++)
    if (r->runners[i] == t) r->runners[i] = NULL;
}

/* Everybody leaves; all but the winner are closed. */
static void end_race(eddy__race *r, eddy__tcp *winner) {
  for (size_t i = 0; i < r->n; i++) {
    eddy__tcp *t = r->runners[i];
    if (t == NULL) continue;
    eddy__connect_leave(t);
    if (t != winner) eddy__handle_close(&t->stream.handle);
  }
}

/* The task has not ended it: a script has closed the coroutine, or there was no memory.   [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__race *r = eddy__object_test(L, 1, &type_race);
  if (r != NULL) end_race(r, NULL);
  return 0;
}

/* Pushes a race for so many.   [-0, +1, m] */
static void push_race(lua_State *L, eddy__task *task, size_t n) {
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  eddy__object_type(L, &type_race, NULL, NULL, meta, 0);
  lua_pop(L, 1);
  eddy__race *r = eddy__object_new(L, &type_race, sizeof *r + n * sizeof *r->runners, 2);
  r->task = task;
  r->n = n;
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  eddy__task_push(L, task);
  lua_setiuservalue(L, -2, 2);
}

static void on_connected(uv_connect_t *uv, int status) {
  eddy__tcp *t = eddy__container_of(uv, eddy__tcp, connect);
  eddy__race *r = t->race;
  t->connect_rc = status;
  if (r == NULL) return;
  if (status == 0 && r->winner == NULL) r->winner = t;
  eddy__task_wake_from(r->task, r);
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

/* Starts number i. Returns 0, or a libuv code with nothing left open.   [-0, +0, m] */
static int start(lua_State *L, eddy__task *task, const attempt *a, size_t i) {
  eddy__race *r = lua_touserdata(L, AT_RACE);
  const eddy__address *to = (const eddy__address *)lua_touserdata(L, AT_ADDRESSES) + i;
  lua_getiuservalue(L, AT_RACE, 1);
  eddy__tcp *t = eddy__tcp_new(L, task->future.loop, &a->options);
  t->stream.handle.is_quiet = true; /* until it is connected nobody can forget to close it */
  lua_rawseti(L, -2, (lua_Integer)i + 1);
  lua_pop(L, 1);
  t->peer = *to; /* for texts, until it is connected */
  t->connect_rc = 1;
  int rc = bind_local(t, a, to);
  if (rc == 0) rc = uv_tcp_connect(&t->connect, &t->stream.uv.tcp, &to->any, on_connected);
  if (rc < 0) {
    eddy__handle_close(&t->stream.handle);
    return rc;
  }
  t->race = r;
  r->runners[i] = t;
  return 0;
}

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
  if (n == 0 && ((attempt *)lua_touserdata(L, AT_ATTEMPT))->n > 0)
    return eddy__error_throw(L, EDDY_E_RUNTIME, "'open_connection': the loop is being closed");
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

static void cancel_connect(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  end_race(task->waits_for, NULL);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_connect = {"open_connection", cancel_connect, true};

static int k_connected(lua_State *L, int status, lua_KContext ctx);

/* Those that have failed leave the race. Returns how many are still in it.   [-0, +0, m] */
static size_t collect_failed(lua_State *L, eddy__race *r) {
  const eddy__address *list = lua_touserdata(L, AT_ADDRESSES);
  size_t running = 0;
  for (size_t i = 0; i < r->n; i++) {
    eddy__tcp *t = r->runners[i];
    if (t == NULL) continue;
    int rc = t->connect_rc;
    if (rc < 0) {
      eddy__handle_close(&t->stream.handle); /* leaves */
      r->next = 0;
      note_error(L, rc, &list[i]);
    } else {
      running++;
    }
  }
  return running;
}

/* Pushes the stream of the winner, who is closed by nobody else now.   [-0, +1, -] */
static int win(lua_State *L, const attempt *a, eddy__race *r) {
  eddy__tcp *t = r->winner;
  lua_Integer place = 1;
  while (r->runners[place - 1] != t) place++;
  end_race(r, t);
  lua_getiuservalue(L, AT_RACE, 1);
  lua_rawgeti(L, -1, place);
  t->stream.handle.is_quiet = false;
  eddy__tcp_connected(t, &a->options, NULL, NULL);
  return 1;
}

/* Goes on with the race: it is won, or one more starts, or there is nothing to do but wait.   [-0, +1, y] */
static int go_on(lua_State *L, eddy__task *task) {
  attempt *a = lua_touserdata(L, AT_ATTEMPT);
  eddy__race *r = lua_touserdata(L, AT_RACE);
  eddy__loop *loop = task->future.loop;
  lua_settop(L, AT_RACE);
  if (r->winner != NULL) return win(L, a, r);
  size_t running = collect_failed(L, r);
  uint64_t now = eddy__clock_now(&loop->clock), wake = a->deadline;
  if (now >= a->deadline) {
    end_race(r, NULL);
    return raise_timeout(L, a);
  }
  while (a->i < a->n && (running == 0 || now >= r->next)) {
    const eddy__address *to = (const eddy__address *)lua_touserdata(L, AT_ADDRESSES) + a->i;
    int rc = start(L, task, a, a->i++);
    if (rc < 0) note_error(L, rc, to);
    if (rc < 0) continue;
    running++;
    r->next = eddy__clock_after(&loop->clock, STAGGER);
  }
  if (running == 0) return raise_errors(L);
  if (a->i < a->n && r->next < wake) wake = r->next;
  eddy__request_deadline(L, task, wake);
  task->waits_for = r;
  return eddy__suspend(L, task, &wait_connect, k_connected);
}

/* An address has answered, or it is time for the next one, or up.   [-0, +1, y] */
static int k_connected(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  eddy__task_deadline_off(task);
  if (eddy__wake_cancelled(task)) end_race(lua_touserdata(L, AT_RACE), NULL);
  eddy__wake_check(L, task);
  return go_on(L, task);
}

/* RFC 8305, section 4: the order of the system, but the families take turns. */
static void interleave(eddy__address *list, size_t n) {
  for (size_t i = 1; i < n; i++) {
    int last = list[i - 1].any.sa_family;
    size_t other = i;
    while (other < n && list[other].any.sa_family == last) other++;
    if (other == n) return;
    eddy__address moved = list[other];
    memmove(&list[i + 1], &list[i], (other - i) * sizeof *list);
    list[i] = moved;
  }
}

/* The addresses are there.   [-0, +1, y] */
static int race(lua_State *L, eddy__task *task) {
  const attempt *a = lua_touserdata(L, AT_ATTEMPT);
  interleave(lua_touserdata(L, AT_ADDRESSES), a->n);
  push_race(L, task, a->n);
  return go_on(L, task);
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
  return race(L, task);
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
        (host != LUA_TSTRING || strlen(lua_tostring(L, -2)) != lua_rawlen(L, -2) ||
         eddy__address_parse(&a->local, lua_tostring(L, -2), (int)port) < 0))
      eddy__arg_error(L, 3, "option 'local_addr': a numeric address is expected");
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

/* Checks the address at the top of the stack, one of the list at 1, and adds it to the text below.  [-1, +0, v] */
static void check_address(lua_State *L, const attempt *a, eddy__address *address) {
  const char *host = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (host == NULL || strlen(host) != lua_rawlen(L, -1) || eddy__address_parse(address, host, a->port) < 0)
    eddy__arg_error(L, 1, "a list of hosts holds numeric addresses");
  bool is_first = lua_rawlen(L, -2) == 0;
  lua_pushfstring(L, is_first ? "%s%s" : "%s, %s", lua_tostring(L, -2), host);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* The host at 1 is a list of addresses: pushes them, and puts a text of them in its place.   [-0, +1, v] */
static void push_list(lua_State *L, attempt *a) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
  eddy__arg_check(L, n > 0, 1, "no address");
  eddy__arg_check(L, n <= 100, 1, "too many addresses");
  eddy__address *list = push_addresses(L, a, (size_t)n);
  size_t kept = 0;
  lua_pushliteral(L, "");
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    check_address(L, a, &list[kept]);
    kept += a->family == AF_UNSPEC || a->family == list[kept].any.sa_family;
  }
  eddy__arg_check(L, kept > 0, 1, "no address is of the family that was asked for");
  a->n = kept;
  lua_replace(L, 1);
}

/* eddy.open_connection(host, port, options) -> stream   [-0, +1, y] */
static int l_open_connection(lua_State *L) {
  static const char *const options[] = {"timeout", "nodelay", "keepalive", "limit",
                                        "family", "local_addr", NULL};
  bool is_list = lua_type(L, 1) == LUA_TTABLE;
  const char *host = is_list ? "" : eddy__check_host(L, 1);
  if (host == NULL) return eddy__arg_expected(L, 1, "string or table");
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
  if (is_list) {
    push_list(L, a);
    return race(L, task);
  }
  eddy__address address;
  if (eddy__address_parse(&address, host, port) == 0) {
    if (a->family != AF_UNSPEC && a->family != address.any.sa_family)
      eddy__arg_error(L, 1, "the address is not of the family that was asked for");
    *push_addresses(L, a, 1) = address;
    return race(L, task);
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
