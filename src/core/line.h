/* SPDX-License-Identifier: MIT */
/*
 * line.h - the line in which tasks wait for a lock, an item, an event: first come, first told.
 * Owns:   eddy__line, embedded in the object that is waited for. A task stands in it by its own waiter, so waiting
 *         takes no memory; the frame of the suspended function keeps the object alive meanwhile.
 * Uses:   task.h, cancel.h.      Used by: sync.c, barrier.c, queue.c, threads/pool.c.
 * Touch:  with care. Being told is not yet having: a task that was told may be cancelled before it runs, and must then
 *         pass on what it was told of. `told` lists those, until they have run.
 */
#ifndef EDDY_CORE_LINE_H
#define EDDY_CORE_LINE_H

#include "core/cancel.h"

typedef struct eddy__line {
  eddy__list tasks;  /* asleep, by their waiter.link: first come, first told */
  size_t n;          /* at most so many: one whose coroutine a script has closed may leave without a word */
  uintptr_t tickets; /* how many ever came; each task has its own in waiter.owner */
} eddy__line;

static inline void eddy__line_init(eddy__line *line) { eddy__list_init(&line->tasks); }

/* The task behind a link of a line or of `told`. */
static inline eddy__task *eddy__line_task(eddy__list *link) {
  return eddy__container_of(link, eddy__task, waiter.link);
}

/* Puts the task at the end of the line; eddy__suspend follows, with a wait whose cancel is eddy__line_cancel. */
static inline void eddy__line_join(eddy__line *line, eddy__task *task) {
  eddy__list_remove(&task->waiter.link); /* from where a coroutine stood that a script has closed */
  task->waiter.owner = (void *)++line->tickets;
  task->waits_for = line;
  eddy__list_push(&line->tasks, &task->waiter.link);
  line->n++;
}

/* How many stand there, or in `told`; both count. */
size_t eddy__line_length(eddy__line *line);
size_t eddy__line_count(const eddy__list *told);

/* Puts a task that was told in vain back in the place that it had. */
void eddy__line_rejoin(eddy__line *line, eddy__task *task);

/* Takes the first task out of the line, moves it to `told` unless that is NULL, and wakes it. Returns the task, or NULL
 * if nobody stood there. */
static inline eddy__task *eddy__line_tell(eddy__line *line, eddy__list *told) {
  while (!eddy__list_empty(&line->tasks)) {
    eddy__task *task = eddy__line_task(line->tasks.next);
    eddy__list_remove(&task->waiter.link);
    line->n--;
    if (!eddy__task_wake(task, EDDY_WAKE_NORMAL)) continue; /* its loop was closed: it never runs again */
    if (lua_status(task->at) != LUA_YIELD) continue;        /* a script has closed it: it is about to end */
    if (told != NULL) eddy__list_push(told, &task->waiter.link);
    return task;
  }
  return NULL;
}

/* Whether a task that runs again was told, and did not leave the line by a cancellation. It may have been cancelled
 * afterwards (eddy__wake_cancelled). */
static inline bool eddy__line_was_told(const eddy__task *task) {
  return task->wake == EDDY_WAKE_NORMAL;
}

/* The cancel of an eddy__wait: leaves the line. */
void eddy__line_cancel(eddy__task *task, eddy__cancelling *request);

/* Before a task joins: forgets who will never come here again, in the line and in `told` (or NULL), as its loop or its
 * coroutine was closed, and raises RuntimeError if tasks of another loop stand there.   [-0, +0, v] */
void eddy__line_check_tasks(lua_State *L, eddy__line *line, eddy__list *told, eddy__task *task, const char *name);

static inline void eddy__line_check(lua_State *L, eddy__line *line, eddy__list *told, eddy__task *task,
                                    const char *name) {
  if (eddy__list_empty(&line->tasks) && (told == NULL || eddy__list_empty(told))) return;
  eddy__line_check_tasks(L, line, told, task, name);
}

/* The object is collected, so whoever stands there has lost the frame that kept it: they find out when they run. */
void eddy__line_drop(eddy__line *line, eddy__list *told);

#endif
