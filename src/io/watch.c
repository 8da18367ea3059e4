/* SPDX-License-Identifier: MIT */
/*
 * watch.c - eddy.fs.watch: what changes in a directory, or of a file; see fs.h.
 * Owns:   eddy__watch in malloc'd memory, with the events that nobody has taken yet.
 * Uses:   handle.h, park.h.      Used by: fs.c.
 * Touch:  freely. An event that waits to be taken already is not added again, so a task that is slow costs memory for
 *         each name that changes, not for each change. An event leaves the queue with the results that tell of it.
 */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "io/fs.h"
#include "io/handle.h"
#include "io/operation.h"
#include "io/park.h"

enum { BUCKETS = 64 };

typedef struct event {
  struct event *next, *chain; /* in the queue; in its bucket */
  unsigned hash;
  bool is_rename;
  char name[];
} event;

typedef struct watch {
  eddy__handle handle;
  uv_fs_event_t uv;
  eddy__list waiters;
  event *first, **last;
  event *buckets[BUCKETS];
  int error; /* told once, after the events before it */
  char path[];
} watch;

static const eddy__type type_watch = {"Watch"};

/* --- the queue ----------------------------------------------------------------------------------------------- */

static unsigned hash_of(const char *name, bool is_rename) {
  unsigned h = is_rename ? 5381 : 33;
  for (; *name != '\0'; name++) h = h * 33 + (unsigned char)*name;
  return h;
}

static bool is_queued(const watch *w, unsigned hash, const char *name, bool is_rename) {
  for (const event *e = w->buckets[hash % BUCKETS]; e != NULL; e = e->chain)
    if (e->hash == hash && e->is_rename == is_rename && strcmp(e->name, name) == 0) return true;
  return false;
}

static void add(watch *w, const char *name, bool is_rename) {
  unsigned hash = hash_of(name, is_rename);
  if (is_queued(w, hash, name, is_rename)) return;
  event *e = malloc(sizeof *e + strlen(name) + 1);
  if (e == NULL) {
    w->error = UV_ENOMEM;
    return;
  }
  *e = (event){NULL, w->buckets[hash % BUCKETS], hash, is_rename};
  memcpy(e->name, name, strlen(name) + 1);
  w->buckets[hash % BUCKETS] = e;
  *w->last = e;
  w->last = &e->next;
}

static void drop_first(watch *w) {
  event *e = w->first, **place = &w->buckets[e->hash % BUCKETS];
  w->first = e->next;
  if (w->first == NULL) w->last = &w->first;
  while (*place != e) place = &(*place)->chain;
  *place = e->chain;
  free(e);
}

static void wake_one(watch *w) {
  eddy__task *task = eddy__park_first(&w->waiters);
  if (task != NULL) eddy__task_wake(task, EDDY_WAKE_NORMAL);
}

static void on_event(uv_fs_event_t *uv, const char *name, int events, int status) {
  watch *w = eddy__container_of(uv, watch, uv);
  if (status < 0) w->error = status;
  if (name == NULL) name = ""; /* some systems do not tell */
  if (status == 0 && events & UV_RENAME) add(w, name, true);
  if (status == 0 && events & UV_CHANGE) add(w, name, false);
  wake_one(w);
}

/* --- the handle ---------------------------------------------------------------------------------------------- */

static void describe(const eddy__handle *h, char *text, size_t size) {
  snprintf(text, size, "watch of %s", eddy__container_of(h, watch, handle)->path);
}

static void on_closing(eddy__handle *h) {
  eddy__park_wake_all(&eddy__container_of(h, watch, handle)->waiters);
}

static void release(eddy__handle *h) {
  watch *w = eddy__container_of(h, watch, handle);
  while (w->first != NULL) drop_first(w);
  free(w);
}

static const eddy__handle_kind kind = {describe, on_closing, NULL, release};

/* --- the iterator -------------------------------------------------------------------------------------------- */

/* [-0, +0, v] */
static watch *check(lua_State *L) {
  watch **box = eddy__object_check(L, 1, &type_watch);
  eddy__arg_check(L, *box != NULL, 1, "the watch was collected");
  return *box;
}

