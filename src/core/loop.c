/* SPDX-License-Identifier: MIT */
/*
 * loop.c - one turn: the ready queue, then timers, then libuv; see loop.h.
 * Owns:   eddy__loop from open to close.
 * Uses:   base/, clock.h, timer.h, task.h.      Used by: loop_object.c, runner.c, teardown.c, embed.c.
 * Touch:  turn(), block() and glance() with care.
 *
 * A turn runs what was ready when it began, and nothing that it makes ready itself, so a task in a sleep(0) loop
 * starves nobody. Before it, timers that are due and whatever libuv has to tell are added to the queue. Reading the
 * clock costs half of a task switch and polling four, so while there is work both happen only now and then: the
 * clock after at most CLOCK_STEPS tasks (fewer when they take long), libuv after POLL_STEPS tasks or POLL_NS,
 * whichever comes first.
 */
#include "core/loop.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/callback.h"
#include "core/cancel.h"
#include "core/poll.h"
#include "core/post.h"
#include "core/preempt.h"
#include "core/report.h"
#include "core/task.h"

enum { CLOCK_STEPS = 64, POLL_STEPS = 256, POLL_NS = 50000 };
enum { MANY = 128, LOTS = 2048 }; /* ready at once: a task, its coroutine and the stack of that are a kilobyte */
static const uint64_t COLLECT_NS = 1000000000; /* at most one collection a second for errors nobody looked at */
static const uint64_t LINGER_NS = 5000000000;  /* what streams that were closed may take to send what they hold */

const eddy__type eddy__type_loop = {"Loop"};

/* --- open and close ---------------------------------------------------------------------------------- */

static void on_async(uv_async_t *async) { eddy__post_deliver(async->data); }

static void on_internal_closed(uv_handle_t *handle) {
  ((eddy__loop *)handle->data)->internal_open--;
}

/* Opens libuv's side. Returns 0, or a libuv code with nothing left open. */
static int open_uv(eddy__loop *loop, uv_loop_t *host) {
  int rc = 0;
  loop->uv = host != NULL ? host : &loop->own;
  if (host == NULL) rc = uv_loop_init(&loop->own);
  if (rc < 0) return rc;
  rc = uv_async_init(loop->uv, &loop->async, on_async);
  if (rc < 0) {
    if (host == NULL) uv_loop_close(&loop->own);
    return rc;
  }
  loop->async.data = loop;
  uv_unref((uv_handle_t *)&loop->async);
  uv_timer_init(loop->uv, &loop->wake);
  loop->wake.data = loop;
  loop->internal_open = 2;
  return 0;
}

/* A record for a new loop: one of a closed loop's, or a new one; in no list. Its generation is nobody's.
 *   [-0, +0, m] */
static eddy__loop *new_record(lua_State *L, eddy__runtime *rt) {
  eddy__loop *loop;
  uint32_t generation = 1;
  if (eddy__list_empty(&rt->spare_loops)) {
    loop = lua_newuserdatauv(L, sizeof *loop, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loop->rt); /* for good; the address of the record itself is its table's key */
  } else {
    loop = eddy__container_of(rt->spare_loops.next, eddy__loop, link);
    generation = loop->generation + 1;
    eddy__list_remove(&loop->link);
  }
  memset(loop, 0, sizeof *loop);
  loop->generation = generation;
  loop->rt = rt;
  eddy__list_init(&loop->link);
  eddy__list_init(&loop->tasks);
  eddy__list_init(&loop->handles);
  eddy__list_init(&loop->expecting);
  eddy__list_init(&loop->posted);
  loop->epoll = -1;
  eddy__list_init(&loop->checks);
  eddy__list_init(&loop->haunted);
  loop->last_ready = &loop->first_ready;
  return loop;
}

