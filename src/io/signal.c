/* SPDX-License-Identifier: MIT */
/*
 * signal.c - signals as something to wait for; see signal.h.
 * Touch:  freely. libuv's callbacks fill rings and wake tasks; the names are taken by the tasks.
 */
#include "io/signal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "core/callback.h"
#include "core/disposition.h"
#include "core/select.h"
#include "io/handle.h"
#include "io/park.h"

static const eddy__type type_signals = {"Signals"};

typedef struct listener {
  eddy__handle handle; /* first */
  uv_async_t uv;
  eddy__catcher catcher;
  eddy__callback *callback; /* of a handler; NULL: it is an iterator */
  eddy__list tasks, watchers;
} listener;

/* --- names --------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  int number;
} names[] = {
  {"SIGINT", SIGINT},
  {"SIGTERM", SIGTERM},
  {"SIGABRT", SIGABRT},
  {"SIGFPE", SIGFPE},
  {"SIGILL", SIGILL},
  {"SIGSEGV", SIGSEGV},
#ifdef SIGHUP
  {"SIGHUP", SIGHUP},
#endif
#ifdef SIGKILL
  {"SIGKILL", SIGKILL},
#endif
#ifdef SIGWINCH
  {"SIGWINCH", SIGWINCH},
#endif
#ifdef SIGBREAK
  {"SIGBREAK", SIGBREAK},
#endif
#ifndef _WIN32
  {"SIGQUIT", SIGQUIT},
  {"SIGTRAP", SIGTRAP},
  {"SIGBUS", SIGBUS},
  {"SIGUSR1", SIGUSR1},
  {"SIGUSR2", SIGUSR2},
  {"SIGPIPE", SIGPIPE},
  {"SIGALRM", SIGALRM},
  {"SIGCHLD", SIGCHLD},
  {"SIGCONT", SIGCONT},
  {"SIGSTOP", SIGSTOP},
  {"SIGTSTP", SIGTSTP},
  {"SIGTTIN", SIGTTIN},
  {"SIGTTOU", SIGTTOU},
  {"SIGURG", SIGURG},
  {"SIGXCPU", SIGXCPU},
  {"SIGXFSZ", SIGXFSZ},
  {"SIGVTALRM", SIGVTALRM},
  {"SIGPROF", SIGPROF},
  {"SIGSYS", SIGSYS},
#endif
#ifdef SIGIO
  {"SIGIO", SIGIO},
#endif
#ifdef SIGPWR
  {"SIGPWR", SIGPWR},
#endif
#ifdef SIGINFO
  {"SIGINFO", SIGINFO},
#endif
};

const char *eddy__signal_name(int number) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].number == number) return names[i].name;
  return NULL;
}

/* [-0, +0, v] */
int eddy__signal_check(lua_State *L, int arg) {
  if (lua_type(L, arg) == LUA_TNUMBER) {
    lua_Integer number = eddy__check_integer(L, arg);
    eddy__arg_check(L, number > 0 && number < EDDY_SIGNALS, arg, "no number of a signal");
    return (int)number;
  }
  if (lua_type(L, arg) != LUA_TSTRING) eddy__arg_expected(L, arg, "name of a signal");
  size_t size;
  const char *name = lua_tolstring(L, arg, &size);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i].name, name) == 0 && strlen(name) == size) return names[i].number;
  return eddy__arg_error(L, arg, lua_pushfstring(L, "unknown signal '%s'", name));
}

/* The same for one that a program can be told of and go on.   [-0, +0, v] */
static int check_catchable(lua_State *L, int arg) {
  static const int faults[] = {SIGFPE, SIGILL, SIGSEGV,
#ifndef _WIN32
                               SIGKILL, SIGSTOP, SIGBUS,
#endif
                               0};
  int number = eddy__signal_check(L, arg);
  for (int i = 0; faults[i] != 0; i++)
    if (faults[i] == number)
      eddy__arg_error(L, arg, lua_pushfstring(L, "%s cannot be handled", eddy__signal_name(number)));
  return number;
}

/* Pushes the name, or the number of one that has none.   [-0, +1, m] */
static void push_signal(lua_State *L, int number) {
  const char *name = eddy__signal_name(number);
  if (name != NULL)
    lua_pushstring(L, name);
  else
    lua_pushinteger(L, number);
}

/* --- libuv's side -------------------------------------------------------------------------------------------- */

/* Something was caught. */
static void on_caught(uv_async_t *uv) {
  listener *l = uv->data;
  if (l->callback != NULL) {
    while (eddy__catch_take(&l->catcher) != 0) eddy__callback_event(l->callback, true);
    return;
  }
  for (unsigned n = atomic_load(&l->catcher.count); n > 0; n--) {
    eddy__task *task = eddy__park_first(&l->tasks);
    if (task == NULL) break;
    eddy__task_wake_from(task, l);
  }
  eddy__select_tell(&l->watchers);
}

