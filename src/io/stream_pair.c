/* SPDX-License-Identifier: MIT */
/*
 * stream_pair.c - eddy.stream_pair; see stream_pair.h.
 * Owns:   an end, with the wire that leads to it: bytes that the other end has written and this one has not received.
 * Touch:  freely. All that happens to the bytes happens in on_due, from the loop's timers, so it is the same for the
 *         same seed, in real and in virtual time.
 */
#include "io/stream_pair.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "io/stream.h"

enum { WIRE_SIZE = 65536 };

static const eddy__type type_pair = {"StreamPair"};

/* What a test asks for; the same for both directions. */
typedef struct manners {
  bool has_seed;               /* pieces are of random sizes */
  size_t chunk;                /* the largest piece; SIZE_MAX: any */
  double delay_min, delay_max; /* seconds before each piece */
  uint64_t reset_after;        /* bytes, of both directions; UINT64_MAX: never */
  uint64_t end_after;          /* bytes, of one direction */
  size_t buffer;               /* of the wire: what is in it counts as sent */
} manners;

typedef struct end {
  eddy__stream stream; /* first */
  struct end *peer;    /* NULL once that is closing */
  manners m;
  uint64_t random;     /* of this direction */
  uint64_t received;   /* bytes */
  char *wire;
  size_t start, stop, cap; /* what is on it: wire[start..stop) */
  int last;            /* what follows it: UV_EOF, an error, or 0 if nothing does yet */
  int write_rc;        /* what writing to the peer gives */
  bool is_deaf;        /* what is written to it from now on is lost */
  bool is_due;         /* a piece has come while nobody wanted it */
  eddy__timer timer;   /* for the next piece */
} end;

static end *end_of(const eddy__stream *s) { return (end *)s; }

/* --- chance -------------------------------------------------------------------------------------------------- */

/* The next random number (splitmix64). */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

/* How large the next piece is, when n bytes are there. */
static size_t piece(end *e, size_t n) {
  if (n > e->m.chunk) n = e->m.chunk;
  if (!e->m.has_seed || n == 0) return n;
  uint64_t bits = next_random(&e->random) % 17; /* small ones are as likely as large ones */
  size_t size = 1 + (size_t)(next_random(&e->random) % ((uint64_t)1 << bits));
  return size < n ? size : n;
}

static double delay(end *e) {
  double part = (double)(next_random(&e->random) >> 11) / (double)((uint64_t)1 << 53);
  return e->m.delay_min + (e->m.delay_max - e->m.delay_min) * part;
}

/* --- the wire ------------------------------------------------------------------------------------------------ */

static size_t on_wire(const end *e) { return e->stop - e->start; }

static void on_due(eddy__timer *timer);

/* Sees to it that the next piece comes. Returns 0 or UV_ENOMEM. */
static int expect(end *e) {
  eddy__loop *loop = e->stream.handle.loop;
  if (!e->stream.is_reading || e->timer.place != 0) return 0;
  if (on_wire(e) == 0 && e->last == 0) return 0;
  bool at_once = e->is_due || on_wire(e) == 0 || e->m.delay_max <= 0;
  uint64_t when = at_once ? eddy__clock_now(&loop->clock) : eddy__clock_after(&loop->clock, delay(e));
  return eddy__timer_start(&loop->timers, &e->timer, when, on_due);
}

/* Nothing more comes to this end but `last`; what is on the wire is kept up to `keep` bytes. */
static void cut(end *e, int last, size_t keep) {
  if (on_wire(e) > keep) e->stop = e->start + keep;
  if (e->last == 0 || last != UV_EOF) e->last = last;
  e->is_deaf = true;
  if (expect(e) < 0) eddy__stream_received(&e->stream, NULL, UV_ECONNRESET);
}

static size_t queued(const eddy__stream *s) {
  const end *e = (const end *)s, *peer = e->peer;
  return peer != NULL && on_wire(peer) > peer->m.buffer ? on_wire(peer) - peer->m.buffer : 0;
}

/* Nobody takes what this end writes any more. */
static void refuse(end *e, int rc) {
  e->write_rc = rc;
  if (queued(&e->stream) > 0) eddy__stream_failed(&e->stream, rc);
}

static void reset(end *e) {
  end *peer = e->peer;
  refuse(e, UV_ECONNRESET);
  if (peer != NULL) refuse(peer, UV_ECONNRESET);
  cut(e, UV_ECONNRESET, 0);
  if (peer != NULL) cut(peer, UV_ECONNRESET, 0);
}

/* Takes n bytes off the wire. */
static void take(end *e, char *memory, size_t n) {
  memcpy(memory, e->wire + e->start, n);
  e->start += n;
  e->received += n;
  if (e->start == e->stop) e->start = e->stop = 0;
}

/* What a test has asked to happen after so many bytes. */
static void meet_fate(end *e) {
  uint64_t both = e->received + (e->peer != NULL ? e->peer->received : 0);
  if (both >= e->m.reset_after)
    reset(e);
  else if (e->received >= e->m.end_after && !e->is_deaf)
    cut(e, UV_EOF, 0);
}