/* [-0, +1, v] */
eddy__loop *eddy__loop_open(lua_State *L, eddy__runtime *rt, const eddy__loop_options *o) {
  if (rt->is_dead) luaL_error(L, "the Lua state is closing");
  eddy__loop_object *object = eddy__object_new(L, &eddy__type_loop, sizeof *object, 0);
  lua_newtable(L); /* what the loop keeps */
  eddy__loop *loop = new_record(L, rt);
  lua_rawsetp(L, LUA_REGISTRYINDEX, loop);
  eddy__object_remember(L, -1, loop);
  int rc = open_uv(loop, o->uv);
  if (rc < 0) {
    eddy__list_push(&rt->spare_loops, &loop->link);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, loop);
    eddy__raise(L, rc, "open a loop");
  }
  loop->is_open = true;
  loop->is_debug = o->is_debug;
  loop->clock.is_virtual = o->is_virtual;
  loop->seed = o->seed;
  loop->shutdown_timeout = o->shutdown_timeout;
  loop->slow_callback = o->slow_callback;
  if (o->preempts) eddy__preempt_set(loop, o->preempt);
  eddy__clock_now(&loop->clock);
  eddy__list_push(&rt->loops, &loop->link);
  object->loop = loop;
  object->generation = loop->generation;
  return loop;
}

/* Tasks that a second Ctrl-C has left in the middle of a wait never run again; their coroutines stay where they are,
 * as futures may still be linked to their frames. */
static void abandon_tasks(eddy__loop *loop) {
  while (!eddy__list_empty(&loop->tasks)) {
    eddy__task *task = eddy__container_of(loop->tasks.next, eddy__task, live);
    eddy__list_remove(&task->live);
    task->phase = EDDY_T_ENDED;
    task->wait = NULL;
    loop->rt->kept += task->co != NULL ? 2 : 1;
    if (task->scopes != NULL) eddy__timeouts_leave(task);
    task->future.retrieved = true;
    if (eddy__future_pending(&task->future))
      eddy__future_settle(&task->future, EDDY_F_CANCELLED);
  }
  loop->ntasks = 0;
  loop->generators = 0;
}

static bool anybody_lingers(const eddy__loop *loop) {
  for (const eddy__list *l = loop->handles.next; l != &loop->handles; l = l->next) {
    const eddy__keeper *keeper = eddy__container_of(l, eddy__keeper, link);
    if (keeper->lingers != NULL && keeper->lingers(keeper)) return true;
  }
  return false;
}

int eddy__loop_linger(eddy__loop *loop) {
  uint64_t end = uv_hrtime() + LINGER_NS;
  for (uint64_t now = uv_hrtime(); now < end && anybody_lingers(loop); now = uv_hrtime()) {
    eddy__poll_libuv(loop, eddy__clock_to_ms(end - now));
    int rc = loop->on_turn != NULL ? loop->on_turn(loop) : 0; /* a SIGINT is enough */
    if (rc != 0) return rc;
  }
  return 0;
}

/* Nothing of what is ready runs any more. */
static void empty_ready(eddy__loop *loop) {
  loop->first_ready = NULL;
  loop->last_ready = &loop->first_ready;
  loop->ready = 0;
}

void eddy__loop_close(eddy__loop *loop) {
  if (!loop->is_open || loop->is_closing) return;
  eddy__runtime *rt = loop->rt;
  loop->is_closing = true;
  empty_ready(loop); /* what is in the queue may be freed as its handle closes, */
  for (eddy__list *h = loop->handles.next, *next; h != &loop->handles; h = next) {
    next = h->next;
    eddy__keeper *keeper = eddy__container_of(h, eddy__keeper, link);
    keeper->close(keeper);
  }
  eddy__post_close(loop);
  uv_close((uv_handle_t *)&loop->wake, on_internal_closed);
  uv_close((uv_handle_t *)&loop->async, on_internal_closed);
  while (loop->internal_open > 0 || !eddy__list_empty(&loop->handles) || loop->requests > 0)
    uv_run(loop->uv, UV_RUN_ONCE);
  if (loop->uv == &loop->own) {
    while (uv_loop_close(&loop->own) == UV_EBUSY) uv_run(&loop->own, UV_RUN_DEFAULT);
  }
  eddy__poll_close(loop);
  abandon_tasks(loop);
  eddy__callbacks_forget(rt->main, loop);
  eddy__post_drop(loop);
  empty_ready(loop); /* and closing wakes tasks */
  eddy__task_trim(rt);
  eddy__timers_free(&loop->timers);
  free(loop->free_anchors);
  loop->free_anchors = NULL;
  loop->nfree_anchors = loop->nanchors = loop->cap_anchors = 0;
  loop->is_open = false;
  eddy__list_remove(&loop->link);
  eddy__list_push(&rt->spare_loops, &loop->link);
}

