/* SPDX-License-Identifier: MIT */
/*
 * stream_read.c - reading from a stream; see stream.h.
 * Touch:  with care. libuv reads while somebody wants bytes or there is room below the limit. When there is not, an
 *         offer is refused once (that costs no system call) before reading is stopped.
 *
 * For a task that waits with nothing read so far libuv only says that there is something: the task takes it itself,
 * into a block that is warm from the read before, and copies it once, into the string.
 */
#include <errno.h>
#include <string.h>
#ifndef _WIN32
#include <sys/socket.h>
#include <unistd.h>
#endif

#include "base/args.h"
#include "base/arena.h"
#include "base/error.h"
#include "io/stream.h"

/* A task may read so often without being suspended, then the others have their turn. */
enum { FETCHES = 8 };

/* --- libuv's side -------------------------------------------------------------------------------------------- */

void eddy__stream_wake_reader(eddy__stream *s) {
  s->is_hungry = false;
  eddy__select_tell(&s->watchers);
  eddy__task *reader = eddy__task_first(&s->readers);
  if (reader != NULL) eddy__task_wake_from(reader, s);
}

/* Counts what the world may still tell a loop: not of a stream that has been told of, and has not read that yet. */
static void count_reading(eddy__stream *s, int by) {
  if (s->handle.is_watched && !s->is_ready) s->handle.loop->reading += (size_t)by;
}

/* Of one that the loop's epoll tells of, or not. */
static void set_ready(eddy__stream *s, bool is_ready) {
  if (s->is_reading) count_reading(s, -1);
  s->is_ready = is_ready;
  if (s->is_reading) count_reading(s, 1);
}

void eddy__stream_stop_reading(eddy__stream *s) {
  if (!s->is_reading) return;
  s->is_reading = false;
  if (s->transport != NULL)
    s->transport->stop(s);
  else if (s->handle.is_watched)
    count_reading(s, -1);
  else
    uv_read_stop(&s->uv.stream);
}

/* Whether somebody waits for more, in a frame that is still there: a script may have closed that coroutine. */
static bool is_read(const eddy__stream *s) {
  const eddy__task *t = eddy__task_first(&s->readers);
  return s->is_hungry && t != NULL && t->waits_for == s && t->at != NULL && lua_status(t->at) == LUA_YIELD;
}

/* Whether the task that is to wait had better read itself: what it wants is likely to come at once, and whole. */
static bool wants_to_fetch(const eddy__stream *s) {
#ifdef _WIN32
  return false; /* there libuv begins to receive before anything has come */
#else
  if (eddy__input_size(&s->in) > 0) return false;
  if (s->want.kind == EDDY_WANT_EXACT) return s->want.count <= EDDY_BLOCK_SIZE;
  return s->want.kind != EDDY_WANT_ALL && s->in.chunk == 0;
#endif
}

/* The reader may take what there is by itself. */
static void tell_reader(eddy__stream *s) {
  eddy__stream *last = s->in.blocks->ready;
  if (last != NULL) last->next_ready = s;
  s->in.blocks->ready = s;
  eddy__stream_wake_reader(s);
}

/* Whether a task waits that wants to be told only. */
static bool is_fetched(const eddy__stream *s) {
  const eddy__task *reader = s->is_hungry && s->fetches ? eddy__task_first(&s->readers) : NULL;
  return reader != NULL && reader->waits_for == s;
}

static void on_alloc(uv_handle_t *uv, size_t suggested, uv_buf_t *buf) {
  (void)suggested;
  eddy__stream *s = uv->data;
  char *memory = NULL;
  size_t size = 0;
  s->lacked_memory = false;
  s->is_ready = is_fetched(s);
  if (s->is_ready) {
    /* nothing: on_read is told */
  } else if (s->is_hungry || eddy__input_size(&s->in) < s->in.limit) {
    size = eddy__input_offer(&s->in, &memory);
    s->lacked_memory = size == 0;
    s->was_refused = false;
  }
  *buf = uv_buf_init(memory, (unsigned)(size < 1u << 30 ? size : 1u << 30));
}

