/* SPDX-License-Identifier: MIT */
/*
 * fs_work.h - operations on files as threads of the pool do them: plain C, blocking, no Lua.
 * Owns:   nothing that outlives a call, but for results that the caller frees or closes.
 * Uses:   libuv's synchronous calls, which retry after EINTR and open close-on-exec.
 *         Used by: operation.h and so fs.c and paths.c; file.c, file_now.c, tree_paths.c.
 * Touch:  freely. All return 0 or a result, or a libuv code and in *syscall what failed. `stop`, where there is one, is
 *         set when nobody wants the result any more: then they end early, with UV_ECANCELED.
 */
#ifndef EDDY_IO_FS_WORK_H
#define EDDY_IO_FS_WORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* A synchronous uv_fs_ call has ended whose results lie nowhere else: its code. */
int eddy__uv_result(uv_fs_t *req);

int eddy__fs_open(const char *path, int flags, int mode);
int eddy__fs_close(int fd);

/* Opens non-blocking, which matters for special files only; does not wait for the other end of a FIFO: one to write to
 * that nobody reads yet is UV_EAGAIN. */
int eddy__fs_open_unblocked(const char *path, int flags, int mode);
/* The same, and tells about it. *special: what is no regular file, directory or block device. A directory is
 * UV_EISDIR. */
int eddy__fs_open_file(const char *path, int flags, int mode, uv_stat_t *stat, bool *special);
/* The same of one that is open; closes it when it fails. */
int eddy__fs_look_at(int fd, uv_stat_t *stat, bool *special);
/* Makes it blocking. */
int eddy__fs_set_blocking(int fd, bool blocking);

/* How many bytes, 0 at the end, or a libuv code. */
int eddy__fs_read(int fd, char *memory, size_t size);
/* Writes all of it; *written says how much before an error. */
int eddy__fs_write(int fd, const char *data, size_t size, size_t *written);
int eddy__fs_sync(int fd);
int eddy__fs_unlink(const char *path);
int eddy__fs_rmdir(const char *path);

int eddy__fs_stat(const char *path, bool follow, uv_stat_t *stat, const char **syscall);
int eddy__fs_fstat(int fd, uv_stat_t *stat);

/* The rest of a file, in memory that the caller frees. `expected`: how many bytes it is said to have. */
int eddy__fs_read_all(int fd, uint64_t expected, char **data, size_t *size, const atomic_bool *stop);

/* Writes all of it in pieces, between which it may be stopped; *data and *size say what is left. */
int eddy__fs_write_all(int fd, const char **data, size_t *size, const atomic_bool *stop);

/* Puts a new file in the place of the one at `path`, or of the one that the link there stands for. `keep`: it has owner
 * and mode of the old one; `mode` is that of a file where none was. */
int eddy__fs_replace(const char *path, const char *data, size_t size, int mode, bool keep,
                     const atomic_bool *stop, const char **syscall);

/* Copies a regular file's bytes, and to a new file its permissions less the umask. `exclusive`: `to` must not be
 * there. */
int eddy__fs_copy(const char *from, const char *to, bool exclusive, const atomic_bool *stop,
                  const char **syscall);

int eddy__fs_mkdir(const char *path, bool parents, int mode, const char **syscall);

#endif
