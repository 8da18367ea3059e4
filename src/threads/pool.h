/* SPDX-License-Identifier: MIT */
/*
 * pool.h - threads that carry out calls, first come, first served; each has a Lua state of its own.
 * Owns:   eddy__pool, which home and every worker count; its queue and its workers.
 * Uses:   call.h, state.h.      Used by: worker.c, executor.c, thread.c.
 * Touch:  with care. What the lock guards is marked; the rest is home's, the thread that made the pool.
 */
#ifndef EDDY_THREADS_POOL_H
#define EDDY_THREADS_POOL_H

#include "base/list.h"
#include "core/line.h"
#include "threads/call.h"
#include "threads/state.h"

typedef struct eddy__worker eddy__worker;

typedef struct eddy__pool eddy__pool;

/* Tells home of a pool. It may lie in the mail of a loop that nobody turns; then another loop has one of its own. */
typedef struct eddy__news {
  eddy__mail mail;       /* first */
  eddy__pool *pool;
} eddy__news;

struct eddy__pool {
  atomic_int refs;
  uv_mutex_t lock;
  uv_cond_t changed;     /* a worker has ended */
  eddy__setup *setup;    /* what a new state needs to know */

  /* under the lock */
  eddy__call *first, **last; /* calls that no worker has begun */
  size_t queued;
  eddy__list workers;    /* that live */
  eddy__list idle;       /* those of them that wait for a call, the last one first */
  eddy__list ended;      /* threads to be joined */
  int nworkers;
  bool closing;          /* workers end when the queue is empty */
  bool quitting;         /* they end at once */
  bool abandoned;        /* nobody joins them */
  eddy__mailbox *kicked; /* this loop will wake workers when it has done what it is doing; only to compare */
  size_t kicks;          /* calls since the last time that it did */
  bool is_busy;          /* those were many: it is left to that time to wake workers */
  bool wants_news;       /* home is told of room in the queue and of the end of workers */
  bool news_sent;
  char *broken;          /* why no worker can live: a message, or NULL */

  /* home's */
  int most;              /* workers */
  size_t limit;          /* of the queue; 0: none */
  eddy__keeper keeper;   /* of one that belongs to a loop and ends with it */
  void (*on_end)(eddy__pool *pool); /* its last worker has ended: news of one that was closed; or NULL */
  eddy__mailbox *home;   /* where news go */
  eddy__news *news;
  eddy__mail kick;
  eddy__line putters;    /* tasks that wait for room */
  eddy__line closers;    /* tasks that wait for the end */
};

/* A pool of at most so many workers, none of which lives yet; or NULL. Takes over the setup. */
eddy__pool *eddy__pool_new(eddy__setup *setup, int most, size_t limit);
eddy__pool *eddy__pool_retain(eddy__pool *pool);
void eddy__pool_release(eddy__pool *pool);

/* Whether one more call would have to wait for room; whether it was closed. */
bool eddy__pool_full(eddy__pool *pool);

/* Starts one more worker, which first calls what is in the parcel `init` (or NULL); takes it over, also on failure.
 * Returns 0 or a libuv code. */
int eddy__pool_grow(eddy__pool *pool, eddy__parcel *init);

/* Gives it a call, which it sends home one day. `batch`: the caller is about to wait, so workers may be woken when the
 * loop looks at its mail, for all calls of that time at once; they are when there were many the last time. Returns
 * NULL, or why it cannot: a text that lives as long as the pool; the call has not been sent then. With `may_grow` it
 * may be eddy__pool_grow_first: the call had better have a worker of its own, which may be started now. */
const char *eddy__pool_submit(eddy__pool *pool, eddy__call *call, bool batch, bool may_grow);
extern const char eddy__pool_grow_first[];

/* No new calls; the workers end when all is done; at once if `quit`: what they do is stopped, what waits is not
 * begun. */
void eddy__pool_close(eddy__pool *pool, bool quit);

/* Whether it has workers; joins those that have ended. */
bool eddy__pool_alive(eddy__pool *pool);

/* For how many ns the end of a state's or loop's pools may be waited for: a second; or next to nothing, when threads
 * have not ended within one lately. */
uint64_t eddy__pool_patience(const eddy__runtime *rt);

/* Waits until all workers have ended, for so many ns at most; those that have not by then are abandoned: they go on
 * alone and vanish when they come to an end. A second SIGINT to the loop (if it is not NULL) ends the wait. */
void eddy__pool_end(eddy__pool *pool, eddy__runtime *rt, const eddy__loop *loop, uint64_t patience);

/* Takes the lock: nobody holds it for long, so it is worth a few looks before the thread sleeps. */
void eddy__pool_lock(eddy__pool *pool);
void eddy__pool_unlock(eddy__pool *pool);

/* Under the lock: home is told that something has changed, if it wants to know. */
void eddy__pool_tell(eddy__pool *pool);

/* The last thing that a worker does. */
void eddy__pool_leave(eddy__pool *pool, eddy__worker *w);

/* From now on news go to that loop's mailbox. Returns false without memory, never the first time. */
bool eddy__pool_notify(eddy__pool *pool, eddy__mailbox *home);

#endif
