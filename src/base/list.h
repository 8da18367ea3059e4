/* SPDX-License-Identifier: MIT */
/*
 * list.h - an intrusive doubly linked list: a link inside the element, no memory of its own.
 * Owns:   nothing; who embeds a link unlinks it before the memory goes.
 * Uses:   nothing.      Used by: every room.
 * Touch:  freely. An unlinked link points to itself, so removing twice does no harm.
 */
#ifndef EDDY_BASE_LIST_H
#define EDDY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct eddy__list {
  struct eddy__list *prev, *next;
} eddy__list;

/* The struct of `type` whose member `field` is at `ptr`. */
#define eddy__container_of(ptr, type, field) ((type *)((char *)(ptr) - offsetof(type, field)))

static inline void eddy__list_init(eddy__list *l) { l->prev = l->next = l; }

static inline bool eddy__list_empty(const eddy__list *l) { return l->next == l; }

static inline void eddy__list_push(eddy__list *list, eddy__list *link) {
  link->prev = list->prev;
  link->next = list;
  list->prev->next = link;
  list->prev = link;
}

static inline void eddy__list_remove(eddy__list *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  eddy__list_init(link);
}

/* Takes all of them out. */
static inline void eddy__list_clear(eddy__list *list) {
  while (!eddy__list_empty(list)) eddy__list_remove(list->next);
}

#endif