static void cancel_watch(eddy__task *task, eddy__cancelling *request) { eddy__park_cancel(task, request); }

static int k_next(lua_State *L, int status, lua_KContext ctx);

/* Gives the first event, or waits for one. The watch is at 1.   [-0, +(0|2), y] */
static int next_event(lua_State *L, watch *w, eddy__task *task) {
  static const eddy__wait wait = {"watch", cancel_watch, true};
  event *e = w->first;
  if (w->handle.is_closing || !w->handle.is_open) return 0;
  if (e != NULL) {
    lua_pushstring(L, e->name);
    lua_pushstring(L, e->is_rename ? "rename" : "change");
    if (w->first != e) { /* a finalizer has taken it, or has closed the watch */
      lua_pop(L, 2);
      return next_event(L, w, task);
    }
    drop_first(w);
    if (w->first != NULL || w->error < 0) wake_one(w);
    return 2;
  }
  if (w->error < 0) {
    int rc = w->error;
    w->error = 0;
    return eddy__raise_about(L, rc, "watch", "path", w->path);
  }
  return eddy__park(L, task, &w->waiters, &wait, k_next);
}

static int k_next(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  watch *w = eddy__handle_again(L, 1, task);
  if (eddy__wake_cancelled(task) && (w->first != NULL || w->error < 0)) wake_one(w);
  eddy__wake_check(L, task);
  return next_event(L, w, task);
}

/* watch() -> name, "change"|"rename"; nothing once it is closed   [-0, +(0|2), y] */
static int l_next(lua_State *L) {
  watch *w = check(L);
  lua_settop(L, 1);
  if (w->handle.is_closing || !w->handle.is_open) return 0;
  return next_event(L, w, eddy__running_on(L, w->handle.loop, "watch"));
}

/* watch:close(), the end of the scope   [-0, +0, v] */
static int l_close(lua_State *L) {
  eddy__handle_close(&check(L)->handle);
  return 0;
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  watch **box = eddy__object_test(L, 1, &type_watch), *w = box == NULL ? NULL : *box;
  if (w == NULL) return 0;
  *box = NULL;
  eddy__handle_drop(L, &w->handle);
  return 0;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  watch *w = check(L);
  bool is_open = w->handle.is_open && !w->handle.is_closing;
  lua_pushfstring(L, "<Watch %s%s>", w->path, is_open ? "" : ", closed");
  return 1;
}

/* eddy.fs.watch(path) -> Watch, nil, nil, Watch   [-0, +4, v] */
static int l_watch(lua_State *L) {
  size_t size = strlen(eddy__check_path(L, 1)) + 1;
  eddy__loop *loop = eddy__loop_running(L, "watch");
  lua_settop(L, 1);
  watch **box = eddy__object_new(L, &type_watch, sizeof *box, 0), *w = calloc(1, sizeof *w + size);
  if (w == NULL) return eddy__raise_about(L, UV_ENOMEM, "watch", "path", lua_tostring(L, 1));
  *box = w;
  memcpy(w->path, lua_tostring(L, 1), size);
  w->last = &w->first;
  eddy__list_init(&w->waiters);
  eddy__handle_init(&w->handle, &kind, loop, (uv_handle_t *)&w->uv);
  eddy__place_of_caller(L, w->handle.opened_at, EDDY_PLACE_SIZE);
  int rc = uv_fs_event_init(loop->uv, &w->uv);
  if (rc == 0) eddy__handle_opened(&w->handle);
  if (rc == 0) rc = uv_fs_event_start(&w->uv, on_event, w->path, 0);
  if (rc < 0) {
    w->handle.is_quiet = true;
    eddy__handle_close(&w->handle);
    return eddy__raise_about(L, rc, "watch", "path", w->path);
  }
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, 2);
  return 4;
}

/* [-0, +0, m] */
void eddy__watch_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"watch", l_watch}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"close", l_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__call", l_next}, {"__close", l_close}, {"__gc", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
  eddy__runtime_push(L);
  eddy__object_type(L, &type_watch, NULL, methods, meta, lua_gettop(L));
  lua_pop(L, 2);
}