/* --- a turn ------------------------------------------------------------------------------------------ */

/* Lets the world outside tell what has happened, without waiting. */
static void poll(eddy__loop *loop) {
  eddy__poll_now(loop);
  loop->until_poll = POLL_STEPS;
  loop->last_poll = loop->clock.is_virtual ? 0 : eddy__clock_now(&loop->clock);
}

/* How many steps to go before the clock is read again: as many as take about POLL_NS, to judge by the last ones, but at
 * most twice as many as before, in case the next ones take longer. */
static void set_pace(eddy__loop *loop, uint64_t elapsed) {
  int steps = loop->pace > 0 ? loop->pace : 1;
  uint64_t per_step = elapsed / (uint64_t)steps + 1;
  uint64_t pace = POLL_NS / per_step;
  if (pace > 2 * (uint64_t)steps) pace = 2 * (uint64_t)steps;
  loop->pace = pace < 1 ? 1 : pace > CLOCK_STEPS ? CLOCK_STEPS
                                                 : (int)pace;
  loop->until_clock = loop->pace;
}

/* There is work; still, time goes on and the world outside may have something. */
static void glance(eddy__loop *loop) {
  eddy__post_deliver(loop);
  uint64_t now = eddy__clock_now(&loop->clock);
  set_pace(loop, now - loop->last_glance);
  loop->last_glance = now;
  if (loop->until_poll <= 0 || (!loop->clock.is_virtual && now - loop->last_poll >= POLL_NS))
    poll(loop);
}

/* Nothing is ready: has somebody lost an error? Then now is the time to find out.   [-0, +0, -] */
static void collect(eddy__loop *loop) {
  eddy__runtime *rt = loop->rt;
  if (!rt->collect || rt->unretrieved == 0) return;
  uint64_t now = uv_hrtime();
  if (now < rt->next_collect) return;
  rt->collect = false;
  lua_gc(rt->L, LUA_GCCOLLECT);
  uint64_t took = uv_hrtime() - now; /* a large heap is not collected for this but one time in a hundred */
  rt->next_collect = now + COLLECT_NS + 100 * took;
}

/* Waits until something happens or `deadline` is there. */
static void wait_until(eddy__loop *loop, uint64_t deadline) {
  eddy__post_doze(loop, deadline);
  loop->until_poll = POLL_STEPS;
  loop->last_poll = loop->last_glance = eddy__clock_now(&loop->clock);
}

/* The loop ends, and the only deadline is that of the next warning: it will wake no task. */
static bool is_hopeless(const eddy__loop *loop) {
  return loop->is_ending && loop->requests == 0 && loop->timers.n <= loop->own_timers && !eddy__post_expected(loop);
}

/* Real time, nothing ready. Returns 0 or EDDY_STALLED. */
static int block(eddy__loop *loop) {
  eddy__post_deliver(loop);
  collect(loop);
  if (loop->ready > 0 || loop->stop) return 0;
  uint64_t next = eddy__timers_next(&loop->timers);
  if (next != EDDY_NEVER && next <= eddy__clock_now(&loop->clock)) {
    poll(loop);
    return 0;
  }
  if ((next != EDDY_NEVER && !is_hopeless(loop)) || eddy__poll_expects(loop) || eddy__post_expected(loop)) {
    wait_until(loop, next);
    return 0;
  }
  if (loop->is_driven && !loop->is_ending) {
    if (!loop->told_deadlock) eddy__report_deadlock(loop);
    loop->told_deadlock = true;
  } else if (loop->until != NULL || loop->is_ending) {
    return EDDY_STALLED;
  }
  wait_until(loop, next); /* run_forever: another thread or a signal may still have work */
  return 0;
}

