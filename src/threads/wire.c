/* SPDX-License-Identifier: MIT */
/*
 * wire.c - values as strings of bytes, for lua/eddy/process_pool.lua and the worker at the other end of its pipes.
 * Uses:   move.h, call.h.      Used by: threads.c.
 * Touch:  freely. `eddy._wire` is not for scripts: what it unpacks may hold byte code, which Lua does not check.
 */
#include <lauxlib.h>
#include <string.h>

#ifndef _WIN32
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#endif

#include "base/args.h"
#include "base/error.h"
#include "threads/call.h"
#include "threads/executor.h"
#include "threads/stop.h"

static const eddy__type type_box = {"eddy.parcel"};

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__parcel **box = eddy__object_test(L, 1, &type_box);
  if (box == NULL) return 0;
  eddy__parcel_free(*box);
  *box = NULL;
  return 0;
}

/* _wire.pack(kind, who, ...) -> the values as a string; kind: "call", "results", "error"   [-0, +1, v] */
static int l_pack(lua_State *L) {
  static const char *const kinds[] = {"call", "results", "error", NULL};
  static const int hows[] = {EDDY_PACK_CALL, EDDY_PACK_RESULTS, EDDY_PACK_ERROR};
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  int how = hows[luaL_checkoption(L, 1, NULL, kinds)];
  const char *who = luaL_checkstring(L, 2), *body;
  char head[EDDY_WIRE_HEAD];
  size_t size;
  int n = lua_gettop(L) - 2;
  luaL_Buffer b;
  luaL_checkstack(L, 8, NULL);
  eddy__object_type(L, &type_box, NULL, NULL, meta, 0);
  eddy__parcel **box = eddy__object_new(L, &type_box, sizeof *box, 0);
  *box = eddy__parcel_pack(L, 3, n, who, how | EDDY_PACK_PROCESS);
  eddy__parcel_head(*box, head, &body, &size);
  luaL_buffinitsize(L, &b, sizeof head + size);
  luaL_addlstring(&b, head, sizeof head);
  luaL_addlstring(&b, body, size);
  luaL_pushresult(&b);
  return 1;
}

/* The parcel for the head at 1, its room at *body.   [-0, +0, v] */
static eddy__parcel *receive(lua_State *L, char **body, size_t *size) {
  size_t length;
  eddy__parcel *parcel;
  const char *head = luaL_checklstring(L, 1, &length);
  eddy__arg_check(L, length == EDDY_WIRE_HEAD, 1, "no head");
  int rc = eddy__parcel_receive(head, EDDY_TRUST_CODE, &parcel, body, size);
  if (rc == UV_EINVAL) eddy__error_throw(L, EDDY_E_RUNTIME, "what has come from a worker is damaged");
  if (rc < 0) eddy__raise(L, rc, "receive");
  return parcel;
}

/* _wire.size(head) -> how many bytes follow   [-0, +1, v] */
static int l_size(lua_State *L) {
  char *body;
  size_t size;
  eddy__parcel_free(receive(L, &body, &size));
  lua_pushinteger(L, (lua_Integer)size);
  return 1;
}

/* _wire.unpack(head, body) -> the values   [-0, +n, e] */
static int l_unpack(lua_State *L) {
  char *body;
  size_t size, length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  eddy__parcel *parcel = receive(L, &body, &size);
  if (length != size) {
    eddy__parcel_free(parcel);
    return eddy__arg_error(L, 2, "not as long as the head says");
  }
  memcpy(body, bytes, size);
  return eddy__parcel_unpack(L, parcel);
}

/* _wire.note(err, who, traceback): the error that is about to be raised here comes from a call in another process
 *   [-0, +0, m] */
static int l_note(lua_State *L) {
  luaL_checkany(L, 1);
  const char *who = luaL_checkstring(L, 2), *text = luaL_checkstring(L, 3);
  eddy__task *task = eddy__runtime_of(L)->current;
  lua_pushvalue(L, 1);
  if (task != NULL) eddy__call_note(L, task, who, "process", text);
  return 0;
}

#ifdef _WIN32

static int l_watch(lua_State *L) {
  (void)L;
  return 0;
}

#else

enum { LAST_SECONDS = 1 }; /* that a worker has to end by itself */

/* Sleeps until nobody can write to the pipe any more: the pool has gone, whatever its worker computes. */
static void watch(void *fd) {
  struct pollfd pipe = {.fd = (int)(intptr_t)fd};
  while (poll(&pipe, 1, -1) < 0 && (errno == EINTR || errno == EAGAIN)) continue;
  sleep(LAST_SECONDS);
  _exit(0);
}

/* _wire.watch(fd): in a worker process: it ends, whatever it does, soon after the other end of the pipe was closed.
 * And SIGINT may come, which was blocked from the spawn on.   [-0, +0, v] */
static int l_watch(lua_State *L) {
  uv_thread_t thread;
  eddy__signals before;
  void *fd = (void *)(intptr_t)luaL_checkinteger(L, 1);
  eddy__stop_block_signals(&before);
  int rc = uv_thread_create(&thread, watch, fd);
  eddy__stop_restore_signals(&before);
  if (rc < 0) return eddy__raise(L, rc, "start a thread");
  pthread_detach(thread);
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);
  return 0;
}

#endif

/* [-0, +0, m] */
void eddy__wire_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"pack", l_pack},
                                       {"size", l_size},
                                       {"unpack", l_unpack},
                                       {"note", l_note},
                                       {"watch", l_watch},
                                       {NULL, NULL}};
  lua_newtable(L);
  eddy__runtime_functions(L, rt, functions);
  lua_pushinteger(L, EDDY_WIRE_HEAD);
  lua_setfield(L, -2, "HEAD");
  lua_pushinteger(L, (lua_Integer)uv_available_parallelism());
  lua_setfield(L, -2, "CPUS");
  lua_setfield(L, -2, "_wire");
}
