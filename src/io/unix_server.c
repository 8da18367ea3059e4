/* SPDX-License-Identifier: MIT */
/*
 * unix_server.c - eddy.start_unix_server: a server at a path.
 * Owns:   the socket's file, until the server stops listening.
 * Uses:   server.h, listen.h, pipe.h.      Used by: io.c.
 * Touch:  with care: only our own file may be removed, so it is compared by device and inode with the one we made.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "io/pipe.h"
#include "io/server.h"

typedef struct settings {
  eddy__unix name;
  eddy__tcp_options stream;
  size_t max;
  int backlog;
  int mode; /* of the file; -1: as the umask says */
} settings;

/* --- the file ------------------------------------------------------------------------------------------------ */

/* Whether it is the file of a socket at which nobody listens any more. */
static bool is_stale(const eddy__unix *name, const struct sockaddr_un *a, socklen_t size) {
  struct stat st;
  if (name->name[0] == '\0' || lstat(a->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode)) return false;
  int fd = eddy__socket_open(AF_UNIX);
  if (fd < 0) return false;
  int rc = connect(fd, (const struct sockaddr *)a, size) < 0 ? -errno : 0;
  close(fd);
  return rc == UV_ECONNREFUSED;
}

/* Binds and listens. Returns 0 or a libuv code, and in *syscall what failed; the file is noted in st. */
static int set_up(int fd, const settings *o, struct stat *st, const char **syscall) {
  struct sockaddr_un a;
  socklen_t size = eddy__unix_address(&o->name, &a);
  bool has_file = o->name.name[0] != '\0';
  *syscall = "bind";
  int rc = bind(fd, (struct sockaddr *)&a, size) < 0 ? -errno : 0;
  if (rc == UV_EADDRINUSE && is_stale(&o->name, &a, size)) {
    if (unlink(a.sun_path) < 0 && errno != ENOENT) return -errno;
    rc = bind(fd, (struct sockaddr *)&a, size) < 0 ? -errno : 0;
  }
  if (rc < 0) return rc;
  if (has_file && lstat(a.sun_path, st) < 0) return -errno;
  *syscall = "chmod";
  if (has_file && o->mode >= 0 && chmod(a.sun_path, (mode_t)o->mode) < 0) rc = -errno;
  *syscall = rc == 0 ? "listen" : "chmod";
  if (rc == 0 && listen(fd, o->backlog) < 0) rc = -errno;
  if (rc < 0 && has_file) unlink(a.sun_path);
  return rc;
}

/* The server takes no more connections: its file goes, if it is still there. */
static void on_stopped(eddy__acceptor *acceptor, eddy__listener *l) {
  (void)l;
  const eddy__server *s = (const eddy__server *)acceptor;
  struct stat st;
  if (s->path[0] == '\0' || lstat(s->path, &st) < 0) return;
  if ((uint64_t)st.st_dev == s->file_dev && (uint64_t)st.st_ino == s->file_ino) unlink(s->path);
}

/* --- the server ---------------------------------------------------------------------------------------------- */

/* [-0, +1, m] */
static int adopt(lua_State *L, eddy__server *s, eddy__accepted *c, eddy__stream **made) {
  eddy__pipe *p = eddy__pipe_new(L, s->loop, "Unix connection", s->options.limit);
  *made = &p->stream;
  int rc = eddy__pipe_take(p, c->fd);
  if (rc == 0) c->fd = -1;
  return rc;
}

/* [-0, +0, v] */
static void check_settings(lua_State *L, settings *o) {
  static const char *const options[] = {"backlog", "limit", "max_connections", "mode", NULL};
  memset(o, 0, sizeof *o);
  eddy__check_function(L, 1);
  eddy__unix_check(L, 2, &o->name);
  eddy__check_options(L, 3, options);
  o->backlog = (int)eddy__option_integer(L, 3, "backlog", 1, INT_MAX, 1024);
  o->max = (size_t)eddy__option_integer(L, 3, "max_connections", 1, INT_MAX, INT_MAX);
  o->mode = (int)eddy__option_integer(L, 3, "mode", 0, 0777, -1);
  o->stream.limit = (size_t)eddy__option_integer(L, 3, "limit", 1, (lua_Integer)1 << 40, EDDY_INPUT_LIMIT);
}

/* eddy.start_unix_server(handler, path, options) -> Server   [-0, +1, v] */
static int l_start_unix_server(lua_State *L) {
  settings o;
  struct stat st;
  char text[EDDY_UNIX_SIZE + 2];
  const char *syscall = "socket";
  eddy__listener *l;
  check_settings(L, &o);
  eddy__task *task = eddy__running(L, "start_unix_server");
  lua_settop(L, 3);
  memset(&st, 0, sizeof st);
  eddy__server *s = eddy__server_new(L, task->future.loop, 1, adopt, &o.stream, o.max);
  eddy__unix_text(&o.name, text, sizeof text);
  int rc = eddy__socket_open(AF_UNIX), fd = rc;
  if (fd >= 0) rc = set_up(fd, &o, &st, &syscall);
  if (rc < 0) {
    if (fd >= 0) close(fd);
    eddy__server_close(s);
    return eddy__raise_about(L, rc, syscall, "path", text);
  }
  memcpy(s->path, o.name.name, o.name.size);
  s->path_size = o.name.size;
  s->file_dev = (uint64_t)st.st_dev;
  s->file_ino = (uint64_t)st.st_ino;
  s->acceptor.on_stopped = on_stopped;
  rc = eddy__listener_adopt(&l, s->loop, &s->acceptor, fd, text);
  if (rc == 0) {
    eddy__server_add(s, l);
    return 1;
  }
  on_stopped(&s->acceptor, NULL);
  eddy__server_close(s);
  return eddy__raise_about(L, rc, "listen", "path", text);
}

/* [-0, +0, m] */
void eddy__unix_server_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"start_unix_server", l_start_unix_server}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
}
