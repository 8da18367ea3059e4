/*
 * resume.c - what Lua itself takes: lua_resume and lua_yield, with nothing around them. The limit.
 * usage: resume QUESTION
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TASKS = 1000000, BATCH = 10000, SWITCHES = 5000000 };

static lua_State *threads[BATCH];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int l_yield(lua_State *L) { return lua_yield(L, 0); }

/* Resumes thread i, which has a function on its stack or has yielded. */
static void resume(lua_State *L, int i, int nargs) {
  int n;
  if (lua_resume(threads[i], L, nargs, &n) > LUA_YIELD) fprintf(stderr, "%s\n", lua_tostring(threads[i], -1));
  lua_pop(threads[i], n);
}

/* Gives thread i the function on top of L, and an argument. */
static void give(lua_State *L, int i) {
  lua_pushvalue(L, -1);
  lua_xmove(L, threads[i], 1);
  lua_pushinteger(threads[i], i);
}

/* Threads are used again, as they would be in a pool. */
static void spawn(lua_State *L) {
  luaL_loadstring(L, "return ...");
  double start = now();
  for (int i = 0; i < TASKS; i++) give(L, 0), resume(L, 0, 1);
  printf("task_spawn.one\tresume\t%.0f\ttasks/s\n", TASKS / (now() - start));
  start = now();
  for (int round = 0; round < TASKS / BATCH; round++) {
    for (int i = 0; i < BATCH; i++) give(L, i);
    for (int i = 0; i < BATCH; i++) resume(L, i, 1);
  }
  printf("task_spawn.batch\tresume\t%.0f\ttasks/s\n", TASKS / (now() - start));
}

static void switches(lua_State *L, int count) {
  luaL_loadstring(L, "local yield = yield while true do yield() end");
  for (int i = 0; i < count; i++) give(L, i), resume(L, i, 1);
  double start = now();
  for (int done = 0; done < SWITCHES; done += count)
    for (int i = 0; i < count; i++) resume(L, i, 0);
  printf("task_switch.%d\tresume\t%.0f\tswitches/s\n", count, SWITCHES / (now() - start));
}

int main(int argc, char **argv) {
  const char *question = argc > 1 ? argv[1] : "";
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_checkstack(L, BATCH + 100, NULL);   /* the stack anchors the threads */
  lua_register(L, "yield", l_yield);
  for (int i = 0; i < BATCH; i++) threads[i] = lua_newthread(L);
  if (strcmp(question, "task_spawn") == 0) spawn(L);
  if (strcmp(question, "task_switch") == 0) {
    switches(L, 2);
    for (int i = 0; i < 2; i++) threads[i] = lua_newthread(L);   /* those two are still inside their loop */
    switches(L, 1000);
  }
  lua_close(L);
  return 0;
}
