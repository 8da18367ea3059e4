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

enum { NUMBERS = 128, RING = 256, MAX_LISTENED = 64, RING_FULL = RING - MAX_LISTENED };

typedef struct listener {
  eddy__keeper keeper; /* in loop->handles while anything is open */
  eddy__loop *loop;
  eddy__callback *callback; /* of a handler; NULL: it is an iterator */
  bool is_closing, is_dropped;
  uint8_t ring[RING];       /* numbers of signals that have come, in their order */
  unsigned first, count;
  uint8_t waiting[NUMBERS]; /* how many of each are in the ring */
  eddy__list tasks, watchers;
  char opened_at[EDDY_PLACE_SIZE];
  int n, open; /* handles; those that libuv has */
  uv_signal_t uv[];
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
    eddy__arg_check(L, number > 0 && number < NUMBERS, arg, "no number of a signal");
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

static void keep(listener *l, int number) {
  if (l->count == RING || (l->count >= RING_FULL && l->waiting[number] > 0)) return;
  l->ring[(l->first + l->count++) % RING] = (uint8_t)number;
  l->waiting[number]++;
}

static void on_signal(uv_signal_t *uv, int number) {
  listener *l = uv->data;
  if (l->is_closing) return;
  if (l->callback != NULL) {
    eddy__callback_event(l->callback, true);
    return;
  }
  keep(l, number);
  eddy__task *task = eddy__park_first(&l->tasks);
  if (task != NULL) eddy__task_wake_from(task, l);
  eddy__select_tell(&l->watchers);
}

static void on_closed(uv_handle_t *uv) {
  listener *l = uv->data;
  if (--l->open > 0) return;
  eddy__list_remove(&l->keeper.link);
  if (l->is_dropped) free(l);
}

static void close_all(listener *l) {
  if (l->is_closing) return;
  l->is_closing = true;
  if (l->callback != NULL) eddy__callback_cancel(l->callback);
  l->callback = NULL;
  for (int i = 0, n = l->open; i < n; i++) {
    eddy__disposition_stop(&l->uv[i]);
    uv_close((uv_handle_t *)&l->uv[i], on_closed);
  }
  for (eddy__task *t; (t = eddy__park_first(&l->tasks)) != NULL;) eddy__task_wake_from(t, l);
  eddy__select_tell(&l->watchers);
}

/* "signals SIGHUP, SIGTERM" */
static void write_name(const listener *l, char *text, size_t size) {
  size_t used = (size_t)snprintf(text, size, "signals");
  for (int i = 0; i < l->n && used < size; i++) {
    const char *name = eddy__signal_name(l->uv[i].signum); /* 0 once it is closed */
    if (name != NULL) used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? " " : ", ", name);
  }
}

/* [-0, +0, -] */
static void warn(lua_State *L, const listener *l) {
  char text[EDDY_TEXT_SIZE];
  if (l->is_closing || l->callback != NULL) return;
  write_name(l, text, sizeof text);
  eddy__warn_unclosed(L, text, l->opened_at);
}

/* The loop ends. */
static void on_teardown(eddy__keeper *keeper) {
  listener *l = eddy__container_of(keeper, listener, keeper);
  warn(l->loop->rt->main, l);
  close_all(l);
}

static void describe(const eddy__keeper *keeper, char *text, size_t size) {
  const listener *l = eddy__container_of(keeper, listener, keeper);
  char name[EDDY_TEXT_SIZE];
  write_name(l, name, sizeof name);
  snprintf(text, size, "<%s opened at %s>", name, l->opened_at);
}

/* --- birth and death ----------------------------------------------------------------------------------------- */

/* A listener without handles, with room for n, and the userdata that owns it.   [-0, +1, m] */
static listener *new_listener(lua_State *L, eddy__loop *loop, int n) {
  listener **box = eddy__object_new(L, &type_signals, sizeof *box, 1);
  listener *l = calloc(1, sizeof *l + (size_t)n * sizeof(uv_signal_t));
  if (l == NULL) eddy__raise(L, UV_ENOMEM, "listen to signals");
  *box = l;
  l->loop = loop;
  l->keeper.close = on_teardown;
  l->keeper.describe = describe;
  eddy__list_init(&l->keeper.link);
  eddy__list_init(&l->tasks);
  eddy__list_init(&l->watchers);
  eddy__place_of_caller(L, l->opened_at, sizeof l->opened_at);
  return l;
}

/* Has libuv listen. Returns 0, or its code, and then the rest is as before. */
static int listen_to(listener *l, int number) {
  uv_signal_t *uv = &l->uv[l->n];
  int rc = uv_signal_init(l->loop->uv, uv);
  if (rc < 0) return rc;
  uv->data = l;
  if (l->open == 0) eddy__list_push(&l->loop->handles, &l->keeper.link);
  l->n++;
  l->open++;
  return eddy__disposition_start(uv, on_signal, number);
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  listener **box = eddy__object_test(L, 1, &type_signals), *l = box == NULL ? NULL : *box;
  if (l == NULL) return 0;
  *box = NULL;
  l->is_dropped = true;
  if (l->open > 0) {
    warn(L, l);
    close_all(l);
  } else {
    free(l);
  }
  return 0;
}

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
  eddy__signal_check(L, 1);
  eddy__arg_check(L, n <= MAX_LISTENED, MAX_LISTENED + 1, "too many signals");
  for (int i = 1; i <= n; i++) check_catchable(L, i);
  eddy__loop *loop = eddy__loop_running(L, "signals");
  luaL_checkstack(L, 8, NULL);
  listener *l = new_listener(L, loop, n);
  for (int i = 1; i <= n; i++) {
    int number = eddy__signal_check(L, i), rc = 0;
    bool again = false; /* named twice is listened to once */
    for (int k = 0; k < l->n; k++) again = again || l->uv[k].signum == number;
    if (!again) rc = listen_to(l, number);
    if (rc == 0) continue;
    close_all(l);
    return eddy__raise(L, rc, "listen to signals");
  }
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -3);
  return 4;
}

