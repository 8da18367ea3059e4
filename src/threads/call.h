/* SPDX-License-Identifier: MIT */
/*
 * call.h - a call that another Lua state makes for this one: the function and its arguments there, the results back.
 * Owns:   eddy__call, which both sides count; its way home is a mail.
 * Uses:   move.h, core/post.h.      Used by: pool.c, worker.c, executor.c, thread.c, wire.c.
 * Touch:  with care. What belongs to which thread stands beside each field.
 */
#ifndef EDDY_THREADS_CALL_H
#define EDDY_THREADS_CALL_H

#include <stdatomic.h>

#include "core/cancel.h"
#include "core/post.h"
#include "threads/code.h"
#include "threads/move.h"
#include "threads/scalars.h"

enum { EDDY_C_OK, EDDY_C_FAILED, EDDY_C_STOPPED, EDDY_C_NO_MEMORY, EDDY_C_BROKEN }; /* outcomes */

typedef struct eddy__call eddy__call;

struct eddy__call {
  eddy__mail mail;       /* first */
  eddy__call *next;      /* in a pool's queue */
  atomic_int refs;       /* one is home's, one belongs to whoever carries it out */
  atomic_bool stop;      /* home wants it to end */
  atomic_bool heard;     /* and it has been told so, since that was last asked */
  atomic_int asked;      /* how often the task at home was cancelled: each time it is cancelled there */
  eddy__mailbox *home;
  const eddy__wait *wait; /* how it is waited for; its name is what errors say */

  /* Of whoever has it: home until it is sent, then the other side, home again from the delivery on. */
  eddy__code *code;      /* there: the function, if it is one that is kept; or NULL */
  eddy__parcel *parcel;  /* there: the function, unless code is, and its arguments; back: results or the error; NULL: */
  eddy__scalars scalars; /* there: the arguments of code; back: the results */
  eddy__parcel *context; /* there: the context's variables, by name; or NULL */
  char *text;            /* back: the traceback; of EDDY_C_BROKEN: what has happened; or NULL */
  int outcome;

  /* Home's alone. */
  void (*halt)(eddy__call *call); /* tells the other side to stop; of a call under way */
  void *other;           /* whom halt tells: a pool; and what lets go of it */
  void (*release_other)(void *other);
  eddy__loop *loop;      /* while it is under way; of that generation */
  uint32_t generation;
  eddy__list tasks;      /* the one that waits for it, by its waiter */
  eddy__waiter watch;    /* of the Task that was made for it, if `has_task`, whose end ends the call */
  uint8_t tries;         /* how often the other side was told to stop while somebody waits for that */
  bool is_sent, is_done, was_asked, has_task;
  bool was_heard;        /* the other side has been told, and is on its way out */
  bool is_urged;         /* it was told to stop, and counts in loop->urged */
};

/* Packs the function at idx (absolute) and what stands above it, and the running context, for a call; pushes the box
 * that owns it: a spare one, if there is one. Raises for what cannot be moved.   [-0, +1, v] */
eddy__call *eddy__call_new(lua_State *L, eddy__loop *loop, int idx, const eddy__wait *wait);

/* The call in the box at idx; raises if a script has finalized it by hand.   [-0, +0, v] */
eddy__call *eddy__call_in(lua_State *L, int idx);

/* Before it is given to the other side: from now on it counts as under way. Taken back if nobody would take it. */
void eddy__call_sent(eddy__call *call);
void eddy__call_unsent(eddy__call *call);

/* Waits for the end of the call in the box at the top; `return` its result.   [-0, +n, y] */
int eddy__call_wait(lua_State *L, eddy__task *task);
void eddy__call_cancel(eddy__task *task, eddy__cancelling *request); /* the cancel of its eddy__wait */

/* The error at the top, which `task` is about to raise, is that of a call by `who` in another thread or process
 * (`where`), with this traceback there: notes that for its story.   [-0, +0, m] */
void eddy__call_note(lua_State *L, eddy__task *task, const char *who, const char *where, const char *text);

/* Spawns a Task that ends as the call in the box at the top does; replaces the box. Cancelling the Task stops the
 * call.   [-1, +1, m] */
eddy__task *eddy__call_task(lua_State *L, eddy__loop *loop);

/* Nobody at home wants it any more. */
void eddy__call_drop(eddy__call *call);

void eddy__call_release(eddy__call *call);

/* The other side sends it home, with its outcome, and lets go of it. The second one keeps hold of the mailbox in
 * *home, which saves time when the next call goes there, too. */
void eddy__call_return(eddy__call *call, int outcome);
void eddy__call_return_by(eddy__call *call, int outcome, eddy__mailbox **home);

void eddy__call_room(lua_State *L, eddy__runtime *rt);

#endif
