/* SPDX-License-Identifier: MIT */
/*
 * context.c - ContextVar, and the context that each task runs in; see context.h.
 * Touch:  freely. Setting a variable copies the snapshot: setting is rare, making tasks is not.
 */
#include "core/context.h"

#include <lauxlib.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/coroutine.h"

static const eddy__type type_var = {"ContextVar"}, type_token = {"Token"}, type_context = {"Context"};

static const char ambient_key; /* registry: the snapshot of code that runs in no task; false: none */
static const char nil_value;   /* in a snapshot: the variable is nil */

/* --- snapshots -------------------------------------------------------------------------------------------- */

/* [-0, +1, -] */
void eddy__context_of(lua_State *L, int idx) { eddy__future_extra(L, idx, EDDY_EX_CONTEXT); }

/* Pushes the task that runs, or nil.   [-0, +1, -] */
static void push_task(lua_State *L, eddy__runtime *rt) {
  if (rt->current != NULL)
    eddy__task_push(L, rt->current);
  else
    lua_pushnil(L);
}

/* Replaces the task at the top by its snapshot, and nil by that of code that runs in no task; or by nil.
 *   [-1, +1, -] */
static void snapshot_of(lua_State *L) {
  if (!lua_isnil(L, -1)) {
    eddy__context_of(L, -1);
  } else if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ambient_key) == LUA_TBOOLEAN) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  lua_remove(L, -2);
}

/* [-0, +1, -] */
void eddy__context_push(lua_State *L, eddy__runtime *rt) {
  push_task(L, rt);
  snapshot_of(L);
}

/* [-1, +1, -] */
void eddy__context_swap(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ambient_key);
  lua_insert(L, -2);
  if (lua_isnil(L, -1)) { /* false, not nil: the place in the registry stays, and needs no memory again */
    lua_pop(L, 1);
    lua_pushboolean(L, 0);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &ambient_key);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  lua_pushnil(L);
}

/* Makes the snapshot at the top that of the task below it, or with nil that of code that runs in no task.
 *   [-2, +0, m] */
static void enter(lua_State *L) {
  if (lua_isnil(L, -2)) {
    eddy__context_swap(L);
    lua_pop(L, 2);
  } else {
    eddy__future_set_extra(L, -2, EDDY_EX_CONTEXT);
    lua_pop(L, 1);
  }
}

/* [-1, +0, m] */
void eddy__context_enter(lua_State *L, eddy__runtime *rt) {
  push_task(L, rt);
  lua_insert(L, -2);
  enter(L);
}

/* [-0, +0, m] */
void eddy__context_inherit(lua_State *L, eddy__runtime *rt, int idx) {
  eddy__context_push(L, rt);
  if (lua_isnil(L, -1))
    lua_pop(L, 1);
  else
    eddy__future_set_extra(L, idx, EDDY_EX_CONTEXT);
}

/* Pushes a copy of the snapshot at idx, or an empty one for nil.   [-0, +1, m] */
static void push_copy(lua_State *L, int idx) {
  lua_newtable(L);
  if (lua_isnil(L, idx)) return;
  for (lua_pushnil(L); lua_next(L, idx);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
}

/* --- ContextVar ----------------------------------------------------------------------------------------------- */

enum { UV_VAR = 1, UV_BEFORE, UV_WHERE };         /* of a token: UV_BEFORE: the value, nil when it was not set */

typedef struct token {
  bool used;
} token;

/* [-0, +0, -] */
bool eddy__context_is_var(lua_State *L, int idx) { return eddy__object_test(L, idx, &type_var) != NULL; }

/* [-0, +1, m] */
void eddy__context_new_var(lua_State *L) { eddy__object_new(L, &type_var, 1, EDDY_VAR_DEFAULT); }

/* eddy.ContextVar(name [, default]) -> ContextVar   [-0, +1, v] */
static int l_var(lua_State *L) {
  if (lua_type(L, 1) != LUA_TSTRING) return eddy__arg_expected(L, 1, "string");
  lua_settop(L, 2);
  eddy__context_new_var(L);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 3, EDDY_VAR_NAME);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, EDDY_VAR_DEFAULT);
  return 1;
}

/* Pushes what the running code's snapshot holds for the variable at 1, or nil.   [-0, +1, -] */
static void push_raw(lua_State *L) {
  eddy__context_push(L, eddy__runtime_of(L));
  if (lua_isnil(L, -1)) return;
  lua_pushvalue(L, 1);
  if (lua_rawget(L, -2) == LUA_TNIL) { /* in another thread's call: what its caller had, by name */
    lua_pop(L, 1);
    lua_getiuservalue(L, 1, EDDY_VAR_NAME);
    lua_rawget(L, -2);
  }
  lua_remove(L, -2);
}

