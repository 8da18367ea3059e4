/* SPDX-License-Identifier: MIT */
/*
 * executor.c - to_thread, run_in_executor, ThreadPool; see executor.h.
 * Touch:  freely. A call is packed when it is made, so what the caller changes afterwards is its own affair.
 */
#include "threads/executor.h"

#include <lauxlib.h>
#include <stdio.h>

#include "base/args.h"
#include "base/carried.h"
#include "base/error.h"

static const eddy__type type_pool = {"ThreadPool"};

enum { UV_INIT = 1 };
enum { PLACE_SIZE = 80, MOST_WORKERS = 1024 };

typedef struct executor {
  eddy__pool *pool;
  bool is_closed; /* by close(); it may still have work */
  bool is_default;
  char made_at[PLACE_SIZE];
} executor;

/* --- pools as objects --------------------------------------------------------------------------------------------- */

/* [-0, +0, v] */
static executor *check(lua_State *L, int arg) {
  executor *e = eddy__object_check(L, arg, &type_pool);
  if (e->pool == NULL) eddy__error_throw(L, EDDY_E_RUNTIME, "the pool was finalized by hand");
  return e;
}

/* Pushes a new pool.   [-0, +1, m] */
static executor *push_pool(lua_State *L, int workers, size_t limit) {
  executor *e = eddy__object_new(L, &type_pool, sizeof *e, UV_INIT);
  lua_Debug ar;
  snprintf(e->made_at, sizeof e->made_at, "?");
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (eddy__carried_frame(&ar)) continue;
    snprintf(e->made_at, sizeof e->made_at, "%s:%d", ar.short_src, ar.currentline);
    break;
  }
  e->pool = eddy__pool_new(eddy__setup_new(L), workers, limit);
  if (e->pool == NULL) luaL_error(L, "not enough memory");
  return e;
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  executor *e = eddy__object_check(L, 1, &type_pool);
  eddy__pool *pool = e->pool;
  if (pool == NULL) return 0;
  e->pool = NULL;
  eddy__line_drop(&pool->putters, NULL); /* somebody stands there if a script finalizes it by hand */
  eddy__line_drop(&pool->closers, NULL);
  if (!e->is_default) {
    if (!e->is_closed && eddy__pool_alive(pool)) {
      char text[PLACE_SIZE + 60];
      snprintf(text, sizeof text, "ResourceWarning: unclosed ThreadPool made at %s", e->made_at);
      lua_warning(L, text, 0);
    }
    eddy__runtime *rt = eddy__runtime_of(L);
    eddy__pool_end(pool, rt, NULL, eddy__pool_patience(rt));
  }
  eddy__pool_release(pool);
  return 0;
}

/* The loop's default pool, made if need be; pushes its object. NULL if that is a pool that is written in Lua.
 *   [-0, +1, v] */
static executor *push_default(lua_State *L, eddy__loop *loop) {
  eddy__loop_push_table(L, loop);
  if (lua_getfield(L, -1, "executor") == LUA_TNIL) {
    lua_pop(L, 1);
    executor *e = push_pool(L, (int)uv_available_parallelism(), 0);
    e->is_default = true;
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "executor");
    eddy__pool_own(e->pool, loop);
  }
  lua_remove(L, -2);
  return lua_istable(L, -1) ? NULL : check(L, lua_gettop(L));
}

/* Starts one more worker for the pool of the object at idx.   [-0, +0, v] */
static void grow(lua_State *L, int idx) {
  executor *e = lua_touserdata(L, idx);
  eddy__parcel *init = NULL;
  if (lua_getiuservalue(L, idx, UV_INIT) != LUA_TNIL)
    init = eddy__parcel_pack(L, lua_gettop(L), 1, "ThreadPool", EDDY_PACK_CALL);
  lua_pop(L, 1);
  int rc = eddy__pool_grow(e->pool, init);
  if (rc < 0 && !eddy__pool_alive(e->pool)) eddy__raise(L, rc, "start a thread");
}

