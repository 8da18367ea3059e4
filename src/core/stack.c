/* SPDX-License-Identifier: MIT */
/*
 * stack.c - where a task stands; see stack.h.
 * Touch:  freely. The coroutines inside a task are found by looking: the function on top of each is the one of ours
 *         that has resumed the next.
 */
#include "core/stack.h"

#include <lauxlib.h>

#include "base/args.h"
#include "base/carried.h"
#include "core/generator.h"
#include "core/nested.h"
#include "core/report.h"

enum { DEEP = 1000, SHOWN = 22 };

/* Pushes the coroutine that the function on top of co has resumed, or nothing.   [-0, +(0|1), m] */
static lua_State *push_inner(lua_State *L, lua_State *co) {
  lua_Debug ar;
  int top = lua_gettop(L);
  if (L == co || !lua_getstack(co, 0, &ar) || !lua_checkstack(co, 4)) return NULL;
  lua_getinfo(co, "f", &ar);
  lua_xmove(co, L, 1);
  bool ours = lua_getupvalue(L, -1, 1) != NULL && lua_touserdata(L, -1) == eddy__runtime_find(L);
  if (ours && lua_getupvalue(L, top + 1, 2) != NULL && lua_isthread(L, -1)) { /* what coroutine.wrap returned */
    lua_replace(L, top + 1);
  } else if (ours && lua_getlocal(co, &ar, 1) != NULL) { /* the first argument of resume, or of a generator's method */
    lua_xmove(co, L, 1);
    if (!lua_isthread(L, -1)) eddy__generator_push_thread(L, lua_gettop(L));
    lua_replace(L, top + 1);
  } else {
    lua_settop(L, top);
    return NULL;
  }
  lua_settop(L, top + 1);
  lua_State *inner = lua_tothread(L, -1);
  if (inner == NULL) lua_settop(L, top);
  return inner;
}

/* Pushes the list of the threads that the task is in, its own first, and returns how many these are.  [-0, +1, m] */
static lua_Integer push_threads(lua_State *L, eddy__task *task) {
  lua_Integer n = 0;
  luaL_checkstack(L, 12, NULL);
  lua_newtable(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->co_slot);
  for (lua_State *co = task->co; co != NULL;) {
    lua_rawseti(L, -2, ++n);
    co = push_inner(L, co);
  }
  return n;
}

static bool is_somewhere(const eddy__task *task) {
  return task->phase != EDDY_T_NEW && task->phase != EDDY_T_ENDED;
}

/* The i-th of the threads in the list at idx.   [-0, +0, -] */
static lua_State *thread_at(lua_State *L, int idx, lua_Integer i) {
  lua_rawgeti(L, idx, i);
  lua_State *co = lua_tothread(L, -1);
  lua_pop(L, 1);
  return co;
}

static void set_string(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

/* [-0, +1, m] */
static void push_frame(lua_State *L, const lua_Debug *ar) {
  lua_createtable(L, 0, 8);
  set_string(L, "source", ar->source);
  set_string(L, "short_src", ar->short_src);
  set_string(L, "what", ar->what);
  set_string(L, "name", ar->name);
  set_string(L, "namewhat", ar->namewhat);
  lua_pushinteger(L, ar->currentline);
  lua_setfield(L, -2, "currentline");
  lua_pushinteger(L, ar->linedefined);
  lua_setfield(L, -2, "linedefined");
}

/* [-0, +1, m] */
void eddy__stack_push_frames(lua_State *L, eddy__task *task, lua_Integer limit) {
  lua_Debug ar;
  lua_Integer n = 0;
  luaL_checkstack(L, 16, NULL);
  lua_newtable(L);
  if (!is_somewhere(task)) return;
  int frames = lua_gettop(L);
  for (lua_Integer i = push_threads(L, task); i > 0; i--) {
    lua_State *co = thread_at(L, frames + 1, i);
    for (int level = 0; n < limit && lua_getstack(co, level, &ar); level++) {
      lua_getinfo(co, "nSl", &ar);
      if (eddy__carried_frame(&ar)) continue;
      push_frame(L, &ar);
      lua_rawseti(L, frames, ++n);
    }
  }
  lua_settop(L, frames);
}

/* A line of a traceback, as luaL_traceback has it.   [-0, +0, m] */
static void add_line(luaL_Buffer *b, lua_State *L, const lua_Debug *ar) {
  if (ar->currentline > 0)
    lua_pushfstring(L, "\n\t%s:%d: in ", ar->short_src, ar->currentline);
  else
    lua_pushfstring(L, "\n\t%s: in ", ar->short_src);
  luaL_addvalue(b);
  if (*ar->namewhat != '\0')
    lua_pushfstring(L, "%s '%s'", ar->namewhat, ar->name);
  else if (*ar->what == 'C')
    lua_pushliteral(L, "?");
  else
    lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
  luaL_addvalue(b);
}

/* [-0, +1, m] */
void eddy__stack_traceback(lua_State *L, lua_State *co, int level) {
  lua_Debug ar;
  luaL_Buffer b;
  if (!lua_getstack(co, DEEP, &ar)) {
    luaL_traceback(L, co, NULL, level);
    return;
  }
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "stack traceback:");
  for (int i = 0; i < SHOWN && lua_getstack(co, level + i, &ar); i++) {
    lua_getinfo(co, "nSl", &ar);
    add_line(&b, L, &ar);
  }
  luaL_addstring(&b, "\n\t...\t(more than a thousand levels)");
  luaL_pushresult(&b);
}

/* [-0, +1, m] */
void eddy__stack_push_traceback(lua_State *L, eddy__task *task, int level) {
  int threads = lua_gettop(L) + 1;
  lua_Integer n = push_threads(L, task);
  eddy__stack_traceback(L, thread_at(L, threads, n), level);
  for (lua_Integer i = n - 1; i > 0; i--) {
    eddy__stack_traceback(L, thread_at(L, threads, i), 0);
    luaL_gsub(L, lua_tostring(L, -1), "stack traceback:", "");
    lua_remove(L, -2);
    lua_concat(L, 2);
  }
  lua_remove(L, threads);
}

/* [-0, +0, v] */
static eddy__task *check(lua_State *L) {
  eddy__task *task = eddy__object_test(L, 1, &eddy__type_task);
  if (task == NULL) eddy__arg_expected(L, 1, "Task");
  return task;
}

/* task:get_stack() -> list of debug.getinfo tables, innermost first   [-0, +1, v] */
static int l_get_stack(lua_State *L) {
  eddy__stack_push_frames(L, check(L), LUA_MAXINTEGER);
  return 1;
}

/* task:traceback() -> of its error with the chain of awaits; of where it is now, while it lives   [-0, +1, v] */
static int l_traceback(lua_State *L) {
  eddy__task *task = check(L);
  if (task->future.state == EDDY_F_FAILED)
    eddy__report_story(L, 1);
  else if (is_somewhere(task))
    eddy__stack_push_traceback(L, task, 0);
  else
    lua_pushliteral(L, "");
  return 1;
}

/* task:print_stack()   [-0, +0, v] */
static int l_print_stack(lua_State *L) {
  l_traceback(L);
  lua_writestringerror("%s\n", lua_tostring(L, -1));
  return 0;
}

/* [-0, +0, m] */
void eddy__stack_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {
    {"get_stack", l_get_stack}, {"print_stack", l_print_stack}, {"traceback", l_traceback}, {NULL, NULL}};
  eddy__object_meta(L, &eddy__type_task);
  lua_getfield(L, -1, "__index");
  eddy__runtime_functions(L, rt, methods);
  lua_pop(L, 2);
}
