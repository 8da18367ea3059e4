/* SPDX-License-Identifier: MIT */
/*
 * spawn.h - a new process: fork, what the child does, exec.
 * Owns:   children that were forgotten; one list for the process, as children are the process's.
 * Uses:   the system.      Used by: process_options.c.
 * Touch:  with care: the child shares our memory until it has called exec, so it only makes system calls.
 *
 * Not uv_spawn: that leaves all descriptors of the host's that are not close-on-exec open in the child, takes SIGCHLD
 * from the host, and has no process groups.
 */
#ifndef EDDY_IO_SPAWN_H
#define EDDY_IO_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __APPLE__
#include <crt_externs.h>
#define environ (*_NSGetEnviron()) /* a shared library there cannot name it */
#else
extern char **environ;
#endif

typedef struct eddy__spawn {
  const char *const *paths; /* to be tried in their order, NULL ends them */
  char *const *argv;
  char *const *env;         /* NULL: as ours */
  const char *cwd;          /* NULL: ours */
  int fds[3];               /* what is to be its 0, 1, 2 */
  const int *pass;          /* more, under the numbers that they have */
  int npass;
  int64_t uid, gid;         /* -1: ours */
  bool session;             /* of its own, without a terminal */
  bool group;               /* a process group of its own */
  bool blocks_sigint;       /* until it unblocks it itself */
} eddy__spawn;

/* Starts it. Returns 0, or a libuv code, with what has failed ("execve", "chdir", "fork", …) in *syscall. */
int eddy__spawn_start(const eddy__spawn *s, pid_t *pid, const char **syscall);

/* A child that nobody will wait for: it is reaped, once it has ended, when the next one is started. */
void eddy__spawn_forget(pid_t pid);

/* A descriptor that becomes readable when the process ends, or a libuv code where there is no such thing. */
int eddy__spawn_watch(pid_t pid);

/* Sends a signal through that descriptor, which cannot reach another process; 0 or a libuv code. */
int eddy__spawn_signal(int pidfd, int number);

#endif
