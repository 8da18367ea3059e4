/* SPDX-License-Identifier: MIT */
/*
 * fs.c - eddy.fs: operations on paths; see fs.h.
 * Touch:  freely. An operation is three functions: l_ checks and starts, work_ runs in a thread, finish_ pushes the
 *         results.
 */
#include "io/fs.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/args.h"
#include "base/error.h"
#include "io/fs_work.h"
#include "io/job.h"

typedef struct operation {
  eddy__job job; /* first */
  int (*finish)(lua_State *L, struct operation *op);
  int rc;
  const char *syscall; /* what has failed */
  uv_stat_t stat;
  char *data; /* a result, or what is to be written */
  size_t size;
  bool owns_data, flag;
  eddy__fs_write_options write;
  uv_fs_t scan;
  bool has_scan;
  char path[];
} operation;

/* [-0, +0, v] */
const char *eddy__check_path(lua_State *L, int arg) {
  if (lua_type(L, arg) != LUA_TSTRING) eddy__arg_expected(L, arg, "string");
  size_t size;
  const char *path = lua_tolstring(L, arg, &size);
  eddy__arg_check(L, strlen(path) == size, arg, "a path cannot contain a zero byte");
  return path;
}

/* --- what they share ----------------------------------------------------------------------------------------- */

static void release(eddy__request *r) {
  operation *op = (operation *)r;
  if (op->owns_data) free(op->data);
  if (op->has_scan) uv_fs_req_cleanup(&op->scan);
  free(op);
}

/* A new operation on the path at 1; pushes its box.   [-0, +1, v] */
static operation *new_operation(lua_State *L, const char *name, void (*work)(eddy__job *),
                                int (*finish)(lua_State *, operation *)) {
  size_t size;
  const char *path = lua_tolstring(L, 1, &size);
  eddy__task *task = eddy__running(L, name);
  operation *op =
    (operation *)eddy__job_new(L, task, sizeof *op + size + 1, work, release);
  memcpy(op->path, path, size + 1);
  op->finish = finish;
  return op;
}

static int k_fs(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  operation *op = (operation *)eddy__request_take(L, (eddy__task *)ctx);
  if (op->job.was_cancelled) return eddy__raise(L, UV_ECANCELED, "start an operation");
  if (op->rc < 0) return eddy__raise_about(L, op->rc, op->syscall, "path", op->path);
  return op->finish(L, op);
}

/* [-0, +n, y] */
static int run(lua_State *L, operation *op, const eddy__wait *wait) {
  return eddy__job_run(L, &op->job, wait, k_fs);
}

static int finish_nothing(lua_State *L, operation *op) {
  (void)L;
  eddy__request_end(&op->job.request);
  return 0;
}

/* --- stat, lstat, exists ------------------------------------------------------------------------------------- */

static void set_integer(lua_State *L, const char *name, uint64_t value) {
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
  case S_IFBLK: return "block";
  case S_IFIFO: return "fifo";
  case S_IFSOCK: return "socket";
  default: return "unknown";
  }
}

/* [-0, +1, m] */
void eddy__fs_push_stat(lua_State *L, const uv_stat_t *stat) {
  lua_createtable(L, 0, 15);
  lua_pushstring(L, type_of(stat->st_mode));
  lua_setfield(L, -2, "type");
  set_integer(L, "size", stat->st_size);
  set_integer(L, "mode", stat->st_mode & 07777);
  set_integer(L, "uid", stat->st_uid);
  set_integer(L, "gid", stat->st_gid);
  set_integer(L, "ino", stat->st_ino);
  set_integer(L, "dev", stat->st_dev);
  set_integer(L, "rdev", stat->st_rdev);
  set_integer(L, "nlink", stat->st_nlink);
  set_integer(L, "blocks", stat->st_blocks);
  set_integer(L, "blksize", stat->st_blksize);
  set_time(L, "mtime", &stat->st_mtim);
  set_time(L, "atime", &stat->st_atim);
  set_time(L, "ctime", &stat->st_ctim);
  set_time(L, "birthtime", &stat->st_birthtim);
}

