/* SPDX-License-Identifier: MIT */
/*
 * fs.c - eddy.fs: whole files, what stat tells, listing; see fs.h.
 * Touch:  freely. FIFOs, terminals and the like are no job for a thread, which they might keep for ever: they are read
 *         and written as files that are open.
 */
#include "io/fs.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <sys/stat.h>
#ifndef _WIN32
#include <unistd.h>
#endif

#include "base/args.h"
#include "base/error.h"
#include "io/file.h"
#include "io/operation.h"

#define WAIT(name) \
  { name, eddy__request_cancel, true }

/* [-0, +n, y] */
static int run_one(lua_State *L, const eddy__action *action, bool flag) {
  eddy__check_path(L, 1);
  lua_settop(L, 1);
  eddy__operation *op = eddy__operation_new(L, action, 1, 0);
  op->flag = flag;
  return eddy__operation_run(L, op);
}

/* --- stat, lstat, exists ------------------------------------------------------------------------------------- */

/* [-0, +0, m] */
void eddy__fs_set_integer(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static void set_time(lua_State *L, const char *name, const uv_timespec_t *t) {
  lua_pushnumber(L, (lua_Number)t->tv_sec + (lua_Number)t->tv_nsec * 1e-9);
  lua_setfield(L, -2, name);
}

static const char *type_of(uint64_t mode) {
  switch (mode & S_IFMT) {
  case S_IFREG: return "file";
  case S_IFDIR: return "directory";
  case S_IFLNK: return "link";
  case S_IFCHR: return "char";
#ifndef _WIN32
  case S_IFBLK: return "block";
  case S_IFIFO: return "fifo";
  case S_IFSOCK: return "socket";
#endif
  default: return "unknown";
  }
}

const char *eddy__fs_type_name(int type) {
  static const char *const names[] = {
    [UV_DIRENT_UNKNOWN] = "unknown",
    [UV_DIRENT_FILE] = "file",
    [UV_DIRENT_DIR] = "directory",
    [UV_DIRENT_LINK] = "link",
    [UV_DIRENT_FIFO] = "fifo",
    [UV_DIRENT_SOCKET] = "socket",
    [UV_DIRENT_CHAR] = "char",
    [UV_DIRENT_BLOCK] = "block"};
  return names[type];
}

/* [-0, +1, m] */
void eddy__fs_push_stat(lua_State *L, const uv_stat_t *stat) {
  lua_createtable(L, 0, 15);
  lua_pushstring(L, type_of(stat->st_mode));
  lua_setfield(L, -2, "type");
  eddy__fs_set_integer(L, "size", stat->st_size);
  eddy__fs_set_integer(L, "mode", stat->st_mode & 07777);
  eddy__fs_set_integer(L, "uid", stat->st_uid);
  eddy__fs_set_integer(L, "gid", stat->st_gid);
  eddy__fs_set_integer(L, "ino", stat->st_ino);
  eddy__fs_set_integer(L, "dev", stat->st_dev);
  eddy__fs_set_integer(L, "rdev", stat->st_rdev);
  eddy__fs_set_integer(L, "nlink", stat->st_nlink);
  eddy__fs_set_integer(L, "blocks", stat->st_blocks);
  eddy__fs_set_integer(L, "blksize", stat->st_blksize);
  set_time(L, "mtime", &stat->st_mtim);
  set_time(L, "atime", &stat->st_atim);
  set_time(L, "ctime", &stat->st_ctim);
  set_time(L, "birthtime", &stat->st_birthtim);
}

static void work_stat(eddy__operation *op) {
  op->rc = eddy__fs_stat(op->path, op->flag, &op->stat, &op->syscall);
}

static int finish_stat(lua_State *L, eddy__operation *op) {
  eddy__fs_push_stat(L, &op->stat);
  eddy__request_end(&op->job.request);
  return 1;
}

/* eddy.fs.stat(path), lstat(path) -> table   [-0, +1, y] */
static int l_stat(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("stat"), .work = work_stat, .finish = finish_stat};
  return run_one(L, &action, true);
}

static int l_lstat(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("lstat"), .work = work_stat, .finish = finish_stat};
  return run_one(L, &action, false);
}

static void work_exists(eddy__operation *op) {
  op->rc = eddy__fs_stat(op->path, true, &op->stat, &op->syscall);
  op->flag = op->rc == 0;
  if (op->rc == UV_ENOENT || op->rc == UV_ENOTDIR) op->rc = 0;
}

