/* SPDX-License-Identifier: MIT */
/*
 * channel.c - a bounded queue of messages between tasks of any loops and threads; see channel.h.
 * Touch:  with care. A message goes from hand to hand: a receiver that waits is given it by the sender, a sender that
 *         waits has its message taken in by the receiver that made room. So nobody who is woken finds that another was
 *         faster, those who wait are served in the order in which they came, and one message wakes one task.
 */
#include "threads/channel.h"

#include <stdatomic.h>
#include <stdlib.h>

struct eddy__channel {
  atomic_int refs;     /* states, parcels, parties */
  atomic_int knowers;  /* states and parcels: those who may do something with it one day */
  uv_mutex_t lock;
  size_t capacity;
  eddy__parcel **ring; /* of `places`, a power of two */
  size_t places, first, n;
  size_t given;        /* messages that receivers were given and have not taken yet: they may come back */
  eddy__list senders, receivers, watchers; /* of eddy__party */
  bool closed;
};

enum { FIRST_PLACES = 8 };

/* --- the ring ----------------------------------------------------------------------------------------------------- */

/* Room for one more, and for all that may come back. */
static bool make_room(eddy__channel *ch) {
  if (ch->n + ch->given < ch->places) return true;
  size_t places = ch->places * 2;
  eddy__parcel **ring = malloc(places * sizeof(eddy__parcel *));
  if (ring == NULL) return false;
  for (size_t i = 0; i < ch->n; i++) ring[i] = ch->ring[(ch->first + i) & (ch->places - 1)];
  free(ch->ring);
  ch->ring = ring;
  ch->places = places;
  ch->first = 0;
  return true;
}

static void push(eddy__channel *ch, eddy__parcel *parcel) {
  ch->ring[(ch->first + ch->n++) & (ch->places - 1)] = parcel;
}

static void push_front(eddy__channel *ch, eddy__parcel *parcel) {
  ch->first = (ch->first - 1) & (ch->places - 1);
  ch->ring[ch->first] = parcel;
  ch->n++;
}