static void work_stat(eddy__job *job) {
  operation *op = (operation *)job;
  op->rc = eddy__fs_stat(op->path, op->flag, &op->stat, &op->syscall);
}

static int finish_stat(lua_State *L, operation *op) {
  eddy__fs_push_stat(L, &op->stat);
  eddy__request_end(&op->job.request);
  return 1;
}

/* [-0, +1, y] */
static int stat_path(lua_State *L, const char *name, bool follow, const eddy__wait *wait) {
  eddy__check_path(L, 1);
  lua_settop(L, 1);
  operation *op = new_operation(L, name, work_stat, finish_stat);
  op->flag = follow;
  return run(L, op, wait);
}

/* eddy.fs.stat(path), lstat(path) -> table   [-0, +1, y] */
static int l_stat(lua_State *L) {
  static const eddy__wait wait = {"stat", eddy__request_cancel};
  return stat_path(L, "stat", true, &wait);
}

static int l_lstat(lua_State *L) {
  static const eddy__wait wait = {"lstat", eddy__request_cancel};
  return stat_path(L, "lstat", false, &wait);
}

static void work_exists(eddy__job *job) {
  operation *op = (operation *)job;
  op->rc = eddy__fs_stat(op->path, true, &op->stat, &op->syscall);
  op->flag = op->rc == 0;
  if (op->rc == UV_ENOENT || op->rc == UV_ENOTDIR) op->rc = 0;
}

static int finish_exists(lua_State *L, operation *op) {
  lua_pushboolean(L, op->flag);
  eddy__request_end(&op->job.request);
  return 1;
}

/* eddy.fs.exists(path) -> boolean   [-0, +1, y] */
static int l_exists(lua_State *L) {
  static const eddy__wait wait = {"exists", eddy__request_cancel};
  eddy__check_path(L, 1);
  lua_settop(L, 1);
  return run(L, new_operation(L, "exists", work_exists, finish_exists), &wait);
}

/* --- read_file, write_file ----------------------------------------------------------------------------------- */

static void work_read_file(eddy__job *job) {
  operation *op = (operation *)job;
  op->rc = eddy__fs_read_file(op->path, &op->data, &op->size, &op->syscall);
}

static int finish_read_file(lua_State *L, operation *op) {
  lua_pushlstring(L, op->data, op->size);
  eddy__request_end(&op->job.request);
  return 1;
}

/* eddy.fs.read_file(path) -> string   [-0, +1, y] */
static int l_read_file(lua_State *L) {
  static const eddy__wait wait = {"read_file", eddy__request_cancel};
  eddy__check_path(L, 1);
  lua_settop(L, 1);
  operation *op = new_operation(L, "read_file", work_read_file, finish_read_file);
  op->owns_data = true;
  return run(L, op, &wait);
}

static void work_write_file(eddy__job *job) {
  operation *op = (operation *)job;
  op->rc = eddy__fs_write_file(op->path, op->data, op->size, &op->write, &op->syscall);
}

/* eddy.fs.write_file(path, data, {atomic, mode, append})   [-0, +0, y] */
static int l_write_file(lua_State *L) {
  static const char *const options[] = {"atomic", "mode", "append", NULL};
  static const eddy__wait wait = {"write_file", eddy__request_cancel};
  eddy__fs_write_options o = {false, false, 0, false};
  size_t size;
  eddy__check_path(L, 1);
  const char *data = luaL_checklstring(L, 2, &size);
  if (eddy__check_options(L, 3, options)) {
    o.atomic = eddy__option_boolean(L, 3, "atomic", false);
    o.append = eddy__option_boolean(L, 3, "append", false);
    o.mode = (int)eddy__option_integer(L, 3, "mode", 0, 07777, -1);
    eddy__arg_check(L, !o.atomic || !o.append, 3, "'atomic' and 'append' exclude each other");
    o.has_mode = o.mode >= 0;
  }
  if (!o.has_mode) o.mode = 0666;
  lua_settop(L, 2);
  operation *op = new_operation(L, "write_file", work_write_file, finish_nothing);
  op->write = o;
  op->data = (char *)data;
  op->size = size;
  eddy__job_keep(L, &op->job, 2);
  return run(L, op, &wait);
}

/* --- directories --------------------------------------------------------------------------------------------- */

