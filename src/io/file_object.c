/* SPDX-License-Identifier: MIT */
/*
 * file_object.c - eddy.open, eddy.lines and the methods of files; see file.h.
 * Touch:  freely. A method is l_, which checks and asks for the turn, and k_, which runs when the turn has come and
 *         again when a job of its own is done (f->has_worked). Before a k_ returns or raises it passes the turn on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "io/file.h"
#include "io/fs.h"
#include "io/fs_work.h"
#include "io/job.h"

static const eddy__type type_file = {"File"};

/* --- the object ---------------------------------------------------------------------------------------------- */

/* [-0, +0, v] */
static eddy__file *check(lua_State *L) {
  eddy__file **box = eddy__object_check(L, 1, &type_file);
  eddy__arg_check(L, *box != NULL, 1, "the file was collected");
  return *box;
}

/* The file at 1 in a k_.   [-0, +0, -] */
static eddy__file *at_one(lua_State *L) { return *(eddy__file **)lua_touserdata(L, 1); }

/* [-0, +0, v] */
static int raise_closed(lua_State *L, const eddy__file *f, const char *name) {
  return eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' on a closed file (%s)", name, f->path);
}

/* A method begins: goes on in k when it is the task's turn.   [-0, +n, y] */
static int begin(lua_State *L, const char *name, lua_KFunction k) {
  eddy__file *f = check(L);
  if (f->is_closed) return raise_closed(L, f, name);
  return eddy__file_turn(L, f, eddy__running_on(L, f->loop, name), k);
}

/* A method goes on: raises when the file was closed meanwhile or the job has failed. Returns whether a job of this
 * method has ended.   [-0, +0, v] */
