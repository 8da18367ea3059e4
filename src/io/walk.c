/* SPDX-License-Identifier: MIT */
/*
 * walk.c - eddy.fs.walk: the directories of a tree, from the top down; see fs.h.
 * Owns:   the iterator, a userdata, and the descriptor of the top, which is closed when the walk is over.
 * Uses:   operation.h, tree.h.      Used by: fs.c.
 * Touch:  with care. One directory is one job. Where to go next is a table of Lua: the paths beneath the top that are
 *         still to be seen, the next one last. A directory leaves it with its result, so a walk that is cancelled has
 *         lost none.
 */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "io/fs.h"
#include "io/operation.h"
#include "io/tree.h"

/* The top is shared with the job under way, which may outlive the walk. */
typedef struct top {
  int fd, references;
  eddy__operation *op; /* under way, or NULL */
} top;

typedef struct walk {
  top *top; /* NULL: over */
  bool follow;
} walk;

/* User values of a walk. */
enum { SLOT_PATH = 1, SLOT_PENDING, SLOT_BELOW, SLOT_DIRS, SLOT_ON_ERROR, SLOT_COUNT = SLOT_ON_ERROR };

static const eddy__type type_walk = {"Walk"};

static void let_go(top *t) {
  if (--t->references > 0) return;
#ifndef _WIN32
  if (t->fd >= 0) eddy__fs_close(t->fd);
#endif
  free(t);
}

static void end(walk *w) {
  if (w->top != NULL) let_go(w->top);
  w->top = NULL;
}

/* --- where to go --------------------------------------------------------------------------------------------- */

/* Adds the directories that the loop's body has left in the list of the last step, the first of them to come next. The
 * walk is at 1.   [-0, +0, m] */
static void go_below(lua_State *L) {
  if (lua_getiuservalue(L, 1, SLOT_DIRS) != LUA_TTABLE) {
    lua_pop(L, 1);
    return;
  }
  int dirs = lua_gettop(L);
  lua_getiuservalue(L, 1, SLOT_PENDING);
  lua_getiuservalue(L, 1, SLOT_BELOW);
  const char *below = lua_tostring(L, -1);
  lua_Integer n = (lua_Integer)lua_rawlen(L, dirs + 1);
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, dirs); i > 0; i--) {
    if (lua_rawgeti(L, dirs, i) == LUA_TSTRING) {
      lua_pushfstring(L, "%s%s%s", below, *below == '\0' ? "" : "/", lua_tostring(L, -1));
      lua_rawseti(L, dirs + 1, ++n);
    }
    lua_pop(L, 1);
  }
  lua_settop(L, dirs - 1);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, SLOT_DIRS);
}

/* Pushes the directory that is next beneath the top, or returns false.   [-0, +(0|1), -] */
static bool push_next(lua_State *L) {
  lua_getiuservalue(L, 1, SLOT_PENDING);
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  if (n > 0) lua_rawgeti(L, -1, n);
  lua_remove(L, n > 0 ? -2 : -1);
  return n > 0;
}

/* It has been seen.   [-0, +0, -] */
static void drop_next(lua_State *L) {
  lua_getiuservalue(L, 1, SLOT_PENDING);
  lua_pushnil(L);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2));
  lua_pop(L, 1);
}

/* Pushes the path of `below`.   [-0, +1, m] */
static const char *push_path(lua_State *L, const char *below) {
  lua_getiuservalue(L, 1, SLOT_PATH);
  size_t n;
  const char *path = lua_tolstring(L, -1, &n);
  bool bare = *below == '\0' || (n > 0 && path[n - 1] == '/');
  const char *text = lua_pushfstring(L, "%s%s%s", path, bare ? "" : "/", below);
  lua_remove(L, -2);
  return text;
}

/* --- one step ------------------------------------------------------------------------------------------------ */

static int step(lua_State *L);

static int k_told(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_settop(L, 1);
  return step(L);
}

/* A directory that could not be read: one that has gone, or is a link by now, is passed over.   [-0, +n, y] */
static int pass_over(lua_State *L, eddy__operation *op) {
  int rc = op->rc;
  bool is_top = *op->other == '\0';
  bool has_gone = rc == UV_ENOENT || rc == UV_ENOTDIR || rc == UV_ELOOP;
  drop_next(L);
  if (has_gone && !is_top) {
    eddy__request_end(&op->job.request);
    lua_settop(L, 1);
    return step(L);
  }
  eddy__os_error_push(L, rc, "scandir", "path", push_path(L, op->other));
  if (lua_getiuservalue(L, 1, SLOT_ON_ERROR) == LUA_TNIL) {
    lua_pop(L, 1);
    return lua_error(L);
  }
  lua_insert(L, -2);
  eddy__request_end(&op->job.request);
  lua_callk(L, 1, 0, 0, k_told);
  return k_told(L, LUA_OK, 0);
}

/* Pushes the lists of directories and of all else.   [-0, +2, m] */
static void push_lists(lua_State *L, const eddy__operation *op) {
  lua_Integer ndirs = 0, nfiles = 0;
  lua_newtable(L);
  lua_newtable(L);
  for (const char *p = op->data, *end = p + op->size; p < end; p += strlen(p + 2) + 3) {
    bool down = p[1] != 0;
    lua_pushstring(L, p + 2);
    lua_rawseti(L, down ? -3 : -2, down ? ++ndirs : ++nfiles);
  }
}

static int finish_step(lua_State *L, eddy__operation *op) {
  if (op->rc < 0) return pass_over(L, op);
  push_path(L, op->other);
  push_lists(L, op);
  drop_next(L);
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, 1, SLOT_DIRS);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, SLOT_BELOW);
  eddy__request_end(&op->job.request);
  return 3;
}

