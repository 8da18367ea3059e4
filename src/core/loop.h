/* SPDX-License-Identifier: MIT */
/*
 * loop.h - one turn: what is ready, then timers, then libuv; run, stop, call_soon, the exception handler.
 * Owns:   eddy__loop, a record that a closed loop gives back to the runtime for the next one; the userdata that
 *         Lua sees points to it and knows its generation.
 * Uses:   base/, runtime.h, timer.h.      Used by: all of core/ and io/.
 * Touch:  turn() and poll() with care: the order of effects is asyncio's. libuv's callbacks settle futures and
 *         fill the ready queue; Lua runs from turn() only, never inside a callback of libuv.
 */
#ifndef EDDY_CORE_LOOP_H
#define EDDY_CORE_LOOP_H

#include <lua.h>
#include <uv.h>

#include "base/list.h"
#include "base/object.h"
#include "core/clock.h"
#include "core/runtime.h"
#include "core/spin.h"
#include "core/timer.h"

/* A place in the ready queue. Whoever embeds it is anchored until `run` was called. */
typedef struct eddy__ready {
  struct eddy__ready *next;
  void (*run)(struct eddy__ready *ready); /* never raises */
} eddy__ready;

/* What the world outside hangs on a loop: closed with it. handle.h has more. */
typedef struct eddy__keeper {
  eddy__list link; /* in loop->handles */
  void (*close)(struct eddy__keeper *keeper); /* starts the close; it unlinks itself when that is over */
  /* Writes what it is, for reports of leaks: "TCP connection a -> b opened at f.lua:3"; NULL: it is eddy's own and
   * no leak.   [-0, +0, -] */
  void (*describe)(const struct eddy__keeper *keeper, char *text, size_t size);
  /* Whether it was closed, and only has to send what it holds; NULL: it never does. */
  bool (*lingers)(const struct eddy__keeper *keeper);
  eddy__loop *loop; /* for its owner's use */
} eddy__keeper;

struct eddy__loop {
  eddy__list link; /* in rt->loops or rt->spare_loops */
  eddy__runtime *rt;
  uint32_t generation; /* one more each time the record is used again */
  bool is_open, is_running, is_closing, stop, is_debug;
  bool is_lazy;     /* the command's: eddy.run may still take its place */
  uint64_t lazy_turn; /* up to this turn */
  bool gave_way;      /* in this turn it did: that is no slow step */
  bool is_ending;   /* the tasks left have been cancelled; errors are reported at once */
  bool has_factory; /* of tasks, which create_task asks; not while it is asking */
  bool is_driven;   /* by a host, who may still wake a task: a deadlock is only told */
  bool told_deadlock;

  uv_loop_t *uv;    /* own, or the host's */
  uv_loop_t own;
  uv_timer_t wake;  /* the one libuv timer: for the earliest deadline */
  uv_async_t async; /* wakes poll from other threads and from signals */
  int internal_open; /* wake and async: how many still wait for their close callback */
  int epoll;         /* poll.h: where TCP connections are watched; or -1 */
  bool has_tried_epoll; /* to open it */
  size_t reading;    /* how many of them are read, now or later, and were not told of what has come */
  eddy__list checks; /* of eddy__check: who must look before each poll */
  eddy__list haunted; /* of eddy__keeper: closed, but the epoll may still tell of them */
  eddy__spin spin;   /* before it sleeps */

  eddy__ready *first_ready, **last_ready; /* the queue; that of the turn under way is run_ready's */
  size_t ready;        /* how many are in both */
  eddy__timers timers;
  eddy__clock clock;
  uint64_t last_poll, last_glance; /* uv_hrtime() */
  int until_clock, until_poll; /* steps to go before the clock is read, before libuv is polled */
  int pace;            /* steps between two readings of the clock */
  size_t own_timers;   /* of the end of the loop, which wake no task */

  eddy__list tasks;    /* those that live, in order of creation */
  size_t ntasks;
  uint64_t created;    /* tasks ever made: their default names */
  uint64_t turns;
  size_t generators;   /* how many have begun and not ended */
  uint64_t generators_begun; /* ever */
  eddy__list handles;  /* of eddy__keeper: sockets, servers, files */
  size_t requests;     /* operations under way that are sure to end: files, names, jobs */
  uint64_t read_turn;  /* the turn in which files have read */
  size_t read_now;     /* so many bytes without a thread */
  struct eddy__mailbox *mailbox; /* post.h: what other threads send; NULL until somebody may */
  size_t jobs;         /* under way in other threads, which will send their results */
  size_t urged;        /* those of them that were told to stop and are given some time for it: */
  uint64_t urged_at;   /* virtual time goes on as the real one does, since then, uv_hrtime() */
  uint64_t patience;   /* of its end with other threads: until then, uv_hrtime(); 0: it does not end */
  eddy__list expecting; /* of eddy__expecting: those who wait for what another thread may do */
  eddy__list posted;    /* of eddy__posted: mail that has come, in the ready queue */