static bool go_on(lua_State *L, eddy__file *f, eddy__task *task, int status, const char *name) {
  eddy__file_resumed(L, f, task, status);
  if (f->has_worked) {
    if (f->result < 0) eddy__file_raise(L, f, f->result, f->syscall);
    return true;
  }
  if (f->is_closed) {
    eddy__file_release(f);
    raise_closed(L, f, name);
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

/* --- reading ------------------------------------------------------------------------------------------------- */

/* Reads what `want` says, or the formats at 2 and above if it is NULL. `closes`: at the end of the file, that is
 * closed. [-0, +n, y] */
static int read_on(lua_State *L, eddy__file *f, eddy__task *task, const eddy__want *wanted,
                   bool closes, lua_KFunction k) {
  int last = lua_gettop(L);
  bool many = wanted == NULL && last > 2;
  eddy__want want;
  if (wanted != NULL)
    want = *wanted;
  else
    eddy__want_format(L, 2, &want);
  int found = many ? eddy__input_look_all(L, &f->in, 2, last, &want)
                   : eddy__input_look(&f->in, 0, &want);
  if (found == EDDY_IN_MORE) return eddy__file_work(L, f, task, EDDY_FILE_READ, k);
  if (found == EDDY_IN_END && closes) eddy__file_finish(f); /* has nothing to write: does not block */
  eddy__file_release(f);
  if (found != EDDY_IN_READY && found != EDDY_IN_END)
    return eddy__input_raise(L, &f->in, &want, found);
  if (many) return eddy__input_push_all(L, &f->in, 2, last);
  eddy__input_push(L, &f->in, &want, found);
  return 1;
}

/* The turn of a read has come: the file may have grown since it was read last. */
static void look_again(eddy__file *f) {
  f->in.eof = false;
  f->in.scanned = 0;
}

static int k_read(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  if (!go_on(L, f, (eddy__task *)ctx, status, "read")) look_again(f);
  return read_on(L, f, (eddy__task *)ctx, NULL, false, k_read);
}

/* Checks the formats at first and above.   [-0, +0, v] */
static void check_formats(lua_State *L, int first) {
  eddy__want want;
  for (int i = lua_gettop(L); i >= first; i--) eddy__want_format(L, i, &want);
}

/* file:read(format...) -> ...   [-0, +n, y] */
static int l_read(lua_State *L) {
  check(L);
  check_formats(L, 2);
  if (lua_gettop(L) == 1) lua_pushliteral(L, "l");
  return begin(L, "read", k_read);
}

static int k_read_want(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  if (!go_on(L, f, (eddy__task *)ctx, status, "read")) look_again(f);
  return read_on(L, f, (eddy__task *)ctx, lua_touserdata(L, 2), false, k_read_want);
}

/* file:read_exactly(n), file:read_until(separators) -> string   [-0, +1, y] */
static int l_read_exactly(lua_State *L) {
  check(L);
  lua_Integer n = eddy__check_integer(L, 2);
  eddy__arg_check(L, n >= 0, 2, "a count cannot be negative");
  lua_settop(L, 1);
  eddy__want *want = lua_newuserdatauv(L, sizeof *want, 0);
  memset(want, 0, sizeof *want);
  want->kind = EDDY_WANT_EXACT;
  want->count = (size_t)n;
  return begin(L, "read_exactly", k_read_want);
}

static int l_read_until(lua_State *L) {
  check(L);
  lua_settop(L, 2);
  eddy__want_until(L, 2);
  return begin(L, "read_until", k_read_want);
}

/* --- lines --------------------------------------------------------------------------------------------------- */

/* Upvalues of the iterator. */
enum { UP_FILE = 2, UP_CLOSES, UP_COUNT, UP_FORMATS };

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  if (!go_on(L, f, (eddy__task *)ctx, status, "lines")) look_again(f);
  bool closes = lua_toboolean(L, lua_upvalueindex(UP_CLOSES));
  return read_on(L, f, (eddy__task *)ctx, NULL, closes, k_next);
}

/* [-0, +n, y] */
static int l_next(lua_State *L) {
  int n = (int)lua_tointeger(L, lua_upvalueindex(UP_COUNT));
  lua_settop(L, 0);
  luaL_checkstack(L, n + LUA_MINSTACK, "too many formats");
  lua_pushvalue(L, lua_upvalueindex(UP_FILE));
  for (int i = 0; i < n; i++) lua_pushvalue(L, lua_upvalueindex(UP_FORMATS + i));
  if (n == 0) lua_pushliteral(L, "l");
  return begin(L, "lines", k_next);
}

/* Pushes the iterator over the file at 1 with the formats at 2 and above, which it pops.   [-n, +1, m] */
static void push_iterator(lua_State *L, bool closes) {
  int n = lua_gettop(L) - 1;
  lua_pushinteger(L, n);
  lua_insert(L, 2);
  lua_pushboolean(L, closes);
  lua_insert(L, 2);
  lua_pushvalue(L, 1);
  lua_insert(L, 2);
  eddy__runtime_push(L);
  lua_insert(L, 2);
  lua_pushcclosure(L, l_next, n + UP_FORMATS - 1);
}

/* file:lines(format...) -> iterator   [-0, +1, v] */
static int l_lines(lua_State *L) {
  eddy__file *f = check(L);
  eddy__arg_check(L, lua_gettop(L) <= 201, 202, "too many formats");
  check_formats(L, 2);
  if (f->is_closed) return raise_closed(L, f, "lines");
  push_iterator(L, false);
  return 1;
}

/* --- writing ------------------------------------------------------------------------------------------------- */

/* What was read ahead is taken back: the place to write at is where reading has got to. */
static void forget_input(eddy__file *f) {
  size_t ahead = eddy__input_size(&f->in);
  if (ahead > 0 && lseek(f->fd, -(off_t)ahead, SEEK_CUR) < 0) return; /* a FIFO: nothing to take back */
  eddy__input_clear(&f->in);
}

static int k_write(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  eddy__task *task = (eddy__task *)ctx;
  size_t size;
  const char *data = lua_tolstring(L, 2, &size);
  if (go_on(L, f, task, status, "write")) return return_self(L, f);
  raise_late(L, f);
  forget_input(f);
  if (f->nout + size <= EDDY_FILE_BUFFER) {
    if (f->out == NULL) f->out = malloc(EDDY_FILE_BUFFER);
    if (f->out == NULL) return eddy__file_raise(L, f, UV_ENOMEM, "write");
    memcpy(f->out + f->nout, data, size);
    f->nout += size;
    return return_self(L, f);
  }
  f->holder = NULL; /* if there is no memory, nobody's turn it is */
  lua_pushvalue(L, 2);
  f->anchor = eddy__loop_anchor(L, f->loop);
  f->holder = task;
  f->is_anchored = true;
  f->data = data;
  f->ndata = size;
  return eddy__file_work(L, f, task, EDDY_FILE_FLUSH, k_write);
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
  check(L);
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
  return begin(L, "write", k_write);
}

static int k_flush(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  if (go_on(L, f, (eddy__task *)ctx, status, "flush")) return return_self(L, f);
  raise_late(L, f);
  if (f->nout == 0) return return_self(L, f);
  return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_FLUSH, k_flush);
}