static void on_closing(eddy__handle *h) {
  listener *l = (listener *)h;
  eddy__catch_end(&l->catcher);
  if (l->callback != NULL) eddy__callback_cancel(l->callback);
  l->callback = NULL;
  for (eddy__task *t; (t = eddy__park_first(&l->tasks)) != NULL;) eddy__task_wake_from(t, l);
  eddy__select_tell(&l->watchers);
}

/* "signals SIGHUP, SIGTERM" */
static void describe(const eddy__handle *h, char *text, size_t size) {
  const listener *l = (const listener *)h;
  size_t used = (size_t)snprintf(text, size, "signals");
  const char *comma = " ";
  for (int i = 1; i < EDDY_SIGNALS && used < size; i++) {
    if (!l->catcher.wanted[i]) continue;
    const char *name = eddy__signal_name(i);
    if (name != NULL)
      used += (size_t)snprintf(text + used, size - used, "%s%s", comma, name);
    else
      used += (size_t)snprintf(text + used, size - used, "%s%d", comma, i);
    comma = ", ";
  }
}

static void release(eddy__handle *h) {
  eddy__list_clear(&((listener *)h)->watchers);
  free(h);
}

static const eddy__handle_kind kind_listener = {describe, on_closing, NULL, release};

/* --- birth and death ----------------------------------------------------------------------------------------- */

/* A listener that listens to nothing yet, and the userdata that owns it.   [-0, +1, v] */
static listener *new_listener(lua_State *L, eddy__loop *loop) {
  listener **box = eddy__object_new(L, &type_signals, sizeof *box, 0);
  listener *l = calloc(1, sizeof *l);
  if (l == NULL) eddy__raise(L, UV_ENOMEM, "listen to signals");
  *box = l;
  eddy__handle_init(&l->handle, &kind_listener, loop, (uv_handle_t *)&l->uv);
  eddy__place_of_caller(L, l->handle.opened_at, sizeof l->handle.opened_at);
  eddy__list_init(&l->tasks);
  eddy__list_init(&l->watchers);
  l->catcher.async = &l->uv;
  int rc = uv_async_init(loop->uv, &l->uv, on_caught);
  if (rc < 0) eddy__raise(L, rc, "listen to signals");
  eddy__handle_opened(&l->handle);
  return l;
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  listener **box = eddy__object_test(L, 1, &type_signals), *l = box == NULL ? NULL : *box;
  if (l == NULL) return 0;
  *box = NULL;
  eddy__handle_drop(L, &l->handle);
  return 0;
}

static bool is_closed(const listener *l) { return l->handle.is_closing || !l->handle.is_open; }

/* --- eddy.signals -------------------------------------------------------------------------------------------- */

/* [-0, +0, v] */
static listener *check(lua_State *L) {
  listener **box = eddy__object_check(L, 1, &type_signals);
  eddy__arg_check(L, *box != NULL, 1, "it was collected");
  return *box;
}

/* [-0, +0, -] */
static listener *at(lua_State *L, int idx) { return *(listener **)lua_touserdata(L, idx); }

/* eddy.signals(name, ...) -> Signals, and what a for loop wants beside it   [-0, +4, v] */
static int l_signals(lua_State *L) {
  int n = lua_gettop(L);
  check_catchable(L, 1);
  for (int i = 2; i <= n; i++) check_catchable(L, i);
  eddy__loop *loop = eddy__loop_running(L, "signals");
  luaL_checkstack(L, 8, NULL);
  listener *l = new_listener(L, loop);
  for (int i = 1; i <= n; i++) {
    int rc = eddy__catch(&l->catcher, eddy__signal_check(L, i));
    if (rc == 0) continue;
    eddy__handle_close(&l->handle);
    return eddy__raise(L, rc, "listen to signals");
  }
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -3);
  return 4;
}

/* Takes the signal that came first, if one has. The name is made before, as that may raise; a finalizer that runs
 * meanwhile may take the signal.   [-0, +(0|1), m] */
static int take(lua_State *L, listener *l) {
  luaL_checkstack(L, 1, NULL);
  for (int number; (number = eddy__catch_first(&l->catcher)) != 0; lua_pop(L, 1)) {
    push_signal(L, number);
    if (eddy__catch_first(&l->catcher) != number) continue;
    eddy__catch_take(&l->catcher);
    return 1;
  }
  return 0;
}

static const eddy__wait wait_signal = {"signals", eddy__park_cancel, true};

static int k_next(lua_State *L, int status, lua_KContext ctx);