static bool is_nil_value(lua_State *L, int idx) {
  return lua_islightuserdata(L, idx) && lua_touserdata(L, idx) == &nil_value;
}

/* var:get([default]) -> value   [-0, +1, v] */
static int l_get(lua_State *L) {
  eddy__object_check(L, 1, &type_var);
  lua_settop(L, 2);
  push_raw(L);
  if (is_nil_value(L, -1)) return 0;
  if (!lua_isnil(L, -1)) return 1;
  lua_pushvalue(L, 2);
  if (lua_isnil(L, 2)) lua_getiuservalue(L, 1, EDDY_VAR_DEFAULT);
  return 1;
}

/* Puts the raw value at the top (nil: take it out) into a new snapshot of the running code's.   [-1, +0, m] */
static void put(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_of(L);
  int value = lua_gettop(L);
  eddy__context_push(L, rt);
  push_copy(L, value + 1);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, value);
  lua_rawset(L, -3);
  rt->has_contexts = true;
  eddy__context_enter(L, rt);
  lua_settop(L, value - 1);
}

/* Pushes what tells one task, or callback, from another: a token is reset where it was made.   [-0, +1, -] */
static void push_where(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_of(L);
  if (rt->current != NULL)
    eddy__task_push(L, rt->current);
  else
    lua_pushboolean(L, 0);
}

/* var:set(value) -> Token   [-0, +1, v] */
static int l_set(lua_State *L) {
  eddy__object_check(L, 1, &type_var);
  eddy__arg_any(L, 2);
  lua_settop(L, 2);
  eddy__object_new(L, &type_token, sizeof(token), UV_WHERE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 3, UV_VAR);
  push_raw(L);
  lua_setiuservalue(L, 3, UV_BEFORE);
  push_where(L);
  lua_setiuservalue(L, 3, UV_WHERE);
  if (lua_isnil(L, 2))
    lua_pushlightuserdata(L, (void *)&nil_value);
  else
    lua_pushvalue(L, 2);
  put(L);
  return 1;
}

/* var:reset(token): as it was before the set that gave the token   [-0, +0, v] */
static int l_reset(lua_State *L) {
  eddy__object_check(L, 1, &type_var);
  token *t = eddy__object_check(L, 2, &type_token);
  lua_settop(L, 2);
  if (t->used) eddy__error_throw(L, EDDY_E_RUNTIME, "'reset': the token was used before");
  lua_getiuservalue(L, 2, UV_VAR);
  if (!lua_rawequal(L, 1, -1)) eddy__arg_error(L, 2, "a token of this ContextVar is expected");
  push_where(L);
  lua_getiuservalue(L, 2, UV_WHERE);
  if (!lua_rawequal(L, -1, -2))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'reset': the token was made in another context");
  lua_getiuservalue(L, 2, UV_BEFORE);
  put(L);
  t->used = true;
  return 0;
}

/* var.name   [-0, +1, v] */
static int l_var_tostring(lua_State *L) {
  eddy__object_check(L, 1, &type_var);
  lua_getiuservalue(L, 1, EDDY_VAR_NAME);
  lua_pushfstring(L, "<ContextVar '%s'>", lua_tostring(L, -1));
  return 1;
}

/* Whether the value at the top, of a variable, is worth moving to another state: the rest cannot be, or is nil. */
static bool can_move(lua_State *L) {
  int type = lua_type(L, -1);
  return type != LUA_TUSERDATA && type != LUA_TLIGHTUSERDATA && type != LUA_TTHREAD;
}

/* [-0, +(0|1), m] */
bool eddy__context_export(lua_State *L, eddy__runtime *rt) {
  luaL_checkstack(L, 8, NULL);
  eddy__context_push(L, rt);
  if (lua_isnil(L, -1)) return lua_pop(L, 1), false;
  int snapshot = lua_gettop(L);
  lua_newtable(L);
  for (int own = 0; own < 2; own++) { /* names of a caller in another thread first, then what was set here */
    for (lua_pushnil(L); lua_next(L, snapshot); lua_settop(L, snapshot + 2)) {
      if ((lua_type(L, -2) == LUA_TUSERDATA) != (own == 1) || !can_move(L)) continue;
      if (own == 1)
        lua_getiuservalue(L, -2, EDDY_VAR_NAME);
      else
        lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, snapshot + 1);
    }
  }
  lua_remove(L, snapshot);
  return true;
}

/* --- Context ---------------------------------------------------------------------------------------------------- */

typedef struct context {
  bool entered;
} context;

/* Pops a snapshot and pushes the Context of it.   [-1, +1, m] */
static void push_context(lua_State *L) {
  eddy__object_new(L, &type_context, sizeof(context), 1);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
}

