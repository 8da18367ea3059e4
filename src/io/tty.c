/* SPDX-License-Identifier: MIT */
/*
 * tty.c - what a terminal adds to a standard stream: its size, raw mode.
 * Owns:   the mode that a terminal had before, for the end of the process: the one thing of a process that is here.
 * Uses:   stdio.h.      Used by: stdio.c.
 * Touch:  freely. The mode is the terminal's, not the stream's: it is set back when the stream is closed, the loop ends
 *         or the process exits, whichever is first.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "io/stdio.h"

/* The terminal that is in raw mode. Written by the thread that has set `is_taken`. */
static struct {
  atomic_flag is_taken;
  int fd;
  struct termios before;
} raw = {.is_taken = ATOMIC_FLAG_INIT, .fd = -1};

static int set(int fd, const struct termios *t) {
  int rc;
  do rc = tcsetattr(fd, TCSADRAIN, t) < 0 ? -errno : 0;
  while (rc == UV_EINTR);
  return rc;
}

static void on_exit_(void) {
  if (raw.fd >= 0) (void)set(raw.fd, &raw.before);
}

/* Returns 0 or a libuv code: EBUSY if another terminal of this process is raw. */
static int make_raw(eddy__stdio *s) {
  static atomic_flag has_handler = ATOMIC_FLAG_INIT;
  struct termios t;
  if (s->is_raw) return 0;
  if (tcgetattr(s->number, &t) < 0) return -errno;
  if (atomic_flag_test_and_set(&raw.is_taken)) return UV_EBUSY;
  if (!atomic_flag_test_and_set(&has_handler)) (void)atexit(on_exit_);
  raw.before = t;
  t.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
  t.c_oflag |= ONLCR;
  t.c_cflag |= CS8;
  t.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
  t.c_cc[VMIN] = 1;
  t.c_cc[VTIME] = 0;
  raw.fd = s->number;
  int rc = set(s->number, &t);
  s->is_raw = true;
  if (rc < 0) eddy__tty_restore(s);
  return rc;
}

void eddy__tty_restore(eddy__stdio *s) {
  if (!s->is_raw) return;
  s->is_raw = false;
  (void)set(raw.fd, &raw.before);
  raw.fd = -1;
  atomic_flag_clear(&raw.is_taken);
}

/* stream:isatty() -> boolean   [-0, +1, v] */
int eddy__tty_l_isatty(lua_State *L) {
  const eddy__stdio *s = eddy__stdio_check(L, 1);
  lua_pushboolean(L, !s->is_ended && isatty(s->number));
  return 1;
}

/* stream:winsize() -> columns, rows   [-0, +2, v] */
int eddy__tty_l_winsize(lua_State *L) {
  const eddy__stdio *s = eddy__stdio_check(L, 1);
  struct winsize w;
  if (s->is_ended) return eddy__stream_raise_closed(L, &s->stream, "winsize");
  if (ioctl(s->number, TIOCGWINSZ, &w) < 0) return eddy__raise(L, -errno, "winsize");
  lua_pushinteger(L, w.ws_col);
  lua_pushinteger(L, w.ws_row);
  return 2;
}

/* stream:set_mode("raw" or "normal") -> stream   [-0, +1, v] */
int eddy__tty_l_set_mode(lua_State *L) {
  eddy__stdio *s = eddy__stdio_check(L, 1);
  if (lua_type(L, 2) != LUA_TSTRING) return eddy__arg_expected(L, 2, "string");
  bool is_raw = eddy__arg_is(L, 2, "raw");
  if (!is_raw && !eddy__arg_is(L, 2, "normal"))
    return eddy__arg_error(L, 2, "\"raw\" or \"normal\" expected");
  if (s->is_ended) return eddy__stream_raise_closed(L, &s->stream, "set_mode");
  if (!isatty(s->number)) return eddy__raise(L, UV_ENOTTY, "set_mode");
  int rc = is_raw ? make_raw(s) : 0;
  if (!is_raw) eddy__tty_restore(s);
  if (rc < 0) return eddy__raise(L, rc, "set_mode");
  lua_settop(L, 1);
  return 1;
}
