/* SPDX-License-Identifier: MIT */
/*
 * datagram_full.c - a datagram socket whose buffer is full, as the system says once, and a finalizer that closes the
 *                   socket while its send is made ready to wait: an OSError, and no second socket.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "check.h"

static bool is_full;

/* In the place of the C library's. */
__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  ssize_t (*real)(int, const struct msghdr *, int);
  *(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
  if (!is_full) return real(fd, message, flags);
  is_full = false;
  errno = EAGAIN;
  return -1;
}

static int l_fill(lua_State *L) {
  (void)L;
  is_full = true;
  return 0;
}

static const char script[] =
  "local eddy = require 'eddy'\n"
  "local near = eddy.open_datagram { local_addr = { '127.0.0.1', 0 } }\n"
  "local far = eddy.open_datagram { local_addr = { '127.0.0.1', 0 } }\n"
  "local host, port = far:sockname()\n"
  "fill()\n"
  "near:send('waits', host, port)\n"
  "assert(far:recv() == 'waits')\n"
  "local send, closed = near.send, false\n"
  "collectgarbage 'generational'\n"
  "collectgarbage()\n"
  "collectgarbage 'stop'\n"
  "setmetatable({}, { __gc = function() near:close() closed = true end })\n"
  "fill()\n"
  "collectgarbage 'restart'\n"
  "local ok, err = pcall(send, near, 'x', host, port)\n"
  "assert(closed and not ok and err.code == 'EBADF', tostring(err))\n"
  "eddy.sleep(0.001)\n"
  "far:close()\n";

int main(void) {
  lua_State *L = new_state();
  eddy_loop *loop = open_loop(L, NULL);
  lua_register(L, "fill", l_fill);
  spawn(loop, L, "=script", script);
  int status = eddy_run(loop, L, 1);
  if (status != EDDY_OK) fprintf(stderr, "%s\n", eddy_error_text(L, 1));
  CHECK_INT(EDDY_OK, status);
  CHECK_INT(EDDY_OK, eddy_close(loop, L));
  lua_close(L);
  return 0;
}