static void work_scandir(eddy__job *job) {
  operation *op = (operation *)job;
  op->syscall = "scandir";
  uv_fs_scandir(NULL, &op->scan, op->path, 0, NULL);
  op->has_scan = true;
  op->rc = (int)op->scan.result;
}

/* The iterator; upvalues: the record, the box of the operation.   [-0, +(0|2), m] */
static int l_next_entry(lua_State *L) {
  static const char *const types[] = {
    [UV_DIRENT_UNKNOWN] = "unknown",
    [UV_DIRENT_FILE] = "file",
    [UV_DIRENT_DIR] = "directory",
    [UV_DIRENT_LINK] = "link",
    [UV_DIRENT_FIFO] = "fifo",
    [UV_DIRENT_SOCKET] = "socket",
    [UV_DIRENT_CHAR] = "char",
    [UV_DIRENT_BLOCK] = "block"};
  eddy__request **box = lua_touserdata(L, lua_upvalueindex(2));
  uv_dirent_t entry;
  if (*box == NULL) return 0;
  operation *op = (operation *)*box;
  if (uv_fs_scandir_next(&op->scan, &entry) < 0) {
    eddy__request_end(&op->job.request);
    return 0;
  }
  lua_pushstring(L, entry.name);
  lua_pushstring(L, types[entry.type]);
  return 2;
}

static int finish_scandir(lua_State *L, operation *op) {
  (void)op;
  eddy__runtime_push(L);
  lua_insert(L, -2); /* the box goes on owning the list */
  lua_pushcclosure(L, l_next_entry, 2);
  return 1;
}

/* eddy.fs.scandir(path) -> iterator of name, type   [-0, +1, y] */
static int l_scandir(lua_State *L) {
  static const eddy__wait wait = {"scandir", eddy__request_cancel};
  eddy__check_path(L, 1);
  lua_settop(L, 1);
  return run(L, new_operation(L, "scandir", work_scandir, finish_scandir), &wait);
}

static void work_mkdir(eddy__job *job) {
  operation *op = (operation *)job;
  op->rc = eddy__fs_mkdir(op->path, op->flag, op->write.mode, &op->syscall);
}

/* eddy.fs.mkdir(path, {parents, mode})   [-0, +0, y] */
static int l_mkdir(lua_State *L) {
  static const char *const options[] = {"parents", "mode", NULL};
  static const eddy__wait wait = {"mkdir", eddy__request_cancel};
  eddy__check_path(L, 1);
  eddy__check_options(L, 2, options);
  bool parents = eddy__option_boolean(L, 2, "parents", false);
  int mode = (int)eddy__option_integer(L, 2, "mode", 0, 07777, 0777);
  lua_settop(L, 1);
  operation *op = new_operation(L, "mkdir", work_mkdir, finish_nothing);
  op->flag = parents;
  op->write.mode = mode;
  return run(L, op, &wait);
}

static void work_remove(eddy__job *job) {
  operation *op = (operation *)job;
  op->rc = eddy__fs_remove(op->path, op->flag, &op->syscall);
}

/* eddy.fs.remove(path, {recursive})   [-0, +0, y] */
static int l_remove(lua_State *L) {
  static const char *const options[] = {"recursive", NULL};
  static const eddy__wait wait = {"remove", eddy__request_cancel};
  eddy__check_path(L, 1);
  eddy__check_options(L, 2, options);
  bool recursive = eddy__option_boolean(L, 2, "recursive", false);
  lua_settop(L, 1);
  operation *op = new_operation(L, "remove", work_remove, finish_nothing);
  op->flag = recursive;
  return run(L, op, &wait);
}

/* [-0, +0, m] */
void eddy__fs_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"stat", l_stat},
                                       {"lstat", l_lstat},
                                       {"exists", l_exists},
                                       {"read_file", l_read_file},
                                       {"write_file", l_write_file},
                                       {"scandir", l_scandir},
                                       {"mkdir", l_mkdir},
                                       {"remove", l_remove},
                                       {NULL, NULL}};
  lua_newtable(L);
  eddy__runtime_functions(L, rt, functions);
  lua_setfield(L, -2, "fs");
}
