/* SPDX-License-Identifier: MIT */
/*
 * runtime.h - the record behind one Lua state: what every room of eddy in that state shares.
 * Owns:   the record (a userdata that the registry keeps), the pool of coroutines, the records of loops.
 * Uses:   base/.      Used by: everything above base/.
 * Touch:  with care. Every C function of eddy has this record as its upvalue 1, so finding the loop costs one
 *         indexing; there is no mutable global, so any number of states on any number of threads is fine.
 */
#ifndef EDDY_CORE_RUNTIME_H
#define EDDY_CORE_RUNTIME_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

typedef struct eddy__loop eddy__loop;
typedef struct eddy__task eddy__task;
typedef struct eddy__future eddy__future;

/* Coroutines of nested.c on their way from one to another. */
typedef struct eddy__nesting {
  int depth;          /* of resumes on the C stack in which the running task may wait */
  lua_State *next;    /* handed over: whoever has resumed the one that yields is to resume this one instead, */
  int n;              /* with so many values on its top */
  lua_State *given_to; /* goes on now with what the coroutine that it had handed over has brought: */
  int rc, nresults;
} eddy__nesting;

enum { EDDY_STREAM_TYPES = 12 };

/* An idle coroutine of the pool, and the slot that keeps it. */
typedef struct eddy__idle {
  lua_State *co;
  int slot;
} eddy__idle;

typedef struct eddy__runtime {
  lua_State *main;      /* the state's main thread */
  lua_State *L;         /* the thread that turns the running loop; NULL when none runs */
  eddy__loop *loop;     /* the running loop, or NULL */
  eddy__task *current;  /* the task that runs now, or NULL: between tasks, or in a callback */
  lua_State *leaf;      /* the thread on which it may wait: its own, or that of a coroutine of nested.c */
  const struct eddy__type *stream_types[EDDY_STREAM_TYPES]; /* the kinds of stream there are; NULL ends them */

  /* In a thread that works for another state: whether the error at idx ends the call that it carries out, so that
   * nothing catches it; else NULL.   [-0, +0, -] */
  bool (*is_stop)(lua_State *L, int idx);
  bool has_contexts;    /* a ContextVar was set once: from then on tasks inherit */
  lua_State *refused;   /* a thread that waits, was resumed by somebody else, and has suspended itself again */
  bool has_refused;     /* once: such a thread's stack may hold what it was resumed with */
  eddy__nesting nest;

  int task_meta, future_meta, timeout_meta; /* metatables: their keys in the registry, the quickest way there */
  int cancelled_class;         /* CancelledError likewise; and its address */
  const void *cancelled;

  /* What keeps tasks and coroutines alive. A slot is a key of the registry that luaL_ref has given us for good, with a
   * task that lives, a coroutine of the pool or a timeout; free slots are a stack, with room for all. */
  int *free_slots;
  uint32_t nfree, nslots, cap;
  uint32_t kept;           /* slots of tasks that are over, but may still be linked to something: never given back */

  /* The pool: idle coroutines and their slots, a stack. */
  eddy__idle *idle;
  uint32_t nidle;

  uint64_t gave_up;        /* threads/pool.c: when threads that did not end were last left alone, uv_hrtime(); or 0 */
  uint32_t spare_calls;    /* threads/call.c: boxes that are kept to be used again */

  bool is_checked;         /* this Lua can do what is needed */
  bool is_dead;            /* the state closes: nothing new begins */
  eddy__list loops;        /* loops that are open */
  eddy__list spare_loops;  /* records of closed ones, to be used again: futures may still point to them */
  uint64_t settled;        /* how many futures have settled: the order of completions */
  bool collect;            /* a future has failed since the last full collection */
  uint32_t unretrieved;    /* how many have failed, and nobody has looked at their error */
  uint64_t next_collect;   /* not before that, uv_hrtime() */
} eddy__runtime;

/* The record of this state, made if need be.   [-0, +1, m] */
eddy__runtime *eddy__runtime_open(lua_State *L);

/* The record whose loop runs on this OS thread, or NULL. If L is its leaf, it is that of L. */
extern _Thread_local eddy__runtime *eddy__runtime_here;

/* The record, in a C function of eddy's. Inside a task it need not look at the upvalue, which takes as long as all the
 * rest that many functions have to do.   [-0, +0, -] */
static inline eddy__runtime *eddy__runtime_of(lua_State *L) {
  eddy__runtime *rt = eddy__runtime_here;
  return rt != NULL && rt->leaf == L ? rt : (eddy__runtime *)lua_touserdata(L, lua_upvalueindex(1));
}

/* The record of a state that has one, from anywhere.   [-0, +0, -] */
eddy__runtime *eddy__runtime_find(lua_State *L);

/* A thread to push values on for a moment, where there is no L at hand. */
static inline lua_State *eddy__runtime_thread(eddy__runtime *rt) {
  return rt->L != NULL ? rt->L : rt->main;
}

/* Pushes the record itself.   [-0, +1, -] */
void eddy__runtime_push(lua_State *L);

/* Makes sure that a slot is free.   [-0, +0, m] */
void eddy__runtime_reserve(lua_State *L, eddy__runtime *rt);

/* Puts the value at idx into a slot, and returns that; needs no memory if one is free.   [-0, +0, m] */
int eddy__runtime_keep(lua_State *L, eddy__runtime *rt, int idx);

/* Gives the slot back.   [-0, +0, -] */
void eddy__runtime_drop(eddy__runtime *rt, int slot);

/* Calls f with `argument` as its only argument (a light userdata) on the thread that turns the loop, protected.
 * Returns LUA_OK with nothing on the stack, or the status with the error on top. Never raises.  [-0, +(0|1), -] */
int eddy__runtime_pcall(eddy__runtime *rt, lua_CFunction f, void *argument);

/* Like luaL_setfuncs on the table at the top, each function with the record as its upvalue.   [-0, +0, m] */
void eddy__runtime_functions(lua_State *L, eddy__runtime *rt, const luaL_Reg *functions);

#endif
