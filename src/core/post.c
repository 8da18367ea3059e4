/* SPDX-License-Identifier: MIT */
/*
 * post.c - what other threads send to a loop; see post.h.
 * Touch:  with care. Mail is a stack that the loop takes as a whole and turns round, so posting is one exchange and
 *         there is no ABA. A loop that is awake looks at it now and then; one that goes to sleep says so first and
 *         then looks once more, and whoever finds it asleep wakes it. That is one wake-up for any number of mails.
 *
 * No mail is lost. A post changes `last`, then reads `asleep`; a loop sets `asleep`, then reads `last`; all four are
 * sequentially consistent, so one of the two finds what the other has done, or both do. Whoever then clears `asleep`
 * sends to libuv's async, and the poll that the loop is in, or about to enter, returns.
 */
#include "core/post.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/poll.h"

struct eddy__mailbox {
  _Atomic(eddy__mail *) last; /* the newest; CLOSED: the loop is gone */
  atomic_bool asleep;         /* the loop is, or may be, in libuv's poll */
  atomic_int refs;
  uv_mutex_t lock;   /* of async: nobody sends to it while it is being closed */
  uv_async_t *async; /* the loop's; NULL: closed */
};

static const eddy__mail closed; /* its address marks a mailbox whose loop is gone */
#define CLOSED ((eddy__mail *)&closed)

eddy__mailbox *eddy__mailbox_of(eddy__loop *loop) {
  if (loop->mailbox != NULL || loop->is_closing) return loop->mailbox;
  eddy__mailbox *box = calloc(1, sizeof *box);
  if (box == NULL) return NULL;
  if (uv_mutex_init(&box->lock) != 0) {
    free(box);
    return NULL;
  }
  atomic_init(&box->refs, 1);
  atomic_init(&box->asleep, true);
  box->async = &loop->async;
  loop->mailbox = box;
  return box;
}

eddy__mailbox *eddy__mailbox_retain(eddy__mailbox *box) {
  atomic_fetch_add_explicit(&box->refs, 1, memory_order_relaxed);
  return box;
}

void eddy__mailbox_release(eddy__mailbox *box) {
  if (atomic_fetch_sub_explicit(&box->refs, 1, memory_order_acq_rel) > 1) return;
  uv_mutex_destroy(&box->lock);
  free(box);
}

static void wake(eddy__mailbox *box) {
  uv_mutex_lock(&box->lock);
  if (box->async != NULL) uv_async_send(box->async);
  uv_mutex_unlock(&box->lock);
}

bool eddy__mailbox_post_kept(eddy__mailbox *box, eddy__mail *mail) {
  eddy__mail *last = atomic_load(&box->last);
  do {
    mail->next = last;
  } while (last != CLOSED && !atomic_compare_exchange_weak(&box->last, &last, mail));
  bool posted = last != CLOSED;
  if (posted && atomic_load(&box->asleep) && atomic_exchange(&box->asleep, false)) wake(box);
  return posted;
}

bool eddy__mailbox_post(eddy__mailbox *box, eddy__mail *mail) {
  eddy__mailbox_retain(box); /* who gets the mail may let go of what has kept the mailbox, before we are done */
  bool posted = eddy__mailbox_post_kept(box, mail);
  eddy__mailbox_release(box);
  return posted;
}

/* Hands out a stack of mail, the oldest first. */
static void hand_out(eddy__mail *last, eddy__loop *loop) {
  eddy__mail *first = NULL;
  while (last != NULL) {
    eddy__mail *before = last->next;
    last->next = first;
    first = last;
    last = before;
  }
  while (first != NULL) {
    eddy__mail *mail = first;
    first = mail->next; /* it may be posted again, or freed, as soon as it is delivered */
    mail->deliver(mail, loop);
  }
}

bool eddy__post_waiting(const eddy__loop *loop) {
  return loop->mailbox != NULL && atomic_load_explicit(&loop->mailbox->last, memory_order_relaxed) != NULL;
}

void eddy__post_deliver(eddy__loop *loop) {
  if (eddy__post_waiting(loop)) hand_out(atomic_exchange(&loop->mailbox->last, NULL), loop);
}

void eddy__post_rest(eddy__loop *loop) {
  if (loop->mailbox == NULL) return;
  atomic_store(&loop->mailbox->asleep, true);
  if (atomic_load(&loop->mailbox->last) != NULL && atomic_exchange(&loop->mailbox->asleep, false))
    uv_async_send(&loop->async); /* it has come while nobody was told to wake us */
}

void eddy__post_doze(eddy__loop *loop, uint64_t deadline) {
  eddy__poll_wait(loop, deadline);
  if (loop->mailbox != NULL) atomic_store(&loop->mailbox->asleep, false);
  eddy__post_deliver(loop);
}

void eddy__post_close(eddy__loop *loop) {
  eddy__mailbox *box = loop->mailbox;
  while (!eddy__list_empty(&loop->expecting)) eddy__list_remove(loop->expecting.next); /* the record is used again */
  if (box == NULL) return;
  uv_mutex_lock(&box->lock);
  box->async = NULL;
  uv_mutex_unlock(&box->lock);
  hand_out(atomic_exchange(&box->last, CLOSED), NULL);
  loop->mailbox = NULL;
  eddy__mailbox_release(box);
}

static void run_posted(eddy__ready *r) {
  eddy__posted *p = eddy__container_of(r, eddy__posted, ready);
  eddy__list_remove(&p->link);
  p->run(p);
}

void eddy__post_ready(eddy__loop *loop, eddy__posted *p) {
  p->ready.run = run_posted;
  eddy__list_push(&loop->posted, &p->link);
  eddy__loop_ready(loop, &p->ready);
}

void eddy__post_drop(eddy__loop *loop) {
  while (!eddy__list_empty(&loop->posted)) {
    eddy__posted *p = eddy__container_of(loop->posted.next, eddy__posted, link);
    eddy__list_remove(&p->link);
    p->drop(p);
  }
}

bool eddy__post_expected(const eddy__loop *loop) {
  if (loop->jobs > 0) return true;
  for (const eddy__list *l = loop->expecting.next; l != &loop->expecting; l = l->next) {
    const eddy__expecting *e = eddy__container_of(l, eddy__expecting, link);
    if (e->may_come(e)) return true;
  }
  return false;
}
