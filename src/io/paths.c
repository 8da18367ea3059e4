/* SPDX-License-Identifier: MIT */
/*
 * paths.c - eddy.fs: what changes or asks about names: rename, link, chmod, mkdir, remove, ...; see fs.h.
 * Touch:  freely.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifndef _WIN32
#include <unistd.h>
#endif

#include "base/args.h"
#include "base/error.h"
#include "io/file.h"
#include "io/fs.h"
#include "io/operation.h"
#include "io/tree.h"

#define WAIT(name) \
  { name, eddy__request_cancel, true }

/* [-0, +n, y] */
static int run_one(lua_State *L, const eddy__action *action) {
  eddy__check_path(L, 1);
  lua_settop(L, 1);
  return eddy__operation_run(L, eddy__operation_new(L, action, 1, 0));
}

/* Two paths.   [-0, +n, y] */
static int run_two(lua_State *L, const eddy__action *action) {
  eddy__check_path(L, 1);
  eddy__check_path(L, 2);
  lua_settop(L, 2);
  return eddy__operation_run(L, eddy__operation_new(L, action, 1, 2));
}

/* --- names --------------------------------------------------------------------------------------------------- */

static void work_rename(eddy__operation *op) {
  uv_fs_t req;
  uv_fs_rename(NULL, &req, op->path, op->other, NULL);
  op->rc = eddy__uv_result(&req);
}

/* eddy.fs.rename(old, new)   [-0, +0, y] */
static int l_rename(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("rename"), .work = work_rename, .finish = eddy__finish_nothing};
  return run_two(L, &action);
}

static void work_link(eddy__operation *op) {
  uv_fs_t req;
  uv_fs_link(NULL, &req, op->path, op->other, NULL);
  op->rc = eddy__uv_result(&req);
}

/* eddy.fs.link(path, new)   [-0, +0, y] */
static int l_link(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("link"), .work = work_link, .finish = eddy__finish_nothing};
  return run_two(L, &action);
}

static void work_symlink(eddy__operation *op) {
  uv_fs_t req;
  uv_fs_symlink(NULL, &req, op->path, op->other, (int)op->a, NULL);
  op->rc = eddy__uv_result(&req);
}

/* eddy.fs.symlink(target, path, {type})   [-0, +0, y] */
static int l_symlink(lua_State *L) {
  static const char *const options[] = {"type", NULL};
  static const char *const types[] = {"file", "directory", "junction", NULL}; /* it matters on Windows only */
  static const int flags[] = {0, UV_FS_SYMLINK_DIR, UV_FS_SYMLINK_JUNCTION};
  static const eddy__action action = {.wait = WAIT("symlink"), .work = work_symlink, .finish = eddy__finish_nothing};
  eddy__check_path(L, 1);
  eddy__check_path(L, 2);
  int type = eddy__check_options(L, 3, options) ? eddy__option_choice(L, 3, "type", types, 0) : 0;
  lua_settop(L, 2);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 2);
  op->a = flags[type];
  return eddy__operation_run(L, op);
}

static void work_readlink(eddy__operation *op) {
  op->has_uv = true;
  op->rc = uv_fs_readlink(NULL, &op->uv, op->path, NULL);
}

static void work_realpath(eddy__operation *op) {
  op->has_uv = true;
  op->rc = uv_fs_realpath(NULL, &op->uv, op->path, NULL);
}

/* A text that libuv has made.   [-0, +1, m] */
static int finish_text(lua_State *L, eddy__operation *op) {
  lua_pushstring(L, op->uv.ptr);
  eddy__request_end(&op->job.request);
  return 1;
}

/* eddy.fs.readlink(path) -> string   [-0, +1, y] */
static int l_readlink(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("readlink"), .work = work_readlink, .finish = finish_text};
  return run_one(L, &action);
}

/* eddy.fs.realpath(path) -> string   [-0, +1, y] */
static int l_realpath(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("realpath"), .work = work_realpath, .finish = finish_text};
  return run_one(L, &action);
}

static void work_copy(eddy__operation *op) {
  op->rc = eddy__fs_copy(op->path, op->other, op->flag, &op->job.request.is_abandoned, &op->syscall);
}

