/* SPDX-License-Identifier: MIT */
/*
 * line.c - the line in which tasks wait; see line.h.
 * Touch:  with care. Scripts can close the coroutine of a task that waits: then no cancel and no continuation of ours
 *         runs, so a link may be gone without a word, and a task in `told` may never come.
 */
#include "core/line.h"

#include "base/error.h"

void eddy__line_rejoin(eddy__line *line, eddy__task *task) {
  uintptr_t ticket = (uintptr_t)task->waiter.owner;
  eddy__list *after = line->tasks.next;
  while (after != &line->tasks && (uintptr_t)eddy__line_task(after)->waiter.owner < ticket)
    after = after->next;
  task->waits_for = line;
  eddy__list_push(after, &task->waiter.link);
  line->n++;
}

void eddy__line_cancel(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__line *line = task->waits_for;
  eddy__list_remove(&task->waiter.link);
  line->n--;
  eddy__cancel_wait(task);
}

size_t eddy__line_count(const eddy__list *list) {
  size_t n = 0;
  for (const eddy__list *l = list->next; l != list; l = l->next) n++;
  return n;
}

size_t eddy__line_length(eddy__line *line) {
  line->n = eddy__line_count(&line->tasks);
  return line->n;
}

void eddy__line_drop(eddy__line *line, eddy__list *told) {
  while (eddy__line_tell(line, NULL) != NULL) continue;
  while (told != NULL && !eddy__list_empty(told)) eddy__list_remove(told->next);
}

/* Whether the task behind the link will not come back to the function that has linked it. One that was told is ready
 * until it does.   [-0, +0, -] */
static bool is_lost(eddy__list *link, bool told) {
  eddy__task *task = eddy__line_task(link);
  return task->phase == EDDY_T_ENDED || (told && task->phase != EDDY_T_READY);
}

/* Unlinks those that are lost. */
static void forget(eddy__list *list, bool told) {
  for (eddy__list *l = list->next, *next; l != list; l = next) {
    next = l->next;
    if (is_lost(l, told)) eddy__list_remove(l);
  }
}

/* Whether the first in the list cannot be left there when the task joins. */
static bool is_odd(eddy__list *list, const eddy__task *task, bool told) {
  if (eddy__list_empty(list)) return false;
  return is_lost(list->next, told) ||
         eddy__line_task(list->next)->future.loop != task->future.loop;
}

/* [-0, +0, v] */
void eddy__line_check_tasks(lua_State *L, eddy__line *line, eddy__list *told, eddy__task *task, const char *name) {
  eddy__list nobody = {&nobody, &nobody};
  if (told == NULL) told = &nobody;
  if (!is_odd(&line->tasks, task, false) && !is_odd(told, task, true)) return;
  forget(&line->tasks, false);
  forget(told, true);
  if (is_odd(&line->tasks, task, false) || is_odd(told, task, true))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': tasks of another loop are waiting here", name);
}
