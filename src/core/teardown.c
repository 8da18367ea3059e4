/* SPDX-License-Identifier: MIT */
/*
 * teardown.c - the end of a loop; see teardown.h and docs/internals/teardown.md.
 * Touch:  with care. The order: cancel the tasks left, turn the loop until they have ended (they may open and close
 *         things, wait, make new tasks, which are cancelled as well), report what failed, then close handles and loop.
 */
#include "core/teardown.h"

#include <lauxlib.h>

#include "core/cancel.h"
#include "core/generator.h"
#include "core/report.h"
#include "core/task.h"

static const uint64_t FIRST_WARNING_NS = 5000000000, LAST_WARNING_NS = 3600000000000;

typedef struct ending {
  eddy__timer warning, again;
  eddy__loop *loop;
  uint64_t next_warning;
  bool last_turn;
  int (*on_turn)(eddy__loop *loop); /* of whoever runs the loop */
} ending;

/* Cancels the tasks that were not yet, in the order of their creation.   [-0, +0, -] */
static void cancel_tasks(eddy__loop *loop, bool all) {
  eddy__cancelling request;
  eddy__cancel_begin(&request, eddy__runtime_thread(loop->rt), 0);
  eddy__list *l = all ? &loop->tasks : loop->tasks.prev;
  while (!all && l != &loop->tasks && !eddy__container_of(l, eddy__task, live)->was_ended) l = l->prev;
  for (l = l->next; l != &loop->tasks; l = l->next) { /* new ones stand at the end */
    eddy__task *task = eddy__container_of(l, eddy__task, live);
    if (task->was_ended && !all) continue;
    task->was_ended = true;
    eddy__cancel_pass(&request, &task->future, 0);
  }
  eddy__cancel_finish(&request);
}

/* Writes who is still there: the argument is the loop.   [-1, +0, m] */
static int warn(lua_State *L) {
  eddy__loop *loop = lua_touserdata(L, 1);
  luaL_checkstack(L, 20, NULL);
  lua_warning(L, "eddy: the loop is ending, but these tasks, which were cancelled, go on:", 1);
  for (eddy__list *l = loop->tasks.next; l != &loop->tasks; l = l->next) {
    eddy__task_push(L, eddy__container_of(l, eddy__task, live));
    lua_warning(L, " ", 1);
    lua_warning(L, luaL_tolstring(L, -1, NULL), 1);
    lua_pop(L, 2);
  }
  lua_warning(L, "", 0);
  return 0;
}

static void write_warning(eddy__loop *loop) {
  if (eddy__runtime_pcall(loop->rt, warn, loop) != LUA_OK) lua_pop(loop->rt->L, 1);
}

static void on_warning(eddy__timer *t) {
  ending *e = eddy__container_of(t, ending, warning);
  write_warning(e->loop);
  if (e->next_warning < LAST_WARNING_NS) e->next_warning *= 2;
  uint64_t now = eddy__clock_now(&e->loop->clock);
  (void)eddy__timer_start(&e->loop->timers, t, now + e->next_warning, on_warning);
}

static void on_again(eddy__timer *t) {
  ending *e = eddy__container_of(t, ending, again);
  cancel_tasks(e->loop, true);
  uint64_t deadline = eddy__clock_after(&e->loop->clock, e->loop->shutdown_timeout);
  (void)eddy__timer_start(&e->loop->timers, t, deadline, on_again);
}

/* After each turn: new tasks are cancelled too; when none is left it is over. */
static int on_turn(eddy__loop *loop) {
  ending *e = loop->ending;
  if (loop->ntasks > 0)
    cancel_tasks(loop, false);
  else if (loop->ready == 0 || e->last_turn)
    loop->stop = true;
  else
    e->last_turn = true; /* for the done callbacks of the last ones */
  return e->on_turn != NULL ? e->on_turn(loop) : 0;
}

/* Turns the loop until no task is left. Returns 0, EDDY_STALLED or EDDY_INTERRUPT. */
static int end_tasks(lua_State *L, eddy__loop *loop) {
  ending e = {.loop = loop, .next_warning = FIRST_WARNING_NS, .on_turn = loop->on_turn};
  uint64_t now = eddy__clock_now(&loop->clock);
  (void)eddy__timer_start(&loop->timers, &e.warning, now + e.next_warning, on_warning);
  if (loop->shutdown_timeout > 0) {
    uint64_t deadline = eddy__clock_after(&loop->clock, loop->shutdown_timeout);
    (void)eddy__timer_start(&loop->timers, &e.again, deadline, on_again);
  }
  loop->own_timers = loop->shutdown_timeout > 0 ? 0 : 1; /* cancelling again may wake them; a warning does not */
  cancel_tasks(loop, false);
  loop->ending = &e;
  loop->on_turn = on_turn;
  int rc = eddy__loop_run(L, loop, NULL);
  loop->on_turn = e.on_turn;
  loop->ending = NULL;
  eddy__timer_stop(&loop->timers, &e.warning);
  eddy__timer_stop(&loop->timers, &e.again);
  return rc;
}

/* Starts the closing of the generators left open: the argument is the loop.   [-1, +1, m] */
static int close_generators(lua_State *L) {
  lua_pushboolean(L, eddy__generators_close(L, lua_touserdata(L, 1)));
  return 1;
}

/* Returns whether there were any.   [-0, +0, -] */
static bool any_generators(lua_State *L, eddy__loop *loop) {
  if (loop->generators == 0) return false;
  lua_pushcfunction(L, close_generators);
  lua_pushlightuserdata(L, loop);
  bool any = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  lua_pop(L, 1);
  return any;
}

/* Errors that nobody can look at any more are told now, while there is a handler.   [-0, +0, -] */
static void collect(lua_State *L, eddy__loop *loop) {
  eddy__runtime *rt = loop->rt;
  if (!rt->collect || rt->unretrieved == 0) return;
  rt->collect = false;
  eddy__loop *before = rt->loop;
  rt->loop = loop; /* what the handler calls finds it */
  lua_gc(L, LUA_GCCOLLECT);
  rt->loop = before;
}

int eddy__teardown(lua_State *L, eddy__loop *loop) {
  int rc = 0;
  if (!loop->is_open || loop->is_closing) return 0;
  loop->is_ending = true;
  loop->stop = false;
  do {
    if (loop->ntasks > 0) rc = end_tasks(L, loop);
    if (rc == 0 && !any_generators(L, loop)) collect(L, loop); /* its reports may make tasks */
  } while (rc == 0 && loop->ntasks > 0);
  if (rc == EDDY_STALLED) {
    lua_State *before = loop->rt->L;
    loop->rt->L = L;
    write_warning(loop); /* they wait for what can never come, again: nothing more can be done for them */
    loop->rt->L = before;
    rc = 0;
    collect(L, loop);
  }
  if (rc == 0) rc = eddy__loop_linger(loop);
  eddy__loop_close(loop);
  return rc;
}
