/* SPDX-License-Identifier: MIT */
/*
 * barrier.c - Barrier: tasks wait until so many are there, then all go on; see sync.h.
 * Uses:   line.h.      Used by: eddy.c.
 * Touch:  freely.
 *
 * One line is enough. While the barrier fills, all in line are in it. While those who were let go have not all left
 * (they are `told`), whoever stands in line is before the door, and comes in, first come first, when they have.
 */
#include "core/sync.h"

#include <lauxlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"

static const eddy__type type_barrier = {"Barrier"};

enum { FILLING, DRAINING, RESETTING, BROKEN };
static const char *const states[] = {"filling", "draining", "resetting", "broken"};

typedef struct barrier {
  eddy__line line;
  eddy__list told; /* let go, or broken: on their way out */
  size_t parties;
  int state;
} barrier;

static const eddy__wait wait_barrier = {"Barrier:wait", eddy__line_cancel, true};

/* Lets the first n in line go: the place of each is its index. */
static void let_go(barrier *b, size_t n) {
  for (size_t i = 0; i < n; i++) {
    eddy__task *task = eddy__line_tell(&b->line, &b->told);
    if (task != NULL) task->waiter.owner = (void *)(uintptr_t)i;
  }
  if (!eddy__list_empty(&b->told)) b->state = DRAINING;
}

/* When the last one has left, those before the door come in. */
static void settle(barrier *b) {
  if (!eddy__list_empty(&b->told) || b->state == BROKEN || b->state == FILLING) return;
  b->state = FILLING;
  if (b->line.n >= b->parties && eddy__line_length(&b->line) >= b->parties) let_go(b, b->parties);
}

/* Sends away all who are in the barrier. */
static void send_away(barrier *b, int state) {
  b->state = state;
  while (eddy__line_tell(&b->line, &b->told) != NULL) continue;
}

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  barrier *b = lua_touserdata(L, 1);
  uintptr_t index = (uintptr_t)task->waiter.owner;
  bool broken = b->state == RESETTING || b->state == BROKEN;
  eddy__list_remove(&task->waiter.link); /* from told */
  settle(b);
  eddy__wake_check(L, task);
  if (broken)
    return eddy__error_throw(L, EDDY_E_BROKEN_BARRIER, "the barrier was reset or aborted");
  lua_pushinteger(L, (lua_Integer)index);
  return 1;
}

/* [-0, +0, v] */
static barrier *check(lua_State *L) { return eddy__object_check(L, 1, &type_barrier); }

/* barrier:wait() -> index, 0 to parties - 1   [-0, +1, y] */
static int l_wait(lua_State *L) {
  barrier *b = check(L);
  lua_settop(L, 1);
  if (b->state == BROKEN)
    return eddy__error_throw(L, EDDY_E_BROKEN_BARRIER, "the barrier was aborted");
  eddy__task *task = eddy__running(L, "wait");
  eddy__line_check(L, &b->line, &b->told, task, "wait");
  settle(b);
  if (b->state == FILLING && b->line.n + 1 >= b->parties &&
      eddy__line_length(&b->line) + 1 == b->parties) {
    let_go(b, b->line.n);
    lua_pushinteger(L, (lua_Integer)b->parties - 1);
    return 1;
  }
  eddy__line_join(&b->line, task);
  return eddy__suspend(L, task, &wait_barrier, k_wait);
}

/* barrier:reset(): breaks it for those who are in it; as new then   [-0, +0, v] */
static int l_reset(lua_State *L) {
  barrier *b = check(L);
  if (b->state == FILLING)
    send_away(b, RESETTING);
  else
    b->state = RESETTING;
  settle(b);
  return 0;
}

/* barrier:abort(): breaks it until it is reset   [-0, +0, v] */
static int l_abort(lua_State *L) {
  send_away(check(L), BROKEN);
  return 0;
}

static lua_Integer n_waiting(barrier *b) {
  return b->state == FILLING ? (lua_Integer)eddy__line_length(&b->line) : 0;
}

/* A field, or a method: upvalue 2 is the table of those.   [-0, +1, v] */
static int l_index(lua_State *L) {
  barrier *b = check(L);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  if (eddy__arg_is(L, 2, "parties"))
    lua_pushinteger(L, (lua_Integer)b->parties);
  else if (eddy__arg_is(L, 2, "n_waiting"))
    lua_pushinteger(L, n_waiting(b));
  else if (eddy__arg_is(L, 2, "broken"))
    lua_pushboolean(L, b->state == BROKEN);
  else
    return 0;
  return 1;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  barrier *b = check(L);
  if (b->state == BROKEN)
    lua_pushliteral(L, "<Barrier broken>");
  else
    lua_pushfstring(L, "<Barrier %s, waiters:%I/%I>", states[b->state],
                    (LUAI_UACINT)n_waiting(b), (LUAI_UACINT)b->parties);
  return 1;
}

/* [-0, +0, v] */
static int l_gc(lua_State *L) {
  barrier *b = check(L);
  eddy__line_drop(&b->line, &b->told);
  return 0;
}

/* eddy.Barrier(parties) -> Barrier   [-0, +1, v] */
static int l_barrier(lua_State *L) {
  if (lua_type(L, 1) != LUA_TNUMBER) return eddy__arg_expected(L, 1, "integer");
  lua_Integer parties = eddy__check_integer(L, 1);
  eddy__arg_check(L, parties >= 1, 1, "a barrier needs at least 1 party");
  barrier *b = eddy__object_new(L, &type_barrier, sizeof *b, 0);
  eddy__line_init(&b->line);
  eddy__list_init(&b->told);
  b->parties = (size_t)parties;
  return 1;
}

/* [-0, +0, m] */
void eddy__barrier_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {
    {"wait", l_wait}, {"reset", l_reset}, {"abort", l_abort}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {"__gc", l_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"Barrier", l_barrier}, {NULL, NULL}};
  eddy__object_type(L, &type_barrier, NULL, methods, meta, lua_gettop(L) - 1);
  lua_pushvalue(L, -3);
  if (lua_getfield(L, -2, "__index") == LUA_TTABLE) { /* not yet ours */
    lua_pushcclosure(L, l_index, 2);
    lua_setfield(L, -2, "__index");
  } else {
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
