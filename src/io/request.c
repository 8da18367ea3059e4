/* SPDX-License-Identifier: MIT */
/*
 * request.c - one operation under way in libuv, and the task that waits for it; see request.h.
 * Touch:  with care.
 */
#include "io/request.h"

#include "base/error.h"

static const eddy__type type_box = {"eddy.request"};

/* Nobody wants the result, or not any more. */
void eddy__request_end(eddy__request *r) {
  if (r->box != NULL) *r->box = NULL;
  r->box = NULL;
  r->task = NULL;
  eddy__list_clear(&r->tasks);
  if (r->is_done) {
    r->release(r);
    return;
  }
  if (r->uv == NULL) { /* only its owner waits for it */
    r->loop->requests--;
    r->is_done = true;
    r->release(r);
    return;
  }
  atomic_store_explicit(&r->is_abandoned, true, memory_order_relaxed);
  (void)uv_cancel(r->uv); /* if it runs already, its end is awaited by on_done alone */
}

/* [-0, +0, -] */
static int l_gc(lua_State *L) {
  eddy__request **box = eddy__object_test(L, 1, &type_box);
  if (box != NULL && *box != NULL) eddy__request_end(*box);
  return 0;
}

/* [-0, +1, m] */
eddy__request **eddy__request_box(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
  eddy__object_type(L, &type_box, NULL, NULL, meta, 0);
  lua_pop(L, 1);
  return eddy__object_new(L, &type_box, sizeof(eddy__request *), 0);
}

/* [-0, +0, v] */
void eddy__request_own(lua_State *L, eddy__request *r, uv_req_t *uv, eddy__task *task,
                       void (*release)(eddy__request *r)) {
  if (r == NULL) eddy__raise(L, UV_ENOMEM, "start an operation");
  eddy__request **box = lua_touserdata(L, -1);
  r->loop = task->future.loop;
  r->task = task;
  eddy__list_init(&r->tasks);
  r->box = box;
  r->uv = uv;
  r->release = release;
  r->is_done = true; /* until it is under way, nothing has to be waited for */
  *box = r;
}

/* [-0, +0, v] */
void eddy__request_deadline(lua_State *L, eddy__task *task, uint64_t deadline) {
  if (deadline != EDDY_NEVER) eddy__task_deadline(L, task, deadline);
}

/* [-0, +0, y] */
int eddy__request_wait(lua_State *L, eddy__request *r, const eddy__wait *wait, lua_KFunction k) {
  r->is_done = false;
  r->loop->requests++;
  r->task->waits_for = r;
  eddy__list_push(&r->tasks, &r->task->waiter.link);
  return eddy__suspend(L, r->task, wait, k);
}

void eddy__request_cancel(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__request_end(task->waits_for);
  eddy__cancel_wait(task);
}

void eddy__request_done(eddy__request *r) {
  r->loop->requests--;
  r->is_done = true;
  if (r->box == NULL)
    r->release(r);
  else if (!eddy__list_empty(&r->tasks))
    eddy__task_wake_from(eddy__task_first(&r->tasks), r);
}

/* [-0, +0, v] */
eddy__request *eddy__request_take(lua_State *L, eddy__task *task) {
  eddy__request **box = lua_touserdata(L, -1), *r = *box;
  eddy__task_deadline_off(task);
  eddy__list_remove(&task->waiter.link);
  if (r != NULL && (eddy__wake_cancelled(task) || !r->is_done)) {
    eddy__request_end(r);
    r = NULL;
  }
  eddy__wake_check(L, task);
  return r;
}

/* [-1, +0, -] */
void eddy__request_pop(lua_State *L) {
  eddy__request **box = lua_touserdata(L, -1), *r = *box;
  if (r != NULL) eddy__request_end(r);
  lua_pop(L, 1);
}
