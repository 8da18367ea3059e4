/* SPDX-License-Identifier: MIT */
/*
 * pool.c - threads that carry out calls, first come, first served; see pool.h.
 * Touch:  with care. One lock for the queue and the workers; nothing that may take long is done under it.
 *
 * No call waits while a worker sleeps: under the lock, a worker becomes idle when it finds the queue empty, and whoever
 * makes it longer looks for idle ones. It calls them, or a kick is under way that will, on the loop of a call in the
 * queue: kicked is set and cleared under the lock too, and who clears it looks at the queue as it is then. A called
 * worker is taken from the idle ones; that it wakes up is the matter of `rest` (worker.h).
 */
#include "threads/pool.h"

#include <stdlib.h>
#include <string.h>

#include "core/interrupt.h"
#include "core/spin.h"
#include "threads/stop.h"
#include "threads/worker.h"

#ifndef _WIN32
#include <pthread.h>
#endif

/* --- birth and death ---------------------------------------------------------------------------------------------- */

static void on_news(eddy__mail *mail, eddy__loop *loop);

static eddy__news *new_news(eddy__pool *pool) {
  eddy__news *news = calloc(1, sizeof *news);
  if (news == NULL) return NULL;
  news->mail.deliver = on_news;
  news->pool = pool;
  return news;
}

eddy__pool *eddy__pool_new(eddy__setup *setup, int most, size_t limit) {
  eddy__pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) goto no_memory;
  pool->news = new_news(pool);
  if (pool->news == NULL) goto no_lock;
  if (uv_mutex_init(&pool->lock) != 0) goto no_lock;
  if (uv_cond_init(&pool->changed) != 0) goto no_cond;
  atomic_init(&pool->refs, 1);
  pool->setup = setup;
  pool->last = &pool->first;
  pool->most = most;
  pool->limit = limit;
  eddy__list_init(&pool->workers);
  eddy__list_init(&pool->idle);
  eddy__list_init(&pool->ended);
  eddy__line_init(&pool->putters);
  eddy__line_init(&pool->closers);
  return pool;
no_cond:
  uv_mutex_destroy(&pool->lock);
no_lock:
  free(pool->news);
  free(pool);
no_memory:
  eddy__setup_free(setup);
  return NULL;
}

eddy__pool *eddy__pool_retain(eddy__pool *pool) {
  atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
  return pool;
}

void eddy__pool_release(eddy__pool *pool) {
  if (atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) > 1) return;
  if (pool->home != NULL) eddy__mailbox_release(pool->home);
  uv_cond_destroy(&pool->changed);
  uv_mutex_destroy(&pool->lock);
  eddy__setup_free(pool->setup);
  free(pool->broken);
  free(pool->news);
  free(pool);
}

void eddy__pool_lock(eddy__pool *pool) {
  enum { LOOKS = 64 }; /* a microsecond or two: its holder is through by then, unless it has lost its processor */
  for (int i = 0; i < LOOKS; i++) {
    if (uv_mutex_trylock(&pool->lock) == 0) return;
    eddy__pause();
  }
  uv_mutex_lock(&pool->lock);
}

void eddy__pool_unlock(eddy__pool *pool) { uv_mutex_unlock(&pool->lock); }

/* --- news --------------------------------------------------------------------------------------------------------- */

/* Wakes those at home who wait: they look again. */
static void on_news(eddy__mail *mail, eddy__loop *loop) {
  eddy__news *news = (eddy__news *)mail;
  eddy__pool *pool = news->pool;
  eddy__pool_lock(pool);
  if (news == pool->news)
    pool->news_sent = false;
  else
    free(news); /* home is another loop now */
  bool has_room = pool->limit == 0 || pool->queued < pool->limit;
  bool is_over = pool->closing && pool->nworkers == 0;
  bool takes_none = pool->closing || pool->broken != NULL; /* then all who wait for room fail */
  eddy__pool_unlock(pool);
  if (loop != NULL) {
    if (is_over && pool->on_end != NULL) pool->on_end(pool);
    if (has_room && !takes_none) eddy__line_tell(&pool->putters, NULL);
    while (takes_none && eddy__line_tell(&pool->putters, NULL) != NULL) continue;
    while (eddy__line_tell(&pool->closers, NULL) != NULL) continue;
  }
  eddy__pool_release(pool);
}

