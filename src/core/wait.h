/* SPDX-License-Identifier: MIT */
/*
 * wait.h - waiting for what others do: await.c (await, wait_for), gather.c (gather, map), wait.c (wait, as_completed).
 * Owns:   the blocks of waiters that gather and wait put on the waiting task's stack.
 * Uses:   task.h, cancel.h.      Used by: group.c, runner.c, io/.
 * Touch:  freely. A block is linked into futures only while its task is suspended.
 */
#ifndef EDDY_CORE_WAIT_H
#define EDDY_CORE_WAIT_H

#include "core/task.h"

/* Whether the value at idx can be awaited.   [-0, +0, m] */
bool eddy__awaitable(lua_State *L, int idx);

/* Raises "bad argument #arg to 'f' (awaitable expected, got nil)" with a hint, or RuntimeError for a Coroutine that was
 * awaited before.   [-0, +0, v] */
void eddy__awaitable_check(lua_State *L, int arg);

/* Awaits the value at index 1, with nothing above it, in the running task; `return` its result.  [-0, +n, y] */
int eddy__await(lua_State *L);

/* The same for a future at index 1, with anything above it.   [-0, +n, y] */
int eddy__await_future(lua_State *L, eddy__future *f);

/* Pushes eddy.await, to be called with what it awaits.   [-0, +1, m] */
void eddy__await_push(lua_State *L);

/* Raises when the task cannot wait for f: itself, or of another loop.   [-0, +0, v] */
int eddy__wait_for_future_refuse(lua_State *L, eddy__task *task, eddy__future *f);

static inline void eddy__wait_for_future_check(lua_State *L, eddy__task *task, eddy__future *f) {
  if (task != NULL && (f == &task->future || f->loop != task->future.loop ||
                       f->generation != task->future.generation))
    eddy__wait_for_future_refuse(L, task, f);
}

/* Notes that the error about to be raised in `task` (NULL is fine) is that of the failed future at idx, for the chain
 * of awaits in its traceback.   [-0, +0, m] */
void eddy__wait_note_cause(lua_State *L, eddy__task *task, eddy__future *f, int idx);

/* Replaces the list of awaitables at idx by a list of futures; `arg` is what errors name. All are checked before the
 * first task is made. With `once`, repeated ones are left out. Returns how many.   [-0, +0, v] */
size_t eddy__wait_futures(lua_State *L, eddy__loop *loop, int idx, int arg, bool once);

void eddy__await_room(lua_State *L, eddy__runtime *rt);
void eddy__gather_room(lua_State *L, eddy__runtime *rt);
void eddy__wait_room(lua_State *L, eddy__runtime *rt);

#endif