static void work_step(eddy__operation *op) {
  eddy__entries entries = {NULL, 0, 0};
  const top *t = op->held;
  op->owns_data = true;
  op->rc = eddy__tree_list(t->fd, op->path, op->other, op->flag, &op->job.request.is_abandoned, &entries);
  op->data = entries.data;
  op->size = entries.size;
}

static void on_step_end(eddy__operation *op) {
  top *t = op->held;
  if (t->op == op) t->op = NULL; /* else its task was cancelled, and another one went on */
  let_go(t);
}

/* The walk is at 1, and nothing above it.   [-0, +(0|3), y] */
static int step(lua_State *L) {
  static const eddy__action action = {
    .wait = {"walk", eddy__request_cancel, true}, .work = work_step, .finish = finish_step, .takes_errors = true};
  walk *w = lua_touserdata(L, 1);
  if (w->top == NULL) return 0;
  top *t = w->top;
  if (t->op != NULL && !eddy__operation_stopped(t->op))
    return eddy__error_throw(L, EDDY_E_RUNTIME, "'walk' is waited for by another task");
  go_below(L);
  if (!push_next(L)) {
    end(w);
    return 0;
  }
  lua_getiuservalue(L, 1, SLOT_PATH);
  eddy__operation *op = eddy__operation_new(L, &action, 3, 2);
  op->flag = w->follow;
  op->held = t;
  op->let_go = on_step_end;
  t->op = op;
  t->references++;
  return eddy__operation_run(L, op);
}

/* walk() -> path, dirs, files; nothing at the end   [-0, +(0|3), y] */
static int l_next(lua_State *L) {
  eddy__object_check(L, 1, &type_walk);
  lua_settop(L, 1);
  return step(L);
}

/* walk:close(), the end of the scope, the finalizer   [-0, +0, v] */
static int l_close(lua_State *L) {
  end(eddy__object_check(L, 1, &type_walk));
  return 0;
}

static int l_gc(lua_State *L) {
  walk *w = eddy__object_test(L, 1, &type_walk);
  if (w != NULL) end(w);
  return 0;
}

static int l_tostring(lua_State *L) {
  walk *w = eddy__object_check(L, 1, &type_walk);
  lua_getiuservalue(L, 1, SLOT_PATH);
  lua_pushfstring(L, "<Walk %s%s>", lua_tostring(L, -1), w->top == NULL ? ", over" : "");
  return 1;
}

/* --- walk ---------------------------------------------------------------------------------------------------- */

static void work_open(eddy__operation *op) {
  op->syscall = "open";
  op->rc = op->fd = eddy__tree_open(op->path);
  if (op->rc < 0) op->fd = -1;
}

/* Takes over the descriptor, if there is one. The path is at 1, the function for errors or nil at 2.   [-0, +1, v] */
static void push_walk(lua_State *L, eddy__operation *op) {
  walk *w = eddy__object_new(L, &type_walk, sizeof *w, SLOT_COUNT);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, SLOT_PATH);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, SLOT_ON_ERROR);
  lua_createtable(L, 1, 0);
  lua_pushliteral(L, "");
  lua_rawseti(L, -2, 1);
  lua_setiuservalue(L, -2, SLOT_PENDING);
  w->follow = op->flag;
  if (op->rc < 0) return;
  w->top = calloc(1, sizeof *w->top);
  if (w->top == NULL) eddy__raise_about(L, UV_ENOMEM, "open", "path", op->path);
  w->top->fd = op->fd;
  w->top->references = 1;
  op->fd = -1;
}

/* The walk is at the top.   [-0, +3, -] */
static int k_opened(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -3);
  return 4;
}

static int finish_open(lua_State *L, eddy__operation *op) {
  if (op->rc < 0 && lua_isnil(L, 2)) return eddy__operation_raise(L, op);
  push_walk(L, op);
  if (op->rc < 0) { /* the script hears of it, and the walk is over */
    lua_pushvalue(L, 2);
    eddy__os_error_push(L, op->rc, op->syscall, "path", op->path);
    eddy__request_end(&op->job.request);
    lua_callk(L, 1, 0, 0, k_opened);
  } else {
    eddy__request_end(&op->job.request);
  }
  return k_opened(L, LUA_OK, 0);
}

/* eddy.fs.walk(path, {follow, on_error}) -> Walk, nil, nil, Walk   [-0, +4, y] */
static int l_walk(lua_State *L) {
  static const char *const options[] = {"follow", "on_error", NULL};
  static const eddy__action action = {
    .wait = {"walk", eddy__request_cancel, true}, .work = work_open, .finish = finish_open, .takes_errors = true};
  eddy__check_path(L, 1);
  bool given = eddy__check_options(L, 2, options);
  bool follow = eddy__option_boolean(L, 2, "follow", false);
  lua_settop(L, 2);
  if (given) {
    lua_getfield(L, 2, "on_error");
    bool good = lua_isnil(L, -1) || eddy__arg_callable(L, -1);
    eddy__arg_check(L, good, 2, "option 'on_error': function expected");
  } else {
    lua_pushnil(L);
  }
  lua_replace(L, 2);
  eddy__operation *op = eddy__operation_new(L, &action, 1, 0);
  op->flag = follow;
  return eddy__operation_run(L, op);
}

/* [-0, +0, m] */
void eddy__walk_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg functions[] = {{"walk", l_walk}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"close", l_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__call", l_next}, {"__close", l_close}, {"__gc", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};
  eddy__runtime_functions(L, rt, functions);
  eddy__runtime_push(L);
  eddy__object_type(L, &type_walk, NULL, methods, meta, lua_gettop(L));
  lua_pop(L, 2);
}
