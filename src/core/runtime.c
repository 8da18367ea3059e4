/* SPDX-License-Identifier: MIT */
/*
 * runtime.c - the record behind one Lua state: birth, lookup; its end comes with the state's.
 * Touch:  with care. The record is the first finalizer set in its state, so its __gc runs last: until then every
 *         other object of eddy may still use it.
 */
#include "core/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "core/loop.h"
#include "core/task.h"

_Thread_local eddy__runtime *eddy__runtime_here;

static const char runtime_key; /* its address: where the record lies in the registry */

/* The state ends: what no loop has taken back goes with it. The records of loops are userdata without finalizers: a
 * finalizer older than this one may still hold an object that points to one.   [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_find(L);
  if (rt == NULL || lua_touserdata(L, 1) != rt) return 0; /* called by hand */
  rt->is_dead = true;
  while (!eddy__list_empty(&rt->loops))
    eddy__loop_close(eddy__container_of(rt->loops.next, eddy__loop, link));
  free(rt->free_slots);
  free(rt->idle);
  rt->free_slots = NULL;
  rt->idle = NULL;
  rt->nfree = rt->nslots = rt->cap = rt->nidle = rt->kept = 0;
  return 0;
}

/* [-0, +1, m] */
eddy__runtime *eddy__runtime_open(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &runtime_key) == LUA_TUSERDATA)
    return lua_touserdata(L, -1);
  lua_pop(L, 1);
  eddy__runtime *rt = lua_newuserdatauv(L, sizeof *rt, 0);
  memset(rt, 0, sizeof *rt);
  eddy__list_init(&rt->loops);
  eddy__list_init(&rt->spare_loops);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  rt->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &runtime_key);
  return rt;
}

/* [-0, +0, -] */
eddy__runtime *eddy__runtime_find(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &runtime_key);
  eddy__runtime *rt = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return rt;
}

/* [-0, +1, -] */
void eddy__runtime_push(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &runtime_key); }

/* [-0, +0, m] */
void eddy__runtime_reserve(lua_State *L, eddy__runtime *rt) {
  if (rt->nfree > 0) return;
  if (rt->nslots == rt->cap) { /* room to give every slot back: dropping never needs memory */
    uint32_t cap = rt->cap == 0 ? 64 : rt->cap * 2;
    int *list = realloc(rt->free_slots, cap * sizeof *list);
    if (list == NULL) luaL_error(L, "not enough memory");
    rt->free_slots = list;
    rt->cap = cap;
  }
  lua_pushboolean(L, 0);
  int slot = luaL_ref(L, LUA_REGISTRYINDEX);
  rt->free_slots[rt->nfree++] = slot;
  rt->nslots++;
}

/* [-0, +0, m] */
int eddy__runtime_keep(lua_State *L, eddy__runtime *rt, int idx) {
  eddy__runtime_reserve(L, rt);
  int slot = rt->free_slots[--rt->nfree];
  lua_pushvalue(L, idx);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot);
  return slot;
}

/* [-0, +0, -] */
void eddy__runtime_drop(eddy__runtime *rt, int slot) {
  lua_State *L = eddy__runtime_thread(rt);
  lua_pushboolean(L, 0); /* not nil: the place stays, filling it again needs no memory */
  lua_rawseti(L, LUA_REGISTRYINDEX, slot);
  rt->free_slots[rt->nfree++] = slot;
}

/* [-0, +(0|1), -] */
int eddy__runtime_pcall(eddy__runtime *rt, lua_CFunction f, void *argument) {
  lua_State *L = rt->L;
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, argument);
  return lua_pcall(L, 1, 0, 0);
}

/* [-0, +0, m] */
void eddy__runtime_functions(lua_State *L, eddy__runtime *rt, const luaL_Reg *functions) {
  (void)rt;
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    eddy__runtime_push(L);
    lua_pushcclosure(L, f->func, 1);
    eddy__arg_name(L, f->name);
    lua_setfield(L, -2, f->name);
  }
}
