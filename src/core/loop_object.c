/* SPDX-License-Identifier: MIT */
/*
 * loop_object.c - the Loop as Lua sees it: its methods, get_running_loop, new_event_loop.
 * Uses:   loop.h, callback.h, task.h, runner.h, teardown.h.      Used by: eddy.c.
 * Touch:  freely.
 */
#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "core/callback.h"
#include "core/generator.h"
#include "core/loop.h"
#include "core/report.h"
#include "core/runner.h"
#include "core/task.h"
#include "core/teardown.h"
#include "core/wait.h"

/* [-0, +1, -] */
void eddy__loop_push(lua_State *L, eddy__loop *loop) {
  if (!eddy__object_push(L, loop)) lua_pushnil(L);
}

/* [-0, +0, v] */
eddy__loop *eddy__loop_running(lua_State *L, const char *name) {
  eddy__loop *loop = eddy__runtime_of(L)->loop;
  if (loop == NULL)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' needs a running loop; start one with eddy.run(f)",
                      name);
  return loop;
}

static eddy__loop *open_loop(const eddy__loop_object *o) {
  return o->loop != NULL && o->generation == o->loop->generation && o->loop->is_open ? o->loop
                                                                                     : NULL;
}

/* [-0, +0, v] */
eddy__loop *eddy__loop_check(lua_State *L, int arg) {
  eddy__loop *loop = open_loop(eddy__object_check(L, arg, &eddy__type_loop));
  if (loop == NULL) eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the loop is closed", eddy__arg_function(L));
  return loop;
}

/* --- time and callbacks ------------------------------------------------------------------------------ */

/* loop:time() -> seconds   [-0, +1, v] */
static int l_time(lua_State *L) {
  lua_pushnumber(L, eddy__clock_seconds(eddy__clock_now(&eddy__loop_check(L, 1)->clock)));
  return 1;
}

/* eddy.time() -> seconds, of the running loop's clock if there is one   [-0, +1, -] */
static int l_module_time(lua_State *L) {
  eddy__loop *loop = eddy__runtime_of(L)->loop;
  lua_pushnumber(L, eddy__clock_seconds(loop != NULL ? eddy__clock_now(&loop->clock) : uv_hrtime()));
  return 1;
}

/* loop:call_soon(f, ...) -> Handle   [-0, +1, v] */
static int l_call_soon(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  eddy__check_function(L, 2);
  eddy__callback_soon(eddy__callback_new(L, loop, 2));
  return 1;
}

/* loop:call_soon_threadsafe(f, ...) -> Handle: in the thread of the loop it is call_soon   [-0, +1, v] */
static int l_call_soon_threadsafe(lua_State *L) { return l_call_soon(L); }

/* eddy.run_coroutine_threadsafe(f_or_coro, loop) -> Task, on that loop   [-0, +1, v] */
static int l_run_coroutine_threadsafe(lua_State *L) {
  eddy__awaitable_check(L, 1);
  eddy__loop *loop = eddy__loop_check(L, 2);
  lua_settop(L, 1);
  eddy__task_ensure(L, loop, 1);
  return 1;
}

/* loop:call_later(seconds, f, ...) -> Handle   [-0, +1, v] */
static int l_call_later(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  lua_Number seconds = eddy__check_seconds(L, 2);
  eddy__check_function(L, 3);
  eddy__callback *cb = eddy__callback_new(L, loop, 3);
  eddy__callback_at(L, cb, eddy__clock_after(&loop->clock, seconds));
  return 1;
}

/* loop:call_at(time, f, ...) -> Handle   [-0, +1, v] */
static int l_call_at(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  lua_Number when = eddy__check_seconds(L, 2);
  eddy__check_function(L, 3);
  eddy__callback *cb = eddy__callback_new(L, loop, 3);
  eddy__callback_at(L, cb, eddy__clock_length(when));
  return 1;
}

/* loop:create_future() -> Future   [-0, +1, v] */
static int l_create_future(lua_State *L) {
  eddy__future_new(L, eddy__loop_check(L, 1));
  return 1;
}

/* loop:create_task(f_or_coro, ...) -> Task   [-0, +1, v] */
static int l_create_task(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  eddy__task_create(L, loop, 2);
  return 1;
}

/* --- running ----------------------------------------------------------------------------------------- */

/* [-0, +0, v] */
static eddy__loop *check_idle(lua_State *L, const char *name) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  eddy__runtime *rt = eddy__runtime_of(L);
  if (loop->is_running) eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': this loop is running already", name);
  if (rt->loop != NULL && !eddy__loop_replaceable(rt->loop))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s' cannot be called from a running loop", name);
  luaL_checkstack(L, 20, NULL);
  return loop;
}

/* loop:run_forever()   [-0, +0, v] */
static int l_run_forever(lua_State *L) {
  eddy__loop *loop = check_idle(L, "run_forever");
  lua_settop(L, 1);
  if (eddy__runner_drive(L, loop, 0, true) != 0) return lua_error(L);
  return 0;
}