/* Takes the signal that came first.   [-0, +1, m] */
static int take(lua_State *L, listener *l) {
  int number = l->ring[l->first];
  push_signal(L, number);
  l->first = (l->first + 1) % RING;
  l->count--;
  l->waiting[number]--;
  return 1;
}

static const eddy__wait wait_signal = {"signals", eddy__park_cancel};

static int k_next(lua_State *L, int status, lua_KContext ctx);

/* [-0, +1, y] */
static int take_or_wait(lua_State *L, listener *l, eddy__task *task) {
  if (l->is_closing) return 0;
  if (l->count > 0) return take(L, l);
  task->waits_for = l;
  return eddy__park(L, task, &l->tasks, &wait_signal, k_next);
}

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx, *next;
  listener *l = at(L, 1);
  if (eddy__wake_cancelled(task) && l->count > 0 && (next = eddy__park_first(&l->tasks)) != NULL)
    eddy__task_wake_from(next, l); /* it was woken for a signal that it will not take */
  eddy__wake_check(L, task);
  return take_or_wait(L, l, task);
}

/* signals() or signals:next() -> name, or nil when it is closed   [-0, +1, y] */
static int l_next(lua_State *L) {
  listener *l = check(L);
  eddy__task *task = eddy__running_on(L, l->loop, "next");
  lua_settop(L, 1);
  return take_or_wait(L, l, task);
}

/* signals:next_nowait() -> name, or nil when none has come   [-0, +1, v] */
static int l_next_nowait(lua_State *L) {
  listener *l = check(L);
  return l->is_closing || l->count == 0 ? 0 : take(L, l);
}

/* signals:close(): the signals are as before; twice is fine   [-0, +0, v] */
static int l_close(lua_State *L) {
  close_all(check(L));
  return 0;
}

/* "<Signals SIGHUP, SIGTERM>"   [-0, +1, v] */
static int l_tostring(lua_State *L) {
  listener *l = check(L);
  char text[EDDY_TEXT_SIZE];
  if (l->is_closing) {
    lua_pushliteral(L, "<Signals closed>");
    return 1;
  }
  write_name(l, text, sizeof text);
  lua_pushfstring(L, "<S%s>", text + 1);
  return 1;
}

/* [-0, +0, -] */
static bool is_ready(lua_State *L, int idx) {
  const listener *l = at(L, idx);
  return l->count > 0 || l->is_closing;
}

/* [-0, +0, v] */
static eddy__list *watch(lua_State *L, int idx) { return &at(L, idx)->watchers; }

/* --- loop:add_signal_handler --------------------------------------------------------------------------------- */

/* Pushes the loop's table of handlers, boxes by numbers.   [-0, +1, m] */
static void push_handlers(lua_State *L, eddy__loop *loop) {
  eddy__loop_push_table(L, loop);
  if (lua_getfield(L, -1, "signal_handlers") != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "signal_handlers");
  }
  lua_remove(L, -2);
}

/* loop:add_signal_handler(signal, f, ...): replaces the one that is there   [-0, +0, v] */
static int l_add_signal_handler(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  int number = check_catchable(L, 2);
  eddy__check_function(L, 3);
  luaL_checkstack(L, 8, NULL);
  push_handlers(L, loop);
  lua_insert(L, 3); /* loop, number, handlers, f, ... */
  listener *l = new_listener(L, loop, 1);
  lua_insert(L, 4);
  eddy__callback *callback = eddy__callback_new(L, loop, 5); /* loop, number, handlers, box, callback */
  l->callback = callback;
  eddy__callback_repeat(callback);
  int rc = listen_to(l, number);
  if (rc < 0) {
    close_all(l);
    return eddy__raise(L, rc, "add_signal_handler");
  }
  lua_rawgeti(L, 3, number);
  listener **old = eddy__object_test(L, -1, &type_signals);
  lua_pushvalue(L, 4);
  lua_rawseti(L, 3, number);
  if (old != NULL && *old != NULL) close_all(*old);
  return 0;
}

/* loop:remove_signal_handler(signal) -> whether there was one   [-0, +1, v] */
static int l_remove_signal_handler(lua_State *L) {
  eddy__loop *loop = eddy__loop_check(L, 1);
  int number = eddy__signal_check(L, 2);
  push_handlers(L, loop);
  lua_rawgeti(L, -1, number);
  listener **box = eddy__object_test(L, -1, &type_signals);
  if (box != NULL && *box != NULL) close_all(*box);
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
  static const eddy__selectable selectable = {is_ready, watch, "next_nowait"};
  eddy__object_type(L, &type_signals, NULL, methods, meta, lua_gettop(L) - 1);
  eddy__selectable_set(L, &selectable);
  lua_pop(L, 1);
  eddy__loop_methods(L, rt, of_loops);
  eddy__runtime_functions(L, rt, functions);
}
