/* SPDX-License-Identifier: MIT */
/*
 * moments.c - counts the moments of a run and acts at one of them; see moments.h.
 */
#include "moments.h"

#include "core/cancel.h"

moment_state moments;

int __real_lua_resume(lua_State *co, lua_State *from, int nargs, int *nresults);
int __wrap_lua_resume(lua_State *co, lua_State *from, int nargs, int *nresults);
size_t __real_eddy__timers_fire(eddy__timers *timers, uint64_t now);
size_t __wrap_eddy__timers_fire(eddy__timers *timers, uint64_t now);
int __real_uv_run(uv_loop_t *loop, uv_run_mode mode);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode);

/* Main is suspended: whatever comes next may cancel it. */
static void on_moment(void) {
  if (!moments.armed || moments.kind != MOMENT_CANCEL || moments.main == NULL) return;
  if (moments.main->phase == EDDY_T_RUNNING || moments.main->phase == EDDY_T_ENDED) return;
  moments.count++;
  if (moments.count != moments.n && moments.count != moments.n2) return;
  lua_State *L = eddy__runtime_thread(moments.rt);
  lua_checkstack(L, 20);
  if (eddy__cancel(L, &moments.main->future, 0, 0)) moments.asked++;
}

int __wrap_lua_resume(lua_State *co, lua_State *from, int nargs, int *nresults) {
  eddy__task *task = moments.armed && moments.rt != NULL ? moments.rt->current : NULL;
  if (task == NULL || task->co != co) return __real_lua_resume(co, from, nargs, nresults);
  if (moments.kind == MOMENT_EXIT && ++moments.count == moments.n) moments.on_exit();
  int rc = __real_lua_resume(co, from, nargs, nresults);
  if (rc != LUA_YIELD && moments.main != NULL && moments.main == task) moments.main = NULL;
  on_moment();
  return rc;
}

size_t __wrap_eddy__timers_fire(eddy__timers *timers, uint64_t now) {
  size_t fired = __real_eddy__timers_fire(timers, now);
  if (fired > 0) on_moment();
  if (moments.armed && moments.kind == MOMENT_COLLECT && ++moments.count >= moments.n && moments.n > 0)
    lua_gc(eddy__runtime_thread(moments.rt), LUA_GCCOLLECT);
  return fired;
}

int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode) {
  int rc = __real_uv_run(loop, mode);
  on_moment();
  return rc;
}

void moments_arm(void) {
  moments.count = 0;
  moments.asked = 0;
  moments.main = NULL;
  moments.armed = true;
}

void moments_disarm(void) {
  moments.armed = false;
  moments.main = NULL;
}
