/* SPDX-License-Identifier: MIT */
/*
 * operation.c - an operation on paths as one job of the thread pool; see operation.h.
 * Touch:  freely.
 */
#include "io/operation.h"

#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"

/* [-0, +0, v] */
const char *eddy__check_path(lua_State *L, int arg) {
  if (lua_type(L, arg) != LUA_TSTRING) eddy__arg_expected(L, arg, "string");
  size_t size;
  const char *path = lua_tolstring(L, arg, &size);
  eddy__arg_check(L, strlen(path) == size, arg, "a path cannot contain a zero byte");
  return path;
}

static void release(eddy__request *r) {
  eddy__operation *op = (eddy__operation *)r;
  bool has_worked = op->syscall != NULL && op->rc >= 0 && !op->is_taken;
  if (has_worked && op->action->undo != NULL) op->action->undo(op);
  if (op->held != NULL) op->let_go(op);
  if (op->fd >= 0) eddy__fs_close(op->fd);
  if (op->owns_data) free(op->data);
  if (op->has_uv) uv_fs_req_cleanup(&op->uv);
  free(op);
}

static void on_work(eddy__job *job) {
  eddy__operation *op = (eddy__operation *)job;
  op->syscall = op->action->wait.name;
  op->action->work(op);
}

/* [-0, +1, v] */
eddy__operation *eddy__operation_new(lua_State *L, const eddy__action *action, int path, int other) {
  size_t n, m = 0;
  const char *first = lua_tolstring(L, path, &n), *second = NULL;
  if (other != 0) second = lua_tolstring(L, other, &m);
  eddy__task *task = eddy__running(L, action->wait.name);
  eddy__operation *op =
    (eddy__operation *)eddy__job_new(L, task, sizeof *op + n + m + 2, on_work, release);
  op->action = action;
  op->fd = -1;
  op->path = (char *)(op + 1);
  memcpy(op->path, first, n + 1);
  if (second != NULL) op->other = memcpy(op->path + n + 1, second, m + 1);
  return op;
}

/* [-0, +0, v] */
int eddy__operation_raise(lua_State *L, const eddy__operation *op) {
  eddy__os_error_push(L, op->rc, op->syscall, "path", op->path);
  if (op->other != NULL) {
    lua_pushstring(L, op->other);
    lua_setfield(L, -2, "other_path");
  }
  return lua_error(L);
}

/* [-0, +n, y] */
static int conclude(lua_State *L, eddy__operation *op) {
  if (op->rc < 0 && !op->action->takes_errors) return eddy__operation_raise(L, op);
  return op->action->finish(L, op);
}

static int k_operation(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__operation *op = (eddy__operation *)eddy__request_take(L, (eddy__task *)ctx);
  if (op->job.was_cancelled) return eddy__raise(L, UV_ECANCELED, op->action->wait.name);
  if (op->action->now != NULL) eddy__place_note(L, &op->place);
  return conclude(L, op);
}

static int start(lua_State *L, eddy__operation *op);

/* There was enough in the last turn.   [-0, +n, y] */
static int k_start(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__wake_check(L, (eddy__task *)ctx);
  eddy__operation **box = lua_touserdata(L, -1);
  return start(L, *box);
}

/* [-0, +n, y] */
static int start(lua_State *L, eddy__operation *op) {
  if (op->action->now != NULL && op->place.kind >= EDDY_PLACE_LOCAL) {
    if (!eddy__now_may(op->job.request.loop)) return eddy__give_way(L, op->job.request.task, k_start);
    eddy__now_spend(op->job.request.loop, EDDY_NOW_CALLS);
    op->syscall = op->action->wait.name;
    if (op->action->now(op)) return conclude(L, op);
  }
  if (op->input != NULL) eddy__job_keep(L, &op->job, 2);
  return eddy__job_run(L, &op->job, &op->action->wait, k_operation);
}

/* [-0, +n, y] */
int eddy__operation_run(lua_State *L, eddy__operation *op) {
  if (op->action->now != NULL) op->place = eddy__place_of(L, op->path);
  return start(L, op);
}

/* [-0, +0, -] */
int eddy__finish_nothing(lua_State *L, eddy__operation *op) {
  (void)L;
  eddy__request_end(&op->job.request);
  return 0;
}

/* [-0, +1, -] */
int eddy__finish_boolean(lua_State *L, eddy__operation *op) {
  lua_pushboolean(L, op->flag);
  eddy__request_end(&op->job.request);
  return 1;
}

/* [-0, +1, m] */
int eddy__finish_data(lua_State *L, eddy__operation *op) {
  lua_pushlstring(L, op->data, op->size);
  eddy__request_end(&op->job.request);
  return 1;
}
