/* SPDX-License-Identifier: MIT */
/*
 * sleep.c - eddy.sleep: the simplest wait, and the pattern for all others.
 * Uses:   task.h, cancel.h, timer.h.      Used by: eddy.c.
 * Touch:  freely.
 */
#include "core/sleep.h"

#include "base/args.h"
#include "core/cancel.h"
#include "core/coroutine.h"

static void cancel_sleep(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__task_deadline_off(task);
  eddy__cancel_wait(task);
}

static const eddy__wait wait_sleep = {"sleep", cancel_sleep, true};

/* In the task again: all but the delay are the results. */
static int k_sleep(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  eddy__wake_check(L, task);
  return task->top - 1;
}

/* eddy.sleep(delay, ...) -> ...   [-0, +n, y] */
static int l_sleep(lua_State *L) {
  lua_Number delay = eddy__check_seconds(L, 1);
  eddy__task *task = eddy__running_plainly(L);
  if (task == NULL && delay <= 0 && eddy__coroutine_stepping(L, eddy__runtime_of(L)))
    return lua_yield(L, 0); /* stepped by hand: coro:send has the next turn */
  if (task == NULL) task = eddy__running_slowly(L, "sleep");
  eddy__loop *loop = task->future.loop;
  if (delay > 0) {
    eddy__task_deadline(L, task, eddy__clock_after(&loop->clock, delay));
    return eddy__suspend(L, task, &wait_sleep, k_sleep);
  }
  return eddy__give_way_linked(L, task, true, k_sleep);
}

/* [-0, +0, m] */
void eddy__sleep_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"sleep", l_sleep}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
