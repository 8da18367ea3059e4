/* SPDX-License-Identifier: MIT */
/*
 * task.h - a coroutine that the loop drives: spawn, suspend, wake.
 * Owns:   eddy__task, a userdata that begins with its future; the coroutines, which are pooled.
 * Uses:   base/, loop.h, future.h.      Used by: everything that waits.
 * Touch:  with care. The one suspend point and the only caller of lua_resume are in task.c.
 *
 * The body of a task runs inside lua_pcallk on a coroutine of the pool, so an error unwinds on the task's own thread,
 * and <close> handlers may wait meanwhile. It gets that coroutine at its first step: ten thousand tasks that never wait
 * need one, which stays in the processor's cache. A live task is never closed from outside: whoever wants it to end
 * has an error raised in it, at its wait.
 */
#ifndef EDDY_CORE_TASK_H
#define EDDY_CORE_TASK_H

#include "core/future.h"

typedef struct eddy__cancelling eddy__cancelling;

/* A kind of wait. One static const of it stands beside each l_ function that suspends. */
typedef struct eddy__wait {
  const char *name; /* "sleep": what texts say the task is waiting in */
  /* Somebody asks the suspended task to stop. Either undoes the wait and calls eddy__task_wake(task,
   * EDDY_WAKE_CANCEL), or passes the request on to what is waited for (eddy__cancel_pass) and leaves the task
   * suspended until that has ended. It may be called once more within one request, which looks for rings then: that
   * must change nothing. The frame of the suspended function is what lua_ calls on task->at see.
   * Never raises. */
  void (*cancel)(eddy__task *task, eddy__cancelling *request);
  /* What is waited for knows the task by its waiter and its timer alone, which the task itself takes back when a script
   * has closed the coroutine that waited; or by a block in that frame which keeps the task alive. If not, something may
   * still point to the task after its end, and a task that was left so is kept for good. */
  bool is_linked;
} eddy__wait;

enum { EDDY_T_NEW, EDDY_T_READY, EDDY_T_RUNNING, EDDY_T_WAITING, EDDY_T_PASSING, EDDY_T_ENDED }; /* phases */
enum { EDDY_WAKE_NORMAL, EDDY_WAKE_CANCEL };                                         /* why it was woken */

struct eddy__task {
  eddy__future future; /* first: a task is a future */
  eddy__ready ready;
  eddy__list live;     /* in loop->tasks */
  eddy__waiter waiter; /* for the one future that it awaits */
  eddy__timer timer;   /* for a wait with a deadline */
  lua_State *co;          /* NULL before its first step, unless it has many arguments, and after its end */
  lua_State *at;          /* the thread whose function was suspended: co, or that of a coroutine inside it */
  lua_KFunction k;        /* what goes on there when it is woken */
  const eddy__wait *wait; /* what it waits in; NULL when it does not */
  void *waits_for;        /* the wait's own: a future, a block, a stream */
  struct eddy__timeout *scopes; /* its timeouts, the innermost first */
  struct eddy__task *via; /* cancel.c: who waits for it, while rings are looked for */
  struct eddy__group *group;
  eddy__list member; /* in group->children, or group->failed */
  int slot;    /* its key in the registry, while it lives */
  int co_slot; /* that of its coroutine, while it has one */
  uint32_t id;
  int top;        /* of the suspended function's frame */
  int cancelling; /* cancellations asked for and not taken back */
  uint8_t phase, wake;
  uint8_t nargs;      /* while new, and without a coroutine: how many arguments are kept as user values */
  bool has_message;   /* a cancel(msg) has set its user value */
  bool must_cancel;   /* at its next step or suspension */
  bool preempted;     /* suspended by the hook of preempt.c, at `at` */
  bool was_ended;     /* cancelled once because the loop ends */
  bool starting;      /* by tg:start: its errors are the starter's until it has called started() */
  bool keeps_slot;    /* after its end, until its group has taken the error */
  bool is_linked;     /* what it waits in, or has waited in last, is: see eddy__wait */
  bool left_wait;     /* a coroutine of its that waited in something else was closed: the task is kept for good */
  bool foreign_yield; /* it yielded by coroutine.yield: the error is raised by a hook */
};

/* Takes the function and its nargs arguments off the top of L, where there is room for 8 more values, and schedules
 * them. Pushes the task.
 *   [-(nargs+1), +1, m] */
eddy__task *eddy__task_spawn(lua_State *L, eddy__loop *loop, int nargs);

/* The same for a call of create_task: the function or Coroutine at idx (absolute) and what stands above it; leaves
 * the task in their place. Raises "bad argument".   [-n, +1, v] */
eddy__task *eddy__task_create(lua_State *L, eddy__loop *loop, int idx);

/* Turns the awaitable at idx (absolute) into a future that stays what it is if it is one, and is a new task that
 * calls or awaits it otherwise. Pushes it. eddy__awaitable_check has passed it.   [-0, +1, m] */
eddy__future *eddy__task_ensure(lua_State *L, eddy__loop *loop, int idx);

/* The task that runs on L; raises "RuntimeError: 'name' needs a running task" outside one, and clear errors where
 * a task cannot be suspended (a plain coroutine, a C function in between).   [-0, +0, v] */
eddy__task *eddy__running_slowly(lua_State *L, const char *name);

/* Says why eddy__running refuses.   [-0, +0, v] */
eddy__task *eddy__running_complain(lua_State *L, eddy__runtime *rt, const char *name);