/* eddy.fs.copy(from, to, {exclusive})   [-0, +0, y] */
static int l_copy(lua_State *L) {
  static const char *const options[] = {"exclusive", NULL};
  static const eddy__action action = {.wait = WAIT("copy"), .work = work_copy, .finish = eddy__finish_nothing};
  eddy__check_path(L, 1);
  eddy__check_path(L, 2);
  eddy__check_options(L, 3, options);
  bool exclusive = eddy__option_boolean(L, 3, "exclusive", false);
  lua_settop(L, 2);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 2);
  op->flag = exclusive;
  return eddy__operation_run(L, op);
}

/* --- attributes ---------------------------------------------------------------------------------------------- */

static void work_chmod(eddy__operation *op) {
  uv_fs_t req;
  uv_fs_chmod(NULL, &req, op->path, (int)op->a, NULL);
  op->rc = eddy__uv_result(&req);
}

/* An integer argument from low to high.   [-0, +0, v] */
static int64_t check_range(lua_State *L, int arg, int64_t low, int64_t high) {
  lua_Integer value = eddy__check_integer(L, arg);
  eddy__arg_check(L, value >= low && value <= high, arg, "out of range");
  return value;
}

/* eddy.fs.chmod(path, mode)   [-0, +0, y] */
static int l_chmod(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("chmod"), .work = work_chmod, .finish = eddy__finish_nothing};
  eddy__check_path(L, 1);
  int64_t mode = check_range(L, 2, 0, 07777);
  lua_settop(L, 1);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 0);
  op->a = mode;
  return eddy__operation_run(L, op);
}

static void work_chown(eddy__operation *op) {
  uv_fs_t req;
  uv_fs_chown(NULL, &req, op->path, (uv_uid_t)op->a, (uv_gid_t)op->b, NULL);
  op->rc = eddy__uv_result(&req);
}

/* eddy.fs.chown(path, uid, gid): nil leaves it as it is   [-0, +0, y] */
static int l_chown(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("chown"), .work = work_chown, .finish = eddy__finish_nothing};
  eddy__check_path(L, 1);
  int64_t uid = lua_isnoneornil(L, 2) ? -1 : check_range(L, 2, 0, UINT32_MAX - 1);
  int64_t gid = lua_isnoneornil(L, 3) ? -1 : check_range(L, 3, 0, UINT32_MAX - 1);
  lua_settop(L, 1);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 0);
  op->a = uid;
  op->b = gid;
  return eddy__operation_run(L, op);
}

static void work_utime(eddy__operation *op) {
#ifdef _WIN32
  uv_fs_t req;
  uv_fs_utime(NULL, &req, op->path, op->times[0], op->times[1], NULL);
  op->rc = eddy__uv_result(&req);
#else
  struct timespec times[2]; /* by hand: libuv before 1.45 loses nanoseconds, and times before 1970 */
  for (int i = 0; i < 2; i++) {
    double seconds = floor(op->times[i]);
    times[i].tv_sec = (time_t)seconds;
    times[i].tv_nsec = (long)((op->times[i] - seconds) * 1e9);
    if (isinf(op->times[i])) times[i].tv_nsec = UTIME_NOW;
    if (isinf(op->times[i])) times[i].tv_sec = 0;
  }
  op->rc = utimensat(AT_FDCWD, op->path, times, 0) < 0 ? -errno : 0;
#endif
}

/* A moment in seconds since 1970; nil is now, for which infinity stands.   [-0, +0, v] */
static double check_moment(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return HUGE_VAL;
  double moment = eddy__check_seconds(L, arg);
  eddy__arg_check(L, moment > -9e15 && moment < 9e15, arg, "out of range");
  return moment;
}

/* eddy.fs.utime(path, atime, mtime)   [-0, +0, y] */
static int l_utime(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("utime"), .work = work_utime, .finish = eddy__finish_nothing};
  eddy__check_path(L, 1);
  double atime = check_moment(L, 2), mtime = check_moment(L, 3);
  lua_settop(L, 1);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 0);
  op->times[0] = atime;
  op->times[1] = mtime;
  return eddy__operation_run(L, op);
}

static void work_access(eddy__operation *op) {
  uv_fs_t req;
  uv_fs_access(NULL, &req, op->path, (int)op->a, NULL);
  int rc = eddy__uv_result(&req);
  op->flag = rc == 0;
  bool is_answer = rc == UV_EACCES || rc == UV_EPERM || rc == UV_EROFS || rc == UV_ETXTBSY;
  op->rc = is_answer || rc == UV_ENOENT || rc == UV_ENOTDIR ? 0 : rc;
}

