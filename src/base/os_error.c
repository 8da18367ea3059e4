/* SPDX-License-Identifier: MIT */
/*
 * os_error.c - the OSError of a libuv code: its fields, and the sentence that tells it.
 * Owns:   nothing.
 * Uses:   error.h, which declares it; libuv's names of codes.      Used by: every room that calls libuv.
 * Touch:  freely; a system call that is no verb is one line in `verbs`.
 */
#include <string.h>
#include <uv.h>

#include "base/error.h"

/* libuv's getaddrinfo codes are its own numbers; all others are the negated errno.   [-0, +0, m] */
static void set_code(lua_State *L, int rc) {
  char text[64];
  uv_err_name_r(rc, text, sizeof text);
  lua_pushstring(L, text);
  lua_setfield(L, -2, "code");
  lua_pushinteger(L, -(lua_Integer)rc);
  lua_setfield(L, -2, "errno");
}

/* What a sentence says for a system call that is no verb.   [-0, +0, -] */
static const char *verb_of(const char *syscall) {
  static const char *const verbs[][2] = {{"getaddrinfo", "look up"},
                                         {"getnameinfo", "look up"},
                                         {"socket", "make a socket for"},
                                         {"fsync", "sync"},
                                         {"scandir", "read the directory"},
                                         {"rmdir", "remove the directory"},
                                         {"chdir", "change to"},
                                         {"execve", "run"},
                                         {"listen", "listen at"},
                                         {"bind", "bind to"},
                                         {"connect", "connect to"},
                                         {"accept", "accept from"}};
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (strcmp(verbs[i][0], syscall) == 0) return verbs[i][1];
  return syscall;
}

/* "cannot open 'x': no such file or directory (ENOENT)"   [-0, +1, m] */
void eddy__os_error_push(lua_State *L, int rc, const char *syscall, const char *field,
                         const char *subject) {
  char code[64], reason[160];
  uv_err_name_r(rc, code, sizeof code);
  uv_strerror_r(rc, reason, sizeof reason);
  const char *verb = verb_of(syscall);
  if (subject != NULL)
    lua_pushfstring(L, "cannot %s '%s': %s (%s)", verb, subject, reason, code);
  else
    lua_pushfstring(L, "cannot %s: %s (%s)", verb, reason, code);
  eddy__error_wrap(L, EDDY_E_OS);
  set_code(L, rc);
  lua_pushstring(L, syscall);
  lua_setfield(L, -2, "syscall");
  if (subject != NULL) {
    lua_pushstring(L, subject);
    lua_setfield(L, -2, field);
  }
}

/* [-0, +0, v] */
int eddy__raise(lua_State *L, int rc, const char *syscall) {
  eddy__os_error_push(L, rc, syscall, NULL, NULL);
  lua_error(L);
}

/* [-0, +0, v] */
int eddy__raise_about(lua_State *L, int rc, const char *syscall, const char *field,
                      const char *subject) {
  eddy__os_error_push(L, rc, syscall, field, subject);
  lua_error(L);
}
