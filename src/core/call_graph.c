/* SPDX-License-Identifier: MIT */
/*
 * call_graph.c - who awaits whom, and where; see call_graph.h.
 * Touch:  freely. A waiter in a future's list belongs to a task, or to the block of a gather, wait, select or
 *         as_completed; of a block only the address is known, and the task that waits for it has the same.
 */
#include "core/call_graph.h"

#include <lauxlib.h>

#include "base/args.h"
#include "base/error.h"
#include "core/group.h"
#include "core/stack.h"

/* On the stack of a capture: the table of nodes by future, the list of futures whose waiters are still to be looked at,
 * and the tasks that wait, by their address and by that of what they wait for. */
enum { START = 1, OPTIONS, NODES, TODO, WAITING };

/* A waiter's owner is a task, or a block. What a task waits for may be another task: such an address is that one's.
 *   [-0, +0, m] */
static void fill_waiting(lua_State *L, eddy__loop *loop) {
  for (int pass = 1; pass <= 2; pass++) {
    for (eddy__list *l = loop->tasks.next; l != &loop->tasks; l = l->next) {
      eddy__task *task = eddy__container_of(l, eddy__task, live);
      const void *key = pass == 1 ? task->waits_for : task;
      if (key == NULL || task->phase == EDDY_T_NEW || task->phase == EDDY_T_RUNNING) continue;
      eddy__task_push(L, task);
      lua_rawsetp(L, WAITING, key);
    }
  }
}

/* Pops a future and pushes its node, made if it has none: { future=, call_stack=, awaited_by= }.   [-1, +1, m] */
static void push_node(lua_State *L, lua_Integer limit) {
  int future = lua_gettop(L);
  eddy__future *f = lua_touserdata(L, future);
  lua_pushvalue(L, future);
  if (lua_rawget(L, NODES) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, future);
    lua_setfield(L, -2, "future");
    if (f->is_task)
      eddy__stack_push_frames(L, (eddy__task *)f, limit);
    else
      lua_newtable(L);
    lua_setfield(L, -2, "call_stack");
    lua_newtable(L);
    lua_setfield(L, -2, "awaited_by");
    lua_pushvalue(L, future);
    lua_pushvalue(L, -2);
    lua_rawset(L, NODES);
    lua_pushvalue(L, future);
    lua_rawseti(L, TODO, (lua_Integer)lua_rawlen(L, TODO) + 1);
  }
  lua_remove(L, future);
}

/* Pops a task that awaits the future of the node at `node`, whose list of those is at node + 1, and the set of those
 * that are in the list at node + 2.   [-1, +0, m] */
static void add_awaiter(lua_State *L, int node, lua_Integer limit) {
  lua_pushvalue(L, -1);
  bool is_new = lua_rawget(L, node + 2) == LUA_TNIL; /* a gather may have the same future twice */
  lua_pop(L, 1);
  if (!is_new) {
    lua_pop(L, 1);
    return;
  }
  lua_pushvalue(L, -1);
  lua_pushboolean(L, 1);
  lua_rawset(L, node + 2);
  push_node(L, limit);
  lua_rawseti(L, node + 1, (lua_Integer)lua_rawlen(L, node + 1) + 1);
}

/* Pushes a list of the tasks that await the future, some more than once, and returns how many there are. Nothing here
 * collects garbage, so no finalizer settles the future meanwhile.   [-0, +1, m] */
static lua_Integer push_awaiters(lua_State *L, eddy__future *f) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (eddy__list *l = f->waiters.next; l != &f->waiters; l = l->next) {
    lua_rawgetp(L, WAITING, eddy__container_of(l, eddy__waiter, link)->owner);
    if (lua_isnil(L, -1))
      lua_pop(L, 1); /* a callback, or an as_completed that nobody asks just now */
    else
      lua_rawseti(L, -2, ++n);
  }
  eddy__task *parent = f->is_task ? eddy__group_parent((eddy__task *)f) : NULL;
  if (parent != NULL) {
    eddy__task_push(L, parent);
    lua_rawseti(L, -2, ++n);
  }
  return n;
}

/* Fills the node of the future at the top with those who await it.   [-1, +0, m] */
static void add_awaiters(lua_State *L, lua_Integer limit) {
  eddy__future *f = lua_touserdata(L, -1);
  lua_rawget(L, NODES);
  int node = lua_gettop(L);
  lua_getfield(L, node, "awaited_by");
  lua_newtable(L);
  lua_Integer n = push_awaiters(L, f);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, node + 3, i);
    add_awaiter(L, node, limit);
  }
  lua_settop(L, node - 1);
}

/* Captures for the function `name`, which has the arguments of capture_call_graph. Pushes the node; or nil, in a
 * callback of the loop that names no future.   [-n, +1, v] */
static void capture(lua_State *L, const char *name) {
  static const char *const options[] = {"limit", NULL};
  eddy__runtime *rt = eddy__runtime_of(L);
  eddy__check_options(L, OPTIONS, options);
  lua_Integer limit = eddy__option_integer(L, OPTIONS, "limit", 0, LUA_MAXINTEGER, LUA_MAXINTEGER);
  luaL_checkstack(L, 24, NULL);
  lua_settop(L, OPTIONS);
  if (lua_isnil(L, START)) {
    eddy__loop_running(L, name);
    if (rt->current == NULL) {
      lua_settop(L, 0);
      lua_pushnil(L);
      return;
    }
    eddy__task_push(L, rt->current);
    lua_replace(L, START);
  }
  eddy__future *f = eddy__future_check(L, START);
  for (int i = NODES; i <= WAITING; i++) lua_newtable(L);
  eddy__loop *loop = eddy__future_loop(f);
  if (loop != NULL) fill_waiting(L, loop);
  lua_pushvalue(L, START);
  push_node(L, limit);
  for (lua_Integer i = 1; lua_rawgeti(L, TODO, i) != LUA_TNIL; i++) add_awaiters(L, limit);
  lua_pop(L, 1);
  lua_replace(L, START);
  lua_settop(L, START);
}