/* eddy.fs.access(path, what) -> boolean   [-0, +1, y] */
static int l_access(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("access"), .work = work_access, .finish = eddy__finish_boolean};
  eddy__check_path(L, 1);
  int mode = 0;
  size_t size;
  const char *what = eddy__check_string(L, 2, "", &size);
  for (const char *p = what; p < what + size; p++) {
    eddy__arg_check(L, *p == 'r' || *p == 'w' || *p == 'x', 2, "letters of 'rwx' expected");
    mode |= *p == 'r' ? 4 : *p == 'w' ? 2
                                      : 1;
  }
  lua_settop(L, 1);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 0);
  op->a = mode;
  return eddy__operation_run(L, op);
}

static void work_truncate(eddy__operation *op) {
#ifdef _WIN32
  uv_fs_t req;
  op->rc = op->fd = eddy__fs_open(op->path, O_WRONLY, 0);
  if (op->rc < 0) return;
  uv_fs_ftruncate(NULL, &req, op->fd, op->a, NULL);
  op->rc = eddy__uv_result(&req);
#else
  do op->rc = truncate(op->path, (off_t)op->a) < 0 ? -errno : 0; /* opens nothing: does not wait for a FIFO */
  while (op->rc == UV_EINTR);
#endif
}

/* eddy.fs.truncate(path, size)   [-0, +0, y] */
static int l_truncate(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("truncate"), .work = work_truncate, .finish = eddy__finish_nothing};
  eddy__check_path(L, 1);
  int64_t size = lua_isnoneornil(L, 2) ? 0 : eddy__check_integer(L, 2);
  eddy__arg_check(L, size >= 0, 2, "a negative size");
  lua_settop(L, 1);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 0);
  op->a = size;
  return eddy__operation_run(L, op);
}

static void work_statfs(eddy__operation *op) {
  op->has_uv = true;
  op->rc = uv_fs_statfs(NULL, &op->uv, op->path, NULL);
}

static int finish_statfs(lua_State *L, eddy__operation *op) {
  const uv_statfs_t *s = op->uv.ptr;
  lua_createtable(L, 0, 7);
  eddy__fs_set_integer(L, "type", s->f_type);
  eddy__fs_set_integer(L, "bsize", s->f_bsize);
  eddy__fs_set_integer(L, "blocks", s->f_blocks);
  eddy__fs_set_integer(L, "bfree", s->f_bfree);
  eddy__fs_set_integer(L, "bavail", s->f_bavail);
  eddy__fs_set_integer(L, "files", s->f_files);
  eddy__fs_set_integer(L, "ffree", s->f_ffree);
  eddy__request_end(&op->job.request);
  return 1;
}

/* eddy.fs.statfs(path) -> table   [-0, +1, y] */
static int l_statfs(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("statfs"), .work = work_statfs, .finish = finish_statfs};
  return run_one(L, &action);
}

/* --- making and removing ------------------------------------------------------------------------------------- */

static void work_mkdir(eddy__operation *op) {
  op->rc = eddy__fs_mkdir(op->path, op->flag, (int)op->a, &op->syscall);
}

/* eddy.fs.mkdir(path, {parents, mode})   [-0, +0, y] */
static int l_mkdir(lua_State *L) {
  static const char *const options[] = {"parents", "mode", NULL};
  static const eddy__action action = {.wait = WAIT("mkdir"), .work = work_mkdir, .finish = eddy__finish_nothing};
  eddy__check_path(L, 1);
  eddy__check_options(L, 2, options);
  bool parents = eddy__option_boolean(L, 2, "parents", false);
  int mode = (int)eddy__option_integer(L, 2, "mode", 0, 07777, 0777);
  lua_settop(L, 1);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 0);
  op->flag = parents;
  op->a = mode;
  return eddy__operation_run(L, op);
}

static void work_rmdir(eddy__operation *op) { op->rc = eddy__fs_rmdir(op->path); }

/* eddy.fs.rmdir(path)   [-0, +0, y] */
static int l_rmdir(lua_State *L) {
  static const eddy__action action = {.wait = WAIT("rmdir"), .work = work_rmdir, .finish = eddy__finish_nothing};
  return run_one(L, &action);
}

