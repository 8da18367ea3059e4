/* SPDX-License-Identifier: MIT */
/*
 * file_open.c - eddy.open and eddy.lines; see file.h.
 * Owns:   a descriptor from the thread that has opened it until a File has taken it over.
 * Uses:   job.h, fs_work.h, now.h.      Used by: io.c, fs.c, paths.c.
 * Touch:  freely. No thread waits for the other end of a FIFO: to read from it is what waits; to open it for writing is
 *         tried again and again, as no system tells when a reader has come.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/args.h"
#include "base/error.h"
#include "io/file.h"
#include "io/fs.h"
#include "io/job.h"
#include "io/now.h"
#include "io/operation.h"

typedef struct opening {
  eddy__job job; /* first */
  int flags, fd;
  bool special, regular, in_memory;
  eddy__place place;
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
  int fd = o->fd; /* was opened on the loop, perhaps */
  o->fd = fd < 0 ? eddy__fs_open_file(o->path, o->flags, 0666, &stat, &o->special)
                 : eddy__fs_look_at(fd, &stat, &o->special);
  if (o->fd < 0) return;
  o->regular = (stat.st_mode & S_IFMT) == S_IFREG;
  if (o->regular && o->place.kind == EDDY_PLACE_UNKNOWN) eddy__place_find(&o->place, o->fd);
  o->in_memory = o->place.kind == EDDY_PLACE_MEMORY && stat.st_dev == o->place.dev;
  int rc = o->special ? 0 : eddy__fs_set_blocking(o->fd, true);
  if (rc < 0) eddy__fs_close(o->fd);
  if (rc < 0) o->fd = rc;
}

/* A regular file, to read, whose name is in memory: opens it. Else a thread goes on with o->fd. */
static bool open_now(opening *o) {
  uint64_t size;
  bool good;
  eddy__loop *loop = o->job.request.loop;
  if (o->flags != O_RDONLY || o->place.kind < EDDY_PLACE_LOCAL || !eddy__now_may(loop)) return false;
  eddy__now_spend(loop, EDDY_NOW_CALLS);
  int fd = eddy__place_open(&o->place, o->path, &size, &good);
  if (fd < 0) return false;
  o->fd = fd;
  o->regular = good;
  o->in_memory = o->place.kind == EDDY_PLACE_MEMORY;
  return good && eddy__fs_set_blocking(fd, true) == 0;
}

/* [-0, +1, v] */
eddy__file *eddy__file_push(lua_State *L, eddy__loop *loop, int *fd, const char *path, bool special) {
  eddy__blocks *blocks = eddy__blocks_open(L);
  eddy__file **box = eddy__object_new(L, &eddy__type_file, sizeof *box, 0);
  eddy__file *f = eddy__file_new(loop, blocks, *fd, path);
  if (f == NULL) eddy__raise_about(L, UV_ENOMEM, "open", "path", path);
  *box = f;
  f->box = box;
  *fd = -1;
  f->in.fills = true;
  f->is_regular = f->reads_now = !special;
  eddy__place_of_caller(L, f->opened_at, EDDY_PLACE_SIZE);
  if (!special) return f;
  uv_stat_t stat;
#ifdef S_ISFIFO
  f->is_fifo = eddy__fs_fstat(f->fd, &stat) == 0 && S_ISFIFO(stat.st_mode);
#endif
  int rc = eddy__file_poll_open(f);
  if (rc == 0) return f;
  f->is_closed = true; /* nobody is to be warned */
  eddy__raise_about(L, rc, "open", "path", path);
  return NULL;
}

/* Pushes the file of the job whose box is at the top, which it pops.   [-1, +1, v] */
static void push_file(lua_State *L, opening *o) {
  eddy__file *f = eddy__file_push(L, o->job.request.loop, &o->fd, o->path, o->special);
  f->is_regular = o->regular;
  f->is_in_memory = o->regular && o->in_memory;
  lua_insert(L, -2);
  eddy__request_pop(L);
}

