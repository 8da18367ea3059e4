/* SPDX-License-Identifier: MIT */
/*
 * executor.h - to_thread, run_in_executor, ThreadPool, thread: what Lua sees of pools.
 * Owns:   the ThreadPool object; a loop's default pool, and the threads that it has started.
 * Uses:   pool.h, call.h.      Used by: threads.c.
 * Touch:  freely.
 */
#ifndef EDDY_THREADS_EXECUTOR_H
#define EDDY_THREADS_EXECUTOR_H

#include "threads/pool.h"

/* The pool is the loop's: it ends when the loop is closed, with patience for a second for all of them together. The
 * loop counts it until eddy__pool_disown. */
void eddy__pool_own(eddy__pool *pool, eddy__loop *loop);
void eddy__pool_disown(eddy__pool *pool);

void eddy__channel_room(lua_State *L, eddy__runtime *rt);
void eddy__executor_room(lua_State *L, eddy__runtime *rt);
void eddy__wire_room(lua_State *L, eddy__runtime *rt);
void eddy__thread_room(lua_State *L, eddy__runtime *rt);

#endif