/* Gives the call in the box at the top to the pool at idx. Raises when it takes none.   [-0, +0, v] */
static void submit(lua_State *L, int idx, bool batch) {
  executor *e = lua_touserdata(L, idx);
  eddy__call *call = eddy__call_in(L, -1);
  if (e->is_closed) eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the pool is closed", call->wait->name);
  const char *problem = eddy__pool_submit(e->pool, call, batch, true);
  if (problem == eddy__pool_grow_first) {
    grow(L, idx);
    problem = eddy__pool_submit(e->pool, call, batch, false);
  }
  if (problem != NULL) eddy__error_throw(L, EDDY_E_BROKEN_WORKER, "'%s': %s", call->wait->name, problem);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static const eddy__wait wait_room = {"ThreadPool", eddy__line_cancel, true};
static const eddy__wait wait_thread = {"to_thread", eddy__call_cancel, true};
static const eddy__wait wait_executor = {"run_in_executor", eddy__call_cancel, true};
static const eddy__wait wait_map = {"map", eddy__call_cancel, true};
static const eddy__wait wait_submit = {"submit", eddy__call_cancel, true};

static int k_room(lua_State *L, int status, lua_KContext ctx);

/* 1: the pool, 2: the box. Waits for room in the queue; then for the call, or pushes a Task that does.  [-0, +n, y] */
static int dispatch(lua_State *L, eddy__task *task) {
  executor *e = lua_touserdata(L, 1);
  eddy__call *call = eddy__call_in(L, 2);
  if (eddy__pool_full(e->pool)) {
    eddy__line_check(L, &e->pool->putters, NULL, task, call->wait->name);
    if (!eddy__pool_notify(e->pool, call->home)) luaL_error(L, "not enough memory");
    if (eddy__pool_full(e->pool)) { /* still: from now on there are news */
      eddy__line_join(&e->pool->putters, task);
      return eddy__suspend(L, task, &wait_room, k_room);
    }
  }
  submit(L, 1, call->wait != &wait_submit);
  if (call->wait != &wait_submit) return eddy__call_wait(L, task);
  eddy__call_task(L, call->loop);
  return 1;
}

static int k_room(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  executor *e = lua_touserdata(L, 1);
  if (eddy__wake_cancelled(task) && eddy__line_was_told(task) && e->pool != NULL)
    eddy__line_tell(&e->pool->putters, NULL);
  eddy__wake_check(L, task);
  check(L, 1);
  int n = dispatch(L, task);
  if (!eddy__pool_full(e->pool)) eddy__line_tell(&e->pool->putters, NULL);
  return n;
}

/* Makes the frame of dispatch from: ..., f at idx, arguments; the pool is at the top.   [-n, +2, v] */
static eddy__call *pack(lua_State *L, eddy__loop *loop, int idx, const eddy__wait *wait) {
  lua_insert(L, idx); /* the pool; f is at idx + 1 */
  eddy__call *call = eddy__call_new(L, loop, idx + 1, wait);
  lua_replace(L, idx + 1);
  lua_copy(L, idx, 1);
  lua_copy(L, idx + 1, 2);
  lua_settop(L, 2);
  return call;
}

/* A pool that is written in Lua, such as ProcessPool, has these in its metatable: */
static const char *const field_call = "__executor";    /* (pool, who, f, ...) -> results; may wait */
static const char *const field_submit = "__submitter"; /* (pool, who, f, ...) -> Task */

/* Whether the value at idx is such a pool.   [-0, +0, m] */
static bool is_foreign(lua_State *L, int idx) {
  if (!lua_istable(L, idx) || luaL_getmetafield(L, idx, field_call) == LUA_TNIL) return false;
  lua_pop(L, 1);
  return true;
}

/* Makes of pool, f, ... at idx what is to be called: the pool's function, pool, who, f, ...; returns how many
 * arguments that are.   [-0, +2, m] */
static int insert_function(lua_State *L, int idx, const char *field, const char *who) {
  luaL_checkstack(L, 4, NULL);
  luaL_getmetafield(L, idx, field);
  lua_insert(L, idx);
  lua_pushstring(L, who);
  lua_insert(L, idx + 2);
  return lua_gettop(L) - idx;
}

/* A call of the pool of that kind at 1.   [-n, +n, y] */
static int call_foreign(lua_State *L, const char *who) {
  int n = insert_function(L, 1, field_call, who);
  lua_callk(L, n, LUA_MULTRET, 0, eddy__k_return);
  return lua_gettop(L);
}

/* eddy.to_thread(f, ...) -> results   [-0, +n, y] */
static int l_to_thread(lua_State *L) {
  eddy__check_function(L, 1);
  eddy__task *task = eddy__running(L, "to_thread");
  if (push_default(L, task->future.loop) == NULL) {
    lua_insert(L, 1);
    return call_foreign(L, "to_thread");
  }
  pack(L, task->future.loop, 1, &wait_thread);
  return dispatch(L, task);
}

/* Puts the default pool in the place of nil at arg. Returns whether a pool that is written in Lua is there.
 *   [-0, +0, v] */
static bool resolve(lua_State *L, eddy__loop *loop, int arg) {
  if (!lua_isnoneornil(L, arg)) return is_foreign(L, arg);
  bool is_one = push_default(L, loop) == NULL;
  lua_replace(L, arg);
  return is_one;
}

/* eddy.run_in_executor(pool | nil, f, ...) -> results   [-0, +n, y] */
static int l_run_in_executor(lua_State *L) {
  if (!lua_isnoneornil(L, 1) && !is_foreign(L, 1)) check(L, 1);
  eddy__check_function(L, 2);
  eddy__task *task = eddy__running(L, "run_in_executor");
  if (resolve(L, task->future.loop, 1)) return call_foreign(L, "run_in_executor");
  lua_pushvalue(L, 1);
  pack(L, task->future.loop, 2, &wait_executor);
  return dispatch(L, task);
}

/* loop:run_in_executor(pool | nil, f, ...) -> Task; never waits for room   [-0, +1, v] */
static int l_loop_run_in_executor(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  if (!lua_isnoneornil(L, 2) && !is_foreign(L, 2)) check(L, 2);
  eddy__check_function(L, 3);
  if (resolve(L, loop, 2)) {
    int n = insert_function(L, 2, field_submit, "run_in_executor");
    lua_call(L, n, 1);
    return 1;
  }
  lua_pushvalue(L, 2);
  pack(L, loop, 3, &wait_executor);
  submit(L, 1, false);
  eddy__call_task(L, loop);
  return 1;
}

/* pool:submit(f, ...) -> Task; waits while the queue is full   [-0, +1, y] */
static int l_submit(lua_State *L) {
  executor *e = check(L, 1);
  eddy__check_function(L, 2);
  eddy__loop *loop = eddy__loop_running(L, "submit");
  lua_pushvalue(L, 1);
  pack(L, loop, 2, &wait_submit);
  if (!e->is_closed && eddy__pool_full(e->pool)) return dispatch(L, eddy__running(L, "submit"));
  submit(L, 1, false);
  eddy__call_task(L, loop);
  return 1;
}

/* For pool:map: (pool, f, ...) -> results   [-0, +n, y] */
static int l_call_for_map(lua_State *L) {
  check(L, 1);
  eddy__task *task = eddy__running(L, "map");
  lua_pushvalue(L, 1);
  pack(L, task->future.loop, 2, &wait_map);
  return dispatch(L, task);
}

/* pool:map(f, list [, {chunk}]) -> list of results, in order: see lua/eddy/pool.lua   [-0, +1, y] */
static int l_map(lua_State *L) {
  executor *e = check(L, 1);
  if (e->is_closed) eddy__error_throw(L, EDDY_E_RUNTIME, "'map': the pool is closed");
  eddy__check_function(L, 2);
  if (!lua_istable(L, 3)) return eddy__arg_expected(L, 3, "table");
  static const char *const options[] = {"chunk", NULL};
  eddy__check_options(L, 4, options);
  lua_Integer chunk = eddy__option_integer(L, 4, "chunk", 1, LUA_MAXINTEGER, 0);
  lua_settop(L, 3);
  eddy__carried_require(L, "pool");
  lua_getfield(L, -1, "map");
  lua_insert(L, 1);
  lua_settop(L, 4);
  lua_pushinteger(L, chunk);
  lua_pushinteger(L, e->pool->most);
  eddy__runtime_push(L);
  lua_pushcclosure(L, l_call_for_map, 1);
  lua_callk(L, 6, 1, 0, eddy__k_return);
  return 1;
}

/* --- the end of a pool -------------------------------------------------------------------------------------------- */

static const eddy__wait wait_close = {"ThreadPool:close", eddy__line_cancel, true};

static int k_close(lua_State *L, int status, lua_KContext ctx);

static int k_over(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__wake_check(L, (eddy__task *)ctx);
  return 0;
}

/* Those who wait are ready in this turn, but a seed may have put them behind us: in the next one they have run. */
static int k_closed(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__wake_check(L, (eddy__task *)ctx);
  return eddy__give_way(L, (eddy__task *)ctx, k_over);
}

/* 1: the pool, which is closing: waits until its workers have ended, and until those who wait for them know.
 *   [-0, +0, y] */
static int wait_end(lua_State *L, eddy__task *task) {
  executor *e = lua_touserdata(L, 1);
  if (!eddy__pool_alive(e->pool)) {
    eddy__post_deliver(task->future.loop);
    return eddy__give_way(L, task, k_closed);
  }
  eddy__line_check(L, &e->pool->closers, NULL, task, "close");
  eddy__line_join(&e->pool->closers, task);
  task->future.loop->jobs++;
  return eddy__suspend(L, task, &wait_close, k_close);
}

static int k_close(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  executor *e = lua_touserdata(L, 1);
  task->future.loop->jobs--;
  if (eddy__wake_cancelled(task) && e->pool != NULL) eddy__pool_close(e->pool, true);
  eddy__wake_check(L, task);
  check(L, 1);
  return wait_end(L, task);
}

/* No new calls; waits for those that were submitted, or stops them if `quit`. Where nobody can wait they are stopped,
 * too, and given a second.   [-0, +0, y] */
static int shut(lua_State *L, bool quit) {
  executor *e = lua_touserdata(L, 1);
  eddy__runtime *rt = eddy__runtime_of(L);
  eddy__loop *loop = rt->loop;
  lua_settop(L, 1);
  e->is_closed = true;
  if (loop == NULL || !eddy__may_wait(L, loop)) {
    eddy__pool_end(e->pool, rt, loop, eddy__pool_patience(rt));
    return 0;
  }
  eddy__task *task = eddy__running(L, "close");
  eddy__mailbox *box = eddy__mailbox_of(loop);
  if (box == NULL || !eddy__pool_notify(e->pool, box)) return luaL_error(L, "not enough memory");
  eddy__pool_close(e->pool, quit);
  return wait_end(L, task);
}

/* pool:close(): twice is fine   [-0, +0, y] */
static int l_close(lua_State *L) {
  check(L, 1);
  return shut(L, false);
}

/* At the end of its scope: what it does is stopped if the scope ends by an error.   [-0, +0, y] */
static int l_scope_close(lua_State *L) {
  check(L, 1);
  return shut(L, !lua_isnoneornil(L, 2));
}

/* eddy.ThreadPool{workers=, init=, queue=} -> ThreadPool   [-0, +1, v] */
static int l_pool(lua_State *L) {
  static const char *const options[] = {"workers", "init", "queue", NULL};
  eddy__check_options(L, 1, options);
  lua_settop(L, 1);
  lua_Integer workers = eddy__option_integer(L, 1, "workers", 1, MOST_WORKERS, (lua_Integer)uv_available_parallelism());
  lua_Integer queue = eddy__option_integer(L, 1, "queue", 1, LUA_MAXINTEGER, 0);
  if (lua_istable(L, 1))
    lua_getfield(L, 1, "init");
  else
    lua_pushnil(L);
  if (!lua_isnil(L, 2)) {
    if (!lua_isfunction(L, 2))
      eddy__arg_error(L, 1, lua_pushfstring(L, "option 'init': function expected, got %s", luaL_typename(L, 2)));
    eddy__parcel_free(eddy__parcel_pack(L, 2, 1, "ThreadPool", EDDY_PACK_CALL)); /* that it can be moved */
  }
  push_pool(L, (int)workers, (size_t)queue);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, UV_INIT);
  return 1;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  executor *e = eddy__object_check(L, 1, &type_pool);
  lua_pushfstring(L, "<ThreadPool workers=%d%s>", e->pool != NULL ? e->pool->most : 0, e->is_closed ? ", closed" : "");
  return 1;
}

