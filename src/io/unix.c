/* SPDX-License-Identifier: MIT */
/*
 * unix.c - the name of a Unix socket; see unix.h.
 * Touch:  freely.
 */
#include "io/unix.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/args.h"

/* [-0, +0, v] */
void eddy__unix_check(lua_State *L, int arg, eddy__unix *u) {
  size_t size;
  if (lua_type(L, arg) != LUA_TSTRING) eddy__arg_expected(L, arg, "string");
  const char *name = lua_tolstring(L, arg, &size);
  eddy__arg_check(L, size > 0, arg, "the path is empty");
  bool is_abstract = name[0] == '\0';
#ifndef __linux__
  eddy__arg_check(L, !is_abstract, arg, "only Linux has abstract names");
#endif
  eddy__arg_check(L, !is_abstract || size > 1, arg, "the abstract name is empty");
  eddy__arg_check(L, is_abstract || memchr(name, '\0', size) == NULL, arg, "the path contains a zero byte");
  size_t longest = is_abstract ? EDDY_UNIX_SIZE : EDDY_UNIX_SIZE - 1;
  if (size > longest)
    eddy__arg_error(L, arg,
                    lua_pushfstring(L, "the path has %I bytes; the longest that a socket can have is %I",
                                    (LUAI_UACINT)size, (LUAI_UACINT)longest));
  u->size = (unsigned short)size;
  memcpy(u->name, name, size);
}

socklen_t eddy__unix_address(const eddy__unix *u, struct sockaddr_un *a) {
  memset(a, 0, sizeof *a);
  a->sun_family = AF_UNIX;
  memcpy(a->sun_path, u->name, u->size);
  size_t closing = u->name[0] != '\0'; /* a path has its zero */
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + u->size + closing);
}

static void take(eddy__unix *u, const struct sockaddr_un *a, socklen_t size) {
  size_t head = offsetof(struct sockaddr_un, sun_path);
  u->size = 0;
  if (size <= head || size > sizeof *a || a->sun_family != AF_UNIX) return;
  size_t n = size - head;
  if (a->sun_path[0] != '\0') n = strnlen(a->sun_path, n);
  u->size = (unsigned short)n;
  memcpy(u->name, a->sun_path, n);
}

void eddy__unix_names(int fd, eddy__unix *local, eddy__unix *peer) {
  struct sockaddr_un a;
  socklen_t size = sizeof a;
  local->size = peer->size = 0;
  memset(&a, 0, sizeof a);
  if (getsockname(fd, (struct sockaddr *)&a, &size) == 0) take(local, &a, size);
  size = sizeof a;
  if (getpeername(fd, (struct sockaddr *)&a, &size) == 0) take(peer, &a, size);
}

void eddy__unix_text(const eddy__unix *u, char *text, size_t size) {
  if (u->size == 0)
    snprintf(text, size, "?");
  else if (u->name[0] == '\0')
    snprintf(text, size, "@%.*s", u->size - 1, u->name + 1);
  else
    snprintf(text, size, "%.*s", u->size, u->name);
}

/* [-0, +(0|1), m] */
int eddy__unix_push(lua_State *L, const eddy__unix *u) {
  if (u->size == 0) return 0;
  lua_pushlstring(L, u->name, u->size);
  return 1;
}
