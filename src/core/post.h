/* SPDX-License-Identifier: MIT */
/*
 * post.h - what other threads send to a loop: mail that its own thread delivers.
 * Owns:   eddy__mailbox, which outlives its loop as long as somebody has it.
 * Uses:   loop.h.      Used by: loop.c, embed.c, threads/.
 * Touch:  with care. eddy__mailbox_post is the one function of core/ that any thread may call.
 */
#ifndef EDDY_CORE_POST_H
#define EDDY_CORE_POST_H

#include "core/loop.h"

/* A message. Whoever embeds it leaves it alone from the post to the delivery. */
typedef struct eddy__mail {
  struct eddy__mail *next;
  /* On the loop's thread, outside of Lua: changes C data, wakes tasks, never raises. `loop` is NULL if it was closed
   * before the mail was read. */
  void (*deliver)(struct eddy__mail *mail, eddy__loop *loop);
} eddy__mail;

typedef struct eddy__mailbox eddy__mailbox;

/* The mailbox of an open loop, made if need be; NULL when there is no memory. It is the loop's: whoever keeps it
 * retains it. */
eddy__mailbox *eddy__mailbox_of(eddy__loop *loop);

eddy__mailbox *eddy__mailbox_retain(eddy__mailbox *box);
void eddy__mailbox_release(eddy__mailbox *box);

/* From any thread: sends, and wakes the loop if it sleeps. Mail of one sender arrives in the order in which it was
 * sent. Returns false if the loop is closed: the mail is still the caller's then. */
bool eddy__mailbox_post(eddy__mailbox *box, eddy__mail *mail);

/* The same for whoever has retained the mailbox itself, and not only what is in the mail. */
bool eddy__mailbox_post_kept(eddy__mailbox *box, eddy__mail *mail);

/* Something that only another thread can bring about, while it is linked in loop->expecting. */
typedef struct eddy__expecting {
  eddy__list link;
  bool (*may_come)(const struct eddy__expecting *e); /* whether somebody is left who may */
} eddy__expecting;

/* Mail that has come and stands in the ready queue. It runs once, in its turn; or it is dropped, as the loop is closed
 * before. Both free it. */
typedef struct eddy__posted {
  eddy__ready ready;
  eddy__list link; /* in loop->posted */
  void (*run)(struct eddy__posted *p);
  void (*drop)(struct eddy__posted *p);
} eddy__posted;

/* Puts it into the queue. */
void eddy__post_ready(eddy__loop *loop, eddy__posted *p);

/* The last thing that the end of a loop does with its queue. */
void eddy__post_drop(eddy__loop *loop);

/* Whether anything may come from another thread: the loop is not in a deadlock. */
bool eddy__post_expected(const eddy__loop *loop);

/* For loop.c. Delivers what has come. */
void eddy__post_deliver(eddy__loop *loop);
/* Waits until something happens, mail included, or the deadline is there. */
void eddy__post_doze(eddy__loop *loop, uint64_t deadline);
/* The loop is not turned for a while: from now on mail wakes it. */
void eddy__post_rest(eddy__loop *loop);
/* No mail from now on; what is there is handed out. */
void eddy__post_close(eddy__loop *loop);

/* Whether there is mail. */
bool eddy__post_waiting(const eddy__loop *loop);

#endif
