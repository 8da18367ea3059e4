/* SPDX-License-Identifier: MIT */
/*
 * read_faults.c - reads from a stream while one allocation after the other fails, of Lua's, ours and the system's: that
 *                 read fails, and the next one gets what has come, although the system has told of it already.
 * Uses:   spec/torture/fault.h. The linker lets recv fail here.
 */
#include <errno.h>
#include <sys/socket.h>

#include "faults.h"

static const char *const script =
  "local eddy, arm, disarm = ...\n"
  "eddy.run(function()\n"
  "  local come = eddy.Queue()\n"
  "  local server <close> = eddy.start_server(function(conn) come:put(conn) conn:wait_closed() end, '127.0.0.1', 0)\n"
  "  local held, failed = {}, 0\n"
  "  for i = 1, 40 do\n" /* blocks, so that the next one is malloc's */
  "    local near, far = eddy.stream_pair()\n"
  "    far:write(('x'):rep(3000))\n"
  "    near:read(1)\n"
  "    held[i] = { near, far }\n"
  "  end\n"
  "  for what = 1, 3 do\n"
  "    local n, happened = 0, true\n"
  "    while happened do\n"
  "      n = n + 1\n"
  "      local here <close> = eddy.open_connection(server:address())\n"
  "      local there <close> = come:get()\n"
  "      there:write('a line\\n')\n"
  "      eddy.sleep(0.002)\n"
  "      arm(what, n)\n"
  "      local ok, got = pcall(here.read, here, 'l')\n"
  "      happened = disarm()\n"
  "      if not ok then\n"
  "        assert(happened, got)\n"
  "        assert(got == 'not enough memory' or got.code == 'ENOMEM', got)\n"
  "        failed = failed + 1\n"
  "        got = eddy.wait_for(here.read, 5, here, 'l')\n"
  "      end\n"
  "      assert(got == 'a line')\n"
  "    end\n"
  "  end\n"
  "  assert(failed >= 2, failed)\n"
  "  for _, pair in ipairs(held) do\n"
  "    pair[1]:abort()\n"
  "    pair[2]:abort()\n"
  "  end\n"
  "end)\n";

static bool recv_fails, recv_failed;

ssize_t __real_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags) {
  if (!recv_fails) return __real_recv(fd, bytes, size, flags);
  recv_fails = false;
  recv_failed = true;
  errno = ENOMEM;
  return -1;
}

static int l_arm(lua_State *L) {
  if (luaL_checkinteger(L, 1) == 3) {
    recv_fails = luaL_checkinteger(L, 2) == 1;
    recv_failed = false;
    return 0;
  }
  return faults_arm(L);
}

static int l_disarm(lua_State *L) {
  fault_disarm();
  lua_pushboolean(L, fault.happened || recv_failed);
  fault.happened = recv_failed = false;
  return 1;
}

int main(void) { return faults_run(script, l_arm, l_disarm); }
