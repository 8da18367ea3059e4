/* SPDX-License-Identifier: MIT */
/*
 * fs_work.c - operations on files as threads of the pool do them; see fs_work.h.
 * Touch:  freely. atomic writes: the old file or the new one is there at any moment, also after a power cut.
 */
#include "io/fs_work.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 30, FIRST_SIZE = 16384 };

/* --- one call ------------------------------------------------------------------------------------------------ */

int eddy__uv_result(uv_fs_t *req) {
  int rc = (int)req->result;
  uv_fs_req_cleanup(req);
  return rc;
}

int eddy__fs_open(const char *path, int flags, int mode) {
  uv_fs_t req;
  uv_fs_open(NULL, &req, path, flags, mode, NULL);
  return eddy__uv_result(&req);
}

int eddy__fs_close(int fd) {
  uv_fs_t req;
  uv_fs_close(NULL, &req, fd, NULL);
  return eddy__uv_result(&req);
}

int eddy__fs_set_blocking(int fd, bool blocking) {
#ifdef O_NONBLOCK
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
  return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
#else
  (void)fd, (void)blocking;
  return 0;
#endif
}

/* Whether ENXIO means a FIFO that nobody reads. */
static bool lacks_reader(const char *path, int rc) {
  uv_stat_t stat;
  const char *ignored;
  return rc == UV_ENXIO && eddy__fs_stat(path, true, &stat, &ignored) == 0 && S_ISFIFO(stat.st_mode);
}

int eddy__fs_open_unblocked(const char *path, int flags, int mode) {
#ifdef O_NONBLOCK
  int fd = eddy__fs_open(path, flags | O_NONBLOCK, mode);
  if (fd == UV_EAGAIN) fd = eddy__fs_open(path, flags, mode); /* another process has a lease on it */
#else
  int fd = eddy__fs_open(path, flags, mode);
#endif
  return fd < 0 && lacks_reader(path, fd) ? UV_EAGAIN : fd;
}

int eddy__fs_look_at(int fd, uv_stat_t *stat, bool *special) {
  int rc = eddy__fs_fstat(fd, stat);
  if (rc == 0 && S_ISDIR(stat->st_mode)) rc = UV_EISDIR;
  if (rc < 0) {
    eddy__fs_close(fd);
    return rc;
  }
  *special = !S_ISREG(stat->st_mode) && !S_ISBLK(stat->st_mode);
  return fd;
}

int eddy__fs_open_file(const char *path, int flags, int mode, uv_stat_t *stat, bool *special) {
  int fd = eddy__fs_open_unblocked(path, flags, mode);
  return fd < 0 ? fd : eddy__fs_look_at(fd, stat, special);
}

int eddy__fs_read(int fd, char *memory, size_t size) {
  uv_fs_t req;
  uv_buf_t buf = uv_buf_init(memory, (unsigned)(size < CHUNK ? size : CHUNK));
  int rc;
  do {
    uv_fs_read(NULL, &req, fd, &buf, 1, -1, NULL);
    rc = eddy__uv_result(&req);
  } while (rc == UV_EINTR); /* the one call besides close that libuv does not repeat */
  return rc;
}

int eddy__fs_write(int fd, const char *data, size_t size, size_t *written) {
  *written = 0;
  while (*written < size) {
    uv_fs_t req;
    size_t left = size - *written;
    uv_buf_t buf = uv_buf_init((char *)data + *written, (unsigned)(left < CHUNK ? left : CHUNK));
    uv_fs_write(NULL, &req, fd, &buf, 1, -1, NULL);
    int rc = eddy__uv_result(&req);
    if (rc < 0) return rc;
    *written += (size_t)rc;
  }
  return 0;
}

int eddy__fs_stat(const char *path, bool follow, uv_stat_t *stat, const char **syscall) {
  uv_fs_t req;
  *syscall = follow ? "stat" : "lstat";
  if (follow)
    uv_fs_stat(NULL, &req, path, NULL);
  else
    uv_fs_lstat(NULL, &req, path, NULL);
  *stat = req.statbuf;
  return eddy__uv_result(&req);
}

