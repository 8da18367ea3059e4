/* SPDX-License-Identifier: MIT */
/*
 * group.c - TaskGroup, which outlives its children; see group.h.
 * Touch:  with care. A failed child keeps its slot, and with it its error, until the end of the group has taken it: so
 *         that a failure needs no memory to be remembered.
 */
#include "core/group.h"

#include <lauxlib.h>

#include "base/args.h"
#include "base/error.h"
#include "core/cancel.h"
#include "core/coroutine.h"
#include "core/report.h"
#include "core/wait.h"

static const eddy__type type_group = {"TaskGroup"};

enum { ENTERED, EXITING, FINISHED };
enum { STORY_SIZE = 20000, STORIES = 20 }; /* a group shows no more of them */

struct eddy__group {
  eddy__task *task;    /* whose scope it is; kept by the user value */
  eddy__list children; /* those that live, in order of creation */
  eddy__list failed;   /* in order of completion */
  size_t n;            /* how many live */
  int state;
  bool aborting;       /* the children were cancelled */
  bool cancelled_body; /* by us: the request is taken back at the end */
  bool is_waiting;     /* the end waits for the children */
};

static const char *const states[] = {"entered", "exiting", "finished"};

/* Cancels the children that live.   [-0, +0, -] */
static void abort_children(eddy__group *g) {
  eddy__cancelling request;
  g->aborting = true;
  if (g->n == 0) return;
  eddy__cancel_begin(&request, eddy__runtime_thread(g->task->future.loop->rt), 0);
  for (eddy__list *l = g->children.next; l != &g->children; l = l->next)
    eddy__cancel_pass(&request, &eddy__container_of(l, eddy__task, member)->future, 0);
  eddy__cancel_finish(&request);
}

/* Cancels the children, and the body if that still runs.   [-0, +0, -] */
static void abort_group(eddy__group *g) {
  if (g->aborting) return;
  abort_children(g);
  if (g->state != ENTERED || g->cancelled_body) return;
  g->cancelled_body = eddy__cancel(eddy__runtime_thread(g->task->future.loop->rt), &g->task->future, 0, 0);
}

/* [-0, +0, -] */
void eddy__group_child_done(eddy__task *child) {
  eddy__group *g = child->group;
  child->group = NULL;
  eddy__list_remove(&child->member);
  g->n--;
  if (child->future.state == EDDY_F_FAILED && !child->starting) {
    eddy__list_push(&g->failed, &child->member);
    child->keeps_slot = true;
    abort_group(g);
  }
  if (g->n == 0 && g->is_waiting) eddy__task_wake_from(g->task, g);
}

eddy__task *eddy__group_parent(const eddy__task *child) {
  /* a group that was never closed may outlive its task */
  eddy__task *task = child->group != NULL ? child->group->task : NULL;
  return task != NULL && eddy__future_pending(&task->future) ? task : NULL;
}

/* --- children ---------------------------------------------------------------------------------------- */

/* [-0, +0, v] */
static eddy__group *check(lua_State *L) { return eddy__object_check(L, 1, &type_group); }

/* A group that takes children.   [-0, +0, v] */
static eddy__group *check_open(lua_State *L, const char *name) {
  eddy__group *g = check(L);
  if (g->state == FINISHED || !eddy__future_pending(&g->task->future))
    eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the TaskGroup is finished", name);
  if (g->aborting) eddy__error_throw(L, EDDY_E_RUNTIME, "'%s': the TaskGroup is shutting down", name);
  return g;
}

static void adopt(eddy__group *g, eddy__task *child) {
  child->group = g;
  eddy__list_push(&g->children, &child->member);
  g->n++;
}

/* tg:create_task(f, ...) -> Task   [-0, +1, v] */
static int l_create_task(lua_State *L) {
  eddy__group *g = check(L);
  if (g->state == FINISHED || g->aborting) eddy__coroutine_abandon(L, 2); /* refused: it need not be awaited */
  check_open(L, "create_task");
  if (lua_isnone(L, 2)) eddy__awaitable_check(L, 2);
  adopt(g, eddy__task_create(L, g->task->future.loop, 2));
  return 1;
}

/* tg:cancel(): ends the group without an error   [-0, +0, v] */
static int l_cancel(lua_State *L) {
  eddy__group *g = check(L);
  if (g->state != FINISHED && eddy__future_pending(&g->task->future)) {
    luaL_checkstack(L, 12, NULL);
    abort_group(g);
  }
  return 0;
}

/* --- start ------------------------------------------------------------------------------------------- */

enum { CHILD = 1, STARTED, BLOCK }; /* in the frame of a suspended start */

static const eddy__type type_starting = {"TaskGroup:start"};

