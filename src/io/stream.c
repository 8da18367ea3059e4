/* SPDX-License-Identifier: MIT */
/*
 * stream.c - the life of a stream: birth, close, texts; see stream.h.
 * Touch:  with care: closing can begin in a task, in libuv's callbacks, in a finalizer and at the loop's end.
 */
#include "io/stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"

/* --- birth and death ----------------------------------------------------------------------------------------- */

/* [-0, +1, m] */
eddy__stream *eddy__stream_new(lua_State *L, eddy__loop *loop, const eddy__type *type,
                               const eddy__handle_kind *kind, size_t size, size_t limit) {
  eddy__blocks *blocks = eddy__blocks_open(L);
  eddy__stream **box = eddy__object_new(L, type, sizeof *box, 0);
  eddy__stream *s = calloc(1, size);
  if (s == NULL) eddy__raise(L, UV_ENOMEM, "open a stream");
  *box = s;
  eddy__handle_init(&s->handle, kind, loop, (uv_handle_t *)&s->uv);
  eddy__place_of_caller(L, s->handle.opened_at, sizeof s->handle.opened_at);
  eddy__input_init(&s->in, blocks, limit);
  s->fd = -1;
  s->high = EDDY_HIGH_WATER;
  s->low = EDDY_HIGH_WATER / 4;
  eddy__list_init(&s->readers);
  eddy__list_init(&s->writers);
  eddy__list_init(&s->watchers);
  eddy__list_init(&s->closers);
  s->handle.watch.on_ready = eddy__stream_on_ready;
  return s;
}

void eddy__stream_is_socket(eddy__stream *s) {
#ifndef _WIN32
  uv_os_fd_t fd;
  if (uv_fileno((uv_handle_t *)&s->uv.stream, &fd) == 0) s->fd = fd;
#else
  (void)s;
#endif
}

void eddy__stream_release(eddy__handle *h) {
  eddy__stream *s = (eddy__stream *)h;
  if (s->in.blocks->ready == s) s->in.blocks->ready = NULL;
  eddy__input_deinit(&s->in);
  eddy__list_clear(&s->readers); /* in a coroutine that a script has closed */
  eddy__list_clear(&s->watchers);
  free(s);
}

void eddy__stream_on_closing(eddy__handle *h) {
  eddy__stream *s = (eddy__stream *)h;
  s->was_cut = eddy__stream_queued(s) > 0;
  eddy__stream_discard(s);
  if (s->handle.is_watched) eddy__stream_stop_reading(s); /* libuv knows by itself */
  eddy__stream_wake_reader(s);
  eddy__park_wake_all(&s->writers);
}

void eddy__stream_on_closed(eddy__handle *h) {
  eddy__stream *s = (eddy__stream *)h;
  eddy__input_deinit(&s->in);
  eddy__park_wake_all(&s->closers);
}

void eddy__stream_flushed(eddy__stream *s) {
  if (s->is_ending && !s->is_shutting && eddy__stream_queued(s) == 0)
    eddy__handle_close(&s->handle);
}

void eddy__stream_close(eddy__stream *s) {
  if (eddy__stream_is_closing(s)) return;
  s->is_ending = true;
  s->handle.was_asked = true;
  eddy__stream_stop_reading(s);
  eddy__input_clear(&s->in);
  eddy__stream_wake_reader(s);
  eddy__stream_flushed(s);
}

void eddy__stream_abort(eddy__stream *s) { eddy__handle_close(&s->handle); }

/* --- who is who ---------------------------------------------------------------------------------------------- */

/* What the userdata at idx points with, or NULL if it is no stream. In a function of eddy's.   [-0, +0, -] */
static eddy__stream **test(lua_State *L, int idx) {
  void *box;
  uint64_t stamp = eddy__object_look(L, idx, &box);
  for (const eddy__type *const *type = eddy__runtime_of(L)->stream_types; *type != NULL; type++)
    if (stamp == eddy__object_stamp(*type)) return box;
  return NULL;
}

/* [-0, +0, v] */
eddy__stream *eddy__stream_check(lua_State *L, int arg) {
  eddy__stream **box = test(L, arg);
  if (box == NULL) eddy__arg_expected(L, arg, "stream");
  eddy__arg_check(L, *box != NULL, arg, "the stream was collected");
  return *box;
}

/* [-0, +0, v]: only a call by hand raises */
static int l_gc(lua_State *L) {
  eddy__stream **box = test(L, 1);
  if (box == NULL) return eddy__arg_expected(L, 1, "stream");
  if (*box == NULL) return 0;
  eddy__stream *s = *box;
  *box = NULL;
  eddy__handle_drop(L, &s->handle);
  return 0;
}

/* [-0, +0, v] */
int eddy__stream_raise_closed(lua_State *L, const eddy__stream *s, const char *name) {
  char text[EDDY_TEXT_SIZE];
  s->handle.kind->describe(&s->handle, text, sizeof text);
  return eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' on a closed stream (%s)", name, text);
}

/* --- what Lua calls ------------------------------------------------------------------------------------------ */

/* stream:close()   [-0, +0, v]: what is queued goes out first, nobody waits */
static int l_close(lua_State *L) {
  eddy__stream_close(eddy__stream_check(L, 1));
  return 0;
}