/* eddy.fs.exists(path) -> boolean   [-0, +1, y] */
static int l_exists(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("exists"), .work = work_exists, .finish = eddy__finish_boolean};
  return run_one(L, &action, false);
}

/* --- special files ------------------------------------------------------------------------------------------- */

static int k_all(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 1; /* and the end of the function closes the file, which may wait */
}

/* Reads all of the file at the top.   [-0, +1, y] */
static int read_special(lua_State *L) {
  lua_toclose(L, -1);
  lua_getfield(L, -1, "read");
  lua_pushvalue(L, -2);
  lua_pushliteral(L, "a");
  lua_callk(L, 2, 1, 0, k_all);
  return k_all(L, LUA_OK, 0);
}

static int k_written(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

/* Writes the string at 2 to the file at the top.   [-0, +0, y] */
static int k_write_special(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_toclose(L, -1);
  lua_getfield(L, -1, "write");
  lua_pushvalue(L, -2);
  lua_pushvalue(L, 2);
  lua_callk(L, 2, 0, 0, k_written);
  return 0;
}

/* A FIFO that nobody reads yet: waits for somebody, as opening it does.   [-0, +0, y] */
static int wait_for_reader(lua_State *L, bool append) {
  eddy__runtime_push(L);
  lua_pushcclosure(L, eddy__file_l_open, 1);
  lua_pushvalue(L, 1);
  lua_pushstring(L, append ? "a" : "w");
  lua_callk(L, 2, 1, 0, k_write_special);
  return k_write_special(L, LUA_OK, 0);
}

/* --- read_file, write_file ----------------------------------------------------------------------------------- */

enum { NOW_SIZE = 65536 }; /* what is longer is a thread's */

static void work_read_file(eddy__operation *op) {
  bool special;
  op->owns_data = true;
  op->syscall = "open";
  int fd = op->fd; /* was opened on the loop, perhaps */
  op->fd = -1;
  fd = fd < 0 ? eddy__fs_open_file(op->path, O_RDONLY, 0, &op->stat, &special)
              : eddy__fs_look_at(fd, &op->stat, &special);
  op->rc = fd < 0 ? fd : 0;
  if (fd < 0) return;
  if (special) {
    op->fd = fd;
    return;
  }
  if (op->place.kind == EDDY_PLACE_UNKNOWN) eddy__place_find(&op->place, fd);
  op->syscall = "read";
  op->rc = eddy__fs_read_all(fd, op->stat.st_size, &op->data, &op->size, &op->job.request.is_abandoned);
  eddy__fs_close(fd);
}

/* A small file that is in memory. */
static bool read_now(eddy__operation *op) {
  uint64_t size;
  bool good;
  op->fd = eddy__place_open(&op->place, op->path, &size, &good);
  if (op->fd < 0 || !good || size > NOW_SIZE) return false;
  op->data = malloc((size_t)size + 1);
  int n = op->data == NULL ? 0 : eddy__place_read(&op->place, op->fd, op->data, (size_t)size + 1);
  op->owns_data = true;
  op->size = (size_t)size;
  if (n >= 0 && (uint64_t)n == size && op->data != NULL) {
    eddy__fs_close(op->fd);
    op->fd = -1;
    return true;
  }
  free(op->data); /* it is not all there, or it grows: a thread begins again */
  op->data = NULL;
  (void)lseek(op->fd, 0, SEEK_SET);
  return false;
}

static int finish_read_file(lua_State *L, eddy__operation *op) {
  if (op->fd < 0) return eddy__finish_data(L, op);
  eddy__file_push(L, op->job.request.loop, &op->fd, op->path, true);
  eddy__request_end(&op->job.request);
  return read_special(L);
}

/* eddy.fs.read_file(path) -> string   [-0, +1, y] */
static int l_read_file(lua_State *L) {
  static const eddy__action action = {
    .wait = WAIT("read_file"), .work = work_read_file, .now = read_now, .finish = finish_read_file};
  return run_one(L, &action, false);
}

/* A special file stays open where it takes no more now; what is left is op->input and op->size. */
static void work_write_file(eddy__operation *op) {
  const atomic_bool *stop = &op->job.request.is_abandoned;
  if (op->write.atomic) {
    op->rc = eddy__fs_replace(op->path, op->input, op->size, (int)op->a, !op->write.has_mode, stop, &op->syscall);
    return;
  }
  op->syscall = "open";
  int flags = O_WRONLY | O_CREAT | (op->write.append ? O_APPEND : O_TRUNC);
  int fd = op->rc = eddy__fs_open_unblocked(op->path, flags, (int)op->a);
  if (fd < 0) return;
  if (op->place.kind == EDDY_PLACE_UNKNOWN) eddy__place_find(&op->place, fd);
  op->syscall = "write";
  op->rc = eddy__fs_write_all(fd, &op->input, &op->size, stop);
  if (op->rc == UV_EAGAIN) {
    op->fd = fd;
    op->rc = 0;
    return;
  }
  int closed = eddy__fs_close(fd); /* some file systems tell of a full disk only here */
  if (op->rc == 0) op->rc = closed;
}

/* A little into memory. */
static bool write_now(eddy__operation *op) {
  if (op->place.kind != EDDY_PLACE_MEMORY || op->write.atomic || op->size > NOW_SIZE) return false;
  work_write_file(op);
  return true;
}

static int finish_write_file(lua_State *L, eddy__operation *op) {
  bool append = op->write.append;
  if (op->rc == UV_EAGAIN) {
    eddy__request_end(&op->job.request);
    return wait_for_reader(L, append);
  }
  if (op->rc < 0) return eddy__operation_raise(L, op);
  if (op->fd < 0) return eddy__finish_nothing(L, op);
  lua_pushlstring(L, op->input, op->size); /* lies in the string at 2 */
  lua_replace(L, 2);
  eddy__file_push(L, op->job.request.loop, &op->fd, op->path, true);
  eddy__request_end(&op->job.request);
  return k_write_special(L, LUA_OK, 0);
}

/* eddy.fs.write_file(path, data, {atomic, mode, append})   [-0, +0, y] */
static int l_write_file(lua_State *L) {
  static const char *const options[] = {"atomic", "mode", "append", NULL};
  static const eddy__action action = {.wait = WAIT("write_file"),
                                      .work = work_write_file,
                                      .now = write_now,
                                      .finish = finish_write_file,
                                      .takes_errors = true};
  size_t size;
  eddy__check_path(L, 1);
  const char *data = eddy__check_string(L, 2, NULL, &size);
  eddy__check_options(L, 3, options);
  bool atomic = eddy__option_boolean(L, 3, "atomic", false);
  bool append = eddy__option_boolean(L, 3, "append", false);
  int64_t mode = eddy__option_integer(L, 3, "mode", 0, 07777, -1);
  eddy__arg_check(L, !atomic || !append, 3, "'atomic' and 'append' exclude each other");
  lua_settop(L, 2);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 0);
  op->write.atomic = atomic;
  op->write.append = append;
  op->write.has_mode = mode >= 0;
  op->a = mode >= 0 ? mode : 0666;
  op->input = data;
  op->size = size;
  return eddy__operation_run(L, op);
}