typedef struct starting {
  eddy__task *task;
  eddy__future *child_future;
  eddy__waiter child, started; /* linked while the task is suspended */
  bool linked;
} starting;

/* Whoever waits for the start and is asked to stop asks the child, and waits for its end. */
static void cancel_start(eddy__task *task, eddy__cancelling *request) {
  starting *s = task->waits_for;
  eddy__cancel_pass(request, s->child_future, 0);
}

static const eddy__wait wait_start = {"TaskGroup:start", cancel_start, true};

static void on_event(eddy__waiter *w, eddy__future *f) {
  (void)f;
  starting *s = w->owner;
  eddy__task_wake_from(s->task, s);
}

static int k_start(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__task *task = (eddy__task *)ctx;
  eddy__future *child = lua_touserdata(L, CHILD), *started = lua_touserdata(L, STARTED);
  starting *s = lua_touserdata(L, BLOCK);
  s->linked = false;
  eddy__list_remove(&s->child.link);
  eddy__list_remove(&s->started.link);
  bool too_late = !eddy__future_pending(started);
  if (!too_late && child->state == EDDY_F_CANCELLED) {
    eddy__wake_settle(task); /* the cancellation went through it, and is what is raised */
  } else if (eddy__wake_cancelled(task)) {
    if (!too_late && child->state == EDDY_F_FAILED) { /* nobody will see its error here */
      child->retrieved = false;
      eddy__report_arm(L, child, CHILD);
    }
    eddy__wake_check(L, task);
  }
  if (!eddy__future_pending(started)) return eddy__future_results(L, started, STARTED);
  if (child->state == EDDY_F_DONE)
    return eddy__error_throw(L, EDDY_E_RUNTIME, "'start': the function ended without calling started()");
  eddy__wait_note_cause(L, task, child, CHILD);
  return eddy__future_results(L, child, CHILD);
}

/* started(...): upvalues: the record, the future, the task   [-0, +0, v] */
static int l_started(lua_State *L) {
  eddy__future *f = lua_touserdata(L, lua_upvalueindex(2));
  eddy__task *child = lua_touserdata(L, lua_upvalueindex(3));
  if (!eddy__future_pending(f))
    eddy__error_throw(L, EDDY_E_RUNTIME, "started() was called twice");
  int n = lua_gettop(L);
  luaL_checkstack(L, 4, NULL);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  eddy__future_resolve(L, f, 1, n);
  child->starting = false;
  child->future.retrieved = false;
  return 0;
}

/* tg:start(f, ...): runs f(started, ...) as a child; -> what it gives to started   [-0, +n, y] */
static int l_start(lua_State *L) {
  eddy__group *g = check_open(L, "start");
  eddy__check_function(L, 2);
  eddy__task *task = eddy__running(L, "start");
  eddy__loop *loop = g->task->future.loop;
  if (task->future.loop != loop)
    eddy__error_throw(L, EDDY_E_RUNTIME, "'start': the TaskGroup belongs to another loop");
  eddy__coroutine_unwrap(L, 2);
  eddy__future_new(L, loop);
  int started = lua_gettop(L);
  luaL_checkstack(L, started + 8, "too many arguments");
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, started);
  lua_pushnil(L); /* the task, when there is one */
  lua_pushcclosure(L, l_started, 3);
  lua_pushvalue(L, started + 1);
  lua_insert(L, 3); /* group, f, started(), arguments, future, started() */
  starting *s = eddy__object_new(L, &type_starting, sizeof *s, 1);
  eddy__task_push(L, task);
  lua_setiuservalue(L, -2, 1); /* its finalizer may need it */
  int block = lua_gettop(L);
  lua_pushvalue(L, 2);
  for (int i = 3; i <= started; i++) lua_pushvalue(L, i);
  eddy__task *child = eddy__task_spawn(L, loop, started - 2);
  child->starting = true;
  adopt(g, child);
  lua_pushvalue(L, -1);
  lua_setupvalue(L, started + 2, 3); /* the one at 3 is the same closure */
  lua_pushvalue(L, started + 1);
  lua_pushvalue(L, block);
  lua_replace(L, BLOCK);
  lua_replace(L, STARTED);
  lua_replace(L, CHILD);
  lua_settop(L, BLOCK);
  s->child = s->started = (eddy__waiter){.on_settled = on_event, .owner = s};
  eddy__future_watch(&child->future, &s->child);
  eddy__future_watch(lua_touserdata(L, STARTED), &s->started);
  task->waits_for = s;
  s->child_future = &child->future;
  s->task = task;
  s->linked = true;
  return eddy__suspend(L, task, &wait_start, k_start);
}

/* The frame that held the block is gone, but the task has not gone on: a script has closed its coroutine.
 *   [-0, +0, -] */
