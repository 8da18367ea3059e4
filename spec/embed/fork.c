/* SPDX-License-Identifier: MIT */
/*
 * fork.c - a host that forks while a loop of eddy's is open: the child may open a loop of its own, in a state of its
 * own, and whatever it does, the parent's goes on.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer ends a child that starts threads, unless it is asked not to. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0"; }
#endif

/* An echo in the loop, one step of it for each call of `more`: it tells how many bytes have come back. */
static const char echo[] =
  "local eddy = require 'eddy'\n"
  "local server = eddy.start_server(function(conn)\n"
  "  for data in conn:lines(4096) do conn:write(data) end\n"
  "end, '127.0.0.1', 0)\n"
  "local conn = eddy.open_connection(server:address())\n"
  "local signals = eddy.signals('SIGUSR1')\n"
  "local sum = 0\n"
  "for i = 1, 20 do\n"
  "  conn:write(('x'):rep(1000))\n"
  "  fork(i)\n"
  "  sum = sum + #conn:read_exactly(1000)\n"
  "  sum = sum + #eddy.fs.read_file('/proc/self/stat') * 0\n"
  "end\n"
  "signals:close() conn:close() server:close() server:wait_closed()\n"
  "return sum\n";

static const char in_child[] =
  "local eddy = require 'eddy'\n"
  "local reader, writer = eddy.pipe()\n"
  "writer:write('from the child'):close()\n"
  "local text = reader:read('a')\n"
  "reader:close()\n"
  "assert(text == 'from the child')\n"
  "assert(#eddy.fs.read_file('/proc/self/cmdline') > 0)\n"
  "assert(#eddy.getaddrinfo('localhost', 80) > 0)\n"
  "assert(eddy.create_subprocess_shell('exit 4'):wait() == 4)\n"
  "local signals <close> = eddy.signals('SIGUSR1')\n"
  "eddy.create_subprocess_shell('kill -USR1 $PPID'):wait()\n"
  "assert(signals() == 'SIGUSR1')\n"
  "eddy.sleep(0.001)\n"
  "return 7\n";

static int run(const char *code) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=child", code);
  if (eddy_run(loop, L, 1) != EDDY_OK) check_failed("child", 0, eddy_error_text(L, 1));
  int result = (int)lua_tointeger(L, -1);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
  return result;
}

/* The first children work, the others just end. */
static int l_fork(lua_State *L) {
  int status, i = (int)luaL_checkinteger(L, 1);
  pid_t child = fork();
  if (child == 0) _exit(i <= 5 ? run(in_child) : 7);
  CHECK(child > 0);
  CHECK_INT(child, waitpid(child, &status, 0));
  CHECK(WIFEXITED(status));
  CHECK_INT(7, WEXITSTATUS(status));
  return 0;
}

int main(void) {
  lua_State *L = new_state();
  lua_register(L, "fork", l_fork);
  eddy_loop *loop = open_loop(L, NULL);
  spawn(loop, L, "=parent", echo);
  if (eddy_run(loop, L, 1) != EDDY_OK) check_failed("parent", 0, eddy_error_text(L, 1));
  CHECK_INT(20000, lua_tointeger(L, -1));
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
  return 0;
}