/* eddy.copy_context() -> Context   [-0, +1, m] */
static int l_copy_context(lua_State *L) {
  eddy__context_push(L, eddy__runtime_of(L));
  push_context(L);
  return 1;
}

/* The end of a run: a closing value, so that it comes however the run ends, also by a script that closes the coroutine
 * around it. */
static const eddy__type type_entry = {"Context entry"};
enum { UV_ENTERED = 1, UV_SNAPSHOT, UV_TASK }; /* of an entry: UV_SNAPSHOT: that of before; UV_TASK: the task that has
                                                  entered, which may have ended since, or nil */

/* 1: the entry. The Context keeps what was set inside; the task has what it had before.   [-0, +0, m] */
static int l_leave(lua_State *L) {
  eddy__object_check(L, 1, &type_entry);
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, UV_ENTERED);
  context *c = lua_touserdata(L, 2);
  if (!c->entered) return 0;
  lua_getiuservalue(L, 1, UV_TASK);
  lua_pushvalue(L, -1);
  snapshot_of(L);
  lua_setiuservalue(L, 2, 1);
  lua_getiuservalue(L, 1, UV_SNAPSHOT);
  enter(L);
  c->entered = false;
  return 0;
}

/* context:run(f, ...) -> results   [-0, +n, y] */
static int l_run(lua_State *L) {
  context *c = eddy__object_check(L, 1, &type_context);
  eddy__runtime *rt = eddy__runtime_of(L);
  eddy__check_function(L, 2);
  if (c->entered) eddy__error_throw(L, EDDY_E_RUNTIME, "'run': the Context is entered already");
  luaL_checkstack(L, 8, NULL);
  eddy__coroutine_unwrap(L, 2);
  int n = lua_gettop(L) - 2;
  eddy__object_new(L, &type_entry, 0, UV_TASK);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, UV_ENTERED);
  eddy__context_push(L, rt);
  lua_setiuservalue(L, -2, UV_SNAPSHOT);
  push_task(L, rt);
  lua_setiuservalue(L, -2, UV_TASK);
  lua_insert(L, 2); /* Context, entry, f, arguments */
  lua_toclose(L, 2);
  lua_getiuservalue(L, 1, 1);
  rt->has_contexts = rt->has_contexts || !lua_isnil(L, -1);
  c->entered = true;
  eddy__context_enter(L, rt);
  lua_callk(L, n, LUA_MULTRET, 2, eddy__k_return);
  return eddy__k_return(L, LUA_OK, 2);
}

/* context:get(var) -> its value there, nil when it was not set   [-0, +1, v] */
static int l_context_get(lua_State *L) {
  eddy__object_check(L, 1, &type_context);
  eddy__object_check(L, 2, &type_var);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1);
  if (lua_isnil(L, -1)) return 1;
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  if (is_nil_value(L, -1)) return 0;
  return 1;
}

/* context:copy() -> Context   [-0, +1, v] */
static int l_context_copy(lua_State *L) {
  eddy__object_check(L, 1, &type_context);
  lua_getiuservalue(L, 1, 1);
  push_context(L);
  return 1;
}

/* task:get_context() -> Context   [-0, +1, v] */
static int l_get_context(lua_State *L) {
  if (eddy__object_test(L, 1, &eddy__type_task) == NULL) return eddy__arg_expected(L, 1, "Task");
  eddy__context_of(L, 1);
  push_context(L);
  return 1;
}

/* [-0, +0, m] */
void eddy__context_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg var_methods[] = {{"get", l_get}, {"set", l_set}, {"reset", l_reset}, {NULL, NULL}};
  static const luaL_Reg var_meta[] = {{"__tostring", l_var_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"run", l_run}, {"get", l_context_get}, {"copy", l_context_copy}, {NULL, NULL}};
  static const luaL_Reg task_methods[] = {{"get_context", l_get_context}, {NULL, NULL}};
  static const luaL_Reg entry_meta[] = {{"__close", l_leave}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"ContextVar", l_var}, {"copy_context", l_copy_context}, {NULL, NULL}};
  int up = lua_gettop(L) - 1;
  eddy__object_type(L, &type_var, NULL, var_methods, var_meta, up);
  eddy__object_type(L, &type_token, NULL, NULL, NULL, up);
  eddy__object_type(L, &type_context, NULL, methods, NULL, up);
  eddy__object_type(L, &type_entry, NULL, NULL, entry_meta, up);
  eddy__object_meta(L, &eddy__type_task);
  lua_getfield(L, -1, "__index");
  eddy__runtime_functions(L, rt, task_methods);
  lua_pop(L, 6);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ambient_key) == LUA_TNIL) {
    lua_pushboolean(L, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &ambient_key);
  }
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