static int l_starting_gc(lua_State *L) {
  starting *s = eddy__object_check(L, 1, &type_starting);
  if (!s->linked) return 0;
  eddy__list_remove(&s->child.link);
  eddy__list_remove(&s->started.link);
  eddy__task_wake_from(s->task, s);
  return 0;
}

/* --- the end ----------------------------------------------------------------------------------------- */

/* The frame of the end: the group, the error of the body or nil, the CancelledError to pass on or nil, and what the
 * function form returns. */
enum { GROUP = 1, ERROR, CANCELLED, RESULTS };

static void cancel_end(eddy__task *task, eddy__cancelling *request) {
  (void)request;
  eddy__cancel_wait(task); /* k_end notes it, and waits on: children are never abandoned */
}

static const eddy__wait wait_end = {"TaskGroup", cancel_end, true};

/* The story of the task at idx, not without end: groups within groups tell those of theirs.   [-0, +1, m] */
static void push_story(lua_State *L, int idx) {
  eddy__report_story(L, idx);
  if (lua_rawlen(L, -1) <= STORY_SIZE) return;
  lua_pushlstring(L, lua_tostring(L, -1), STORY_SIZE);
  lua_pushliteral(L, "...");
  lua_concat(L, 2);
  lua_remove(L, -2);
}

/* Pushes the errors of the children that failed, and the story of each, in order of completion.   [-0, +2, m] */
static void push_errors(lua_State *L, eddy__group *g) {
  lua_newtable(L);
  lua_newtable(L);
  int errors = lua_gettop(L) - 1, stories = errors + 1;
  int told = 0;
  for (eddy__list *l = g->failed.next; l != &g->failed; l = l->next) {
    eddy__task_push(L, eddy__container_of(l, eddy__task, member));
    if (told < STORIES) {
      push_story(L, lua_gettop(L));
      lua_rawseti(L, stories, ++told);
    }
    lua_getiuservalue(L, -1, EDDY_UV_VALUE);
    if (lua_isnil(L, -1)) { /* error(nil): a list cannot hold it */
      lua_pop(L, 1);
      eddy__error_push(L, EDDY_E_ERROR, "nil was raised");
    }
    lua_rawseti(L, errors, (lua_Integer)lua_rawlen(L, errors) + 1);
    lua_settop(L, stories);
  }
}

/* Lets go of the children that failed: their errors have been taken.   [-0, +0, -] */
static void release_failed(eddy__group *g) {
  while (!eddy__list_empty(&g->failed)) {
    eddy__task *child = eddy__container_of(g->failed.next, eddy__task, member);
    eddy__list_remove(&child->member);
    eddy__task_release(child);
  }
}

/* All children have ended.   [-0, +n, v] */
static int finish(lua_State *L, eddy__group *g) {
  g->state = FINISHED;
  bool swallow = false;
  if (g->cancelled_body && eddy__uncancel(g->task) == 0) { /* nobody else wants the body to end */
    swallow = !lua_isnil(L, ERROR);
    lua_pushnil(L);
    lua_replace(L, CANCELLED);
  }
  if (!lua_isnil(L, CANCELLED) && eddy__list_empty(&g->failed)) {
    lua_settop(L, CANCELLED);
    return lua_error(L);
  }
  luaL_checkstack(L, 12, NULL);
  push_errors(L, g);
  release_failed(g);
  int errors = lua_gettop(L) - 1;
  if (!lua_isnil(L, ERROR) && !eddy__error_is(L, ERROR, EDDY_E_CANCELLED)) {
    lua_pushvalue(L, ERROR);
    lua_rawseti(L, errors, (lua_Integer)lua_rawlen(L, errors) + 1);
  }
  if (lua_rawlen(L, errors) == 0) {
    lua_settop(L, errors - 1);
    return swallow ? 0 : lua_gettop(L) - CANCELLED;
  }
  if (g->task->cancelling > 0) { /* cancelled from outside as well: that must reach the next wait */
    g->task->must_cancel = true;
    eddy__task_push(L, g->task);
    lua_pushnil(L);
    lua_setiuservalue(L, -2, EDDY_UV_VALUE);
    lua_pop(L, 1);
  }
  lua_insert(L, errors); /* the stories below the errors */
  eddy__group_push(L, "unhandled errors in a TaskGroup");
  lua_insert(L, -2);
  lua_setfield(L, -2, "stories");
  return lua_error(L);
}

static int k_end(lua_State *L, int status, lua_KContext ctx);

/* [-0, +n, y] */
static int wait_children(lua_State *L, eddy__group *g) {
  if (g->n == 0) return finish(L, g);
  g->is_waiting = true;
  g->task->waits_for = g;
  return eddy__suspend(L, g->task, &wait_end, k_end);
}