static void work_remove(eddy__operation *op) {
  if (op->flag) {
    op->rc = eddy__tree_remove(op->path, &op->job.request.is_abandoned, &op->syscall);
    return;
  }
  op->syscall = "unlink";
  op->rc = eddy__fs_unlink(op->path);
  if (op->rc != UV_EISDIR && op->rc != UV_EPERM) return;
  int rc = eddy__fs_rmdir(op->path);
  if (rc == UV_ENOTDIR) return;
  op->syscall = "rmdir";
  op->rc = rc;
}

/* eddy.fs.remove(path, {recursive})   [-0, +0, y] */
static int l_remove(lua_State *L) {
  static const char *const options[] = {"recursive", NULL};
  static const eddy__action action = {.wait = WAIT("remove"), .work = work_remove, .finish = eddy__finish_nothing};
  eddy__check_path(L, 1);
  eddy__check_options(L, 2, options);
  bool recursive = eddy__option_boolean(L, 2, "recursive", false);
  lua_settop(L, 1);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 0);
  op->flag = recursive;
  return eddy__operation_run(L, op);
}

/* A template; the operation's path becomes the name.   [-0, +0, v] */
static void check_template(lua_State *L) {
  const char *path = eddy__check_path(L, 1);
  size_t n = strlen(path);
  eddy__arg_check(L, n >= 6 && strcmp(path + n - 6, "XXXXXX") == 0, 1, "a template ends in 'XXXXXX'");
}

static void work_mkdtemp(eddy__operation *op) {
  uv_fs_t req;
  op->rc = uv_fs_mkdtemp(NULL, &req, op->path, NULL);
  if (op->rc == 0) memcpy(op->path, req.path, strlen(op->path));
  uv_fs_req_cleanup(&req);
}

static void undo_mkdtemp(eddy__operation *op) { (void)eddy__fs_rmdir(op->path); }

static int finish_mkdtemp(lua_State *L, eddy__operation *op) {
  lua_pushstring(L, op->path);
  op->is_taken = true;
  eddy__request_end(&op->job.request);
  return 1;
}

/* eddy.fs.mkdtemp(template) -> path   [-0, +1, y] */
static int l_mkdtemp(lua_State *L) {
  static const eddy__action action = {
    .wait = WAIT("mkdtemp"), .work = work_mkdtemp, .finish = finish_mkdtemp, .undo = undo_mkdtemp};
  check_template(L);
  return run_one(L, &action);
}

static void work_mkstemp(eddy__operation *op) {
  uv_fs_t req;
  op->rc = uv_fs_mkstemp(NULL, &req, op->path, NULL);
  if (op->rc >= 0) {
    op->fd = op->rc = (int)req.result;
    memcpy(op->path, req.path, strlen(op->path));
  }
  uv_fs_req_cleanup(&req);
}

static void undo_mkstemp(eddy__operation *op) { (void)eddy__fs_unlink(op->path); }

static int finish_mkstemp(lua_State *L, eddy__operation *op) {
  eddy__file_push(L, op->job.request.loop, &op->fd, op->path, false);
  lua_pushstring(L, op->path);
  op->is_taken = true;
  eddy__request_end(&op->job.request);
  return 2;
}

/* eddy.fs.mkstemp(template) -> file, path   [-0, +2, y] */
static int l_mkstemp(lua_State *L) {
  static const eddy__action action = {
    .wait = WAIT("mkstemp"), .work = work_mkstemp, .finish = finish_mkstemp, .undo = undo_mkstemp};
  check_template(L);
  return run_one(L, &action);
}

/* [-0, +0, m] */
void eddy__paths_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"rename", l_rename},
                                       {"link", l_link},
                                       {"symlink", l_symlink},
                                       {"readlink", l_readlink},
                                       {"realpath", l_realpath},
                                       {"copy", l_copy},
                                       {"chmod", l_chmod},
                                       {"chown", l_chown},
                                       {"utime", l_utime},
                                       {"access", l_access},
                                       {"truncate", l_truncate},
                                       {"statfs", l_statfs},
                                       {"mkdir", l_mkdir},
                                       {"rmdir", l_rmdir},
                                       {"remove", l_remove},
                                       {"mkdtemp", l_mkdtemp},
                                       {"mkstemp", l_mkstemp},
                                       {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
