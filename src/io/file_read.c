/* SPDX-License-Identifier: MIT */
/*
 * file_read.c - the methods of files that read; see file.h.
 * Touch:  freely. As in file_object.c: a k_ passes the turn on before it returns or raises. What is there already is
 *         read without a thread, up to so much in a turn of the loop.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/args.h"
#include "base/error.h"
#include "io/file.h"

enum { COUNT_AHEAD = 1 << 20, ALL_AHEAD = 1 << 30 };

/* How much to read at once for what is wanted: a large count, all of a file whose size is known. */
static void look_ahead(eddy__file *f, const eddy__want *want) {
  if (want->kind == EDDY_WANT_COUNT || want->kind == EDDY_WANT_EXACT) {
    size_t n = want->count < COUNT_AHEAD ? want->count : COUNT_AHEAD;
    if (n > EDDY_BLOCK_SIZE && n > f->in.chunk) f->in.chunk = n;
    return;
  }
  struct stat stat;
  if (want->kind != EDDY_WANT_ALL || !f->is_regular || fstat(f->fd, &stat) < 0) return;
  off_t place = lseek(f->fd, 0, SEEK_CUR), left = stat.st_size - place;
  if (place < 0 || left <= EDDY_BLOCK_SIZE) return;
  f->in.chunk = eddy__input_size(&f->in) + (left < ALL_AHEAD ? (size_t)left : ALL_AHEAD) + 1;
}

/* Memory for all of a large file is not kept. */
static void forget_ahead(eddy__file *f) {
  if (f->in.chunk <= COUNT_AHEAD) return;
  f->in.chunk = 0;
  if (eddy__input_size(&f->in) == 0) eddy__input_clear(&f->in);
}

/* Goes on in the next turn of the loop; the file stays the task's.   [-0, +n, y] */
static int give_way(lua_State *L, eddy__file *f, eddy__task *task, lua_KFunction k) {
  f->has_worked = true;
  f->result = 0;
  task->waits_for = f;
  return eddy__give_way(L, task, k);
}

/* More has to come.   [-0, +n, y] */
static int wait_for_more(lua_State *L, eddy__file *f, eddy__task *task, int why, lua_KFunction k) {
  if (why == UV_EAGAIN) return eddy__file_work(L, f, task, EDDY_FILE_READ, k);
  if (why == UV_EALREADY) return give_way(L, f, task, k);
  return eddy__file_raise(L, f, why, "read");
}

/* Reads what `want` says, or the formats at 2 and above if it is NULL. `closes`: at the end of the file, that is
 * closed. [-0, +n, y] */
static int read_on(lua_State *L, eddy__file *f, eddy__task *task, const eddy__want *wanted,
                   bool closes, lua_KFunction k) {
  int last = lua_gettop(L), found;
  if (f->fd < 0) { /* closed, where nobody could wait, while the task gave way */
    eddy__file_release(f);
    return eddy__file_raise_closed(L, f, "read");
  }
  bool many = wanted == NULL && last > 2;
  eddy__want want;
  if (wanted != NULL)
    want = *wanted;
  else
    eddy__want_format(L, 2, &want);
  for (bool first = !f->has_worked;; first = false) {
    found = many ? eddy__input_look_all(L, &f->in, 2, last, &want)
                 : eddy__input_look(&f->in, 0, &want);
    if (found != EDDY_IN_MORE) break;
    if (first) look_ahead(f, &want);
    int n = eddy__file_read_now(f);
    if (n < 0) return wait_for_more(L, f, task, n, k);
  }
  if (found == EDDY_IN_END && closes) eddy__file_finish(f); /* has nothing to write: does not block */
  eddy__file_release(f);
  if (found != EDDY_IN_READY && found != EDDY_IN_END)
    return eddy__input_raise(L, &f->in, &want, found);
  int n = 1;
  if (many)
    n = eddy__input_push_all(L, &f->in, 2, last);
  else
    eddy__input_push(L, &f->in, &want, found);
  forget_ahead(f);
  return n;
}

/* The turn of a read has come: the file may have grown since it was read last. */
static void look_again(eddy__file *f) {
  f->in.eof = false;
  f->in.scanned = 0;
}

static int k_read(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  if (!eddy__file_go_on(L, f, (eddy__task *)ctx, status, "read")) look_again(f);
  return read_on(L, f, (eddy__task *)ctx, NULL, false, k_read);
}

/* Checks the formats at first and above.   [-0, +0, v] */
void eddy__file_check_formats(lua_State *L, int first) {
  eddy__want want;
  for (int i = lua_gettop(L); i >= first; i--) eddy__want_format(L, i, &want);
}

