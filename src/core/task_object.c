/* SPDX-License-Identifier: MIT */
/*
 * task_object.c - tasks as Lua sees them: create_task, names, texts, the methods that are not a Future's.
 * Uses:   task.h, coroutine.h, report.h.      Used by: eddy.c.
 * Touch:  freely. Where a task stands is in stack.c, its cancellation in cancel.c.
 */
#include <lauxlib.h>

#include "base/args.h"
#include "base/carried.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/coroutine.h"
#include "core/task.h"
#include "core/wait.h"

const eddy__type eddy__type_task = {"Task"};

/* --- names and places -------------------------------------------------------------------------------- */

/* [-0, +1, m] */
void eddy__task_name(lua_State *L, eddy__task *task, int idx) {
  eddy__future_extra(L, idx, EDDY_EX_NAME);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_pushfstring(L, "Task-%I", (LUAI_UACINT)task->id);
}

/* [-0, +1, m] */
void eddy__task_place(lua_State *L, eddy__task *task) {
  lua_Debug ar;
  if (task->phase != EDDY_T_NEW && task->phase != EDDY_T_ENDED) {
    lua_State *at = task->phase == EDDY_T_RUNNING ? task->future.loop->rt->leaf : task->at;
    for (int level = 0; at != NULL && lua_getstack(at, level, &ar); level++) {
      lua_getinfo(at, "Sl", &ar);
      if (eddy__carried_frame(&ar)) continue;
      lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushnil(L);
}

/* --- what Lua calls ---------------------------------------------------------------------------------- */

/* Lets the loop's task factory make the task: factory(loop, f, ...).   [-n, +1, v] */
static eddy__task *ask_factory(lua_State *L, eddy__loop *loop, int idx) {
  int n = lua_gettop(L) - idx + 1;
  luaL_checkstack(L, 4, NULL);
  eddy__loop_push_table(L, loop);
  lua_getfield(L, -1, "factory");
  lua_insert(L, idx);
  lua_pop(L, 1);
  eddy__loop_push(L, loop);
  lua_insert(L, idx + 1);
  loop->has_factory = false; /* what it calls makes tasks the usual way */
  int rc = lua_pcall(L, n + 1, 1, 0);
  eddy__loop_push_table(L, loop);
  loop->has_factory = lua_getfield(L, -1, "factory") != LUA_TNIL; /* it may have taken itself away */
  lua_pop(L, 2);
  if (rc != LUA_OK) lua_error(L);
  eddy__task *task = eddy__object_test(L, idx, &eddy__type_task);
  if (task == NULL || eddy__future_loop(&task->future) != loop)
    eddy__error_throw(L, EDDY_E_RUNTIME, "the task factory must return a Task of its loop");
  return task;
}

/* What is at idx is no function. Returns the task made of it, or NULL if it is an object that can be called.
 *   [-n, +1, v] or [-0, +0, v] */
static eddy__task *create_of(lua_State *L, eddy__loop *loop, int idx) {
  if (eddy__future_test(L, idx) != NULL)
    eddy__arg_error(L, idx, "function or Coroutine expected, got a Task or Future, which runs already");
  if (eddy__object_test(L, idx, &eddy__type_coroutine) != NULL) {
    eddy__coroutine_check(L, idx);
  } else if (!eddy__awaitable(L, idx)) {
    if (luaL_getmetafield(L, idx, "__call") != LUA_TFUNCTION) eddy__awaitable_check(L, idx);
    lua_pop(L, 1);
    return NULL;
  }
  lua_settop(L, idx);
  eddy__task_ensure(L, loop, idx);
  lua_replace(L, idx);
  return lua_touserdata(L, idx);
}

/* [-n, +1, v] */
eddy__task *eddy__task_create(lua_State *L, eddy__loop *loop, int idx) {
  if (loop->has_factory) return ask_factory(L, loop, idx);
  if (!lua_isfunction(L, idx)) {
    eddy__task *task = create_of(L, loop, idx);
    if (task != NULL) return task;
  }
  if (!loop->is_open || loop->is_closing)
    eddy__error_throw(L, EDDY_E_RUNTIME, "the loop is closed");
  eddy__coroutine_unwrap(L, idx);
  return eddy__task_spawn(L, loop, lua_gettop(L) - idx);
}

/* eddy.create_task(f_or_coro, ...) -> Task   [-0, +1, v] */
static int l_create_task(lua_State *L) {
  eddy__loop *loop = eddy__loop_running(L, "create_task");
  if (lua_isnone(L, 1)) eddy__awaitable_check(L, 1);
  eddy__task_create(L, loop, 1);
  return 1;
}

/* eddy.current_task() -> Task, or nil outside one   [-0, +1, -] */
static int l_current_task(lua_State *L) {
  eddy__task *task = eddy__runtime_of(L)->current;
  if (task == NULL) return 0;
  eddy__task_push(L, task);
  return 1;
}

/* [-0, +0, v] */
static eddy__task *check(lua_State *L, int arg) {
  eddy__task *task = eddy__object_test(L, arg, &eddy__type_task);
  if (task == NULL) eddy__arg_expected(L, arg, "Task");
  return task;
}

/* task:get_name(), task:set_name(s) -> task   [-0, +1, v] */
static int l_get_name(lua_State *L) {
  eddy__task_name(L, check(L, 1), 1);
  return 1;
}

static int l_set_name(lua_State *L) {
  check(L, 1);
  if (lua_type(L, 2) != LUA_TSTRING) return eddy__arg_expected(L, 2, "string");
  lua_settop(L, 2);
  eddy__future_set_extra(L, 1, EDDY_EX_NAME);
  return 1;
}

/* task:cancelling() -> how many requests   [-0, +1, v] */
static int l_cancelling(lua_State *L) {
  lua_pushinteger(L, check(L, 1)->cancelling);
  return 1;
}

/* task:uncancel() -> how many are left   [-0, +1, v] */
static int l_uncancel(lua_State *L) {
  lua_pushinteger(L, eddy__uncancel(check(L, 1)));
  return 1;
}

/* task:get_coro() -> the Coroutine or function that it runs; nil when that was not kept   [-0, +1, v] */
static int l_get_coro(lua_State *L) {
  check(L, 1);
  eddy__future_extra(L, 1, EDDY_EX_BODY);
  return 1;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__task *task = check(L, 1);
  eddy__task_name(L, task, 1);
  const char *name = lua_tostring(L, -1);
  const eddy__wait *wait = task->wait; /* a place may collect garbage, but no task runs meanwhile */
  if (task->future.state == EDDY_F_FAILED) {
    lua_getiuservalue(L, 1, EDDY_UV_VALUE);
    lua_pushfstring(L, "<Task '%s' failed: %s>", name, eddy__error_text(L, -1));
  } else if (task->future.state != EDDY_F_PENDING) {
    lua_pushfstring(L, "<Task '%s' %s>", name,
                    task->future.state == EDDY_F_DONE ? "finished" : "cancelled");
  } else if (task->phase == EDDY_T_RUNNING) {
    lua_pushfstring(L, "<Task '%s' running>", name);
  } else {
    eddy__task_place(L, task);
    const char *place = lua_tostring(L, -1);
    if (wait != NULL)
      lua_pushfstring(L, "<Task '%s' pending, waiting in %s%s%s>", name, wait->name,
                      place != NULL ? " at " : "", place != NULL ? place : "");
    else
      lua_pushfstring(L, "<Task '%s' pending%s%s>", name, place != NULL ? " at " : "",
                      place != NULL ? place : "");
  }
  return 1;
}

/* [-0, +0, m] */
void eddy__task_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"get_name", l_get_name},
                                     {"set_name", l_set_name},
                                     {"cancelling", l_cancelling},
                                     {"uncancel", l_uncancel},
                                     {"get_coro", l_get_coro},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"create_task", l_create_task}, {"current_task", l_current_task}, {NULL, NULL}};
  eddy__object_type(L, &eddy__type_task, &eddy__type_future, methods, meta, lua_gettop(L) - 1);
  if (rt->task_meta == 0)
    rt->task_meta = luaL_ref(L, LUA_REGISTRYINDEX);
  else
    lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