/* [-0, +1, y] */
static int take_or_wait(lua_State *L, listener *l, eddy__task *task) {
  if (is_closed(l)) return 0;
  if (take(L, l)) return 1;
  task->waits_for = l;
  return eddy__park(L, task, &l->tasks, &wait_signal, k_next);
}

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx, *next;
  listener *l = eddy__handle_again(L, 1, task);
  if (eddy__wake_cancelled(task) && atomic_load(&l->catcher.count) > 0 && (next = eddy__park_first(&l->tasks)) != NULL)
    eddy__task_wake_from(next, l); /* it was woken for a signal that it will not take */
  eddy__wake_check(L, task);
  return take_or_wait(L, l, task);
}

/* signals() or signals:next() -> name, or nil when it is closed   [-0, +1, y] */
static int l_next(lua_State *L) {
  listener *l = check(L);
  eddy__task *task = eddy__running_on(L, l->handle.loop, "next");
  lua_settop(L, 1);
  return take_or_wait(L, l, task);
}

/* signals:next_nowait() -> name, or nil when none has come   [-0, +1, v] */
static int l_next_nowait(lua_State *L) {
  listener *l = check(L);
  return is_closed(l) ? 0 : take(L, l);
}

/* signals:close(): the signals are as before; twice is fine   [-0, +0, v] */
static int l_close(lua_State *L) {
  eddy__handle_close(&check(L)->handle);
  return 0;
}

/* "<Signals SIGHUP, SIGTERM>"   [-0, +1, v] */
static int l_tostring(lua_State *L) {
  listener *l = check(L);
  char text[EDDY_TEXT_SIZE];
  if (is_closed(l)) {
    lua_pushliteral(L, "<Signals closed>");
    return 1;
  }
  describe(&l->handle, text, sizeof text);
  lua_pushfstring(L, "<S%s>", text + 1);
  return 1;
}

/* [-0, +0, -] */
static bool is_ready(lua_State *L, int idx) {
  const listener *l = at(L, idx);
  return l == NULL || atomic_load(&l->catcher.count) > 0 || is_closed(l);
}

/* [-0, +0, v] */
static eddy__list *watch(lua_State *L, int idx) { return &at(L, idx)->watchers; }

/* --- loop:add_signal_handler --------------------------------------------------------------------------------- */

/* Pushes the loop's table of handlers, boxes by numbers.   [-0, +1, m] */
static void push_handlers(lua_State *L, eddy__loop *loop) {
  eddy__loop_push_part(L, loop, "signal_handlers");
}

/* loop:add_signal_handler(signal, f, ...): replaces the one that is there   [-0, +0, v] */
static int l_add_signal_handler(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  int number = check_catchable(L, 2);
  eddy__check_function(L, 3);
  luaL_checkstack(L, 8, NULL);
  push_handlers(L, loop);
  lua_insert(L, 3); /* loop, number, handlers, f, ... */
  listener *l = new_listener(L, loop);
  l->handle.is_quiet = true;
  lua_insert(L, 4);
  eddy__callback *callback = eddy__callback_new(L, loop, 5); /* loop, number, handlers, box, callback */
  l->callback = callback;
  eddy__callback_repeat(callback);
  int rc = eddy__catch(&l->catcher, number);
  if (rc < 0) {
    eddy__handle_close(&l->handle);
    return eddy__raise(L, rc, "add_signal_handler");
  }
  lua_rawgeti(L, 3, number);
  listener **old = eddy__object_test(L, -1, &type_signals);
  lua_pushvalue(L, 4);
  lua_rawseti(L, 3, number);
  if (old != NULL && *old != NULL) eddy__handle_close(&(*old)->handle);
  return 0;
}

/* loop:remove_signal_handler(signal) -> whether there was one   [-0, +1, v] */
static int l_remove_signal_handler(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  int number = eddy__signal_check(L, 2);
  push_handlers(L, loop);
  lua_rawgeti(L, -1, number);
  listener **box = eddy__object_test(L, -1, &type_signals);
  if (box != NULL && *box != NULL) eddy__handle_close(&(*box)->handle);
  lua_pushnil(L);
  lua_rawseti(L, -3, number);
  lua_pushboolean(L, box != NULL);
  return 1;
}

/* [-0, +0, m] */
void eddy__signal_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {
    {"next", l_next}, {"next_nowait", l_next_nowait}, {"close", l_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__call", l_next},
                                  {"__close", l_close},
                                  {"__gc", l_gc},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg of_loops[] = {{"add_signal_handler", l_add_signal_handler},
                                      {"remove_signal_handler", l_remove_signal_handler},
                                      {NULL, NULL}};
  static const luaL_Reg functions[] = {{"signals", l_signals}, {NULL, NULL}};
  static const eddy__selectable selectable = {is_ready, watch, "next_nowait", NULL};
  eddy__object_type(L, &type_signals, NULL, methods, meta, lua_gettop(L) - 1);
  eddy__selectable_set(L, &selectable);
  lua_pop(L, 1);
  eddy__loop_methods(L, rt, of_loops);
  eddy__runtime_functions(L, rt, functions);
}
