/* SPDX-License-Identifier: MIT */
/*
 * channel.h - a bounded queue of messages between tasks of any loops and threads.
 * Owns:   eddy__channel, which each state that knows it, each parcel that carries it and each task that waits counts.
 * Uses:   move.h, core/post.h.      Used by: channel_object.c.
 * Touch:  with care. Any thread may call these functions.
 */
#ifndef EDDY_THREADS_CHANNEL_H
#define EDDY_THREADS_CHANNEL_H

#include "base/list.h"
#include "core/post.h"
#include "threads/move.h"

typedef struct eddy__channel eddy__channel;

/* Somebody who waits: to send, to receive, or (watching) until there may be something to receive. It belongs to one
 * thread, that of its loop, which drops it; it is freed when its mail has come, too. */
enum { EDDY_P_SENDS, EDDY_P_RECEIVES, EDDY_P_WATCHES };

typedef struct eddy__party {
  eddy__mail mail;           /* first: how it is told */
  eddy__expecting expecting; /* in the loop's list from its birth on */
  eddy__list link;           /* under the channel's lock: in one of its lists */
  eddy__channel *channel;
  eddy__mailbox *box;        /* of its loop */
  int kind;
  eddy__parcel *parcel;      /* under the lock: what it wants to send; what it was given */
  bool is_told;              /* under the lock: what it waits for has happened */
  bool in_mail;              /* under the lock: its mail is on the way */
  bool is_dropped;           /* its thread's: nobody waits any more */
  void (*on_told)(struct eddy__party *party); /* in its thread, outside of Lua */
  bool (*is_idle)(const struct eddy__party *party); /* a watch that nobody looks at; or NULL */
  void *owner;
} eddy__party;

/* What comes of sending and receiving. */
enum { EDDY_CH_DONE, EDDY_CH_WAIT, EDDY_CH_CLOSED, EDDY_CH_NO_MEMORY };

/* At most so many messages lie in it; 0: a sender waits for a receiver. NULL without memory. */
eddy__channel *eddy__channel_new(size_t capacity);

/* Of states that know it and parcels that carry it. */
void eddy__channel_retain(void *channel);
void eddy__channel_release(void *channel);

/* Sends a message, which it takes over if that is DONE. WAIT: there is no room; if `party` is not NULL, it has the
 * message now, and is told when a receiver or the channel has. */
int eddy__channel_send(eddy__channel *ch, eddy__parcel *parcel, eddy__party *party);

/* Receives one. WAIT: there is none; `party`, if not NULL, is told when it was given one. */
int eddy__channel_recv(eddy__channel *ch, eddy__parcel **parcel, eddy__party *party);

/* No more messages; who waits to send fails, who waits to receive gets nothing. What lies in it stays. */
void eddy__channel_close(eddy__channel *ch);

/* From now on the party is told, once, when there may be something to receive. */
void eddy__channel_watch(eddy__channel *ch, eddy__party *party);

typedef struct eddy__channel_view {
  size_t messages, capacity, senders, receivers;
  bool is_ready; /* a receive would not wait */
  bool is_full;  /* a send would */
  bool closed;
} eddy__channel_view;

/* What it looks like now. */
eddy__channel_view eddy__channel_look(eddy__channel *ch);

/* A party of the loop that runs in this thread; NULL without memory. */
eddy__party *eddy__party_new(eddy__channel *ch, eddy__loop *loop, int kind);

/* Its thread does not wait any more. Returns the message that it was given or could not send, or NULL; with `back`, one
 * that it was given goes to the next receiver, or to the front of the channel. *told: whether what it waited for has
 * happened. */
eddy__parcel *eddy__party_drop(eddy__party *party, bool back, bool *told);

#endif
