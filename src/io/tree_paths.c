/* SPDX-License-Identifier: MIT */
/*
 * tree_paths.c - tree.h where there is no openat (Windows): by paths, with libuv's calls.
 * Touch:  freely. lstat tells links apart, but somebody who puts a link in the way meanwhile is not noticed here.
 */
#include "io/tree.h"

#ifdef _WIN32
#include <stdlib.h>
#include <string.h>

#include "io/fs_work.h"

static char *joined(const char *path, const char *name) {
  size_t n = strlen(path), m = strlen(name);
  char *text = malloc(n + m + 2);
  if (text == NULL) return NULL;
  memcpy(text, path, n);
  text[n] = '/';
  memcpy(text + n + 1, name, m + 1);
  if (m == 0) text[n] = '\0';
  return text;
}

int eddy__tree_open(const char *path) {
  uv_stat_t stat;
  const char *syscall;
  int rc = eddy__fs_stat(path, true, &stat, &syscall);
  if (rc < 0) return rc;
  return (stat.st_mode & S_IFMT) == S_IFDIR ? 0 : UV_ENOTDIR;
}

static int add_entry(eddy__entries *e, const uv_dirent_t *entry) {
  size_t n = strlen(entry->name) + 1;
  if (e->cap - e->size < n + 2) {
    size_t cap = e->cap * 2 + n + 1024;
    char *data = realloc(e->data, cap);
    if (data == NULL) return UV_ENOMEM;
    e->data = data;
    e->cap = cap;
  }
  e->data[e->size] = (char)entry->type;
  e->data[e->size + 1] = entry->type == UV_DIRENT_DIR;
  memcpy(e->data + e->size + 2, entry->name, n);
  e->size += n + 2;
  return 0;
}

int eddy__tree_list(int top, const char *path, const char *relative, bool follow,
                    const atomic_bool *stop, eddy__entries *entries) {
  (void)top, (void)stop;
  uv_stat_t stat;
  const char *syscall;
  uv_fs_t req;
  uv_dirent_t entry;
  char *full = joined(path, relative);
  if (full == NULL) return UV_ENOMEM;
  int rc = eddy__fs_stat(full, follow || *relative == '\0', &stat, &syscall);
  if (rc == 0 && (stat.st_mode & S_IFMT) != S_IFDIR) rc = UV_ENOTDIR;
  if (rc == 0) {
    rc = uv_fs_scandir(NULL, &req, full, 0, NULL);
    while (rc >= 0 && uv_fs_scandir_next(&req, &entry) != UV_EOF) rc = add_entry(entries, &entry);
    uv_fs_req_cleanup(&req);
  }
  free(full);
  return rc < 0 ? rc : 0;
}

/* Lists of what is still to be removed: a directory comes after what is in it. */
typedef struct pile {
  char **paths;
  size_t n, cap;
} pile;

static int put(pile *p, char *path) {
  if (path == NULL) return UV_ENOMEM;
  if (p->n == p->cap) {
    size_t cap = p->cap == 0 ? 16 : p->cap * 2;
    char **paths = realloc(p->paths, cap * sizeof *paths);
    if (paths == NULL) free(path);
    if (paths == NULL) return UV_ENOMEM;
    p->paths = paths;
    p->cap = cap;
  }
  p->paths[p->n++] = path;
  return 0;
}

static int remove_one(const char *path, const char **syscall) {
  *syscall = "unlink";
  int rc = eddy__fs_unlink(path);
  if (rc == 0) return 0;
  int dir = eddy__fs_rmdir(path);
  if (dir != UV_ENOTDIR && dir != UV_ENOENT) *syscall = "rmdir";
  return dir == UV_ENOTDIR || dir == UV_ENOENT ? rc : dir;
}

static int put_entries(pile *p, const char *path, const atomic_bool *stop) {
  eddy__entries e = {NULL, 0, 0};
  int rc = eddy__tree_list(0, path, "", false, stop, &e);
  for (size_t i = 0; rc == 0 && i < e.size; i += strlen(e.data + i + 2) + 3)
    rc = put(p, joined(path, e.data + i + 2));
  free(e.data);
  return rc;
}

int eddy__tree_remove(const char *path, const atomic_bool *stop, const char **syscall) {
  pile p = {NULL, 0, 0};
  int rc = put(&p, joined(path, ""));
  while (rc == 0 && p.n > 0) {
    char *top = p.paths[p.n - 1];
    size_t n = p.n;
    rc = atomic_load(stop) ? UV_ECANCELED : remove_one(top, syscall);
    if (rc == UV_ENOTEMPTY) rc = put_entries(&p, top, stop);
    if (rc < 0 || p.n > n) continue;
    free(top);
    p.n--;
  }
  while (p.n > 0) free(p.paths[--p.n]);
  free(p.paths);
  return rc;
}
#endif
