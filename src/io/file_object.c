/* SPDX-License-Identifier: MIT */
/*
 * file_object.c - the methods of files that do not read; see file.h.
 * Touch:  freely. A method is l_, which checks and asks for the turn, and k_, which runs when the turn has come and
 *         again when a job of its own is done (f->has_worked). Before a k_ returns or raises it passes the turn on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "io/file.h"
#include "io/fs.h"

const eddy__type eddy__type_file = {"File"};

/* --- the object ---------------------------------------------------------------------------------------------- */

/* [-0, +0, v] */
eddy__file *eddy__file_check(lua_State *L) {
  eddy__file **box = eddy__object_check(L, 1, &eddy__type_file);
  eddy__arg_check(L, *box != NULL, 1, "the file was collected");
  return *box;
}

/* [-0, +0, v] */
int eddy__file_raise_closed(lua_State *L, const eddy__file *f, const char *name) {
  return eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' on a closed file (%s)", name, f->path);
}

/* A method begins: goes on in k when it is the task's turn.   [-0, +n, y] */
int eddy__file_begin(lua_State *L, const char *name, lua_KFunction k) {
  eddy__file *f = eddy__file_check(L);
  if (f->is_closed) return eddy__file_raise_closed(L, f, name);
  return eddy__file_turn(L, f, eddy__running_on(L, f->loop, name), k);
}

/* A method goes on: raises when the file was closed meanwhile or the job has failed. Returns whether a job of this
 * method has ended.   [-0, +0, v] */
bool eddy__file_go_on(lua_State *L, eddy__file *f, eddy__task *task, int status, const char *name) {
  eddy__file_resumed(L, f, task, status);
  if (f->has_worked && !f->was_ended) {
    if (f->result < 0) eddy__file_raise(L, f, f->result, f->syscall);
    return true;
  }
  if (f->is_closed || f->was_ended) {
    eddy__file_release(f);
    eddy__file_raise_closed(L, f, name);
  }
  return false;
}

/* What a job has come to whose task was cancelled concerns the next who writes, flushes or closes.   [-0, +0, v] */
static void raise_late(lua_State *L, eddy__file *f) {
  int rc = f->late_error;
  f->late_error = 0;
  if (rc < 0) eddy__file_raise(L, f, rc, "write");
}

/* [-0, +1, -] */
static int return_self(lua_State *L, eddy__file *f) {
  eddy__file_release(f);
  lua_settop(L, 1);
  return 1;
}

/* --- writing ------------------------------------------------------------------------------------------------- */

/* What was read ahead is taken back: the place to write at is where reading has got to. */
static void forget_input(eddy__file *f) {
  size_t ahead = eddy__input_size(&f->in);
  if (ahead > 0 && lseek(f->fd, -(off_t)ahead, SEEK_CUR) < 0) return; /* a FIFO: nothing to take back */
  eddy__input_clear(&f->in);
}

/* Keeps the string at 2 for the job.   [-0, +0, m] */
static int l_anchor(lua_State *L) {
  eddy__file *f = lua_touserdata(L, 1);
  f->anchor = eddy__loop_anchor(L, f->loop);
  f->is_anchored = true;
  return 0;
}

/* Data that is too long to be copied goes from the string itself.   [-0, +1, y] */
static int write_long(lua_State *L, eddy__file *f, eddy__task *task, lua_KFunction k) {
  size_t size;
  const char *data = lua_tolstring(L, 2, &size);
  lua_pushcfunction(L, l_anchor);
  lua_pushlightuserdata(L, f);
  lua_pushvalue(L, 2);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) { /* no memory: the turn is passed on */
    eddy__file_release(f);
    return lua_error(L);
  }
  f->data = data;
  f->ndata = size;
  f->took_data = true;
  return eddy__file_work(L, f, task, EDDY_FILE_FLUSH, k);
}

/* Whether what was added to the buffer has to be written now. */
static bool is_due(const eddy__file *f, size_t size) {
  if (f->buffering == EDDY_FILE_UNBUFFERED) return true;
  return f->buffering == EDDY_FILE_BY_LINE && memchr(f->out + f->nout - size, '\n', size) != NULL;
}

static int k_write(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  eddy__task *task = (eddy__task *)ctx;
  size_t size;
  const char *data = lua_tolstring(L, 2, &size);
  if (!eddy__file_go_on(L, f, task, status, "write")) {
    raise_late(L, f);
    forget_input(f);
    f->was_written = true;
  }
  if (f->took_data || size == 0) return return_self(L, f);
  if (size > EDDY_FILE_BUFFER) return write_long(L, f, task, k_write);
  if (f->nout + size > EDDY_FILE_BUFFER) return eddy__file_work(L, f, task, EDDY_FILE_FLUSH, k_write);
  if (f->out == NULL) f->out = malloc(EDDY_FILE_BUFFER);
  if (f->out == NULL) return eddy__file_raise(L, f, UV_ENOMEM, "write");
  memcpy(f->out + f->nout, data, size);
  f->nout += size;
  f->took_data = true;
  return is_due(f, size) ? eddy__file_work(L, f, task, EDDY_FILE_FLUSH, k_write) : return_self(L, f);
}