/* loop:run_until_complete(aw) -> results   [-0, +n, v] */
static int l_run_until_complete(lua_State *L) {
  eddy__loop *loop = check_idle(L, "run_until_complete");
  eddy__awaitable_check(L, 2);
  lua_settop(L, 2);
  eddy__future *f = eddy__task_ensure(L, loop, 2);
  if (f->loop != loop || f->generation != loop->generation)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'run_until_complete': the future belongs to another loop");
  if (eddy__runner_drive(L, loop, 3, true) != 0) return lua_error(L);
  if (eddy__future_pending(f))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'run_until_complete': the loop was stopped before the future completed");
  return eddy__future_results(L, f, 3);
}

/* loop:stop()   [-0, +0, v] */
static int l_stop(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  loop->stop = true;
  return 0;
}

/* loop:close()   [-0, +0, v] */
static int l_close(lua_State *L) {
  eddy__loop *loop = open_loop(eddy__object_check(L, 1, &eddy__type_loop));
  if (loop == NULL) return 0;
  if (loop->is_running || loop->is_closing)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'close': a running loop cannot be closed");
  eddy__runtime *rt = eddy__runtime_of(L);
  if (rt->loop != NULL && !eddy__loop_replaceable(rt->loop))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'close' cannot be called from a running loop");
  luaL_checkstack(L, 20, NULL);
  eddy__teardown(L, loop);
  return 0;
}

/* loop:is_running()   [-0, +1, v] */
static int l_is_running(lua_State *L) {
  eddy__loop *loop = open_loop(eddy__object_check(L, 1, &eddy__type_loop));
  lua_pushboolean(L, loop != NULL && loop->is_running);
  return 1;
}

/* loop:is_closed()   [-0, +1, v] */
static int l_is_closed(lua_State *L) {
  lua_pushboolean(L, open_loop(eddy__object_check(L, 1, &eddy__type_loop)) == NULL);
  return 1;
}

/* loop:get_debug(), loop:set_debug(flag)   [-0, +(1|0), v] */
static int l_get_debug(lua_State *L) {
  lua_pushboolean(L, eddy__loop_check(L, 1)->is_debug);
  return 1;
}

static int l_set_debug(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  if (!lua_isboolean(L, 2)) return eddy__arg_expected(L, 2, "boolean");
  loop->is_debug = lua_toboolean(L, 2);
  return 0;
}

/* --- the exception handler --------------------------------------------------------------------------- */

/* loop:set_exception_handler(f | nil)   [-0, +0, v] */
static int l_set_exception_handler(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  if (!lua_isnoneornil(L, 2)) eddy__check_function(L, 2);
  lua_settop(L, 2);
  eddy__loop_push_table(L, loop);
  lua_insert(L, 2);
  lua_setfield(L, 2, "handler");
  return 0;
}

/* loop:get_exception_handler()   [-0, +1, v] */
static int l_get_exception_handler(lua_State *L) {
  eddy__loop_push_table(L, eddy__loop_check(L, 1));
  lua_getfield(L, -1, "handler");
  return 1;
}

/* loop:call_exception_handler(context)   [-0, +0, v] */
static int l_call_exception_handler(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  if (!lua_istable(L, 2)) return eddy__arg_expected(L, 2, "table");
  lua_settop(L, 2);
  eddy__report_context(L, loop);
  return 0;
}

/* loop:set_task_factory(f | nil): f(loop, function or Coroutine, ...) makes the tasks   [-0, +0, v] */
static int l_set_task_factory(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  if (!lua_isnoneornil(L, 2)) eddy__check_function(L, 2);
  lua_settop(L, 2);
  bool has = !lua_isnil(L, 2);
  eddy__loop_push_table(L, loop);
  lua_insert(L, 2);
  lua_setfield(L, 2, "factory");
  loop->has_factory = has;
  return 0;
}

/* loop:get_task_factory()   [-0, +1, v] */
static int l_get_task_factory(lua_State *L) {
  eddy__loop_push_table(L, eddy__loop_check(L, 1));
  lua_getfield(L, -1, "factory");
  return 1;
}

/* 1: the list of tasks that close generators; ctx of them were awaited.   [-0, +0, y] */
static int k_shutdown_asyncgens(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  for (lua_Integer i = (lua_Integer)ctx + 1; i <= (lua_Integer)lua_rawlen(L, 1); i++) {
    lua_settop(L, 1);
    eddy__await_push(L);
    lua_rawgeti(L, 1, i);
    lua_callk(L, 1, 0, (lua_KContext)i, k_shutdown_asyncgens);
  }
  return 0;
}