/* So many bytes may come until then. */
static size_t until_fate(const end *e) {
  uint64_t other = e->peer != NULL ? e->peer->received : 0, left = SIZE_MAX;
  if (e->m.reset_after != UINT64_MAX) left = e->m.reset_after - e->received - other;
  if (e->m.end_after - e->received < left) left = e->m.end_after - e->received;
  return (size_t)left;
}

/* A piece comes, or what follows the last one. */
static void on_due(eddy__timer *timer) {
  end *e = eddy__container_of(timer, end, timer);
  eddy__stream *s = &e->stream;
  char *memory;
  e->is_due = !s->is_reading;
  if (e->is_due) return;
  size_t n = on_wire(e), room;
  if (n == 0) {
    eddy__stream_received(s, NULL, e->last);
    return;
  }
  room = eddy__stream_offer(s, &memory);
  e->is_due = room == 0;
  if (room == 0) return;
  n = piece(e, n < room ? n : room);
  if (n > until_fate(e)) n = until_fate(e);
  take(e, memory, n);
  eddy__stream_received(s, memory, (ssize_t)n);
  meet_fate(e);
  if (e->peer != NULL) eddy__stream_sent(&e->peer->stream);
  (void)expect(e); /* there is room: the timer has just left its place */
}

/* --- a transport --------------------------------------------------------------------------------------------- */

static int start(eddy__stream *s) { return expect(end_of(s)); }

static void stop(eddy__stream *s) { (void)s; /* on_due sees that */ }

/* Makes room for n bytes behind what is on the wire. Returns 0 or UV_ENOMEM. */
static int make_room(end *e, size_t n) {
  size_t size = on_wire(e);
  if (e->start > 0) memmove(e->wire, e->wire + e->start, size);
  e->start = 0;
  e->stop = size;
  if (e->cap - size >= n) return 0;
  if (n > SIZE_MAX / 4 - size) return UV_ENOMEM;
  size_t cap = e->cap < 1024 ? 1024 : e->cap;
  while (cap < size + n) cap *= 2;
  char *wire = realloc(e->wire, cap);
  if (wire == NULL) return UV_ENOMEM;
  e->wire = wire;
  e->cap = cap;
  return 0;
}

static int write_to(eddy__stream *s, const uv_buf_t *bufs, unsigned n) {
  end *to = end_of(s)->peer;
  size_t size = 0;
  if (end_of(s)->write_rc < 0) return end_of(s)->write_rc;
  if (to->is_deaf) return 0;
  for (unsigned i = 0; i < n; i++) size += bufs[i].len;
  int rc = to->cap - to->stop < size ? make_room(to, size) : 0;
  if (rc < 0) return rc;
  size_t before = to->stop;
  for (unsigned i = 0; i < n; i++) {
    memcpy(to->wire + to->stop, bufs[i].base, bufs[i].len);
    to->stop += bufs[i].len;
  }
  rc = expect(to);
  if (rc < 0) to->stop = before;
  return rc;
}

static int shut_down(eddy__stream *s) {
  end *to = end_of(s)->peer;
  if (to == NULL || to->last != 0) return 0;
  to->last = UV_EOF;
  int rc = expect(to);
  if (rc < 0) to->last = 0;
  return rc;
}

static const eddy__transport transport = {start, stop, write_to, queued, shut_down};

/* --- life ---------------------------------------------------------------------------------------------------- */

static void describe(const eddy__handle *h, char *text, size_t size) {
  (void)h;
  snprintf(text, size, "stream of a pair");
}

/* The other end sees what a socket's would: a reset if this one leaves something unread, else the end. */
static void on_closing(eddy__handle *h) {
  end *e = (end *)h, *peer = e->peer;
  bool unread = on_wire(e) > 0;
  eddy__stream_on_closing(h);
  eddy__timer_stop(&h->loop->timers, &e->timer);
  if (peer == NULL) return;
  refuse(peer, unread ? UV_ECONNRESET : UV_EPIPE);
  e->peer = peer->peer = NULL;
  cut(peer, unread ? UV_ECONNRESET : UV_EOF, unread ? 0 : peer->m.buffer);
  eddy__stream_sent(&peer->stream);
}

static void release(eddy__handle *h) {
  free(((end *)h)->wire);
  eddy__stream_release(h);
}

static const eddy__handle_kind kind_pair = {describe, on_closing, eddy__stream_on_closed, release};

