/* SPDX-License-Identifier: MIT */
/*
 * fs_work.c - operations on files as threads of the pool do them; see fs_work.h.
 * Touch:  freely. atomic writes: the old file or the new one is there at any moment, also after a power cut.
 */
#include "io/fs_work.h"

#include <dirent.h>
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

/* The result of a synchronous call. */
static int result(uv_fs_t *req) {
  int rc = (int)req->result;
  uv_fs_req_cleanup(req);
  return rc;
}

int eddy__fs_open(const char *path, int flags, int mode) {
  uv_fs_t req;
  uv_fs_open(NULL, &req, path, flags, mode, NULL);
  return result(&req);
}

void eddy__fs_close(int fd) {
  uv_fs_t req;
  uv_fs_close(NULL, &req, fd, NULL);
  result(&req);
}

int eddy__fs_read(int fd, char *memory, size_t size) {
  uv_fs_t req;
  uv_buf_t buf = uv_buf_init(memory, (unsigned)(size < CHUNK ? size : CHUNK));
  int rc;
  do {
    uv_fs_read(NULL, &req, fd, &buf, 1, -1, NULL);
    rc = result(&req);
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
    int rc = result(&req);
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
  return result(&req);
}

int eddy__fs_fstat(int fd, uv_stat_t *stat) {
  uv_fs_t req;
  uv_fs_fstat(NULL, &req, fd, NULL);
  *stat = req.statbuf;
  return result(&req);
}

static int sync_file(int fd) {
  uv_fs_t req;
  uv_fs_fsync(NULL, &req, fd, NULL);
  return result(&req);
}

static int unlink_file(const char *path) {
  uv_fs_t req;
  uv_fs_unlink(NULL, &req, path, NULL);
  return result(&req);
}

/* --- whole files --------------------------------------------------------------------------------------------- */

/* Reads to the end; *data holds *cap bytes and grows. Returns 0 or a libuv code. */
static int read_all(int fd, char **data, size_t *size, size_t cap) {
  *data = malloc(cap);
  *size = 0;
  if (*data == NULL) return UV_ENOMEM;
  for (;;) {
    if (*size == cap) {
      char *more = cap > (size_t)-1 / 2 ? NULL : realloc(*data, cap * 2);
      if (more == NULL) return UV_ENOMEM;
      *data = more;
      cap *= 2;
    }
    int n = eddy__fs_read(fd, *data + *size, cap - *size);
    if (n <= 0) return n;
    *size += (size_t)n;
  }
}

int eddy__fs_read_file(const char *path, char **data, size_t *size, const char **syscall) {
  uv_stat_t stat;
  *syscall = "open";
  int fd = eddy__fs_open(path, O_RDONLY, 0);
  if (fd < 0) return fd;
  *syscall = "read";
  int rc = eddy__fs_fstat(fd, &stat);
  size_t cap = FIRST_SIZE; /* also for files that claim to be empty: those of /proc, FIFOs */
  if (rc == 0 && stat.st_size > 0) cap = (size_t)stat.st_size + 1; /* one more, to see the end */
  if (rc == 0) rc = read_all(fd, data, size, cap);
  eddy__fs_close(fd);
  return rc;
}

/* Creates a file beside `path` that was not there. Returns its descriptor and name, or a libuv code. */
static int open_beside(const char *path, int mode, char *name, size_t name_size) {
  for (int i = 0; i < 100; i++) {
    unsigned long long pid = (unsigned long long)uv_os_getpid();
    unsigned long long salt = uv_hrtime() ^ pid << 32 ^ (unsigned)i;
    int n = snprintf(name, name_size, "%s.%012llx.tmp", path, salt & 0xffffffffffffu);
    if (n < 0 || (size_t)n >= name_size) return UV_ENAMETOOLONG;
    int fd = eddy__fs_open(name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd != UV_EEXIST) return fd;
  }
  return UV_EEXIST;
}

/* What a rename has done to the directory of `path` is on the disk. */
static int sync_directory(const char *path) {
  char dir[PATH_MAX];
  const char *slash = strrchr(path, '/');
  snprintf(dir, sizeof dir, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
           slash == NULL ? "." : path);
  int fd = eddy__fs_open(dir, O_RDONLY, 0), rc;
  if (fd < 0) return 0; /* a directory that can be written to but not read */
  rc = sync_file(fd);
  eddy__fs_close(fd);
  return rc == UV_EINVAL || rc == UV_ENOTSUP ? 0 : rc; /* not all file systems know it */
}

static int write_and_sync(int fd, const char *data, size_t size, const char **syscall) {
  size_t written;
  *syscall = "write";
  int rc = eddy__fs_write(fd, data, size, &written);
  if (rc < 0) return rc;
  *syscall = "fsync";
  return sync_file(fd);
}

/* Writes a new file and puts it in the place of the old one. `path` is no link. */
static int replace(const char *path, const char *data, size_t size,
                   const eddy__fs_write_options *o, const char **syscall) {
  char name[PATH_MAX];
  uv_stat_t old;
  const char *ignored;
  bool keep = !o->has_mode && eddy__fs_stat(path, true, &old, &ignored) == 0;
  *syscall = "open";
  int fd = open_beside(path, o->mode, name, sizeof name), rc;
  if (fd < 0) return fd;
  rc = write_and_sync(fd, data, size, syscall);
  if (rc == 0 && keep) {
    *syscall = "chmod";
    if (fchmod(fd, (mode_t)old.st_mode & 07777) < 0) rc = -errno;
  }
  eddy__fs_close(fd);
  if (rc == 0) {
    uv_fs_t req;
    *syscall = "rename";
    uv_fs_rename(NULL, &req, name, path, NULL);
    rc = result(&req);
  }
  if (rc < 0) {
    unlink_file(name);
    return rc;
  }
  *syscall = "fsync";
  return sync_directory(path);
}

/* The file that a link stands for is replaced, not the link. */
static int write_atomic(const char *path, const char *data, size_t size,
                        const eddy__fs_write_options *o, const char **syscall) {
  uv_stat_t stat;
  if (eddy__fs_stat(path, false, &stat, syscall) < 0 || !S_ISLNK(stat.st_mode))
    return replace(path, data, size, o, syscall);
  uv_fs_t req;
  *syscall = "realpath";
  uv_fs_realpath(NULL, &req, path, NULL);
  int rc = (int)req.result;
  if (rc == 0) rc = replace(req.ptr, data, size, o, syscall);
  uv_fs_req_cleanup(&req);
  return rc;
}

int eddy__fs_write_file(const char *path, const char *data, size_t size,
                        const eddy__fs_write_options *o, const char **syscall) {
  size_t written;
  if (o->atomic) return write_atomic(path, data, size, o, syscall);
  *syscall = "open";
  int fd = eddy__fs_open(path, O_WRONLY | O_CREAT | (o->append ? O_APPEND : O_TRUNC), o->mode);
  if (fd < 0) return fd;
  *syscall = "write";
  int rc = eddy__fs_write(fd, data, size, &written);
  uv_fs_t req;
  uv_fs_close(NULL, &req, fd, NULL); /* some file systems tell of a full disk only here */
  int closed = result(&req);
  return rc < 0 ? rc : closed;
}

/* --- directories --------------------------------------------------------------------------------------------- */

static int make_one(const char *path, int mode) {
  uv_fs_t req;
  uv_fs_mkdir(NULL, &req, path, mode, NULL);
  return result(&req);
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

static int remove_tree(int at, const char *name);

/* Removes all that is in the directory `fd`, which it closes. */
static int empty_directory(int fd) {
  DIR *dir = fdopendir(fd);
  if (dir == NULL) {
    int rc = -errno;
    close(fd);
    return rc;
  }
  int rc = 0;
  struct dirent *entry;
  while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    rc = remove_tree(fd, entry->d_name);
    if (rc == UV_ENOENT) rc = 0; /* somebody else was faster */
  }
  if (rc == 0 && entry == NULL && errno != 0) rc = -errno;
  closedir(dir);
  return rc;
}

/* Works on descriptors, so nobody can put a link in the way meanwhile. */
static int remove_tree(int at, const char *name) {
  if (unlinkat(at, name, 0) == 0) return 0;
  int why = -errno;
  if (why != UV_EISDIR && why != UV_EPERM) return why;
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno == ENOTDIR || errno == ELOOP ? why : -errno;
  int rc = empty_directory(fd);
  if (rc == 0 && unlinkat(at, name, AT_REMOVEDIR) < 0) rc = -errno;
  return rc;
}

int eddy__fs_remove(const char *path, bool recursive, const char **syscall) {
  *syscall = "unlink";
  if (recursive) return remove_tree(AT_FDCWD, path);
  int rc = unlink_file(path);
  if (rc != UV_EISDIR && rc != UV_EPERM) return rc;
  uv_fs_t req;
  uv_fs_rmdir(NULL, &req, path, NULL);
  int dir = result(&req);
  if (dir == UV_ENOTDIR) return rc;
  *syscall = "rmdir";
  return dir;
}
