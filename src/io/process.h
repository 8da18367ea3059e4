/* SPDX-License-Identifier: MIT */
/*
 * process.h - child processes: their end, signals to them, their streams.
 * Owns:   eddy__process, in malloc'd memory that libuv and a userdata share; the child, until it is reaped.
 * Uses:   handle.h, park.h, spawn.h, signal.h, core/disposition.h.      Used by: io.c, process_options.c.
 * Touch:  with care. A child is reaped in one place, check_end; its number is nobody's after that, and no signal is
 *         sent to it. A child that nobody holds any more goes on, and is reaped when it ends.
 *
 * Three files: process.c (life, methods), process_options.c (what is to be started), spawn.c (fork and exec).
 * communicate and eddy.exec are Lua: lua/eddy/process.lua.
 */
#ifndef EDDY_IO_PROCESS_H
#define EDDY_IO_PROCESS_H

#include <sys/types.h>

#include "core/disposition.h"
#include "io/handle.h"
#include "io/stream.h"

enum { EDDY_PROCESS_TEXT = 48 };

/* User values of a Process: the streams, or nil. */
enum { EDDY_UV_STDIN = 1, EDDY_UV_STDOUT, EDDY_UV_STDERR, EDDY_UV_PROCESS = EDDY_UV_STDERR };

typedef struct eddy__process {
  eddy__handle handle; /* first; open until the child was reaped */
  union {
    uv_poll_t poll;   /* on pidfd */
    uv_async_t async; /* sent by the catcher: of SIGCHLD, where there is no pidfd */
  } uv;
  int pidfd; /* -1: none */
  eddy__catcher catcher;
  pid_t pid;
  bool has_ended, is_lost; /* lost: somebody else has reaped it */
  bool is_detached, leads_group;
  bool ends_group;         /* what is left of the group is killed when the child ends */
  int returncode;
  eddy__list waiters;
  void (*end_of_loop)(eddy__keeper *keeper); /* the handle's own */
  char name[EDDY_PROCESS_TEXT];
} eddy__process;

/* A new process that is not started, with the userdata that owns it. `name` is for texts.   [-0, +1, v] */
eddy__process *eddy__process_new(lua_State *L, eddy__loop *loop, const char *name);

/* The child was started: watches it. Cannot fail. */
void eddy__process_started(eddy__process *p, pid_t pid);

/* eddy.create_subprocess_exec, eddy.create_subprocess_shell, eddy.environ (process_options.c) */
int eddy__process_l_exec(lua_State *L);
int eddy__process_l_shell(lua_State *L);
int eddy__process_l_environ(lua_State *L);

void eddy__process_room(lua_State *L, eddy__runtime *rt);

#endif