/* on_alloc has offered nothing, so the bytes are still in the kernel. */
static void refused(eddy__stream *s) {
  if (s->is_ready) {
    tell_reader(s);
    return;
  }
  if (s->lacked_memory) {
    s->in.error = UV_ENOMEM;
    eddy__stream_stop_reading(s);
    eddy__stream_wake_reader(s);
  } else if (s->was_refused) {
    eddy__stream_stop_reading(s);
  }
  s->was_refused = true;
}

/* read() without its way through the file system, where that can be. Returns a count or a libuv code: UV_EOF at the
 * end. */
static ssize_t receive(eddy__stream *s, char *memory, size_t size) {
#ifdef _WIN32
  (void)s, (void)memory, (void)size;
  return UV_EAGAIN;
#else
  uv_os_fd_t fd;
  ssize_t n;
  int rc = s->fd >= 0 ? 0 : uv_fileno((uv_handle_t *)&s->uv.stream, &fd);
  if (rc < 0) return rc;
  do n = s->fd >= 0 ? recv(s->fd, memory, size, MSG_DONTWAIT) : read(fd, memory, size);
  while (n < 0 && errno == EINTR);
  if (n == 0) return UV_EOF;
  return n < 0 ? uv_translate_sys_error(errno) : n;
#endif
}

/* What receiving has come to: the end, or an error. */
static void note_end(eddy__stream *s, int rc) {
  eddy__stream_stop_reading(s);
  if (rc == UV_EOF)
    s->in.eof = true;
  else
    s->in.error = rc;
}

/* So much of `size` was received: may there be more? Less than was asked for is all, in most cases. Who has had his
 * turn is told again later. */
static void note_rest(eddy__stream *s, ssize_t n, size_t size) {
  if (n > 0) s->usual = n < (ssize_t)size ? (size_t)n : 2 * size;
  set_ready(s, n == (ssize_t)size || (n > 0 && s->goes_on));
  if (!s->is_ready || ++s->fetched < FETCHES) return;
  set_ready(s, false);
  s->fetched = 0;
  if (s->handle.is_watched) eddy__poll_again(s->handle.loop, s->fd, &s->handle.watch);
}

void eddy__stream_received(eddy__stream *s, const char *memory, ssize_t n) {
  if (memory != NULL) eddy__input_received(&s->in, memory, n > 0 ? (size_t)n : 0);
  if (n == 0) return; /* EAGAIN */
  if (n < 0) note_end(s, (int)n);
  eddy__select_tell(&s->watchers);
  if (is_read(s) && eddy__input_look(&s->in, 0, &s->want) != EDDY_IN_MORE)
    eddy__stream_wake_reader(s);
}

void eddy__stream_look(eddy__stream *s) {
  while (s->is_ready && s->is_reading && s->handle.is_watched &&
         (s->is_hungry || eddy__input_size(&s->in) < s->in.limit)) {
    char *memory;
    size_t size = eddy__input_offer(&s->in, &memory);
    if (size == 0) {
      s->in.error = UV_ENOMEM;
      eddy__stream_wake_reader(s);
      return;
    }
    ssize_t n = receive(s, memory, size);
    note_rest(s, n, size);
    eddy__stream_received(s, memory, n == UV_EAGAIN ? 0 : n);
  }
}

void eddy__stream_on_ready(eddy__watch *w, bool goes_on) {
  eddy__stream *s = eddy__container_of(w, eddy__stream, handle.watch);
  set_ready(s, true);
  if (goes_on) s->goes_on = true;
  if (is_fetched(s))
    tell_reader(s);
  else
    eddy__stream_look(s);
}

/* libuv has stopped with an end that it has not read: it takes a hang-up after a short read for one, but more may be
 * there. Whether reading goes on, to the end that the system tells. */
static bool is_early_end(eddy__stream *s, ssize_t n, const uv_buf_t *buf) {
#ifdef _WIN32
  return false;
#else
  if (n != UV_EOF || buf->base != NULL) return false;
  s->is_reading = false;
  return eddy__stream_start_reading(s) == 0;
#endif
}