static int k_end(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  eddy__group *g = lua_touserdata(L, GROUP);
  g->is_waiting = false;
  if (eddy__wake_take(L, (eddy__task *)ctx)) {
    if (lua_isnil(L, CANCELLED))
      lua_replace(L, CANCELLED);
    else
      lua_pop(L, 1);
    if (!g->aborting) abort_children(g);
  }
  return wait_children(L, g);
}

/* The body has ended; the frame is as above.   [-0, +n, y] */
static int leave(lua_State *L, eddy__group *g) {
  if (g->state != ENTERED) return 0;
  g->state = EXITING;
  if (!lua_isnil(L, ERROR)) {
    if (eddy__error_is(L, ERROR, EDDY_E_CANCELLED)) {
      lua_pushvalue(L, ERROR);
      lua_replace(L, CANCELLED);
    }
    if (!g->aborting) abort_children(g);
  }
  return wait_children(L, g);
}

/* The scope ends.   [-0, +0, y] */
static int l_close(lua_State *L) {
  eddy__group *g = check(L);
  lua_settop(L, ERROR);
  lua_pushnil(L);
  if (g->state != ENTERED) return 0;
  if (eddy__running(L, "TaskGroup") != g->task)
    eddy__error_throw(L, EDDY_E_RUNTIME, "a TaskGroup can only be closed by the task that opened it");
  return leave(L, g);
}

/* The body of the function form has ended: the group, the message handler, results or error. */
static int k_body(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  eddy__group *g = lua_touserdata(L, GROUP);
  luaL_checkstack(L, 8, NULL);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_replace(L, ERROR); /* over the message handler */
    lua_settop(L, ERROR);
    lua_pushnil(L);
  } else {
    lua_pushnil(L);
    lua_replace(L, ERROR);
    lua_pushnil(L);
    lua_insert(L, CANCELLED);
  }
  return leave(L, g);
}

/* A group that was never closed: its children go on without it.   [-0, +0, m] */
static int l_gc(lua_State *L) {
  eddy__group *g = eddy__object_check(L, 1, &type_group);
  for (eddy__list *l = g->children.next, *next; l != &g->children; l = next) {
    next = l->next;
    eddy__task *child = eddy__container_of(l, eddy__task, member);
    eddy__list_remove(&child->member);
    child->group = NULL;
  }
  while (!eddy__list_empty(&g->failed)) {
    eddy__task *child = eddy__container_of(g->failed.next, eddy__task, member);
    eddy__list_remove(&child->member);
    eddy__task_push(L, child);
    child->future.retrieved = false;
    eddy__task_release(child);
    eddy__report_arm(L, &child->future, lua_gettop(L));
    lua_pop(L, 1);
  }
  return 0;
}

/* [-0, +1, v] */
static int l_tostring(lua_State *L) {
  eddy__group *g = check(L);
  lua_pushfstring(L, "<TaskGroup %s%s, tasks=%d>", states[g->state], g->aborting ? ", cancelling" : "",
                  (int)g->n);
  return 1;
}

/* eddy.TaskGroup([f]) -> group, or f's results   [-0, +n, y] */
static int l_task_group(lua_State *L) {
  bool has_body = !lua_isnoneornil(L, 1);
  if (has_body) eddy__check_function(L, 1);
  eddy__task *task = eddy__running(L, "TaskGroup");
  lua_settop(L, has_body ? 1 : 0);
  eddy__group *g = eddy__object_new(L, &type_group, sizeof *g, 1);
  eddy__list_init(&g->children);
  eddy__list_init(&g->failed);
  g->task = task;
  eddy__task_push(L, task);
  lua_setiuservalue(L, -2, 1);
  if (!has_body) return 1;
  eddy__coroutine_unwrap(L, 1);
  lua_pushcfunction(L, eddy__task_msgh);
  lua_pushvalue(L, 1); /* f, group, msgh, f */
  lua_remove(L, 1);
  lua_pushvalue(L, GROUP);
  return k_body(L, lua_pcallk(L, 1, LUA_MULTRET, 2, 0, k_body), 0);
}

/* [-0, +0, m] */
void eddy__group_room(lua_State *L, eddy__runtime *rt) {
  static const luaL_Reg methods[] = {
    {"create_task", l_create_task}, {"start", l_start}, {"cancel", l_cancel}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__close", l_close}, {"__gc", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"TaskGroup", l_task_group}, {NULL, NULL}};
  static const luaL_Reg starting_meta[] = {{"__gc", l_starting_gc}, {NULL, NULL}};
  eddy__object_type(L, &type_starting, NULL, NULL, starting_meta, 0);
  lua_pop(L, 1);
  eddy__object_type(L, &type_group, NULL, methods, meta, lua_gettop(L) - 1);
  lua_pop(L, 1);
  eddy__runtime_functions(L, rt, functions);
}
