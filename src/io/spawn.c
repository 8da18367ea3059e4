/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - a new process; see spawn.h.
 * Touch:  with care. Between vfork and exec all signals are blocked and nothing is allocated, locked or left changed.
 *         The child tells by a pipe what has failed; exec closes that, so the end of it means success.
 */
#include "io/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

enum { IN_FORK, IN_SETSID, IN_SETPGID, IN_DUP, IN_CHDIR, IN_SETGID, IN_SETUID, IN_EXEC };
static const char *const stages[] = {"fork", "setsid", "setpgid", "dup", "chdir", "setgid", "setuid", "execve"};

typedef struct failure {
  int stage, error;
} failure;

/* --- in the child -------------------------------------------------------------------------------------------- */

static void fail(int errors, int stage) {
  failure f = {stage, errno};
  size_t told = 0;
  while (told < sizeof f) {
    ssize_t n = write(errors, (char *)&f + told, sizeof f - told);
    if (n > 0) told += (size_t)n;
    if (n < 0 && errno != EINTR) break;
  }
  _exit(127);
}

static int set_inherited(int fd, bool inherited) {
  int flags = fcntl(fd, F_GETFD);
  return flags < 0 ? -1 : fcntl(fd, F_SETFD, inherited ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC);
}

/* All from 3 on are closed by exec, whoever has opened them. */
static void close_on_exec(void) {
#if defined(SYS_close_range)
  if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) == 0) return;
#endif
  long end = sysconf(_SC_OPEN_MAX);
  if (end < 0 || end > 65536) end = 65536;
  for (int fd = STDERR_FILENO + 1; fd < end; fd++) (void)set_inherited(fd, false);
}