static void on_read(uv_stream_t *uv, ssize_t n, const uv_buf_t *buf) {
  eddy__stream *s = uv->data;
  if (is_early_end(s, n, buf)) return;
  if (n == UV_ENOBUFS && (buf->base == NULL || buf->len == 0))
    refused(s);
  else
    eddy__stream_received(s, buf->base, n);
}

size_t eddy__stream_offer(eddy__stream *s, char **memory) {
  *memory = NULL;
  if (s->is_hungry || !eddy__list_empty(&s->watchers) ||
      (!s->is_thrifty && eddy__input_size(&s->in) < s->in.limit)) {
    size_t size = eddy__input_offer(&s->in, memory);
    if (size > 0) return size;
    s->in.error = UV_ENOMEM;
    eddy__stream_wake_reader(s);
  }
  eddy__stream_stop_reading(s);
  return 0;
}

/* --- the task's side ----------------------------------------------------------------------------------------- */

static void cancel_read(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__stream *s = task->waits_for;
  eddy__list_remove(&task->waiter.link);
  s->is_hungry = false;
  if (s->is_thrifty) eddy__stream_stop_reading(s);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_read = {"read", cancel_read, true};

static int k_read(lua_State *L, int status, lua_KContext ctx);

static bool is_watchable(const eddy__stream *s) {
  return s->transport == NULL && s->fd >= 0 && s->uv.stream.type == UV_TCP && eddy__poll_watches(s->handle.loop);
}

/* The loop's epoll tells when there is something: on_ready. */
static int watch(eddy__stream *s) {
  bool again = s->handle.is_watched;
  int rc = eddy__handle_watch(&s->handle, s->fd);
  if (rc < 0) return rc;
  s->is_reading = true;
  count_reading(s, 1);
  if (again) eddy__poll_again(s->handle.loop, s->fd, &s->handle.watch); /* what was told before is forgotten */
  return 0;
}

int eddy__stream_start_reading(eddy__stream *s) {
  if (s->is_reading || eddy__stream_is_closing(s)) return 0;
  if (!eddy__handle_is_own(&s->handle)) return UV_EBADF; /* libuv would abort when it polls that */
  if (s->transport == NULL && !uv_is_readable(&s->uv.stream)) return UV_EBADF;
  if (is_watchable(s)) return watch(s);
  s->is_reading = true; /* before: a transport may stop at once */
  int rc = s->transport != NULL ? s->transport->start(s) : uv_read_start(&s->uv.stream, on_alloc, on_read);
  if (rc < 0) s->is_reading = false;
  return rc;
}

/* There is something: reads it, without waiting. Nothing but the input changes. Returns 0 or UV_ENOMEM. */
static int fetch(eddy__stream *s) {
  char *memory;
  size_t size = eddy__input_offer(&s->in, &memory);
  if (size == 0) return UV_ENOMEM; /* it is there still */
  ssize_t n = receive(s, memory, size);
  eddy__input_keep(&s->in, memory, n > 0 ? (size_t)n : 0);
  note_rest(s, n, size);
  if (n < 0 && n != UV_EAGAIN) note_end(s, (int)n);
  return 0;
}

/* How much is likely to be there. */
static size_t expected(const eddy__stream *s) { return s->usual < EDDY_BLOCK_SIZE ? s->usual : EDDY_BLOCK_SIZE; }

/* Whether that is likely to be a long string, all of it. Who asks for less takes a block of it at a time. */
static bool wants_draft(const eddy__stream *s, const eddy__want *want) {
  return want == &s->want && want->kind == EDDY_WANT_COUNT && s->usual >= EDDY_DRAFT_LEAST &&
         expected(s) <= want->count && eddy__input_size(&s->in) == 0 && s->in.chunk == 0;
}

enum { NO_DRAFT, IN_INPUT, PUSHED };

/* There is something: reads it to where the string will be that it becomes. It asks for more than is expected, as a
 * short read tells that this was all. Returns whether it was PUSHED; few bytes, and more than `most`, are IN_INPUT, as
 * are the end and errors.   [-0, +(0|1), -] */
static int fetch_string(lua_State *L, eddy__stream *s, size_t most) {
  eddy__draft d;
  if (!eddy__draft_begin(L, expected(s), &d)) return NO_DRAFT;
  size_t size = d.room < most || s->usual <= EDDY_BLOCK_SIZE ? d.room : most;
  ssize_t n = receive(s, d.bytes, size);
  note_rest(s, n, size);
  if (n < 0 && n != UV_EAGAIN) note_end(s, (int)n);
  bool is_string = n > 0 && (size_t)n <= most && eddy__draft_is_full(&d, (size_t)n);
  if (is_string) {
    eddy__draft_push(L, &d, (size_t)n);
  } else if (n > 0) {
    memmove(d.block, d.bytes, (size_t)n);
    eddy__input_adopt(&s->in, d.block, d.room, (size_t)n);
  } else {
    eddy__draft_drop(L, &d);
  }
  return is_string ? PUSHED : IN_INPUT;
}

/* Suspends the task until the callbacks have found what it wants.   [-0, +n, y] */
static int wait_for_more(lua_State *L, eddy__stream *s, eddy__task *task) {
  s->fetched = 0;
  eddy__input_settle(&s->in);
  int rc = eddy__stream_start_reading(s);
  if (rc < 0) return eddy__raise(L, rc, "read");
  s->is_hungry = true;
  s->fetches = wants_to_fetch(s);
  eddy__list_push(&s->readers, &task->waiter.link);
  task->waits_for = s;
  return eddy__suspend(L, task, &wait_read, k_read);
}

/* A closed stream has nothing more to say.   [-0, +n, v] */
static int answer_closed(lua_State *L, eddy__stream *s) {
  if (s->want.kind == EDDY_WANT_EXACT || s->want.kind == EDDY_WANT_UNTIL)
    return eddy__input_raise(L, &s->in, &s->want, EDDY_IN_SHORT);
  lua_pushnil(L);
  return 1;
}

/* Whether no look is needed: nothing has come, and that would not do for any read but one. */
static bool has_nothing(const eddy__stream *s) {
  return eddy__input_size(&s->in) == 0 && !s->in.eof && s->in.error == 0 && s->want.kind != EDDY_WANT_EXACT;
}

/* The task that runs next is likely to be that of the stream whose bytes came next: asks for its memory, while the
 * system sends ours. The stream may be gone by now, that does not matter. */
static void ask_ahead(const void *next) {
#ifdef __GNUC__
  for (size_t at = 0; next != NULL && at < sizeof(eddy__stream); at += 64) __builtin_prefetch((const char *)next + at);
#else
  (void)next;
#endif
}

/* Reads what s->want says; when that is WANT_MORE, the formats at 2 and above.   [-0, +n, y] */
static int go_on(lua_State *L, eddy__stream *s, eddy__task *task) {
  eddy__want other, *want = &s->want;
  bool many = want->kind == EDDY_WANT_MORE;
  int last = many ? lua_gettop(L) : 2;
  if (eddy__stream_is_closing(s)) {
    s->want.take = 0;
    return answer_closed(L, s);
  }
  if (many) want = &other;
  for (;;) {
    int found = has_nothing(s)  ? EDDY_IN_MORE
                : many         ? eddy__input_look_all(L, &s->in, 2, last, want)
                               : eddy__input_look(&s->in, 0, want);
    if (found == EDDY_IN_MORE && !s->is_ready) return wait_for_more(L, s, task);
    if (found == EDDY_IN_MORE) {
      int done = wants_draft(s, want) ? fetch_string(L, s, want->count) : NO_DRAFT;
      if (done == PUSHED) return 1;
      int rc = done == NO_DRAFT ? fetch(s) : 0;
      if (rc < 0) return eddy__raise(L, rc, "read");
      continue;
    }
    if (found != EDDY_IN_READY && found != EDDY_IN_END)
      return eddy__input_raise(L, &s->in, want, found);
    if (many) return eddy__input_push_all(L, &s->in, 2, last);
    eddy__input_push(L, &s->in, want, found);
    return 1;
  }
}

static int k_read(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  eddy__stream *s = eddy__handle_again(L, 1, task);
  ask_ahead(s->next_ready);
  eddy__list_remove(&task->waiter.link);
  eddy__wake_check(L, task);
  return go_on(L, s, task);
}

/* The running task, which may read the stream at 1.   [-0, +0, v] */
static eddy__task *check_reader(lua_State *L, const eddy__stream *s, const char *name) {
  eddy__task *task = eddy__running_on(L, s->handle.loop, name);
  if (!eddy__list_empty(&s->readers))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': another task is reading this stream already", name);
  return task;
}

/* Reads the formats at 2 and above, a line if there are none.   [-0, +n, y] */
static int read_formats(lua_State *L, const char *name) {
  eddy__stream *s = eddy__stream_check(L, 1);
  int n = lua_gettop(L) - 1;
  eddy__want want;
  if (n == 0) lua_pushliteral(L, "l");
  for (int i = n == 0 ? 2 : n + 1; i >= 2; i--) eddy__want_format(L, i, &want);
  eddy__task *task = check_reader(L, s, name);
  s->want = want; /* the first one, as it was checked last */
  if (n > 1) s->want.kind = EDDY_WANT_MORE;
  s->in.scanned = 0;
  return go_on(L, s, task);
}

/* stream:read(format...) -> ...   [-0, +n, y] */
int eddy__stream_l_read(lua_State *L) { return read_formats(L, "read"); }

/* stream:read_exactly(n) -> string   [-0, +1, y] */
int eddy__stream_l_read_exactly(lua_State *L) {
  eddy__stream *s = eddy__stream_check(L, 1);
  lua_Integer n = eddy__check_integer(L, 2);
  eddy__arg_check(L, n >= 0, 2, "a count cannot be negative");
  eddy__task *task = check_reader(L, s, "read_exactly");
  lua_settop(L, 1);
  memset(&s->want, 0, sizeof s->want);
  s->want.kind = EDDY_WANT_EXACT;
  s->want.count = (size_t)n;
  return go_on(L, s, task);
}

/* stream:read_until(separator or list of them) -> string that ends with one   [-0, +1, y] */
int eddy__stream_l_read_until(lua_State *L) {
  eddy__stream *s = eddy__stream_check(L, 1);
  lua_settop(L, 2);
  const eddy__want *want = eddy__want_until(L, 2);
  eddy__task *task = check_reader(L, s, "read_until");
  s->want = *want;
  s->in.scanned = 0;
  return go_on(L, s, task);
}

/* stream:at_eof() -> whether all was read, as far as is known without waiting   [-0, +1, v] */
int eddy__stream_l_at_eof(lua_State *L) {
  eddy__stream *s = eddy__stream_check(L, 1);
  eddy__stream_look(s);
  bool at_end = s->in.eof && eddy__input_size(&s->in) == 0;
  lua_pushboolean(L, at_end || eddy__stream_is_closing(s));
  return 1;
}

/* The iterator; upvalues: the record, the stream, the formats.   [-0, +n, y] */
static int l_next_line(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(2));
  int n = (int)lua_tointeger(L, lua_upvalueindex(3));
  luaL_checkstack(L, n + LUA_MINSTACK, "too many formats");
  for (int i = 0; i < n; i++) lua_pushvalue(L, lua_upvalueindex(4 + i));
  return read_formats(L, "lines");
}

/* stream:lines(format...) -> iterator   [-0, +1, v] */
int eddy__stream_l_lines(lua_State *L) {
  eddy__stream_check(L, 1);
  int n = lua_gettop(L) - 1;
  eddy__want want;
  eddy__arg_check(L, n <= 200, 202, "too many formats");
  for (int i = 2; i <= n + 1; i++) eddy__want_format(L, i, &want);
  lua_pushinteger(L, n);
  lua_insert(L, 2);
  eddy__runtime_push(L);
  lua_insert(L, 1);
  lua_pushcclosure(L, l_next_line, n + 3);
  return 1;
}
