/* SPDX-License-Identifier: MIT */
/*
 * now.c - work on files that is done on the loop: which folders are near; see now.h.
 * Touch:  with care: nothing but eddy__place_find may wait for a disk.
 */
#include "io/now.h"

#include <string.h>
#include <uv.h>
#ifdef __linux__
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>
#endif
#if defined(SYS_openat2) && __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif

enum { PLACES = 256 };

static const char places_key; /* its address: where they lie in the registry */

/* [-0, +0, m] */
static eddy__place *places(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &places_key);
  eddy__place *list = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (list != NULL) return list;
  list = lua_newuserdatauv(L, PLACES * sizeof *list, 0);
  memset(list, 0, PLACES * sizeof *list);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &places_key);
  return list;
}

static uint64_t key_of(const char *path) {
  uint64_t key = 14695981039346656037u;
  const char *slash = strrchr(path, '/');
  if (slash != NULL)
    for (const char *p = path; p <= slash; p++) key = (key ^ (unsigned char)*p) * 1099511628211u;
  return key;
}

/* [-0, +0, m] */
eddy__place eddy__place_of(lua_State *L, const char *path) {
  uint64_t key = key_of(path);
  const eddy__place *known = &places(L)[key % PLACES];
  if (known->key == key) return *known;
  return (eddy__place){key, 0, EDDY_PLACE_UNKNOWN};
}

/* [-0, +0, m] */
void eddy__place_note(lua_State *L, const eddy__place *place) {
  if (place->kind != EDDY_PLACE_UNKNOWN) places(L)[place->key % PLACES] = *place;
}

#if defined(RESOLVE_CACHED) && defined(SYS_openat2)
void eddy__place_find(eddy__place *place, int fd) {
  struct stat stat;
  struct statfs fs;
  place->kind = EDDY_PLACE_FAR;
  if (fstat(fd, &stat) < 0 || fstatfs(fd, &fs) < 0) return;
  place->dev = (uint64_t)stat.st_dev;
  switch ((unsigned long)fs.f_type) {
  case 0x01021994ul: /* tmpfs */
    place->kind = EDDY_PLACE_MEMORY;
    break;
  case 0xef53ul:     /* ext2, 3, 4 */
  case 0x58465342ul: /* XFS */
  case 0x9123683eul: /* Btrfs */
  case 0xf2f52010ul: /* F2FS */
    place->kind = EDDY_PLACE_LOCAL;
    break;
  default: break;
  }
}

int eddy__place_open(const eddy__place *place, const char *path, uint64_t *size, bool *good) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW,
                         .resolve = RESOLVE_CACHED};
  struct stat stat;
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  if (fd < 0) return UV_EAGAIN; /* the thread will say why */
  *good = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && (uint64_t)stat.st_dev == place->dev;
  *size = (uint64_t)stat.st_size;
  return fd;
}

int eddy__place_read(const eddy__place *place, int fd, char *memory, size_t size) {
  struct iovec piece = {memory, size};
  ssize_t n;
  if (place->kind == EDDY_PLACE_MEMORY)
    n = read(fd, memory, size);
  else
    n = preadv2(fd, &piece, 1, -1, RWF_NOWAIT);
  return n < 0 ? UV_EAGAIN : (int)n;
}
#else
void eddy__place_find(eddy__place *place, int fd) {
  (void)fd;
  place->kind = EDDY_PLACE_FAR;
}

int eddy__place_open(const eddy__place *place, const char *path, uint64_t *size, bool *good) {
  (void)place, (void)path, (void)size, (void)good;
  return UV_EAGAIN;
}

int eddy__place_read(const eddy__place *place, int fd, char *memory, size_t size) {
  (void)place, (void)fd, (void)memory, (void)size;
  return UV_EAGAIN;
}
#endif