int eddy__fs_fstat(int fd, uv_stat_t *stat) {
  uv_fs_t req;
  uv_fs_fstat(NULL, &req, fd, NULL);
  *stat = req.statbuf;
  return eddy__uv_result(&req);
}

int eddy__fs_sync(int fd) {
  uv_fs_t req;
  uv_fs_fsync(NULL, &req, fd, NULL);
  return eddy__uv_result(&req);
}

int eddy__fs_unlink(const char *path) {
  uv_fs_t req;
  uv_fs_unlink(NULL, &req, path, NULL);
  return eddy__uv_result(&req);
}

int eddy__fs_rmdir(const char *path) {
  uv_fs_t req;
  uv_fs_rmdir(NULL, &req, path, NULL);
  return eddy__uv_result(&req);
}

/* --- whole files --------------------------------------------------------------------------------------------- */

static bool stopped(const atomic_bool *stop) {
  return atomic_load_explicit(stop, memory_order_relaxed);
}

int eddy__fs_read_all(int fd, uint64_t expected, char **data, size_t *size, const atomic_bool *stop) {
  size_t cap = FIRST_SIZE; /* also for files that claim to be empty: those of /proc */
  if (expected > 0 && expected < (size_t)-1 / 2) cap = (size_t)expected + 1; /* one more, to see the end */
  *data = malloc(cap);
  *size = 0;
  if (*data == NULL) return UV_ENOMEM;
  for (;;) {
    if (stopped(stop)) return UV_ECANCELED;
    if (*size == cap) {
      char *more = cap > (size_t)-1 / 2 ? NULL : realloc(*data, cap * 2);
      if (more == NULL) return UV_ENOMEM;
      *data = more;
      cap *= 2;
    }
    int n = eddy__fs_read(fd, *data + *size, cap - *size);
    if (n <= 0) return n;
    *size += (size_t)n;
    if (*size == expected && *size < cap) return 0; /* less than was asked for: it has met the end */
  }
}

int eddy__fs_write_all(int fd, const char **data, size_t *size, const atomic_bool *stop) {
  enum { PIECE = 8 << 20 };
  int rc = 0;
  while (rc == 0 && *size > 0) {
    size_t written;
    rc = eddy__fs_write(fd, *data, *size < PIECE ? *size : PIECE, &written);
    *data += written;
    *size -= written;
    if (rc == 0 && *size > 0 && stopped(stop)) rc = UV_ECANCELED;
  }
  return rc;
}

/* The length of the folder's part of the path, with its slash; 0 if there is none. */
static size_t folder_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* Creates a file in the folder of `path` that was not there. Returns its descriptor and name, or a libuv code. The name
 * does not grow with that of the file, which may be as long as names can be. */
static int open_beside(const char *path, int mode, char *name, size_t name_size) {
  for (int i = 0; i < 100; i++) {
    unsigned long long salt = uv_hrtime() ^ (unsigned long long)uv_os_getpid() << 32 ^ (unsigned)i;
    (void)uv_random(NULL, NULL, &salt, sizeof salt, 0, NULL);
    int n = snprintf(name, name_size, "%.*s.eddy-%012llx.tmp", (int)folder_length(path), path,
                     salt & 0xffffffffffffu);
    if (n < 0 || (size_t)n >= name_size) return UV_ENAMETOOLONG;
    int fd = eddy__fs_open(name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd != UV_EEXIST) return fd;
  }
  return UV_EEXIST;
}

/* What a rename has done to the directory of `path` is on the disk. */
static int sync_directory(const char *path) {
  char dir[PATH_MAX];
  size_t length = folder_length(path);
  snprintf(dir, sizeof dir, "%.*s", length == 0 ? 1 : (int)length, length == 0 ? "." : path);
  int fd = eddy__fs_open(dir, O_RDONLY, 0), rc;
  if (fd < 0) return 0; /* a directory that can be written to but not read */
  rc = eddy__fs_sync(fd);
  eddy__fs_close(fd);
  return rc == UV_EINVAL || rc == UV_ENOTSUP ? 0 : rc; /* not all file systems know it */
}