static eddy__parcel *shift(eddy__channel *ch) {
  eddy__parcel *parcel = ch->ring[ch->first];
  ch->first = (ch->first + 1) & (ch->places - 1);
  ch->n--;
  return parcel;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

eddy__channel *eddy__channel_new(size_t capacity) {
  eddy__channel *ch = calloc(1, sizeof *ch);
  if (ch == NULL) return NULL;
  ch->ring = malloc(FIRST_PLACES * sizeof(eddy__parcel *));
  if (ch->ring == NULL || uv_mutex_init(&ch->lock) != 0) {
    free(ch->ring);
    free(ch);
    return NULL;
  }
  atomic_init(&ch->refs, 1);
  atomic_init(&ch->knowers, 1);
  ch->capacity = capacity;
  ch->places = FIRST_PLACES;
  eddy__list_init(&ch->senders);
  eddy__list_init(&ch->receivers);
  eddy__list_init(&ch->watchers);
  return ch;
}

void eddy__channel_retain(void *channel) {
  eddy__channel *ch = channel;
  atomic_fetch_add_explicit(&ch->refs, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&ch->knowers, 1, memory_order_relaxed);
}

static void let_go(eddy__channel *ch) {
  if (atomic_fetch_sub_explicit(&ch->refs, 1, memory_order_acq_rel) > 1) return;
  while (ch->n > 0) eddy__parcel_free(shift(ch));
  uv_mutex_destroy(&ch->lock);
  free(ch->ring);
  free(ch);
}

/* Under the lock: sends the party its mail. Returns false if its loop is closed. */
static bool notify(eddy__party *party) {
  party->in_mail = party->in_mail || eddy__mailbox_post(party->box, &party->mail);
  return party->in_mail;
}

/* Perhaps nobody is left who might do what the parties of a list wait for: their loops look again. */
static void stir(eddy__list *parties) {
  for (eddy__list *l = parties->next; l != parties; l = l->next)
    (void)notify(eddy__container_of(l, eddy__party, link));
}

void eddy__channel_release(void *channel) {
  eddy__channel *ch = channel;
  if (atomic_fetch_sub_explicit(&ch->knowers, 1, memory_order_acq_rel) == 2) {
    uv_mutex_lock(&ch->lock);
    stir(&ch->senders);
    stir(&ch->receivers);
    stir(&ch->watchers);
    uv_mutex_unlock(&ch->lock);
  }
  let_go(ch);
}

/* --- parties ------------------------------------------------------------------------------------------------------ */

/* Under the lock: takes the first party off the list and tells it; NULL if there is none. Those whose loop is closed
 * are passed over: no task of theirs will run again. */
static eddy__party *tell_first(eddy__list *parties) {
  while (!eddy__list_empty(parties)) {
    eddy__party *party = eddy__container_of(parties->next, eddy__party, link);
    eddy__list_remove(&party->link);
    if (!notify(party)) continue;
    party->is_told = true;
    return party;
  }
  return NULL;
}

static void tell_all(eddy__list *parties) {
  while (tell_first(parties) != NULL) continue;
}

static void free_party(eddy__party *party) {
  eddy__mailbox_release(party->box);
  let_go(party->channel);
  free(party);
}

static void on_mail(eddy__mail *mail, eddy__loop *loop) {
  eddy__party *party = (eddy__party *)mail;
  uv_mutex_lock(&party->channel->lock);
  party->in_mail = false;
  bool told = party->is_told;
  uv_mutex_unlock(&party->channel->lock);
  if (loop == NULL) eddy__list_remove(&party->expecting.link);
  if (party->is_dropped)
    free_party(party);
  else if (told && loop != NULL)
    party->on_told(party);
}

static bool may_come(const eddy__expecting *e) {
  const eddy__party *party = eddy__container_of(e, eddy__party, expecting);
  if (party->is_idle != NULL && party->is_idle(party)) return false;
  return atomic_load(&party->channel->knowers) > 1;
}

eddy__party *eddy__party_new(eddy__channel *ch, eddy__loop *loop, int kind) {
  eddy__mailbox *box = eddy__mailbox_of(loop);
  eddy__party *party = box != NULL ? calloc(1, sizeof *party) : NULL;
  if (party == NULL) return NULL;
  atomic_fetch_add_explicit(&ch->refs, 1, memory_order_relaxed);
  party->mail.deliver = on_mail;
  party->expecting.may_come = may_come;
  party->channel = ch;
  party->box = eddy__mailbox_retain(box);
  party->kind = kind;
  eddy__list_init(&party->link);
  eddy__list_push(&loop->expecting, &party->expecting.link);
  return party;
}

/* Under the lock: gives the message to the first receiver in line. Returns false if there is none. */
static bool give(eddy__channel *ch, eddy__parcel *parcel) {
  eddy__party *receiver = tell_first(&ch->receivers);
  if (receiver == NULL) return false;
  receiver->parcel = parcel;
  ch->given++;
  return true;
}

eddy__parcel *eddy__party_drop(eddy__party *party, bool back, bool *told) {
  eddy__channel *ch = party->channel;
  uv_mutex_lock(&ch->lock);
  eddy__list_remove(&party->link);
  *told = party->is_told;
  eddy__parcel *parcel = party->parcel;
  party->parcel = NULL;
  bool in_mail = party->in_mail;
  if (parcel != NULL && party->kind == EDDY_P_RECEIVES) {
    ch->given--;
    if (back) {
      if (!give(ch, parcel)) {
        push_front(ch, parcel);
        tell_all(&ch->watchers);
      }
      parcel = NULL;
    }
  }
  party->is_dropped = true;
  uv_mutex_unlock(&ch->lock);
  eddy__list_remove(&party->expecting.link);
  if (!in_mail) free_party(party);
  return parcel;
}

/* --- sending and receiving ---------------------------------------------------------------------------------------- */

int eddy__channel_send(eddy__channel *ch, eddy__parcel *parcel, eddy__party *party) {
  int rc = EDDY_CH_DONE;
  uv_mutex_lock(&ch->lock);
  if (ch->closed) {
    rc = EDDY_CH_CLOSED;
  } else if (!make_room(ch)) {
    rc = EDDY_CH_NO_MEMORY;
  } else if (ch->n > 0 || !give(ch, parcel)) {
    if (ch->n < ch->capacity) {
      push(ch, parcel);
    } else {
      rc = EDDY_CH_WAIT;
      if (party != NULL) {
        party->parcel = parcel;
        eddy__list_push(&ch->senders, &party->link);
      }
    }
    if (rc == EDDY_CH_DONE || party != NULL) tell_all(&ch->watchers);
  }
  uv_mutex_unlock(&ch->lock);
  return rc;
}

/* Under the lock: the message of the first sender in line, who is told; NULL if there is none. */
static eddy__parcel *take_from_sender(eddy__channel *ch) {
  eddy__party *sender = tell_first(&ch->senders);
  if (sender == NULL) return NULL;
  eddy__parcel *parcel = sender->parcel;
  sender->parcel = NULL;
  return parcel;
}

int eddy__channel_recv(eddy__channel *ch, eddy__parcel **parcel, eddy__party *party) {
  int rc = EDDY_CH_DONE;
  uv_mutex_lock(&ch->lock);
  if (ch->n > 0) {
    *parcel = shift(ch);
    eddy__parcel *next = ch->n < ch->capacity ? take_from_sender(ch) : NULL;
    if (next != NULL) push(ch, next); /* into the place that has just become free */
  } else if ((*parcel = take_from_sender(ch)) == NULL) {
    rc = ch->closed ? EDDY_CH_CLOSED : EDDY_CH_WAIT;
    if (rc == EDDY_CH_WAIT && party != NULL) eddy__list_push(&ch->receivers, &party->link);
  }
  uv_mutex_unlock(&ch->lock);
  return rc;
}

void eddy__channel_close(eddy__channel *ch) {
  uv_mutex_lock(&ch->lock);
  ch->closed = true;
  tell_all(&ch->senders); /* their messages are still theirs: they fail */
  tell_all(&ch->receivers);
  tell_all(&ch->watchers);
  uv_mutex_unlock(&ch->lock);
}

void eddy__channel_watch(eddy__channel *ch, eddy__party *party) {
  uv_mutex_lock(&ch->lock);
  party->is_told = false;
  eddy__list_remove(&party->link);
  eddy__list_push(&ch->watchers, &party->link);
  if (ch->n > 0 || ch->closed || !eddy__list_empty(&ch->senders)) tell_all(&ch->watchers);
  uv_mutex_unlock(&ch->lock);
}

static size_t count(const eddy__list *list) {
  size_t n = 0;
  for (const eddy__list *l = list->next; l != list; l = l->next) n++;
  return n;
}

eddy__channel_view eddy__channel_look(eddy__channel *ch) {
  uv_mutex_lock(&ch->lock);
  eddy__channel_view view = {
    .messages = ch->n,
    .capacity = ch->capacity,
    .senders = count(&ch->senders),
    .receivers = count(&ch->receivers),
    .is_ready = ch->n > 0 || ch->closed || !eddy__list_empty(&ch->senders),
    .is_full = ch->n >= ch->capacity && (ch->n > 0 || eddy__list_empty(&ch->receivers)) && !ch->closed,
    .closed = ch->closed,
  };
  uv_mutex_unlock(&ch->lock);
  return view;
}
