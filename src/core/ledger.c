/* SPDX-License-Identifier: MIT */
/*
 * ledger.c - adds up what a state holds; see ledger.h.
 * Touch:  freely.
 */
#include "core/ledger.h"

static size_t length(const eddy__list *list) {
  size_t n = 0;
  for (const eddy__list *l = list->next; l != list; l = l->next) n++;
  return n;
}

eddy__ledger eddy__ledger_of(const eddy__runtime *rt) {
  eddy__ledger all = {.kept = rt->kept, .unretrieved = rt->unretrieved};
  all.slots = rt->nslots - rt->nfree - rt->nidle - rt->kept;
  for (const eddy__list *l = rt->loops.next; l != &rt->loops; l = l->next) {
    const eddy__loop *loop = eddy__container_of(l, eddy__loop, link);
    all.loops++;
    all.tasks += loop->ntasks;
    all.ready += loop->ready;
    all.timers += loop->timers.n;
    all.generators += loop->generators;
    all.handles += length(&loop->handles);
    all.requests += loop->requests;
    all.anchors += loop->nanchors - loop->nfree_anchors;
  }
  return all;
}

static void set(lua_State *L, const char *name, size_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

/* eddy._ledger() -> table of numbers   [-0, +1, m] */
static int l_ledger(lua_State *L) {
  eddy__ledger all = eddy__ledger_of(eddy__runtime_of(L));
  lua_createtable(L, 0, 12);
  set(L, "loops", all.loops);
  set(L, "tasks", all.tasks);
  set(L, "ready", all.ready);
  set(L, "timers", all.timers);
  set(L, "generators", all.generators);
  set(L, "handles", all.handles);
  set(L, "requests", all.requests);
  set(L, "anchors", all.anchors);
  set(L, "slots", all.slots);
  set(L, "kept", all.kept);
  set(L, "unretrieved", all.unretrieved);
  set(L, "bytes", (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB));
  return 1;
}

/* [-0, +0, m] */
void eddy__ledger_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"_ledger", l_ledger}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
