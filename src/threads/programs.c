/* SPDX-License-Identifier: MIT */
/*
 * programs.c - os.execute and io.popen in a worker; see stop.h.
 * Uses:   stop.h.      Used by: stop.c.
 * Touch:  freely. A program inherits what its thread blocks, and workers block all signals: it gets what home's thread
 *         blocks. C's system() makes the whole process deaf to SIGINT while the program runs; ours does not.
 */
#include <lauxlib.h>
#include <lualib.h>

#include "base/args.h"
#include "threads/stop.h"

#ifdef _WIN32

/* [-0, +0, m] */
void eddy__programs_functions(lua_State *L) { (void)L; }

#else

#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

/* Runs a command as system() does. Returns its status, or -1 and errno. */
static int run(const char *command, const eddy__signals *signals) {
  char *const arguments[] = {"sh", "-c", (char *)command, NULL};
  posix_spawnattr_t attributes;
  pid_t pid, ended;
  int status = -1;
  int rc = posix_spawnattr_init(&attributes);
  if (rc == 0) {
    posix_spawnattr_setsigmask(&attributes, signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawn(&pid, "/bin/sh", NULL, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
  }
  if (rc != 0) {
    errno = rc;
    return -1;
  }
  do ended = waitpid(pid, &status, 0);
  while (ended < 0 && errno == EINTR);
  return ended < 0 ? -1 : status;
}

/* os.execute([command]) -> as Lua's   [-0, +n, v] */
static int l_execute(lua_State *L) {
  const char *command = luaL_optstring(L, 1, NULL);
  if (command != NULL) return luaL_execresult(L, run(command, &eddy__stop_worker(L)->signals));
  lua_pushboolean(L, 1); /* there is a shell */
  return 1;
}

/* io.popen(command [, mode]) -> as Lua's   [-0, +n, v] */
static int l_popen(lua_State *L) {
  eddy__signals blocked;
  luaL_optstring(L, 1, NULL);
  luaL_optstring(L, 2, NULL);
  luaL_checkstack(L, 4, NULL);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  pthread_sigmask(SIG_SETMASK, &eddy__stop_worker(L)->signals, &blocked);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  pthread_sigmask(SIG_SETMASK, &blocked, NULL);
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

/* [-0, +0, m] */
void eddy__programs_functions(lua_State *L) {
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_pushcfunction(L, l_execute);
  lua_setfield(L, -2, "execute");
  lua_getglobal(L, LUA_IOLIBNAME);
  lua_getfield(L, -1, "popen");
  lua_pushcclosure(L, l_popen, 1);
  lua_setfield(L, -2, "popen");
  lua_pop(L, 2);
}

#endif