/* [-0, +1, v] */
static end *push_end(lua_State *L, eddy__loop *loop, const manners *m, size_t limit, size_t high) {
  end *e = (end *)eddy__stream_new(L, loop, &type_pair, &kind_pair, sizeof *e, limit);
  int rc = uv_idle_init(loop->uv, &e->stream.uv.idle);
  if (rc < 0) eddy__raise(L, rc, "stream_pair");
  e->stream.transport = &transport;
  e->stream.handle.keeper.lingers = NULL; /* when the loop ends nobody is left who could receive */
  e->m = *m;
  e->stream.high = high;
  e->stream.low = high / 4;
  eddy__handle_opened(&e->stream.handle);
  return e;
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

/* Reads an option that is a number or {min, max}, of at least `low`; false if there is none.   [-0, +0, v] */
static bool check_range(lua_State *L, int arg, const char *name, double *min, double *max) {
  if (!lua_istable(L, arg)) return false;
  int type = lua_getfield(L, arg, name), base = lua_gettop(L);
  if (type == LUA_TNUMBER) {
    *min = *max = lua_tonumber(L, base);
  } else if (type == LUA_TTABLE) {
    bool are_numbers = lua_rawgeti(L, base, 1) == LUA_TNUMBER;
    are_numbers = lua_rawgeti(L, base, 2) == LUA_TNUMBER && are_numbers;
    if (!are_numbers)
      eddy__arg_error(L, arg, lua_pushfstring(L, "option '%s': number or {min, max} expected", name));
    *min = lua_tonumber(L, base + 1);
    *max = lua_tonumber(L, base + 2);
  } else if (type != LUA_TNIL) {
    const char *got = luaL_typename(L, base);
    eddy__arg_error(L, arg,
                    lua_pushfstring(L, "option '%s': number or {min, max} expected, got %s", name, got));
  }
  if (type != LUA_TNIL && !(*min >= 0 && *min <= *max && isfinite(*max)))
    eddy__arg_error(L, arg, lua_pushfstring(L, "option '%s': 0 <= min <= max expected", name));
  lua_settop(L, base - 1);
  return type != LUA_TNIL;
}

/* A number of bytes, perhaps one of a range.   [-0, +0, v] */
static uint64_t check_bytes(lua_State *L, int arg, const char *name, uint64_t *random) {
  double min, max;
  if (!check_range(L, arg, name, &min, &max)) return UINT64_MAX;
  if (max > 9e15 || floor(min) != min || floor(max) != max)
    eddy__arg_error(L, arg, lua_pushfstring(L, "option '%s': a number of bytes expected", name));
  return (uint64_t)min + next_random(random) % (uint64_t)(max - min + 1);
}

/* eddy.stream_pair(options) -> stream, stream   [-0, +2, v] */
static int l_stream_pair(lua_State *L) {
  static const char *const options[] = {"seed", "chunk", "delay", "reset_after", "end_after", "buffer",
                                        "limit", "high_water", NULL};
  const lua_Integer most = (lua_Integer)1 << 40;
  manners m = {.chunk = SIZE_MAX};
  bool has_options = eddy__check_options(L, 1, options);
  lua_settop(L, 1);
  uint64_t seed = (uint64_t)eddy__option_integer(L, 1, "seed", LUA_MININTEGER, LUA_MAXINTEGER, 0);
  if (has_options) m.has_seed = lua_getfield(L, 1, "seed") != LUA_TNIL;
  lua_settop(L, 1);
  lua_Integer chunk = eddy__option_integer(L, 1, "chunk", 1, most, 0);
  if (chunk > 0) m.chunk = (size_t)chunk;
  check_range(L, 1, "delay", &m.delay_min, &m.delay_max);
  m.reset_after = check_bytes(L, 1, "reset_after", &seed);
  m.end_after = check_bytes(L, 1, "end_after", &seed);
  m.buffer = (size_t)eddy__option_integer(L, 1, "buffer", 0, most, WIRE_SIZE);
  size_t limit = (size_t)eddy__option_integer(L, 1, "limit", 1, most, EDDY_INPUT_LIMIT);
  size_t high = (size_t)eddy__option_integer(L, 1, "high_water", 0, most, EDDY_HIGH_WATER);
  eddy__loop *loop = eddy__loop_running(L, "stream_pair");
  end *a = push_end(L, loop, &m, limit, high);
  a->stream.handle.is_quiet = true; /* until both are there */
  end *b = push_end(L, loop, &m, limit, high);
  a->stream.handle.is_quiet = false;
  a->random = next_random(&seed);
  b->random = next_random(&seed);
  a->peer = b;
  b->peer = a;
  meet_fate(a);
  if (m.end_after == 0 && m.reset_after > 0) meet_fate(b);
  return 2;
}

/* [-0, +0, v] */
static end *check(lua_State *L) {
  end **box = eddy__object_check(L, 1, &type_pair);
  eddy__arg_check(L, *box != NULL, 1, "the stream was collected");
  return *box;
}

/* stream:peername(), stream:sockname(): it has no names   [-0, +0, v] */
static int l_no_name(lua_State *L) {
  check(L);
  return 0;
}

/* stream:fileno()   [-0, +0, v] */
static int l_fileno(lua_State *L) {
  check(L);
  return eddy__error_throw(L, EDDY_E_RUNTIME, "'fileno': a stream in memory has no descriptor");
}

/* [-0, +0, m] */
void eddy__stream_pair_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"stream_pair", l_stream_pair}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
    {"peername", l_no_name}, {"sockname", l_no_name}, {"fileno", l_fileno}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
  eddy__stream_type(L, &type_pair, methods);
}