/* eddy.capture_call_graph([future] [, { limit= }]) -> node, or nil   [-0, +1, v] */
static int l_capture(lua_State *L) {
  capture(L, "capture_call_graph");
  return 1;
}

/* --- as text ----------------------------------------------------------------------------------------- */

enum { GRAPH = 1, LINES, SHOWN }; /* on the stack while a text is made: SHOWN: which nodes are in it */
enum { DEEPEST = 50 };            /* awaits, one inside the other, that are shown */

/* Pops a text and makes it a line, behind the blanks of the depth.   [-1, +0, m] */
static void add_line(lua_State *L, int depth) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 0; i < depth; i++) luaL_addstring(&b, "    ");
  luaL_pushresult(&b);
  lua_insert(L, -2);
  lua_concat(L, 2);
  lua_rawseti(L, LINES, (lua_Integer)lua_rawlen(L, LINES) + 1);
}

/* Pushes the field of the table at idx, a string or nil.   [-0, +1, m] */
static const char *field(lua_State *L, int idx, const char *name) {
  lua_getfield(L, idx, name);
  return lua_tostring(L, -1);
}

/* Pops a frame and adds its line.   [-1, +0, m] */
static void add_frame(lua_State *L, int depth) {
  int frame = lua_gettop(L);
  const char *source = field(L, frame, "short_src"), *what = field(L, frame, "what"), *name = field(L, frame, "name"),
             *namewhat = field(L, frame, "namewhat");
  lua_getfield(L, frame, "currentline");
  lua_getfield(L, frame, "linedefined");
  lua_Integer line = lua_tointeger(L, -2), defined = lua_tointeger(L, -1);
  lua_pushfstring(L, "  |   %s:%I: in ", source, (LUAI_UACINT)line);
  if (*what == 'm')
    lua_pushliteral(L, "main chunk");
  else if (name != NULL)
    lua_pushfstring(L, "%s '%s'", namewhat, name);
  else
    lua_pushfstring(L, "function <%s:%I>", source, (LUAI_UACINT)defined);
  lua_concat(L, 2);
  lua_replace(L, frame);
  lua_settop(L, frame);
  add_line(L, depth);
}

/* Adds "* <Task ...>" and the call stack of the node at the top. Returns whether the node was in the text before.
 *   [-0, +0, m] */
static bool add_head(lua_State *L, int depth) {
  int node = lua_gettop(L);
  lua_pushvalue(L, node);
  bool again = lua_rawget(L, SHOWN) != LUA_TNIL;
  lua_pushvalue(L, node);
  lua_pushboolean(L, 1);
  lua_rawset(L, SHOWN);
  lua_getfield(L, node, "future");
  lua_pushfstring(L, "* %s%s", luaL_tolstring(L, -1, NULL), again ? ", as above" : "");
  add_line(L, depth);
  lua_settop(L, node);
  lua_getfield(L, node, "call_stack");
  lua_Integer n = again ? 0 : (lua_Integer)lua_rawlen(L, -1);
  if (n > 0) {
    lua_pushliteral(L, "  + call stack:");
    add_line(L, depth);
  }
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, node + 1, i);
    add_frame(L, depth);
  }
  lua_settop(L, node);
  return again;
}

/* Pops a node and adds its lines, and those of who awaits it.   [-1, +0, m] */
static void add_node(lua_State *L, int depth) {
  int node = lua_gettop(L);
  luaL_checkstack(L, 16, NULL);
  bool again = add_head(L, depth);
  lua_getfield(L, node, "awaited_by");
  lua_Integer n = again ? 0 : (lua_Integer)lua_rawlen(L, -1);
  if (n > 0) {
    lua_pushliteral(L, "  + awaited by:");
    add_line(L, depth);
  }
  if (n > 0 && depth == DEEPEST) {
    lua_pushliteral(L, "...");
    add_line(L, depth + 1);
    n = 0;
  }
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, node + 1, i);
    add_node(L, depth + 1);
  }
  lua_settop(L, node - 1);
}

/* Turns the node at 1, all that is on the stack, into its text; nil into "".   [-1, +1, m] */
static void format(lua_State *L) {
  luaL_Buffer b;
  lua_newtable(L);
  lua_newtable(L);
  if (!lua_isnil(L, GRAPH)) {
    lua_pushvalue(L, GRAPH);
    add_node(L, 0);
  }
  lua_Integer n = (lua_Integer)lua_rawlen(L, LINES);
  luaL_buffinit(L, &b);
  for (lua_Integer i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&b, '\n');
    lua_rawgeti(L, LINES, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_replace(L, GRAPH);
  lua_settop(L, GRAPH);
}

/* eddy.format_call_graph([future] [, { limit= }]) -> text   [-0, +1, v] */
static int l_format(lua_State *L) {
  capture(L, "format_call_graph");
  format(L);
  return 1;
}

/* eddy.print_call_graph([future] [, { limit= }]): by Lua's print   [-0, +0, v] */
static int l_print(lua_State *L) {
  capture(L, "print_call_graph");
  if (lua_isnil(L, GRAPH)) return 0;
  format(L);
  lua_getglobal(L, "print");
  lua_insert(L, GRAPH);
  lua_call(L, 1, 0);
  return 0;
}

/* [-0, +0, m] */
void eddy__call_graph_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"capture_call_graph", l_capture},
                                       {"format_call_graph", l_format},
                                       {"print_call_graph", l_print},
                                       {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