/* Virtual time: whether it stands still until what is sure to end has ended. */
static bool stands_still(const eddy__loop *loop) { return loop->requests > 0 || loop->jobs > 0; }

/* It stands still, but other threads were told to stop, and are given real time for that: as much passes here. */
static void pass(eddy__loop *loop, uint64_t next) {
  if (loop->urged == 0) return;
  uint64_t now = uv_hrtime(), passed = now - loop->urged_at, left = next - loop->clock.now;
  loop->urged_at = now;
  loop->clock.now += passed < left ? passed : left;
}

/* Sockets are asked before time jumps. Returns whether something is ready. */
static bool has_news(eddy__loop *loop) {
  for (int i = 0; i < 2 && loop->ready == 0; i++) /* the second finds what the first has set in motion on this host */
    eddy__poll_now(loop);
  return loop->ready > 0;
}

/* Virtual time, nothing ready: what is sure to end is waited for, sockets are asked, then time jumps. */
static int jump(eddy__loop *loop) {
  eddy__post_deliver(loop);
  collect(loop);
  uint64_t next = eddy__timers_next(&loop->timers);
  if (loop->ready > 0 || loop->stop || next <= loop->clock.now) return 0;
  if (stands_still(loop)) {
    eddy__post_doze(loop, loop->urged > 0 ? next : EDDY_NEVER);
    pass(loop, next);
    return 0;
  }
  if (has_news(loop)) return 0;
  if (next != EDDY_NEVER && !is_hopeless(loop)) {
    loop->clock.now = next;
    return 0;
  }
  return block(loop);
}

static uint64_t next_random(eddy__loop *loop) { /* xorshift64* (Vigna, 2016) */
  uint64_t x = loop->seed;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  loop->seed = x;
  return x * 2685821657736338717u;
}

/* Shuffles the tasks in the queue; callbacks keep their places. */
static void shuffle(eddy__loop *loop) {
  size_t n = loop->ready;
  eddy__ready **at = malloc(n * sizeof *at);
  if (at == NULL) return; /* an order is still an order */
  size_t tasks = 0, i = 0;
  for (eddy__ready *r = loop->first_ready; i < n; i++, r = r->next) at[i] = r;
  eddy__ready **task = malloc(n * sizeof *task);
  if (task != NULL) {
    for (i = 0; i < n; i++)
      if (eddy__task_is(at[i])) task[tasks++] = at[i];
    for (i = tasks; i > 1; i--) {
      size_t other = (size_t)(next_random(loop) % i);
      eddy__ready *t = task[i - 1];
      task[i - 1] = task[other];
      task[other] = t;
    }
    for (i = 0, tasks = 0; i < n; i++)
      if (eddy__task_is(at[i])) at[i] = task[tasks++];
    for (i = 0; i + 1 < n; i++) at[i]->next = at[i + 1];
    at[n - 1]->next = NULL;
    loop->first_ready = at[0];
    free(task);
  }
  free(at);
}

/* So many that they do not fit into the cache: asks for the memory of those that are to run soon. Each is anchored. */
static void look_ahead(eddy__ready *next) {
  if (next->next != NULL) eddy__task_prefetch(next->next);
  eddy__task_prefetch_coroutine(next);
}

/* The same for more still: each step is long enough to fetch what the next has to follow. */
static void look_far_ahead(eddy__ready *next) {
  eddy__ready *second = next->next, *third = second != NULL ? second->next : NULL;
  eddy__task_prefetch_values(next);
  if (second != NULL) eddy__task_prefetch_frame(second);
  if (third != NULL) eddy__task_prefetch_coroutine(third);
  if (third != NULL && third->next != NULL) eddy__task_prefetch(third->next);
}

