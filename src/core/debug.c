/* SPDX-License-Identifier: MIT */
/*
 * debug.c - what debug mode tells; see debug.h.
 * Touch:  freely.
 */
#include "core/debug.h"

#include <lauxlib.h>
#include <stdio.h>

#include "base/args.h"
#include "base/carried.h"

/* [-0, +0, m] */
void eddy__debug_made(lua_State *L, int idx) {
  lua_Debug ar;
  idx = lua_absindex(L, idx);
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (eddy__carried_frame(&ar)) continue;
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
    eddy__future_set_extra(L, idx, EDDY_EX_MADE_AT);
    return;
  }
}

static bool is_slow(const eddy__loop *loop, uint64_t start, double *seconds) {
  *seconds = (double)(uv_hrtime() - start) / 1e9;
  return *seconds >= loop->slow_callback;
}

typedef struct slow_step {
  eddy__task *task;
  double seconds;
} slow_step;

/* 1: a slow_step.   [-1, +0, m] */
static int tell_step(lua_State *L) {
  slow_step *s = lua_touserdata(L, 1);
  eddy__task *task = s->task;
  char took[64];
  snprintf(took, sizeof took, "%.3f", s->seconds);
  eddy__task_push(L, task);
  eddy__task_name(L, task, 2);
  eddy__task_place(L, task);
  lua_writestringerror("eddy: debug: task '%s'", lua_tostring(L, 3));
  if (!lua_isnil(L, 4)) lua_writestringerror(" at %s", lua_tostring(L, 4));
  lua_writestringerror(" has computed for %s s without waiting; meanwhile nothing else could run\n", took);
  return 0;
}

/* [-0, +0, -] */
void eddy__debug_step(eddy__task *task, uint64_t start) {
  slow_step s = {task, 0};
  eddy__loop *loop = task->future.loop;
  if (loop->gave_way || !is_slow(loop, start, &s.seconds)) return;
  if (eddy__runtime_pcall(loop->rt, tell_step, &s) != LUA_OK) lua_pop(loop->rt->L, 1);
}

/* [-0, +0, m] */
void eddy__debug_callback(lua_State *L, eddy__loop *loop, uint64_t start) {
  double seconds;
  char took[64];
  if (!is_slow(loop, start, &seconds) || !lua_isfunction(L, -1)) return;
  snprintf(took, sizeof took, "%.3f", seconds);
  lua_pushvalue(L, -1);
  const char *place = eddy__function_place(L);
  lua_pushfstring(L, "callback at %s took %s s; meanwhile nothing else could run", place, took);
  lua_writestringerror("eddy: debug: %s\n", lua_tostring(L, -1));
  lua_pop(L, 2);
}

/* [-0, +0, m] */
void eddy__debug_ended(lua_State *L, eddy__task *task) {
  if (task->cancelling == 0 || task->was_ended) return;
  eddy__task_name(L, task, 1);
  lua_writestringerror("eddy: debug: task '%s' was cancelled, but has caught that and ended normally (eddy.pcall lets"
                       " CancelledError through)\n",
                       lua_tostring(L, -1));
  lua_pop(L, 1);
}
