/* SPDX-License-Identifier: MIT */
/*
 * fs_work.h - operations on files as threads of the pool do them: plain C, blocking, no Lua.
 * Owns:   nothing that outlives a call, but for results that the caller frees.
 * Uses:   libuv's synchronous calls, which retry after EINTR and open close-on-exec.      Used by: fs.c, file.c.
 * Touch:  freely. All return 0 or a result, or a libuv code and in *syscall what failed.
 */
#ifndef EDDY_IO_FS_WORK_H
#define EDDY_IO_FS_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

int eddy__fs_open(const char *path, int flags, int mode);
void eddy__fs_close(int fd);

/* How many bytes, 0 at the end, or a libuv code. */
int eddy__fs_read(int fd, char *memory, size_t size);
/* Writes all of it; *written says how much before an error. */
int eddy__fs_write(int fd, const char *data, size_t size, size_t *written);

int eddy__fs_stat(const char *path, bool follow, uv_stat_t *stat, const char **syscall);
int eddy__fs_fstat(int fd, uv_stat_t *stat);

/* The whole file, in memory that the caller frees. Files that do not know their size are read to their end. */
int eddy__fs_read_file(const char *path, char **data, size_t *size, const char **syscall);

typedef struct eddy__fs_write_options {
  bool atomic, append;
  int mode; /* of a new file */
  bool has_mode;
} eddy__fs_write_options;
int eddy__fs_write_file(const char *path, const char *data, size_t size,
                        const eddy__fs_write_options *o, const char **syscall);

int eddy__fs_mkdir(const char *path, bool parents, int mode, const char **syscall);
/* A file, a link itself, an empty directory; or all of a tree, without following links. */
int eddy__fs_remove(const char *path, bool recursive, const char **syscall);

#endif