/* Runs what is in the queue. What that makes ready stands in a new one. */
static void run_ready(eddy__loop *loop) {
  size_t n = loop->ready;
  if (loop->seed != 0 && n > 1) shuffle(loop);
  int steps = n < POLL_STEPS ? (int)n : POLL_STEPS;
  loop->until_clock -= steps;
  loop->until_poll -= steps;
  eddy__ready *r = loop->first_ready, *next;
  loop->first_ready = NULL;
  loop->last_ready = &loop->first_ready;
  for (; r != NULL; r = next) {
    next = r->next;
    if (n > LOTS && next != NULL)
      look_far_ahead(next);
    else if (n > MANY && next != NULL)
      look_ahead(next);
    loop->ready--;
    r->run(r);
  }
}

/* One turn; with nothing ready it waits, unless it is the last. Returns 0 or EDDY_STALLED. */
static int turn(eddy__loop *loop, bool is_last) {
  loop->turns++;
  loop->gave_way = false;
  if (loop->ready == 0 && !is_last) {
    int rc = loop->clock.is_virtual ? jump(loop) : block(loop);
    if (rc != 0) return rc;
  } else if (loop->until_clock <= 0) {
    glance(loop);
  }
  if (loop->timers.n > 0) eddy__timers_fire(&loop->timers, loop->clock.now);
  run_ready(loop);
  return 0;
}

bool eddy__loop_replaceable(const eddy__loop *loop) {
  return loop->is_lazy && loop->turns <= loop->lazy_turn && loop->ntasks <= 1 && loop->ready == 0 &&
         loop->timers.n == 0;
}

/* --- who turns it ------------------------------------------------------------------------------------ */

typedef struct saved {
  eddy__loop *loop;
  eddy__task *current;
  lua_State *leaf, *L;
  int depth;
  eddy__runtime *here;
} saved;

static saved enter(lua_State *L, eddy__loop *loop) {
  eddy__runtime *rt = loop->rt;
  saved s = {rt->loop, rt->current, rt->leaf, rt->L, rt->nest.depth, eddy__runtime_here};
  if (s.loop != NULL) s.loop->gave_way = true;
  eddy__runtime_here = rt;
  rt->loop = loop;
  rt->current = NULL;
  rt->L = L;
  rt->nest.depth = 0;
  loop->is_running = true;
  return s;
}

static void leave(eddy__loop *loop, saved s) {
  eddy__runtime *rt = loop->rt;
  rt->loop = s.loop;
  rt->current = s.current;
  rt->leaf = s.leaf;
  rt->L = s.L;
  rt->nest.depth = s.depth;
  eddy__runtime_here = s.here;
  loop->is_running = false;
}

int eddy__loop_run(lua_State *L, eddy__loop *loop, eddy__future *until) {
  saved s = enter(L, loop);
  int rc = 0;
  bool stopped = false;
  loop->until = until;
  for (bool is_last = false; rc == 0 && !is_last && !stopped;) {
    is_last = until != NULL && !eddy__future_pending(until); /* one more: what its end made ready runs */
    rc = turn(loop, is_last || loop->stop);
    if (rc == 0 && loop->on_turn != NULL) rc = loop->on_turn(loop);
    stopped = loop->stop;
  }
  loop->stop = false;
  loop->until = NULL;
  leave(loop, s);
  return rc;
}

void eddy__loop_listen(eddy__loop *loop) {
  uv_ref((uv_handle_t *)&loop->async); /* libuv does not poll a loop in which nothing is alive */
  poll(loop);
  uv_unref((uv_handle_t *)&loop->async);
}

