/* SPDX-License-Identifier: MIT */
/*
 * select.h - waits for the first of several things, and takes nothing from the others.
 * Owns:   the block of waiters on the selecting task's stack.
 * Uses:   task.h, cancel.h.      Used by: eddy.c; queue.c and io/ make their objects selectable.
 * Touch:  freely. Being told is only a hint: the task looks again at all of them when it runs.
 */
#ifndef EDDY_CORE_SELECT_H
#define EDDY_CORE_SELECT_H

#include "core/task.h"

/* What makes the objects of a type selectable. */
typedef struct eddy__selectable {
  bool (*is_ready)(lua_State *L, int idx); /*   [-0, +0, -] */
  /* Sees to it that something will happen, and returns the list of eddy__waiter that is told when it has.
   *   [-0, +0, v] */
  eddy__list *(*watch)(lua_State *L, int idx);
  const char *take; /* the method that takes from a ready one, at once; NULL: nothing is taken */
  /* Instead of is_ready and take, where another thread may be faster: takes what is there and pushes it. Returns how
   * many values, or -1 if there was nothing. NULL: it is not needed.   [-0, +n, v] */
  int (*try_take)(lua_State *L, int idx);
} eddy__selectable;

/* Makes the type whose metatable is at the top selectable; `s` is static.   [-0, +0, m] */
void eddy__selectable_set(lua_State *L, const eddy__selectable *s);

/* Tells all that watch. */
static inline void eddy__select_tell(eddy__list *watchers) {
  for (eddy__list *l = watchers->next, *next; l != watchers; l = next) {
    next = l->next;
    eddy__waiter *w = eddy__container_of(l, eddy__waiter, link);
    w->on_settled(w, NULL);
  }
}

void eddy__select_room(lua_State *L, eddy__runtime *rt);

#endif