/* --- the loop's default pool -------------------------------------------------------------------------------------- */

/* loop:set_default_executor(pool)   [-0, +0, v] */
static int l_set_default(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  if (!is_foreign(L, 2)) check(L, 2);
  lua_settop(L, 2);
  eddy__loop_push_table(L, loop);
  lua_insert(L, 2);
  lua_setfield(L, 2, "executor");
  return 0;
}

static int k_foreign_closed(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

/* loop:shutdown_default_executor(): waits for its calls; it takes no more   [-0, +0, y] */
static int l_shutdown_default(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  eddy__loop_push_table(L, loop);
  if (lua_getfield(L, -1, "executor") == LUA_TNIL) push_default(L, loop); /* for to_thread to find it closed */
  lua_replace(L, 1);
  lua_settop(L, 1);
  if (!is_foreign(L, 1)) return shut(L, false);
  lua_getfield(L, 1, "close");
  lua_insert(L, 1);
  lua_callk(L, 1, 0, 0, k_foreign_closed);
  return 0;
}

/* --- the room ----------------------------------------------------------------------------------------------------- */

/* [-0, +0, m] */
void eddy__executor_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {{"submit", l_submit}, {"map", l_map}, {"close", l_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__close", l_scope_close}, {"__gc", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg loop_methods[] = {{"run_in_executor", l_loop_run_in_executor},
                                          {"set_default_executor", l_set_default},
                                          {"shutdown_default_executor", l_shutdown_default},
                                          {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"to_thread", l_to_thread}, {"run_in_executor", l_run_in_executor}, {"ThreadPool", l_pool}, {NULL, NULL}};
  eddy__object_type(L, &type_pool, NULL, methods, meta, lua_gettop(L) - 1);
  lua_pop(L, 1);
  eddy__object_meta(L, &eddy__type_loop);
  lua_getfield(L, -1, "__index");
  eddy__runtime_functions(L, rt, loop_methods);
  lua_pop(L, 2);
  eddy__runtime_functions(L, rt, functions);
}