/* file:flush() -> file   [-0, +1, y] */
static int l_flush(lua_State *L) { return begin(L, "flush", k_flush); }

static int k_sync(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  if (go_on(L, f, (eddy__task *)ctx, status, "sync")) return return_self(L, f);
  raise_late(L, f);
  return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_SYNC, k_sync);
}

/* file:sync() -> file   [-0, +1, y]: what was written is on the disk */
static int l_sync(lua_State *L) { return begin(L, "sync", k_sync); }

static int k_truncate(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  if (go_on(L, f, (eddy__task *)ctx, status, "truncate")) return return_self(L, f);
  forget_input(f);
  off_t here = lua_isnoneornil(L, 2) ? lseek(f->fd, 0, SEEK_CUR) : 0;
  if (here < 0) return eddy__file_raise(L, f, -errno, "lseek");
  f->length = lua_isnoneornil(L, 2) ? here + (int64_t)f->nout : lua_tointeger(L, 2);
  return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_TRUNCATE, k_truncate);
}

/* file:truncate(size) -> file   [-0, +1, y]: without a size, where the next byte would be read or written */
static int l_truncate(lua_State *L) {
  check(L);
  if (!lua_isnoneornil(L, 2)) eddy__arg_check(L, eddy__check_integer(L, 2) >= 0, 2, "a negative size");
  return begin(L, "truncate", k_truncate);
}

/* --- place, status, end -------------------------------------------------------------------------------------- */

static int k_seek(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  int whence = (int)lua_tointeger(L, 2);
  off_t offset = (off_t)lua_tointeger(L, 3);
  if (!go_on(L, f, (eddy__task *)ctx, status, "seek") && f->nout > 0)
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
  check(L);
  int whence = values[luaL_checkoption(L, 2, "cur", names)];
  lua_Integer offset = eddy__opt_integer(L, 3, 0);
  lua_settop(L, 1);
  lua_pushinteger(L, whence);
  lua_pushinteger(L, offset);
  return begin(L, "seek", k_seek);
}

static int k_stat(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  if (!go_on(L, f, (eddy__task *)ctx, status, "stat"))
    return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_STAT, k_stat);
  uv_stat_t stat = f->stat;
  eddy__file_release(f);
  eddy__fs_push_stat(L, &stat);
  return 1;
}

/* file:stat() -> table   [-0, +1, y] */
static int l_stat(lua_State *L) { return begin(L, "stat", k_stat); }

static int k_close(lua_State *L, int status, lua_KContext ctx) {
  eddy__file *f = at_one(L);
  int late = f->late_error;
  if (!go_on(L, f, (eddy__task *)ctx, status, "close")) {
    f->is_closed = true;
    return eddy__file_work(L, f, (eddy__task *)ctx, EDDY_FILE_CLOSE, k_close);
  }
  eddy__file_release(f);
  f->late_error = 0;
  if (late < 0) return eddy__raise_about(L, late, "write", "path", f->path);
  lua_pushboolean(L, 1);
  return 1;
}

/* file:close() -> true   [-0, +1, y] */
static int l_close(lua_State *L) { return begin(L, "close", k_close); }

/* The end of `local f <close>`; where nobody can wait the file is closed here and now.   [-0, +0, y] */
static int l_scope_end(lua_State *L) {
  eddy__file *f = check(L);
  if (f->is_closed) return 0;
  if (eddy__may_wait(L, f->loop)) return l_close(L);
  f->is_closed = true;
  int rc = f->is_working ? 0 : eddy__file_finish(f);
  return rc < 0 ? eddy__raise_about(L, rc, f->syscall, "path", f->path) : 0;
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__file **box = eddy__object_test(L, 1, &type_file), *f = box == NULL ? NULL : *box;
  if (f == NULL) return 0;
  *box = NULL;
  eddy__file_drop(L, f);
  return 0;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__file *f = check(L);
  lua_pushfstring(L, "<File %s%s>", f->path, f->is_closed ? ", closed" : "");
  return 1;
}

/* --- open ---------------------------------------------------------------------------------------------------- */

typedef struct opening {
  eddy__job job; /* first */
  int flags, fd;
  const char *syscall;
  char path[];
} opening;

static void release_opening(eddy__request *r) {
  opening *o = (opening *)r;
  if (o->fd >= 0) eddy__fs_close(o->fd);
  free(o);
}