/* --- scandir ------------------------------------------------------------------------------------------------- */

static void work_scandir(eddy__operation *op) {
  op->has_uv = true;
  op->rc = uv_fs_scandir(NULL, &op->uv, op->path, 0, NULL);
}

/* The iterator; upvalues: the record, the box of the operation.   [-0, +(0|2), m] */
static int l_next_entry(lua_State *L) {
  eddy__request **box = lua_touserdata(L, lua_upvalueindex(2));
  uv_dirent_t entry;
  if (*box == NULL) return 0;
  eddy__operation *op = (eddy__operation *)*box;
  if (uv_fs_scandir_next(&op->uv, &entry) < 0) {
    eddy__request_end(&op->job.request);
    return 0;
  }
  lua_pushstring(L, entry.name);
  lua_pushstring(L, eddy__fs_type_name((int)entry.type));
  return 2;
}

static int finish_scandir(lua_State *L, eddy__operation *op) {
  (void)op;
  eddy__runtime_push(L);
  lua_insert(L, -2); /* the box goes on owning the list */
  lua_pushcclosure(L, l_next_entry, 2);
  return 1;
}

/* eddy.fs.scandir(path) -> iterator of name, type   [-0, +1, y] */
static int l_scandir(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("scandir"), .work = work_scandir, .finish = finish_scandir};
  return run_one(L, &action, false);
}

/* [-0, +0, m] */
void eddy__fs_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"stat", l_stat},
                                       {"lstat", l_lstat},
                                       {"exists", l_exists},
                                       {"read_file", l_read_file},
                                       {"write_file", l_write_file},
                                       {"scandir", l_scandir},
                                       {NULL, NULL}};
  lua_newtable(L);
  eddy__runtime_functions(L, rt, functions);
  eddy__paths_room(L, rt);
  eddy__walk_room(L, rt);
  eddy__watch_room(L, rt);
  lua_setfield(L, -2, "fs");
}