  uint64_t seed;       /* of the shuffle; 0: none */
  bool preempts;       /* tasks that compute for longer than this give way: */
  uint64_t preempt_after, step_began; /* uv_hrtime() */
  double shutdown_timeout, slow_callback;
  uint32_t *free_anchors; /* of the loop's table of Lua values */
  uint32_t nfree_anchors, nanchors, cap_anchors;
  eddy__future *until; /* run_until: the loop stops when it settles */
  int (*on_turn)(eddy__loop *loop); /* after each turn, when not NULL; not 0: the run ends with it */
  bool is_hurried;  /* a second SIGINT has ended its last run */
  bool interrupted; /* a SIGINT has cancelled what the loop runs for */
  int outcome;      /* how the last run ended, when not well */
  struct eddy__interrupt *interrupt; /* SIGINT, while a run has it */
  struct ending *ending;             /* teardown.c: while the tasks left are awaited */
};

/* What Lua sees: a closed loop's record may be another loop's by now. */
typedef struct eddy__loop_object {
  eddy__loop *loop;
  uint32_t generation;
} eddy__loop_object;

extern const eddy__type eddy__type_loop;

typedef struct eddy__loop_options {
  bool is_virtual, is_debug, preempts;
  uint64_t seed;
  double shutdown_timeout, slow_callback, preempt;
  uv_loop_t *uv; /* the host's, or NULL */
} eddy__loop_options;

/* Opens a loop and pushes the object that Lua sees. Raises OSError; nothing is left open then.  [-0, +1, v] */
eddy__loop *eddy__loop_open(lua_State *L, eddy__runtime *rt, const eddy__loop_options *o);

/* Waits, for a few seconds at most, for streams that were closed but have not sent all yet. Returns 0, or
 * EDDY_INTERRUPT. */
int eddy__loop_linger(eddy__loop *loop);

/* Closes it: handles are closed, what is ready is dropped; tasks must have ended (teardown.c ends them). Twice
 * is fine. Never raises. */
void eddy__loop_close(eddy__loop *loop);

/* The loop that runs in this state; raises "RuntimeError: 'name' needs a running loop".   [-0, +0, v] */
eddy__loop *eddy__loop_running(lua_State *L, const char *name);

/* Pushes the object of a loop that is open.   [-0, +1, m] */
void eddy__loop_push(lua_State *L, eddy__loop *loop);

/* The open loop behind the object at arg; raises when it is closed.   [-0, +0, v] */
eddy__loop *eddy__loop_check(lua_State *L, int arg);

/* Whether a nested run may take this running loop's place: the command's, before its script has waited or made a
 * task. */
bool eddy__loop_replaceable(const eddy__loop *loop);

/* Turns the loop on thread L until `until` settles (NULL: until stop is called). Never raises. Returns 0, or
 * EDDY_STALLED when nothing can ever happen again, or EDDY_INTERRUPT when a SIGINT wants out at once. */
enum { EDDY_STALLED = 1, EDDY_INTERRUPT = 2 };
int eddy__loop_run(lua_State *L, eddy__loop *loop, eddy__future *until);

/* Polls without blocking; from now on mail makes the backend's descriptor readable while nobody turns the loop. */
void eddy__loop_listen(eddy__loop *loop);

/* Runs what is ready, for at most `budget` ns, polling without blocking. Never raises. Returns whether there is
 * more to do at once. */
bool eddy__loop_pump(lua_State *L, eddy__loop *loop, uint64_t budget);

/* How long libuv may block before the loop must be turned: ms, -1 for ever, 0 not at all. */
int eddy__loop_timeout(const eddy__loop *loop);

/* Puts it at the end of the ready queue; it must not be in it. */
static inline void eddy__loop_ready(eddy__loop *loop, eddy__ready *r) {
  r->next = NULL;
  *loop->last_ready = r;
  loop->last_ready = &r->next;
  loop->ready++;
}

/* Keeps the value at the top alive until it is dropped; returns its number. Raises before anything is taken.
 *   [-1, +0, m] */
uint32_t eddy__loop_anchor(lua_State *L, eddy__loop *loop);
void eddy__loop_anchored(lua_State *L, eddy__loop *loop, uint32_t anchor); /* pushes it  [-0, +1, -] */
void eddy__loop_drop(eddy__loop *loop, uint32_t anchor);                   /*   [-0, +0, -] */
/* Reserves a number now, so that a value can be kept later without memory.   [-0, +0, m] */
uint32_t eddy__loop_reserve(lua_State *L, eddy__loop *loop);
void eddy__loop_keep(lua_State *L, eddy__loop *loop, uint32_t anchor); /*   [-1, +0, -] */

/* Pushes the table of the loop's own Lua values: the exception handler, what is anchored.  [-0, +1, -] */
void eddy__loop_push_table(lua_State *L, eddy__loop *loop);

/* Pushes a table in it for a room above, made when it is first asked for.   [-0, +1, m] */
void eddy__loop_push_part(lua_State *L, eddy__loop *loop, const char *name);

/* Adds methods to those of Loop, for a room above.   [-0, +0, m] */
void eddy__loop_methods(lua_State *L, eddy__runtime *rt, const luaL_Reg *methods);

/* Opens the room: the type, and its functions in the module table at the top.   [-0, +0, m] */
void eddy__loop_room(lua_State *L, eddy__runtime *rt);

#endif
