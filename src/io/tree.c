/* SPDX-License-Identifier: MIT */
/*
 * tree.c - directories with all that is below them; see tree.h. (Where there is no openat: tree_paths.c.)
 * Touch:  with care. remove: going up is by "..", and what is found there must be the directory that we came from.
 */
#ifndef _WIN32
#include "io/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#if defined(SYS_openat2) && __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#define HAVE_OPENAT2 1
#endif

enum { DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

static bool stopped(const atomic_bool *stop) {
  return atomic_load_explicit(stop, memory_order_relaxed);
}

static bool is_dot(const char *name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int open_dir(int at, const char *name, int flags) {
  int fd;
  do fd = openat(at, name, DIRECTORY | flags);
  while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}

/* --- listing ------------------------------------------------------------------------------------------------- */

int eddy__tree_open(const char *path) { return open_dir(AT_FDCWD, path, 0); }

/* Opens a directory some levels down, whose path is shorter than PATH_MAX, without following any link or going up. */
static int open_piece(int at, const char *piece) {
#ifdef HAVE_OPENAT2
  struct open_how how = {.flags = DIRECTORY, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
  long fd;
  do fd = syscall(SYS_openat2, at, piece, &how, sizeof how);
  while (fd < 0 && errno == EINTR);
  if (fd >= 0) return (int)fd;
  /* EPERM: a sandbox that does not know the call; EAGAIN: it could not be sure, as something was renamed. */
  if (errno != ENOSYS && errno != EPERM && errno != EAGAIN) return -errno;
#endif
  char name[NAME_MAX + 1];
  int here = at;
  for (const char *p = piece; *p != '\0';) {
    size_t n = strcspn(p, "/");
    if (n > NAME_MAX) n = NAME_MAX;
    memcpy(name, p, n);
    name[n] = '\0';
    bool up = strcmp(name, "..") == 0;
    int next = up ? UV_EXDEV : open_dir(here, *name == '\0' ? "." : name, O_NOFOLLOW);
    if (here != at) close(here);
    if (next < 0) return next;
    here = next;
    p += n + (p[n] == '/');
  }
  return here;
}

/* Opens `relative` beneath `top`, in pieces that the kernel takes. */
static int open_beneath(int top, const char *relative, bool follow) {
  int here = top;
  if (*relative == '\0') return open_dir(top, ".", 0);
  for (const char *p = relative; *p != '\0';) {
    char piece[PATH_MAX];
    size_t n = strlen(p);
    if (n >= sizeof piece)
      for (n = sizeof piece - 1; n > 0 && p[n] != '/'; n--) {}
    if (n == 0) n = sizeof piece - 1; /* no name is that long: the kernel will say so */
    memcpy(piece, p, n);
    piece[n] = '\0';
    int next = follow ? open_dir(here, piece, 0) : open_piece(here, piece);
    if (here != top) close(here);
    if (next < 0) return next;
    here = next;
    p += n + (p[n] == '/');
  }
  return here;
}

static int type_of_mode(mode_t mode) {
  switch (mode & S_IFMT) {
  case S_IFREG: return UV_DIRENT_FILE;
  case S_IFDIR: return UV_DIRENT_DIR;
  case S_IFLNK: return UV_DIRENT_LINK;
  case S_IFIFO: return UV_DIRENT_FIFO;
  case S_IFSOCK: return UV_DIRENT_SOCKET;
  case S_IFCHR: return UV_DIRENT_CHAR;
  case S_IFBLK: return UV_DIRENT_BLOCK;
  default: return UV_DIRENT_UNKNOWN;
  }
}

/* Not all file systems tell the type with the name. */
static int type_of_entry(int fd, const struct dirent *entry) {
  struct stat stat;
#ifdef DT_UNKNOWN
  switch (entry->d_type) {
  case DT_REG: return UV_DIRENT_FILE;
  case DT_DIR: return UV_DIRENT_DIR;
  case DT_LNK: return UV_DIRENT_LINK;
  case DT_FIFO: return UV_DIRENT_FIFO;
  case DT_SOCK: return UV_DIRENT_SOCKET;
  case DT_CHR: return UV_DIRENT_CHAR;
  case DT_BLK: return UV_DIRENT_BLOCK;
  default: break;
  }
#endif
  if (fstatat(fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) < 0) return UV_DIRENT_UNKNOWN;
  return type_of_mode(stat.st_mode);
}

static bool leads_to_directory(int fd, const char *name) {
  struct stat stat;
  return fstatat(fd, name, &stat, 0) == 0 && S_ISDIR(stat.st_mode);
}

static int add_entry(eddy__entries *e, int type, bool is_directory, const char *name) {
  size_t n = strlen(name) + 1;
  if (e->cap - e->size < n + 2) {
    size_t cap = e->cap == 0 ? 1024 : e->cap * 2;
    char *data = realloc(e->data, cap < n + 2 ? n + 2 : cap);
    if (data == NULL) return UV_ENOMEM;
    e->data = data;
    e->cap = cap;
  }
  e->data[e->size] = (char)type;
  e->data[e->size + 1] = (char)is_directory;
  memcpy(e->data + e->size + 2, name, n);
  e->size += n + 2;
  return 0;
}

int eddy__tree_list(int top, const char *path, const char *relative, bool follow,
                    const atomic_bool *stop, eddy__entries *entries) {
  (void)path;
  int fd = open_beneath(top, relative, follow), rc = 0;
  if (fd < 0) return fd;
  DIR *dir = fdopendir(fd);
  if (dir == NULL) {
    rc = -errno;
    close(fd);
    return rc;
  }
  struct dirent *entry;
  while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
    if (is_dot(entry->d_name)) continue;
    int type = type_of_entry(fd, entry);
    bool down = type == UV_DIRENT_DIR || (type == UV_DIRENT_LINK && leads_to_directory(fd, entry->d_name));
    rc = stopped(stop) ? UV_ECANCELED : add_entry(entries, type, down, entry->d_name);
  }
  if (rc == 0 && entry == NULL && errno != 0) rc = -errno;
  closedir(dir);
  return rc;
}

/* --- removing ------------------------------------------------------------------------------------------------ */

/* A directory on the way down. Those near the bottom are open; the others are found again by "..". */
typedef struct level {
  DIR *dir; /* NULL: closed meanwhile */
  char *name;
  dev_t dev;
  ino_t ino;
} level;

enum { OPEN_LEVELS = 32 };

typedef struct removal {
  level *levels;
  size_t n, cap;
  int at;            /* the directory in which the top stands, or a libuv code */
  const char *what;  /* failed */
} removal;

/* Goes down into `name`, which stands in the directory `at`. Takes over fd. */
static int push(removal *r, int fd, const char *name) {
  struct stat stat;
  int rc = 0;
  if (r->n == r->cap) {
    size_t cap = r->cap == 0 ? 16 : r->cap * 2;
    level *levels = realloc(r->levels, cap * sizeof *levels);
    if (levels == NULL) rc = UV_ENOMEM;
    if (levels != NULL) r->levels = levels, r->cap = cap;
  }
  char *copy = strdup(name);
  if (copy == NULL) rc = UV_ENOMEM;
  if (rc == 0 && fstat(fd, &stat) < 0) rc = -errno;
  DIR *dir = rc == 0 ? fdopendir(fd) : NULL;
  if (rc == 0 && dir == NULL) rc = -errno;
  if (rc < 0) {
    free(copy);
    close(fd);
    return rc;
  }
  r->levels[r->n++] = (level){dir, copy, stat.st_dev, stat.st_ino};
  if (r->n > OPEN_LEVELS) { /* keeps descriptors few */
    level *old = &r->levels[r->n - 1 - OPEN_LEVELS];
    if (old->dir != NULL) closedir(old->dir);
    old->dir = NULL;
  }
  return 0;
}

static void drop(level *l) {
  if (l->dir != NULL) closedir(l->dir);
  free(l->name);
}

/* The level above the last was closed: opens it again, by way of the last one. */
static int open_above(removal *r) {
  level *up = &r->levels[r->n - 2];
  struct stat stat;
  r->what = "open";
  int fd = open_dir(dirfd(r->levels[r->n - 1].dir), "..", O_NOFOLLOW);
  if (fd < 0) return fd;
  int rc = fstat(fd, &stat) < 0 ? -errno : 0;
  if (rc == 0 && (stat.st_dev != up->dev || stat.st_ino != up->ino)) rc = UV_ENOENT; /* it was moved away */
  if (rc == 0 && (up->dir = fdopendir(fd)) == NULL) rc = -errno;
  if (rc < 0) close(fd);
  return rc;
}

/* The last level is empty: removes it and goes up. */
static int pop(removal *r) {
  level *last = &r->levels[r->n - 1];
  if (r->n > 1 && last[-1].dir == NULL) {
    int rc = open_above(r);
    if (rc < 0) return rc;
  }
  int at = r->n > 1 ? dirfd(last[-1].dir) : r->at;
  r->what = "rmdir";
  if (unlinkat(at, last->name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
    drop(last);
    r->n--;
    return 0;
  }
  if (errno != ENOTEMPTY && errno != EEXIST) return -errno;
  return UV_ENOTEMPTY;
}

/* Removes what is no directory, or goes down into it. */
static int remove_entry(removal *r, int at, const char *name) {
  r->what = "unlink";
  if (unlinkat(at, name, 0) == 0) return 0;
  int why = -errno;
  if (why != UV_EISDIR && why != UV_EPERM) return why;
  int fd = open_dir(at, name, O_NOFOLLOW);
  if (fd == UV_ENOTDIR || fd == UV_ELOOP) return why; /* it could not be removed, and is no directory */
  r->what = "open";
  return fd < 0 ? fd : push(r, fd, name);
}

/* Empties the last level; ends when there is nothing left in it, or when it went one down. */
static int empty_level(removal *r, const atomic_bool *stop) {
  size_t n = r->n;
  DIR *dir = r->levels[n - 1].dir;
  while (r->n == n) {
    errno = 0;
    struct dirent *entry = readdir(dir);
    if (entry == NULL) return -errno;
    if (is_dot(entry->d_name)) continue;
    int rc = stopped(stop) ? UV_ECANCELED : remove_entry(r, dirfd(dir), entry->d_name);
    if (rc < 0 && rc != UV_ENOENT) return rc; /* ENOENT: somebody else was faster */
  }
  return 0;
}

static int remove_levels(removal *r, const atomic_bool *stop) {
  int again = 0;
  while (r->n > 0) {
    size_t n = r->n;
    int rc = empty_level(r, stop);
    if (rc < 0) return rc;
    if (r->n > n) continue;
    rc = pop(r);
    if (rc == UV_ENOTEMPTY && again++ < 16) { /* readdir may have missed some, or there are new ones */
      rewinddir(r->levels[n - 1].dir);
      continue;
    }
    if (rc < 0) return rc;
    again = 0;
  }
  return 0;
}

/* Opens the directory in which the top stands, whatever links lead there: the top is removed by its name alone, as the
 * path may lead elsewhere before the end. `slash`: the last one of the path, or NULL. */
static int open_parent(char *top, char *slash) {
#ifdef O_PATH
  enum { SEARCH = O_PATH }; /* it need not be readable */
#else
  enum { SEARCH = 0 };
#endif
  if (slash == NULL) return open_dir(AT_FDCWD, ".", SEARCH);
  if (slash == top) return open_dir(AT_FDCWD, "/", SEARCH);
  *slash = '\0';
  int fd = open_dir(AT_FDCWD, top, SEARCH);
  *slash = '/';
  return fd;
}

/* The path without slashes at its end, which would make the kernel follow a link. NULL without memory. */
static char *trimmed(const char *path) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  char *copy = malloc(n + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, path, n);
  copy[n] = '\0';
  return copy;
}

int eddy__tree_remove(const char *path, const atomic_bool *stop, const char **syscall) {
  removal r = {NULL, 0, 0, -1, "unlink"};
  *syscall = "unlink";
  if (unlinkat(AT_FDCWD, path, 0) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return -errno;
  char *top = trimmed(path);
  if (top == NULL) return UV_ENOMEM;
  char *slash = strrchr(top, '/'), *name = slash == NULL ? top : slash + 1;
  int rc = is_dot(name) ? UV_EINVAL : *name == '\0' && *top == '/' ? UV_EBUSY
                                                                   : 0; /* not the folder we stand in, nor all */
  if (rc == 0) rc = r.at = open_parent(top, slash);
  if (rc >= 0) rc = remove_entry(&r, r.at, name);
  if (rc == 0) rc = remove_levels(&r, stop);
  while (r.n > 0) drop(&r.levels[--r.n]);
  if (r.at >= 0) close(r.at);
  free(r.levels);
  free(top);
  *syscall = r.what;
  return rc;
}
#endif