/* Gives a new file the owner, if we may, and the mode of the one that it replaces. */
static int take_after(int fd, const uv_stat_t *old) {
#ifndef _WIN32
  mode_t mode = (mode_t)(old->st_mode & 07777);
  if (fchown(fd, (uid_t)old->st_uid, (gid_t)old->st_gid) < 0) mode &= 01777; /* not with the rights of others */
  if (fchmod(fd, mode) < 0) return -errno;
#endif
  return 0;
}

/* `old`: what it replaces and is to look like, or NULL. */
static int fill(int fd, const char *data, size_t size, const uv_stat_t *old,
                const atomic_bool *stop, const char **syscall) {
  *syscall = "write";
  int rc = eddy__fs_write_all(fd, &data, &size, stop);
  if (rc < 0) return rc;
  *syscall = "chmod";
  if (old != NULL) rc = take_after(fd, old);
  if (rc < 0) return rc;
  *syscall = "fsync";
  return eddy__fs_sync(fd);
}

/* `path` is no link. */
static int replace(const char *path, const char *data, size_t size, int mode, bool keep,
                   const atomic_bool *stop, const char **syscall) {
  char name[PATH_MAX];
  uv_stat_t old;
  const char *ignored;
  bool exists = eddy__fs_stat(path, true, &old, &ignored) == 0;
  keep = keep && exists;
  *syscall = "open";
  if (exists && !S_ISREG(old.st_mode)) return S_ISDIR(old.st_mode) ? UV_EISDIR : UV_EINVAL;
  int fd = open_beside(path, keep ? 0600 : mode, name, sizeof name);
  if (fd < 0) return fd;
  int rc = fill(fd, data, size, keep ? &old : NULL, stop, syscall), closed = eddy__fs_close(fd);
  if (rc == 0 && closed < 0) {
    *syscall = "close";
    rc = closed;
  }
  if (rc == 0 && stopped(stop)) rc = UV_ECANCELED;
  if (rc == 0) {
    uv_fs_t req;
    *syscall = "rename";
    uv_fs_rename(NULL, &req, name, path, NULL);
    rc = eddy__uv_result(&req);
  }
  if (rc < 0) {
    eddy__fs_unlink(name);
    return rc;
  }
  *syscall = "fsync";
  return sync_directory(path);
}

int eddy__fs_replace(const char *path, const char *data, size_t size, int mode, bool keep,
                     const atomic_bool *stop, const char **syscall) {
  uv_stat_t stat;
  if (eddy__fs_stat(path, false, &stat, syscall) < 0 || !S_ISLNK(stat.st_mode))
    return replace(path, data, size, mode, keep, stop, syscall);
  uv_fs_t req;
  *syscall = "realpath";
  uv_fs_realpath(NULL, &req, path, NULL);
  int rc = (int)req.result;
  if (rc == 0) rc = replace(req.ptr, data, size, mode, keep, stop, syscall);
  uv_fs_req_cleanup(&req);
  return rc;
}

/* --- copy ---------------------------------------------------------------------------------------------------- */

/* Opens the copy; *created: it was not there before. `from` must not be cut off by it. As of cp: a new file has the
 * source's permissions less the umask, without its rights of others (set-id bits); one that was there keeps its own. */
static int open_copy(const char *to, const uv_stat_t *from, bool exclusive, bool *created) {
  int mode = (int)(from->st_mode & 0777), rc;
  uv_stat_t stat;
  bool special;
  int fd = eddy__fs_open(to, O_WRONLY | O_CREAT | O_EXCL, mode);
  *created = fd >= 0;
  if (fd != UV_EEXIST || exclusive) return fd;
  fd = eddy__fs_open_file(to, O_WRONLY | O_CREAT, mode, &stat, &special); /* the end of a link, too */
  if (fd < 0) return fd;
  uv_fs_t req;
  rc = special ? UV_EINVAL : 0;
  if (rc == 0 && stat.st_dev == from->st_dev && stat.st_ino == from->st_ino) rc = UV_EEXIST;
  if (rc == 0) {
    uv_fs_ftruncate(NULL, &req, fd, 0, NULL);
    rc = eddy__uv_result(&req);
  }
  if (rc == 0) return fd;
  eddy__fs_close(fd);
  return rc;
}

