/* SPDX-License-Identifier: MIT */
/*
 * fs.h - eddy.fs: operations on paths, each one job of the thread pool; walking trees; watching.
 * Owns:   nothing; the table eddy.fs is the state's.
 * Uses:   operation.h, tree.h, fs_work.h.      Used by: file_object.c, io.c.
 * Touch:  freely. fs.c has whole files and what stat tells, paths.c what changes names, walk.c and watch.c theirs.
 */
#ifndef EDDY_IO_FS_H
#define EDDY_IO_FS_H

#include <lua.h>
#include <uv.h>

#include "core/runtime.h"

/* Sets a field of the table at the top.   [-0, +0, m] */
void eddy__fs_set_integer(lua_State *L, const char *name, uint64_t value);

/* Pushes the table that stat returns.   [-0, +1, m] */
void eddy__fs_push_stat(lua_State *L, const uv_stat_t *stat);

/* What a type of entry (UV_DIRENT_) is called. */
const char *eddy__fs_type_name(int type);

void eddy__fs_room(lua_State *L, eddy__runtime *rt);

/* These add to the table eddy.fs at the top.   [-0, +0, m] */
void eddy__paths_room(lua_State *L, eddy__runtime *rt);
void eddy__walk_room(lua_State *L, eddy__runtime *rt);
void eddy__watch_room(lua_State *L, eddy__runtime *rt);

/* file_open.c: eddy.open, eddy.lines. */
void eddy__file_room(lua_State *L, eddy__runtime *rt);

#endif
