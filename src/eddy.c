/* SPDX-License-Identifier: MIT */
/*
 * eddy.c - luaopen_eddy: opens every room and builds the module table.
 * Uses:   every room's _room function.      Used by: require, embed.c.
 * Touch:  freely. It may run many times in one state: types and classes are made once, the table each time.
 */
#include "eddy.h"

#include <lauxlib.h>
#include <stdbool.h>

#include "base/carried.h"
#include "base/error.h"
#include "core/call_graph.h"
#include "core/callback.h"
#include "core/cancel.h"
#include "core/context.h"
#include "core/coroutine.h"
#include "core/generator.h"
#include "core/group.h"
#include "core/ledger.h"
#include "core/loop.h"
#include "core/nested.h"
#include "core/queue.h"
#include "core/report.h"
#include "core/repr.h"
#include "core/runner.h"
#include "core/select.h"
#include "core/sleep.h"
#include "core/stack.h"
#include "core/sync.h"
#include "core/task.h"
#include "core/timed.h"
#include "core/wait.h"
#include "io/io.h"
#include "io/stdio.h"
#include "threads/threads.h"

/* asyncio's names that eddy has under another name, and modules that are loaded when they are asked for. */
static const struct {
  const char *name, *instead;
} elsewhere[] = {
  {"ensure_future", "create_task(f), or the task itself"},
  {"get_event_loop", "get_running_loop()"},
  {"set_event_loop", "Runner(), which makes a loop of its own"},
  {"spawn", "create_task(f)"},
  {"nursery", "TaskGroup()"},
  {"open_nursery", "TaskGroup()"},
  {"fail_after", "timeout(seconds, f)"},
  {"create_subprocess", "create_subprocess_exec(prog, args)"},
  {"create_datagram_endpoint", "open_datagram{local_addr=, remote_addr=}"},
  {"add_signal_handler", "signals(name), or get_running_loop():add_signal_handler(name, f)"},
  {"add_reader", "get_running_loop():add_reader(fd, f)"},
};
static const char *const modules[] = {"testing", "busted"};

/* The standard streams. */
static const char *const streams[] = {"stdin", "stdout", "stderr"};

/* Functions that are written in Lua, and their modules. */
static const struct {
  const char *name, *module;
} in_lua[] = {{"sort", "yieldable"},
              {"gsub", "yieldable"},
              {"require", "yieldable"},
              {"exec", "process"},
              {"ProcessPool", "process_pool"}};

/* A field that the module lacks.   [-0, +1, v] */
static int l_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  lua_settop(L, 2);
  if (strlen(lua_tostring(L, 2)) == lua_rawlen(L, 2) && eddy__stdio_push(L, lua_tostring(L, 2))) {
    lua_pushvalue(L, -1);
    lua_setfield(L, 1, lua_tostring(L, 2));
    return 1;
  }
  for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
    lua_pushstring(L, modules[i]);
    if (!lua_rawequal(L, 2, -1)) continue;
    eddy__carried_require(L, modules[i]);
    lua_pushvalue(L, -1);
    lua_setfield(L, 1, modules[i]);
    return 1;
  }
  lua_settop(L, 2);
  for (size_t i = 0; i < sizeof in_lua / sizeof *in_lua; i++) {
    lua_pushstring(L, in_lua[i].name);
    if (lua_rawequal(L, 2, -1)) {
      eddy__carried_require(L, in_lua[i].module);
      lua_getfield(L, -1, in_lua[i].name);
      lua_pushvalue(L, -1);
      lua_setfield(L, 1, in_lua[i].name);
      return 1;
    }
    lua_pop(L, 1);
  }
  for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
    lua_pushstring(L, elsewhere[i].name);
    if (lua_rawequal(L, 2, -1))
      eddy__error_throw(L, EDDY_E_RUNTIME, "eddy has no '%s': use eddy.%s", elsewhere[i].name,
                        elsewhere[i].instead);
    lua_pop(L, 1);
  }
  return 0;
}

/* Pushes the set of what l_index loads when it is asked for: the prompt completes these names too.   [-0, +1, m] */
static void push_late_names(lua_State *L) {
  const char *names[16];
  size_t n = 0;
  for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) names[n++] = modules[i];
  for (size_t i = 0; i < sizeof in_lua / sizeof *in_lua; i++) names[n++] = in_lua[i].name;
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) names[n++] = streams[i];
  lua_createtable(L, 0, (int)n);
  for (size_t i = 0; i < n; i++) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, names[i]);
  }
}

/* Whether a __close handler of this Lua may wait: its scopes came in 5.4.0, that in 5.4.3.   [-0, +0, m] */
static bool close_may_wait(lua_State *L) {
  static const char probe[] =
    "local co = coroutine.wrap(function() local x <close> = setmetatable({}, {__close = coroutine.yield}) end)\n"
    "return pcall(co)";
  bool may = luaL_loadstring(L, probe) == LUA_OK && lua_pcall(L, 0, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  lua_pop(L, 1);
  return may;
}

/* Makes Lua make the metatable of luaL_Buffer's boxes: should memory fail it in the middle of that, all later ones
 * would be broken.   [-0, +0, m] */
static void make_box(lua_State *L) {
  luaL_Buffer b;
  luaL_buffinitsize(L, &b, LUAL_BUFFERSIZE + 1);
  luaL_pushresultsize(&b, 0);
  lua_pop(L, 1);
}

/* [-0, +1, v] */
EDDY_API int luaopen_eddy(lua_State *L) {
  luaL_checkversion(L);
  luaL_checkstack(L, 40, NULL);
  eddy__runtime *rt = eddy__runtime_open(L);
  if (!rt->is_checked && !close_may_wait(L)) return luaL_error(L, "eddy needs Lua 5.4.3 or newer");
  if (!rt->is_checked) make_box(L);
  rt->is_checked = true;
  eddy__carried_open(L);
  lua_newtable(L);
  eddy__error_open(L);
  eddy__loop_room(L, rt);
  eddy__callback_room(L, rt);
  eddy__future_room(L, rt);
  eddy__task_room(L, rt);
  eddy__context_room(L, rt);
  eddy__stack_room(L, rt);
  eddy__call_graph_room(L, rt);
  eddy__report_room(L, rt);
  eddy__coroutine_room(L, rt);
  eddy__sleep_room(L, rt);
  eddy__cancel_room(L, rt);
  eddy__await_room(L, rt);
  eddy__gather_room(L, rt);
  eddy__wait_room(L, rt);
  eddy__group_room(L, rt);
  eddy__sync_room(L, rt);
  eddy__barrier_room(L, rt);
  eddy__queue_room(L, rt);
  eddy__select_room(L, rt);
  eddy__nested_room(L, rt);
  eddy__generator_room(L, rt);
  eddy__runner_room(L, rt);
  eddy__timed_room(L, rt);
  eddy__repr_room(L, rt);
  eddy__ledger_room(L, rt);
  eddy__io_room(L, rt);
  eddy__threads_room(L, rt);
  lua_pushliteral(L, EDDY_VERSION);
  lua_setfield(L, -2, "_VERSION");
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, l_index);
  lua_setfield(L, -2, "__index");
  push_late_names(L);
  lua_setfield(L, -2, "__names");
  lua_setmetatable(L, -2);
  return 1;
}