/* What the kernel does not copy by itself: files that claim to be empty, file systems that cannot. */
static int copy_by_hand(int in, int out, const atomic_bool *stop) {
  enum { PIECE = 1 << 18 };
  char *memory = malloc(PIECE);
  if (memory == NULL) return UV_ENOMEM;
  int n;
  size_t written;
  while ((n = eddy__fs_read(in, memory, PIECE)) > 0) {
    int rc = stopped(stop) ? UV_ECANCELED : eddy__fs_write(out, memory, (size_t)n, &written);
    if (rc < 0) n = rc;
    if (rc < 0) break;
  }
  free(memory);
  return n;
}

static int copy_bytes(int in, int out, const atomic_bool *stop) {
  enum { PIECE = 16 << 20 };
  int64_t offset = 0;
  for (;;) {
    uv_fs_t req;
    if (stopped(stop)) return UV_ECANCELED;
    uv_fs_sendfile(NULL, &req, out, in, offset, PIECE, NULL);
    ssize_t n = req.result;
    uv_fs_req_cleanup(&req);
    if (n < 0 && (offset > 0 || n == UV_ENOSPC || n == UV_EIO || n == -EDQUOT)) return (int)n;
    if (n <= 0) break;
    offset += n;
  }
  if (offset > 0) { /* the descriptor's own place has not moved */
    if (lseek(in, (off_t)offset, SEEK_SET) < 0) return -errno;
  }
  return copy_by_hand(in, out, stop);
}

int eddy__fs_copy(const char *from, const char *to, bool exclusive, const atomic_bool *stop,
                  const char **syscall) {
  uv_stat_t stat;
  bool special, created;
  *syscall = "open";
  int in = eddy__fs_open_file(from, O_RDONLY, 0, &stat, &special);
  if (in < 0) return in;
  int rc = special ? UV_EINVAL : 0, out = -1;
  if (rc == 0) rc = out = open_copy(to, &stat, exclusive, &created);
  if (rc >= 0) {
    *syscall = "copy";
    rc = copy_bytes(in, out, stop);
    int closed = eddy__fs_close(out);
    if (rc == 0) rc = closed;
    if (rc < 0 && created) eddy__fs_unlink(to);
  }
  eddy__fs_close(in);
  return rc;
}

/* --- directories --------------------------------------------------------------------------------------------- */

static int make_one(const char *path, int mode) {
  uv_fs_t req;
  uv_fs_mkdir(NULL, &req, path, mode, NULL);
  return eddy__uv_result(&req);
}

/* Makes what is missing above the last component. `path` is changed and changed back. */
static int make_parents(char *path) {
  for (char *p = path + 1; *p != '\0'; p++) {
    if (*p != '/' || p[1] == '/' || p[1] == '\0') continue;
    *p = '\0';
    int rc = make_one(path, 0777);
    *p = '/';
    if (rc < 0 && rc != UV_EEXIST && rc != UV_EISDIR) return rc;
  }
  return 0;
}

int eddy__fs_mkdir(const char *path, bool parents, int mode, const char **syscall) {
  uv_stat_t stat;
  const char *ignored;
  *syscall = "mkdir";
  int rc = make_one(path, mode);
  if (rc == UV_ENOENT && parents && path[0] != '\0') {
    char *copy = strdup(path);
    if (copy == NULL) return UV_ENOMEM;
    rc = make_parents(copy);
    free(copy);
    if (rc == 0) rc = make_one(path, mode);
  }
  if (rc == UV_EEXIST && parents && eddy__fs_stat(path, true, &stat, &ignored) == 0 &&
      S_ISDIR(stat.st_mode))
    return 0;
  return rc;
}
