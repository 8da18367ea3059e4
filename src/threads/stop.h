/* SPDX-License-Identifier: MIT */
/*
 * stop.h - how a call in another thread is stopped: in Lua code by a hook, in a wait by cancelling its task.
 * Owns:   the disposition of the signal that interrupts a thread, while there are workers.
 * Uses:   worker.h.      Used by: pool.c, worker.c, programs.c.
 * Touch:  with care: docs/internals/threads.md.
 */
#ifndef EDDY_THREADS_STOP_H
#define EDDY_THREADS_STOP_H

#include "threads/worker.h"

/* Under the pool's lock, from another thread: w's call is to be stopped. */
void eddy__stop_send(eddy__worker *w);

/* In the thread of w: it begins and ends; a call begins and ends. `begin` returns false if the call was stopped before
 * it began.   [-0, +0, -] */
void eddy__stop_open(eddy__worker *w);
void eddy__stop_close(eddy__worker *w);
bool eddy__stop_begin(eddy__worker *w, lua_State *L);
void eddy__stop_end(eddy__worker *w, lua_State *L);

/* Whether the error at idx is the one that stops the call.   [-0, +0, -] */
bool eddy__stop_is(lua_State *L, int idx, eddy__worker *w);

/* Pushes that error.   [-0, +1, -] */
void eddy__stop_push(lua_State *L);

/* Raises the error at the top in the call, which waits for what can never come.   [-0, +0, -] */
void eddy__stop_deadlock(lua_State *L, eddy__worker *w);

/* pcall and xpcall that let the stop through, in place of Lua's, and what programs.c has.   [-0, +0, m] */
void eddy__stop_functions(lua_State *L, eddy__worker *w);

/* os.execute and io.popen that start programs with the signals of home, in place of Lua's: programs.c.
 *   [-0, +0, m] */
void eddy__programs_functions(lua_State *L);

/* The worker that a state belongs to.   [-0, +0, -] */
eddy__worker *eddy__stop_worker(lua_State *L);

/* So that signals of the process are handled by its other threads: around the start of a thread. */
void eddy__stop_block_signals(eddy__signals *before);
void eddy__stop_inherit_signals(eddy__worker *w, const eddy__signals *before); /* between the two */
void eddy__stop_restore_signals(const eddy__signals *before);

#endif