/* The same in the usual case, where L is the task's own thread and nothing is left of its last wait; else NULL. */
static inline eddy__task *eddy__running_plainly(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_here;
  if (rt == NULL || rt->leaf != L) return NULL;
  eddy__task *task = rt->current;
  if (task == NULL || task->co != L || task->at != NULL || task->timer.place != 0 ||
      !eddy__list_empty(&task->waiter.link) || !lua_isyieldable(L))
    return NULL;
  task->waits_for = NULL;
  return task;
}

static inline eddy__task *eddy__running(lua_State *L, const char *name) {
  eddy__task *task = eddy__running_plainly(L);
  return task != NULL ? task : eddy__running_slowly(L, name);
}

/* Pushes the object of a task that is alive.   [-0, +1, -] */
void eddy__task_push(lua_State *L, eddy__task *task);

/* Suspends the running task; `return` its result. Whoever the wait was registered with calls eddy__task_wake, once
 * is enough; k runs in the task then. If a cancellation is due it is asked for at once.   [-0, +0, y] */
int eddy__suspend(lua_State *L, eddy__task *task, const eddy__wait *wait, lua_KFunction k);

/* Suspends the running task for one turn: it is ready at once, behind what is ready already. is_linked: whether nothing
 * points to the task meanwhile, as in an eddy__wait.   [-0, +0, y] */
int eddy__give_way_linked(lua_State *L, eddy__task *task, bool is_linked, lua_KFunction k);

static inline int eddy__give_way(lua_State *L, eddy__task *task, lua_KFunction k) {
  return eddy__give_way_linked(L, task, false, k);
}

/* The first of the tasks that wait in a list by their waiters, or NULL. What only one task waits for has such a list
 * too, not a pointer: the task leaves the list by itself when a script closes its coroutine. */
static inline eddy__task *eddy__task_first(const eddy__list *list) {
  return eddy__list_empty(list) ? NULL : eddy__container_of(list->next, eddy__task, waiter.link);
}

/* Makes a suspended task ready; the first call counts, others are ignored (a suspension is one-shot). Returns
 * whether this call woke it. */
bool eddy__task_wake(eddy__task *task, int why);

/* The same from something that the task was waiting for: nothing happens if it waits for something else by now, as a
 * script can close the coroutine that waited (Lua's coroutine.close), and the task goes on without that. */
static inline void eddy__task_wake_from(eddy__task *task, const void *waited_for) {
  if (task->waits_for == waited_for) eddy__task_wake(task, EDDY_WAKE_NORMAL);
}

/* The task goes on, or ends. Was the coroutine closed in which it waited last, then that wait was never undone.
 *   [-0, +0, -] */
void eddy__task_leave_wait(eddy__task *task);

/* Whether a wait may happen now on L, the running task's thread: eddy__running would not raise.   [-0, +0, -] */
bool eddy__may_wait(lua_State *L, const eddy__loop *loop);

/* The cancellation that woke it, or is due, is not to be raised: what is raised or returned tells of it.  */
static inline void eddy__wake_settle(eddy__task *task) {
  task->must_cancel = false;
  task->wake = EDDY_WAKE_NORMAL;
}

/* Whether eddy__wake_check would raise: for a k_ function that must give something back first. */
static inline bool eddy__wake_cancelled(const eddy__task *task) {
  return task->must_cancel || task->wake == EDDY_WAKE_CANCEL;
}

/* Pushes the CancelledError and returns true where eddy__wake_check raises it.   [-0, +(0|1), m] */
bool eddy__wake_take(lua_State *L, eddy__task *task);

/* First thing in a k_ function that got nothing to give back: raises CancelledError if that is why it was woken.
 *   [-0, +0, v] */
static inline void eddy__wake_check(lua_State *L, eddy__task *task) {
  if (eddy__wake_cancelled(task) && eddy__wake_take(L, task)) lua_error(L);
}

/* Whether a place in the ready queue is a task's. */
bool eddy__task_is(const eddy__ready *r);

/* Ask the processor for what a step needs, each for what the next one has to look at: the task, its coroutine, the
 * frame in which that waits, the frame and the values below it. */
void eddy__task_prefetch(const eddy__ready *r);
void eddy__task_prefetch_coroutine(const eddy__ready *r);
void eddy__task_prefetch_frame(const eddy__ready *r);
void eddy__task_prefetch_values(const eddy__ready *r);

/* Lets go of a task whose group has taken its error.   [-0, +0, -] */
void eddy__task_release(eddy__task *task);

/* A loop has closed: gives back coroutines of the pool, but for some. */
void eddy__task_trim(eddy__runtime *rt);

/* The timer of a task that waits is its own: starts it, to wake the task.   [-0, +0, v] */
void eddy__task_deadline(lua_State *L, eddy__task *task, uint64_t deadline);

/* Stops it, if it runs.   [-0, +0, -] */
static inline void eddy__task_deadline_off(eddy__task *task) {
  eddy__timer_stop(&task->future.loop->timers, &task->timer);
}

/* Pushes the task's name; or "file:line" of where it is now, or nil.   [-0, +1, m] */
void eddy__task_name(lua_State *L, eddy__task *task, int idx);
void eddy__task_place(lua_State *L, eddy__task *task);

/* The message handler of all that runs a script's code inside a task: notes the traceback of the error where it
 * happens, and passes the error on untouched.   [-1, +1, m] */
int eddy__task_msgh(lua_State *L);

void eddy__task_room(lua_State *L, eddy__runtime *rt);

#endif