/* loop:shutdown_asyncgens(): closes the generators that were left open, and waits for that   [-0, +0, y] */
static int l_shutdown_asyncgens(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  eddy__task *task = eddy__running(L, "shutdown_asyncgens");
  if (task->future.loop != loop) eddy__error_throw(L, EDDY_E_RUNTIME, "the loop is not the running one");
  if (!eddy__generators_close(L, loop)) return 0;
  lua_replace(L, 1);
  return k_shutdown_asyncgens(L, LUA_OK, 0);
}

/* --- the rest ---------------------------------------------------------------------------------------- */

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__loop *loop = open_loop(eddy__object_check(L, 1, &eddy__type_loop));
  if (loop == NULL) {
    lua_pushliteral(L, "<Loop closed>");
    return 1;
  }
  lua_settop(L, 1);
  lua_pushliteral(L, "");
  eddy__loop_push_table(L, loop);
  if (lua_getfield(L, -1, "name") == LUA_TSTRING) {
    lua_pushfstring(L, "'%s' ", lua_tostring(L, -1));
    lua_replace(L, 2);
  }
  lua_pushfstring(L, "<Loop %s%s%s%s>", lua_tostring(L, 2), loop->is_running ? "running" : "idle",
                  loop->clock.is_virtual ? ", virtual clock" : "",
                  loop->is_debug ? ", debug" : "");
  return 1;
}

/* A loop that its maker has forgotten: nothing can run in it any more.   [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__loop *loop = open_loop(eddy__object_check(L, 1, &eddy__type_loop));
  if (loop == NULL || loop->is_running) return 0;
  if (loop->ntasks > 0) lua_warning(L, "ResourceWarning: a loop with tasks was never closed", 0);
  eddy__loop_close(loop);
  return 0;
}

/* eddy.get_running_loop() -> Loop   [-0, +1, v] */
static int l_get_running_loop(lua_State *L) {
  eddy__loop_push(L, eddy__loop_running(L, "get_running_loop"));
  return 1;
}

/* eddy.all_tasks([loop]) -> the tasks that have not ended, in order of creation   [-0, +1, v] */
static int l_all_tasks(lua_State *L) {
  eddy__loop *loop =
    lua_isnoneornil(L, 1) ? eddy__loop_running(L, "all_tasks") : eddy__loop_check(L, 1);
  lua_createtable(L, (int)loop->ntasks, 0);
  lua_Integer n = 0;
  for (eddy__list *l = loop->tasks.next; l != &loop->tasks; l = l->next) {
    eddy__task_push(L, eddy__container_of(l, eddy__task, live));
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* eddy._handles([loop]) -> texts of what is open to the world outside   [-0, +1, v] */
static int l_handles(lua_State *L) {
  eddy__loop *loop =
    lua_isnoneornil(L, 1) ? eddy__loop_running(L, "_handles") : eddy__loop_check(L, 1);
  lua_newtable(L);
  lua_Integer n = 0;
  for (eddy__list *l = loop->handles.next; l != &loop->handles; l = l->next) {
    eddy__keeper *keeper = eddy__container_of(l, eddy__keeper, link);
    char text[400];
    if (keeper->describe == NULL) continue; /* eddy's own */
    keeper->describe(keeper, text, sizeof text);
    lua_pushstring(L, text);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* [-0, +0, m] */
void eddy__loop_methods(lua_State *L, eddy__runtime *rt, const luaL_Reg *methods) {
  eddy__object_meta(L, &eddy__type_loop);
  lua_getfield(L, -1, "__index");
  eddy__runtime_functions(L, rt, methods);
  lua_pop(L, 2);
}

/* [-0, +0, m] */
void eddy__loop_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"time", l_time},
                                     {"call_soon", l_call_soon},
                                     {"call_soon_threadsafe", l_call_soon_threadsafe},
                                     {"call_later", l_call_later},
                                     {"call_at", l_call_at},
                                     {"create_future", l_create_future},
                                     {"create_task", l_create_task},
                                     {"run_forever", l_run_forever},
                                     {"run_until_complete", l_run_until_complete},
                                     {"stop", l_stop},
                                     {"close", l_close},
                                     {"is_running", l_is_running},
                                     {"is_closed", l_is_closed},
                                     {"get_debug", l_get_debug},
                                     {"set_debug", l_set_debug},
                                     {"set_exception_handler", l_set_exception_handler},
                                     {"get_exception_handler", l_get_exception_handler},
                                     {"call_exception_handler", l_call_exception_handler},
                                     {"set_task_factory", l_set_task_factory},
                                     {"get_task_factory", l_get_task_factory},
                                     {"shutdown_asyncgens", l_shutdown_asyncgens},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__tostring", l_tostring}, {"__gc", l_gc}, {"__close", l_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"time", l_module_time},
                                       {"get_running_loop", l_get_running_loop},
                                       {"run_coroutine_threadsafe", l_run_coroutine_threadsafe},
                                       {"all_tasks", l_all_tasks},
                                       {"_handles", l_handles},
                                       {NULL, NULL}};
  eddy__object_type(L, &eddy__type_loop, NULL, methods, meta, lua_gettop(L) - 1);
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