/* stream:abort()   [-0, +0, v]: at once; what is queued is lost */
static int l_abort(lua_State *L) {
  eddy__stream_abort(eddy__stream_check(L, 1));
  return 0;
}

/* stream:is_closing() -> boolean   [-0, +1, v] */
static int l_is_closing(lua_State *L) {
  lua_pushboolean(L, eddy__stream_is_closing(eddy__stream_check(L, 1)));
  return 1;
}

static const eddy__wait wait_closed = {"wait_closed", eddy__park_cancel, true};

/* [-0, +n, y] */
int eddy__stream_wait_closed(lua_State *L, eddy__stream *s, eddy__task *task, lua_KFunction k) {
  if (!s->handle.is_open) return k(L, LUA_OK, (lua_KContext)task);
  return eddy__park(L, task, &s->closers, &wait_closed, k);
}

/* [-0, +0, v] */
static int k_wait_closed(lua_State *L, int status, lua_KContext ctx) {
  eddy__stream *s = eddy__handle_again(L, 1, (eddy__task *)ctx);
  if (status == LUA_YIELD) eddy__wake_check(L, (eddy__task *)ctx);
  if (s->write_error == 0 || s->error_was_told) return 0;
  s->error_was_told = true; /* what was queued has not gone out, and no write has said so */
  return eddy__raise(L, s->write_error, "write");
}

/* stream:wait_closed()   [-0, +0, y] */
static int l_wait_closed(lua_State *L) {
  eddy__stream *s = eddy__stream_check(L, 1);
  eddy__task *task = eddy__running_on(L, s->handle.loop, "wait_closed");
  lua_settop(L, 1);
  return eddy__stream_wait_closed(L, s, task, k_wait_closed);
}

/* The scope of `local s <close>` ends, because of the error at 2 unless that is nil. A scope that was cancelled does
 * not wait for a peer that does not read.   [-0, +0, y] */
static int l_scope_end(lua_State *L) {
  eddy__stream *s = eddy__stream_check(L, 1);
  lua_settop(L, 2);
  if (eddy__error_is(L, 2, EDDY_E_CANCELLED))
    eddy__stream_abort(s);
  else
    eddy__stream_close(s);
  if (!s->handle.is_open || !eddy__may_wait(L, s->handle.loop)) return 0; /* nobody who could wait */
  return eddy__stream_wait_closed(L, s, eddy__running(L, "close"), k_wait_closed);
}

/* "<TCP connection a -> b, closing>"   [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__stream *s = eddy__stream_check(L, 1);
  char text[EDDY_TEXT_SIZE];
  s->handle.kind->describe(&s->handle, text, sizeof text);
  const char *state = !s->handle.is_open           ? ", closed"
                      : eddy__stream_is_closing(s) ? ", closing"
                                                   : "";
  lua_pushfstring(L, "<%s%s>", text, state);
  return 1;
}

/* Something can be read at once: bytes, the end, an error.   [-0, +0, -] */
static bool is_readable(lua_State *L, int idx) {
  eddy__stream *s = eddy__stream_at(L, idx);
  if (s != NULL) eddy__stream_look(s);
  return s == NULL || eddy__input_size(&s->in) > 0 || s->in.eof || s->in.error != 0 || eddy__stream_is_closing(s);
}

/* [-0, +0, v] */
static eddy__list *watch(lua_State *L, int idx) {
  eddy__stream *s = eddy__stream_at(L, idx);
  int rc = eddy__stream_start_reading(s);
  if (rc < 0) eddy__raise(L, rc, "read");
  return &s->watchers;
}

static const eddy__selectable selectable = {is_readable, watch, NULL, NULL};

void eddy__stream_type(lua_State *L, const eddy__type *type, const luaL_Reg *methods) {
  static const eddy__type base = {"stream"};
  static const luaL_Reg shared[] = {
    {"read", eddy__stream_l_read},
    {"read_exactly", eddy__stream_l_read_exactly},
    {"read_until", eddy__stream_l_read_until},
    {"lines", eddy__stream_l_lines},
    {"at_eof", eddy__stream_l_at_eof},
    {"write", eddy__stream_l_write},
    {"drain", eddy__stream_l_drain},
    {"send_file", eddy__stream_l_send_file},
    {"shutdown", eddy__stream_l_shutdown},
    {"set_write_buffer_limits", eddy__stream_l_set_write_buffer_limits},
    {"close", l_close},
    {"abort", l_abort},
    {"is_closing", l_is_closing},
    {"wait_closed", l_wait_closed},
    {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__gc", l_gc}, {"__close", l_scope_end}, {"__tostring", l_tostring}, {NULL, NULL}};
  int top = lua_gettop(L);
  eddy__runtime_push(L);
  eddy__object_type(L, &base, NULL, shared, NULL, top + 1);
  eddy__object_type(L, type, &base, methods, meta, top + 1);
  eddy__selectable_set(L, &selectable);
  eddy__runtime *rt = lua_touserdata(L, top + 1);
  const eddy__type **place = rt->stream_types;
  while (*place != NULL && *place != type) place++;
  assert(place < rt->stream_types + EDDY_STREAM_TYPES - 1);
  *place = type;
  lua_settop(L, top);
}
