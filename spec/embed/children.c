/* SPDX-License-Identifier: MIT */
/*
 * children.c - a host that has children of its own and a handler for SIGCHLD: both live beside eddy's processes. So
 * does a host that ignores SIGCHLD, and one that reaps whatever it finds.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static const char work[] =
  "local eddy = require 'eddy'\n"
  "local codes = {}\n"
  "for i = 1, 20 do codes[i] = eddy.create_task(function()\n"
  "  return eddy.create_subprocess_shell('exit ' .. i):wait()\n"
  "end) end\n"
  "local sum = 0\n"
  "for _, code in ipairs(eddy.gather(codes)) do sum = sum + code end\n"
  "return sum\n";

static const char with_signals[] =
  "local eddy = require 'eddy'\n"
  "local signals <close> = eddy.signals('SIGCHLD')\n"
  "local process = eddy.create_subprocess_shell('exit 5')\n"
  "assert(signals() == 'SIGCHLD')\n"
  "return process:wait()\n";

static atomic_int told;

static void on_child(int number) {
  (void)number;
  told++;
}

static void reap_all(int number) {
  (void)number;
  int saved = errno;
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  errno = saved;
}

static long long run(const char *code) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=work", code);
  if (eddy_run(loop, L, 1) != EDDY_OK) check_failed("work", 0, eddy_error_text(L, 1));
  long long result = lua_tointeger(L, -1);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
  return result;
}

static void set_handler(void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  CHECK_INT(0, sigaction(SIGCHLD, &action, NULL));
}

static void check_handler(void (*handler)(int)) {
  struct sigaction now;
  sigaction(SIGCHLD, NULL, &now);
  CHECK(now.sa_handler == handler);
}

int main(void) {
  int status;
  set_handler(on_child);
  pid_t own = fork();
  if (own == 0) _exit(7);
  CHECK_INT(210, run(work));
  check_handler(on_child);
  CHECK(told > 0);
  CHECK_INT(own, waitpid(own, &status, 0)); /* eddy has reaped its own only */
  CHECK_INT(7, WEXITSTATUS(status));
  told = 0;
  CHECK_INT(5, run(with_signals));
  CHECK(told > 0);
  check_handler(on_child);

  set_handler(SIG_IGN); /* children are reaped by the system: nobody knows how they ended */
  CHECK_INT(255 * 20, run(work));
  check_handler(SIG_IGN);
  set_handler(reap_all);
  CHECK(run(work) > 0); /* it ends */
  check_handler(reap_all);
  return 0;
}
