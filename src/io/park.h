/* SPDX-License-Identifier: MIT */
/*
 * park.h - tasks that wait for the same thing: first come, first served.
 * Owns:   nothing: a task that waits in the list is linked by its own waiter.
 * Uses:   core/cancel.h.      Used by: stream.c, file.c, server.c.
 * Touch:  freely. A list is initialised with eddy__list_init and must not move while tasks wait in it.
 */
#ifndef EDDY_IO_PARK_H
#define EDDY_IO_PARK_H

#include "core/cancel.h"

/* Suspends the running task in the list; `return` its result.   [-0, +0, y] */
static inline int eddy__park(lua_State *L, eddy__task *task, eddy__list *list,
                             const eddy__wait *wait, lua_KFunction k) {
  eddy__list_push(list, &task->waiter.link);
  return eddy__suspend(L, task, wait, k);
}

/* The `cancel` of such a wait. */
static inline void eddy__park_cancel(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__list_remove(&task->waiter.link);
  eddy__cancel_wait(task);
}

/* Takes the first task off the list, or returns NULL. The caller wakes it. */
static inline eddy__task *eddy__park_first(eddy__list *list) {
  if (eddy__list_empty(list)) return NULL;
  eddy__list *first = list->next;
  eddy__list_remove(first);
  return eddy__container_of(first, eddy__task, waiter.link);
}

/* Wakes them all. */
static inline void eddy__park_wake_all(eddy__list *list) {
  for (eddy__task *t; (t = eddy__park_first(list)) != NULL;) eddy__task_wake(t, EDDY_WAKE_NORMAL);
}

#endif