/* file:read(format...) -> ...   [-0, +n, y] */
int eddy__file_l_read(lua_State *L) {
  eddy__file_check(L);
  eddy__file_check_formats(L, 2);
  if (lua_gettop(L) == 1) lua_pushliteral(L, "l");
  return eddy__file_begin(L, "read", k_read);
}

static int k_read_want(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  if (!eddy__file_go_on(L, f, (eddy__task *)ctx, status, "read")) look_again(f);
  return read_on(L, f, (eddy__task *)ctx, lua_touserdata(L, 2), false, k_read_want);
}

/* file:read_exactly(n), file:read_until(separators) -> string   [-0, +1, y] */
int eddy__file_l_read_exactly(lua_State *L) {
  eddy__file_check(L);
  lua_Integer n = eddy__check_integer(L, 2);
  eddy__arg_check(L, n >= 0, 2, "a count cannot be negative");
  lua_settop(L, 1);
  eddy__want *want = lua_newuserdatauv(L, sizeof *want, 0);
  memset(want, 0, sizeof *want);
  want->kind = EDDY_WANT_EXACT;
  want->count = (size_t)n;
  return eddy__file_begin(L, "read_exactly", k_read_want);
}

int eddy__file_l_read_until(lua_State *L) {
  eddy__file_check(L);
  lua_settop(L, 2);
  eddy__want_until(L, 2);
  return eddy__file_begin(L, "read_until", k_read_want);
}

/* --- lines --------------------------------------------------------------------------------------------------- */

/* Upvalues of the iterator. SIMPLE: the kind of what is wanted, if that is a line, else -1. */
enum { UP_FILE = 2, UP_CLOSES, UP_SIMPLE, UP_COUNT, UP_FORMATS };

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  if (!eddy__file_go_on(L, f, (eddy__task *)ctx, status, "lines")) look_again(f);
  bool closes = lua_toboolean(L, lua_upvalueindex(UP_CLOSES));
  return read_on(L, f, (eddy__task *)ctx, NULL, closes, k_next);
}

/* A line that is there already, and nobody in the way: pushes it.   [-0, +(0|1), v] */
static bool push_ready_line(lua_State *L, eddy__file *f) {
  eddy__want want;
  want.kind = (int)lua_tointeger(L, lua_upvalueindex(UP_SIMPLE));
  if (want.kind < 0 || f == NULL || f->is_closed || f->holder != NULL || f->is_working || f->nout > 0) return false;
  (void)eddy__running_on(L, f->loop, "lines");
  if (eddy__input_look(&f->in, 0, &want) != EDDY_IN_READY || f->in.eof) return false;
  eddy__input_push(L, &f->in, &want, EDDY_IN_READY);
  return true;
}

/* [-0, +n, y] */
static int l_next(lua_State *L) {
  lua_settop(L, 0);
  if (push_ready_line(L, *(eddy__file **)lua_touserdata(L, lua_upvalueindex(UP_FILE)))) return 1;
  int n = (int)lua_tointeger(L, lua_upvalueindex(UP_COUNT));
  luaL_checkstack(L, n + LUA_MINSTACK, "too many formats");
  lua_pushvalue(L, lua_upvalueindex(UP_FILE));
  for (int i = 0; i < n; i++) lua_pushvalue(L, lua_upvalueindex(UP_FORMATS + i));
  if (n == 0) lua_pushliteral(L, "l");
  return eddy__file_begin(L, "lines", k_next);
}

/* Pushes the iterator over the file at 1 with the formats at 2 and above, which it pops.   [-n, +1, m] */
void eddy__file_push_iterator(lua_State *L, bool closes) {
  int n = lua_gettop(L) - 1;
  eddy__want want = {.kind = EDDY_WANT_LINE};
  if (n == 1) eddy__want_format(L, 2, &want);
  bool simple = n <= 1 && (want.kind == EDDY_WANT_LINE || want.kind == EDDY_WANT_LINE_END);
  luaL_checkstack(L, UP_FORMATS, "too many formats");
  eddy__runtime_push(L);
  lua_pushvalue(L, 1);
  lua_pushboolean(L, closes);
  lua_pushinteger(L, simple ? want.kind : -1);
  lua_pushinteger(L, n);
  lua_rotate(L, 2, UP_FORMATS - 1);
  lua_pushcclosure(L, l_next, n + UP_FORMATS - 1);
}

/* file:lines(format...) -> iterator   [-0, +1, v] */
int eddy__file_l_lines(lua_State *L) {
  eddy__file *f = eddy__file_check(L);
  eddy__arg_check(L, lua_gettop(L) <= 201, 202, "too many formats");
  eddy__file_check_formats(L, 2);
  if (f->is_closed) return eddy__file_raise_closed(L, f, "lines");
  eddy__file_push_iterator(L, false);
  return 1;
}