/* A shared description may have become non-blocking by us; few programs expect that of their standard files. */
static void make_blocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) != 0) (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

/* Puts the descriptors in their places. Those that stand in the place of another are moved first. */
static void arrange(const eddy__spawn *s, int *errors) {
  int fds[3];
  if (*errors <= STDERR_FILENO) *errors = fcntl(*errors, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  for (int i = 0; i < 3; i++) {
    fds[i] = s->fds[i];
    if (fds[i] == i || fds[i] > STDERR_FILENO) continue;
    fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fds[i] < 0) fail(*errors, IN_DUP);
  }
  close_on_exec();
  for (int i = 0; i < 3; i++) {
    if ((fds[i] == i ? set_inherited(i, true) : dup2(fds[i], i)) < 0 && (fds[i] != i || errno != EBADF))
      fail(*errors, IN_DUP); /* one that we do not have either is not inherited */
    make_blocking(i);
  }
  for (int i = 0; i < s->npass; i++)
    if (set_inherited(s->pass[i], true) < 0) fail(*errors, IN_DUP);
}

/* Signals do what they do by default; what is ignored stays so, as for any program that is started, but SIGPIPE. */
static void reset_signals(bool blocks_sigint) {
  struct sigaction now;
  sigset_t blocked;
  for (int i = 1; i < NSIG; i++) {
    if (i == SIGKILL || i == SIGSTOP || sigaction(i, NULL, &now) != 0 || now.sa_handler == SIG_DFL) continue;
    if (now.sa_handler == SIG_IGN && i != SIGPIPE) continue;
    memset(&now, 0, sizeof now);
    now.sa_handler = SIG_DFL;
    (void)sigaction(i, &now, NULL);
  }
  sigemptyset(&blocked);
  if (blocks_sigint) sigaddset(&blocked, SIGINT);
  (void)sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* The library's setuid would have all threads of the process do it, and these are the parent's. */
#if defined(SYS_setuid32)
#define set_uid(id) syscall(SYS_setuid32, (id))
#define set_gid(id) syscall(SYS_setgid32, (id))
#define set_no_groups() syscall(SYS_setgroups32, 0, NULL)
#elif defined(SYS_setuid) && defined(__linux__)
#define set_uid(id) syscall(SYS_setuid, (id))
#define set_gid(id) syscall(SYS_setgid, (id))
#define set_no_groups() syscall(SYS_setgroups, 0, NULL)
#else
#define set_uid(id) setuid(id)
#define set_gid(id) setgid(id)
#define set_no_groups() setgroups(0, NULL)
#endif

static void change_user(const eddy__spawn *s, int errors) {
  if (s->uid < 0 && s->gid < 0) return;
  (void)set_no_groups(); /* fails without privileges, which then has no effect */
  if (s->gid >= 0 && set_gid((gid_t)s->gid) != 0) fail(errors, IN_SETGID);
  if (s->uid >= 0 && set_uid((uid_t)s->uid) != 0) fail(errors, IN_SETUID);
}

static void become(const eddy__spawn *s, int errors) {
  if (s->session && setsid() < 0) fail(errors, IN_SETSID);
  if (s->group && !s->session && setpgid(0, 0) != 0) fail(errors, IN_SETPGID);
  arrange(s, &errors);
  if (s->cwd != NULL && chdir(s->cwd) != 0) fail(errors, IN_CHDIR);
  change_user(s, errors);
  reset_signals(s->blocks_sigint);
  int error = ENOENT;
  bool is_search = s->paths[0] != NULL && s->paths[1] != NULL;
  for (const char *const *path = s->paths; *path != NULL; path++) {
    execve(*path, s->argv, s->env != NULL ? s->env : environ);
    bool is_absent = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
    if (!is_absent && errno != EACCES) { /* it is there, and cannot be run */
      error = errno;
      break;
    }
    if (errno == EACCES || (!is_search && is_absent)) error = errno;
  }
  errno = error;
  fail(errors, IN_EXEC);
}

/* --- children that were forgotten ---------------------------------------------------------------------------- */

typedef struct forgotten {
  struct forgotten *next;
  pid_t pid;
} forgotten;

static _Atomic(forgotten *) all_forgotten;

static void push(forgotten *f) {
  f->next = atomic_load(&all_forgotten);
  while (!atomic_compare_exchange_weak(&all_forgotten, &f->next, f)) continue;
}

void eddy__spawn_forget(pid_t pid) {
  forgotten *f = malloc(sizeof *f);
  if (f == NULL) return; /* it is a zombie until we end */
  f->pid = pid;
  push(f);
}

static void reap_forgotten(void) {
  if (atomic_load(&all_forgotten) == NULL) return;
  forgotten *next, *f = atomic_exchange(&all_forgotten, NULL); /* ours now, whoever else comes */
  for (; f != NULL; f = next) {
    next = f->next;
    if (waitpid(f->pid, NULL, WNOHANG) == 0)
      push(f);
    else
      free(f);
  }
}

/* --- in the parent ------------------------------------------------------------------------------------------- */

/* What the child has said before it ended, or that exec has closed its pipe. Returns 0 or a libuv code. */
static int read_failure(int errors, pid_t pid, const char **syscall_name) {
  failure f = {0, 0};
  size_t heard = 0;
  while (heard < sizeof f) {
    ssize_t n = read(errors, (char *)&f + heard, sizeof f - heard);
    if (n > 0) heard += (size_t)n;
    if (n == 0 || (n < 0 && errno != EINTR)) return 0;
  }
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  *syscall_name = stages[f.stage];
  return -f.error;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wclobbered" /* the child changes nothing that the parent looks at */
#endif

int eddy__spawn_start(const eddy__spawn *s, pid_t *pid, const char **syscall_name) {
  int errors[2];
  sigset_t all, before;
  *syscall_name = "fork";
  reap_forgotten();
  int rc = uv_pipe(errors, 0, 0);
  if (rc < 0) return rc;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  /* Not posix_spawn: it neither sets ids, nor closes what others have left open, nor tells which step has failed. */
  pid_t child = vfork();                   // NOLINT(clang-analyzer-security.insecureAPI.vfork)
  if (child == 0) become(s, errors[1]);    // NOLINT(clang-analyzer-unix.Vfork): signals are blocked, see above
  rc = child < 0 ? -errno : 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(errors[1]);
  if (rc == 0) rc = read_failure(errors[0], child, syscall_name);
  close(errors[0]);
  *pid = child;
  return rc;
}

int eddy__spawn_watch(pid_t pid) {
#if defined(SYS_pidfd_open) && defined(SYS_pidfd_send_signal) && !defined(EDDY_WITHOUT_PIDFD)
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  return fd < 0 ? -errno : fd;
#else
  (void)pid;
  return UV_ENOSYS;
#endif
}

int eddy__spawn_signal(int pidfd, int number) {
#if defined(SYS_pidfd_open) && defined(SYS_pidfd_send_signal) && !defined(EDDY_WITHOUT_PIDFD)
  return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) == 0 ? 0 : -errno;
#else
  (void)pidfd, (void)number;
  return UV_ENOSYS;
#endif
}