/* Adds the piece at the top, which it pops.   [-1, +0, v] */
static void add_piece(lua_State *L, luaL_Buffer *b, int arg) {
  int type = lua_type(L, -1);
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    eddy__arg_error(L, arg, "a table of strings expected");
  luaL_addvalue(b);
}

/* Pushes one string of the arguments 2 to last: strings, numbers and tables of them.   [-0, +1, v] */
static void push_joined(lua_State *L, int last) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int arg = 2; arg <= last; arg++) {
    if (!lua_istable(L, arg)) {
      lua_pushvalue(L, arg);
      add_piece(L, &b, arg);
      continue;
    }
    lua_Integer n = (lua_Integer)lua_rawlen(L, arg);
    for (lua_Integer i = 1; i <= n; i++) {
      lua_rawgeti(L, arg, i);
      add_piece(L, &b, arg);
    }
  }
  luaL_pushresult(&b);
}

/* file:write(...) -> file   [-0, +1, y] */
static int l_write(lua_State *L) {
  eddy__file_check(L);
  int last = lua_gettop(L);
  for (int i = 2; i <= last; i++)
    if (!lua_isstring(L, i) && !lua_istable(L, i))
      return eddy__arg_expected(L, i, "string, number or table of strings");
  if (last != 2 || lua_istable(L, 2)) {
    push_joined(L, last);
    lua_insert(L, 2);
    lua_settop(L, 2);
  } else {
    lua_tostring(L, 2); /* a number becomes a string in its place */
  }
  return eddy__file_begin(L, "write", k_write);
}

static int k_flush(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  if (eddy__file_go_on(L, f, (eddy__task *)ctx, status, "flush")) return return_self(L, f);
  raise_late(L, f);
  if (f->nout == 0) return return_self(L, f);
  return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_FLUSH, k_flush);
}

/* file:flush() -> file   [-0, +1, y] */
static int l_flush(lua_State *L) { return eddy__file_begin(L, "flush", k_flush); }

/* file:setvbuf("no"|"line"|"full", size) -> true   [-0, +1, v]: the size is eddy's own affair */
static int l_setvbuf(lua_State *L) {
  static const char *const names[] = {"no", "full", "line", NULL};
  static const uint8_t values[] = {EDDY_FILE_UNBUFFERED, EDDY_FILE_FULL, EDDY_FILE_BY_LINE};
  eddy__file *f = eddy__file_check(L);
  uint8_t buffering = values[eddy__check_choice(L, 2, NULL, names)];
  eddy__opt_integer(L, 3, 0);
  if (f->is_closed) return eddy__file_raise_closed(L, f, "setvbuf");
  f->buffering = buffering;
  lua_pushboolean(L, true);
  return 1;
}

static int k_sync(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  if (eddy__file_go_on(L, f, (eddy__task *)ctx, status, "sync")) return return_self(L, f);
  raise_late(L, f);
  return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_SYNC, k_sync);
}

/* file:sync() -> file   [-0, +1, y]: what was written is on the disk */
static int l_sync(lua_State *L) { return eddy__file_begin(L, "sync", k_sync); }

static int k_truncate(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  if (eddy__file_go_on(L, f, (eddy__task *)ctx, status, "truncate")) return return_self(L, f);
  forget_input(f);
  off_t here = lua_isnoneornil(L, 2) ? lseek(f->fd, 0, SEEK_CUR) : 0;
  if (here < 0) return eddy__file_raise(L, f, -errno, "lseek");
  f->length = lua_isnoneornil(L, 2) ? here + (int64_t)f->nout : lua_tointeger(L, 2);
  return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_TRUNCATE, k_truncate);
}

/* file:truncate(size) -> file   [-0, +1, y]: without a size, where the next byte would be read or written */
static int l_truncate(lua_State *L) {
  eddy__file_check(L);
  if (!lua_isnoneornil(L, 2)) eddy__arg_check(L, eddy__check_integer(L, 2) >= 0, 2, "a negative size");
  return eddy__file_begin(L, "truncate", k_truncate);
}

/* --- place, status, end -------------------------------------------------------------------------------------- */

