/* SPDX-License-Identifier: MIT */
/*
 * move.c - values that move between two states: gives a script what it needs to try that, move.lua beside it or the
 *          one that is named.
 * Uses:   threads/move.h, which no other host may.
 */
#include <time.h>

#include "check.h"
#include "threads/move.h"

static lua_State *there;

static int unpack(lua_State *L) {
  eddy__parcel *parcel = lua_touserdata(L, 1);
  lua_settop(L, 0);
  int n = eddy__parcel_count(parcel);
  CHECK_INT(n, eddy__parcel_unpack(L, parcel));
  CHECK_INT(n, lua_gettop(L));
  return n;
}

/* Unpacks the parcel in the other state, whose stack is empty. What is raised there is raised in L. */
static void deliver(lua_State *L, eddy__parcel *parcel) {
  lua_settop(there, 0);
  lua_pushcfunction(there, unpack);
  lua_pushlightuserdata(there, parcel);
  if (lua_pcall(there, 1, LUA_MULTRET, 0) != LUA_OK) luaL_error(L, "%s", luaL_tolstring(there, -1, NULL));
}

/* move(...): there and back again. */
static int l_move(lua_State *L) {
  int n = lua_gettop(L);
  deliver(L, eddy__parcel_pack(L, 1, n, "move", EDDY_PACK_VALUES));
  CHECK_INT(n, lua_gettop(L));
  eddy__parcel *parcel = eddy__parcel_pack(there, 1, n, "move", EDDY_PACK_VALUES);
  lua_settop(there, 0);
  lua_settop(L, 0);
  return eddy__parcel_unpack(L, parcel);
}

/* call(f, ...): calls it there; its results, or nil and the error. */
static int l_call(lua_State *L) {
  int n = lua_gettop(L);
  deliver(L, eddy__parcel_pack(L, 1, n, "call", EDDY_PACK_CALL));
  int status = lua_pcall(there, n - 1, LUA_MULTRET, 0);
  if (status != LUA_OK) {
    lua_pushnil(there);
    lua_insert(there, 1);
  }
  n = lua_gettop(there);
  eddy__parcel *parcel = eddy__parcel_pack(there, 1, n, "call", EDDY_PACK_RESULTS);
  lua_settop(there, 0);
  return eddy__parcel_unpack(L, parcel);
}

/* pack(how, ...): packs only; the size. */
static int l_pack(lua_State *L) {
  int how = (int)luaL_checkinteger(L, 1);
  eddy__parcel *parcel = eddy__parcel_pack(L, 2, lua_gettop(L) - 1, "pack", how);
  lua_pushinteger(L, (lua_Integer)eddy__parcel_size(parcel));
  eddy__parcel_free(parcel);
  return 1;
}

/* bytes(...): what goes over the wire, as a string. */
static int l_bytes(lua_State *L) {
  eddy__parcel *parcel = eddy__parcel_pack(L, 1, lua_gettop(L), "bytes", EDDY_PACK_PROCESS);
  char head[EDDY_WIRE_HEAD];
  const char *body;
  size_t size;
  eddy__parcel_head(parcel, head, &body, &size);
  lua_pushlstring(L, head, sizeof head);
  lua_pushlstring(L, body, size);
  lua_concat(L, 2);
  eddy__parcel_free(parcel);
  return 1;
}

/* receive(trust, bytes): the values; nothing if there is no right head. */
static int l_receive(lua_State *L) {
  eddy__trust trust = (eddy__trust)luaL_checkinteger(L, 1);
  size_t given, size;
  const char *bytes = luaL_checklstring(L, 2, &given);
  eddy__parcel *parcel;
  char *body;
  if (given < EDDY_WIRE_HEAD || eddy__parcel_receive(bytes, trust, &parcel, &body, &size) != 0) return 0;
  CHECK_INT((long long)size, (long long)(given - EDDY_WIRE_HEAD));
  memcpy(body, bytes + EDDY_WIRE_HEAD, size);
  return eddy__parcel_unpack(L, parcel);
}

/* The processor's time that this program has taken: it does not count what others take. */
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

/* measure(rounds, batch, ...): packs and unpacks so often, a batch at a time; the seconds for each of the two. */
static int l_measure(lua_State *L) {
  lua_Integer rounds = luaL_checkinteger(L, 1), batch = luaL_checkinteger(L, 2);
  int n = lua_gettop(L) - 2;
  double packing = 0, unpacking = 0;
  eddy__parcel **parcels = malloc((size_t)batch * sizeof(void *));
  CHECK(parcels != NULL);
  for (lua_Integer done = 0; done < rounds; done += batch) {
    double start = seconds();
    for (lua_Integer i = 0; i < batch; i++)
      parcels[i] = eddy__parcel_pack(L, 3, n, "measure", EDDY_PACK_ARGUMENTS);
    double middle = seconds();
    for (lua_Integer i = 0; i < batch; i++) {
      eddy__parcel_unpack(there, parcels[i]);
      lua_settop(there, 0);
    }
    packing += middle - start;
    unpacking += seconds() - middle;
  }
  free(parcels);
  lua_pushnumber(L, packing);
  lua_pushnumber(L, unpacking);
  return 2;
}

/* Runs a script with our functions and the arguments. */
static void run(lua_State *L, const char *script, char **arguments) {
  static const luaL_Reg functions[] = {{"move", l_move},
                                       {"call", l_call},
                                       {"pack", l_pack},
                                       {"bytes", l_bytes},
                                       {"receive", l_receive},
                                       {"measure", l_measure},
                                       {NULL, NULL}};
  int n = 1;
  if (luaL_loadfile(L, script) != LUA_OK) check_failed(script, 0, lua_tostring(L, -1));
  luaL_newlib(L, functions);
  lua_pushinteger(L, EDDY_WIRE_HEAD);
  lua_setfield(L, -2, "head");
  for (; arguments != NULL && *arguments != NULL; arguments++, n++) lua_pushstring(L, *arguments);
  if (lua_pcall(L, n, 0, 0) != LUA_OK) check_failed(script, 0, luaL_tolstring(L, -1, NULL));
}

int main(int argc, char **argv) {
#ifdef NDEBUG
  static char many[] = "20000", *cases[] = {many, NULL};
#else
  static char many[] = "2000", *cases[] = {many, NULL};
#endif
  lua_State *L = new_state();
  there = new_state();
  if (argc > 1) {
    run(L, argv[1], argv + 2);
  } else {
    run(L, "spec/embed/move.lua", NULL);
    run(L, "spec/embed/move_property.lua", cases);
  }
  lua_close(there);
  lua_close(L);
  return 0;
}
