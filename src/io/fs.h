/* SPDX-License-Identifier: MIT */
/*
 * fs.h - eddy.fs: operations on paths, each one job of the thread pool.
 * Owns:   operations under way, with their results until the task has taken them.
 * Uses:   job.h, fs_work.h.      Used by: file.c, io.c.
 * Touch:  freely.
 */
#ifndef EDDY_IO_FS_H
#define EDDY_IO_FS_H

#include <lua.h>
#include <uv.h>

#include "core/runtime.h"

/* A path: a string without NUL.   [-0, +0, v] */
const char *eddy__check_path(lua_State *L, int arg);

/* Pushes the table that stat returns.   [-0, +1, m] */
void eddy__fs_push_stat(lua_State *L, const uv_stat_t *stat);

void eddy__fs_room(lua_State *L, eddy__runtime *rt);

/* file.c: eddy.open, eddy.lines. */
void eddy__file_room(lua_State *L, eddy__runtime *rt);

#endif
