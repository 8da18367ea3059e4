/* SPDX-License-Identifier: MIT */
/*
 * worker.h - one thread of a pool: its state, its loop, the call that it carries out.
 * Owns:   eddy__worker: the thread's until it has ended, then whoever joins it frees it.
 * Uses:   pool.h, state.h, stop.h.      Used by: pool.c, stop.c.
 * Touch:  with care.
 */
#ifndef EDDY_THREADS_WORKER_H
#define EDDY_THREADS_WORKER_H

#include <signal.h>

#include "core/spin.h"
#include "threads/pool.h"

#ifdef _WIN32
typedef int eddy__signals;
#else
typedef sigset_t eddy__signals;
#endif

/* An idle worker is UP, on its way to sleep, until it says itself that it is ASLEEP, or somebody else that it was
 * CALLED: one exchange each, so one of the two finds what the other has done. Only a worker that was asleep is posted
 * to, once, and it waits for that once: no post is lost, and none is left over. */
enum { EDDY_W_UP, EDDY_W_ASLEEP, EDDY_W_CALLED };

struct eddy__worker {
  eddy__list link;       /* under the pool's lock: in pool->workers or pool->ended */
  eddy__list idle;       /* under the lock: in pool->idle */
  eddy__pool *pool;
  uv_thread_t thread;
  uv_sem_t calls;        /* posted when it is called while it is asleep */
  bool in_loop;          /* under the lock: it waits in its loop, as tasks of earlier calls go on there */
  bool has_summons;      /* under the lock: the mail `summons` is */
  atomic_int rest;       /* EDDY_W_...: what becomes of it while it is idle */
  atomic_bool ending;    /* whatever it does is to be stopped */
  eddy__call *call;      /* written under the lock, by itself */
  eddy__mailbox *box;    /* of its loop; under the lock, NULL before it has one */
  eddy__mail nudge;      /* the call is to be stopped */
  _Atomic uint64_t nudged; /* when that was posted, uv_hrtime(); 0: it has come. Written under the lock */
  eddy__mail summons;    /* there is something to do */

  eddy__signals signals; /* that the thread of home blocked when it started this one */

  /* its own */
  eddy__parcel *init;
  lua_State *L;
  eddy__loop *loop;
  eddy__task *task;      /* carries out the calls, one after the other */
  eddy__ready stopping;  /* in the ready queue, when it `is_stopping` */
  eddy__mailbox *home;   /* of the last call; retained */
  eddy__spin spin;       /* before it sleeps: the next call often comes as soon as home has the last result */
  bool is_stopping;
  bool is_parked;        /* the task waits for a call */
  bool has_failed;       /* init has: no other worker would do better */
  char *problem;         /* why it has ended, when it was not asked to */
  char *text;            /* traceback of the call's error */
  uint64_t told_at;      /* when the call was first told to stop, uv_hrtime(); 0: not yet */
  int cancelled;         /* how many cancellations of home's task have been passed on */
  volatile sig_atomic_t in_call; /* Lua code of a call may run: the hook may be set */
};

/* The main function of the thread. */
void eddy__worker_live(void *worker);

/* Under the pool's lock: tells an idle worker that there is something to do. If it is asleep it goes into the list by
 * its `idle`: whoever has the list wakes it when the lock is free again. */
void eddy__worker_call(eddy__worker *w, eddy__list *asleep);
void eddy__worker_wake(eddy__worker *w);

#endif