bool eddy__loop_pump(lua_State *L, eddy__loop *loop, uint64_t budget) {
  saved s = enter(L, loop);
  uint64_t start = uv_hrtime();
  eddy__loop_listen(loop);
  eddy__post_deliver(loop);
  do {
    if (loop->ready == 0) {
      uint64_t next = eddy__timers_next(&loop->timers);
      if (loop->clock.is_virtual && next != EDDY_NEVER && next > loop->clock.now) {
        if (stands_still(loop))
          pass(loop, next);
        else if (!has_news(loop))
          loop->clock.now = next;
      }
      if (loop->ready == 0 && next > eddy__clock_now(&loop->clock)) break;
    } else if (loop->until_clock <= 0) {
      glance(loop);
    }
    loop->turns++;
    if (loop->timers.n > 0) eddy__timers_fire(&loop->timers, loop->clock.now);
    run_ready(loop);
  } while (uv_hrtime() - start < budget);
  eddy__poll_settle(loop);
  bool more = loop->ready > 0;
  eddy__post_rest(loop); /* from now on mail makes the backend's descriptor readable */
  leave(loop, s);
  return more;
}

int eddy__loop_timeout(const eddy__loop *loop) {
  if (loop->ready > 0) return 0;
  int ms = uv_backend_timeout(loop->uv);
  uint64_t next = eddy__timers_next(&loop->timers);
  bool is_virtual = loop->clock.is_virtual;
  if (is_virtual && next != EDDY_NEVER && (next <= loop->clock.now || !stands_still(loop))) return 0;
  if (next == EDDY_NEVER || (is_virtual && loop->urged == 0)) return uv_loop_alive(loop->uv) ? ms : -1;
  uint64_t now = is_virtual ? loop->clock.now : uv_hrtime();
  uint64_t left = eddy__clock_to_ms(next > now ? next - now : 0);
  return uv_loop_alive(loop->uv) && ms >= 0 && (uint64_t)ms < left ? ms : (int)left;
}

/* --- Lua values that the loop keeps ------------------------------------------------------------------ */

/* [-0, +1, -] */
void eddy__loop_push_table(lua_State *L, eddy__loop *loop) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, loop);
}

/* [-0, +1, m] */
void eddy__loop_push_part(lua_State *L, eddy__loop *loop, const char *name) {
  eddy__loop_push_table(L, loop);
  if (lua_getfield(L, -1, name) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
  }
  lua_remove(L, -2);
}

/* [-0, +0, m] */
uint32_t eddy__loop_reserve(lua_State *L, eddy__loop *loop) {
  if (loop->nfree_anchors == 0) {
    uint32_t n = loop->nanchors + 1;
    if (n > loop->cap_anchors) { /* room to give every number back: dropping never needs memory */
      uint32_t cap = loop->cap_anchors == 0 ? 16 : loop->cap_anchors * 2;
      uint32_t *list = realloc(loop->free_anchors, cap * sizeof *list);
      if (list == NULL) luaL_error(L, "not enough memory");
      loop->free_anchors = list;
      loop->cap_anchors = cap;
    }
    eddy__loop_push_table(L, loop);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, n);
    lua_pop(L, 1);
    loop->nanchors = n;
    return n;
  }
  return loop->free_anchors[--loop->nfree_anchors];
}

/* [-1, +0, -] */
void eddy__loop_keep(lua_State *L, eddy__loop *loop, uint32_t anchor) {
  eddy__loop_push_table(L, loop);
  lua_insert(L, -2);
  lua_rawseti(L, -2, anchor);
  lua_pop(L, 1);
}

/* [-1, +0, m] */
uint32_t eddy__loop_anchor(lua_State *L, eddy__loop *loop) {
  uint32_t anchor = eddy__loop_reserve(L, loop);
  eddy__loop_keep(L, loop, anchor);
  return anchor;
}

/* [-0, +1, -] */
void eddy__loop_anchored(lua_State *L, eddy__loop *loop, uint32_t anchor) {
  eddy__loop_push_table(L, loop);
  lua_rawgeti(L, -1, anchor);
  lua_remove(L, -2);
}

/* [-0, +0, -] */
void eddy__loop_drop(eddy__loop *loop, uint32_t anchor) {
  lua_State *L = eddy__runtime_thread(loop->rt);
  eddy__loop_push_table(L, loop);
  lua_pushboolean(L, 0); /* not nil: the place in the array stays, filling it again needs no memory */
  lua_rawseti(L, -2, anchor);
  lua_pop(L, 1);
  loop->free_anchors[loop->nfree_anchors++] = anchor;
}