/* Opens the path at 1.   [-0, +n, y] */
static int start_open(lua_State *L, int flags, const char *name, lua_KFunction k) {
  static const eddy__wait wait = {"open", eddy__request_cancel, true};
  size_t size;
  const char *path = lua_tolstring(L, 1, &size);
  eddy__task *task = eddy__running(L, name);
  opening *o =
    (opening *)eddy__job_new(L, task, sizeof *o + size + 1, work_open, release_opening);
  memcpy(o->path, path, size + 1);
  o->flags = flags;
  o->fd = -1;
  o->place = eddy__place_of(L, o->path);
  if (open_now(o)) return k(L, LUA_OK, (lua_KContext)task);
  return eddy__job_run(L, &o->job, &wait, k);
}

/* What has come of it; the box is at the top. Raises, but for UV_EAGAIN.   [-0, +0, v] */
static opening *opened(lua_State *L, eddy__task *task) {
  opening *o = (opening *)eddy__request_take(L, task);
  if (o->job.was_cancelled) eddy__raise(L, UV_ECANCELED, "open");
  if (o->fd < 0 && o->fd != UV_EAGAIN) eddy__raise_about(L, o->fd, "open", "path", o->path);
  eddy__place_note(L, &o->place);
  return o;
}

static int k_open(lua_State *L, int status, lua_KContext ctx);

static void cancel_reader(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__task_deadline_off(task);
  eddy__cancel_wait(task);
}

/* Time to look again. The flags are at 2.   [-0, +n, y] */
static int k_reader(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  eddy__task_deadline_off(task);
  eddy__wake_check(L, task);
  return start_open(L, (int)lua_tointeger(L, 2), "open", k_open);
}

/* Nobody reads the FIFO yet. The box is at the top.   [-0, +n, y] */
static int wait_for_reader(lua_State *L, eddy__task *task) {
  static const eddy__wait wait = {"open", cancel_reader, true};
  static const double again = 0.01;
  eddy__request_pop(L);
  eddy__task_deadline(L, task, eddy__clock_after(&task->future.loop->clock, again));
  return eddy__suspend(L, task, &wait, k_reader);
}

static int k_open(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  opening *o = opened(L, (eddy__task *)ctx);
  if (o->fd == UV_EAGAIN) return wait_for_reader(L, (eddy__task *)ctx);
  push_file(L, o);
  return 1;
}

/* Lua's modes; raises for others.   [-0, +0, v] */
static int check_mode(lua_State *L, int arg) {
  size_t size;
  const char *mode = eddy__check_string(L, arg, "r", &size), *p = mode;
  int flags = *p == 'w' ? O_CREAT | O_TRUNC : *p == 'a' ? O_CREAT | O_APPEND
                                                        : 0;
  bool good = *p == 'r' || *p == 'w' || *p == 'a';
  bool both = good && p[1] == '+';
  if (good) p += both ? 2 : 1;
  p += strspn(p, "b");
  eddy__arg_check(L, good && p == mode + size, arg, "invalid mode");
  if (both) return flags | O_RDWR;
  return flags | (*mode == 'r' ? O_RDONLY : O_WRONLY);
}

/* eddy.open(path, mode) -> File   [-0, +1, y] */
int eddy__file_l_open(lua_State *L) {
  eddy__check_path(L, 1);
  int flags = check_mode(L, 2);
  lua_settop(L, 1);
  lua_pushinteger(L, flags);
  return start_open(L, flags, "open", k_open);
}

static int k_lines(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  push_file(L, opened(L, (eddy__task *)ctx));
  lua_replace(L, 1); /* the path has served: file, formats... */
  eddy__file_push_iterator(L, true);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, 1);
  return 4;
}

/* eddy.lines(path, format...) -> iterator, nil, nil, the file   [-0, +4, y] */
static int l_lines_of(lua_State *L) {
  eddy__check_path(L, 1);
  eddy__arg_check(L, lua_gettop(L) <= 201, 202, "too many formats");
  eddy__file_check_formats(L, 2);
  return start_open(L, O_RDONLY, "lines", k_lines);
}

/* [-0, +0, m] */
void eddy__file_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"open", eddy__file_l_open}, {"lines", l_lines_of}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
  eddy__file_object_room(L, rt);
}
