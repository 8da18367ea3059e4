/* SPDX-License-Identifier: MIT */
/*
 * io.c - the door of src/io; see io.h.
 * Touch:  freely.
 */
#include "io/io.h"

#include <signal.h>
#ifndef _WIN32
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#endif

#include "io/dns.h"
#include "io/fs.h"
#include "io/pipe.h"
#include "io/poller.h"
#include "io/process.h"
#include "io/server.h"
#include "io/signal.h"
#include "io/stdio.h"
#include "io/stream_pair.h"
#include "io/tcp.h"
#include "io/udp.h"
#include "io/unix.h"

#ifdef SIGPIPE
static void on_sigpipe(int signal) { (void)signal; }
#endif

/* A peer that is gone is an error of the write, not the end of the process. A handler, not SIG_IGN, as programs that
 * are started would inherit that; a disposition of the host's stays. */
static void survive_sigpipe(void) {
#ifdef SIGPIPE
  struct sigaction now;
  if (sigaction(SIGPIPE, NULL, &now) < 0 || now.sa_handler != SIG_DFL) return;
  now.sa_handler = on_sigpipe;
  now.sa_flags = SA_RESTART;
  sigaction(SIGPIPE, &now, NULL);
#endif
}

/* Standard files that are closed are opened, on nothing: else the next socket would get such a number, what is printed
 * would go there, and libuv aborts when it is to close it. */
static void hold_standard_files(void) {
#ifndef _WIN32
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0) return;
#endif
}

/* [-0, +0, m] */
void eddy__io_room(lua_State *L, eddy__runtime *rt) {
  hold_standard_files();
  survive_sigpipe();
  eddy__dns_room(L, rt);
  eddy__tcp_room(L, rt);
  eddy__connect_room(L, rt);
  eddy__pipe_room(L, rt);
  eddy__stdio_room(L, rt);
  eddy__stream_pair_room(L, rt);
  eddy__unix_connect_room(L, rt);
  eddy__unix_server_room(L, rt);
  eddy__server_room(L, rt);
  eddy__fs_room(L, rt);
  eddy__file_room(L, rt);
  eddy__signal_room(L, rt);
  eddy__poller_room(L, rt);
  eddy__process_room(L, rt);
  eddy__udp_room(L, rt);
}