static void work_open(eddy__job *job) {
  opening *o = (opening *)job;
  uv_stat_t stat;
  int fd = eddy__fs_open(o->path, o->flags, 0666);
  if (fd >= 0 && eddy__fs_fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode)) {
    eddy__fs_close(fd);
    fd = UV_EISDIR;
  }
  o->fd = fd;
}

/* Pushes the file of the job whose box is at the top, which it pops.   [-1, +1, v] */
static void push_file(lua_State *L, eddy__task *task) {
  opening *o = (opening *)eddy__request_take(L, task);
  if (o->job.was_cancelled) eddy__raise(L, UV_ECANCELED, "open");
  if (o->fd < 0) eddy__raise_about(L, o->fd, "open", "path", o->path);
  eddy__blocks *blocks = eddy__blocks_open(L);
  eddy__file **box = eddy__object_new(L, &type_file, sizeof *box, 0);
  *box = eddy__file_new(task->future.loop, blocks, o->fd, o->path);
  if (*box == NULL) eddy__raise_about(L, UV_ENOMEM, "open", "path", o->path);
  o->fd = -1;
  (*box)->in.fills = true;
  eddy__place_of_caller(L, (*box)->opened_at, EDDY_PLACE_SIZE);
  lua_insert(L, -2);
  eddy__request_pop(L);
}

/* Opens the path at 1.   [-0, +n, y] */
static int start_open(lua_State *L, int flags, const char *name, lua_KFunction k) {
  static const eddy__wait wait = {"open", eddy__request_cancel};
  size_t size;
  const char *path = lua_tolstring(L, 1, &size);
  eddy__task *task = eddy__running(L, name);
  opening *o =
    (opening *)eddy__job_new(L, task, sizeof *o + size + 1, work_open, release_opening);
  memcpy(o->path, path, size + 1);
  o->flags = flags;
  o->fd = -1;
  return eddy__job_run(L, &o->job, &wait, k);
}

static int k_open(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  push_file(L, (eddy__task *)ctx);
  return 1;
}

/* Lua's modes; raises for others.   [-0, +0, v] */
static int check_mode(lua_State *L, int arg) {
  const char *mode = luaL_optstring(L, arg, "r"), *p = mode;
  int flags = *p == 'w' ? O_CREAT | O_TRUNC : *p == 'a' ? O_CREAT | O_APPEND
                                                        : 0;
  bool good = *p == 'r' || *p == 'w' || *p == 'a';
  bool both = good && p[1] == '+';
  if (good) p += both ? 2 : 1;
  p += strspn(p, "b");
  eddy__arg_check(L, good && *p == '\0', arg, "invalid mode");
  if (both) return flags | O_RDWR;
  return flags | (*mode == 'r' ? O_RDONLY : O_WRONLY);
}

/* eddy.open(path, mode) -> File   [-0, +1, y] */
static int l_open(lua_State *L) {
  eddy__check_path(L, 1);
  int flags = check_mode(L, 2);
  lua_settop(L, 1);
  return start_open(L, flags, "open", k_open);
}

static int k_lines(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  push_file(L, (eddy__task *)ctx);
  lua_replace(L, 1); /* the path has served: file, formats... */
  push_iterator(L, true);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, 1);
  return 4;
}

/* eddy.lines(path, format...) -> iterator, nil, nil, the file   [-0, +4, y] */
static int l_lines_of(lua_State *L) {
  eddy__check_path(L, 1);
  eddy__arg_check(L, lua_gettop(L) <= 201, 202, "too many formats");
  check_formats(L, 2);
  return start_open(L, O_RDONLY, "lines", k_lines);
}

/* [-0, +0, m] */
void eddy__file_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"open", l_open}, {"lines", l_lines_of}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"read", l_read},
                                     {"read_exactly", l_read_exactly},
                                     {"read_until", l_read_until},
                                     {"lines", l_lines},
                                     {"write", l_write},
                                     {"flush", l_flush},
                                     {"sync", l_sync},
                                     {"truncate", l_truncate},
                                     {"seek", l_seek},
                                     {"stat", l_stat},
                                     {"close", l_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__gc", l_gc}, {"__close", l_scope_end}, {"__tostring", l_tostring}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
  eddy__runtime_push(L);
  eddy__object_type(L, &type_file, NULL, methods, meta, lua_gettop(L));
  lua_pop(L, 2);
}