static int k_seek(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  int whence = (int)lua_tointeger(L, 2);
  off_t offset = (off_t)lua_tointeger(L, 3);
  if (!eddy__file_go_on(L, f, (eddy__task *)ctx, status, "seek") && f->nout > 0)
    return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_FLUSH, k_seek);
  off_t ahead = (off_t)eddy__input_size(&f->in);
  if (whence == SEEK_CUR && offset < 0 && offset < INT64_MIN + ahead)
    return eddy__file_raise(L, f, UV_EINVAL, "lseek");
  off_t place = lseek(f->fd, whence == SEEK_CUR ? offset - ahead : offset, whence);
  if (place < 0) return eddy__file_raise(L, f, -errno, "lseek");
  eddy__input_clear(&f->in);
  eddy__file_release(f);
  lua_pushinteger(L, place);
  return 1;
}

/* file:seek(whence, offset) -> place   [-0, +1, y] */
static int l_seek(lua_State *L) {
  static const char *const names[] = {"set", "cur", "end", NULL};
  static const int values[] = {SEEK_SET, SEEK_CUR, SEEK_END};
  eddy__file_check(L);
  int whence = values[eddy__check_choice(L, 2, "cur", names)];
  lua_Integer offset = eddy__opt_integer(L, 3, 0);
  lua_settop(L, 1);
  lua_pushinteger(L, whence);
  lua_pushinteger(L, offset);
  return eddy__file_begin(L, "seek", k_seek);
}

static int k_stat(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  if (!eddy__file_go_on(L, f, (eddy__task *)ctx, status, "stat"))
    return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_STAT, k_stat);
  uv_stat_t stat = f->stat;
  eddy__file_release(f);
  eddy__fs_push_stat(L, &stat);
  return 1;
}

/* file:stat() -> table   [-0, +1, y] */
static int l_stat(lua_State *L) { return eddy__file_begin(L, "stat", k_stat); }

static int k_close(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = eddy__file_at_one(L);
  int late = f->late_error;
  if (!eddy__file_go_on(L, f, (eddy__task *)ctx, status, "close")) {
    f->is_closed = true;
    if (!f->is_near || f->was_written) return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_CLOSE, k_close);
    int rc = eddy__file_finish(f);
    if (rc < 0) return eddy__file_raise(L, f, rc, "close");
  }
  eddy__file_release(f);
  f->late_error = 0;
  if (late < 0) return eddy__raise_about(L, late, "write", "path", f->path);
  lua_pushboolean(L, 1);
  return 1;
}

/* file:close() -> true   [-0, +1, y] */
static int l_close(lua_State *L) {
  eddy__file *f = eddy__file_check(L);
  if (f->is_closed) return eddy__file_raise_closed(L, f, "close");
  return eddy__file_turn_to_close(L, f, eddy__running_on(L, f->loop, "close"), k_close);
}

/* The end of `local f <close>`; where nobody can wait the file is closed here and now.   [-0, +0, y] */
static int l_scope_end(lua_State *L) {
  eddy__file *f = eddy__file_check(L);
  if (f->is_closed) return 0;
  if (eddy__may_wait(L, f->loop)) return l_close(L);
  f->is_closed = true;
  int rc = f->is_working ? 0 : eddy__file_finish(f);
  return rc < 0 ? eddy__raise_about(L, rc, f->syscall, "path", f->path) : 0;
}

/* Whether the collector has called the running function.   [-0, +0, -] */
static bool is_finalizing(lua_State *L) {
  lua_Debug ar;
  return lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) && strcmp(ar.namewhat, "metamethod") == 0;
}

/* A script that calls it by hand, perhaps in a finalizer in the middle of a method, only closes the file.
 *   [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__file **box = eddy__object_test(L, 1, &eddy__type_file), *f = box == NULL ? NULL : *box;
  if (f == NULL) return 0;
  if (eddy__file_drop(L, f, is_finalizing(L))) *box = NULL;
  return 0;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__file *f = eddy__file_check(L);
  lua_pushfstring(L, "<File %s%s>", f->path, f->is_closed ? ", closed" : "");
  return 1;
}

/* [-0, +0, m] */
void eddy__file_object_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"read", eddy__file_l_read},
                                     {"read_exactly", eddy__file_l_read_exactly},
                                     {"read_until", eddy__file_l_read_until},
                                     {"lines", eddy__file_l_lines},
                                     {"write", l_write},
                                     {"flush", l_flush},
                                     {"setvbuf", l_setvbuf},
                                     {"sync", l_sync},
                                     {"truncate", l_truncate},
                                     {"seek", l_seek},
                                     {"stat", l_stat},
                                     {"close", l_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__gc", l_gc}, {"__close", l_scope_end}, {"__tostring", l_tostring}, {NULL, NULL}};
  (void)rt;
  eddy__runtime_push(L);
  eddy__object_type(L, &eddy__type_file, NULL, methods, meta, lua_gettop(L));
  lua_pop(L, 2);
}
