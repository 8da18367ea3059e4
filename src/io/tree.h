/* SPDX-License-Identifier: MIT */
/*
 * tree.h - directories with all that is below them: listing one beneath a root, removing all. Plain C, blocking.
 * Owns:   nothing that outlives a call, but for lists that the caller frees.
 * Uses:   fs_work.h; on POSIX openat, unlinkat and O_NOFOLLOW.      Used by: walk.c, paths.c.
 * Touch:  with care. Somebody else may put a link in the place of a directory at any moment: whatever goes down does so
 *         from a descriptor, by names that follow no link. Depth is bounded by memory alone: no recursion, no path that
 *         grows too long, few descriptors.
 */
#ifndef EDDY_IO_TREE_H
#define EDDY_IO_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* What stands in a directory: for each entry a byte of type (UV_DIRENT_), a byte that tells whether it is a directory
 * or a link to one, and its name with its zero. */
typedef struct eddy__entries {
  char *data;
  size_t size, cap;
} eddy__entries;

/* Opens the directory at the top: its descriptor, or a libuv code. */
int eddy__tree_open(const char *path);

/* Lists the directory `relative` ("" for the top itself) beneath the one that is open as `top`, whose path is `path`.
 * `follow`: links on the way and at its end are followed; else such a thing is UV_ELOOP or UV_ENOTDIR. */
int eddy__tree_list(int top, const char *path, const char *relative, bool follow,
                    const atomic_bool *stop, eddy__entries *entries);

/* Removes a file, a link itself, or a directory and all that is below it. Ends at the first failure. */
int eddy__tree_remove(const char *path, const atomic_bool *stop, const char **syscall);

#endif
