/* SPDX-License-Identifier: MIT */
/*
 * preempt.c - tasks that compute for long give way by themselves; see preempt.h.
 * Touch:  with care. A hook can yield, but has no continuation: when the task goes on, the next instruction runs. So
 *         nobody else may make it go on; should a script resume such a thread, on_resumed suspends it again, one
 *         instruction further.
 */
#include "core/preempt.h"

enum { INSTRUCTIONS = 1000, FEW = 100 }; /* between two looks at the time; FEW for times that are shorter than that */
static const double SHORT = 1e-5;

/* Where a task cannot be suspended: it runs in no task, or Lua's own coroutine.resume or a C function is in between, or
 * a finalizer, or a <close> handler that C runs.   [-0, +0, -] */
static bool is_in_the_way(lua_State *L, const eddy__runtime *rt) {
  return rt->current == NULL || rt->leaf != L || !lua_isyieldable(L);
}

static int instructions(const eddy__loop *loop) { return loop->preempt_after == 0 ? FEW : INSTRUCTIONS; }

/* Somebody has resumed a thread that had given way, and not its task: that would have taken this hook away first.
 *   [-0, +0, y] */
static void on_resumed(lua_State *L, lua_Debug *ar) {
  (void)ar;
  if (!lua_isyieldable(L)) return;
  eddy__runtime_find(L)->refused = L;
  lua_yield(L, 0);
}

/* [-0, +0, y] */
static void on_count(lua_State *L, lua_Debug *ar) {
  (void)ar;
  eddy__runtime *rt = eddy__runtime_find(L);
  eddy__loop *loop = rt->loop;
  if (loop == NULL || !loop->preempts) { /* the thread is used again, by a loop without */
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  if (is_in_the_way(L, rt) || uv_hrtime() - loop->step_began < loop->preempt_after) return;
  eddy__task *task = rt->current;
  task->preempted = true;
  task->at = L;
  task->phase = EDDY_T_READY;
  task->wake = EDDY_WAKE_NORMAL; /* a cancellation waits for the next wait */
  eddy__loop_ready(loop, &task->ready);
  lua_sethook(L, on_resumed, LUA_MASKCOUNT, 1);
  lua_yield(L, 0);
}

/* [-0, +0, -] */
bool eddy__preempt_holds(lua_State *co) { return lua_gethook(co) == on_resumed; }

/* [-0, +0, -] */
void eddy__preempt_go_on(eddy__task *task, lua_State *co) {
  if (task->preempted && task->at == co) {
    task->preempted = false;
    task->at = NULL;
    if (eddy__preempt_holds(co)) lua_sethook(co, NULL, 0, 0);
  }
  if (lua_gethook(co) == NULL) /* the script's own, if it has set one, goes before */
    lua_sethook(co, on_count, LUA_MASKCOUNT, instructions(task->future.loop));
}

/* [-0, +0, -] */
void eddy__preempt_begin(eddy__task *task, lua_State *co) {
  eddy__preempt_go_on(task, co);
  task->future.loop->step_began = uv_hrtime(); /* setting a hook takes long where calls are nested deep */
}

void eddy__preempt_set(eddy__loop *loop, double seconds) {
  loop->preempts = true;
  loop->preempt_after = seconds < SHORT ? 0 : eddy__clock_length(seconds);
}