void eddy__pool_tell(eddy__pool *pool) {
  if (!pool->wants_news || pool->news_sent) return;
  pool->news_sent = true;
  eddy__pool_retain(pool);
  if (eddy__mailbox_post(pool->home, &pool->news->mail)) return;
  atomic_fetch_sub(&pool->refs, 1); /* the caller has one too */
  pool->news_sent = false;
}

bool eddy__pool_notify(eddy__pool *pool, eddy__mailbox *home) {
  eddy__pool_lock(pool);
  eddy__mailbox *before = pool->home;
  if (pool->news_sent && before != home) {
    eddy__news *news = new_news(pool);
    if (news == NULL) {
      eddy__pool_unlock(pool);
      return false;
    }
    pool->news = news; /* the one before is freed where it is delivered */
    pool->news_sent = false;
  }
  pool->home = eddy__mailbox_retain(home);
  pool->wants_news = true;
  eddy__pool_unlock(pool);
  if (before != NULL) eddy__mailbox_release(before);
  return true;
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

bool eddy__pool_full(eddy__pool *pool) {
  if (pool->limit == 0) return false;
  eddy__pool_lock(pool);
  bool full = pool->queued >= pool->limit && !pool->closing;
  eddy__pool_unlock(pool);
  return full;
}

/* Home gives it up. It is under way, or waits in the queue. */
static void halt(eddy__call *call) {
  eddy__pool *pool = call->other;
  bool waits = false;
  eddy__pool_lock(pool);
  for (eddy__call **at = &pool->first; *at != NULL; at = &(*at)->next) {
    if (*at != call) continue;
    *at = call->next;
    if (call->next == NULL) pool->last = at;
    pool->queued--;
    eddy__pool_tell(pool);
    waits = true;
    break;
  }
  for (eddy__list *l = pool->workers.next; !waits && l != &pool->workers; l = l->next) {
    eddy__worker *w = eddy__container_of(l, eddy__worker, link);
    if (w->call == call) eddy__stop_send(w);
  }
  eddy__pool_unlock(pool);
  if (!waits) return;
  call->outcome = EDDY_C_STOPPED;
  eddy__call_unsent(call);
}

/* Under the lock: calls as many workers as there are calls for; puts those that sleep into a list. */
static void call_workers(eddy__pool *pool, eddy__list *asleep) {
  size_t n = pool->queued;
  while (n-- > 0 && !eddy__list_empty(&pool->idle))
    eddy__worker_call(eddy__container_of(pool->idle.next, eddy__worker, idle), asleep);
}

/* Without the lock, so that none of them wakes up only to wait for it. */
static void wake(eddy__list *asleep) {
  while (!eddy__list_empty(asleep)) {
    eddy__worker *w = eddy__container_of(asleep->next, eddy__worker, idle);
    eddy__list_remove(&w->idle);
    eddy__worker_wake(w);
  }
}

/* Waking workers for many calls at once doubles what a busy loop gets done. One that makes few calls at a time may be
 * about to compute, beside them: workers begin at once. */
enum { BUSY = 8 }; /* calls since the last kick */

static void on_kick(eddy__mail *mail, eddy__loop *loop) {
  eddy__pool *pool = eddy__container_of(mail, eddy__pool, kick);
  (void)loop;
  eddy__list asleep;
  eddy__list_init(&asleep);
  eddy__pool_lock(pool);
  pool->kicked = NULL;
  pool->is_busy = pool->kicks >= BUSY;
  pool->kicks = 0;
  call_workers(pool, &asleep);
  eddy__pool_unlock(pool);
  wake(&asleep);
  eddy__pool_release(pool);
}

/* Under the lock: calls them when the loop of the call looks at its mail; or now, if another loop was to do that, which
 * perhaps nobody turns. */
static void call_later(eddy__pool *pool, eddy__call *call, eddy__list *asleep) {
  pool->kicks++;
  if (pool->kicked == call->home) return;
  pool->kick.deliver = on_kick;
  if (pool->kicked == NULL && eddy__mailbox_post_kept(call->home, &pool->kick)) {
    pool->kicked = call->home;
    eddy__pool_retain(pool);
  } else {
    call_workers(pool, asleep);
  }
}

const char eddy__pool_grow_first[] = "no worker is free";

/* Under the lock: why the call cannot be taken; or NULL. */
static const char *refusal(const eddy__pool *pool, bool may_grow) {
  if (pool->broken != NULL) return pool->broken;
  if (pool->closing) return "the pool is closed";
  if (may_grow && pool->nworkers < pool->most && eddy__list_empty(&pool->idle)) return eddy__pool_grow_first;
  return pool->nworkers == 0 ? "no thread could be started" : NULL;
}

/* A call that is used again may belong to it already. */
static void belong(eddy__call *call, eddy__pool *pool) {
  call->next = NULL;
  if (call->other == pool) return;
  if (call->other != NULL) call->release_other(call->other);
  call->halt = halt;
  call->other = eddy__pool_retain(pool);
  call->release_other = (void (*)(void *))eddy__pool_release;
}

const char *eddy__pool_submit(eddy__pool *pool, eddy__call *call, bool batch, bool may_grow) {
  eddy__list asleep;
  eddy__list_init(&asleep);
  belong(call, pool);
  eddy__pool_lock(pool);
  const char *problem = refusal(pool, may_grow);
  if (problem == NULL) {
    eddy__call_sent(call);
    *pool->last = call;
    pool->last = &call->next;
    pool->queued++;
    if (!eddy__list_empty(&pool->idle)) {
      if (!batch || !pool->is_busy) call_workers(pool, &asleep);
      if (batch) call_later(pool, call, &asleep);
    }
  }
  eddy__pool_unlock(pool);
  wake(&asleep);
  return problem;
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

static void free_worker(eddy__worker *w) {
  uv_sem_destroy(&w->calls);
  free(w->problem);
  free(w);
}

int eddy__pool_grow(eddy__pool *pool, eddy__parcel *init) {
  eddy__worker *w = calloc(1, sizeof *w);
  int rc = w != NULL ? uv_sem_init(&w->calls, 0) : UV_ENOMEM;
  if (rc < 0) {
    free(w);
    eddy__parcel_free(init);
    return rc;
  }
  w->pool = eddy__pool_retain(pool);
  w->init = init;
  eddy__list_init(&w->idle);
  eddy__pool_lock(pool);
  eddy__list_push(&pool->workers, &w->link);
  pool->nworkers++;
  eddy__pool_unlock(pool);
  eddy__signals before;
  eddy__stop_block_signals(&before);
  eddy__stop_inherit_signals(w, &before);
  rc = uv_thread_create(&w->thread, eddy__worker_live, w);
  eddy__stop_restore_signals(&before);
  if (rc == 0) return 0;
  eddy__pool_lock(pool);
  eddy__list_remove(&w->link);
  pool->nworkers--;
  eddy__pool_unlock(pool);
  eddy__parcel_free(init);
  free_worker(w);
  eddy__pool_release(pool);
  return rc;
}

/* Sends the calls of a list home: nobody will carry them out. */
static void return_all(eddy__call *call, const char *text, int outcome) {
  for (eddy__call *next; call != NULL; call = next) {
    next = call->next;
    call->text = eddy__text_copy(text);
    eddy__call_return(call, outcome);
  }
}

/* Under the lock: takes all that waits. */
static eddy__call *take_all(eddy__pool *pool) {
  eddy__call *first = pool->first;
  pool->first = NULL;
  pool->last = &pool->first;
  pool->queued = 0;
  return first;
}

static void detach_self(void) {
#ifndef _WIN32
  pthread_detach(pthread_self());
#endif
}

void eddy__pool_leave(eddy__pool *pool, eddy__worker *w) {
  eddy__call *given_up = w->call, *waiting = NULL;
  char *text = w->problem;
  w->problem = NULL;
  eddy__pool_lock(pool);
  w->call = NULL;
  eddy__list_remove(&w->link);
  eddy__list_remove(&w->idle);
  pool->nworkers--;
  if (pool->nworkers == 0 || w->has_failed) waiting = take_all(pool);
  if (w->has_failed && pool->broken == NULL) {
    pool->broken = text;
    text = NULL;
  }
  bool is_alone = pool->abandoned, quitting = pool->quitting;
  if (!is_alone) eddy__list_push(&pool->ended, &w->link);
  const char *why = text != NULL ? text : pool->broken;
  uv_cond_broadcast(&pool->changed);
  eddy__pool_tell(pool);
  eddy__pool_unlock(pool);
  if (given_up != NULL) {
    given_up->next = NULL;
    return_all(given_up, why, EDDY_C_BROKEN);
  }
  return_all(waiting, why, quitting ? EDDY_C_STOPPED : EDDY_C_BROKEN);
  free(text);
  if (is_alone) {
    detach_self();
    free_worker(w);
  }
  eddy__pool_release(pool);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

void eddy__pool_close(eddy__pool *pool, bool quit) {
  eddy__call *waiting = NULL;
  eddy__list asleep;
  eddy__list_init(&asleep);
  eddy__pool_lock(pool);
  pool->closing = true;
  if (quit) {
    pool->quitting = true;
    waiting = take_all(pool);
    for (eddy__list *l = pool->workers.next; l != &pool->workers; l = l->next) {
      eddy__worker *w = eddy__container_of(l, eddy__worker, link);
      if (w->call != NULL) atomic_store(&w->call->stop, true);
      atomic_store(&w->ending, true);
      eddy__stop_send(w);
    }
  }
  while (!eddy__list_empty(&pool->idle))
    eddy__worker_call(eddy__container_of(pool->idle.next, eddy__worker, idle), &asleep);
  eddy__pool_tell(pool);
  eddy__pool_unlock(pool);
  wake(&asleep);
  return_all(waiting, NULL, EDDY_C_STOPPED);
}

static void join_ended(eddy__pool *pool) {
  for (;;) {
    eddy__pool_lock(pool);
    eddy__list *l = eddy__list_empty(&pool->ended) ? NULL : pool->ended.next;
    if (l != NULL) eddy__list_remove(l);
    eddy__pool_unlock(pool);
    if (l == NULL) return;
    eddy__worker *w = eddy__container_of(l, eddy__worker, link);
    uv_thread_join(&w->thread);
    free_worker(w);
  }
}

bool eddy__pool_alive(eddy__pool *pool) {
  join_ended(pool);
  eddy__pool_lock(pool);
  bool alive = pool->nworkers > 0;
  eddy__pool_unlock(pool);
  return alive;
}

static const uint64_t PATIENCE_NS = 1000000000, RECENT_NS = 3000000000, LEAST_NS = 20000000;

uint64_t eddy__pool_patience(const eddy__runtime *rt) {
  return rt->gave_up != 0 && uv_hrtime() - rt->gave_up < RECENT_NS ? LEAST_NS : PATIENCE_NS;
}

void eddy__pool_end(eddy__pool *pool, eddy__runtime *rt, const eddy__loop *loop, uint64_t patience) {
  enum { SLICE = 10000000 }; /* ns: then those that go on are told again */
  uint64_t until = uv_hrtime() + patience;
  eddy__pool_close(pool, true);
  eddy__pool_lock(pool);
  for (uint64_t now = uv_hrtime(); pool->nworkers > 0 && now < until; now = uv_hrtime()) {
    if (loop != NULL && eddy__interrupt_hurries(loop)) break;
    uint64_t left = until - now;
    uv_cond_timedwait(&pool->changed, &pool->lock, left < SLICE ? left : SLICE);
    for (eddy__list *l = pool->workers.next; l != &pool->workers; l = l->next)
      eddy__stop_send(eddy__container_of(l, eddy__worker, link));
  }
  if (pool->nworkers > 0) rt->gave_up = uv_hrtime();
  pool->abandoned = true;
  eddy__pool_unlock(pool);
  join_ended(pool);
}
